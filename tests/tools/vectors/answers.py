"""What is published of one problem: its fields in the order of the file, with all numbers as strings."""

from __future__ import annotations

import numpy as np
from mpmath import mp, mpf

from ctc_scratch.check import cases
from ctc_scratch.ctc.enumeration import count_alignments
from ctc_scratch.ctc.labels import collapse

from . import big, solved
from .draft import WHOLE, json_numbers
from .enumerated import MAX_PATHS, enumerate_all
from .flags import flags_of
from .solved import CLOSED

DIGITS = 40
NOTHING = mpf(10) ** -100
"""What is left of two equal numbers after a subtraction, and more; nothing between it and SURE may appear."""
SURE = mpf(10) ** -90

UNIT = 8 - big.BITS
ZERO = {"loss": "0", "gradient": "0"}
INFEASIBLE = {"raise": "error", "inf": {"loss": "inf", "gradient": "0"}, "zero": ZERO}


def text(x):
    """A number to 40 digits."""
    return "0" if x == 0 else mp.nstr(x, DIGITS).removesuffix(".0")


def texts(array):
    return [[text(x) for x in row] for row in array]


def difference(integer, unit):
    """integer * 2^unit of an integer, a difference of two sums: 0 if it is only what rounding leaves."""
    value = big.real(integer, unit)
    assert not NOTHING < abs(value) < SURE, f"{mp.nstr(value, 5)} may have lost digits"
    return mpf(0) if abs(value) <= NOTHING else value


def projections(array, unit):
    """The eight projections of array * 2^unit, where the array holds integers."""
    flat = array.ravel()
    vectors = [(64 * cases.generate(seed, 8, flat.size)).astype(np.int64).astype(object)
               for seed in range(1, cases.PROJECTIONS + 1)]
    return [text(difference(int(np.dot(vector, flat)), unit - 6)) for vector in vectors]


def case_of(draft, name, seed):
    """The JSON form of a draft with its answers; the seed is that of the vector for the Hessian."""
    T, C = draft.ks.shape
    entry = {"id": name, "comment": draft.comment, "flags": [], "result": "valid", "shape": [T, C],
             "logits": json_numbers(draft.ks) if draft.spec is None else draft.spec, "blank": draft.blank,
             "target": draft.target}
    for length in ("logit_length", "target_length"):
        if getattr(draft, length) is not None:
            entry[length] = getattr(draft, length)
    if draft.error:
        entry |= {"result": "error", "flags": sorted(draft.flags)}
        return entry
    with mp.workprec(big.BITS):
        frames, labels = draft.lengths
        ks, labels = draft.ks[:frames], draft.target[:labels]
        vector = (64 * cases.generate(seed, 8, ks.size)).astype(np.int64).reshape(ks.shape)
        found = solved.solve(ks, labels, draft.blank)
        entry["answers"] = scalars = scalars_of(ks, labels, draft.blank, found)
        if C ** frames <= MAX_PATHS:
            truth = enumerate_all(ks, labels, draft.blank, vector)
            compare(scalars, truth)
        if found is None:
            entry |= {"result": "infeasible", "alternatives": INFEASIBLE}
        else:
            whole = T * C <= WHOLE
            entry["vector"] = json_numbers(vector) if whole else {"seed": seed, "bits": 8}
            product = solved.fixed_hessian_product(ks, labels, draft.blank, vector)
            if C ** frames <= MAX_PATHS:
                compare_arrays(whole_arrays(found, product), truth)
                if truth.most_probable is not None:
                    scalars |= {"most_probable": truth.most_probable,
                                "most_probable_log_prob": text(truth.most_probable_log_prob)}
            if whole:
                scalars |= whole_arrays(found, product)
            else:
                scalars["projections"] = projected_arrays(found, product)
        entry["flags"] = sorted({*draft.flags, *flags_of(draft, scalars)})
    return entry


def scalars_of(ks, labels, blank, found):
    """The numbers that every case has, and the labels of greedy decoding."""
    norms = mp.fsum(mp.log(mp.fsum(mp.exp(mpf(int(k)) / 64) for k in row if k > CLOSED)) for row in ks)
    score, path = solved.best_path(ks, labels, blank)
    scalars = {
        "loss": "inf" if found is None else text(found.loss if len(ks) else mpf(0)),
        "log_partition": "-inf" if found is None else text(found.log_partition),
        "alignments": str(count_alignments(labels, len(ks))),
        "best_path_log_prob": "-inf" if score is None else text(mpf(score) / 64 - norms),
        "greedy": collapse(ks.argmax(axis=1), blank) if len(ks) else [],
    }
    if path is not None and len(path) <= 64:
        scalars["best_path"] = path
    return scalars


def whole_arrays(found, product):
    gradient = solved.fixed_gradient(found)
    return {
        "gradient": [[text(difference(x, UNIT)) for x in row] for row in gradient],
        "gradient_log_probs": texts([[-big.real(m, e) for m, e in zip(*row)] for row in found.occupancy]),
        "gamma": texts([[big.real(m, e) for m, e in zip(*row)] for row in found.gamma]),
        "hessian_product": [[text(difference(x, UNIT + solved.STEP - 1)) for x in row] for row in product],
    }


def projected_arrays(found, product):
    return {
        "gradient": projections(solved.fixed_gradient(found), UNIT),
        "gradient_log_probs": projections(-np.array([big.fixed(row) for row in found.occupancy]), UNIT),
        "gamma": projections(np.array([big.fixed(row) for row in found.gamma]), UNIT),
        "hessian_product": projections(product, UNIT + solved.STEP - 1),
    }


def compare(scalars, truth):
    """Assert that the recursion and the definition give the same 39 digits."""
    if truth is None:
        assert scalars["loss"] == "inf" and scalars["best_path_log_prob"] == "-inf"
        return
    assert scalars["alignments"] == str(truth.alignments)
    for name in ("loss", "log_partition"):
        assert near(scalars[name], getattr(truth, name)), name
    norms = truth.log_partition + truth.loss
    assert near(scalars["best_path_log_prob"], mpf(truth.best) / 64 - norms)


def compare_arrays(arrays, truth):
    for name in ("gradient", "gamma", "hessian_product"):
        for row, expected in zip(arrays[name], getattr(truth, name), strict=True):
            assert all(near(x, y) for x, y in zip(row, expected, strict=True)), name
    for row, expected in zip(arrays["gradient_log_probs"], truth.occupancy, strict=True):
        assert all(near(x, -y) for x, y in zip(row, expected, strict=True))


def near(published, expected):
    """Whether 39 digits agree, or both are 0 but for rounding."""
    return abs(mpf(published) - expected) <= max(abs(expected) * mpf(10) ** (1 - DIGITS), NOTHING)
