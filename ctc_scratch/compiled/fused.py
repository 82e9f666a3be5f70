"""Decorators for kernels in linear space, with the reason for each flag."""

from typing import Any

import numba.extending

from .cache import cached_njit

# nogil: several threads solve one batch. error_model: a test for division by zero would keep LLVM from
# vectorising. contract: multiply and add may be fused, which only rounds less. no_cfunc_wrapper: C does
# not call them.
_common: dict[str, Any] = dict(nogil=True, error_model="numpy", fastmath={"contract"}, no_cfunc_wrapper=True)

# For kernels that Python calls.
kernel = cached_njit(**_common)

# For functions that only kernels call: without an entry point for Python they compile in half the time. With
# NUMBA_DISABLE_JIT=1, Python can call them as well.
part = cached_njit(**_common, no_cpython_wrapper=True)

# For small functions that are called often: passing their arrays would take as long as using them.
inlined = cached_njit(**_common, no_cpython_wrapper=True, forceinline=True)

# For functions that Python calls as plain Python, and kernels in compiled form.
sized = numba.extending.register_jitable(error_model="numpy")
