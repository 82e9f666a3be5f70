"""Laws of the metrics. The table of all laws is in tests/ctc/test_loss_laws.py."""

from hypothesis import given
from hypothesis import strategies as st

from ctc_scratch.ctc import edit_distance, label_error_rate, sequence_accuracy
from tests.conftest import assert_close
from tests.tools.strategies import labellings, laws, random


@laws
@given(a=labellings(), b=labellings(), c=labellings(), random=random)
def test_edit_distance_is_a_distance(a, b, c, random):
    assert edit_distance(a, a) == 0 and (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, b) == edit_distance(b, a) == edit_distance(a[::-1], b[::-1])
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)
    assert abs(len(a) - len(b)) <= edit_distance(a, b) <= max(len(a), len(b))
    assert edit_distance(c + a, c + b) == edit_distance(a, b) == edit_distance(a + c, b + c)
    name = random.sample(range(50), 9)
    assert edit_distance([name[x] for x in a], [name[x] for x in b]) == edit_distance(a, b)


@laws
@given(pairs=st.lists(st.tuples(labellings(), labellings()), max_size=5), random=random)
def test_rates_do_not_depend_on_the_order_of_the_batch(pairs, random):
    def rates(pairs):
        read, true = [a for a, _ in pairs], [b for _, b in pairs]
        return label_error_rate(read, true), sequence_accuracy(read, true)

    rate, accuracy = rates(pairs)
    assert rates(random.sample(pairs, len(pairs))) == (rate, accuracy)
    assert rate >= 0 and 0 <= accuracy <= 1
    assert (rate == 0) == (accuracy == 1)
    labels = sum(len(b) for _, b in pairs)
    if labels:
        assert_close(rate * labels, sum(edit_distance(a, b) for a, b in pairs), 1e-12, "edits")
    perfect = [(b, b) for _, b in pairs]
    assert rates(perfect) == (0.0, 1.0)
