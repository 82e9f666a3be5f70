"""The cases of the table of errors in `tests/README.md`: what went wrong, what the message says, what to do.

    python -m tests.errors          # rewrites the table

Each case is a call or a command line that fails. `tests/commands/test_errors.py` runs each of them and
compares the error message with the table.
"""

from __future__ import annotations

import functools
import importlib
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ctc_scratch import (
    BeamStream,
    InfeasibleTargetError,
    NGram,
    RunningPrior,
    align,
    bayes_risk_ctc_loss,
    check_layer,
    check_lstm,
    ctc_loss,
    ctc_loss_hvp,
    delay_ctc_loss,
    fisher_vp,
    focal_ctc_loss,
    gauss_newton_vp,
    label_error_rate,
    log_partition,
    map_decode,
    min_risk_ctc_loss,
    prefix_beam_search,
    prior_ctc_loss,
    star_ctc_loss,
    topology_ctc_loss,
)
from ctc_scratch.digits.data.mnist_files import load_mnist, training_split
from ctc_scratch.digits.training import checkpoint, trainer
from ctc_scratch.digits.training.ranks import launched, ranks
from ctc_scratch.digits.training.ranks.same_bits import DIGITS
from ctc_scratch.digits.training.run_folder import RunFolder, locked
from ctc_scratch.digits.training.settings import Settings
from tests.tools.small_runs import SMALL, write_digits

README = Path(__file__).with_name("README.md")
BEGIN = "<!-- the table of errors: python -m tests.errors -->"
END = "<!-- the end of the table of errors -->"


class Call(NamedTuple):
    """A call that raises."""

    wrong: str                          # what is wrong with the call, in a sentence
    call: Callable[[], Any]
    error: type[Exception]
    says: str                           # the message, in which ... stands for any text
    mend: str                           # what to do


class Command(NamedTuple):
    """A command line that ends in one line on stderr."""

    wrong: str
    line: str
    says: str
    mend: str
    prepare: Callable[[Any], None] | None = None    # gets pytest's monkeypatch, in a folder of its own
    status: int = 2


# ---- the library --------------------------------------------------------------------------

X = np.zeros((8, 2, 5))                 # 8 frames, 2 sequences, 5 classes
TARGETS = [[1, 2], [3, 4, 4]]


def with_logit(value, *place):
    logits = X.copy()
    logits[place] = value
    return logits


class NanModel:
    """A language model whose every score is NaN."""

    def score(self, prefix, label):
        return float("nan")

    def __repr__(self):
        return "<a model>"


class NoModel:
    """An object without the method of a language model."""

    def __repr__(self):
        return "<a model>"


def stream_of_other_classes():
    stream = BeamStream()
    stream.push(X[:, 0])
    stream.push(X[:, 0, :4])


def for_jax(name, *args, **options):
    """A function of `ctc_scratch.jax`, which loads JAX, applied to logits and more."""
    return getattr(importlib.import_module("ctc_scratch.jax"), name)(*args, **options)


# What the library says, by the argument that is wrong.
def in_torch(name: str, **options: Any) -> Any:
    """The sum of a loss of `ctc_scratch.torch` for X and TARGETS, and the logits."""
    import torch

    import ctc_scratch.torch
    logits = torch.from_numpy(X.copy()).requires_grad_()
    given = [[[1, 2], [3, 4]], [8, 8], [2, 2]] if name == "ctc_loss_from_logits" else [TARGETS]
    return getattr(ctc_scratch.torch, name)(logits, *given, **options).sum(), logits


def second_derivative_in_torch(name: str, orders: int = 2, **options: Any) -> None:
    import torch

    value, logits = in_torch(name, **options)
    for _ in range(orders):
        value = torch.autograd.grad(value, logits, create_graph=True)[0].square().sum()


