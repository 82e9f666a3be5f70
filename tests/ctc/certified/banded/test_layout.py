"""The workspace that is reserved for the largest sequence of a batch is enough for every other one."""

from ctc_scratch.ctc.certified import banded
from ctc_scratch.ctc.certified.banded.layout import make_places


def test_workspace_size_is_enough_for_every_sequence_of_at_most_this_size(rng):
    """Sequences of at most T frames and U labels."""
    for _ in range(3000):
        T, U, C = map(int, (rng.integers(1, 400), rng.integers(0, 120), rng.integers(1, 600)))
        budget = int(rng.choice([1, 1000, 2**18]))
        room = banded.workspace_size(T, U, C, budget)[0]
        smaller = [(int(rng.integers(1, T + 1)), int(rng.integers(0, U + 1))) for _ in range(3)]
        for t, u in [(T, U), (T, 0), (1, U), *smaller]:
            end = make_places(t, u, C, 0, budget).end
            assert end <= room, f"T={t} of {T}, U={u} of {U}, C={C}, budget {budget}: {end} > {room}"


def test_there_is_an_integer_for_each_label_of_each_period():
    """Periods of eight frames, one exponent per label in each, and one row more at either end."""
    for T in (1, 7, 8, 9, 400):
        for U in (0, 1, 7, 8, 100):
            integers = banded.workspace_size(T, U, 30, 2**18)[1]
            assert (-(-T // 8) + 1) * (U + 1) <= integers <= (T // 8 + 2) * (U + 24)
