"""The workspace that is reserved for the largest sequence of a batch is enough for every other one."""

from ctc_scratch.ctc.certified import lanes
from ctc_scratch.ctc.certified.lanes.layout import make_places
from tests.conftest import as_plain_python


@as_plain_python
def test_workspace_size_is_enough_for_every_group_of_at_most_this_size(rng):
    """Groups of at most T frames and U labels."""
    for _ in range(300):
        T, U, C = map(int, (rng.integers(1, 400), rng.integers(0, 120), rng.integers(1, 65)))
        budget = int(rng.choice([1, 1000, 2**18]))
        room = lanes.workspace_size(T, U, C, budget)
        smaller = [(int(rng.integers(1, T + 1)), int(rng.integers(0, U + 1))) for _ in range(3)]
        for t, u in [(T, U), (T, 0), (1, U), *smaller]:
            end = make_places(t, u, C, 0, budget).end
            assert end <= room, f"T={t} of {T}, U={u} of {U}, C={C}, budget {budget}: {end} > {room}"
