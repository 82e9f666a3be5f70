"""Rows of positive numbers m 2^e with mantissas of BITS bits and exponents without limits.

A `Row` is two NumPy arrays: Python integers m (in an object array) and exponents e. Sums and products cut off
what lies below the last bit, so each of them has a relative error of at most 2^(2 - BITS). There is no
subtraction, so nothing cancels, and no state of a lattice gets lost, however improbable it is.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from mpmath import mp, mpf

BITS = 640
EMPTY = -2**40
"""The exponent of 0, below every other."""

bit_length = np.frompyfunc(int.bit_length, 1, 1)


class Row(NamedTuple):
    """Numbers m 2^e: m of Python integers in an object array, e of int64."""

    m: np.ndarray
    e: np.ndarray

    def __getitem__(self, index):
        return Row(self.m[index], self.e[index])


def zeros(count):
    return Row(np.zeros(count, object), np.full(count, EMPTY))


def moved(row, by):
    """The row moved `by` places to the right (to the left if negative), filled up with zeros."""
    m, e = zeros(len(row.m))
    if by > 0:
        m[by:], e[by:] = row.m[:-by], row.e[:-by]
    else:
        m[:by], e[:by] = row.m[-by:], row.e[-by:]
    return Row(m, e)


def only(row, mask):
    """The row with zeros where the mask is False."""
    return Row(np.where(mask, row.m, 0), np.where(mask, row.e, EMPTY))


def add(*rows):
    """The sum of several rows: mantissas are shifted to the largest of the exponents."""
    e = np.maximum.reduce([row.e for row in rows])
    return Row(sum(row.m >> (e - row.e).astype(object) for row in rows), e)


def times(a, b):
    """The product of two rows, with mantissas of BITS bits again."""
    m, e = a.m * b.m, a.e + b.e
    excess = np.maximum(bit_length(m).astype(np.int64) - BITS, 0)
    return Row(m >> excess.astype(object), np.where(m == 0, EMPTY, e + excess))


def total(row):
    """The sum of the entries, as a row of one number."""
    e = row.e.max()
    return Row(np.array([int((row.m >> (e - row.e).astype(object)).sum())], object), np.array([e]))


def inverse(one):
    """1 / x of a row of one number that is not 0."""
    return Row(np.array([(1 << 2 * BITS) // one.m[0]], object), -2 * BITS - one.e)


def fixed(row):
    """Numbers of at most about 1 as integers, in units of 2^(8 - BITS)."""
    return row.m >> np.minimum(8 - BITS - row.e, 8 * BITS).astype(object)


def real(m, e):
    """m 2^e as an mpf, rounded to the working precision."""
    return mp.ldexp(mpf(int(m)), int(e))


@lru_cache(maxsize=None)
def exp_of(k, shift):
    """(m, e) of e^(k 2^-shift)."""
    with mp.workprec(BITS + 32):
        value = mp.exp(mp.ldexp(mpf(k), -shift))
        excess = int(value.man).bit_length() - BITS
        return (int(value.man) >> excess if excess >= 0 else int(value.man) << -excess), value.exp + excess


def exps(ks, closed, shift=6):
    """The row of e^(k 2^-shift); 0 where k is `closed`."""
    pairs = [(0, EMPTY) if k == closed else exp_of(int(k), shift) for k in ks]
    m, e = zip(*pairs)
    return Row(np.array(m, object), np.array(e, np.int64))
