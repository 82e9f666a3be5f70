// Room 6, numerics: three small examples, computed while you look.

import {el, number, set, show_number, write} from "../app/draw.js";
import {add_room} from "../app/links.js";
import {light_up} from "../app/light.js";
import {changed, made_up_logit, redraw_with} from "../app/state.js";
import {floors, hard_problem, log_space_sums, rescaled} from "../math/numerics.js";
import {chart} from "./chart.js";

const LABELS = [1, 2, 3, 3, 1, 2, 3, 1, 2, 2], CLASSES = 5, HARD = [200, 50, 20],
  BITS = Array.from({length: 16}, (_, i) => 2 + 2 * i);

function log_probs_of(T) {
  return ctc.log_softmax(Array.from({length: T},
    (_, t) => Array.from({length: CLASSES}, (_, c) => 2 * made_up_logit(t, c, 77))));
}

function numerics_room() {
  const room = document.getElementById("numerics"), find = (selector) => room.querySelector(selector);
  const draw_drift = chart(find(".drift"), "Error of ln p at every frame in float32 log space");
  const draw_bounds = chart(find(".bounds"), "Upper and lower bound of ln p for lower and lower floors");
  const lost_picture = find(".lost").appendChild(el("canvas", {role: "img"}));
  const kept_for = {};

  // The value of a computation, which is repeated only if the key has changed.
  function once(name, key, compute) {
    if (kept_for[name]?.key !== key) kept_for[name] = {key, value: compute()};
    return kept_for[name].value;
  }

  function drift() {
    const T = Number(find("#drift-frames").value);
    write(find(".drift-frames"), T);
    const {exact, single, double} = once("drift", T, () => {
      const log_probs = log_probs_of(T);
      return {exact: ctc.log_likelihood(log_probs, LABELS), single: log_space_sums(log_probs, LABELS, Math.fround),
        double: log_space_sums(log_probs, LABELS, (x) => x)};
    });
    const errors = single.map((sum) => sum - exact);
    draw_drift({x: errors.map((_, t) => t + 1), x_name: "frame t", curves: [{y: errors, kind: "error"}],
      range: [Math.min(0, ...errors) * 1.1, Math.max(1e-9, ...errors) * 1.1],
        y_lines: [Math.min(0, ...errors), 0, Math.max(0, ...errors)]});
    show_number(find(".drift-loss"), 0 - exact);
    show_number(find(".drift-error"), Math.max(...errors.map(Math.abs)),
      number(Math.max(...errors.map(Math.abs)), 3));
    show_number(find(".drift-double"), Math.max(...double.map((sum) => Math.abs(sum - exact))),
      number(Math.max(...double.map((sum) => Math.abs(sum - exact))), 3));
  }

  function lost() {
    const first = Number(find("#lost-first").value);
    write(find(".lost-first"), `10⁻${"⁰¹²³⁴⁵⁶⁷⁸⁹"[first]}`);
    const {truth, scaled, log_alpha} = once("lost", first, () => {
      const {log_probs, labels} = hard_problem(...HARD, first);
      return {log_alpha: ctc.forward(log_probs, labels), truth: ctc.log_likelihood(log_probs, labels),
        scaled: rescaled(log_probs, labels)};
    });
    const count = draw_lost(log_alpha, scaled.alpha);
    show_number(find(".lost-truth"), 0 - truth);
    show_number(find(".lost-rescaled"), 0 - scaled.log_likelihood);
    show_number(find(".lost-count"), count, String(count));
    set(find(".lost-verdict"), {"data-wrong": Math.abs(truth - scaled.log_likelihood) > 1e-6});
  }

  // Each state at each frame is a pixel: darker for more, and red where a state is lost; returns how many are.
  function draw_lost(log_alpha, alpha) {
    const T = alpha.length, S = alpha[0].length, context = lost_picture.getContext("2d"),
      pixels = context.createImageData(T, S);
    const style = getComputedStyle(room), colour = (name) =>
      style.getPropertyValue(name).trim().match(/\w\w/g).map((part) => parseInt(part, 16));
    const [ramp, paper, accent] = ["--ramp", "--ground", "--accent"].map(colour);
    let count = 0;
    for (let t = 0; t < T; t++) {
      const top = Math.max(...log_alpha[t]);
      for (let s = 0; s < S; s++) {
        const is_lost = alpha[t][s] === 0 && log_alpha[t][s] > -Infinity,
          shade = Math.max(0, 1 + (log_alpha[t][s] - top) / 745);
        count += is_lost;
        const mixed = is_lost ? accent : paper.map((x, i) => x +
          (ramp[i] - x) * (log_alpha[t][s] === -Infinity ? 0 : 0.15 + 0.85 * shade));
        pixels.data.set([...mixed, 255], 4 * (s * T + t));
      }
    }
    set(lost_picture, {width: T, height: S, "aria-label": `States over frames; ${count} of them have vanished`});
    context.putImageData(pixels, 0, 0);
    return count;
  }

  const fixed = (x) => Number.isFinite(x) ? x.toFixed(6).replace("-", "−") : number(x);

  function bounds() {
    const bits = Number(find("#bounds-bits").value);
    write(find(".bounds-bits"), `2⁻${[...String(bits)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]).join("")}`);
    const {exact, curves, log_probs} = once("bounds", "", () => {
      const frames = log_probs_of(60);
      return {log_probs: frames, exact: ctc.log_likelihood(frames, LABELS),
        curves: BITS.map((k) => floors(frames, LABELS, 2 ** -k))};
    });
    const [lower, upper] = floors(log_probs, LABELS, 2 ** -bits);
    draw_bounds({x: BITS, x_name: "bits of the floor", cursor: bits, range: [exact - 8, exact + 8],
      y_lines: [exact - 8, exact, exact + 8],
      curves: [{y: curves.map(([low]) => low), kind: "lower"}, {y: curves.map(([, high]) => high), kind: "upper"},
        {y: BITS.map(() => exact), kind: "truth"}]});
    show_number(find(".bounds-lower"), lower, fixed(lower));
    show_number(find(".bounds-upper"), upper, fixed(upper));
    show_number(find(".bounds-gap"), upper - lower, number(upper - lower, 3));
  }

  for (const slider of room.querySelectorAll("input[type=range]")) slider.addEventListener("input",
    () => changed(room));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => changed(room));
  light_up(room);
  redraw_with(room, () => { drift(); lost(); bounds(); });
  add_room("numerics", () => ({T: find("#drift-frames").value, labels: find("#lost-first").value,
    floor: find("#bounds-bits").value}),
    ({T, labels, floor}) => {
      if (T) find("#drift-frames").value = T;
      if (labels) find("#lost-first").value = labels;
      if (floor) find("#bounds-bits").value = floor;
      changed(room);
    });
}

export {numerics_room};
