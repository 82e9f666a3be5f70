"""Each wrong twin is named, in every way of calling it in which its mistake changes an answer.

Only some forms are asked here, which a fixed seed draws; `python -m tests.check.twins` asks all of them.
"""

import random
from pathlib import Path

import pytest

import ctc_scratch
from ctc_scratch.check import batch, check_ctc
from ctc_scratch.check.twins import SOURCES, TWINS, twin_named
from tests.check.twins import WAYS, Form, adapter_of, all_forms, complaints, same_answers

ROOT = Path(ctc_scratch.__file__).parents[1]
SAMPLE = random.Random(1).sample(all_forms(), 30)


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
    assert len(set(twin.wrong)) == len(twin.wrong)
    for wrong in twin.wrong:
        for before, after in [(twin.right, wrong)] if isinstance(wrong, str) else wrong:
            assert before in SOURCES[twin.source] and before != after


def assert_named(form):
    assert list(complaints(form)) == []


def test_one_form_is_named():
    assert_named(Form(twin_named("mean over all labels"), 0, "mean", True))


@pytest.mark.slow
@pytest.mark.parametrize("form", SAMPLE, ids=str)
def test_a_sample_of_forms_is_named(form):
    assert_named(form)


@pytest.mark.slow
def test_every_twin_can_be_seen_in_some_way():
    """No twin is there that no way of calling can show."""
    for twin in TWINS:
        solve = twin.solvers()[0]
        assert any(not same_answers(adapter_of(solve, way, True), adapter_of(batch.solve, way, True))
                   for way in WAYS), twin.name


@pytest.mark.slow
def test_a_report_fits_80_columns_and_names_the_place():
    for twin in TWINS[::12]:
        way = "mean" if twin.source == "batch" else "single"
        report = check_ctc(adapter_of(twin.solvers()[0], way, True))
        text = str(report)
        assert max(map(len, text.splitlines())) <= 80
        if report.twins:
            assert all(f"done right in {each.place}" in text for each in report.twins)
