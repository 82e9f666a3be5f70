"""Wrong twins: the reference with one mistake each, so that a report can name the mistake that it sees.

A twin replaces a piece of code in `reference.py` or `batch.py` by a wrong one. It describes the mistake in
one line, and the replaced code is the place that does it right.
"""

from __future__ import annotations

import functools
import inspect
from types import ModuleType
from typing import Any, Callable, NamedTuple, Union

from ..ctc import reference
from . import batch

SOURCES = {"reference": inspect.getsource(reference), "batch": inspect.getsource(batch)}
FILES = {"reference": "ctc_scratch/ctc/reference.py", "batch": "ctc_scratch/check/batch.py"}


Variant = Union[str, tuple[tuple[str, str], ...]]
"""The text that replaces the right one; or several pairs of a right text and its replacement."""


class Twin(NamedTuple):
    """A mistake: the code `right` is replaced by one of `wrong`, which are variants of the same mistake.

    rounding : whether the mistake is recognised by `answers.is_float32`, as rounding depends on the program
    """

    name: str
    why: str
    right: str
    wrong: tuple[Variant, ...]
    source: str = "reference"
    rounding: bool = False

    @property
    def place(self) -> str:
        """File, line and function of the code that does it right: where the replaced text stands first."""
        return place_of(self.right, SOURCES[self.source], FILES[self.source])

    def solvers(self) -> list[Callable[..., Any]]:
        """The function `batch.solve` of each variant."""
        return [_solver(self.source, ((self.right, wrong),) if isinstance(wrong, str) else wrong)
                for wrong in self.wrong]


@functools.lru_cache(maxsize=None)
def _solver(source: str, changes: tuple[tuple[str, str], ...]) -> Callable[..., Any]:
    changed = SOURCES[source]
    for right, wrong in changes:
        changed = changed.replace(right, wrong)
    twin = altered(batch, changed if source == "batch" else SOURCES["batch"])
    if source == "reference":
        single = altered(reference, changed)
        twin.__dict__.update(loss_and_grad=single.loss_and_grad, log_softmax=single.log_softmax)
    return twin.solve


def place_of(text: str, source: str, path: str) -> str:
    """File, line and function of a text in the source of a file: where it stands first."""
    before = source[:source.index(text)]
    function = before[before.rindex("\ndef ") + 5:].partition("(")[0]
    return f"{path}:{before.count(chr(10)) + 1} ({function})"


def altered(original: ModuleType, text: str) -> ModuleType:
    """A copy of a module that is made from another source text."""
    twin = ModuleType(f"twin of {original.__name__}")
    twin.__package__ = original.__package__     # for its relative imports
    exec(compile(text, twin.__name__, "exec"), twin.__dict__)
    return twin


# Code of the reference.
SKIPS, EXT = "skips = can_skip(ext)", "ext = extend(labels, blank)"
START = "log_alpha[0, :2] = log_probs[0, ext[:2]]"
MOVES = "log_add(stay, step, skip) + log_probs[t, ext]"
SHARED = "log_add(stay, step, skip)"
END = "return float(np.logaddexp.reduce(forward(log_probs, labels, blank)[-1, -2:]))"
LIKELIHOOD = END.removeprefix("return ")
BACK_SKIP = "skip = _shift(np.where(skips, after, -np.inf), -2)"
SHIFT = "logits = logits - logits.max(axis=-1, keepdims=True)"
SOFTMAX = "return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))"
LOG_PROBS = "log_probs = log_softmax(logits)"
LOSS = "loss = 0.0 - log_likelihood(log_probs, labels, blank)  # never -0.0"
GRAD = "return loss, np.exp(log_probs) - occupancy(log_probs, labels, blank)"
ZERO = "return loss, np.zeros_like(logits)"
NORMED = "return np.exp(log_softmax(log_joint))"
SUMMED = "np.add.at(posterior.T, extend(labels, blank), gamma(log_probs, labels, blank).T)"
LEAST = ("1e-5", "1e-6", "1e-7", "1e-8", "1e-10", "1e-12", "1e-15", "1e-16", "1e-20", "1e-30", "1e-38",
         "2.0 ** -149", "2.0 ** -126", "2.0 ** -52", "2.0 ** -23")
"""Small probabilities to which programs clamp; the powers of two are constants of float32 and float64."""

PENALISED = (
    (SKIPS, SKIPS + "; barred = np.where(skips, 0.0, np.where(np.arange(len(ext)) % 2, -1e5, -np.inf))"),
    (START, "first = np.where(np.arange(S), -1e5, 0.0)\n"
     "        reached = log_add(first, _shift(first, 1), _shift(first, 2) + barred)\n"
     "        log_alpha[0] = reached + log_probs[0, ext]"),
    ("np.where(skips, _shift(log_alpha[t - 1], 2), -np.inf)", "_shift(log_alpha[t - 1], 2) + barred"),
    (BACK_SKIP, "skip = _shift(after + barred, -2)"),
    ("if len(labels) == 0 else -np.inf", "if len(labels) == 0 else np.log(2) - 1e5"))
