"""The flags that the kernels of this folder are compiled with, and the reason for each of them."""

from ...compiled.cache import cached_njit

# nogil: several threads solve one batch. error_model: no test for division by zero. No fastmath whatever:
# differences must be computed as they are written, and no bit may depend on how the compiler orders or
# fuses the instructions of one processor.
kernel = cached_njit(nogil=True, error_model="numpy")
