"""From logits to labels: three decoders, a language model, and the metrics.

Read in this order:

- `greedy`: the labels of the most probable path
- `reference_beam`: prefix beam search in plain Python, the one to read
- `beam_search`: the same for users, in a batch or in pieces; `prefix_tree` and `beam_kernels` are its
  compiled part, `hypotheses` what it returns
- `map_search`: the most probable labelling, with a proof
- `ngram`: a language model for the beam search
- `by_name`: one function for all decoders, which are chosen by name
- `metrics`: how far off the labels are
"""
