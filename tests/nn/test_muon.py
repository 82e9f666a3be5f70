"""Muon equals torch's Muon, and `orthogonal` brings all singular values near 1."""

import numpy as np
import pytest
import torch

from ctc_scratch.nn import Adam, Muon, orthogonal
from tests.conftest import assert_close
from tests.nn.test_optim import arrays

MATRICES = {"ih": (12, 5), "hh": (12, 3), "one": (4, 9)}


@pytest.mark.parametrize("shape", [(3, 8), (8, 3), (5, 5), (1, 4), (4, 1)])
def test_orthogonal_keeps_the_singular_vectors_and_brings_the_values_near_one(rng, shape):
    """Expected is the singular value decomposition with the polynomial applied to each value."""
    matrix = 1e3 * rng.standard_normal(shape)
    U, S, Vt = np.linalg.svd(matrix, full_matrices=False)
    values = S / np.sqrt((S ** 2).sum())
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values ** 3 + 2.0315 * values ** 5
    assert (np.abs(values - 0.95) < 0.3).all(), values
    assert_close(orthogonal(matrix), U * values @ Vt, 1e-12, "orthogonal")


@pytest.mark.parametrize("power", [-140, -60, 60, 120])
def test_orthogonal_does_not_depend_on_the_length_of_a_matrix(rng, power):
    """Not even if the squares of its entries underflow or overflow."""
    matrix = rng.uniform(1, 2, (3, 5)).astype(np.float32)
    found = orthogonal(np.ldexp(matrix, power))
    # Numbers near 1e-42 are subnormal and have few bits.
    assert_close(found, orthogonal(matrix), 1e-2 if power == -140 else 0, "orthogonal")


def test_orthogonal_of_a_zero_matrix_is_zero():
    for dtype in np.float32, np.float64:
        found = orthogonal(np.zeros((3, 5), dtype))
        assert found.dtype == dtype and found.shape == (3, 5) and not found.any()


def test_muon_equals_torch(rng):
    """torch computes its products in bfloat16, so its updates are accurate to a few percent."""
    params = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in MATRICES.items()}
    blocks = {"ih": 4, "hh": 4, "one": 1}
    mirror = {(name, k): torch.tensor(block) for name, count in blocks.items()
              for k, block in enumerate(np.split(params[name], count))}
    start = {name: param.copy() for name, param in params.items()}
    optimiser = Muon(params, blocks, momentum=0.9)
    reference = torch.optim.Muon(mirror.values(), lr=1, weight_decay=0.0, momentum=0.9,
                                 adjust_lr_fn="match_rms_adamw")
    for step in range(5):
        grads = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in MATRICES.items()}
        for (name, k), tensor in mirror.items():
            tensor.grad = torch.tensor(np.split(grads[name], blocks[name])[k])
        reference.param_groups[0]["lr"] = 0.1 / (1 + step)
        reference.step()
        optimiser.step(grads, 0.1 / (1 + step))
    for name, count in blocks.items():
        theirs = np.concatenate([mirror[name, k].numpy() for k in range(count)]) - start[name]
        ours = params[name] - start[name]
        assert np.linalg.norm(ours - theirs) < 0.03 * np.linalg.norm(theirs), name


def test_adam_steps_the_parameters_that_are_not_matrices(rng):
    params = arrays(rng)
    same = {name: param.copy() for name, param in params.items()}
    muon, adam = Muon(params, {"a": 1}), Adam(same)
    for _ in range(3):
        grads = arrays(rng)
        muon.step(grads, 0.1)
        adam.step(grads, 0.1)
    assert (params["b"] == same["b"]).all() and (params["c"] == same["c"]).all()
    assert (params["a"] != same["a"]).all()


def test_the_order_in_which_matrices_are_stepped_changes_nothing(rng):
    params = {name: rng.standard_normal(shape) for name, shape in MATRICES.items()}
    same = {name: param.copy() for name, param in params.items()}
    blocks = {"ih": 4, "hh": 4, "one": 1}
    backwards = Muon(same, blocks, share=lambda task, parts: [task(part) for part in reversed(parts)])
    forwards = Muon(params, blocks)
    for _ in range(3):
        grads = {name: rng.standard_normal(shape) for name, shape in MATRICES.items()}
        forwards.step(grads, 0.1)
        backwards.step(grads, 0.1)
    for name in params:
        assert (params[name] == same[name]).all(), name


@pytest.mark.parametrize("matrices, message", [
    ({"b": 1}, r"b cannot be 1 matrices, one below the other: its shape is \(7,\)"),
    ({"a": 2}, r"a cannot be 2 matrices, one below the other: its shape is \(3, 5\)"),
    ({"a": 0}, "a cannot be 0 matrices"),
    ({"d": 1}, "d cannot be 1 matrices, one below the other: there is no such parameter"),
    ({"e": 1}, r"e cannot be 1 matrices, one below the other: its shape is \(\)"),
], ids=["vector", "uneven", "none", "unknown", "scalar"])
def test_parameters_that_are_not_matrices_are_refused(rng, matrices, message):
    with pytest.raises(ValueError, match=message):
        Muon({**arrays(rng), "e": np.zeros(())}, matrices)


def test_muon_prints_in_one_line(rng):
    muon = Muon(arrays(rng), {"a": 3})
    assert repr(muon) == "Muon(3 arrays of 34 numbers, step 0, 1 of them in 3 matrices, momentum=0.95)"
