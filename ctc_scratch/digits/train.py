"""Train a row reader: logits, loss, backward, clip, step.

    ctc-scratch train --digits 3-6 --steps 2000

A run writes its folder as it goes:

    settings.json         what it was asked to do
    metrics.jsonl         one JSON object a line: training and validation figures
    model.npz             the weights
    learning_curve.png    loss and rates against steps
    reading.png           four test rows: image, posteriors, greedy path, what was read
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..ctc import greedy_decode, label_error_rate
from ..nn import Adam, clip_by_global_norm, one_cycle
from .checkpoint import save_model
from .data import Mnist, RowSampler, consecutive_rows, load_mnist, training_split
from .evaluate import Evaluation, evaluate, model_logits
from .model import BLANK, CLASS_NAMES, RowReader, digits_to_labels
from .shards import DivergedError, Shard, batch_gradients

REPORT_EVERY = 10
"""Steps between two training records."""

PLATEAU = (
    "The network answers blank at every frame. That is the normal beginning: blank takes part in\n"
    "nearly every alignment, so it is learnt first; digits follow once the loss has fallen to about\n"
    "2.3 nats a digit, usually within a few hundred steps."
)


class SettingsError(ValueError):
    """An option of a training run that cannot be used."""


def _option(default, help, metavar=None):
    return field(default=default, metadata={"help": help, "metavar": metavar})


@dataclass(frozen=True)
class Settings:
    """What a training run is asked to do; each field is an option of `ctc-scratch train`."""

    digits: tuple[int, int] = _option((4, 6), "digits in a training row: a number, or a range LOW-HIGH")
    test_digits: int = _option(5, "digits in a validation or test row")
    hidden: int = _option(128, "LSTM units of a layer, in each direction")
    layers: int = _option(1, "LSTM layers")
    direction: str = _option("both", "'both' ends of a row, or 'forward' from the left only", "WAY")
    window: int = _option(4, "pixel columns in a frame")
    batch: int = _option(64, "rows in a batch")
    steps: int = _option(2000, "training steps, one batch each")
    rate: float = _option(6e-3, "highest learning rate of the one-cycle schedule (Adam)")
    clip: float = _option(5.0, "gradients are scaled down to this global norm")
    evaluations: int = _option(10, "evaluations on validation rows during the run")
    seed: int = _option(0, "of everything random: the same seed, the same run")
    out: str = _option("", "folder to write; default: runs/ and the time of the start", "DIR")
    data: str = _option("", "folder of MNIST's IDX files; default: the packaged ones", "DIR")

    def check(self) -> None:
        """Raise SettingsError for the first option that cannot be used."""
        low, high = self.digits
        for name, fine, expected in [
            ("digits", 1 <= low <= high, "at least 1, and LOW-HIGH in order"),
            ("test_digits", self.test_digits >= 1, "at least 1"),
            ("hidden", self.hidden >= 1, "at least 1"),
            ("layers", self.layers >= 1, "at least 1"),
            ("direction", self.direction in ("both", "forward"), "'both' or 'forward'"),
            # Two frames a digit are enough for any row, even with a blank before each repeat.
            ("window", 1 <= self.window <= 14, "from 1 to 14"),
            ("batch", self.batch >= 1, "at least 1"),
            ("steps", self.steps >= 1, "at least 1"),
            ("rate", 0 < self.rate < np.inf, "a positive number"),
            ("clip", self.clip > 0, "a positive number"),
            ("evaluations", self.evaluations >= 0, "at least 0"),
            ("seed", self.seed >= 0, "at least 0"),
        ]:
            if not fine:
                value = getattr(self, name)
                raise SettingsError(f"--{name.replace('_', '-')} must be {expected}, not {value}")


def train(settings: Settings) -> Evaluation | None:
    """Train, evaluate on the test rows, and write everything into the run's folder.

    Returns
    -------
    Evaluation
        of the test rows; None if Ctrl-C ended the run, whose model is saved all the same

    Raises
    ------
    SettingsError, DataError
        Before anything is written.
    DivergedError
        Logits or gradient became infinite or NaN; the weights of before that step are saved.
    """
    settings.check()
    mnist = load_mnist(settings.data or None)
    train_part, validation_part = training_split(mnist)
    _check_rows(settings, len(validation_part[1]), len(mnist.test_labels))
    rng = np.random.default_rng(settings.seed)
    both = settings.direction == "both"
    model = RowReader(settings.hidden, settings.layers, both, settings.window, rng=rng)
    sampler = RowSampler(*train_part, settings.digits, rng)
    optimiser = Adam(model.params)
    evaluate_at = set(np.linspace(0, settings.steps, settings.evaluations + 1, dtype=int)[1:].tolist())
    _load_kernels(settings, train_part)
    run = _Run(settings)
    try:
        with tqdm(total=settings.steps, unit="step", dynamic_ncols=True, smoothing=0.05) as bar:
            for step in range(1, settings.steps + 1):
                batch = sampler.batch(settings.batch)
                loss, grads, shards = batch_gradients(model, batch)
                norm = clip_by_global_norm(grads, settings.clip)
                if not np.isfinite(norm):
                    raise DivergedError(f"the gradient's norm is {norm}")
                rate = one_cycle(step - 1, settings.steps, settings.rate)
                optimiser.step(grads, rate)

                bar.update()
                if step % REPORT_EVERY == 0 or step in evaluate_at:
                    run.report(bar, step, loss, *_watch(shards, batch.labels), norm, rate)
                if step in evaluate_at:
                    run.validate(bar, step, evaluate(model, *validation_part, settings.test_digits))
    except KeyboardInterrupt:
        run.save(model)
        return run.stopped()
    except DivergedError as error:
        run.save(model)
        raise DivergedError(f"step {step}: {error}: training diverged, try a smaller --rate than "
                            f"{settings.rate:g}; the last weights are in {run.folder}/") from None
    run.save(model)
    run.show_readings(model, mnist)
    return run.test(model, mnist)


def _load_kernels(settings: Settings, part: tuple[np.ndarray, np.ndarray]) -> None:
    """One batch of a tiny model, so that a first run's compilation is no mystery at step 0."""
    print("loading compiled kernels (a first run compiles them, in about half a minute) ...", flush=True)
    model = RowReader(1, settings.layers, settings.direction == "both", settings.window,
                      rng=np.random.default_rng(0))
    optimiser = Adam(model.params)
    _, grads, _ = batch_gradients(model, RowSampler(*part, (1, 2), np.random.default_rng(0)).batch(4))
    clip_by_global_norm(grads, settings.clip)
    optimiser.step(grads, settings.rate)


