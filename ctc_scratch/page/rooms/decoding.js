// Room 4, decoding: greedy, beam search and the most probable labelling on the same frames.

import {chips, clamp, el, number, percent, set, show_number, write} from "../app/draw.js";
import {add_room} from "../app/links.js";
import {light_up} from "../app/light.js";
import {changed, made_up_logit, problem, redraw_with} from "../app/state.js";
import {beam_search, greedy, most_probable} from "../math/decoding.js";
import {WIDEST_COLUMN, beam_picture} from "./beam_picture.js";
import {logits_editor} from "./logits.js";

const MOST_WIDE = 8, LONGEST = 8, TRIES = 2000;

// Problems to begin with: probabilities, a row per frame, the blank first.
const EXAMPLES = {
  "0.6 and 0.4, twice": [[0.6, 0.4], [0.6, 0.4]],
  "a narrow beam fails": [[0.38, 0.32, 0.3], [0.45, 0.1, 0.45], [0.3, 0.4, 0.3]],
  "spikes: all agree": [[0.9, 0.05, 0.05], [0.1, 0.85, 0.05], [0.9, 0.05, 0.05], [0.05, 0.05, 0.9]],
};

function decoding_room() {
  const room = document.getElementById("decoding"), find = (selector) => room.querySelector(selector);
  let logits = [], frame = 0, width = 2, seed = 0, solved = null;
  const draw_logits = logits_editor(find(".logits"), {
    logits: () => logits, set: (t, c, change) => use(logits.map((row, i) => t === null || i === t ?
      row.map((x, k) => k === c ? change(x) : x) : row)), names: (c) => c === 0 ? "blank" : String(c),
        as_percent: true, widest: WIDEST_COLUMN});
  const draw_beam = beam_picture(find(".beam"));

  function use(new_logits, whole = false) {
    logits = new_logits;
    if (whole) frame = logits.length;
    solved = null;
    changed(room);
  }

  function solve() {
    const log_probs = ctc.log_softmax(logits), beam = beam_search(log_probs, width);
    const by_greedy = greedy(log_probs), best = most_probable(log_probs);
    const exact = (labels) => Math.exp(ctc.log_likelihood(log_probs, labels));
    solved = {log_probs, beam, by_greedy, best, rows: [
      {name: "greedy", part: "greedy", labels: by_greedy.labels,
        note: `its path alone has ${number(Math.exp(by_greedy.log_prob), 3)}`},
      {name: `beam of ${width}`, part: "beam", labels: beam.at(-1).kept[0].prefix,
        note: `the beam has seen ${number(Math.exp(beam.at(-1).kept[0].score), 3)}`},
      {name: "most probable", part: "best", labels: best.labels,
        note: best.proved ? "no labelling has more" : "the best that was found"},
    ].map((row) => ({...row, prob: exact(row.labels)}))};
  }

  function draw() {
    if (!solved) solve();
    const {beam, by_greedy, best, rows} = solved, T = logits.length;
    frame = clamp(frame, 0, T);
    draw_logits((t, c) => by_greedy.path[t] === c ? "greedy y" : "y");
    draw_beam(beam, frame, best.labels);
    const most = Math.max(...rows.map(({prob}) => prob));
    find(".results-of-decoders").replaceChildren(...rows.map(({name, part, labels, prob, note}) => {
      const value = el("b");
      show_number(value, prob);
      return el("div", {class: "decoder", "data-part": part, "data-right": labels.join() === best.labels.join()},
        el("span", {class: "decoder-name"}, name),
          el("span", {class: "chips"}, ...(labels.length ? chips(labels) : [el("em", {}, "nothing")])),
        el("span", {}, "P = ", value), el("i", {style: `--share: ${prob / most}`}), el("small", {}, note));
    }));
    const wrong = by_greedy.labels.join() !== best.labels.join();
    write(find(".verdict"), wrong ?
      `Greedy is wrong here: its reading has ${percent(rows[0].prob)}, ` +
        `the most probable one ${percent(rows[2].prob)}.` :
      "Greedy is right here: it finds the most probable labelling.");
    set(find(".verdict"), {"data-wrong": wrong});
    set(find("#beam-frame"), {max: T});
    find("#beam-frame").value = frame;
    write(find(".frame-number"), frame === 0 ? "before frame 1" : `after frame ${frame}`);
    find("#width").value = width;
    write(find(".width-number"), width);
  }

  // Random logits for which greedy decoding is not the most probable labelling.
  function another() {
    for (let i = 0; i < TRIES; i++) {
      seed += 1;
      const tried = Array.from({length: 3}, (_, t) =>
        Array.from({length: 3}, (_, c) => made_up_logit(t, c, 7919 * seed)));
      const log_probs = ctc.log_softmax(tried);
      if (greedy(log_probs).labels.join() !== most_probable(log_probs).labels.join()) return use(tried, true);
    }
    return undefined;
  }

  const from_probs = (probs) => probs.map((row) => row.map((p) => p > 0 ? Math.log(p) : -Infinity));
  const examples = find("#examples");
  examples.append(...Object.keys(EXAMPLES).map((name) => el("option", {value: name}, name)),
    el("option", {value: "shared"}, "the logits of room 2"));
  examples.addEventListener("change", () => use(examples.value === "shared" ?
    problem.logits.slice(0, LONGEST).map((row) => [...row]) : from_probs(EXAMPLES[examples.value]), true));
  find("#width").addEventListener("input", (event) => { width = Number(event.target.value); solved = null;
    changed(room); });
  find("#beam-frame").addEventListener("input", (event) => { frame = Number(event.target.value); changed(room); });
  room.addEventListener("click", ({target}) => {
    const button = target.closest("[data-decode]");
    if (!button) return;
    if (button.dataset.decode === "another") another();
    else if (button.dataset.decode === "longer" &&
      logits.length < LONGEST) use([...logits, logits[0].map((_, c) => made_up_logit(logits.length, c))], true);
    else if (button.dataset.decode === "shorter" && logits.length > 1) use(logits.slice(0, -1), true);
    else { frame = button.dataset.decode === "next" ? (frame + 1) % (logits.length + 1) : frame; changed(room); }
  });
  use(from_probs(Object.values(EXAMPLES)[0]), true);
  light_up(room);
  redraw_with(room, draw);
  add_room("decoding", () => ({p: ctc.log_softmax(logits).map((row) =>
    row.map((x) => Number(Math.exp(x).toFixed(4))).join(",")).join(";"),
    width, frame}), ({p, width: given_width, frame: given_frame}) => {
    const probs = p?.split(";").map((row) => row.split(",").map(Number));
    const fits = probs && probs.length <= LONGEST &&
      probs.every((row) => row.length === probs[0].length && row.length >= 2 &&
      row.every((x) => x >= 0 && x <= 1) && row.some((x) => x > 0));
    if (fits) use(from_probs(probs), true);
    if (Number(given_width) >= 1) width = clamp(Math.round(Number(given_width)), 1, MOST_WIDE);
    if (given_frame !== undefined) frame = Number(given_frame) || 0;
    solved = null;
    changed(room);
  });
}

export {decoding_room};
