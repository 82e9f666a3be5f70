// Room 5, a network learns to read: a recorded training run, shown at any of the recorded steps.

import {chips, class_colour, clamp, columns, el, set, show_number, svg, write} from "../app/draw.js";
import {add_room} from "../app/links.js";
import {light_up} from "../app/light.js";
import {changed, redraw_with} from "../app/state.js";
import {chart} from "./chart.js";

const CELL_HEIGHT = 15, STATE_HEIGHT = 15, BETWEEN = 30, MOMENT_PAUSE = 160; // pixels, and milliseconds

// The bytes of a text in base64.
function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

// recording: see recording.py.
function learning_room(recording) {
  const room = document.getElementById("learning"), find = (selector) => room.querySelector(selector);
  const {classes, curve, window: columns_per_frame} = recording, C = classes.length;
  const rows = recording.rows.map((row) => ({...row, pixels: bytes(row.image), ext: ctc.extend(row.labels),
    moments: row.moments.map((moment) => ({...moment, posterior: bytes(moment.posterior),
      gamma: bytes(moment.gamma)}))}));
  const names = classes.map((name, c) => c === 0 ? "–" : name);
  const picture = find(".picture").appendChild(svg("svg", {role: "img"}));
  const draw_curve = chart(find(".curve-of-training"), "Training step: the loss over the steps, with a cursor", pick);
  const slider = find("#moment");
  let row = rows[0], at = 0, playing = false, shape = "", cells = null;

  function build(T, grid) {
    const {ext} = row, S = ext.length, image_height = Math.round(row.height * grid.cell / columns_per_frame);
    const first = image_height + BETWEEN, second = first + C * CELL_HEIGHT + BETWEEN;
    const canvas = el("canvas", {width: row.width, height: row.height}), context = canvas.getContext("2d");
    const image = context.createImageData(row.width, row.height);
    row.pixels.forEach((ink, i) => image.data.set([0, 0, 0, ink], 4 * i));
    context.putImageData(image, 0, 0);
    const panel = (y0, height, count, part, colour) =>
      Array.from({length: T}, (_, t) => Array.from({length: count}, (_, i) =>
      svg("rect", {class: part, "data-part": part, x: grid.x(t) + 0.5, y: y0 + i * height + 0.5, width: grid.cell - 1,
        height: height - 1, fill: colour(i)})));
    const label = (text, y, right = true) => svg("text",
      {class: "tick", x: right ? grid.left - 7 : 0, y, "text-anchor": right ? "end" : "start",
      "dominant-baseline": "central"}, text);
    cells = {posterior: panel(first, CELL_HEIGHT, C, "y", class_colour),
      gamma: panel(second, STATE_HEIGHT, S, "gamma", () => "var(--ramp)")};
    const ground = (y, height, count) => svg("rect",
      {class: "ground", x: grid.left, y, width: T * grid.cell, height: height * count, rx: 4});
    picture.replaceChildren(
      svg("rect", {class: "image-ground", x: grid.left, y: 0, width: T * grid.cell, height: image_height, rx: 4}),
      svg("image", {class: "image", href: canvas.toDataURL(), x: grid.left, y: 0,
        width: row.width * grid.cell / columns_per_frame, height: image_height, preserveAspectRatio: "none"}),
      ground(first, CELL_HEIGHT, C), ground(second, STATE_HEIGHT, S), ...cells.posterior.flat(),
        ...cells.gamma.flat(),
      ...names.map((name, c) => label(name, first + (c + 0.5) * CELL_HEIGHT)),
        ...ext.map((c, s) => label(names[c], second + (s + 0.5) * STATE_HEIGHT)),
      svg("text", {class: "panel-name", x: grid.left, y: first - 9}, "y: what the network says"),
      svg("text", {class: "panel-name", x: grid.left, y: second - 9}, "γ: where the labels of the target are"));
    const height = second + S * STATE_HEIGHT + 4;
    set(picture, {viewBox: `0 0 ${grid.width} ${height}`, width: grid.width, height});
  }

  function draw() {
    const moment = row.moments[at], T = moment.posterior.length / C, S = row.ext.length,
      grid = columns(find(".picture"), T, 24);
    const now = [rows.indexOf(row), grid.width].join();
    if (now !== shape) build(T, grid);
    shape = now;
    cells.posterior.forEach((column, t) => column.forEach((cell, c) =>
      set(cell, {"fill-opacity": (moment.posterior[t * C + c] / 255).toFixed(2)})));
    cells.gamma.forEach((column, t) => column.forEach((cell, s) =>
      set(cell, {"fill-opacity": (moment.gamma[t * S + s] / 255).toFixed(2)})));
    const read = moment.reading.map((c) => names[c]).join(" "), truth = row.labels.map((c) => names[c]).join(" ");
    set(picture, {"aria-label": `The row ${truth}; after step ${moment.step} the network reads ${read ||
      "nothing"}`});
    find(".reading").replaceChildren("After step ", el("b", {class: "moment-step"}, String(moment.step)),
      moment.name ? ` (${moment.name})` : "", " it reads ",
      el("span", {class: "chips"}, ...(moment.reading.length ? chips(moment.reading, "y", names) :
        [el("em", {}, "nothing")])),
      " where the row says ", el("span", {class: "chips"}, ...chips(row.labels, "gamma", names)),
        ". The loss of this row is ", el("b", {class: "moment-loss"}), " nats.");
    show_number(find(".moment-step"), moment.step, String(moment.step));
    show_number(find(".moment-loss"), moment.loss ?? Infinity);
    set(slider, {max: row.moments.length - 1, "aria-valuetext": `step ${moment.step}`});
    slider.value = at;
    write(find("[data-learn=play]"), playing ? "pause" : "play");
    find(".curve-of-training").hidden = curve.step.length === 0;
    // The first losses are those of a network that guesses; they would flatten the rest.
    const top = 1.6 * (curve.loss[Math.ceil(curve.loss.length / 10)] ?? 1);
    draw_curve({x: curve.step, range: [0, top],
      curves: [{y: curve.loss, kind: "loss"}, {y: curve.blank.map((rate) => rate * top), kind: "blank-rate"}],
      cursor: clamp(moment.step, curve.step[0] ?? 0, curve.step.at(-1) ?? 0), marks: plateau(),
        text: `step ${moment.step}, loss ${moment.loss}`});
  }

  // The steps of the plateau, for the chart: from the first moment that reads nothing to the first digit after it.
  function plateau() {
    const begin = row.moments.findIndex(({reading}) => reading.length === 0);
    const after = row.moments.findIndex(({reading}, i) => i > begin && reading.length > 0);
    if (begin < 0 || after < 0) {
      write(find(".plateau-text"), "");
      return [];
    }
    const [from, to] = [row.moments[begin].step, row.moments[after].step];
    write(find(".plateau-text"),
      `From step ${from} on it reads nothing: this is the plateau. The first digit comes at step ${to}.`);
    return [{from, to, text: "plateau"}];
  }

  function go_to(index) {
    at = clamp(index, 0, row.moments.length - 1);
    changed(room);
  }

  // The moment nearest to a step.
  function pick(step) {
    const distances = row.moments.map((moment) => Math.abs(moment.step - step));
    go_to(distances.indexOf(Math.min(...distances)));
  }

  function play() {
    if (!playing) return;
    if (at === row.moments.length - 1) playing = false;
    else setTimeout(play, MOMENT_PAUSE);
    go_to(at + 1);
  }

  const acts = {
    play: () => {
      playing = !playing;
      if (playing && at === row.moments.length - 1) at = 0;
      play();
    },
    first: () => go_to(Math.max(0, row.moments.findIndex(({reading}, i) => reading.length > 0 &&
      row.moments.slice(0, i).some((before) => before.reading.length === 0)))),
    end: () => go_to(row.moments.length - 1),
    begin: () => go_to(0),
  };
  room.addEventListener("click", ({target}) => {
    const button = target.closest("[data-learn]");
    if (button) { acts[button.dataset.learn](); changed(room); }
  });
  slider.addEventListener("input", () => go_to(Number(slider.value)));
  find(".curve-of-training svg").addEventListener("keydown", (event) => {
    const steps = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, Home: -Infinity, End: Infinity};
    if (!(event.key in steps)) return;
    event.preventDefault();
    go_to(at + steps[event.key]);
  });
  const chooser = find("#row");
  chooser.append(...rows.map(({labels}, i) => el("option", {value: i}, labels.map((c) => names[c]).join(" "))));
  chooser.closest("label").hidden = rows.length < 2;
  chooser.addEventListener("change", () => { row = rows[chooser.value]; go_to(at); });
  light_up(room);
  redraw_with(room, draw);
  add_room("learning", () => ({step: row.moments[at].step}),
    ({step}) => { if (step !== undefined && Number(step) >= 0) pick(Number(step)); });
}

export {learning_room};
