"""Checks of what callers pass, made before any kernel runs, because kernels check nothing themselves.

Each error names the argument, the position in it, the value and what was expected. Read in this order:

- `options` and `arrays`: single options, and arrays from whatever the caller passes
- `frames`: the logits of a batch, their shape and lengths
- `values`: whether the logits are usable numbers
- `targets`: the labels of a batch
- `stars`: the positions of a target at which more may have been said
- `errors`: the error for a target that no path can spell
"""
