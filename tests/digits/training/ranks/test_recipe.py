"""The recipe of README.md for a batch that is cut by its caller: the gradient is that of the whole batch."""

import re
import sys
from pathlib import Path

import pytest

from tests.tools.mpiexec import start

README = Path(__file__).parents[4] / "README.md"
NETWORK = """
import numpy as np
from ctc_scratch import ctc_loss
rng = np.random.default_rng(0)
x, weight = rng.standard_normal((9, 5, 6)), rng.standard_normal((6, 4))
targets, lengths = [[1, 2], [3], [1, 1], [2], [3, 1, 2]], np.array([9, 8, 7, 9, 9])
network = lambda x: x @ weight
backward = lambda x, dlogits: np.einsum("tnd,tnc->dc", x, dlogits)
"""
COMPARED = """
whole = ctc_loss(network(x), targets, lengths, reduction="batchmean")
print(f"<{np.abs(grad - backward(x, whole.grad)).max()} {grad.tobytes().hex()}>")
"""


@pytest.mark.slow
def test_the_gradient_is_that_of_the_whole_batch_and_the_same_on_all_ranks(mpiexec):
    page = README.read_text("utf-8")
    recipe = re.search(r"\*\*Several machines\*\*.*?```python\n(.*?)```", page, re.DOTALL)[1]
    assert len(recipe.splitlines()) == 5
    out, err = start(3, "-c", NETWORK + recipe + COMPARED, program=[sys.executable]).communicate(timeout=60)
    assert not err
    errors, grads = zip(*re.findall("<(.*?) (.*?)>", out))     # the lines of ranks may be mixed
    assert len(errors) == 3 and max(map(float, errors)) < 1e-14, errors
    assert len(set(grads)) == 1
