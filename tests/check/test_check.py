"""`check_ctc`: right implementations have no fault, wrong ones do, and the report shows a small problem."""

import json
import subprocess
import sys

import numpy as np
import pytest

import ctc_scratch
from ctc_scratch import Adapter, Report, check_ctc, ctc_loss
from ctc_scratch.check import laws
from ctc_scratch.check.cases import load_cases
from ctc_scratch.check.laws import NAMES
from ctc_scratch.check.twins import twin_named
from ctc_scratch.ctc import enumeration, reference
from ctc_scratch.ctc.labels import collapse, extend, min_frames
from ctc_scratch.ctc.paths.align import align
from tests.check.twins import single

VECTORS = ("published test vectors",)   # skipped where they would only take time


def assert_right(report):
    assert report.ok and report.faults == () and report.findings == (), report
    assert "No fault was found." in str(report)


# ---- right implementations


def test_the_reference_is_right():
    assert_right(check_ctc(reference.loss_and_grad))


@pytest.mark.slow
def test_the_reference_is_right_with_any_blank():
    assert_right(check_ctc(lambda logits, target: reference.loss_and_grad(logits, target, 3), blank=3))
    assert_right(check_ctc(
        lambda logits, target: reference.loss_and_grad(logits, target, logits.shape[1] - 1), blank="last"))


@pytest.mark.slow
def test_enumeration_is_right():
    assert_right(check_ctc(enumeration.loss_and_grad, skip=("random", "long", *VECTORS)))


@pytest.mark.slow
def test_the_recursion_on_log_probs_is_right():
    def loss(log_probs, target, blank):
        loss = -reference.log_likelihood(log_probs, target, blank)
        if loss == np.inf:
            return loss, np.zeros_like(log_probs)
        return loss, -reference.occupancy(log_probs, target, blank)

    assert_right(check_ctc(loss, input="log_probs"))
    assert not check_ctc(loss, input="log_probs", gradient="logits").ok


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["TNC", "NTC"])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "batchmean"])
@pytest.mark.parametrize("infeasible", ["inf", "zero", "raise"])
def test_ours_is_right(layout, reduction, infeasible):
    def loss(logits, targets, logit_lengths, target_lengths, blank):
        result = ctc_loss(logits, targets, logit_lengths, target_lengths, blank=blank, reduction=reduction,
                          infeasible=infeasible, layout=layout)
        return result.loss, result.grad

    assert_right(check_ctc(loss, layout=layout, reduction=reduction, infeasible=infeasible))


@pytest.mark.slow
def test_loss_and_gradient_may_be_two_functions():
    adapter = Adapter(lambda *problem: reference.loss_and_grad(*problem)[0],
                      lambda *problem: reference.loss_and_grad(*problem)[1])
    report = check_ctc(adapter)
    assert_right(report)
    assert report.gives_gradient
    wrong = check_ctc(Adapter(adapter.loss, lambda *problem: -adapter.grad(*problem)))
    assert [twin.name for twin in wrong.twins] == ["sign of the gradient"]


@pytest.mark.slow
def test_a_loss_alone_can_be_checked():
    report = check_ctc(lambda logits, target: reference.loss_and_grad(logits, target)[0])
    assert_right(report)
    assert not report.gives_gradient and "only losses were checked" in str(report)


@pytest.mark.slow
def test_torch_is_right_where_it_promises():
    pytest.importorskip("torch")
    from ctc_scratch.check.peers.libraries import torch_adapter

    promised = torch_adapter(
        skip=("no frames", "infeasible targets", "an infeasible sample", "logits of -inf"))
    assert_right(check_ctc(promised))
    assert_right(check_ctc(promised, precision="float32"))
    assert not check_ctc(promised, skip=()).ok


# ---- precision


def test_float32_is_a_fault_unless_it_is_promised():
    def loss(logits, target):
        loss, grad = reference.loss_and_grad(logits, target)
        return np.float32(loss), grad.astype(np.float32)

    assert [twin.name for twin in check_ctc(loss, skip=VECTORS).twins] == ["float32 inside"]
    assert_right(check_ctc(loss, precision="float32", skip=VECTORS))


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [
    lambda loss, grad: (loss + 1e-6, grad),
    lambda loss, grad: (loss * (1 + 1e-6), grad),
    lambda loss, grad: (loss, grad * (1 + 1e-6)),
    lambda loss, grad: (np.float32(loss), grad + 1e-4 * (grad != 0)),
], ids=["plus", "times", "gradient", "large"])
def test_small_errors_are_not_all_float32(wrong):
    report = check_ctc(lambda logits, target: wrong(*reference.loss_and_grad(logits, target)), skip=VECTORS)
    assert not report.ok and report.twins == ()


