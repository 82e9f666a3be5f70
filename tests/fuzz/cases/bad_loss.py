"""Bad arguments of `ctc_loss` and `diagnose`: the error names each, and no array is written to.

`ctc_loss` must raise ValueError or TypeError; `diagnose` must raise nothing and find an error.
"""

from __future__ import annotations

import re

import numpy as np

from ctc_scratch.ctc import InfeasibleTargetError, Workspace, ctc_loss, diagnose
from tests.fuzz.case import Case, describe, expect
from tests.fuzz.conditions import draw_conditions, under
from tests.fuzz.draw import draw_batch
from tests.fuzz.dress import dress

NO_NUMBERS = [None, "x", [[0.5], [0.5, 1.0]], {}, [], 1.5, object(), [None, 1], b"3"]
NO_INTEGER = [0.0, 1.5, True, None, "1", [1], np.float64(1), np.array([1, 2]), 1j, np.bool_(True)]
NO_CHOICE = ["", "None", "TNT", "fast", None, 3, b"none", ["none"], np.array(["none", "sum"]), ("none",), {}]


def used_frame(draw, arguments):
    """A random frame t of a random sequence n, outside the padding; for arguments of `plain_arguments`."""
    lengths = arguments["logit_lengths"]
    n = draw.choice(np.flatnonzero(lengths).tolist())
    return draw.randrange(int(lengths[n])), n


def spoilt(array, place, value):
    array = array.copy()
    array[place] = value
    return array


# One function per argument: from `draw` and `plain_arguments`, it returns the arguments to replace.


def bad_logits(draw, arguments):
    logits = arguments["logits"]
    t, n = used_frame(draw, arguments)
    c = draw.randrange(logits.shape[2])
    kind = draw.randrange(8)
    if kind == 0:
        logits = spoilt(logits, (t, n, c), draw.choice([np.nan, np.inf]))
    elif kind == 1:
        logits = spoilt(logits, (t, n), -np.inf)
    elif kind == 2:
        with np.errstate(invalid="ignore"):
            logits = logits.astype(draw.choice([bool, complex, object, "datetime64[s]", "U8", "S3"]))
    elif kind == 3:
        logits = draw.choice([logits[0, 0], logits[None], logits[0, 0, 0], logits[..., :0]])
    elif kind == 4:
        return {"logits": draw.choice(NO_NUMBERS)}
    elif kind == 5:
        return {"logits": logits.transpose(2, 0, 1)[..., :0]}
    elif kind == 6:
        structured = np.zeros(logits.shape, [("a", float)])
        return {"logits": draw.choice([structured, logits.astype(np.longdouble) + 1j])}
    else:
        logits = spoilt(logits, (t, n, slice(None)), np.nan)
    return {"logits": dress(draw, logits, lists=False)}


def bad_targets(draw, arguments):
    targets, C, blank = arguments["targets"], arguments["logits"].shape[2], arguments["blank"]
    n, kind = draw.randrange(len(targets)), draw.randrange(7)
    u = draw.randint(0, len(targets[n]))
    wrong = list(targets)
    label = None
    if kind == 0:
        label = draw.choice([blank, C, C + 1, -1, -C, 2**31, 2**63, 2**64, -2**63, 10**30])
    elif kind == 1:
        label = draw.choice([1.0, 1.5, None, "1", [1], np.nan, 1j])
    if kind < 2:
        wrong[n] = [*targets[n][:u], label, *targets[n][u:]]
    elif kind == 2:
        wrong[n] = draw.choice([
            None, "ab", 3, 1.5, {}, {1}, object(), [[1]], np.zeros((1, 1), int), 2j, [True],
        ])
    elif kind == 3:
        wrong = wrong + [[]] if draw.chance(0.5) else wrong[:-1]
    elif kind == 4:
        wrong = draw.choice([None, "abc", 3, 1.5, {}, {1, 2}, object(), {1: 2}, iter(wrong)])
    elif kind == 5:
        wrong = np.full((len(wrong), 3), C).astype(draw.choice([int, float, bool, complex]))
    else:
        shape = draw.choice([(len(wrong) + 1, 2), (len(wrong), 2, 1)])
        wrong = np.full(shape, (blank + 1) % C)
    return {"targets": wrong, "target_lengths": None}


def bad_lengths(name, most):
    """A function that draws bad lengths: no integers, of the wrong shape, or above `most(arguments)` (N,)."""

    def bad(draw, arguments):
        lengths, top = np.array(arguments[name]), most(arguments)
        n = draw.randrange(len(lengths))
        kind = draw.randrange(5)
        if kind == 0:
            value = draw.choice([-1, int(top[n]) + 1, 2**40, -2**62])
            return {name: dress(draw, spoilt(lengths, n, value), lists=False)}
        if kind == 1:
            dtype = draw.choice([float, bool, complex, "U3", object])
            return {name: dress(draw, lengths.astype(dtype), lists=False)}
        if kind == 2:
            others = [np.append(lengths, 0), lengths[1:], lengths[:, None], lengths[0] + 0.5]
            return {name: draw.choice(others)}
        if kind == 3:
            return {name: draw.choice(["x", [None] * len(lengths), {}, [[1], [1, 2]], object(), 1.5, [1j]])}
        return {name: spoilt(lengths.astype(object), n, draw.choice([2**63, 2**64, -2**70])).tolist()}

    return bad


def bad_blank(draw, arguments):
    C = arguments["logits"].shape[2]
    return {"blank": draw.choice([-1, C, C + 5, 2**40, -2**70, *NO_INTEGER])}


