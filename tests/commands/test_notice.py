"""The notice that kernels are compiled is printed once, on stderr, when the first compilation begins."""

import numba
import numpy as np
import pytest

from ctc_scratch.commands.notice import COMPILING, compiling_is_announced


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_the_first_compilation_is_announced_and_no_other(capsys):
    said = []

    @numba.njit
    def twice(x):
        return x + x

    @numba.njit
    def half(x):
        return x / 2

    twice(1)
    assert not capsys.readouterr().err, "the context is not open yet"
    with compiling_is_announced():
        twice(1)
        assert not capsys.readouterr().err, "it was compiled before"
        twice(1.0)
        said.append(capsys.readouterr())
        half(np.float32(1))
    assert said[0].err == COMPILING + "\n" and not said[0].out
    assert not capsys.readouterr().err, "said once"
    half(1)
    assert not capsys.readouterr().err, "the context is closed"