@pytest.mark.slow
def test_a_large_error_is_a_fault_in_float32_too():
    """Also if the wrong answers are rounded to float32."""
    twin = twin_named("skips equal labels")
    wrong = single(twin.solvers()[0])

    def fn(logits, target, blank):
        loss, grad = wrong(np.float64(logits), target, blank)
        return np.float32(loss), np.float32(grad)

    assert check_ctc(fn, precision="float32", skip=VECTORS).twins == (twin,)


# ---- faults that no twin has


@pytest.mark.slow
@pytest.mark.parametrize("law, wrong", [
    ("same call, same answer", lambda loss, logits, counter: loss + 1e-3 * len(counter)),
    ("constant per frame", lambda loss, logits, counter: loss + 1e-3 * logits.sum()),
    ("renamed classes", lambda loss, logits, counter: loss + 1e-3 * logits[:1, -1].sum()),
    ("reversed in time", lambda loss, logits, counter: loss + 1e-3 * logits[:1].sum()),
    ("probabilities sum to 1", lambda loss, logits, counter: loss + 1e-3),
    ("finite differences", lambda loss, logits, counter: 1.001 * loss),
], ids=lambda value: value if isinstance(value, str) else "")
def test_each_law_sees_its_fault(law, wrong):
    counter = []

    def fn(logits, target):
        counter.append(0)
        loss, grad = reference.loss_and_grad(logits, target)
        return wrong(loss, np.nan_to_num(logits, neginf=0), counter), grad

    report = check_ctc(fn)
    # A row counts the answers that differ from the reference as well; its own text is not theirs.
    assert any(fault.law == law and "expected" not in fault.text for fault in report.faults)
    assert not report.twins and "No known mistake" in str(report)


@pytest.mark.slow
def test_two_mistakes_are_two_findings():
    never_skips = twin_named("never skips")
    wrong = single(never_skips.solvers()[0])

    def fn(logits, target):
        if not len(logits):
            raise ValueError("there are no frames")
        return wrong(logits, target)

    report = check_ctc(fn)
    found = {finding.kind: [twin.name for twin in finding.twins] for finding in report.findings}
    assert found["no frames"] == ["no frames refused"]
    assert found["problems with a path"] == ["never skips"]
    assert "ValueError: there are no frames" in str(report)


@pytest.mark.slow
def test_a_function_that_always_fails_has_a_report():
    def fn(logits, target):
        raise ZeroDivisionError("nothing works")

    report = check_ctc(fn)
    assert not report.ok and "nothing works" in str(report)
    assert max(map(len, str(report).splitlines())) <= 80


def test_the_example_is_small_and_faulty():
    twin = twin_named("skips equal labels")
    fn = single(twin.solvers()[0])
    example, = (finding.example for finding in check_ctc(fn, skip=VECTORS).findings)
    (logits,), (target,) = example.problem.logits, example.problem.targets
    assert logits.shape == (2, 2) and len(target) == 2 and set(logits.ravel()) <= {0.0, 1.0, -1.0}
    loss = fn(logits, np.array(target), example.problem.blank)[0]
    assert loss == example.answer.loss and example.right.loss == np.inf


@pytest.mark.slow
def test_the_report_as_json():
    twin = twin_named("never skips")
    report = check_ctc(single(twin.solvers()[0]))
    found = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert found["ok"] is False and found["findings"][0]["probably"][0]["mistake"] == "never skips"
    assert len(found["faults"]) == len(report.faults) == sum(row["wrong"] for row in found["laws"])


# ---- alpha, alignment, decoding


@pytest.mark.slow
def test_the_first_wrong_alpha_is_named():
    def alpha(logits, target):
        log_alpha = reference.forward(reference.log_softmax(logits), target)
        log_alpha[1:, 1:] += 0.5
        return log_alpha

    report = check_ctc(Adapter(lambda *problem: 1.5 * reference.loss_and_grad(*problem)[0], alpha=alpha))
    assert [row.faults > 0 for row in report.rows if row.law == "alpha"] == [True]
    texts = [fault.text for fault in report.faults if fault.law == "alpha"]
    assert texts and all(text.startswith("log alpha[") for text in texts)
    example = report.findings[0].example.problem
    if len(example.logits[0]) > 1 and example.targets[0]:
        assert "log alpha is first wrong at frame 1, state 1" in str(report)
    right = Adapter(lambda *problem: reference.loss_and_grad(*problem)[0],
                    alpha=lambda logits, target: reference.forward(reference.log_softmax(logits), target))
    assert_right(check_ctc(right))


def greedy(logits):
    return collapse(logits.argmax(axis=1))


