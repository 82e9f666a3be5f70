"""Flags: what is special about a case, what goes wrong there as a rule, and where that was reported."""

from __future__ import annotations

from mpmath import mpf

from ctc_scratch.ctc.labels import count_repeats

from .solved import CLOSED

GITHUB = "https://github.com/"

FLAGS = {
    "BadBlank": ("The blank is none of the classes.", []),
    "BadLabel": ("A used label is no class, or is the blank. It must be refused before it is used as an"
                 " index.",
                 ["pytorch/pytorch#78151", "pytorch/pytorch#193794", "pytorch/pytorch#174602"]),
    "BadLength": ("A length is negative, or larger than the array that it counts.",
                  ["pytorch/pytorch#51732"]),
    "Blank": ("The blank is not class 0.", []),
    "ClosedForm": ("The loss has a closed form, which the comment states.", []),
    "Confident": ("The loss is below 1/1000. 1 - p has few digits left where p is rounded to 1; in log space"
                  " the loss may even round to below 0.",
                  ["google-deepmind/optax#1771", "keras-team/keras#23684"]),
    "EmptyTarget": ("U = 0: the only state is one blank, so no last label may be read or written.",
                    ["pytorch/pytorch#18215"]),
    "Improbable": ("The loss is above 8 nats per frame: linear space underflows without scaling.", []),
    "LongTarget": ("U >= 256, where some implementations change to other code.",
                   ["pytorch/pytorch#53505", "pytorch/pytorch#27442"]),
    "MinusInfinity": ("Some used logits are -inf, for probability 0. A finite stand-in such as -1e5 gives"
                      " other answers, and -inf minus -inf is NaN.", []),
    "MustAccept": ("Looks wrong, but is not: what is bad lies in padding, where nothing may be read.", []),
    "NoFrames": ("T = 0: the empty labelling has probability 1, every other 0.", []),
    "NoPath": ("The target fits its frames, but -inf logits close every alignment.", []),
    "NotFinite": ("A used logit is NaN or +inf, or all classes of a used frame are -inf.", []),
    "OneClass": ("C = 1: the blank is certain, and all gradients are 0.", []),
    "OneFrame": ("T = 1: there is no move from frame to frame.", []),
    "Padding": ("Fewer frames or labels are used than given; the rest must not be read, and its gradient is"
                " 0.",
                ["pytorch/pytorch#14401"]),
    "Ragged": ("The sequences of the batch have different lengths; padding has gradient 0.",
               ["pytorch/pytorch#14401"]),
    "Repeat": ("Equal labels stand side by side: a path must pass through the blank between them."
               " Occupancies of the states of one class have to be added up.", []),
    "RepeatFeasibility": ("T >= U, but T < U + r, where r counts equal neighbours: the target does not fit.",
                          ["mozilla/DeepSpeech#1629", "tensorflow/tensorflow#12215"]),
    "Reductions": ("What \"sum\", \"batchmean\" and \"mean\" make of the losses of a batch.", []),
    "Tight": ("T = U + r: the only alignment leaves no frame to spare.", []),
    "TooShort": ("T < U + r: no alignment exists.", []),
    "Transposable": ("As many sequences as frames: a batch-major reader of time-major logits sees no"
                     " wrong shape.",
                     ["tensorflow/tensorflow#6388"]),
    "Wide": ("Some used logits of a frame are more than 30 apart.", []),
}


def described(names):
    """The entries of a file's `flags` for the names that it uses."""
    def url(issue):
        repository, _, number = issue.partition("#")
        return f"{GITHUB}{repository}/issues/{number}"
    return {name: {"text": FLAGS[name][0], "issues": [url(issue) for issue in FLAGS[name][1]]}
            for name in sorted(names)}


def flags_of(draft, answers):
    """The flags that follow from the input and its answers."""
    T, U = draft.lengths
    ks, labels = draft.ks[:T], draft.target[:U]
    r, C = count_repeats(labels), ks.shape[1]
    loss = mpf(answers["loss"])
    no_alignment = answers["alignments"] == "0"
    spread = [row[row > CLOSED] for row in ks]
    conditions = {
        "Blank": draft.blank != 0,
        "Confident": loss < mpf(1) / 1000 and C > 1 and T > 0,
        "EmptyTarget": U == 0,
        "Improbable": 8 * T < loss < mpf("inf"),
        "LongTarget": U >= 256,
        "MinusInfinity": bool((ks == CLOSED).any()),
        "NoFrames": T == 0,
        "NoPath": loss == mpf("inf") and not no_alignment,
        "OneClass": C == 1,
        "OneFrame": T == 1,
        "Padding": (T, U) != (len(draft.ks), len(draft.target)),
        "Repeat": r > 0,
        "RepeatFeasibility": U <= T < U + r,
        "Tight": 0 < U + r == T,
        "TooShort": no_alignment,
        "Wide": any(row.size and row.max() - row.min() > 30 * 64 for row in spread),
    }
    return {name for name, holds in conditions.items() if holds}