def _watch(shards: list[Shard], truth: list[np.ndarray]) -> tuple[float, float]:
    """Label error rate of the batch that was just learnt from, and the share of blank frames."""
    read = [labels for shard in shards for labels in greedy_decode(shard.logits, shard.lengths, blank=BLANK)]
    blanks = frames = 0
    for shard in shards:
        used = np.arange(len(shard.logits))[:, None] < shard.lengths
        blanks += np.count_nonzero((shard.logits.argmax(axis=2) == BLANK) & used)
        frames += np.count_nonzero(used)
    return label_error_rate(read, [digits_to_labels(row) for row in truth]), blanks / frames


def _check_rows(settings: Settings, *counts: int) -> None:
    if settings.test_digits > min(counts):
        raise SettingsError(
            f"--test-digits must be at most {min(counts)}, the images there are, not {settings.test_digits}"
        )


class _Run:
    """The folder of one run, and what is printed on the way."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = Path(settings.out or f"runs/{time.strftime('%Y%m%d-%H%M%S')}")
        try:
            self.folder.mkdir(parents=True)
        except FileExistsError:
            raise SettingsError(
                f"--out {self.folder} exists: a run is never overwritten, name another folder"
            ) from None
        except OSError as error:
            raise SettingsError(f"--out {self.folder} cannot be made: {error.strerror}") from error
        (self.folder / "settings.json").write_text(json.dumps(asdict(settings), indent=2) + "\n")
        self.records: list[dict] = []
        self.start = time.monotonic()
        self.told_plateau = False

    def report(self, bar, step, loss, error_rate, blank_rate, norm, rate) -> None:
        """A training record and the line under the bar."""
        self._record(step=step, loss=loss, label_error_rate=error_rate, blank_rate=blank_rate,
                     gradient_norm=float(norm), rate=rate)
        bar.set_postfix_str(f"loss {loss:.2f}, errors {error_rate:.1%}, blank {blank_rate:.0%}")
        if blank_rate > 0.99 and not self.told_plateau:
            self.told_plateau = True
            bar.write(PLATEAU)

    def validate(self, bar, step, evaluation: Evaluation) -> None:
        """A validation record, printed above the bar."""
        self._record(step=step, validation_label_error_rate=evaluation.label_error_rate,
                     validation_row_accuracy=evaluation.row_accuracy)
        bar.write(f"step {step:5d}   validation rows: label error rate "
                  f"{evaluation.label_error_rate:7.2%}, rows right {evaluation.row_accuracy:7.2%}")

    def save(self, model: RowReader) -> None:
        """The model and how it came about."""
        from .. import plots

        save_model(self.folder / "model.npz", model)
        plots.learning_figure(self.records).savefig(self.folder / "learning_curve.png", dpi=120)

    def show_readings(self, model: RowReader, mnist: Mnist) -> None:
        """The picture of four test rows."""
        from .. import plots

        digits = self.settings.test_digits
        rows, truth = consecutive_rows(mnist.test_images[:4 * digits], mnist.test_labels[:4 * digits], digits)
        figure = plots.reading_figure(_readings(model, rows, truth), model.window, CLASS_NAMES, BLANK)
        figure.savefig(self.folder / "reading.png", dpi=120)

    def test(self, model: RowReader, mnist: Mnist) -> Evaluation:
        """The one look at the test rows."""
        seconds = time.monotonic() - self.start
        evaluation = evaluate(model, mnist.test_images, mnist.test_labels, self.settings.test_digits)
        self._record(step=self.settings.steps, test_label_error_rate=evaluation.label_error_rate,
                     test_row_accuracy=evaluation.row_accuracy)
        print(f"test rows of {evaluation.digits} digits: label error rate {evaluation.label_error_rate:.2%}, "
              f"rows right {evaluation.row_accuracy:.2%}\ntrained {seconds:.0f} s; see {self.folder}/")
        return evaluation

    def stopped(self) -> None:
        print(f"stopped; what was learnt so far is in {self.folder}/\n"
              f"see how well it reads: ctc-scratch evaluate {self.folder}")

    def _record(self, **values) -> None:
        record = dict(values, seconds=round(time.monotonic() - self.start, 3))
        self.records.append(record)
        with open(self.folder / "metrics.jsonl", "a") as file:
            file.write(json.dumps(record) + "\n")


def _readings(model: RowReader, rows: np.ndarray, truth: list[list[int]]) -> list:
    from ..ctc.reference import log_softmax
    from ..plots import Reading

    logits, lengths = model_logits(model, rows)
    decoded = greedy_decode(logits, lengths, blank=BLANK)
    return [
        Reading(row, np.exp(log_softmax(logits[:, n])), decoded[n], digits_to_labels(truth[n]))
        for n, row in enumerate(rows)
    ]
