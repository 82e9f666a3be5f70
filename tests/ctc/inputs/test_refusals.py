"""Bad input is refused with an error that names the argument, the position in it and the value."""

import numpy as np
import pytest

from ctc_scratch.ctc import ctc_loss


def _with(index, value):
    logits = np.zeros((4, 2, 3))
    logits[index] = value
    return logits


OK = np.zeros((4, 2, 3)), [[1], [2]]


@pytest.mark.parametrize("arguments, options, error, message", [
    ((_with((2, 1, 0), np.nan), OK[1]), {}, ValueError, r"logits\[t=2, n=1, c=0\] is nan"),
    ((_with((1, 0, 2), np.inf), OK[1]), {}, ValueError, r"logits\[t=1, n=0, c=2\] is inf"),
    ((_with((3, 1), -np.inf), OK[1]), {}, ValueError, r"logits\[t=3, n=1\] is -inf in every class c=0..2"),
    ((OK[0].astype(bool), OK[1]), {}, TypeError, "array of bool"),
    ((OK[0].astype(complex), OK[1]), {}, TypeError, "array of complex128"),
    ((OK[0].astype(object), OK[1]), {}, TypeError, "array of object"),
    ((np.zeros(3), [1]), {}, ValueError, r"got \(3,\)"),
    ((np.zeros((4, 2, 0)), OK[1]), {}, ValueError, "no classes"),
    ((OK[0], [[1], [0]]), {}, ValueError, r"targets\[1\]\[0\] is 0, the blank"),
    ((OK[0], [[1], [2, 1]]), {"blank": 1}, ValueError, r"targets\[0\]\[0\] is 1, the blank"),
    ((OK[0], [[1], [2, 3]]), {}, ValueError, r"targets\[1\]\[1\] is 3, but the logits have classes 0..2"),
    ((OK[0], [[-1], [2]]), {}, ValueError, r"targets\[0\]\[0\] is -1"),
    ((OK[0], np.array([[2**64 - 1], [1]], dtype=np.uint64)), {}, ValueError, r"is 18446744073709551615"),
    ((OK[0], [np.array([2**64 - 1], np.uint64), [1]]), {}, ValueError, r"is 18446744073709551615"),
    ((OK[0], [[1.0], [2]]), {}, TypeError, r"targets\[0\] must hold integers, got an array of float64"),
    ((OK[0], [[True], [2]]), {}, TypeError, r"targets\[0\] must hold integers, got an array of bool"),
    ((OK[0], [[[1]], [2]]), {}, ValueError, r"targets\[0\] must have one dimension"),
    ((OK[0], [[1, [2]], [2]]), {}, ValueError, r"targets\[0\] must be a flat sequence"),
    ((OK[0], [[1]]), {}, ValueError, "1 targets for a batch of 2"),
    ((OK[0], np.array([1, 2])), {}, ValueError, r"one dimension \(2 values\) .* need target_lengths"),
    ((OK[0], [1, 2, 1]), {"target_lengths": [1, 1]}, ValueError, "add up to 2, targets hold 3"),
    ((OK[0], OK[1]), {"target_lengths": [1, 2]}, ValueError, r"target_lengths\[1\] is 2, target 1 holds 1"),
    ((OK[0], OK[1]), {"target_lengths": [1, -1]}, ValueError, r"target_lengths\[1\] is -1"),
    ((OK[0], OK[1]), {"target_lengths": [1.0, 1.0]}, TypeError, "target_lengths must hold integers"),
    ((OK[0], OK[1], [4, 5]), {}, ValueError, r"logit_lengths\[1\] is 5, the logits have 4 frames"),
    ((OK[0], OK[1], [-1, 4]), {}, ValueError, r"logit_lengths\[0\] is -1"),
    ((OK[0], OK[1], [4]), {}, ValueError, r"logit_lengths must have shape \(2,\), .* got \(1,\)"),
    ((OK[0], OK[1], [4.0, 4.0]), {}, TypeError, "logit_lengths must hold integers"),
    (OK, {"blank": 3}, ValueError, r"blank is 3, but the logits have classes 0..2"),
    (OK, {"blank": -1}, ValueError, "blank is -1"),
    (OK, {"blank": 0.0}, TypeError, "blank must be an integer"),
    (OK, {"blank": True}, TypeError, "blank must be an integer"),
    (OK, {"reduction": "average"}, ValueError, "reduction must be 'none', .* got 'average'"),
    (OK, {"infeasible": "nan"}, ValueError, "infeasible must be 'raise', .* got 'nan'"),
    (OK, {"layout": "NCT"}, ValueError, "layout must be 'TNC' or 'NTC', got 'NCT'"),
    (OK, {"method": "fast"}, ValueError, "method must be 'auto', 'exact' or 'log', got 'fast'"),
    (OK, {"out": [1]}, TypeError, "out must be an array, got list"),
    (OK, {"out": np.zeros((4, 2, 3), np.float32)}, ValueError, "out must be float64 of shape .* got float32"),
    (OK, {"out": np.zeros((2, 4, 3))}, ValueError, r"got float64 of shape \(2, 4, 3\)"),
    (OK, {"out": np.zeros((4, 2, 6))[:, :, ::2]}, ValueError, "out must be C-contiguous, writeable"),
    (OK, {"out": OK[0]}, ValueError, "out must not share memory with the logits"),
])
def test_bad_input_is_refused_by_name(arguments, options, error, message):
    with pytest.raises(error, match=message):
        ctc_loss(*arguments, **options)