LIBRARY: dict[str, list[Call]] = {
    "Targets": [
        Call("The target needs more frames (labels + repeats) than there are.",
             lambda: ctc_loss(X[:4], [[1, 2], [3, 3, 4, 4]]), InfeasibleTargetError,
             "target 1 needs 6 frames (4 labels + 2 repeats) but has 4",
             'Give it more frames (a smaller window or stride) or a shorter target. `infeasible="zero"` '
             "leaves such samples out of the loss; `diagnose` checks a whole batch or data set."),
        Call("-inf logits make the target impossible.",
             lambda: ctc_loss(with_logit(-np.inf, slice(None), 0, 2), TARGETS), InfeasibleTargetError,
             "target 0 has probability 0: it has 8 frames and needs ..., but -inf logits close every path",
             "A class that the target needs is masked in every frame: mask less, or drop the sample."),
        Call("The blank is among the labels.", lambda: ctc_loss(X, [[1, 0, 2], [3]]), ValueError,
             "targets[0][1] is 0, the blank: a target holds labels only",
             "Remove it, or say with `blank=` which class is the blank."),
        Call("The padding of a target is read as labels.",
             lambda: ctc_loss(X, np.array([[1, 2, -1], [3, 4, 4]])), ValueError,
             "targets[0][2] is -1, but the logits have classes 0..4",
             "Pass `target_lengths`, which say where the targets end."),
        Call("A label is not a class of the logits.", lambda: ctc_loss(X, [[1, 2], [3, 5]]), ValueError,
             "targets[1][1] is 5, but the logits have classes 0..4",
             "The blank is a class too: K different labels need K + 1 classes."),
        Call("Labels are not integers.", lambda: ctc_loss(X, [[1.0, 2.0], [3.0]]), TypeError,
             "targets[0] must hold integers, got an array of float64",
             "Convert whole numbers with `.astype(int)`."),
        Call("There are not as many targets as sequences.", lambda: ctc_loss(X, [[1]] * 8), ValueError,
             "8 targets for a batch of 2; layout='TNC' has time first, layout='NTC' the batch",
             "Most often the axes are exchanged: pass `layout=\"NTC\"`."),
        Call("Targets are joined end to end, without their lengths.",
             lambda: ctc_loss(X, np.array([1, 2, 3])), ValueError,
             "targets in one dimension (3 values) for a batch of 2 need target_lengths",
             "Pass `target_lengths` too, or a list of targets; for one target, pass one sequence (T, C)."),
        Call("The lengths of joined targets do not add up.",
             lambda: ctc_loss(X, np.array([1, 2, 3]), None, [2, 2]), ValueError,
             "target_lengths add up to 4, targets hold 3 values", "Check how the targets were joined."),
    ],
    "Logits and lengths": [
        Call("A logit is NaN or +inf.", lambda: ctc_loss(with_logit(np.nan, 3, 1, 0), TARGETS), ValueError,
             "logits[t=3, n=1, c=0] is nan; a logit is finite, or -inf for probability 0",
             "The network has diverged: use a smaller learning rate, or clip gradients. NaN in the padding "
             "is allowed; `logit_lengths` say where the padding begins."),
        Call("All classes of a frame are -inf.", lambda: ctc_loss(with_logit(-np.inf, 3, 1), TARGETS),
             ValueError, "logits[t=3, n=1] is -inf in every class c=0..4: no class is left to emit",
             "A mask covers all classes, or the row is the log of zeros. Padding is left out by "
             "`logit_lengths`."),
        Call("A length exceeds the number of frames.", lambda: ctc_loss(X, TARGETS, [8, 32]), ValueError,
             "logit_lengths[1] is 32, the logits have 8 frames",
             "Count the frames that leave the network, not the columns or samples that enter it."),
        Call("The number of lengths is not the batch size.", lambda: ctc_loss(X, TARGETS, [8, 8, 8]),
             ValueError, "logit_lengths must have shape (2,), one for each sequence, got (3,)",
             "Pass one length per sequence, and check `layout`."),
        Call("A masked array whose mask does not cover just the padding.",
             lambda: ctc_loss(np.ma.masked_array(X, mask=X + np.arange(5) == 4), TARGETS), TypeError,
             "logits must not be a masked array, whose mask would be lost, unless it masks all classes of "
             "the last frames of a sequence and nothing else, unlike in sequence 0; ...",
             "A class that is impossible in a frame has the logit -inf there."),
        Call("The logits have too few or too many axes.", lambda: ctc_loss(X[None], TARGETS), ValueError,
             "logits must have shape (T, N, C) or (T, C), got (1, 8, 2, 5)",
             "Index or reshape them; a single sequence may have shape (T, C)."),
        Call("The logits are not numbers.", lambda: ctc_loss(X.astype(object), TARGETS), TypeError,
             "logits must be real numbers, got an array of object",
             "Convert a torch tensor with `.detach().cpu().numpy()`."),
        Call("The blank is not a class of the logits.", lambda: ctc_loss(X, TARGETS, blank=5), ValueError,
             "blank is 5, but the logits have classes 0..4",
             "Classes are counted from 0; the blank is 0 by default."),
        Call("An option has a value that does not exist.", lambda: ctc_loss(X, TARGETS, reduction="average"),
             ValueError, "reduction must be 'none', 'sum', 'batchmean' or 'mean', got 'average'",
             '`"mean"` is the mean of torch, `"batchmean"` the plain mean over the batch.'),
        Call("The array for the gradient has another shape or type.",
             lambda: ctc_loss(X, TARGETS, out=np.empty(X.shape, np.float32)), ValueError,
             "out must be float64 of shape (8, 2, 5), got float32 of shape (8, 2, 5)",
             "Make it with `np.empty_like(logits)`, once, before the loop."),
        Call("The gradient is to be written over the logits.", lambda: ctc_loss(X, TARGETS, out=X),
             ValueError, "out must not share memory with the logits, which are still needed",
             "Pass an array of its own."),
        Call("`log_partition` is asked for something that it does not return.",
             lambda: log_partition(X, TARGETS, want="gradient"), ValueError,
             "want must be 'gamma' or 'occupancy', got 'gradient'",
             '`want="occupancy"` returns the derivative of log_z w.r.t. the scores.'),
        Call("`log_partition` is called with a method of `ctc_loss` that it does not have.",
             lambda: log_partition(X, TARGETS, method="log"), ValueError,
             "method must be 'auto' or 'exact', got 'log'", "The log-space kernel always has a softmax."),
    ],
    "Stars": [
        Call("There is no such position in a target.", lambda: align(X, TARGETS, star=[0, 3]), ValueError,
             "star holds position 3, but target 0 has positions 0..2 (U = 2 labels)",
             "Position u is before label u, and U after the last label. If the positions differ from target "
             "to target, pass a list with a collection for each."),
        Call("The positions are not integers.", lambda: align(X, TARGETS, star=[[0.5], [1.0]]), TypeError,
             "star[0] must hold integers, got an array of float64",
             "Convert whole numbers with `.astype(int)`; a mask (U + 1,) with `np.flatnonzero(mask)`."),
        Call("The word for the positions does not exist.", lambda: align(X, TARGETS, star="middle"),
             ValueError, "star must be 'ends' or 'everywhere', got 'middle'",
             "For other places, pass their positions."),
        Call("The star is a single number.", lambda: align(X[:, 0], [1, 2], star=0), ValueError,
             "star must be a collection of positions, 'ends', 'everywhere' or None, got 0",
             "Write `star=[0]`."),
        Call("There are not as many items as targets.", lambda: align(X, TARGETS, star=["ends"]),
             ValueError, "star has length 1 for a batch of 2; a list holds integers, ...",
             'Pass one item per target; `star="ends"` without a list holds for all of them.'),
        Call("The weight of a star is above 0.", lambda: align(X, TARGETS, star="ends", star_weight=0.5),
             ValueError, "star_weight must be at most 0, got 0.5",
             "It is a logarithm: 0 is free, -1 makes each starred frame e times less likely."),
        Call("The weight of a star is NaN.", lambda: align(X, TARGETS, star="ends", star_weight=np.nan),
             ValueError, "star_weight must be at most 0, got nan", "For no stars at all, pass -inf."),
        Call("The weight of a star is no number.", lambda: align(X, TARGETS, star_weight="1"), TypeError,
             "star_weight must be a real number, got '1'", "Pass a float."),
    ],
    "Objectives": [
        Call("A weight is not finite.", lambda: delay_ctc_loss(X, TARGETS, weight=np.inf), ValueError,
             "weight must be finite, got inf", "0 is plain CTC."),
        Call("The prior has another number of classes.",
             lambda: prior_ctc_loss(X, TARGETS, prior=np.full(4, 0.25), weight=1), ValueError,
             "prior must have shape (5,), one number for each class, got (4,)", "The blank is a class, too."),
        Call("The prior has a 0, or a negative number.",
             lambda: prior_ctc_loss(X, TARGETS, prior=[0.5, 0.5, 0, 0, 0], weight=1), ValueError,
             "prior[2] is 0.0; expected positive numbers that sum to 1",
             "Add a small number to each count, and divide by the sum. `RunningPrior` never holds a 0."),
        Call("The prior holds logarithms, or counts.",
             lambda: prior_ctc_loss(X, TARGETS, prior=[5, 1, 1, 2, 1], weight=1), ValueError,
             "prior sums to 10.0; expected positive numbers that sum to 1",
             "Pass the probabilities themselves: counts divided by their sum."),
        Call("The decay of a prior is 1.", lambda: RunningPrior(5, decay=1.0), ValueError,
             "decay must be from 0 to below 1, got 1.0", "The prior would never change; 0.99 is usual."),
        Call("A running prior gets logits of other classes.",
             lambda: RunningPrior(4, decay=0.9).update(X), ValueError,
             "the logits have 5 classes, the prior 4", "Count the blank among the classes."),
        Call("The power of the focal loss is negative.",
             lambda: focal_ctc_loss(X, TARGETS, power=-1), ValueError, "power must be at least 0, got -1",
             "0 is plain CTC, 1 and 2 are usual."),
        Call("The risk is an array for fewer frames.",
             lambda: bayes_risk_ctc_loss(X, TARGETS, risk=np.ones(5)), ValueError,
             "risk has shape (5,) for a sequence of 8 frames",
             "Pass one number per frame of the longest sequence, or a function of T that returns (T,)."),
        Call("A risk is 0.", lambda: bayes_risk_ctc_loss(X, TARGETS, risk=np.arange(8.0)), ValueError,
             "risk[0] is 0.0 for T=8; expected numbers from 1e-100 to 1e100",
             "Use a small positive number."),
        Call("A star stands at a position that the target does not have.",
             lambda: star_ctc_loss(X, TARGETS, star=[4]), ValueError,
             "star holds position 4, but target 0 has positions 0..2 (U = 2 labels)",
             'Pass a list of one collection per target, or "ends" or "everywhere".'),
        Call("The weight of a star is positive.",
             lambda: star_ctc_loss(X, TARGETS, star="ends", star_weight=1.0), ValueError,
             "star_weight must be at most 0, got 1.0", "It is a log-weight: 0 is free, -inf forbids stars."),
        Call("Hypotheses are not given for each sequence.",
             lambda: min_risk_ctc_loss(X, TARGETS, hypotheses=[[[1], [2]]]), ValueError,
             "hypotheses must be one list for each of 2 sequences, got [[[1], [2]]]",
             "Pass a list of lists of labellings, such as `[[h.labels for h in beam] for beam in beams]`."),
        Call("A sequence has no hypothesis.",
             lambda: min_risk_ctc_loss(X, TARGETS, hypotheses=[[[1]], []]), ValueError,
             "hypotheses[1] must be a list of at least one labelling, got []",
             "Add the target itself to each list."),
        Call("The blank is in a hypothesis.",
             lambda: min_risk_ctc_loss(X, TARGETS, hypotheses=[[[1]], [[2], [3, 0]]]), ValueError,
             "hypotheses[1][1][1] is 0; expected classes 0..4 without the blank, 0",
             "Pass labellings, not paths: `collapse` makes the one of the other."),
        Call("There are not as many costs as hypotheses.",
             lambda: min_risk_ctc_loss(X, TARGETS, hypotheses=[[[1]], [[2], [3]]], costs=[[1.0], [2.0]]),
             ValueError, "costs[1] must hold one cost for each of 2 hypotheses, got shape (1,)",
             "Leave out `costs` for edit distances."),
        Call("A cost is NaN or infinite.",
             lambda: min_risk_ctc_loss(X, TARGETS, hypotheses=[[[1]], [[2]]], costs=[[1.0], [np.nan]]),
             ValueError, "costs[1][0] is nan; a cost is finite", "Leave such hypotheses out."),
        Call("The same hypothesis has two costs.",
             lambda: min_risk_ctc_loss(X, TARGETS, hypotheses=[[[1], [1]], [[2]]], costs=[[1, 2], [0]]),
             ValueError, "costs[0][1] is 2, but an equal hypothesis before it costs 1",
             "A labelling counts once; make the costs agree."),
        Call("A target does not fit the moves that are left.",
             lambda: topology_ctc_loss(X[:4], TARGETS, skip=False), InfeasibleTargetError,
             "target 1 needs 5 frames (3 labels + 2 blanks) but has 4",
             "Give it more frames, or allow more moves."),
        Call("A move of a topology is neither allowed nor forbidden.",
             lambda: topology_ctc_loss(X, TARGETS, skip=None), TypeError,
             "skip must be True or False, got None", "All are True by default, which is CTC."),
    ],
    "Second derivatives": [
        Call("The vectors are those of another batch.", lambda: ctc_loss_hvp(X, TARGETS, X[:6]), ValueError,
             "vectors must have the shape of the logits, (8, 2, 5), got (6, 2, 5)",
             "Pass one number per logit, in the layout of the logits."),
        Call("A vector holds NaN or inf.", lambda: gauss_newton_vp(X, TARGETS, with_logit(np.nan, 3, 1, 2)),
             ValueError, "vectors must be finite, got nan at frame 3, class 2 of sequence 1",
             "Look for what made it; padding may hold anything."),
        Call("The vectors are no real numbers.", lambda: ctc_loss_hvp(X, TARGETS, X * 1j), TypeError,
             "vectors must be real numbers, got an array of complex128", "Pass floats."),
        Call("There are too many labellings to sum over.", lambda: fisher_vp(X, X), ValueError,
             "8 frames of 5 classes have 5^8 paths, more than 20000: give samples and rng",
             "Draw labellings: `samples=100, rng=np.random.default_rng(0)`."),
        Call("Labellings are to be drawn without a generator.", lambda: fisher_vp(X, X, samples=100),
             ValueError, "samples and rng must be given together",
             "Pass `rng=np.random.default_rng(0)`, too."),
        Call("The generator is a seed.", lambda: fisher_vp(X, X, samples=100, rng=0), TypeError,
             "rng must be a numpy.random.Generator, got 0", "Pass `np.random.default_rng(0)`."),
        Call("No labelling is to be drawn.",
             lambda: fisher_vp(X, X, samples=0, rng=np.random.default_rng(0)), ValueError,
             "samples must be at least 1, got 0", "Their spread falls as 1 / sqrt(samples)."),
    ],
    "In torch": [
        Call("Infeasible targets are to raise an error, and to count as 0.",
             lambda: in_torch("ctc_loss_from_logits", zero_infinity=True, infeasible="raise"), ValueError,
             "zero_infinity=True and infeasible='raise' exclude each other", "Choose one of them."),
        Call("A third derivative is taken of an objective.",
             lambda: second_derivative_in_torch("focal_ctc_loss", orders=3, power=1.0), NotImplementedError,
             "focal_ctc_loss has first and second derivatives here, but no third",
             "Take differences of the second derivative."),
        Call("A third derivative is taken.",
             lambda: second_derivative_in_torch("ctc_loss_from_logits", orders=3), NotImplementedError,
             "the CTC loss has first and second derivatives here, but no third",
             "Take differences of the second derivative."),
    ],
    "Decoders and metrics": [
        Call("The beam width is 0.", lambda: prefix_beam_search(X, beam_width=0), ValueError,
             "beam_width must be at least 1, got 0", "The default is 16."),
        Call("More hypotheses are asked for than the beam holds.", lambda: prefix_beam_search(X, top=20),
             ValueError, "top is 20, but a beam of width 16 holds no more than that",
             "Use `beam_width=20` or more."),
        Call("The language model has no method `score`.",
             lambda: prefix_beam_search(X, language_model=NoModel()), TypeError,
             "language_model must have a method score(prefix, label), got <a model>",
             "Wrap it in an object with that method, which returns a natural logarithm, already weighted."),
        Call("The language model returns NaN or +inf.",
             lambda: prefix_beam_search(X, language_model=NanModel()), ValueError,
             "language_model.score gave nan for the labels [1]; a score is finite, or -inf for ...",
             "Call `score` with these labels. The usual cause is the log of a negative number, or 0 / 0."),
        Call("The n-gram model was made without `labels=`, and a class occurs in none of its sequences.",
             lambda: prefix_beam_search(X, language_model=NGram([[1, 2], [4]])), ValueError,
             "the language model does not know label 3, a class of the logits (it knows 3 labels; ...",
             "Make it with all labels: `NGram(sequences, labels=range(1, C))` where the blank is class 0."),
        Call("The number of classes changes within a stream.", stream_of_other_classes, ValueError,
             "a stream that began with 5 classes got 4", "Use one stream per model."),
        Call("The budget is 0.", lambda: map_decode(X, budget=0), ValueError,
             "budget must be at least 1, got 0", "It counts the prefixes to extend; the default is 10 000."),
        Call("The time limit is negative.", lambda: map_decode(X, seconds=-1), ValueError,
             "seconds must be at least 0, got -1", "It limits the search; None, the default, does not."),
        Call("There are not as many hypotheses as references.", lambda: label_error_rate([[1]], [[1], [2]]),
             ValueError, "hypotheses and references go in pairs, got 1 and 2",
             "Pass one hypothesis per reference, empty ones too."),
    ],
    "In JAX": [
        Call("Targets are joined in one dimension.",
             lambda: for_jax("ctc_loss_from_logits", X, np.array([1, 2, 3, 4, 4]), None, np.array([2, 3])),
             ValueError, "targets must have shape (N, U), padded, with target_lengths (N,); got (5,)",
             "Pad them to the longest one: shapes are fixed in a compiled function."),
        Call("The scores are integers.",
             lambda: for_jax("log_partition", X.astype(int), np.ones((2, 1), int)), TypeError,
             "scores must be floats, got an array of int...", "Convert them."),
        Call("An infeasible target should raise.",
             lambda: for_jax("ctc_loss_from_logits", X, np.ones((2, 1), int), infeasible="raise"), ValueError,
             "infeasible must be 'inf' or 'zero', got 'raise'",
             "A compiled function cannot raise: test the loss for inf."),
        Call("The padding does not fit the logits.",
             lambda: for_jax("ctc_loss", X, np.zeros((2, 8)), np.ones((8, 1), int), np.zeros((8, 1))),
             ValueError, "logit_paddings must have the shape (8, 2) that the logits have, got (2, 8)",
             "As in optax, the batch comes first: logits are (B, T, K)."),
        Call("Hypotheses are not padded to one array (N, K, U).",
             lambda: for_jax("min_risk_ctc_loss", X, np.ones((2, 1), int), hypotheses=np.ones((3, 1), int)),
             ValueError, "hypotheses must have shape (N, K, U) with N = 2, got (3, 1)",
             "Pad with negative numbers; repeat a hypothesis where there are fewer than K."),
    ],
    "Checks of an LSTM or a layer": [
        Call("What should be checked is no function.", lambda: check_lstm(3), TypeError,
             "forward must be callable, got 3", "Pass a function, or an LSTMAdapter."),
        Call("A choice that does not exist.", lambda: check_lstm(len, layout="NDT"), ValueError,
             "layout must be one of TND, NTD, TD, got 'NDT'",
             "The same for `directions`, `padding`, `precision`, and for the `kind` of `check_layer`."),
        Call("The number of biases.", lambda: check_lstm(len, biases=3), ValueError,
             "biases must be 0, 1 or 2, got 3", "2 if it takes bias_ih and bias_hh, as in torch."),
        Call("A row that the report does not have.", lambda: check_lstm(len, skip=("long",)), ValueError,
             "skip: there is no row 'long'; the rows are same call, same answer, one frame, ...",
             "Copy the name from the report."),
        Call("The names of the rows are no tuple.", lambda: check_lstm(len, skip="60 frames"), ValueError,
             "skip must be a tuple of names, got '60 frames'", 'Write `("60 frames",)`, with a comma.'),
        Call("One initial state alone.", lambda: check_lstm(lambda x, h0: x), ValueError,
             "forward must take both h0 and c0, or neither", "Wrap the function."),
        Call("forward takes by name what backward does not.",
             lambda: check_lstm(lambda x, lengths: x, backward=len), ValueError,
             "forward and backward must both take lengths, or neither", "Wrap the function."),
        Call("Lengths of a single sequence.",
             lambda: check_lstm(lambda x, lengths: x, layout="TD"), ValueError,
             'lengths are of a batch, but the layout "TD" is of one sequence', "Wrap the function."),
        Call("The shape of x.", lambda: check_layer(len, len, x=(2, 0)), ValueError,
             "x must be a shape of at least one axis, each of at least 1, got (2, 0)", "Such as (T, N, D)."),
        Call("Parameters without names.", lambda: check_layer(len, len, params=[3]), TypeError,
             "params must be a dict of shapes or arrays, got [3]", 'Such as {"gain": (4,)}.'),
        Call("A parameter that is a number.", lambda: check_layer(len, len, params={"gain": 3}), ValueError,
             "params['gain'] must be a shape or an array, got 3", "Write (3,), or np.array(3.0)."),
        Call("Other parameters than those of its kind.",
             lambda: check_layer(len, len, kind="linear", params={"gain": (4,)}), ValueError,
             "a linear layer has the params weight and bias, got gain",
             "Leave `params` out, or leave `kind` out."),
        Call("Shapes that do not fit each other.",
             lambda: check_layer(len, len, kind="linear", params={"weight": (3, 5), "bias": (3,)}),
             ValueError, "x and params do not fit a linear layer: ...", "weight is (C, D) for x (..., D)."),
        Call("The axis of the batch.", lambda: check_layer(len, len, batch_axis=3), ValueError,
             "batch_axis must be an axis of x, which has the shape (3, 2, 4), got 3", "1 for (T, N, D)."),
    ],
}


