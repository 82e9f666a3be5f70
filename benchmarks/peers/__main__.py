"""Which test vectors do the CTC losses of other libraries solve correctly?

    python -m benchmarks.peers [--libraries torch,optax] [--python paddle=VENV/bin/python] [--figure PATH]

Every library is given every case of the groups core, hard, long and reject, in float32 and in float64. Each
library runs in a process of its own, which is started again after a crash; the cases that must be refused
come last. With `--python` a library runs in another environment, where nothing but the library need be
installed. A library that cannot be imported is left out, with a line that says so. The second table shows
what each library returns for one target that does not fit.
"""

from __future__ import annotations

import argparse
import pickle
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ctc_scratch.check.cases import Case, load_cases
from ctc_scratch.plots.style import AMBER, BLUE, GREY, NORMAL, SMALL

from ..tools.harness import RESULTS, machine, markdown, save
from .judge import VERDICTS, verdict
from .libraries import LIBRARIES

GROUPS = ("core", "hard", "long", "reject")
DTYPES = ("float64", "float32")
INFEASIBLE = "reject-050"       # three equal labels in four frames, which need five
SECONDS = 120.0
"""A library that has not answered a case after this time is stopped, which counts as a crash."""

ROOT = Path(__file__).parents[2]


def answers_of(library: str, python: str, cases: list[Case], dtype: str) -> tuple[str, list[Any]]:
    """The version of a library and its answers, None for each crash; raises ImportError if it is absent."""
    # The array of an empty target has one padded label, as it would in a batch.
    inputs = [(case.logits.astype(dtype), case.target or [int(case.blank == 0 and case.logits.shape[1] > 1)],
               case.blank, case.logit_length, case.target_length) for case in cases]
    answers: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cases").write_bytes(pickle.dumps(inputs))
        while len(answers) < len(cases):
            path = Path(folder) / f"answers{len(answers)}"
            command = [python, "-m", "benchmarks.peers.answer", library, f"{folder}/cases", str(path),
                       str(len(answers))]
            _run(command, path)
            version, *found = _read(path)
            if isinstance(version, ImportError):
                raise version
            answers += found
            if len(answers) < len(cases):
                answers.append(None)
    return version, answers


def _run(command: list[str], path: Path) -> None:
    """Run a command until it ends, or until `path` has not grown for some time."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    size, last = -1, time.monotonic()
    while process.poll() is None:
        time.sleep(0.1)
        now = path.stat().st_size if path.exists() else 0
        if now != size:
            size, last = now, time.monotonic()
        elif time.monotonic() - last > SECONDS:
            process.kill()
            process.wait()


def _read(path: Path) -> list[Any]:
    """All objects of a file of pickles, of which the last may be incomplete."""
    values: list[Any] = []
    if path.exists():
        with open(path, "rb") as file:
            try:
                while True:
                    values.append(pickle.load(file))
            except (EOFError, pickle.UnpicklingError):
                pass
    return values or [ImportError("the process ended before it had imported the library")]


def in_words(answer: Any) -> str:
    """The answer to the infeasible target as a phrase."""
    if answer is None:
        return "crashes"
    if isinstance(answer, str):
        return f"raises {answer[:60]}"
    loss, grad = answer
    size = np.abs(grad).max(initial=0)
    return f"loss {loss:.7g}, gradient " + (
        "NaN" if np.isnan(size) else "0" if size == 0 else f"up to {size:.2g}")


def figure(results: dict[str, dict[str, Counter]]) -> Figure:
    """A bar for each library and precision, divided into the numbers of cases with each verdict."""
    rows = [(name, dtype) for name in results for dtype in DTYPES]
    picture = Figure(figsize=(7.2, 0.6 + 0.26 * len(rows)), layout="constrained")
    ax = picture.subplots()
    colours = {"right": BLUE, "wrong": AMBER, "NaN": "black", "refused": GREY, "accepted": "#c1432e",
               "crashed": "#e377c2"}
    hatches = {"wrong": "///", "accepted": "xxx", "refused": "..."}
    for y, (name, dtype) in enumerate(rows):
        left = 0
        for kind in VERDICTS:
            count = results[name][dtype][kind]
            ax.barh(y, count, left=left, color=colours[kind], hatch=hatches.get(kind), edgecolor="white",
                    linewidth=0.3, label=kind if y == 0 else None)
            left += count
    ax.set_yticks(range(len(rows)), [f"{name}, {dtype}" for name, dtype in rows], fontsize=SMALL)
    ax.invert_yaxis()
    ax.set_xlabel("cases of the test vectors", fontsize=NORMAL)
    ax.tick_params(labelsize=SMALL)
    picture.legend(ncols=len(VERDICTS), loc="outside upper center", fontsize=SMALL, frameon=False)
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    parser.add_argument("--libraries", default=",".join(LIBRARIES),
                        help="names, separated by commas (default: all)")
    parser.add_argument("--python", action="append", default=[], metavar="LIBRARY=PATH",
                        help="the Python that has a library (default: this one); may be repeated")
    parser.add_argument("--figure", type=Path, help="file of the figure (default: beside the results)")
    parser.add_argument("--reuse", action="store_true", help="use the answers of an earlier run, if any")
    parser.add_argument("--quick", action="store_true", help="a few cases, to see that everything runs")
    options = parser.parse_args()
    pythons = dict(entry.split("=", 1) for entry in options.python)
    cases = sorted(load_cases(*GROUPS), key=lambda case: case.result == "error")
    if options.quick:
        cases = [case for case in cases if case.id == INFEASIBLE or case.result == "error"][::9]
    print(f"{machine()}\n\n{len(cases)} cases\n")
    results: dict[str, dict[str, Counter]] = {}
    versions, details, words = {}, {}, []
    example = next(n for n, case in enumerate(cases) if case.id == INFEASIBLE)
    for name in options.libraries.split(","):
        python = pythons.get(name, sys.executable)
        print(f"{name} ...", file=sys.stderr)
        try:
            results[name] = {}
            for dtype in DTYPES:
                kept = RESULTS / "peers" / f"{name}-{dtype}.pickle"
                if options.reuse and kept.exists():
                    versions[name], answers = pickle.loads(kept.read_bytes())
                else:
                    versions[name], answers = answers_of(name, python, cases, dtype)
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    kept.write_bytes(pickle.dumps((versions[name], answers)))
                print(f"  {dtype}: {sum(answer is not None for answer in answers)} answers", file=sys.stderr)
                kinds = [verdict(case, dtype, answer) for case, answer in zip(cases, answers)]
                results[name][dtype] = Counter(kinds)
                details[f"{name}, {dtype}"] = {
                    case.id: f"{kind}: {answer[:80]}" if isinstance(answer, str) else kind
                    for case, kind, answer in zip(cases, kinds, answers) if kind != "right"}
            words.append((name, versions[name], in_words(answers[example])))
        except ImportError as error:
            del results[name]
            print(f"{name} is left out: {error}", file=sys.stderr)
    rows = [[f"{name} {versions[name]}", dtype, *(results[name][dtype][kind] or "" for kind in VERDICTS)]
            for name in results for dtype in DTYPES]
    print(markdown(["library", "", *VERDICTS], rows))
    print("\n" + markdown(["library", "version", "three equal labels in four frames, float32"], words))
    path = save("peers", {"versions": versions, "not right": details,
                          "counts": {name: {dtype: dict(counts) for dtype, counts in found.items()}
                                     for name, found in results.items()}})
    picture = options.figure or path.with_suffix(".png")
    figure(results).savefig(picture, dpi=150)
    print(f"\nwritten: {path}, {picture}")


if __name__ == "__main__":
    main()
