"""At which frames the labels of one sequence stand: its lattice, its best alignments, and pictures of them.

Read in this order:

- `lattice`: all alignments of a target and their posterior, as arrays
- `moves`: stay, step and skip on arrays of states, which `lattice` and `k_best` use
- `k_best`: the most likely alignments, one after another
- `align`: the most likely alignment alone, also of a very long sequence
- `star`: its recursion for targets with stars, at which more may have been said than is written
- `band`: the states that can matter, for `align` and for the beam search; `band_kernels` is its compiled part
- `trellis`: a lattice as text; `svg`: lattices and alignments as drawings for notebooks
"""