def bad_choice(name):
    def bad(draw, arguments):
        return {name: draw.choice(NO_CHOICE)}

    return bad


def bad_out(draw, arguments):
    logits = arguments["logits"]
    out = np.full_like(logits, 7.0)
    kind = draw.randrange(7)
    if kind == 0:
        return {"out": draw.choice([out.tolist(), 0, "x", memoryview(out)])}
    if kind == 1:
        return {"out": out.astype(draw.choice([np.float16, np.int32, np.longdouble, complex, object, bool]))}
    if kind == 2:
        return {"out": draw.choice([out[None], out[..., :-1], np.append(out, out, axis=0)])}
    if kind == 3:
        out.flags.writeable = False
        return {"out": out}
    if kind == 4:
        return {"out": out.astype(out.dtype.newbyteorder())}
    if kind == 5 and out.size > 1:  # an array of one number is always contiguous
        return {"out": np.full((*out.shape[:2], 2 * out.shape[2] + 2), 7.0, out.dtype)[..., :-2:2]}
    both = np.zeros(2 * logits.size, logits.dtype)
    shift = draw.randrange(min(logits.size, 9))
    same = both[:logits.size].reshape(logits.shape)
    out = both[shift:shift + logits.size].reshape(logits.shape)
    same[:] = logits
    return {"logits": same, "out": out}


def bad_workspace(draw, arguments):
    return {"workspace": draw.choice([Workspace, "x", 1, np.empty(10), [], object()])}


def _frames_there_are(arguments):
    return np.full(len(arguments["targets"]), len(arguments["logits"]))


def _labels_there_are(arguments):
    return np.array([len(target) for target in arguments["targets"]])


MISTAKES = {
    "logits": (6, bad_logits),
    "targets?": (8, bad_targets),
    "logit_lengths": (3, bad_lengths("logit_lengths", _frames_there_are)),
    "target_lengths": (3, bad_lengths("target_lengths", _labels_there_are)),
    "blank": (2, bad_blank),
    "reduction": (1, bad_choice("reduction")),
    "infeasible": (1, bad_choice("infeasible")),
    "method": (1, bad_choice("method")),
    "layout": (1, bad_choice("layout")),
    "out": (3, bad_out),
    "workspace": (1, bad_workspace),
}


def plain_arguments(draw):
    """All arguments of `ctc_loss`, good ones: logits and lengths as arrays, targets as lists."""
    while True:
        batch = draw_batch(draw, draw.choice(["small", "small", "lanes"]))
        if batch.lengths.any():
            break
    with np.errstate(over="ignore"):
        logits = batch.logits.astype(batch.computed)
    return {
        "logits": logits, "targets": batch.targets, "logit_lengths": batch.lengths,
        "target_lengths": np.array([len(target) for target in batch.targets]), "blank": batch.blank,
        "infeasible": "zero", "method": draw.choice(["auto", "auto", "exact", "log"]),
    }


def bad_loss_case(draw):
    """A call of `ctc_loss` with one bad argument; all others are good."""
    names = list(MISTAKES)
    name, = draw.choices(names, [MISTAKES[name][0] for name in names])
    arguments = plain_arguments(draw)
    wrong = MISTAKES[name][1](draw, arguments)
    out = np.full(arguments["logits"].shape, 7.0, arguments["logits"].dtype)
    arguments = {**arguments, "out": out, **wrong}
    conditions = draw_conditions(draw)
    what = describe(f"ctc_loss with bad {name}", arguments, conditions)
    logits, given = np.array(arguments["logits"], dtype=object, copy=True), arguments["out"]
    before = np.array(given, copy=True) if isinstance(given, np.ndarray) else given

    def check(outcome, _):
        check_refusal(outcome, name)
        if isinstance(given, np.ndarray):
            expect(given.tobytes() == before.tobytes(), "out was written to")
        expect(np.all(out == 7.0), "out was written to")
        if isinstance(arguments["logits"], np.ndarray):
            now = np.array(arguments["logits"], dtype=object)
            expect(repr(now.tolist()) == repr(logits.tolist()), "logits were written to")

    return Case(lambda: under(conditions, ctc_loss, arguments), check, what)


def bad_diagnose_case(draw):
    """A call of `diagnose` with one bad argument: it reports an error and raises nothing."""
    names = ["logits", "targets?", "logit_lengths", "target_lengths", "blank", "layout"]
    name, = draw.choices(names, [MISTAKES[name][0] for name in names])
    arguments = plain_arguments(draw)
    arguments.update(MISTAKES[name][1](draw, arguments))
    del arguments["infeasible"], arguments["method"]

    def call():
        found = diagnose(**arguments)
        return found, str(found)

    def check(outcome, _):
        if isinstance(outcome, Exception):
            raise AssertionError(f"diagnose raised {type(outcome).__name__}: {outcome}") from outcome
        found, text = outcome
        expect(found.errors, f"no error, although {name} is bad")
        expect(text.count("ERROR") >= len(found.errors), text)

    return Case(call, check, describe(f"diagnose with bad {name}", arguments))


def check_refusal(outcome, named):
    """The outcome is a ValueError or TypeError whose message names the argument."""
    expect(isinstance(outcome, Exception), f"no error, but {outcome!r:.200}")
    kind = type(outcome)
    expect(kind in (ValueError, TypeError), f"{kind.__name__}: {outcome}")
    expect(not isinstance(outcome, InfeasibleTargetError), str(outcome))
    name = re.search(rf"(?<![a-z_])({named})(?![a-z_])", str(outcome))
    expect(name, f"the message does not name {named}: {outcome}")
