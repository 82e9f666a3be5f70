"""np.seterr(all="raise") and warnings that are errors, as some programs set them, change no answer."""

import threading
import warnings

import numba
import numpy as np
import pytest

import ctc_scratch as ctc
from ctc_scratch.arrays import underflow_is_zero
from ctc_scratch.ctc import enumeration, reference

TARGETS = [[1, 2], [3]]


def numbers(result):
    """All numbers of the result of an objective."""
    return result.loss.tolist(), result.grad.tolist(), [d.tolist() for d in getattr(result, "delays", [])]


def running_prior(logits):
    running = ctc.RunningPrior(4, decay=0.5)
    running.update(logits)
    return running.prior


def vectors(logits):
    """Small and large numbers in the shape of the logits, to multiply a Hessian with."""
    return np.linspace(-1, 1, logits.size).reshape(logits.shape) ** 9


CALLS = {
    "ctc_loss": lambda x: ctc.ctc_loss(x, TARGETS, infeasible="inf"),
    "exact": lambda x: ctc.ctc_loss(x, TARGETS, infeasible="inf", method="exact"),
    "log": lambda x: ctc.ctc_loss(x, TARGETS, infeasible="inf", method="log"),
    "log_partition": lambda x: ctc.log_partition(x[:, 0], TARGETS[0]),
    "log_partition a batch": lambda x: ctc.log_partition(x, TARGETS).gamma,
    "occupancy": lambda x: ctc.log_partition(x, TARGETS, want="occupancy").occupancy,
    "exact occupancy": lambda x: ctc.log_partition(x, TARGETS, want="occupancy", method="exact").occupancy,
    "greedy_decode": ctc.greedy_decode,
    "prefix_beam_search": lambda x: [
        (h.labels, h.log_prob, h.spans) for beam in ctc.prefix_beam_search(x, top=3) for h in beam],
    "map_decode": lambda x: ctc.map_decode(x, budget=50),
    "align": lambda x: ctc.align(x[:, 0], TARGETS[0]),
    "align a batch": lambda x: ctc.align(x, TARGETS),
    "align with stars": lambda x: ctc.align(x, TARGETS, star="everywhere", star_weight=-0.1),
    "entropy": lambda x: numbers(ctc.entropy_ctc_loss(x, TARGETS, infeasible="inf", weight=0.5)),
    "prior": lambda x: numbers(ctc.prior_ctc_loss(x, TARGETS, infeasible="inf", prior=[0.25] * 4, weight=1)),
    "running prior": lambda x: running_prior(x).tolist(),
    "focal": lambda x: numbers(ctc.focal_ctc_loss(x, TARGETS, infeasible="inf", power=0.5)),
    "delay": lambda x: numbers(ctc.delay_ctc_loss(x, TARGETS, infeasible="inf", weight=0.5)),
    "bayes risk": lambda x: numbers(ctc.bayes_risk_ctc_loss(x, TARGETS, infeasible="inf")),
    "star": lambda x: numbers(ctc.star_ctc_loss(x, TARGETS, infeasible="inf", star="everywhere")),
    "min risk": lambda x: numbers(ctc.min_risk_ctc_loss(
        x, TARGETS, infeasible="inf", hypotheses=[[[1], [1, 2]], [[3], []]])),
    "topology": lambda x: numbers(ctc.topology_ctc_loss(x, TARGETS, infeasible="inf", skip=False)),
    "log_partition_hvp": lambda x: vars(ctc.log_partition_hvp(x, TARGETS, vectors(x))),
    "ctc_loss_hvp": lambda x: vars(ctc.ctc_loss_hvp(x, TARGETS, vectors(x), infeasible="inf")),
    "gauss_newton_vp": lambda x: ctc.gauss_newton_vp(x, TARGETS, vectors(x)),
    "fisher_vp": lambda x: ctc.fisher_vp(x[:6], vectors(x[:6])),
    "sampled fisher_vp": lambda x: ctc.fisher_vp(x, vectors(x), samples=5, rng=np.random.default_rng(0)),
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


def test_a_call_in_another_thread_leaves_the_settings_of_this_one():
    """NumPy 1.26 stores the old settings in the np.errstate object, so threads must not share one."""
    there, over = threading.Event(), threading.Event()

    @underflow_is_zero
    def in_another_thread():
        there.set()
        over.wait(10)

    @underflow_is_zero
    def in_this_thread():
        helper.start()
        assert there.wait(10)
        assert np.geterr()["under"] == "ignore"

    helper = threading.Thread(target=in_another_thread)
    with np.errstate(all="raise"):
        in_this_thread()
        settings = np.geterr()
        over.set()
        helper.join()
    assert set(settings.values()) == {"raise"}
