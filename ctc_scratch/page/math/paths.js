// Paths of a target: all of them, the best ones, samples, and why there may be none.
//
// The twins of ctc/enumeration.py, ctc/paths/k_best.py, Lattice.sample and ctc/inputs/errors.py. A path is given as
// its states (T), positions in the extended labels. A path may stay in a state, step to the next one, or skip the blank
// between two labels that differ; moves are always listed in this order.

// The states from which a move leads to state s: [from, "stay" | "step" | "skip"].
function moves_into(s, skips) {
  const moves = [[s, "stay"]];
  if (s >= 1) moves.push([s - 1, "step"]);
  if (skips[s]) moves.push([s - 2, "skip"]);
  return moves;
}

// All alignments of the labels in T frames, as paths of classes, in numerical order.
function alignments(labels, T) {
  const ext = ctc.extend(labels), skips = ctc.can_skip(ext), S = ext.length;
  const found = [];
  const extend_by = (states) => {
    if (states.length === T) {
      if (T === 0 ? labels.length === 0 : states[T - 1] >= S - 2) found.push(states.map((s) => ext[s]));
      return;
    }
    const last = states.at(-1);
    for (let s = 0; s < S; s++) {
      const moves = states.length ? moves_into(s, skips).some(([from]) => from === last) : s < 2;
      if (moves && (S - 2 - s) / 2 <= T - states.length - 1) extend_by([...states, s]);
        // else it cannot reach the end
    }
  };
  extend_by([]);
  return found.sort((a, b) => { const t = a.findIndex((c, i) => c !== b[i]); return t < 0 ? 0 : a[t] - b[t]; });
}

// The states (T) of a path of classes that spells the labels.
function states_of(path) {
  let s = 0;
  return path.map((c, t) => {
    const before = t ? path[t - 1] : 0;
    if (c !== before) s += c !== 0 && before !== 0 ? 2 : 1;
    return s;
  });
}

// ln of the probability of a path of classes.
function path_log_prob(log_probs, path) {
  return path.reduce((sum, c, t) => sum + log_probs[t][c], 0);
}

// How many paths are possible, as a BigInt: those that no logit of -Infinity closes (Lattice.num_alignments).
function count_possible(log_probs, labels) {
  const ext = ctc.extend(labels), skips = ctc.can_skip(ext), S = ext.length;
  if (log_probs.length === 0) return labels.length ? 0n : 1n;
  let counts = ext.map((c, s) => s < 2 && log_probs[0][c] > -Infinity ? 1n : 0n);
  for (const row of log_probs.slice(1)) {
    counts = ext.map((c, s) => row[c] === -Infinity ? 0n :
      moves_into(s, skips).reduce((sum, [from]) => sum + counts[from], 0n));
  }
  return counts[S - 1] + (S > 1 ? counts[S - 2] : 0n);
}

// The k most likely paths, best first: {states, log_prob}. Each state of each frame keeps its k best beginnings.
//
// `pins` (T) may name a state for some frames, through which the paths must go; null elsewhere.
function best_paths(log_probs, labels, k, pins = []) {
  const ext = ctc.extend(labels), skips = ctc.can_skip(ext), S = ext.length, T = log_probs.length;
  if (T === 0) return labels.length ? [] : [{states: [], log_prob: 0}];
  const open = (t, s) => log_probs[t][ext[s]] > -Infinity && (pins[t] ?? s) === s;
  let kept = ext.map((c, s) => s < 2 && open(0, s) ? [{score: log_probs[0][c], s, before: null}] : []);
  for (let t = 1; t < T; t++) {
    kept = ext.map((c, s) => !open(t, s) ? [] : moves_into(s, skips)
      .flatMap(([from]) => kept[from].map((before) => ({score: before.score + log_probs[t][c], s, before})))
      .sort((a, b) => b.score - a.score).slice(0, k));
  }
  return kept.slice(-2).flat().sort((a, b) => b.score - a.score).slice(0, k).map((last) => {
    const states = [];
    for (let node = last; node; node = node.before) states.unshift(node.s);
    return {states, log_prob: last.score};
  });
}

// A path drawn at random with its probability given the labels. Each next state is drawn in proportion to the sum over
// all ways to finish from it, which log_beta holds.
function sample_path(log_probs, log_beta, labels, random) {
  const ext = ctc.extend(labels), skips = ctc.can_skip(ext);
  const states = [];
  for (let t = 0; t < log_probs.length; t++) {
    const reachable = ext.map((_, s) => s).filter((s) =>
      t === 0 ? s < 2 : moves_into(s, skips).some(([from]) => from === states[t - 1]));
    const scores = reachable.map((s) => log_probs[t][ext[s]] + log_beta[t][s]);
    const total = ctc.log_add(...scores);
    let rest = random(), i = 0;
    while (i < scores.length - 1 && (rest -= Math.exp(scores[i] - total)) >= 0) i += 1;
    while (scores[i] === -Infinity) i -= 1; // the last scores may be impossible, and rounding may lead to them
    states.push(reachable[i]);
  }
  return states;
}

// Why a target has no path, in the words of InfeasibleTargetError.
function infeasible_message(labels, T) {
  const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
  const U = labels.length, r = ctc.count_repeats(labels);
  const needs = `${counted(U + r, "frame")} (${counted(U, "label")} + ${counted(r, "repeat")})`;
  if (T < U + r) return `target 0 needs ${needs} but has ${T}`;
  return `target 0 has probability 0: it has ${counted(T,
    "frame")} and needs ${needs}, but -inf logits close every path`;
}

export {moves_into, alignments, states_of, path_log_prob, count_possible, best_paths, sample_path,
  infeasible_message};
