"""What goes wrong, what is said, what to do: the cases behind the table in `tests/README.md`.

    python -m tests.errors          # writes the table anew

Each case is a call or a command line that fails. `tests/commands/test_errors.py` runs each of them and
compares the error message with the table.
"""

from __future__ import annotations

import functools
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ctc_scratch import (
    BeamStream,
    InfeasibleTargetError,
    align,
    ctc_loss,
    label_error_rate,
    log_partition,
    map_decode,
    prefix_beam_search,
)
from ctc_scratch.digits.data.mnist_files import load_mnist, training_split
from ctc_scratch.digits.training import checkpoint, trainer
from ctc_scratch.digits.training.run_folder import RunFolder, locked
from ctc_scratch.digits.training.settings import Settings
from tests.tools.small_runs import SMALL, write_digits

README = Path(__file__).with_name("README.md")
BEGIN = "<!-- the table of errors: python -m tests.errors -->"
END = "<!-- the end of the table of errors -->"


class Call(NamedTuple):
    """A call that raises."""

    wrong: str                          # what went wrong, in the user's words
    call: Callable[[], Any]
    error: type[Exception]
    says: str                           # ... stands for anything
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


class Rude:
    """A language model that scores nothing."""

    def score(self, prefix, label):
        return float("nan")

    def __repr__(self):
        return "<a model>"


class NoModel:
    def __repr__(self):
        return "<a model>"


def stream_of_other_classes():
    stream = BeamStream()
    stream.push(X[:, 0])
    stream.push(X[:, 0, :4])


