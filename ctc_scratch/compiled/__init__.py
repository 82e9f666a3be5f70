"""What compiled code shares: the cache of kernels, bit casts, vectors of eight, exp and an atomic counter."""
