// Node: solve the test vectors with ctc.js and compare:   node runner.mjs CTC.JS FOLDER GROUP ...
//
// Reads the JSON files itself, generates logits and projects arrays as their README says, and prints
// {"compared": how many numbers were compared, "faults": ["core-017 loss: 1.5, expected 1.6", ...]}.

import {readFileSync} from "node:fs";
import {runInNewContext} from "node:vm";

const [script, folder, ...groups] = process.argv.slice(2);
const text = readFileSync(script, "utf8");
runInNewContext(`${text}; ctc.loss_and_grad([[0, 1], [1, 0]], [1])`); // it needs neither Node nor a browser,
const ctc = new Function(`${text}; return ctc;`)(); // but such a context is slow
const TOLERANCE = 1e-9; // absolute; relative for numbers above 1, and times the largest entry for projections

function generate(seed, bits, count) {
  const numbers = [];
  for (let i = 0; i < count; i++) {
    let x = seed + Math.imul(i, 0x9e3779b9);
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    x ^= x >>> 16;
    numbers.push(((x >>> (32 - bits)) - 2 ** (bits - 1)) / 64);
  }
  return numbers;
}

function read_logits(spec, [T, C]) {
  if (Array.isArray(spec)) return spec.map((row) => row.map(to_number));
  const flat = generate(spec.seed, spec.bits, T * C);
  const rows = Array.from({length: T}, (_, t) => flat.slice(t * C, (t + 1) * C));
  const path = (spec.path ?? []).flatMap(([c, frames]) => new Array(frames).fill(c));
  path.forEach((c, t) => { rows[t][c] += spec.raise; });
  (spec.closed ?? []).forEach(([t, c]) => { rows[t][c] = -Infinity; });
  return rows;
}

function to_number(x) {
  return {"inf": Infinity, "-inf": -Infinity, "nan": NaN}[x] ?? Number(x);
}

function project(array) {
  const flat = array.flat();
  return [1, 2, 3, 4, 5, 6, 7, 8].map((seed) =>
    generate(seed, 8, flat.length).reduce((sum, number, i) => sum + number * flat[i], 0));
}

let compared = 0;
const faults = [];

function compare(what, value, expected) {
  compared += 1;
  const allowed = TOLERANCE * Math.max(1, Math.abs(expected));
  if (value !== expected && !(Math.abs(value - expected) <= allowed)) { // strings must be equal
    faults.push(`${what}: ${value}, expected ${expected}`);
  }
}

function check(entry) {
  const {id, answers} = entry;
  const logits = read_logits(entry.logits, entry.shape).slice(0, entry.logit_length);
  const labels = entry.target.slice(0, entry.target_length);
  const [loss, gradient] = ctc.loss_and_grad(logits, labels, entry.blank);
  compare(`${id} loss`, loss, to_number(answers.loss));
  compare(`${id} log_partition`, ctc.log_likelihood(logits, labels, entry.blank), to_number(answers.log_partition));
  compare(`${id} alignments`, String(ctc.count_alignments(labels, logits.length)), answers.alignments);
  const path = logits.map((row) => row.indexOf(Math.max(...row)));
  compare(`${id} greedy`, String(ctc.collapse(path, entry.blank)), String(answers.greedy));
  if (entry.result !== "valid") {
    compare(`${id} largest gradient`, Math.max(0, ...gradient.flat().map(Math.abs)), 0);
    return;
  }
  const log_probs = ctc.log_softmax(logits);
  const arrays = {
    gradient,
    gradient_log_probs: ctc.occupancy(log_probs, labels, entry.blank).map((row) => row.map((x) => -x)),
    gamma: ctc.gamma(log_probs, labels, entry.blank),
  };
  for (const [name, array] of Object.entries(arrays)) {
    const whole = name in answers;
    const expected = (whole ? answers[name].flat() : answers.projections[name]).map(to_number);
    const observed = whole ? array.flat() : project(array);
    compare(`${id} size of ${name}`, observed.length, expected.length);
    expected.forEach((x, i) => compare(`${id} ${name}[${i}]`, observed[i], x));
  }
}

for (const group of groups) {
  const {cases} = JSON.parse(readFileSync(`${folder}/${group}.json`, "utf8"));
  cases.filter((entry) => entry.result !== "error").forEach(check);
}
console.log(JSON.stringify({compared, faults}));
