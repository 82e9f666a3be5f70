"""Each wrong twin is named, in every way of calling it in which its mistake changes an answer."""

from pathlib import Path

import numpy as np
import pytest

import ctc_scratch
from ctc_scratch.check import Adapter, batch, check_ctc
from ctc_scratch.check.answers import PRECISIONS, compare
from ctc_scratch.check.laws import FAMILIES
from ctc_scratch.check.twins import SOURCES, TWINS
from tests.check.twin_functions import batched, single

ROOT = Path(ctc_scratch.__file__).parents[1]

WAYS = {
    "single": {},
    "blank 0": {"blank": 0},
    "log-probs": {"input": "log_probs"},
    "probs": {"input": "probs", "skip": ("logits of -inf", "logits of +-1000", "long")},
    "batch": {"layout": "TNC"},
    "sum": {"layout": "TNC", "reduction": "sum"},
    "mean": {"layout": "TNC", "reduction": "mean"},
    "batchmean": {"layout": "TNC", "reduction": "batchmean"},
    "zero": {"layout": "TNC", "infeasible": "zero"},
    "raise": {"layout": "TNC", "infeasible": "raise"},
}


def adapter_of(solve, way, gradient):
    """An adapter of a twin, or of the reference, that is called in this way."""
    options = WAYS[way]
    promised = {name: options[name] for name in ("reduction", "infeasible") if name in options}
    if "input" in options:
        promised["variable"] = options["input"]
    make = batched if options.get("layout") == "TNC" else single
    fn = make(solve, gradient=gradient, **promised)
    if options.get("input") == "probs":
        return Adapter(lambda probs, target, blank=0: fn(np.log(probs), target, blank), **options)
    return Adapter(fn, **options)


def independent_problems(adapter):
    """Problems of the families that an adapter promises, with another seed than the check's."""
    rng = np.random.default_rng(987)
    for name, make, needs_batch in FAMILIES:
        if name not in adapter.skip and (adapter.batched or not needs_batch):
            for n, problem in enumerate(make(rng)):
                if adapter.any_blank:
                    problem = problem.with_blank(n % problem.classes)
                yield adapter.at_home(problem)


def same_answers(first, second):
    """Whether two adapters give the same answers to the independent problems."""
    precision = PRECISIONS["float64"]
    return all(compare(first.call(problem), second.call(problem), precision) is None
               for problem in independent_problems(first))


def test_the_twins_are_many_and_explained():
    names = [twin.name for twin in TWINS]
    assert len(names) >= 30 and len(set(names)) == len(names)
    for twin in TWINS:
        assert twin.why and not twin.why.endswith("."), twin.name


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.name)
def test_the_place_that_does_it_right_exists(twin):
    """The file, the line and the function that a report names hold the code that the twin changes."""
    path, _, rest = twin.place.partition(":")
    line, _, function = rest.partition(" ")
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    assert twin.right.splitlines()[0] in lines[int(line) - 1]
    before = [text for text in lines[:int(line)] if text.startswith("def ")]
    assert before[-1].startswith(f"def {function.strip('()')}(")


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.name)
def test_every_variant_is_a_change(twin):
    assert twin.right in SOURCES[twin.source]
    assert all(wrong != twin.right for wrong in twin.wrong) and len(set(twin.wrong)) == len(twin.wrong)


def assert_named(twin, solve, way, gradient):
    """The report names the twin, if its answers are wrong; twins named with it give the same answers."""
    adapter = adapter_of(solve, way, gradient)
    report = check_ctc(adapter)
    if not same_answers(adapter, adapter_of(batch.solve, way, gradient)):
        assert twin in report.twins, f"{twin.name}\n{report}"
    if not report.ok:
        assert len(report.findings) == 1, report
    for other in report.twins:
        if not twin.coarse and other is not twin:
            assert any(same_answers(adapter, adapter_of(each, way, gradient))
                       for each in other.solvers()), f"{twin.name} is told apart from {other.name}"


@pytest.mark.parametrize("name", ["skips equal labels", "ends only in the last state",
                                  "occupancy overwritten at repeats", "float32 inside",
                                  "mean over all labels"])
def test_some_twins_are_named(name):
    twin = next(twin for twin in TWINS if twin.name == name)
    assert_named(twin, twin.solvers()[0], "mean" if twin.source == "batch" else "single", True)


@pytest.mark.slow
@pytest.mark.parametrize("gradient", [True, False], ids=["gradient", "loss only"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.name)
def test_every_twin_is_named(twin, way, gradient):
    assert_named(twin, twin.solvers()[0], way, gradient)


@pytest.mark.slow
@pytest.mark.parametrize("twin", [twin for twin in TWINS if len(twin.wrong) > 1], ids=lambda twin: twin.name)
def test_every_variant_is_named(twin):
    for solve in twin.solvers():
        assert_named(twin, solve, "single", True)


@pytest.mark.slow
def test_every_twin_can_be_seen_in_some_way():
    """No twin is there that no way of calling can show."""
    for twin in TWINS:
        solve = twin.solvers()[0]
        assert any(not same_answers(adapter_of(solve, way, True), adapter_of(batch.solve, way, True))
                   for way in WAYS), twin.name


def test_a_report_fits_80_columns_and_names_the_place():
    for twin in TWINS[::6]:
        way = "mean" if twin.source == "batch" else "single"
        report = check_ctc(adapter_of(twin.solvers()[0], way, True))
        text = str(report)
        assert max(map(len, text.splitlines())) <= 80
        if report.twins:
            assert all(f"done right in {each.place}" in text for each in report.twins)
