"""How a checked batch is solved: by which kernels, in which groups, and in how many threads.

Read in this order:

- `plan`: which sequences have to be solved, and which of them side by side
- `solver`: which kernel solves them, and how certain its answers are
- `threads`: how several threads divide the work
- `workspace`: memory that calls use again
"""
