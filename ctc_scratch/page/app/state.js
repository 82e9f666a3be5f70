// The problem that the first three rooms share, a target and the logits of its frames, and what follows from it.
//
// `problem.labels` (U) and `problem.logits` (T rows of C numbers; class 0 is the blank). There are as many classes as the
// labels need, but never fewer than at the beginning. Rooms change the problem with the functions of this
// file; `changed` then redraws what is in sight, at most once per frame of the screen. `solution()` solves the problem
// at most once per change.

import {count_possible, infeasible_message} from "../math/paths.js";

const MOST = {frames: 40, labels: 10, classes: 12};
const problem = {labels: [1, 2], logits: [], least_classes: 3, edited: false};

let solved = null;

// The results of ctc.js for the problem. gamma, occupancy and grad are null if the target has no path. Each array is
// computed when it is first used.
function solution() {
  if (solved) return solved;
  const {labels, logits} = problem;
  const log_probs = ctc.log_softmax(logits), ext = ctc.extend(labels);
  const log_likelihood = ctc.log_likelihood(log_probs, labels), feasible = log_likelihood > -Infinity;
  const known = {};
  const once = (name, compute) => feasible ? known[name] ??= compute() : null;
  solved = {
    labels, logits, log_probs, log_likelihood, feasible, ext,
    T: logits.length, C: logits[0].length, U: labels.length, skips: ctc.can_skip(ext),
    loss: 0 - log_likelihood,
    count: ctc.count_alignments(labels, logits.length),
    get possible() { return known.possible ??= count_possible(log_probs, labels); },
    message: feasible ? "" : infeasible_message(labels, logits.length),
    get log_alpha() { return known.log_alpha ??= ctc.forward(log_probs, labels); },
    get log_beta() { return known.log_beta ??= ctc.backward(log_probs, labels); },
    get gamma() { return once("gamma", () => ctc.gamma(log_probs, labels)); },
    get occupancy() { return once("occupancy", () => ctc.occupancy(log_probs, labels)); },
    get grad() { return once("grad", () => ctc.loss_and_grad(logits, labels)[1]); },
  };
  return solved;
}

// ---- changes -------------------------------------------------------------------------------------

// Labels from text: "1,2,2" or "1 2 2"; a sentence that says what is wrong if there are none.
function read_labels(text) {
  const parts = text.split(/[\s,]+/).filter(Boolean);
  if (!parts.every((part) => /^\d+$/.test(part))) return `expected labels like 1,1,2, not “${text}”`;
  const labels = parts.map(Number);
  if (labels.includes(0)) return "0 is the blank: labels begin at 1";
  if (labels.length > MOST.labels) return `at most ${MOST.labels} labels, not ${labels.length}`;
  const largest = Math.max(...labels);
  if (largest >= MOST.classes) return `labels are at most ${MOST.classes - 1}, not ${largest}`;
  return labels;
}

// Set target and frames. Logits that are there already are kept; missing ones are made up, always the same.
function set_problem(labels, T) {
  const C = Math.max(problem.least_classes, ...labels.map((label) => label + 1));
  problem.labels = labels;
  problem.logits = Array.from({length: T}, (_, t) =>
    Array.from({length: C}, (_, c) => problem.logits[t]?.[c] ?? made_up_logit(t, c)));
  changed();
}

function set_logits(logits) {
  problem.logits = logits;
  problem.edited = true;
  changed();
}

// Set one logit, or the logits of one class at all frames if t is null.
function set_logit(t, c, value) {
  set_logits(problem.logits.map((row, i) => t === null || i === t ? row.map((x, k) => k === c ? value(x) : x) : row));
}

// A logit for frame t and class c, roughly normal: the sum of twelve uniform numbers minus six, with one decimal.
function made_up_logit(t, c, seed = 1) {
  const random = randoms(seed + 1000 * t + c);
  let sum = -6;
  for (let i = 0; i < 12; i++) sum += random();
  return Math.round(10 * sum) / 10;
}

// A generator of uniform random numbers in [0, 1); the same seed gives the same numbers.
function randoms(seed) {
  let a = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let z = Math.imul(a ^ (a >>> 15), a | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}

// ---- redrawing -----------------------------------------------------------------------------------

const drawn = [];   // {element, draw, dirty, in_sight}
let requested = false;

// Have `draw` called after each change, as long as `element` is in sight.
function redraw_with(element, draw) {
  const entry = {element, draw, dirty: true, in_sight: true};
  drawn.push(entry);
  new IntersectionObserver(([{isIntersecting}]) => {
    entry.in_sight = isIntersecting;
    if (isIntersecting && entry.dirty) request();
  }, {rootMargin: "100px"}).observe(element);
  return entry;
}

// Redraw the pictures of all elements, or of one.
function changed(element = null) {
  if (!element) solved = null;
  for (const entry of drawn) entry.dirty ||= !element || entry.element === element;
  request();
}

function request() {
  if (!requested) requestAnimationFrame(redraw);
  requested = true;
}

function redraw() {
  requested = false;
  for (const entry of drawn) {
    if (!entry.dirty || !entry.in_sight) continue;
    entry.dirty = false;
    entry.draw();
  }
}

export {MOST, problem, solution, read_labels, set_problem, set_logits, set_logit, made_up_logit, randoms, redraw_with,
  changed, redraw};
