"""Recordings of a network that learns to read, for room 5 of the page: rows of digits, seen at several steps.

A recording is a dict that becomes JSON:

    classes     the name of each class, the blank first
    window      pixel columns per frame
    curve       step, loss (nats per row), errors (label error rate) and blank (in the packaged recording its
                mean probability, in that of a run the share of frames in which it is the most probable class)
    rows        for each row: its image, its labels, and what the network says about it at some steps

Images, posteriors (T, C) and gamma (T, S) have one byte per number, 255 for 1, in base64.
"""

from __future__ import annotations

import base64
import json
from importlib import resources
from pathlib import Path
from typing import Any, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..ctc.decoding.greedy import greedy_decode
from ..ctc.reference import gamma, log_likelihood, log_softmax
from ..digits.data.mnist_files import load_data
from ..digits.data.rows import consecutive_rows
from ..digits.model.archive import read_arrays
from ..digits.model.evaluate import model_logits
from ..digits.model.model_file import load_model
from ..digits.model.reader import BLANK, RowReader, digits_to_labels
from ..digits.training.checkpoint import CHECKPOINT_FORMAT, Checkpoint, read_checkpoint
from ..digits.training.run_folder import CHECKPOINT, PREVIOUS, folder_of

RECORDED = "recorded.json"
ROWS, DIGITS = 3, 5
"""How many test rows a recording of a run shows, and the digits in each."""

MOST_POINTS = 400
"""The most points of a curve. Longer curves are thinned: every n-th point is kept."""


def packaged_recording() -> dict[str, Any]:
    """The recording that ships with this package; `record.py` makes it."""
    return json.loads((resources.files(__package__) / RECORDED).read_text(encoding="utf-8"))


def quantised(array: NDArray) -> str:
    """Numbers from 0 to 1 as text: one byte each, in base64.

    >>> quantised(np.array([0, 0.5, 1]))
    'AID/'
    """
    return base64.b64encode(np.round(255 * array).astype(np.uint8).tobytes()).decode()


def moment(step: int, logits: NDArray, labels: Sequence[int] | NDArray) -> dict[str, Any]:
    """What a network says about one row, from its logits (T, C) and the labels (U,) of the row."""
    log_probs, labels = log_softmax(logits), [int(label) for label in labels]
    log_p = log_likelihood(log_probs, labels, BLANK)
    states = (gamma(log_probs, labels, BLANK) if log_p > -np.inf else
              np.zeros((len(log_probs), 2 * len(labels) + 1)))
    return {
        "step": int(step),
        "loss": round(-log_p, 4) if log_p > -np.inf else None,      # None: the target has no path
        "reading": [int(label) for label in greedy_decode(log_probs, blank=BLANK)],
        "posterior": quantised(np.exp(log_probs)),
        "gamma": quantised(states),
    }


def row(image: NDArray, labels: Sequence[int] | NDArray, moments: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """One row of a recording: image (28, W) from 0 for paper to 1 for ink, labels (U,), and its moments."""
    height, width = image.shape
    return {"width": width, "height": height, "image": quantised(image),
            "labels": [int(label) for label in labels], "moments": list(moments)}


def curve(steps: Sequence[int], losses: Sequence[float], errors: Sequence[float],
          blanks: Sequence[float]) -> dict[str, Any]:
    """The curves of a training run, one value per report, thinned to at most MOST_POINTS values."""
    every = -(-len(steps) // MOST_POINTS) or 1
    return {"step": [int(step) for step in steps[::every]],
            "loss": [round(float(loss), 3) for loss in losses[::every]],
            "errors": [round(float(rate), 4) for rate in errors[::every]],
            "blank": [round(float(rate), 4) for rate in blanks[::every]]}


def run_recording(run: str) -> dict[str, Any]:
    """A recording of a run of `ctc-scratch train`: its curves, and readings by the models in its folder.

    These are the network before its first step, the checkpoint before the last one, the last one, and the
    best model, which may be an average.

    Raises
    ------
    ArchiveError, DataError
        The folder is not that of a run, or a file in it or in its data is missing or damaged.
    """
    folder = folder_of(Path(run))
    checkpoint = read_checkpoint(folder / CHECKPOINT)
    models = _models(folder, checkpoint)
    names, window = checkpoint.class_names, checkpoint.settings.window
    data, _ = load_data(checkpoint.settings.data or None, checkpoint.settings.transpose)
    count = ROWS * DIGITS
    images, truth = consecutive_rows(data.test_images[:count], data.test_labels[:count], DIGITS)
    rows = []
    for image, digits in zip(images, truth, strict=True):
        labels = digits_to_labels(digits, len(names))
        moments = [{**moment(step, model_logits(model, image[None])[0][:, 0], labels), "name": name}
                   for step, name, model in models]
        rows.append(row(image, labels, moments))
    return {"classes": list(names), "window": window, "curve": _curve_of(folder), "rows": rows}


def _models(folder: Path, checkpoint: Checkpoint) -> list[tuple[int, str, RowReader]]:
    """Step, name and model of each moment of a run."""
    def fresh() -> RowReader:
        # With the same seed the trainer drew the same weights before its first step.
        return RowReader(**checkpoint.settings.reader, rng=np.random.default_rng(checkpoint.settings.seed),
                         class_names=checkpoint.class_names)

    models = [(0, "before the first step", fresh())]
    for file, name in ((PREVIOUS, "the checkpoint before the last one"), (CHECKPOINT, "the last checkpoint")):
        if (folder / file).exists():
            model, step = fresh(), read_checkpoint(folder / file).header["step"]
            read_arrays(folder / file, {f"params/{key}": param for key, param in model.params.items()},
                        CHECKPOINT_FORMAT)
            if step > models[-1][0]:
                models.append((step, name, model))
    best = checkpoint.header["best"]
    if best and (folder / "model.npz").exists():
        kind = "averaged weights" if best[1] else "weights"
        name = f"the {kind} that read validation rows best"
        models.append((best[0], name, load_model(folder / "model.npz")))
    return models


def _curve_of(folder: Path) -> dict[str, Any]:
    """The curves in the metrics of a run; empty ones if there are none."""
    reports = []
    metrics = folder / "metrics.jsonl"
    for line in metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else ():
        try:
            record = json.loads(line)
            reports.append([record[key] for key in ("step", "loss", "label_error_rate", "blank_rate")])
        except (ValueError, KeyError, TypeError):
            continue        # a line of another kind, or a damaged one
    return curve(*zip(*reports)) if reports else curve([], [], [], [])