@pytest.mark.slow
def test_alignments_and_labels_are_checked():
    def best(logits, target):
        return align(logits, target).path

    assert_right(check_ctc(Adapter(reference.loss_and_grad, align=best, decode=greedy)))

    def first_found(logits, target):
        return enumeration.alignments(target, len(logits))[0]

    report = check_ctc(Adapter(reference.loss_and_grad, align=first_found, decode=lambda logits: []))
    assert {fault.law for fault in report.faults} == {"align", "decode"}
    report = check_ctc(Adapter(reference.loss_and_grad, align=lambda logits, target: extend(target)))
    assert "does not spell" in report.faults[0].text


# ---- arguments


@pytest.mark.parametrize("options, message", [
    ({"precision": "float16"}, "precision must be one of float64, float32, got 'float16'"),
    ({"layout": "CNT"}, "layout must be one of TC, TNC, NTC, got 'CNT'"),
    ({"gradient": "nothing"}, "gradient must be one of logits, log_probs, probs, got 'nothing'"),
    ({"blank": -1}, 'blank must be a class, "last" or None, got -1'),
    ({"skip": ("gravity",)}, "skip: there is no row 'gravity'; the rows are "),
    ({"skip": "random"}, "skip must be a tuple of names, got 'random'"),
])
def test_a_wrong_option_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        check_ctc(reference.loss_and_grad, **options)


def test_only_callables_are_checked():
    with pytest.raises(TypeError, match="loss must be callable, got 5"):
        check_ctc(5)


def test_what_is_not_promised_is_never_asked():
    """Nor by shrinking, which would soon come to it."""

    bad = []

    def fn(logits, target):
        if not (len(logits) and np.isfinite(logits).all() and min_frames(target) <= len(logits)):
            bad.append(target)
        return reference.loss_and_grad(logits, target)[0] + (len(target) > 1)

    not_promised = ("no frames", "infeasible targets", "logits of -inf")
    report = check_ctc(fn, skip=not_promised)
    assert not bad
    example = report.findings[0].example
    assert not report.ok and len(example.problem.targets[0]) == 2 and example.answer.error is None


@pytest.mark.slow
def test_the_example_has_the_fault_of_its_finding():
    """Another fault, an error where there is a single class, does not take its place."""
    never_skips = single(twin_named("never skips").solvers()[0])

    def fn(logits, target):
        if logits.shape[1] == 1:
            raise ValueError("one class")
        return never_skips(logits, target)

    report = check_ctc(fn, skip=("published test vectors", "no frames"))
    assert [twin.name for twin in report.twins] == ["never skips"]
    assert report.findings[0].example.answer.error is None


@pytest.mark.slow
def test_the_published_vectors_are_asked():
    """An answer that is right but for the problems of one published case, which no random problem is."""
    case = next(case for case in load_cases("core") if case.logit_length == 12)

    def fn(logits, target, blank):
        loss, grad = reference.loss_and_grad(logits, target, blank)
        return loss + (logits.shape == case.used_logits.shape and (logits == case.used_logits).all()), grad

    for blank in (None, case.blank):
        report = check_ctc(fn, blank=blank) if blank is None else check_ctc(
            lambda logits, target: fn(logits, target, case.blank), blank=blank)
        assert {fault.law for fault in report.faults} == set(VECTORS)


def test_published_answers_are_compared_with(monkeypatch):
    """If a published number were another, that would be a fault of an implementation like the reference."""
    cases = load_cases("toy")
    monkeypatch.setattr(laws, "load_cases", lambda *groups: cases)
    case = next(case for case in cases if case.result == "valid" and case.target_length == 2)
    for name in ("loss", "gradient"):
        right = case.answers[name]
        case.answers[name] = right + 1e-6
        (fault,) = check_ctc(reference.loss_and_grad, skip=tuple(set(NAMES) - set(VECTORS))).faults
        assert fault.text == f"the {name} is not that of the published case {case.id}"
        case.answers[name] = right


def test_every_law_can_be_skipped():
    report = check_ctc(reference.loss_and_grad, skip=NAMES)
    assert report.ok and report.rows == ()


def test_a_bare_import_does_not_load_the_check():
    code = """
import sys, ctc_scratch
assert not any(name.startswith("ctc_scratch.check") for name in sys.modules)
assert ctc_scratch.check_ctc.__module__ == "ctc_scratch.check.check"
assert {"Adapter", "Report", "check_ctc"} <= set(dir(ctc_scratch))"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert ctc_scratch.Report is Report
    with pytest.raises(AttributeError, match="has no attribute 'check_everything'"):
        ctc_scratch.check_everything
