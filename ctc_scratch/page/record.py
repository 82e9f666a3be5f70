"""Train a small reader and record how it learns: the data of room 5 of the page.

    python -m ctc_scratch.page.record       # takes about a minute; rewrites recorded.json

The network is that of `digits.lessons.plateau`. It reads rows of five digits, four columns per frame. From
time to time it reads a row that it never trains on; the recording holds what it says about that row.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..ctc import greedy_decode, label_error_rate
from ..ctc.reference import log_softmax
from ..digits.data.mnist_files import load_mnist
from ..digits.data.rows import RowSampler
from ..digits.lessons.example import unseen_row
from ..digits.model.evaluate import model_logits
from ..digits.model.reader import BLANK, CLASS_NAMES, RowReader, digits_to_labels
from ..digits.training.gradients import batch_gradients
from ..nn import Adam, clip_by_global_norm
from .recording import RECORDED, curve, moment, row

STEPS, BATCH, RATE, SEED = 400, 32, 3e-3, 7
WATCHED = {0, 1, 2, 3, 4, 6, 8, 10, 14, *range(20, 120, 10), *range(120, 260, 7), *range(260, 401, 20)}
"""How many steps the network has taken at each of its readings of the row."""


def record() -> dict[str, Any]:
    """Train, and return the recording."""
    mnist = load_mnist()
    image, digits = unseen_row(mnist)
    labels = digits_to_labels(digits)
    rng = np.random.default_rng(SEED)
    model = RowReader(hidden=64, rng=rng)
    sampler = RowSampler(mnist.train_images, mnist.train_labels, (len(digits), len(digits)), rng)
    optimiser = Adam(model.params)
    moments, losses, errors, blanks = [], [], [], []
    for step in range(STEPS + 1):
        if step in WATCHED:
            moments.append(moment(step, model_logits(model, image[None])[0][:, 0], labels))
        batch = sampler.batch(BATCH)
        loss, grads, shards = batch_gradients(model, batch)
        logits = np.concatenate([shard.logits for shard in shards], axis=1)
        losses.append(loss)
        errors.append(label_error_rate(greedy_decode(logits, blank=BLANK),
                                       [digits_to_labels(row).tolist() for row in batch.labels]))
        blanks.append(np.exp(log_softmax(logits))[..., BLANK].mean())
        clip_by_global_norm(grads, 5.0)
        optimiser.step(grads, RATE)
        if step % 50 == 0:
            print(f"step {step}, loss {loss:.2f} nats, label error rate {errors[-1]:.0%}")
    return {"classes": list(CLASS_NAMES), "window": model.window,
            "curve": curve(range(STEPS + 1), losses, errors, blanks), "rows": [row(image, labels, moments)]}


if __name__ == "__main__":
    Path(__file__).with_name(RECORDED).write_text(json.dumps(record(), separators=(",", ":")) + "\n")
