// Room 2, the lattice: alpha, beta and gamma of every state at every frame, the sum behind each number, and paths.

import {chips, counted, el, percent, show_number, write} from "../app/draw.js";
import {add_room} from "../app/links.js";
import {light_up} from "../app/light.js";
import {changed, problem, randoms, redraw_with, set_logit, solution} from "../app/state.js";
import {best_paths, moves_into, sample_path} from "../math/paths.js";
import {lattice_picture} from "./lattice_picture.js";
import {logits_editor} from "./logits.js";

const SAMPLES = 8;

function lattice_room() {
  const room = document.getElementById("lattice"), find = (selector) => room.querySelector(selector);
  const draw_logits = logits_editor(find(".logits"), {
    logits: () => problem.logits, set: set_logit, names: (c) => c === 0 ? "blank" : String(c)});
  const draw_lattice = lattice_picture(find(".picture"), act);
  let view = "alpha", looked_at = {t: 1, s: 1}, shown = "best", rank = 1, pins = [], seed = 1;
  let samples = [], samples_of = null;

  function act(what, t, s) {
    looked_at = {t, s};
    if (what === "pin") {
      pins = problem.logits.map((_, i) => i === t ? (pins[t] === s ? null : s) : pins[i] ?? null);
      shown = "pinned";
    }
    changed(room);
  }

  function draw() {
    const result = solution(), {T, ext} = result;
    looked_at = {t: Math.min(looked_at.t, T - 1), s: Math.min(looked_at.s, ext.length - 1)};
    pins = pins.slice(0, T).map((s) => s < ext.length ? s : null);
    find(".hint-infeasible").hidden = result.feasible;
    write(find(".hint-infeasible"), result.feasible ? "" : hint(result));
    draw_logits((t, c) => t === looked_at.t && c === ext[looked_at.s] ? "y-now" : "y");
    draw_lattice({ext, view: view_of(result), looked_at, moves: moves_at(result), paths: paths_of(result),
      pins: shown === "pinned" ? pins : []});
    draw_sum(result);
    for (const button of room.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed",
      button.dataset.view === view);
    for (const formula of room.querySelectorAll("[data-formula]")) formula.hidden = formula.dataset.formula !== view;
  }

  // What would make the target feasible; shown beside the message of the error.
  function hint({T, labels}) {
    const missing = ctc.min_frames(labels) - T;
    if (missing <= 0) {
      return "There are enough frames, but every path needs a closed bar (−∞). Click a closed bar to open it.";
    }
    return `Each label needs a frame of its own, and two equal labels need a blank between them. ` +
      `The target needs ${missing} more frame${missing === 1 ? "" : "s"}, or fewer labels.`;
  }

  // ---- the numbers in the cells

  function view_of(result) {
    if (view === "gamma") {
      const values = result.gamma ?? result.log_alpha.map((row) => row.map(() => 0));
      return {values, shade: (t, s) => values[t][s] ** 0.7, name: "gamma", part: "gamma"};
    }
    const log_values = view === "alpha" ? result.log_alpha : result.log_beta;
    const tops = log_values.map((row) => Math.max(...row));
    const shade = (t, s) => log_values[t][s] === -Infinity ? 0 :
      Math.max(0.04, 0.9 * Math.exp(0.6 * (log_values[t][s] - tops[t]))); // of the frame's largest
    return {values: log_values.map((row) => row.map(Math.exp)), shade, name: view, part: view};
  }

  // The moves into the state looked at (alpha), or out of it (beta), with their shares of its sum.
  function moves_at(result) {
    const {t, s} = looked_at, {log_probs, ext, skips, T} = result;
    if (view === "alpha" && t > 0) {
      const {log_alpha} = result;
      const moves = moves_into(s, skips).map(([from, move]) =>
        ({from: {t: t - 1, s: from}, to: looked_at, other: {t: t - 1, s: from},
        move, value: Math.exp(log_alpha[t - 1][from])}));
      return with_shares(moves);
    }
    if (view === "beta" && t + 1 < T) {
      const {log_beta} = result;
      const moves = ["stay", "step", "skip"].map((move, by) => [s + by, move])
        .filter(([to, move]) => to < ext.length && (move !== "skip" || skips[to]))
        .map(([to, move]) => ({from: looked_at, to: {t: t + 1, s: to}, other: {t: t + 1, s: to}, move,
          value: Math.exp(log_beta[t + 1][to]), y: Math.exp(log_probs[t + 1][ext[to]])}));
      return with_shares(moves);
    }
    return [];
  }

  function with_shares(moves) {
    const total = moves.reduce((sum, {value, y}) => sum + value * (y ?? 1), 0);
    return moves.map((move) => ({...move, share: total ? move.value * (move.y ?? 1) / total : 0}));
  }

  // The sum behind the number of the state looked at, term by term.
  function draw_sum(result) {
    const {t, s} = looked_at, {ext, log_probs, log_likelihood, T} = result;
    const name = `state ${s + 1} (${ext[s] === 0 ? "blank" : `label ${ext[s]}`}) at frame ${t + 1}`;
    const alpha = () => Math.exp(result.log_alpha[t][s]), beta = () => Math.exp(result.log_beta[t][s]),
      y = Math.exp(log_probs[t][ext[s]]);
    const moves = moves_at(result);
    const term = (value, caption, part) => {
      const shown_value = el("b");
      show_number(shown_value, value);
      return el("span", {class: `term ${part}`, "data-part": part}, shown_value, el("small", {}, caption));
    };
    const sign = (text) => el("span", {class: "sign"}, text);
    const between = (items) => items.flatMap((item, i) => i ? [sign("+"), item] : [item]);
    let terms;
    if (view === "alpha") {
      terms = t === 0 ? [term(alpha(), s < 2 ? "a path may begin here" : "no path begins here", "now")] :
        [sign("("), ...between(moves.map(({value, move}) => term(value, move, move))), sign(") ·"),
          term(y, `y of ${ext[s] === 0 ? "blank" : ext[s]}`, "y-now"), sign("="), term(alpha(), "α", "now")];
    } else if (view === "beta") {
      terms = t === T - 1 ? [term(beta(), s >= ext.length - 2 ? "a path may end here" : "no path ends here", "now")] :
        [...between(moves.map(({value, move, y: next}) => el("span", {class: "product", "data-part": move},
          term(value, move, move), sign("·"), term(next, "y", "y")))), sign("="), term(beta(), "β", "now")];
    } else {
      terms = result.gamma === null ? [sign("no path, no posterior")] :
        [term(alpha(), "α", "alpha"), sign("·"), term(beta(), "β", "beta"), sign("/"),
          term(Math.exp(log_likelihood), "p", "p"),
          sign("="), term(result.gamma[t][s], "γ", "now")];
    }
    find(".sum").replaceChildren(el("span", {class: "where"}, name), ...terms);
  }

  // ---- paths

  function paths_of(result) {
    const {log_probs, labels, feasible, possible} = result, text = find(".path-text"),
      next = find("[data-paths=next]");
    for (const button of room.querySelectorAll("[data-paths]")) {
      button.setAttribute("aria-pressed", button.dataset.paths === shown ||
        (button === next && shown === "best" && rank > 1));
      button.disabled = !feasible;
    }
    if (!feasible || shown === "none") { write(text, feasible ? "" : "No path spells the target."); return []; }
    if (shown === "samples") {
      if (samples_of !== result) {
        const random = randoms(seed);
        samples = Array.from({length: SAMPLES}, () => sample_path(log_probs, result.log_beta, labels, random));
        samples_of = result;
      }
      write(text, `${SAMPLES} paths, each drawn at random with its probability given the target.`);
      return samples.map((states) => ({states, kind: "sample"}));
    }
    const pinned = shown === "pinned";
    if (pinned && !pins.some((s) => s !== null)) {
      write(text, "Click states in the picture: the best path through all of them is drawn.");
      return [];
    }
    const found = best_paths(log_probs, labels, pinned ? 1 : rank, pinned ? pins : []);
    if (!found.length) { write(text, "No path goes through all the states that you chose."); return []; }
    if (!pinned) rank = found.length;
    const {states, log_prob} = found.at(-1);
    const which = pinned ? "The best path through the states you clicked:" :
      rank === 1 ? `The best of ${counted(possible)} paths:` :
        `Path ${rank} of ${counted(possible)}, by probability:`;
    const probability = el("b");
    show_number(probability, Math.exp(log_prob));
    text.replaceChildren(el("span", {}, which),
      el("span", {class: "chips"}, ...chips(states.map((s) => result.ext[s]))),
      el("span", {}, "probability ", probability, `, ${percent(Math.exp(log_prob - result.log_likelihood))} of p`));
    return [{states, kind: pinned ? "drawn" : "best"}];
  }

  room.addEventListener("click", ({target}) => {
    const button = target.closest("[data-view], [data-paths]");
    if (!button) return;
    const {view: new_view, paths} = button.dataset;
    if (new_view) view = new_view;
    if (paths === "samples") { seed += 1; samples_of = null; }
    if (paths === "next") rank = shown === "best" ? rank + 1 : 2;
    if (paths === "best") rank = 1;
    if (paths === "none") pins = [];
    if (paths) shown = paths === "next" ? "best" : paths;
    changed(room);
  });
  light_up(room);
  redraw_with(room, draw);
  add_room("lattice", () => ({...(view === "alpha" ? {} : {view}), ...(rank > 1 ? {path: rank} : {})}),
    (parameters) => {
    if (["alpha", "beta", "gamma"].includes(parameters.view)) view = parameters.view;
    if (Number(parameters.path) >= 1) { rank = Math.min(200, Math.round(parameters.path)); shown = "best"; }
    changed(room);
  });
}

export {lattice_room};
