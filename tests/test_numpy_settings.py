"""np.seterr(all="raise") and warnings that are errors, as some programs set them, change no answer."""

import warnings

import numba
import numpy as np
import pytest

import ctc_scratch as ctc
from ctc_scratch.ctc import enumeration, reference

TARGETS = [[1, 2], [3]]
CALLS = {
    "ctc_loss": lambda x: ctc.ctc_loss(x, TARGETS, infeasible="inf"),
    "exact": lambda x: ctc.ctc_loss(x, TARGETS, infeasible="inf", method="exact"),
    "log": lambda x: ctc.ctc_loss(x, TARGETS, infeasible="inf", method="log"),
    "log_partition": lambda x: ctc.log_partition(x[:, 0], TARGETS[0]),
    "greedy_decode": ctc.greedy_decode,
    "prefix_beam_search": lambda x: [
        (h.labels, h.log_prob, h.spans) for beam in ctc.prefix_beam_search(x, top=3) for h in beam],
    "map_decode": lambda x: ctc.map_decode(x, budget=50),
    "align": lambda x: ctc.align(x[:, 0], TARGETS[0]),
    "lattice": lambda x: ctc.lattice(x[:, 0], TARGETS[0]).moves,
    "diagnose": lambda x: str(ctc.diagnose(x, TARGETS)),
    "stream": lambda x: ctc.BeamStream().push(x[:, 0]),
    "reference": lambda x: reference.loss_and_grad(x[:, 0], TARGETS[0]),
    "reference.gamma": lambda x: reference.gamma(reference.log_softmax(x[:, 0]), TARGETS[0]),
    "enumeration": lambda x: enumeration.loss_and_grad(x[:, 0], TARGETS[0]),
}


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="kernels as plain Python are NumPy code")
@pytest.mark.parametrize("closed", [False, True], ids=["finite", "some -inf"])
@pytest.mark.parametrize("scale", [1.0, 800.0, 1e300])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_setting_of_numpy_breaks_a_call(rng, call, scale, closed):
    logits = scale * rng.standard_normal((8, 2, 4))
    if closed:
        logits[2::3, :, 3] = -np.inf  # a path of 1, 2 remains, and one of 3
    expected = repr(call(logits.copy()))
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert repr(call(logits)) == expected
