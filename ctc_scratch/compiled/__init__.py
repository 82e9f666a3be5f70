"""The parts that all compiled code of the package shares.

Read in this order:

- `cache`: where compiled kernels are kept between processes
- `vector`: vectors of eight numbers
- `bits` and `exp`: powers of two, and the exponential function
- `log_space` and `targets`: sums of logarithms, and what a target says about its paths
- `counter`: how threads divide work among themselves
"""