# What calls of the library say, by the part of the call that is wrong.
LIBRARY: dict[str, list[Call]] = {
    "Targets": [
        Call("More labels, with their repeats, than frames.",
             lambda: ctc_loss(X[:4], [[1, 2], [3, 3, 4, 4]]), InfeasibleTargetError,
             "target 1 needs 6 frames (4 labels + 2 repeats) but has 4",
             'More frames (a smaller window or stride), or a shorter target. `infeasible="zero"` leaves such '
             "samples out of the loss; `diagnose` looks through a whole batch or data set."),
        Call("-inf logits leave no path.",
             lambda: ctc_loss(with_logit(-np.inf, slice(None), 0, 2), TARGETS), InfeasibleTargetError,
             "target 0 has probability 0: its 8 frames would do, ..., but -inf logits close every path",
             "A class that the target needs is masked everywhere: mask less, or drop the sample."),
        Call("The blank is among the labels.", lambda: ctc_loss(X, [[1, 0, 2], [3]]), ValueError,
             "targets[0][1] is 0, the blank: a target holds labels only",
             "Take it out, or name the class that is the blank with `blank=`."),
        Call("Padding is taken for a label.", lambda: ctc_loss(X, np.array([[1, 2, -1], [3, 4, 4]])),
             ValueError, "targets[0][2] is -1, but the logits have classes 0..4",
             "Say where the targets end with `target_lengths`."),
        Call("A label that is no class.", lambda: ctc_loss(X, [[1, 2], [3, 5]]), ValueError,
             "targets[1][1] is 5, but the logits have classes 0..4",
             "The blank is a class too: K labels need K + 1 classes."),
        Call("Labels that are no integers.", lambda: ctc_loss(X, [[1.0, 2.0], [3.0]]), TypeError,
             "targets[0] must hold integers, got an array of float64", "`.astype(int)`, if they are whole."),
        Call("Another number of targets than of sequences.", lambda: ctc_loss(X, [[1]] * 8), ValueError,
             "8 targets for a batch of 2; layout='TNC' has time first, layout='NTC' the batch",
             "Most often the axes: `layout=\"NTC\"`."),
        Call("Targets end to end, but not where each ends.", lambda: ctc_loss(X, np.array([1, 2, 3])),
             ValueError, "targets in one dimension (3 values) for a batch of 2 need target_lengths",
             "Pass `target_lengths`, or a list of targets."),
        Call("The ends do not fit.", lambda: ctc_loss(X, np.array([1, 2, 3]), None, [2, 2]), ValueError,
             "target_lengths add up to 4, targets hold 3 values", "Look at how the targets were joined."),
    ],
    "Logits and lengths": [
        Call("A NaN or +inf in a frame that is used.", lambda: ctc_loss(with_logit(np.nan, 3, 1, 0), TARGETS),
             ValueError, "logits[t=3, n=1, c=0] is nan; a logit is finite, or -inf for probability 0",
             "The network has diverged: a smaller learning rate, clipped gradients. NaN in padding does no "
             "harm: `logit_lengths` says where it begins."),
        Call("A frame in which no class is possible.", lambda: ctc_loss(with_logit(-np.inf, 3, 1), TARGETS),
             ValueError, "logits[t=3, n=1] is -inf in every class c=0..4: no class is left to emit",
             "A mask that covers all, or the log of a row of zeros. Padding is cut with `logit_lengths`."),
        Call("More frames than there are.", lambda: ctc_loss(X, TARGETS, [8, 32]), ValueError,
             "logit_lengths[1] is 32, the logits have 8 frames",
             "Count frames behind the network, not columns or samples before it."),
        Call("Lengths of another batch.", lambda: ctc_loss(X, TARGETS, [8, 8, 8]), ValueError,
             "logit_lengths must have shape (2,), one for each sequence, got (3,)",
             "One length for each sequence; look at `layout`."),
        Call("An axis too few or too many.", lambda: ctc_loss(X[None], TARGETS), ValueError,
             "logits must have shape (T, N, C) or (T, C), got (1, 8, 2, 5)",
             "Index or reshape; one sequence may come as (T, C)."),
        Call("Logits that are no numbers.", lambda: ctc_loss(X.astype(object), TARGETS), TypeError,
             "logits must be real numbers, got an array of object",
             "Of a torch tensor: `.detach().cpu().numpy()`."),
        Call("A blank that is no class.", lambda: ctc_loss(X, TARGETS, blank=5), ValueError,
             "blank is 5, but the logits have classes 0..4",
             "Classes count from 0; the blank is 0 unless you say otherwise."),
        Call("An option that does not exist.", lambda: ctc_loss(X, TARGETS, reduction="average"), ValueError,
             "reduction must be 'none', 'sum', 'batchmean' or 'mean', got 'average'",
             '`"mean"` is torch\'s, `"batchmean"` the plain one.'),
        Call("Memory for the gradient that does not fit.",
             lambda: ctc_loss(X, TARGETS, out=np.empty(X.shape, np.float32)), ValueError,
             "out must be float64 of shape (8, 2, 5), got float32 of shape (8, 2, 5)",
             "`np.empty_like(logits)`, once, before the loop."),
        Call("The logits as memory for the gradient.", lambda: ctc_loss(X, TARGETS, out=X), ValueError,
             "out must not share memory with the logits, which are still needed", "An array of its own."),
        Call("A batch where one sequence is asked for.", lambda: align(X, [1, 2]), ValueError,
             "logits must have shape (T, C), got (8, 2, 5)", "`logits[:lengths[n], n]`, one at a time."),
        Call("A batch of scores in the same way.", lambda: log_partition(X, [[1], [2]]), ValueError,
             "scores must have shape (T, C), got (8, 2, 5)", "`scores[:, n]`."),
    ],
    "Decoders and metrics": [
        Call("A beam of nothing.", lambda: prefix_beam_search(X, beam_width=0), ValueError,
             "beam_width must be at least 1, got 0", "16 is the default."),
        Call("More readings than the beam is wide.", lambda: prefix_beam_search(X, top=20), ValueError,
             "top is 20, but a beam of width 16 holds no more than that", "`beam_width=20`, or more."),
        Call("A language model of another kind.",
             lambda: prefix_beam_search(X, language_model=NoModel()), TypeError,
             "language_model must have a method score(prefix, label), got <a model>",
             "Wrap it in an object with that method; it returns a natural logarithm, weighted."),
        Call("A language model that gives NaN or +inf.",
             lambda: prefix_beam_search(X, language_model=Rude()), ValueError,
             "language_model.score gave nan for the labels [1]; a score is finite, or -inf for ...",
             "Ask it for these labels; a negative probability or 0 / 0 is behind it."),
        Call("A stream that changes its classes.", stream_of_other_classes, ValueError,
             "a stream that began with 5 classes got 4", "A stream for each model."),
        Call("No budget.", lambda: map_decode(X, budget=0), ValueError, "budget must be at least 1, got 0",
             "Prefixes to extend; 10 000 is the default."),
        Call("Readings and truths that do not pair.", lambda: label_error_rate([[1]], [[1], [2]]), ValueError,
             "hypotheses and references go in pairs, got 1 and 2",
             "One reading for each truth, empty ones too."),
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


def at_step(patch, number, what):
    """Let something happen at a step of training; the first one loads kernels."""
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


OPTIONS = "--data digits --hidden 4 --batch 4 --test-digits 2 --steps 40 --evaluations 0 --save-every 0"

COMMANDS: dict[str, list[Command]] = {
    "Training": [
        Command("A setting out of range.", "train --window 20", "--window must be from 1 to 14, not 20",
                "Name one in the range."),
        Command("A folder that is there already.", "train --out runs/one",
                "--out runs/one exists: a run is never overwritten, ...",
                "Name another folder, or go on with the run: `ctc-scratch train --resume runs/one`.", a_run),
        Command("No data.", "train --data digits",
                "digits/train-images-idx3-ubyte: expected this file, plain or .gz, found no such folder",
                "Name the folder of the four IDX files, or leave `--data` out: MNIST comes along."),
        Command("Half a download.", "train --data digits",
                "digits/train-images-idx3-ubyte: expected 940816 bytes ..., found at most 940815: truncated",
                "Load it again.", cut_data),
        Command("Training diverges.", f"train --out runs/two --rate 30 {OPTIONS}",
                "step ...: ... training diverged, try a smaller --rate than 30; ...",
                "A smaller `--rate`, in a new run. Exit status 1.", digits, 1),
        Command("The disk is full.", f"train --out runs/two {OPTIONS}",
                "runs/two: No space left on device: ended after step 4, the last checkpoint is whole; ...",
                "Make room, then `ctc-scratch train --resume runs/two`.", full_disk),
        Command("Ctrl-C.", f"train --out runs/two {OPTIONS}", "stopped by SIGINT after step 4",
                "`ctc-scratch train --resume runs/two` goes on to the same weights, bit for bit. Exit status "
                "130; of SIGTERM 143.", ctrl_c, 130),
        Command("A batch beyond any memory.", "train --batch 1000000",
                "--batch must be from 1 to 166666 for rows of up to 6 digits, not 1000000",
                "64 to 128 rows learn well."),
    ],
    "Going on": [
        Command("No run there.", "train --resume runs/two",
                "runs/two: expected the folder of a run, found no such folder", "Check the name: `ls runs`."),
        Command("Other settings.", "train --resume runs/one --rate 0.1",
                "--resume goes on with the settings of runs/one, which --rate cannot change",
                "Leave them out, or begin a new run with them."),
        Command("A damaged checkpoint.", "train --resume runs/one",
                "runs/one/checkpoint.npz: expected a checkpoint file, found one that is damaged ...; the "
                "checkpoint before it is still there: ...",
                "`--resume runs/one/checkpoint.previous.npz`: half a minute of work is done again, and the "
                "weights at the end are the same.", damaged_checkpoint),
        Command("It is being trained already.", "train --resume runs/one",
                "runs/one is being trained by another process: ...",
                "Wait for its end, or end it.", a_second_process),
        Command("The data have changed.", "train --resume runs/one",
                "runs/one/checkpoint.npz: the run learnt from other digits than those of digits; ...",
                "Put them back, or begin a new run.", other_digits),
    ],
    "Reading": [
        Command("No model.", "evaluate runs/two",
                "runs/two/model.npz: expected a model file, found no such file",
                "Name the folder of a run; `ctc-scratch train` makes one."),
        Command("A checkpoint in its place.", "evaluate runs/one/checkpoint.npz",
                "runs/one/checkpoint.npz: expected 'ctc_scratch model' version 1, found ...",
                "`runs/one/model.npz`, or `runs/one`.", a_run),
        Command("Rows without a digit.", "evaluate runs/one --digits 0",
                "argument --digits: expected positive numbers, like 1,5,8, not '0'", "`--digits 1,5,20`."),
        Command("No image.", "read row.png --model runs/one",
                "row.png: expected an image file, found no such file",
                "Check the name and the folder you are in.", pages),
        Command("A file of another kind.", "read notes.txt --model runs/one",
                "notes.txt: expected an image (PNG, JPEG...), found 8 bytes that are none",
                "Save it as PNG or JPEG.", pages),
        Command("An empty page.", "read page.png --model runs/one",
                "page.png: expected a row of digits, found no ink",
                "Is there a row of digits in it, darker or lighter than the paper?", pages),
        Command("Several readings where there is one.",
                "read page.png --top 3 --decoder map --model runs/one",
                "--top 3 needs --decoder beam; map gives a single reading", "`--decoder beam`.", pages),
    ],
}


# ---- the page -----------------------------------------------------------------------------


def page() -> str:
    """The table as it stands in `tests/README.md`."""
    lines = ["The library raises before it computes anything, and names the place and what was expected.",
             "Only that -inf logits close every path is seen by computing, when `out` has been written to:"]
    for title, calls in LIBRARY.items():
        lines += ["", f"| {title} | what it says | what to do |", "|---|---|---|"]
        lines += [f"| {case.wrong} | `{case.error.__name__}: {case.says}` | {case.mend} |" for case in calls]
    lines += ["", "The command line says it in one line on stderr, behind `ctc-scratch: error:`; the exit",
              "status is 2 unless another is named:"]
    for title, commands in COMMANDS.items():
        lines += ["", f"| {title} | what it says | what to do |", "|---|---|---|"]
        lines += [f"| {case.wrong} `{case.line.replace(' ' + OPTIONS, '')}` | `{case.says}` | {case.mend} |"
                  for case in commands]
    return "\n".join(lines)


def parts(text: str) -> tuple[str, str, str]:
    """A README before, in and after the table."""
    before, _, rest = text.partition(BEGIN + "\n")
    table, _, after = rest.partition("\n" + END)
    return before, table, after


def main() -> None:
    before, _, after = parts(README.read_text(encoding="utf-8"))
    README.write_text(f"{before}{BEGIN}\n{page()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
