"""Every wrong twin in every way of calling it: does `check_ctc` name it? `test_twins.py` asks some of them.

    python -m tests.check.twins [--part K/N]        # 45 minutes; prints what is not named, and a table

A *form* is a twin, one of its variants, a way of calling it, and whether it returns a gradient. A form shows
its mistake if it answers any of the problems of this file wrongly, which are not those of the check.
"""

import argparse
import sys
from typing import NamedTuple

import numpy as np

from ctc_scratch.check import Adapter, batch, check_ctc
from ctc_scratch.check.answers import PRECISIONS, compare
from ctc_scratch.check.laws import FAMILIES
from ctc_scratch.check.twins import TWINS

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


class Form(NamedTuple):
    """One way in which a twin can be met. variant : the number of the wrong text"""

    twin: object
    variant: int
    way: str
    gradient: bool

    def __str__(self):
        return (f"{self.twin.name}, variant {self.variant}, {self.way}, "
                f"{'loss and gradient' if self.gradient else 'loss alone'}")

    def adapter(self, solve=None):
        return adapter_of(solve or self.twin.solvers()[self.variant], self.way, self.gradient)


def all_forms():
    """The first variant of every twin in every way; its other variants for one sequence, with a gradient."""
    first = [Form(twin, 0, way, gradient) for twin in TWINS for way in WAYS for gradient in (True, False)]
    return first + [Form(twin, n, "single", True) for twin in TWINS for n in range(1, len(twin.wrong))]


def single(solve, *, gradient=True, **promised):
    """fn(logits, target, blank) from a function with the arguments of `batch.solve`."""

    def fn(logits, target, blank=0):
        with np.errstate(all="ignore"):
            losses, grad = solve(logits[:, None], target[None], np.array([len(logits)]),
                                 np.array([len(target)]), blank=blank, **promised)
        return (losses[0], grad[:, 0]) if gradient else losses[0]

    return fn


def batched(solve, *, gradient=True, **promised):
    """fn(logits, targets, logit_lengths, target_lengths, blank), layout "TNC"."""

    def fn(logits, targets, logit_lengths, target_lengths, blank):
        with np.errstate(all="ignore"):
            losses, grad = solve(logits, targets, logit_lengths, target_lengths, blank=blank, **promised)
        return (losses, grad) if gradient else losses

    return fn


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


def shows(form):
    """Whether the form answers any of the independent problems wrongly."""
    return not same_answers(form.adapter(), form.adapter(batch.solve))


def complaints(form):
    """What is wrong with the report on a form: lines of text, and how many twins it names."""
    report = check_ctc(form.adapter())
    if form.twin not in report.twins and shows(form):
        yield f"{form}: not named\n{report}"
    if not report.ok and len(report.findings) != 1:
        yield f"{form}: {len(report.findings)} findings\n{report}"
    for other in set(report.twins) - {form.twin}:
        if form.twin.rounding or other.rounding or not any(
                same_answers(form.adapter(), form.adapter(solve)) for solve in other.solvers()):
            yield f"{form}: also named is {other.name}, which gives other answers\n{report}"


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.check.twins")
    parser.add_argument("--part", default="1/1", metavar="K/N", help="only the Kth of N parts")
    part, parts = map(int, parser.parse_args().part.split("/"))
    forms = all_forms()[part - 1::parts]
    shown, failed = set(), 0
    counts = {way: [0, 0] for way in WAYS}
    for n, form in enumerate(forms, 1):
        print(f"\r{n} of {len(forms)}", end="", file=sys.stderr)
        if shows(form):
            counts[form.way][0 if form.gradient else 1] += 1
            shown.add(form.twin.name)
        for complaint in complaints(form):
            failed += 1
            print(f"\n{complaint}", flush=True)
    print("\n\n| way of calling | twins that show with a gradient | by the loss alone |\n|---|---|---|")
    for way, (gradient, loss) in counts.items():
        print(f"| {way} | {gradient} | {loss} |")
    print(f"\n{len(forms)} forms of {len(TWINS)} twins; {len(shown)} twins can be seen; {failed} complaints")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
