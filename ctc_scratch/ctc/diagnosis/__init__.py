"""The diagnosis of targets and batches: what is wrong with them, in words.

Read in this order:

- `diagnose`: the two functions that users call
- `findings`: their results, and the text that describes them
- `arguments`: reads the arguments as far as they make sense
- `mistakes`: the common mistakes with labels, the blank, values and lengths
- `fits`: which targets do not fit their frames, and which logits of -inf close all paths
"""
