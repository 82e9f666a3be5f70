// Decoders: greedy, prefix beam search with all that it keeps and drops, and the most probable labelling.
//
// The twins of ctc/decoding/greedy.py and ctc/decoding/reference_beam.py.

// The most probable class of each frame, and what that path spells.
function greedy(log_probs, blank = 0) {
  const path = log_probs.map((row) => row.indexOf(Math.max(...row)));
  return {path, labels: ctc.collapse(path, blank), log_prob: path.reduce((sum, c, t) => sum + log_probs[t][c], 0)};
}

// Prefix beam search (Hannun et al. 2014). For each frame, and for the beginning, {kept, dropped}: lists of
// {prefix, in_blank, in_label, score, from}, best first. `in_blank` and `in_label` are ln of the sums of all paths of
// the prefix that end in a blank or in its last label; `from` maps prefixes of the frame before to what each added.
function beam_search(log_probs, width, blank = 0) {
  const arrive = (after, labels, source, in_blank, in_label) => {
    const key = labels.join();
    if (!after.has(key)) after.set(key, {prefix: labels, in_blank: -Infinity, in_label: -Infinity, from: new Map()});
    const entry = after.get(key);
    entry.in_blank = ctc.log_add(entry.in_blank, in_blank);
    entry.in_label = ctc.log_add(entry.in_label, in_label);
    if (source !== null) entry.from.set(source, ctc.log_add(entry.from.get(source) ?? -Infinity, in_blank, in_label));
  };
  const empty = {prefix: [], in_blank: 0, in_label: -Infinity, score: 0, from: new Map()};
  const frames = [{kept: [empty], dropped: []}];
  for (const y of log_probs) {
    const after = new Map(), beam = frames.at(-1).kept;
    for (const {prefix} of beam) arrive(after, prefix, null, -Infinity, -Infinity); // these come first on a tie
    for (const {prefix, in_blank, in_label} of beam) {
      const either = ctc.log_add(in_blank, in_label), key = prefix.join();
      y.forEach((x, c) => {
        if (c === blank) arrive(after, prefix, key, either + x, -Infinity);
        else if (c === prefix.at(-1)) { // the label goes on, or it comes again after a blank
          arrive(after, prefix, key, -Infinity, in_label + x);
          arrive(after, [...prefix, c], key, -Infinity, in_blank + x);
        } else arrive(after, [...prefix, c], key, -Infinity, either + x);
      });
    }
    const ranked = [...after.values()].map((entry) =>
      ({...entry, score: ctc.log_add(entry.in_blank, entry.in_label)}))
      .filter(({score}) => score > -Infinity).sort((a, b) => b.score - a.score);
    frames.push({kept: ranked.slice(0, width), dropped: ranked.slice(width)});
  }
  return frames;
}

// The most probable labelling that a wide beam finds: {labels, log_prob, proved}. `proved` says that no other labelling is
// more probable: none has more than the second in the beam and all that the beam has dropped, together.
function most_probable(log_probs, width = 400, blank = 0) {
  const frames = beam_search(log_probs, width, blank), best = frames.at(-1).kept[0];
  const dropped = ctc.log_add(-Infinity, ...frames.flatMap((frame) => frame.dropped.map(({score}) => score)));
  const log_prob = ctc.log_likelihood(log_probs, best.prefix, blank);
  const second = frames.at(-1).kept[1]?.score ?? -Infinity;
  return {labels: best.prefix, log_prob, proved: log_prob >= ctc.log_add(dropped,
    dropped > -Infinity ? second : -Infinity)};
}

export {greedy, beam_search, most_probable};
