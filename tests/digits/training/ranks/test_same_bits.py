"""Ranks that would compute other bits are named in a sentence, and refused unless that is allowed."""

import re

import numpy as np
import pytest

from ctc_scratch.digits.errors import RanksError
from ctc_scratch.digits.training.ranks.same_bits import DIGITS, compare, difference, names, probe
from tests.tools.small_runs import small_trainer

HOSTS = ["a", "b", "c", "d"]
FIRST = {"numpy": "2.4.6", "BLAS": "openblas Haswell", DIGITS: "0f"}


def test_equal_ranks_have_no_difference():
    assert compare(HOSTS, [FIRST] * 4, False) == difference(HOSTS, [FIRST] * 4) == ""


@pytest.mark.parametrize("others, sentence", [
    ([{**FIRST, "numpy": "2.3"}], "rank 1 on b has numpy 2.3, rank 0 on a has 2.4.6"),
    ([FIRST, {**FIRST, "numpy": "2.3", "BLAS": "mkl"}],
     "rank 2 on c has numpy 2.3, BLAS mkl, rank 0 on a has 2.4.6, openblas Haswell"),
    ([FIRST, {**FIRST, "numpy": "2.3"}, {**FIRST, "BLAS": "mkl"}],
     "rank 2 on c has numpy 2.3, rank 0 on a has 2.4.6 (1 more rank differs, too)"),
], ids=["one", "two_facts", "two_ranks"])
def test_the_first_rank_that_differs_is_named_with_all_that_differs(others, sentence):
    assert difference(HOSTS, [FIRST, *others]) == sentence
    with pytest.raises(RanksError, match=re.escape(sentence) + ".* --allow-different-bits"):
        compare(HOSTS, [FIRST, *others], False)
    assert compare(HOSTS, [FIRST, *others], True) == sentence


def test_other_digits_are_never_allowed():
    with pytest.raises(RanksError, match="rank 1 on b has the checksum of the digits 1e, .* 0f: give all"):
        compare(HOSTS, [FIRST, {**FIRST, DIGITS: "1e"}], True)


def test_versions_features_and_digits_are_among_the_names():
    found = names(small_trainer())
    assert found["numpy"] == np.__version__ and found == names(small_trainer(seed=1))
    assert {"python", "numba", "cpu", "Numba's processor", "NumPy's processor features", "BLAS"} <= set(found)
    assert names(small_trainer())[DIGITS] != ""


@pytest.mark.slow       # in plain Python
def test_the_probe_repeats_leaves_the_trainer_alone_and_sees_each_result(monkeypatch):
    trainer = small_trainer()
    before = trainer.position(), {name: array.copy() for name, array in trainer.arrays().items()}
    found = probe(trainer)
    assert found == probe(small_trainer())
    assert trainer.position() == before[0]
    for name, array in trainer.arrays().items():
        np.testing.assert_array_equal(array, before[1][name])
    exp = np.exp
    monkeypatch.setattr(np, "exp", lambda values: np.nextafter(exp(values), np.inf))
    changed = probe(trainer)
    assert changed["an exponential"] != found["an exponential"]
    assert changed["a product"] == found["a product"]
    assert probe(small_trainer(hidden=4))["the gradient of a shard"] != found["the gradient of a shard"]
