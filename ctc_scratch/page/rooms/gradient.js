// Room 3, the gradient: probability minus occupancy of each class, and gradient descent on the logits.

import {class_colour, columns, frame_axis, number, set, show_number, svg, write} from "../app/draw.js";
import {add_room} from "../app/links.js";
import {light_up} from "../app/light.js";
import {changed, made_up_logit, problem, redraw_with, set_logits, set_problem, solution} from "../app/state.js";
import {chart} from "./chart.js";

const PANEL = 130, GAP_BETWEEN = 30, UP = 24, MOST_STEPS = 3000, LONG = 12, PAUSE = 60; // milliseconds

function gradient_room() {
  const room = document.getElementById("gradient"), find = (selector) => room.querySelector(selector);
  const picture = find(".picture").appendChild(svg("svg",
    {role: "img", "aria-label": "Bars: probability, occupancy and gradient per frame and class"}));
  const draw_curve = chart(find(".curve-of-descent"), "Loss and blank rate over the steps of the descent");
  let history = [], start = null, ours = null, playing = false, shape = "", bars = [];

  function build(T, C, grid) {
    const middle = UP + PANEL + GAP_BETWEEN + PANEL / 2, wide = Math.min(26, (grid.cell - 4) / C);
    const rule = (y, name, part) => [svg("line", {class: "rule", x1: grid.left, x2: grid.x(T), y1: y, y2: y}),
      svg("text", {class: "tick", x: grid.left - 6, y, "text-anchor": "end", "dominant-baseline": "central",
        "data-part": part}, name)];
    bars = Array.from({length: T}, (_, t) => Array.from({length: C}, (_, c) => {
      const x = grid.x(t) + grid.cell / 2 + (c - C / 2) * wide, colour = class_colour(c);
      return [svg("rect", {class: "prob", x: x + 1, width: wide - 2, fill: colour, "data-part": "y"}),
        svg("rect", {class: "occupancy", x: x + 1, width: wide - 2, stroke: colour, "data-part": "occupancy"}),
        svg("rect", {class: "grad", x: x + 1, width: wide - 2, fill: colour, "data-part": "grad"})];
    }));
    picture.replaceChildren(frame_axis(T, grid, 14),
      ...Array.from({length: T}, (_, t) => [UP, UP + PANEL + GAP_BETWEEN].map((y) =>
        svg("rect", {class: "ground", x: grid.x(t) + 1, y, width: grid.cell - 2, height: PANEL, rx: 6}))).flat(),
      ...rule(UP, "1"), ...rule(UP + PANEL, "0"), ...rule(middle, "0"), ...rule(middle - PANEL / 2, "+1"),
        ...rule(middle + PANEL / 2, "−1"),
      ...bars.flat(2));
    const height = UP + 2 * PANEL + GAP_BETWEEN + 6;
    set(picture, {viewBox: `0 0 ${grid.width} ${height}`, width: grid.width, height});
  }

  function draw() {
    const result = solution(), {T, C, log_probs, occupancy, grad, loss} = result, grid = columns(find(".picture"), T);
    const now = [T, C, grid.width].join();
    if (now !== shape) build(T, C, grid);
    shape = now;
    const middle = UP + PANEL + GAP_BETWEEN + PANEL / 2;
    for (let t = 0; t < T; t++) {
      for (let c = 0; c < C; c++) {
        const [prob_bar, occupancy_bar, grad_bar] = bars[t][c], prob = Math.exp(log_probs[t][c]);
        const share = occupancy ? occupancy[t][c] : 0, slope = grad ? grad[t][c] : 0;
        set(prob_bar, {y: UP + PANEL * (1 - prob), height: PANEL * prob});
        set(occupancy_bar, {y: UP + PANEL * (1 - share), height: PANEL * share});
        set(grad_bar, {y: middle - PANEL / 2 * Math.max(0, slope), height: PANEL / 2 * Math.abs(slope),
          "data-value": slope});
      }
    }
    set(room, {"data-infeasible": !result.feasible});
    if (problem.logits !== ours) history = []; // the logits were changed outside this descent
    if (!history.length) { history = [point(result)]; start = problem.logits; ours = problem.logits; }
    draw_curve({x: history.map((_, i) => i), range: [0,
      Math.max(1, ...history.map(({loss: each}) => Number.isFinite(each) ? each : 0)) * 1.05],
      curves: [{y: history.map((each) => each.loss), kind: "loss"},
        {y: history.map((each) => each.scale * each.blank), kind: "blank-rate"}], cursor: history.length - 1});
    show_number(find(".step-number"), history.length - 1);
    show_number(find(".blank-number"), history.at(-1).blank, `${(100 * history.at(-1).blank).toFixed(0)} %`);
    show_number(find(".loss-number"), loss);
    show_number(find(".norm-number"), grad ? Math.hypot(...grad.flat()) : 0);
    for (const button of room.querySelectorAll("[data-act=step], [data-act=play]")) button.disabled =
      !result.feasible;
    find("[data-act=back]").disabled = history.length < 2;
    write(find("[data-act=play]"), playing ? "pause" : "play");
  }

  // Loss, and mean probability of the blank. The curve of the latter is scaled to the height of the first loss.
  function point({loss, log_probs, T}) {
    const blank = log_probs.reduce((sum, row) => sum + Math.exp(row[0]), 0) / T;
    return {loss, blank, scale: history[0]?.scale ?? Math.max(1, Number.isFinite(loss) ? loss : 1)};
  }

  function step() {
    const {grad, feasible, C} = solution(), rate = Number(find("#rate").value), with_bias = find("#bias").checked;
    if (!feasible) return;
    // A bias is part of the logits of every frame, so its gradient is the sum over the frames.
    const bias = Array.from({length: C}, (_, c) => with_bias ? grad.reduce((sum, row) => sum + row[c], 0) : 0);
    set_logits(problem.logits.map((row, t) => row.map((x, c) => x === -Infinity ? x :
      x - rate * (grad[t][c] + bias[c]))));
    ours = problem.logits;
    history.push(point(solution()));
  }

  function play() {
    if (!playing) return;
    step();
    const {grad, feasible} = solution();
    if (!feasible || history.length > MOST_STEPS || Math.max(...grad.flat().map(Math.abs)) < 0.01) playing = false;
    else setTimeout(play, PAUSE);
    changed(room);
  }

  const acts = {
    step,
    play: () => { playing = !playing; if (playing) play(); },
    back: () => { playing = false; set_logits(start); },
    // The logits of a network that has not learnt yet: nearly equal.
    fresh: () => {
      playing = false;
      set_problem(problem.labels, Math.max(LONG, ctc.min_frames(problem.labels)));
      set_logits(problem.logits.map((row, t) => row.map((_, c) => made_up_logit(t, c, 5) / 10)));
      find("#bias").checked = true;
      set_rate(0.3);
      acts.play();
    },
  };
  room.addEventListener("click", ({target}) => {
    const button = target.closest("[data-act]");
    if (!button) return;
    acts[button.dataset.act]();
    changed(room);
  });
  function set_rate(rate) {
    find("#rate").value = rate;
    write(find(".rate-number"), number(rate));
  }
  find("#rate").addEventListener("input", () => set_rate(Number(find("#rate").value)));
  light_up(room);
  redraw_with(room, draw);
  add_room("gradient");
}

export {gradient_room};
