"""The loader of the test vectors."""

import numpy as np
import pytest

from ctc_scratch.check.cases import (
    ARRAYS,
    GROUPS,
    array_of,
    generate,
    load_batches,
    load_cases,
    project,
    read_group,
)


def in_plain_python(seed, bits, count):
    """The generator, written as the page of the vectors describes it."""
    for i in range(count):
        x = (seed + i * 0x9E3779B9) % 2**32
        x = (x ^ (x >> 16)) * 0x85EBCA6B % 2**32
        x = (x ^ (x >> 13)) * 0xC2B2AE35 % 2**32
        x ^= x >> 16
        yield ((x >> (32 - bits)) - 2 ** (bits - 1)) / 64


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**32 - 1])
@pytest.mark.parametrize("bits", [1, 8, 12])
def test_generated_numbers_are_those_of_the_page(seed, bits):
    numbers = generate(seed, bits, 1000)
    assert numbers.tolist() == list(in_plain_python(seed, bits, 1000))
    assert numbers.min() >= -(2.0 ** (bits - 7)) and numbers.max() < 2.0 ** (bits - 7)
    assert len(set(numbers)) > min(2**bits, 1000) / 2


def test_generated_logits_have_a_path_and_closed_classes():
    spec = {"seed": 3, "bits": 8, "path": [[1, 2], [0, 1]], "raise": 5.5, "closed": [[2, 1], [3, 0]]}
    expected = generate(3, 8, 8).reshape(4, 2)
    expected[[0, 1, 2], [1, 1, 0]] += 5.5
    expected[[2, 3], [1, 0]] = -np.inf
    assert (array_of(spec, (4, 2)) == expected).all()


def test_one_wrong_entry_changes_every_projection(rng):
    array = rng.standard_normal((30, 7))
    wrong = array.copy()
    wrong[17, 3] += 1e-6
    changes = np.abs(project(wrong) - project(array))
    assert (changes > 1e-9).all() and project(array.T.copy())[0] != project(array)[0]


def test_cases_are_arrays_of_the_stated_shapes():
    for case in load_cases():
        assert case.logits.ndim == 2 and case.logits.dtype == np.float64
        if case.result == "valid":
            T, C, S = case.logit_length, case.logits.shape[1], 2 * case.target_length + 1
            assert case.used_logits.shape == case.vector.shape == (T, C), case
            for name in ARRAYS:
                shape = (T, S if name == "gamma" else C)
                size = np.prod(shape) if name in case.answers else 8
                assert len(case.expected(name)) == size, (case, name)
            assert isinstance(case.answers["alignments"], int) and isinstance(case.answers["loss"], float)


def test_batches_are_padded_with_the_given_number():
    batch = next(batch for batch in load_batches("core") if "Ragged" in batch.flags)
    logits, lengths = batch.padded(7.0)
    assert logits.shape == (max(lengths), len(batch.members), batch.members[0].logits.shape[1])
    for n, case in enumerate(batch.members):
        assert (logits[:lengths[n], n] == case.used_logits).all() and (logits[lengths[n]:, n] == 7).all()
    assert np.isnan(batch.padded()[0]).any()


def test_groups_are_read_by_name():
    groups = [case.group for case in load_cases("toy", "hard")]
    assert [case.group for case in load_cases("hard", "toy")] == sorted(groups)
    assert {case.group for case in load_cases()} == set(GROUPS)
    with pytest.raises(ValueError, match="group must be one of toy, core, hard, long, reject, got 'easy'"):
        read_group("easy")