# ---- the command line ---------------------------------------------------------------------


@functools.cache
def some_digits() -> dict[str, bytes]:
    """The files of a small data folder."""
    with tempfile.TemporaryDirectory() as folder:
        return {path.name: path.read_bytes() for path in write_digits(Path(folder)).iterdir()}


def digits(patch):
    Path("digits").mkdir()
    for name, content in some_digits().items():
        Path("digits", name).write_bytes(content)


def a_run(patch):
    """runs/one, with two checkpoints and a model."""
    digits(patch)
    settings = Settings(**{**SMALL, "data": "digits", "out": "runs/one"})
    one = trainer.Trainer(settings, *training_split(load_mnist("digits")))
    run = RunFolder.create(Path("runs/one"), settings, one)
    run.checkpoint(one)
    run.save(one.best_model())


def damaged_checkpoint(patch):
    a_run(patch)
    path = Path("runs/one/checkpoint.npz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def other_digits(patch):
    a_run(patch)
    path = Path("digits/train-labels-idx1-ubyte")
    path.write_bytes(path.read_bytes()[:-1] + b"\0")


def a_second_process(patch):
    a_run(patch)
    lock = locked(Path("runs/one"))
    lock.__enter__()
    patch.setattr(a_second_process, "lock", lock, raising=False)    # held to the end of the test


def cut_data(patch):
    digits(patch)
    path = Path("digits/train-images-idx3-ubyte")
    path.write_bytes(path.read_bytes()[:-1])


def two_data_sets(patch):
    for folder, prefix in (("data/a", ""), ("data/b", "emnist-digits-")):
        Path(folder).mkdir(parents=True)
        for name, content in some_digits().items():
            Path(folder, prefix + name).write_bytes(content)


def letters(patch):
    digits(patch)
    path = Path("digits/train-labels-idx1-ubyte")
    content = path.read_bytes()
    path.write_bytes(content[:11] + b"M" + content[12:])


def at_step(patch, number, what):
    """Call `what` at the beginning of a training step. (Step 0 only loads kernels.)"""
    count, step = [0], trainer.Trainer.step

    def stepped(self):
        count[0] += 1
        if count[0] == number + 1:
            what()
        return step(self)

    patch.setattr(trainer.Trainer, "step", stepped)


def full_disk(patch):
    digits(patch)
    write = checkpoint.write_archive

    def full(path, header, *more):
        if header["step"] == 4:
            raise OSError(28, "No space left on device")
        write(path, header, *more)

    patch.setattr(checkpoint, "write_archive", full)


def ctrl_c(patch):
    digits(patch)
    at_step(patch, 4, lambda: signal.raise_signal(signal.SIGINT))


def pages(patch):
    Image.new("L", (90, 40), 255).save("page.png")
    Path("notes.txt").write_text("no image")
    a_run(patch)


def no_mpi4py(patch):
    patch.setenv("PMI_SIZE", "4")
    patch.setenv("PMI_RANK", "0")
    patch.setitem(sys.modules, "mpi4py", None)


def another_mpi(patch):
    """Of four processes each sees itself alone."""
    alone = SimpleNamespace(Get_rank=lambda: 0, Get_size=lambda: 1)
    library = SimpleNamespace(COMM_WORLD=alone, Get_processor_name=lambda: "a")
    no_mpi4py(patch)
    patch.setitem(sys.modules, "mpi4py", SimpleNamespace(rc=SimpleNamespace(), MPI=library))


def two_ranks(patch, second):
    """Rank 0 of two; `second` makes the message of rank 1 from that of rank 0."""
    def all_send(message, block=b""):
        return [message, second(message)], [block, block]

    exchange = SimpleNamespace(rank=0, size=2, host="a", is_whole=True, is_over=False, all_send=all_send)
    patch.setattr(launched, "is_launched", lambda: True)
    patch.setattr(ranks, "Exchange", lambda: exchange)


def changed(**facts):
    """The message of a rank on host "b", which is that of rank 0, but for these facts if it holds any."""
    def second(message):
        content = message.content
        if isinstance(content, dict):
            content = {**content, **{name: value for name, value in facts.items() if name in content}}
        elif isinstance(content, tuple) and content[0] == "a":
            content = ("b", *content[1:])
        return message._replace(content=content)

    return second


def another_numpy(patch):
    two_ranks(patch, changed(numpy="1.26"))


def digits_of_another_machine(patch):
    two_ranks(patch, changed(**{DIGITS: "0"}))


def a_rank_without_memory(patch):
    """It fails in the first step, whose message holds the progress of the run, a number."""
    digits(patch)

    def second(message):
        in_a_step = isinstance(message.content, tuple) and isinstance(message.content[0], (int, float))
        return (message._replace(failure="MemoryError: Unable to allocate 2 GiB") if in_a_step
                else changed()(message))

    two_ranks(patch, second)


def wide_logits(patch):
    np.save("x.npy", np.zeros((8, 20)))


OPTIONS = "--data digits --hidden 4 --batch 4 --test-digits 2 --steps 40 --evaluations 0 --save-every 0"

COMMANDS: dict[str, list[Command]] = {
    "Training": [
        Command("A setting is out of range.", "train --window 20", "--window must be from 1 to 14, not 20",
                "Choose a value in the range."),
        Command("An objective does not exist.", "train --objective mse --weight 1",
                "--objective must be one of ctc, entropy, prior, focal, delay, bayes-risk, not mse",
                "ctc, the default, needs no weight."),
        Command("A weight is given without an objective.", "train --weight 0.1",
                "--weight must be 0 without an --objective, not 0.1",
                "Name the objective, as in `--objective delay --weight 0.02`."),
        Command("The weight of an objective is NaN.", "train --objective delay --weight nan",
                "--weight must be a number from -100 to 100 other than 0 with --objective delay, not nan",
                "Pass a number; 0 would be plain CTC."),
        Command("The folder of the run exists already.", "train --out runs/one",
                "--out runs/one exists: a run is never overwritten, ...",
                "Name another folder, or continue the run: `ctc-scratch train --resume runs/one`.", a_run),
        Command("The data folder does not exist.", "train --data digits",
                "digits/train-images-idx3-ubyte: expected this file, plain or .gz, found no such folder",
                "Name the folder of the four IDX files, or leave out `--data`: MNIST is part of the "
                "package."),
        Command("A data file is incomplete.", "train --data digits",
                "digits/train-images-idx3-ubyte: expected 940816 bytes ..., found at most 940815: truncated",
                "Download it again.", cut_data),
        Command("There are several data sets.", "train --data data",
                "data: expected one data set, found 2: name one of data/a, data/b/emnist-digits",
                "Name one of them: `--data data/b/emnist-digits`.", two_data_sets),
        Command("There are letters without names.", "train --data digits",
                "digits/train-labels-idx1-ubyte: expected labels 0..9, or the names of others in "
                "digits/mapping.txt ..., found label 3 = 77",
                "Put the mapping file of the data set beside its images.", letters),
        Command("Training diverges.", f"train --out runs/two --rate 30 {OPTIONS}",
                "step ...: ... training diverged, try a smaller --rate than 30; ...",
                "Start a new run with a smaller `--rate`. The exit status is 1.", digits, 1),
        Command("The disk is full.", f"train --out runs/two {OPTIONS}",
                "runs/two: No space left on device: ended after step 4, the last checkpoint is whole; ...",
                "Free some space, then continue: `ctc-scratch train --resume runs/two`.", full_disk),
        Command("Training is interrupted with Ctrl-C.", f"train --out runs/two {OPTIONS}",
                "stopped by SIGINT after step 4",
                "`ctc-scratch train --resume runs/two` continues to the same weights, bit for bit. The "
                "exit status is 130, or 143 after SIGTERM.", ctrl_c, 130),
        Command("The batch is too large.", "train --batch 1000000",
                "--batch must be from 1 to 166666 for rows of up to 6 digits, not 1000000",
                "Batches of 64 to 128 rows work well."),
    ],
    "Training on several machines": [
        Command("mpi4py or the MPI library is missing.", "train",
                "mpiexec has started 4 processes, which need mpi4py and an MPI library: pip install mpi4py "
                "mpich ...", 'Install the extra `mpi` on each machine: `pip install ".[mpi]"`.', no_mpi4py),
        Command("mpiexec and mpi4py belong to different MPI libraries.", "train",
                "mpiexec has started 4 processes, but the MPI library of mpi4py sees 1: mpiexec and mpi4py "
                "belong to different libraries",
                "Call the `mpiexec` that is installed beside Python, as in `.venv/bin/mpiexec`.",
                another_mpi),
        Command("The machines have different versions or processors.", "train",
                "rank 1 on b has numpy 1.26, rank 0 on a has ..., so their last bits can differ: make them "
                "equal, or train with --allow-different-bits",
                "With `--allow-different-bits` the last bits depend on which rank computes which shard.",
                another_numpy),
        Command("The machines have different files of digits.", "train",
                "rank 1 on b has the checksum of the digits 0, rank 0 on a has ...: give all ranks the same "
                "files of digits", "Copy the folder of `--data` to each machine, to the same path.",
                digits_of_another_machine),
        Command("A rank fails.", f"train --out runs/two {OPTIONS}",
                "rank 1 on b: MemoryError: Unable to allocate 2 GiB: ended after step 0, the last checkpoint "
                "is whole; go on with any number of ranks: ctc-scratch train --resume runs/two",
                "Mend that machine or leave it out, then continue: the weights do not depend on how many "
                "ranks there are.", a_rank_without_memory),
    ],
    "Resuming": [
        Command("There is no such run.", "train --resume runs/two",
                "runs/two: expected the folder of a run, found no such folder",
                "Check the name with `ls runs`."),
        Command("A run is resumed with other settings.", "train --resume runs/one --rate 0.1",
                "--resume goes on with the settings of runs/one, which --rate cannot change",
                "Leave them out, or start a new run with them."),
        Command("A checkpoint is damaged.", "train --resume runs/one",
                "runs/one/checkpoint.npz: expected a checkpoint file, found one that is damaged ...; the "
                "checkpoint before it is still there: ...",
                "`--resume runs/one/checkpoint.previous.npz` repeats half a minute of work; the final "
                "weights are the same.", damaged_checkpoint),
        Command("The run is being trained by another process.", "train --resume runs/one",
                "runs/one is being trained by another process: ...",
                "Wait until that process ends, or end it.", a_second_process),
        Command("The data have changed.", "train --resume runs/one",
                "runs/one/checkpoint.npz: the run learnt from other digits than those of digits; ...",
                "Restore the data, or start a new run.", other_digits),
    ],
    "Reading": [
        Command("There is no model.", "evaluate runs/two",
                "runs/two/model.npz: expected a model file, found no such file",
                "Name the folder of a run, which `ctc-scratch train` makes."),
        Command("A checkpoint is passed as the model.", "evaluate runs/one/checkpoint.npz",
                "runs/one/checkpoint.npz: expected 'ctc_scratch model' version 1, found ...",
                "Pass `runs/one/model.npz` or `runs/one`.", a_run),
        Command("Rows of 0 digits are asked for.", "evaluate runs/one --digits 0",
                "argument --digits: expected positive numbers, like 1,5,8, not '0'",
                "Write `--digits 1,5,20`."),
        Command("The image does not exist.", "read row.png --model runs/one",
                "row.png: expected an image file, found no such file",
                "Check the name and the current folder.", pages),
        Command("The file is not an image.", "read notes.txt --model runs/one",
                "notes.txt: expected an image (PNG, JPEG...), found 8 bytes that are not one",
                "Save the image as PNG or JPEG.", pages),
        Command("The page is empty.", "read page.png --model runs/one",
                "page.png: expected a row of digits, found no ink",
                "Check that the image shows a row of digits, darker or lighter than the paper.", pages),
        Command("Several readings are asked for, but `map` gives one.",
                "read page.png --top 3 --decoder map --model runs/one",
                "--top 3 needs --decoder beam; map gives a single reading", "Use `--decoder beam`.", pages),
    ],
    "Checking a CTC": [
        Command("It is not said what is to be checked.", "check",
                "expected one of MODULE:FUNCTION, --torch, --optax and --program, got none",
                "Name a function, as in `check my_module:my_ctc`, or a program."),
        Command("The module does not exist.", "check my_modul:my_ctc",
                "my_modul cannot be imported: ModuleNotFoundError: No module named 'my_modul'",
                "Call it from the folder of the module, or install it."),
        Command("The function does not exist.", "check ctc_scratch.ctc.reference:los",
                "ctc_scratch.ctc.reference has no 'los'", "Check its name."),
        Command("The program cannot be run.", "check --program ./my_ctc",
                "--program: expected a program that can be run, got './my_ctc'",
                "Check the path, and that the file may be executed; write `'python my_ctc.py'` for a "
                "script."),
        Command("A law does not exist.", "check --torch --skip gravity",
                "argument --skip: expected a law, as the report names it: every small target, ...; "
                "got 'gravity'", "Copy its name from the report."),
        Command("A library is called in another way.", "check --torch --blank 1",
                "--torch fixes how the loss is called: leave out --blank", "Leave it out."),
    ],
    "Figures": [
        Command("The resolution is not a number of dots per inch.", "show --dpi high",
                "argument --dpi: expected a number from 20 to 1200, not 'high'",
                "Write `--dpi 300`, or `--format svg` for figures of any size."),
        Command("A row has something other than digits.", "lattice --digits 7,x",
                "argument --digits: expected 1 to 20 digits, like 7,2,1, not '7,x'",
                "Separate single digits with commas."),
        Command("A row of digits is to have a number of frames.", "lattice --digits 7,2 --frames 9",
                "--frames is not for a row of digits, which the model of this package reads: leave out "
                "--frames or --digits", "Leave out one of the two: the row has as many frames as its image."),
        Command("Logits from a file are to have a number of frames.", "lattice --logits x.npy --frames 9",
                "--frames is for a toy problem, but --logits x.npy has frames of its own: leave out one of "
                "the two", "Leave out `--frames`, or save fewer frames."),
        Command("Two lessons are asked for.", "show --reading --plateau",
                "--reading and --plateau are two lessons: leave out one of them", "Call `show` twice."),
        Command("A row is given to a lesson that needs its own.", "show --objectives --digits 7,2",
                "--digits chooses the row to show, but --objectives needs rows of its own: leave out one of "
                "the two", "Use `--digits` with `--reading` or `--plateau`, or without any of them."),
    ],
    "The page": [
        Command("The page has been written before.", "explore --no-open --out notes.txt",
                "--out notes.txt exists, and is not overwritten: name another file",
                "Name another file, or delete the old one.", pages),
        Command("There are more frames than the page has room for.", "explore --no-open --frames 50",
                "--frames must be from 1 to 40, the most the page has room for, not 50",
                "For long sequences there is `ctc-scratch lattice`."),
        Command("The logits have more classes than the page has room for.",
                "explore --no-open --logits x.npy",
                "x.npy: the page has room for 1 to 40 frames and 2 to 12 classes, found 8 and 20",
                "Leave out the classes that are unlikely everywhere.", wide_logits),
        Command("The target of the page holds the blank.", "explore --no-open --target 1,0,2",
                "--target: label 1 is 0, the blank: a target holds labels only",
                "Class 0 is the blank; begin labels at 1."),
        Command("The page is to show a run, but a file is named.", "explore --no-open --run notes.txt",
                "notes.txt: expected the folder of a run, found a file",
                "Name the folder that `ctc-scratch train` made.", pages),
    ],
}


# ---- the page -----------------------------------------------------------------------------


def page() -> str:
    """The table as it stands in `tests/README.md`."""
    lines = ["The library raises before it computes anything. The message says where the error is and what",
             "was expected. Two errors are found later: -inf logits that close every path, when `out` has",
             "already been written to, and bad scores of a language model, when the search asks for them."]
    for title, calls in LIBRARY.items():
        lines += ["", f"| {title} | what it says | what to do |", "|---|---|---|"]
        lines += [f"| {case.wrong} | `{case.error.__name__}: {case.says}` | {case.mend} |" for case in calls]
    lines += ["", "The command line prints one line to stderr, after `ctc-scratch: error:`. The exit",
              "status is 2, unless the last column names another:"]
    for title, commands in COMMANDS.items():
        lines += ["", f"| {title} | what it says | what to do |", "|---|---|---|"]
        lines += [f"| {case.wrong} `{case.line.replace(' ' + OPTIONS, '')}` | `{case.says}` | {case.mend} |"
                  for case in commands]
    return "\n".join(lines)


def parts(text: str) -> tuple[str, str, str]:
    """Split the text of a README: what stands before the table, the table, and what stands after it."""
    before, _, rest = text.partition(BEGIN + "\n")
    table, _, after = rest.partition("\n" + END)
    return before, table, after


def main() -> None:
    before, _, after = parts(README.read_text(encoding="utf-8"))
    README.write_text(f"{before}{BEGIN}\n{page()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
