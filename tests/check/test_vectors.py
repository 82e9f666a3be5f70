"""The published files: their schema, sizes and page, and that the generator still writes the same files."""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from mpmath import mp, mpf

import ctc_scratch
from ctc_scratch.check.cases import GROUPS, load_cases, read_group
from tests.tools import truth
from tests.tools.json_schema import faults
from tests.tools.vectors.files import entries, file_of
from tests.tools.vectors.flags import described

VECTORS = Path(ctc_scratch.__file__).parent / "check" / "vectors"
SCHEMA = json.loads((VECTORS / "v1" / "schema.json").read_text())
DIGESTS = {
    "toy": "f2710140b29014e9bab5aadcd99ad11fc159f0f7385729efcfced657ca56b158",
    "core": "7ab1b1d7aabc79d67b54f6eceb07605aed2e087ae0e797de1852d63772326b94",
    "hard": "e62cd127872c33524e728159621e5a5f3ed6dd321c6aa7ca4a0919b005bf0b44",
    "long": "64d3b0eb3789ecd13244f040b38d88cd48ce25a5f12a0676de6c2a38a54ee2c2",
    "reject": "92fdc1d6b5eda0ec5d350b501296ac18b4b1fb06b16014efea192718a67666eb",
}
"""SHA-256 of the published files of version 1."""

FILES = {group: read_group(group) for group in GROUPS}
CASES = load_cases()
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?(e[-+]\d+)?")


@pytest.mark.parametrize("group", GROUPS)
def test_published_files_never_change(group):
    """Corrections and additions go into the folder of a new version."""
    assert hashlib.sha256((VECTORS / "v1" / f"{group}.json").read_bytes()).hexdigest() == DIGESTS[group]


@pytest.mark.parametrize("group", GROUPS)
def test_files_fit_the_schema(group):
    assert faults(FILES[group], SCHEMA) == []


def test_the_schema_notices_mistakes():
    contents = read_group("toy")
    case = contents["cases"][0]
    for change in ({"result": "right"}, {"logits": [[0.01]]}, {"surplus": 1}, {"id": "toy-1"}, {"shape": [4]},
                   {"answers": {**case["answers"], "loss": 1.5}}, {"flags": [3]}):
        assert len(faults(contents | {"cases": [case | change]}, SCHEMA)) > 0, change
    del case["comment"]
    assert faults(contents, SCHEMA) == ["$.cases[0]: required"]


def test_there_are_at_least_400_cases_in_4_megabytes():
    assert len(CASES) >= 400 and len({case.id for case in CASES}) == len(CASES)
    assert sum(path.stat().st_size for path in (VECTORS / "v1").glob("*.json")) <= 4e6


def test_the_page_counts_the_cases_and_names_every_field():
    page = (VECTORS / "README.md").read_text(encoding="utf-8")
    counts = {group: int(n) for group, n in re.findall(r"\| \[`(\w+)`\]\(\S+\) \| (\d+) \|", page)}
    assert counts == {group: len(FILES[group]["cases"]) for group in GROUPS}
    fields = {name for part in (SCHEMA, *SCHEMA["$defs"].values()) for name in part.get("properties", {})}
    assert {name for name in fields if f"`{name}`" not in page} == set()


def test_flags_are_explained_alike_in_all_files():
    for contents in FILES.values():
        used = {flag for entry in contents["cases"] + contents["batches"] for flag in entry["flags"]}
        assert contents["flags"] == described(used)


def test_inputs_are_exact_in_half_precision():
    for case in CASES:
        finite = case.logits[np.isfinite(case.logits)]
        assert (finite.astype(np.float16) == finite).all() and (np.abs(finite) <= 32).all(), case
        assert case.vector is None or (case.vector.astype(np.float16) == case.vector).all(), case


def test_answers_are_decimal_strings_of_40_digits():
    def strings(value):
        if isinstance(value, (dict, list)):
            for item in value.values() if isinstance(value, dict) else value:
                yield from strings(item)
        elif isinstance(value, str):
            yield value

    lengths = Counter()
    for contents in FILES.values():
        for entry in contents["cases"]:
            answers = entry.get("answers", {})
            for number in strings(answers | {"alignments": None}):
                if not number.endswith("inf"):
                    assert NUMBER.fullmatch(number), (entry["id"], number)
                    lengths[len(re.sub(r"e.*|[-.]", "", number).lstrip("0"))] += 1
    assert max(lengths) == 40 and lengths[40] > lengths.total() / 2


def test_every_situation_has_cases():
    """Cases that must be refused do not count."""
    solved = [case for case in CASES if case.result != "error"]
    counts = Counter(flag for case in solved for flag in case.flags)
    assert min(counts[flag] for flag in (
        "Blank", "Confident", "EmptyTarget", "Improbable", "LongTarget", "MinusInfinity", "MustAccept",
        "NoFrames", "NoPath", "OneClass", "OneFrame", "Padding", "Repeat", "RepeatFeasibility", "Tight",
        "TooShort", "Wide")) >= 1
    assert min(counts[flag] for flag in ("Blank", "Repeat", "Tight", "EmptyTarget", "Confident")) >= 15
    assert max(case.logit_length for case in solved) == 2000
    assert max(case.target_length for case in solved) >= 300


@pytest.mark.parametrize("group, most", [
    *((group, 6) for group in ("toy", "core", "hard", "reject")),
    *(pytest.param(group, 400, marks=pytest.mark.slow) for group in ("core", "hard", "reject")),
    pytest.param("long", 1000, marks=pytest.mark.slow)])
def test_the_generator_gives_the_committed_cases(group, most):
    """Only cases of at most `most` logits are generated; all of them would take minutes."""
    committed = {entry["id"]: entry for entry in FILES[group]["cases"]}
    cases, _ = entries(group, lambda draft, name: draft.ks.size <= most)
    assert [case["id"] for case in cases if case != committed[case["id"]]] == []
    assert len(cases) > 0


@pytest.mark.slow
def test_the_generator_writes_the_same_bytes():
    assert file_of("toy").encode() == (VECTORS / "v1" / "toy.json").read_bytes()


VALID = [case for case in CASES if case.result == "valid"]


@pytest.mark.parametrize("case", [
    *[case for case in VALID if case.group in ("toy", "core", "hard") and case.logits.size <= 16][::12],
    *(pytest.param(case, marks=pytest.mark.slow) for case in VALID
      if 500 < case.logit_length * case.target_length < 10_000)], ids=lambda case: case.id)
def test_another_implementation_gives_the_same_digits(case):
    """`truth` uses other code and other numbers (mpmath), and applies the softmax first."""
    entry = next(entry for entry in FILES[case.group]["cases"] if entry["id"] == case.id)
    with mp.workprec(256):
        published = mpf(entry["answers"]["loss"])
        other = truth.solve(case.used_logits, case.used_target, case.blank).loss
        assert abs(other - published) <= mpf(10) ** -39 * abs(published), (mp.nstr(other, 42), published)
