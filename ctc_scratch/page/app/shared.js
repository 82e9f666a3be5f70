// The bar above the first three rooms: target, frames and logits of the problem they share, its loss and probability.

import {counted, el, show_number, write} from "./draw.js";
import {MOST, made_up_logit, problem, randoms, read_labels, redraw_with, set_logits, set_problem,
  solution} from "./state.js";

// Ready-made logits, each a function of the problem that returns T rows of C numbers.
const PRESETS = {
  "all equal": ({T, C}) => rows(T, () => new Array(C).fill(0)),
  "random": ({T, C}, seed) => rows(T, (t) => Array.from({length: C}, (_, c) => made_up_logit(t, c, seed))),
  "blank wins everywhere": ({T, C}) => rows(T, () => Array.from({length: C}, (_, c) => c === 0 ? 4 : 0)),
  "spikes on the target": ({T, C, U, labels}) => {
    const at = labels.map((_, u) => Math.floor((u + 0.5) * T / U));
    return rows(T, (t) => Array.from({length: C}, (_, c) => c === (labels[at.indexOf(t)] ?? 0) ? 4 : 0));
  },
};

function rows(T, make) {
  return Array.from({length: T}, (_, t) => make(t));
}

function shared_bar(report) {
  const bar = document.getElementById("bar"), find = (selector) => bar.querySelector(selector);
  const target = find("#target"), frames = find("#frames"), presets = find("#presets");
  const seeds = randoms(7);
  presets.append(...Object.keys(PRESETS).map((name) => el("option", {value: name}, name)));

  function change_target() {
    const labels = read_labels(target.value);
    report(typeof labels === "string" ? labels : "");
    if (typeof labels !== "string") set_problem(labels, problem.logits.length);
  }

  function change_frames(T) {
    const fits = Number.isInteger(T) && T >= 1 && T <= MOST.frames;
    report(fits ? "" : `frames must be from 1 to ${MOST.frames}, not ${frames.value}`);
    if (fits) set_problem(problem.labels, T);
  }

  target.addEventListener("input", change_target);
  target.addEventListener("blur", () => { target.value = problem.labels.join(","); report(""); });
  frames.addEventListener("input", () => change_frames(Number(frames.value)));
  frames.addEventListener("blur", () => { frames.value = problem.logits.length; report(""); });
  for (const button of bar.querySelectorAll("[data-add]")) {
    button.addEventListener("click", () => {
      const T = problem.logits.length + Number(button.dataset.add);
      if (T >= 1 && T <= MOST.frames) change_frames(T);
    });
  }
  presets.addEventListener("change", () => {
    if (presets.value) set_logits(PRESETS[presets.value](solution(), 2 + Math.floor(1e6 * seeds())));
    presets.value = "";
  });

  // A room that is scrolled to must not lie under the bar, which is higher while it shows an error.
  const keep_clear = () => document.documentElement.style.setProperty("--bar", `${bar.offsetHeight}px`);
  new ResizeObserver(keep_clear).observe(bar);

  redraw_with(bar, () => {
    const {loss, log_likelihood, T, labels, count, possible, message} = solution();
    if (document.activeElement !== target) target.value = labels.join(",");
    if (document.activeElement !== frames) frames.value = T;
    show_number(find("#loss"), loss, loss === Infinity ? "∞" : loss.toFixed(4));
    show_number(find("#probability"), Math.exp(log_likelihood));
    write(find("#count"), possible === count ? counted(count) : `${counted(possible)} of ${counted(count)}`);
    write(find("#error"), message);
    if (find("#error").hidden === !message) return;
    find("#error").hidden = !message;
    keep_clear();
  });
}

export {shared_bar};
