// Small examples of what goes wrong in floating point, and of bounds for the error.

// The sum of alpha and beta at every frame, ln sum_s alpha_t(s) beta_t(s), with every operation rounded by `round`:
// Math.fround for float32, or x => x for float64. In exact arithmetic it is ln p at every frame.
function log_space_sums(log_probs, labels, round) {
  const ext = ctc.extend(labels), skips = ctc.can_skip(ext), S = ext.length, T = log_probs.length;
  const add = (a, b) => { // ln(e^a + e^b)
    if (a < b) [a, b] = [b, a];
    return b === -Infinity ? a : round(a + round(Math.log1p(round(Math.exp(round(b - a))))));
  };
  const y = log_probs.map((row) => row.map(round));
  const alpha = [ext.map((c, s) => s < 2 ? y[0][c] : -Infinity)];
  for (let t = 1; t < T; t++) {
    const before = alpha[t - 1];
    alpha.push(ext.map((c, s) => {
      let sum = s >= 1 ? add(before[s], before[s - 1]) : before[s];
      if (skips[s]) sum = add(sum, before[s - 2]);
      return round(sum + y[t][c]);
    }));
  }
  let beta = ext.map((_, s) => s >= S - 2 ? 0 : -Infinity);
  const sums = new Array(T);
  for (let t = T - 1; t >= 0; t--) {
    sums[t] = alpha[t].reduce((sum, a, s) => add(sum, round(a + beta[s])), -Infinity);
    const after = beta.map((b, s) => round(b + y[t][ext[s]]));
    beta = after.map((stay, s) => {
      let sum = s + 1 < S ? add(stay, after[s + 1]) : stay;
      if (s + 2 < S && skips[s + 2]) sum = add(sum, after[s + 2]);
      return sum;
    });
  }
  return sums;
}

// Forward in linear space, each frame divided by its largest state: {log_likelihood, alpha (T, S)}, with the scaled
// alphas. States below about 1e-324 of the largest one vanish.
function rescaled(log_probs, labels) {
  return forward_linear(log_probs, labels, (x) => x);
}

// Bounds of ln p, [lower, upper]: after each frame, states below `floor` times the largest one are dropped for the lower
// bound, and raised to that floor for the upper one if a path can be in them.
function floors(log_probs, labels, floor) {
  const drop = (x) => x < floor ? 0 : x, raise = (x, possible) => possible && x < floor ? floor : x;
  return [drop, raise].map((treat) => forward_linear(log_probs, labels, treat).log_likelihood);
}

function forward_linear(log_probs, labels, treat) {
  const ext = ctc.extend(labels), skips = ctc.can_skip(ext), S = ext.length;
  let log_scale = 0, before = null;
  const alpha = log_probs.map((row, t) => {
    const sums = ext.map((c, s) => {
      if (t === 0) return s < 2 ? Math.exp(row[c]) : 0;
      const stay = before[s], step = s >= 1 ? before[s - 1] : 0, skip = skips[s] ? before[s - 2] : 0;
      return (stay + step + skip) * Math.exp(row[c]);
    });
    const top = Math.max(...sums);
    log_scale += Math.log(top);
    before = sums.map((x, s) => treat(x / top, s <= 2 * t + 1));
    return before;
  });
  return {alpha, log_likelihood: log_scale + Math.log(alpha.at(-1)[S - 1] + (S > 1 ? alpha.at(-1)[S - 2] : 0))};
}

// A problem on which rescaling fails: {log_probs, labels}. The target is 1 2 1 2 ... and then 3 4 3 4 .... In the first
// three quarters of the frames labels 1 and 2 have probability 10^-k, and the rest is blank. In the last quarter 3 and 4
// are likely, and all else is not. So a likely path has emitted all of 1 2 1 2 ... by then, although each of these labels
// has made it 10^-k times as likely as a path that has emitted blanks only.
function hard_problem(T, ones, threes, k) {
  const log_probs = Array.from({length: T}, (_, t) => {
    const rare = t < 0.75 * T ? 10 ** -k : 1e-20, other = t < 0.75 * T ? 1e-30 : 0.5 * (1 - 3e-20);
    const blank = t < 0.75 * T ? 1 - 2 * rare - 2 * other : 1e-20;
    return [blank, rare, rare, other, other].map(Math.log);
  });
  const pairs = (count, c) => Array.from({length: count}, (_, u) => c + u % 2);
  return {log_probs, labels: [...pairs(ones, 1), ...pairs(threes, 3)]};
}

export {log_space_sums, rescaled, floors, hard_problem};
