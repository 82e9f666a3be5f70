"""`benchmarks.scaling_out` runs, and computes the right times from parts whose times are known."""

import json
import sys

import numpy as np
import pytest

from benchmarks.scaling_out import __main__ as scaling_out
from benchmarks.scaling_out import computed
from benchmarks.tools import harness
from ctc_scratch import get_num_threads, set_num_threads

NO_LATENCY = dict(latency=0.0, bandwidth=1e6)
EVEN = dict(numbers=0.0, rows=1.0, network=8.0, backward=0.5, add=0.0, optimiser=1.0, bytes=1e6)
"""A step of 10 s; a gradient takes a second to receive."""


@pytest.mark.parametrize("change, exchange", [("as it is", 6), ("float16", 3), ("overlap", 2),
                                              ("slices", 2.25)])
def test_the_exchange_takes_the_time_of_what_it_receives(change, exchange):
    """From each of 3 other machines 2 gradients; in slices 3/4 of 2 gradients and of their sum."""
    assert computed.seconds_per_step(EVEN, NO_LATENCY, 4, change)["exchange"] == pytest.approx(exchange)
    assert computed.efficiency(EVEN, NO_LATENCY, 4, change) == pytest.approx(10 / (10 + exchange))


@pytest.mark.parametrize("change", computed.CHANGES)
def test_one_machine_is_efficient_and_more_are_less_so(change):
    part = {**EVEN, "numbers": 0.1, "add": 0.1}
    found = [computed.efficiency(part, NO_LATENCY, R, change) for R in scaling_out.MACHINES]
    assert found[0] == 1 and found == sorted(found, reverse=True)
    assert sum(computed.seconds_per_step(part, NO_LATENCY, 1, change).values()) == pytest.approx(10.1)


def test_the_end_names_what_grows():
    """With 2 (R - 1) s of exchange a step doubles at R = 6; with 1 s of numbers per machine at R = 11."""
    assert computed.end_of_scaling(EVEN, NO_LATENCY, "as it is") == "6: exchange"
    own = {**EVEN, "numbers": 1.0, "bytes": 0.0}
    assert computed.end_of_scaling(own, NO_LATENCY, "as it is") == "11: random numbers"
    assert computed.end_of_scaling(own, NO_LATENCY, "slices, own generators") == "beyond 1000"
    assert computed.end_of_scaling(dict(own, numbers=0.0, add=1.0), NO_LATENCY, "float16") == "12: adding"


@pytest.mark.slow
def test_it_runs(monkeypatch, tmp_path, capsys):
    pytest.importorskip("mpi4py")
    threads = get_num_threads()
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    monkeypatch.setattr(scaling_out, "CONTENDERS", {"2 threads": (0, 2), "2 ranks": (2, 1)})
    monkeypatch.setattr(scaling_out, "MODELS", {"default, 1 x 128": dict(hidden=4)})
    monkeypatch.setattr(sys, "argv", ["scaling_out", "--rounds", "1", "--steps", "1", "--figure",
                                      str(tmp_path / "figure.png")])
    try:
        scaling_out.main()
    finally:
        set_num_threads(threads)
    printed = capsys.readouterr().out
    assert all(words in printed for words in ("2 ranks", "shared memory", "TCP", "rows on two ranks"))
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    results = json.loads((tmp_path / "scaling_out.json").read_text())["results"]
    assert all(np.isfinite(spent).all() for spent in results["times"].values())
