"""The flags that the kernels of this folder are compiled with, and the reason for each of them."""

from typing import Any

import numba.extending

from ...compiled.cache import cached_njit

# nogil: several threads solve one batch. error_model: a test for division by zero would keep LLVM from
# vectorising. contract: multiply and add may be fused, which only rounds less. no_cfunc_wrapper: C does
# not call them.
_common: dict[str, Any] = dict(nogil=True, error_model="numpy", fastmath={"contract"}, no_cfunc_wrapper=True)

# What Python calls.
kernel = cached_njit(**_common)

# What only kernels call. Without an entrance for Python, half of the compilation is saved; where Numba
# compiles nothing, Python may call it all the same.
part = cached_njit(**_common, no_cpython_wrapper=True)

# What is small and called often: handing over its arrays would take as long as using them.
inlined = cached_njit(**_common, no_cpython_wrapper=True, forceinline=True)

# What Python calls as plain Python, and kernels call compiled.
sized = numba.extending.register_jitable(error_model="numpy")
