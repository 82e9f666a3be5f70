"""Tasks that run at the same time have one BLAS thread each."""

import pytest
from threadpoolctl import threadpool_limits

from ctc_scratch.digits.model.parallel import _libraries, run_tasks


@pytest.mark.slow
def test_each_task_has_one_blas_thread():
    """By default BLAS has one thread per core, and with two threads it sums in another order."""
    def count(_=None):
        return [library["num_threads"] for library in _libraries().info() if library["user_api"] == "blas"]

    with threadpool_limits(2, user_api="blas"):
        before = count()
        found = run_tasks(count, [0, 1, 2], [1000, 1000, 1000])
        assert count() == before
    if not before or max(before) < 2:
        pytest.skip("BLAS has one thread here, or threadpoolctl does not know it")
    assert found == 3 * [len(before) * [1]]
