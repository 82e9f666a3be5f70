"""Each wrong twin of the LSTM is named, in every way of calling it in which its mistake changes an answer."""

import functools
from pathlib import Path

import numpy as np
import pytest

import ctc_scratch
from ctc_scratch.check.answers import PRECISIONS
from ctc_scratch.check.layers import check_lstm
from ctc_scratch.check.layers.answers import agree
from ctc_scratch.check.layers.lstm import plain
from ctc_scratch.check.layers.lstm.check import TWINS, Asked, twins_of
from ctc_scratch.check.layers.lstm.problems import FAMILIES
from tests.check.layers.lstm_functions import WAYS, adapter_of

ROOT = Path(ctc_scratch.__file__).parents[1]


@functools.lru_cache(maxsize=None)
def problems(way, seed=0):
    """Problems of all families that can be asked in this way, and a dict for the answers of twins."""
    form, rng = adapter_of(plain.solve, way).form, np.random.default_rng(seed)
    return [problem for family in FAMILIES if family.can(form) for problem in family.make(rng, form)], {}


def same_answers(first, second, way):
    """Whether two functions give the same answers to problems with another seed."""
    asked, kept = problems(way, 987)
    by = Asked(adapter_of(plain.solve, way), PRECISIONS["float64"], kept).by
    names = adapter_of(first, way).call(asked[0]).arrays
    return all(agree(by(first, problem), by(second, problem), PRECISIONS["float64"], names.__contains__)
               for problem in asked)


def assert_named(twin, solve, way):
    """The twin is named, if its answers are wrong; twins named with it give the same answers."""
    asked = Asked(adapter_of(solve, way), PRECISIONS["float64"], problems(way)[1])
    with np.errstate(all="ignore"):
        for problem in problems(way)[0]:
            asked.ask(problem)
        if not any(each.difference for each in asked.answers):
            assert same_answers(solve, plain.solve, way), f"{twin.name} is not seen"
            return False
        named = twins_of(asked, asked.answers)
        assert twin in named, f"{twin.name} is taken for {[other.name for other in named]}"
        for other in named:
            if not twin.coarse and other is not twin:
                assert any(same_answers(solve, each, way) for each in other.functions("solve")), (
                    f"{twin.name} is told apart from {other.name}")
    return True


def test_the_twins_are_many_and_explained():
    names = [twin.name for twin in TWINS]
    assert len(names) >= 60 and len(set(names)) == len(names)
    for twin in TWINS:
        assert twin.why and not twin.why.endswith("."), twin.name


def test_every_change_is_one():
    source = Path(plain.__file__).read_text(encoding="utf-8")
    for twin in TWINS:
        assert len(set(twin.variants)) == len(twin.variants), twin.name
        for variant in twin.variants:
            for right, wrong in variant:
                assert right in source and right != wrong, (twin.name, right)


def test_the_place_that_does_it_right_exists():
    """The file, the line and the function that a report names hold the code that the twin changes."""
    for twin in TWINS:
        path, _, rest = twin.place.partition(":")
        line, _, function = rest.partition(" ")
        lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
        assert twin.variants[0][0][0].splitlines()[0] in lines[int(line) - 1], twin.name
        before = [text for text in lines[:int(line)] if text.startswith("def ")]
        assert before[-1].startswith(f"def {function.strip('()')}("), twin.name


@pytest.mark.parametrize("name", ["gate order f, i, g, o", "weight gradient of the last frame only"])
def test_some_twins_are_named(name):
    twin = next(twin for twin in TWINS if twin.name == name)
    assert twin in check_lstm(adapter_of(twin.functions("solve")[-1], "both")).twins


@pytest.mark.slow
def test_every_twin_is_named():
    """With both directions, where every mistake can be seen: up to three variants, four gate orders."""
    orders = [twin for twin in TWINS if twin.name.startswith("gate order")]
    for twin in [*orders[::6], *TWINS[len(orders):]]:
        solvers = twin.functions("solve")
        named = [assert_named(twin, solve, "both") for solve in dict.fromkeys([*solvers[:2], solvers[-1]])]
        assert any(named), f"{twin.name} cannot be seen"


@pytest.mark.slow
@pytest.mark.parametrize("way", [way for way in WAYS if way != "both"])
def test_twins_are_named_in_other_ways(way):
    """Each sixth twin, beginning with another one in each way."""
    chosen = TWINS[list(WAYS).index(way) % 6::6]
    assert sum(assert_named(twin, twin.functions("solve")[-1], way) for twin in chosen) > 5
