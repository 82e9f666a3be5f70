// CTC in JavaScript: the twin of ctc_scratch/ctc/reference.py, function by function, under the same names.
//
// One sequence, in log space, in plain arrays: logits, log_probs, occupancy and grad are T rows of C numbers,
// log_alpha, log_beta and gamma T rows of S = 2U + 1. An impossible state has log-probability -Infinity.
// beta_t(s) leaves out the emission of frame t, so that at every frame
//
//     sum_s alpha_t(s) beta_t(s) = p(labels | x)
//
// Equation numbers are those of Graves et al., "Connectionist Temporal Classification", ICML 2006. The file is a
// plain script: it defines `ctc`, runs in a browser or in Node, and calls nothing that only one of them has.

const ctc = (() => {
  // ---- facts about labellings (labels.py) ------------------------------------------------------

  // The labels that a path spells: merge repeats, then drop blanks.
  function collapse(path, blank = 0) {
    return path.filter((c, t) => c !== blank && c !== path[t - 1]);
  }

  // The extended labels l' (S): blanks before, between and after the labels.
  function extend(labels, blank = 0) {
    return [blank, ...labels.flatMap((label) => [label, blank])];
  }

  // Which states (S) may be entered by a skip: labels that differ from the label before them.
  function can_skip(ext) {
    return ext.map((c, s) => s >= 2 && c !== ext[s - 2]);
  }

  // How many labels equal the label before them (r).
  function count_repeats(labels) {
    return labels.filter((label, u) => u > 0 && label === labels[u - 1]).length;
  }

  // The fewest frames, U + r, into which the labels fit.
  function min_frames(labels) {
    return labels.length + count_repeats(labels);
  }

  // How many alignments the labels have in T frames, as a BigInt: Binomial(T + U - r, 2U).
  function count_alignments(labels, T) {
    const U = labels.length, r = count_repeats(labels);
    if (T < U + r) return 0n;
    let count = 1n;
    for (let k = 1; k <= 2 * U; k++) {
      count = count * BigInt(T + U - r - 2 * U + k) / BigInt(k);
    }
    return count;
  }

  // ---- the recursion (reference.py) ------------------------------------------------------------

  // ln y: the logits of every frame, shifted so that the exp of each row sums to 1.
  function log_softmax(logits) {
    return logits.map((row) => {
      const top = row.reduce((a, b) => Math.max(a, b), -Infinity);
      const log_total = Math.log(row.reduce((sum, x) => sum + Math.exp(x - top), 0));
      return row.map((x) => x - top - log_total);
    });
  }

  // ln of the sum of exp of the terms; -Infinity if all of them are.
  function log_add(...terms) {
    const top = Math.max(...terms);
    if (top === -Infinity) return top;
    return top + Math.log(terms.reduce((sum, x) => sum + Math.exp(x - top), 0));
  }

  function impossible(T, S) {
    return Array.from({length: T}, () => new Array(S).fill(-Infinity));
  }

  // log alpha: all ways to reach state s at frame t (eq. 5-7).
  //
  //     alpha_t(s) = [alpha_{t-1}(s) + alpha_{t-1}(s-1) + alpha_{t-1}(s-2) if can_skip(s)] y_t(l'_s)
  function forward(log_probs, labels, blank = 0) {
    const ext = extend(labels, blank), skips = can_skip(ext);
    const T = log_probs.length, S = ext.length;
    const log_alpha = impossible(T, S);
    for (let s = 0; s < Math.min(2, S) && T > 0; s++) { // a path begins with the blank or the first label
      log_alpha[0][s] = log_probs[0][ext[s]];
    }
    for (let t = 1; t < T; t++) {
      const before = log_alpha[t - 1];
      for (let s = 0; s < S; s++) {
        const stay = before[s];
        const step = s >= 1 ? before[s - 1] : -Infinity;
        const skip = skips[s] ? before[s - 2] : -Infinity;
        log_alpha[t][s] = log_add(stay, step, skip) + log_probs[t][ext[s]];
      }
    }
    return log_alpha;
  }

  // log beta: all ways to finish from state s after frame t (eq. 9-11).
  //
  //     beta_t(s) = sum over the three moves to s' of beta_{t+1}(s') y_{t+1}(l'_{s'})
  function backward(log_probs, labels, blank = 0) {
    const ext = extend(labels, blank), skips = can_skip(ext);
    const T = log_probs.length, S = ext.length;
    const log_beta = impossible(T, S);
    for (let s = Math.max(0, S - 2); s < S && T > 0; s++) { // a path ends with the last label or the blank after it
      log_beta[T - 1][s] = 0;
    }
    for (let t = T - 2; t >= 0; t--) {
      const after = log_beta[t + 1].map((x, s) => x + log_probs[t + 1][ext[s]]);
      for (let s = 0; s < S; s++) {
        const stay = after[s];
        const step = s + 1 < S ? after[s + 1] : -Infinity;
        const skip = s + 2 < S && skips[s + 2] ? after[s + 2] : -Infinity;
        log_beta[t][s] = log_add(stay, step, skip);
      }
    }
    return log_beta;
  }

  // ln p(labels | x): ln of the sum of the last two alphas of the last frame (eq. 8); -Infinity if no path exists.
  function log_likelihood(log_probs, labels, blank = 0) {
    if (log_probs.length === 0) return labels.length === 0 ? 0 : -Infinity;
    return log_add(...forward(log_probs, labels, blank).at(-1).slice(-2));
  }

  // The posterior (T, S) of being in state s at frame t: alpha beta / p(labels | x). The target must be feasible.
  // Every row is divided by its own sum, so that the errors that alpha and beta have accumulated cancel.
  function gamma(log_probs, labels, blank = 0) {
    const log_alpha = forward(log_probs, labels, blank), log_beta = backward(log_probs, labels, blank);
    const log_joint = log_alpha.map((row, t) => row.map((x, s) => x + log_beta[t][s]));
    return log_softmax(log_joint).map((row) => row.map(Math.exp));
  }

  // The posterior (T, C) of emitting class c at frame t: gamma summed over the states of c.
  function occupancy(log_probs, labels, blank = 0) {
    const ext = extend(labels, blank);
    return gamma(log_probs, labels, blank).map((row, t) => {
      const posterior = new Array(log_probs[t].length).fill(0);
      row.forEach((x, s) => { posterior[ext[s]] += x; });
      return posterior;
    });
  }

  // [loss, grad]: -ln p(labels | x) and its gradient w.r.t. the logits, probs - occupancy (eq. 16).
  // An infeasible target has loss Infinity and gradient 0.
  function loss_and_grad(logits, labels, blank = 0) {
    const log_probs = log_softmax(logits);
    const loss = 0 - log_likelihood(log_probs, labels, blank); // never -0
    if (loss === Infinity) return [loss, logits.map((row) => row.map(() => 0))];
    const posterior = occupancy(log_probs, labels, blank);
    return [loss, log_probs.map((row, t) => row.map((x, c) => Math.exp(x) - posterior[t][c]))];
  }

  return {
    collapse, extend, can_skip, count_repeats, min_frames, count_alignments,
    log_softmax, log_add, forward, backward, log_likelihood, gamma, occupancy, loss_and_grad,
  };
})();
