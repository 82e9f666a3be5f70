"""Mistakes that nobody listed: mutations of an LSTM in plain NumPy are reported, with a small example.

Whether a mutation changes an answer is found out on random problems of this file, not on the check's own.
"""

from types import ModuleType

import numpy as np
import pytest

from ctc_scratch.check.answers import PRECISIONS
from ctc_scratch.check.layers import LSTMAdapter, check_lstm
from ctc_scratch.check.layers.lstm.check import Asked
from ctc_scratch.check.layers.lstm.problems import FAMILIES
from tests.tools.mutants import Mutation, mutations

SOURCE = b'''
import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward(x, weight_ih, weight_hh, bias, lengths, h0, c0):
    T, N, D = x.shape
    H = weight_hh.shape[1]
    h, c = h0, c0
    y = np.zeros((T, N, H))
    for t in range(T):
        z = x[t] @ weight_ih.T + h @ weight_hh.T + bias
        i = sigmoid(z[:, 0 * H:1 * H])
        f = sigmoid(z[:, 1 * H:2 * H])
        g = np.tanh(z[:, 2 * H:3 * H])
        o = sigmoid(z[:, 3 * H:4 * H])
        running = (t < lengths)[:, None]
        c = np.where(running, f * c + i * g, c)
        h = np.where(running, o * np.tanh(c), h)
        y[t] = h * running
    return y, h, c


def backward(dy, x, weight_ih, weight_hh, bias, lengths, h0, c0):
    T, N, D = x.shape
    H = weight_hh.shape[1]
    h, c = h0, c0
    kept = []
    for t in range(T):
        z = x[t] @ weight_ih.T + h @ weight_hh.T + bias
        i = sigmoid(z[:, 0 * H:1 * H])
        f = sigmoid(z[:, 1 * H:2 * H])
        g = np.tanh(z[:, 2 * H:3 * H])
        o = sigmoid(z[:, 3 * H:4 * H])
        running = (t < lengths)[:, None]
        kept.append((h, c, i, f, g, o))
        c = np.where(running, f * c + i * g, c)
        h = np.where(running, o * np.tanh(c), h)
    dx = np.zeros((T, N, D))
    dweight_ih, dweight_hh = np.zeros((4 * H, D)), np.zeros((4 * H, H))
    dbias = np.zeros(4 * H)
    dh, dc = np.zeros((N, H)), np.zeros((N, H))
    for t in range(T - 1, -1, -1):
        h, c, i, f, g, o = kept[t]
        running = (t < lengths)[:, None]
        tanh_c = np.tanh(f * c + i * g)
        dh_all = dh + dy[t]
        dc_all = dc + dh_all * o * (1 - tanh_c * tanh_c)
        di = dc_all * g * i * (1 - i)
        df = dc_all * c * f * (1 - f)
        dg = dc_all * i * (1 - g * g)
        do = dh_all * tanh_c * o * (1 - o)
        dz = np.concatenate([di, df, dg, do], axis=1) * running
        dx[t] = dz @ weight_ih
        dweight_ih += dz.T @ x[t]
        dweight_hh += dz.T @ h
        dbias += dz.sum(axis=0)
        dh = np.where(running, dz @ weight_hh, dh)
        dc = np.where(running, dc_all * f, dc)
    return {"x": dx, "weight_ih": dweight_ih, "weight_hh": dweight_hh, "bias": dbias, "h0": dh, "c0": dc}
'''


def constants():
    """Every number 1 to 4 becomes one larger, and every tanh a sigmoid and the other way round."""
    import re

    for match in re.finditer(rb"(?<![\w.])[0-4](?![\w.])|np\.tanh|(?<!def )sigmoid", SOURCE):
        text = {b"np.tanh": b"sigmoid", b"sigmoid": b"np.tanh"}.get(match[0]) or str(int(match[0])
                                                                                     + 1).encode()
        yield Mutation("lstm.py", match.start(), match.end(), text)


ALL = sorted({*mutations("lstm.py", SOURCE), *constants()})


def functions(text):
    module = ModuleType("mutant")
    exec(compile(text, "mutant", "exec"), module.__dict__)
    return module.forward, module.backward


def random_arguments(count, seed):
    """Arguments of `forward`, and dy before them for `backward`; of full and of ragged lengths."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        T, N, D, H = rng.integers(1, 6, 4)
        shapes = [(T, N, D), (4 * H, D), (4 * H, H), (4 * H,)]
        lengths = rng.integers(1, T + 1, N) if rng.random() < 0.5 else np.full(N, T)
        dy = rng.standard_normal((T, N, H)) * (np.arange(T)[:, None] < lengths)[..., None]
        arrays = [rng.standard_normal(shape) * rng.choice([0.3, 1, 3]) for shape in shapes]
        yield dy, arrays, {"lengths": lengths, "h0": rng.standard_normal((N, H)),
                           "c0": rng.standard_normal((N, H))}


def answer(pair, problem):
    """All arrays, or None if a function raises an error."""
    dy, arrays, given = problem
    with np.errstate(all="ignore"):
        try:
            found = [*pair[0](*[a.copy() for a in arrays], **given),
                     *pair[1](dy, *[a.copy() for a in arrays], **given).values()]
            return [np.asarray(array, np.float64) for array in found]
        except Exception:
            return None


def differs(first, second):
    return first is None or any(
        a.shape != b.shape or not (np.abs(a - b) <= 1e-9 * max(1, np.abs(b).max(initial=0))).all()
        for a, b in zip(first, second))


def changing(drawn):
    """(description, adapter) of each mutant that changes an answer to one of the problems drawn."""
    right = functions(SOURCE)
    problems = [(problem, answer(right, problem)) for problem in random_arguments(drawn, 1)]
    for mutation in ALL:
        try:
            pair = functions(mutation.apply(SOURCE))
        except SyntaxError:
            continue
        if any(differs(answer(pair, problem), expected) for problem, expected in problems):
            yield "line {}: {} -> {}".format(*mutation.shown(SOURCE)), LSTMAdapter(*pair)


def assert_small(description, adapter):
    """The mutant has faults, and an example of at most two sequences and at most 4 frames."""
    report = check_lstm(adapter)
    assert not report.ok, description
    sizes = [finding.problem.size for finding in report.findings if finding.problem is not None]
    assert min(size[0] for size in sizes) <= 2 and min(size[2]
                                                       for size in sizes) <= 4, f"{description}\n{report}"


def test_the_lstm_of_this_file_is_right():
    assert check_lstm(LSTMAdapter(*functions(SOURCE))).ok


@pytest.mark.filterwarnings("ignore")
def test_a_mutation_is_reported():
    mutation = next(each for each in ALL if each.apply(SOURCE) == SOURCE.replace(b"f * c + i * g",
                                                                                 b"f * c - i * g", 1))
    assert_small("i * g subtracted", LSTMAdapter(*functions(mutation.apply(SOURCE))))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_all_mutations_are_reported():
    """Each has a wrong answer to a problem of the check; each 20th is checked to the end."""
    rng, form = np.random.default_rng(0), LSTMAdapter(*functions(SOURCE)).form
    asked = [problem for family in FAMILIES for problem in family.make(rng, form)]
    known = {}
    for number, (description, adapter) in enumerate(changing(30)):
        compare = Asked(adapter, PRECISIONS["float64"], known).compare
        with np.errstate(all="ignore"):
            assert any(compare(problem).difference for problem in asked), description
        if number % 20 == 0:
            assert_small(description, adapter)
    assert number > 150
