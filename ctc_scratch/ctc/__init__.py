"""The CTC algorithm: definition, recursion, kernels, loss, decoding."""