"""A start in any state, and a skip between equal labels, have the weight e^-1e5."""

# Code of the batch.
FRAMES, LABELS = "logits[:logit_lengths[n], n]", "targets[n, :target_lengths[n]]"
MEAN = "weights = 1 / (N * np.maximum(target_lengths, 1))"
WEIGHTS = "weights = np.ones(N)"
WEIGHED = "grad = grad * weights[:, None]"
RESULT = "return (losses if reduction"
FITS = "fits = losses < np.inf"
ZEROED = "losses = np.where(fits, losses, 0.0)"
RAISED = 'if infeasible == "raise" and not fits.all():'
PER_CLASS = "grad = grad - np.exp(log_softmax(logits))"


def _last(what: str, at: str) -> str:
    return LIKELIHOOD.replace("[-1, -2:]", what).join(["return ", at])


TWINS = (
    # ---- moves
    Twin("skips equal labels", "a path may go from a label to the next one even if they are equal",
         SKIPS, ("skips = np.arange(len(ext)) % 2 == 1",)),
    Twin("never skips", "a path must pass through the blank between any two labels",
         SKIPS, ("skips = np.zeros(len(ext), bool)",)),
    Twin("skips labels", "a path may go from blank to blank over a label",
         SKIPS, ("skips = np.ones(len(ext), bool)",)),
    Twin("never stays", "a path must leave its state in every frame", SHARED, ("log_add(step, skip)",)),
    Twin("never steps", "a path cannot go from a label to the blank after it, or back",
         SHARED, ("log_add(stay, skip)",)),
    Twin("best path for the sum", "the loss of the best path (Viterbi), not of all paths",
         SHARED, ("np.maximum.reduce([stay, step, skip])",)),
    Twin("emission of the frame before", "alpha at frame t is multiplied by the emissions of frame t - 1",
         MOVES, (MOVES.replace("[t, ext]", "[t - 1, ext]"),)),
    Twin("skip mask not moved in the backward pass",
         "whether s may skip to s + 2 is looked up at s, not at s + 2",
         BACK_SKIP, ("skip = np.where(skips, _shift(after, -2), -np.inf)",)),
    # ---- blank and labels
    Twin("blank assumed 0", "the blank is class 0, whatever blank is passed",
         EXT, ("ext = extend(labels, 0)",)),
    Twin("blank assumed last", "the blank is the last class, whatever blank is passed",
         EXT, ("ext = extend(labels, log_probs.shape[1] - 1)",)),
    Twin("no blank before the first label", "paths start only in the first label",
         START, ("log_alpha[0, 1:2] = log_probs[0, ext[1:2]]",)),
    Twin("merges equal labels of the target", "two equal labels side by side count as one",
         LOG_PROBS, (LOG_PROBS + "\n    labels = [c for u, c in enumerate(labels)"
                     " if u == 0 or c != labels[u - 1]]",)),
    Twin("drops the last label", "the last label of the target is not used",
         LOG_PROBS, (LOG_PROBS + "; labels = labels[:-1]",)),
    # ---- start and end
    Twin("starts only in the blank", "a path cannot begin with the first label",
         START, ("log_alpha[0, :1] = log_probs[0, ext[:1]]",)),
    Twin("starts anywhere", "a path may begin in any state", START, ("log_alpha[0] = log_probs[0, ext]",)),
    Twin("ends only in the last state", "a path must end in the last blank", END, (_last("[-1, -1:]", ""),)),
    Twin("ends only in the last label", "a path must end in the last label",
         END, (_last("[-1, -2:-1]", ""), _last("[-1, -2:][:1]", ""))),
    Twin("ends anywhere", "a path may end in any state", END, (_last("[-1]", ""),)),
    Twin("off by one in T", "the last frame is not read",
         END, (_last("[max(len(log_probs) - 2, 0), -2:]", ""),)),
    Twin("first frame not read", "the recursion starts in the second frame",
         END, (END.replace("forward(log_probs,",
                           "forward(log_probs[1:] if len(log_probs) > 1 else log_probs,"),)),
    Twin("U = 0 is impossible", "the empty target has loss inf",
         END, (f"{END} if len(labels) else -np.inf",)),
    Twin("blank skipped at U = 0", "the empty target has loss 0, not the loss of a path of blanks",
         END, (f"{END} if len(labels) else 0.0",)),
    # ---- backward pass and gradient
    Twin("beta ends only in the blank", "the backward pass starts only in the last state",
         "log_beta[-1, -2:] = 0.0", ("log_beta[-1, -1:] = 0.0",)),
    Twin("beta ends only in the label", "the backward pass starts only in the last label",
         "log_beta[-1, -2:] = 0.0", ("log_beta[-1, -2:-1] = 0.0", "log_beta[-1, -2:][:1] = 0.0")),
    Twin("beta has the emission of its frame", "alpha beta counts the emission of each frame twice",
         "log_joint = forward(log_probs, labels, blank) + backward(log_probs, labels, blank)",
         ("log_joint = forward(log_probs, labels, blank) + backward(log_probs, labels, blank)"
          " + log_probs[:, extend(labels, blank)]",)),
    Twin("occupancy overwritten at repeats", "of several states of the same class, only the last counts",
         SUMMED, ("posterior.T[extend(labels, blank)] = gamma(log_probs, labels, blank).T",)),
    Twin("occupancy not divided by p", "alpha beta is taken for gamma, without division by p(labels | x)",
         NORMED, ("return np.exp(log_joint)",)),
    Twin("sign of the gradient", "the gradient is occupancy - softmax: that of the log-likelihood",
         GRAD, ("return loss, occupancy(log_probs, labels, blank) - np.exp(log_probs)",)),
    Twin("gradient w.r.t. log-probs in place of logits", "the gradient lacks the softmax: it is -occupancy",
         GRAD, ("return loss, -occupancy(log_probs, labels, blank)",)),
    Twin("gradient w.r.t. logits in place of log-probs", "the gradient is softmax - occupancy",
         PER_CLASS, ("pass",), "batch"),
    Twin("gradient w.r.t. probs in place of logits", "the gradient is -occupancy / probs",
         GRAD, ("return loss, -occupancy(log_probs, labels, blank) / np.exp(log_probs)",)),
    Twin("no gradient for the blank", "the gradient of the blank's logit is 0",
         GRAD, (GRAD.replace("np.exp(log_probs) - occupancy(log_probs, labels, blank)",
                             "(np.exp(log_probs) - occupancy(log_probs, labels, blank))"
                             " * (np.arange(log_probs.shape[1]) != blank)"),)),
    Twin("softmax left in an infeasible sample", "a sample of loss inf has the gradient softmax, not 0",
         ZERO, ("return loss, np.exp(log_probs)",)),
    Twin("NaN in an infeasible sample", "a sample of loss inf has gradient NaN, not 0",
         ZERO, ("return loss, np.full_like(logits, np.nan)",
                "return np.nan, np.full_like(logits, np.nan)")),
    Twin("NaN at logits of -inf", "a class of probability 0 makes gradients of its frame NaN",
         GRAD, (f"{GRAD} + 0 * logits",
                f"{GRAD} + 0 * logits.sum(axis=1, keepdims=True)")),
    Twin("no frames refused", "T = 0 raises an error, but the empty target has loss 0, and every other inf",
         LOG_PROBS, (f"{LOG_PROBS} if len(logits) else logits[0]",)),
    # ---- softmax and numbers
    Twin("no softmax", "the logits are taken for log-probabilities", LOG_PROBS, ("log_probs = logits",)),
    Twin("softmax twice", "the softmax of the softmax is taken",
         LOG_PROBS, ("log_probs = log_softmax(np.exp(log_softmax(logits)))",)),
    Twin("softmax over the frames", "probabilities sum to 1 over the frames, not over the classes",
         LOG_PROBS, ("log_probs = log_softmax(logits.T).T if len(logits) else logits",)),
    Twin("softmax overflows", "exp is taken of the logits without subtracting their maximum",
         SHIFT, ("pass",)),
    Twin("probabilities clamped", "a small number is the lower limit of probabilities, or is added to each",
         LOG_PROBS, tuple(f"log_probs = np.maximum(log_softmax(logits), np.log({least}))" for least in LEAST)
         + tuple(f"log_probs = np.log(np.exp(log_softmax(logits)) + {least})" for least in LEAST)),
    Twin("probabilities underflow", "ln y is computed as the logarithm of the probability, which may be 0",
         LOG_PROBS, ("log_probs = np.log(np.exp(log_softmax(logits)))",)),
    Twin("-1e5 for -inf", "an impossible state has a large negative number for its log-probability",
         "-np.inf)", ("-1e5)", "-1e4)", "-1e6)", "-1e9)", "-1e10)", "-1e30)", "-1e38)", PENALISED)),
    Twin("float32 inside", "the errors are those of arithmetic in float32",
         "log_alpha = np.full((T, S), -np.inf)", ("log_alpha = np.full((T, S), -np.inf, np.float32)",),
         rounding=True),
    # ---- the loss
    Twin("sign of the loss", "the loss is ln p, not -ln p",
         GRAD, (GRAD.replace("loss,", "-loss,"),)),
    Twin("loss per label", "the loss is divided by the number of labels",
         LOSS, (f"{LOSS.partition('  #')[0]}; loss /= max(len(labels), 1)",)),
    Twin("loss per frame", "the loss is divided by the number of frames",
         LOSS, (f"{LOSS.partition('  #')[0]}; loss /= max(len(logits), 1)",)),
    Twin("p for -ln p", "the loss is the probability itself",
         GRAD, (GRAD.replace("loss,", "np.exp(-loss),"),)),
    Twin("bits for nats", "the loss is a logarithm to base 2",
         LOSS, (f"{LOSS.partition('  #')[0]}; loss /= np.log(2)",)),
    # ---- batch
    Twin("ignores lengths", "every sample has as many frames as the longest",
         FRAMES, ("logits[:, n]",), "batch"),
    Twin("ignores target lengths", "padded labels are taken for labels",
         LABELS, ("targets[n]",), "batch"),
    Twin("lengths one too short", "the last frame of each sample is not read",
         FRAMES, ("logits[:max(logit_lengths[n] - 1, 0), n]",), "batch"),
    Twin("lengths of the first sample", "every sample has as many frames as the first",
         FRAMES, ("logits[:logit_lengths[0], n]",), "batch"),
    Twin("reads padding", "the gradient of padded frames is their softmax, not 0",
         WEIGHTS, (WEIGHTS + "\n    for n in range(N):\n        grad[logit_lengths[n]:, n] = "
                   "np.exp(log_softmax(logits[:, n]))[logit_lengths[n]:]",), "batch"),
    Twin("transposed batch", "the logits (T, N, C) are read as if they were (N, T, C)",
         FRAMES, ("logits.reshape(N, T, C)[n, :logit_lengths[n]]",), "batch"),
    Twin("targets of the next sample", "sample n is given the target of sample n + 1",
         LABELS, ("targets[(n + 1) % N, :target_lengths[(n + 1) % N]]",), "batch"),
    Twin("lost offsets of targets", "padded targets are read as if they were concatenated without padding",
         LABELS, ("targets.ravel()[sum(target_lengths[:n]):][:target_lengths[n]]",), "batch"),
    Twin("mean over labels", "each loss is divided by its number of labels, which was not asked for",
         WEIGHTS, (WEIGHTS.replace("np.ones(N)", "1 / np.maximum(target_lengths, 1)"),), "batch"),
    Twin("sum for mean", "the losses are added up, not averaged",
         MEAN, ("pass",), "batch"),
    Twin("sum for batchmean", "the losses are added up, not averaged",
         "weights = np.full(N, 1 / N)", ("pass",), "batch"),
    Twin("mean over samples only", "the mean is of the losses, not of each loss per label",
         MEAN, ("weights = np.full(N, 1 / N)",), "batch"),
    Twin("mean over all labels", "the sum of the losses is divided by the number of all labels",
         MEAN, ("weights = np.full(N, 1 / max(target_lengths.sum(), 1))",), "batch"),
    Twin("mean for sum", "the losses are divided by the number of samples",
         WEIGHTS, ("weights = np.full(N, 1 / N)",), "batch"),
    Twin("mean divides by U = 0", "an empty target makes the mean inf or NaN",
         MEAN, ("weights = 1 / (N * target_lengths)",), "batch"),
    Twin("gradient not reduced", "the gradient is that of the sum, although the loss is a mean",
         WEIGHED, ("pass",), "batch"),
    # ---- targets that do not fit
    Twin("loss 0 for an infeasible target", "a target without a path has loss 0, not inf",
         RESULT, ("losses[~fits] = 0\n    " + RESULT,), "batch"),
    Twin("loss inf for an infeasible target", "a target without a path has loss inf, not 0",
         ZEROED, ("pass",), "batch"),
    Twin("infeasible target not refused", "a target without a path raises no error",
         RAISED, ("if False:",), "batch"),
    Twin("NaN for an infeasible target", "a target without a path has loss NaN",
         RESULT, ("losses[~fits] = np.nan\n    " + RESULT,), "batch"),
    Twin("one infeasible target spoils the batch", "the other samples of its batch have loss inf too",
         FITS, (FITS + "\n    losses = losses + np.where(fits.all(), 0.0, np.inf)",), "batch"),
    Twin("feasible samples lose their gradient", "the gradient of a batch with an infeasible target is 0",
         FITS, (FITS + "\n    grad = grad * fits.all()",), "batch"),
)


def twin_named(name: str) -> Twin:
    return next(twin for twin in TWINS if twin.name == name)
