"""The flags that the kernels of this folder are compiled with, and the reason for each of them."""

from typing import Any

from ...compiled.cache import cached_njit

# nogil: several threads solve one batch. error_model: no test for division by zero. No fastmath at all:
# differences must be computed as they are written, and no bit may depend on how the compiler orders or
# fuses the instructions of one processor. no_cfunc_wrapper: C does not call them.
_common: dict[str, Any] = dict(nogil=True, error_model="numpy", no_cfunc_wrapper=True)

# For kernels that Python calls.
kernel = cached_njit(**_common)

# For functions that only kernels call: without an entry point for Python they compile in half the time.
part = cached_njit(**_common, no_cpython_wrapper=True)
