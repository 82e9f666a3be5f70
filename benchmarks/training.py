"""Does the trainer learn faster than the same training written in torch?

    python -m benchmarks.training [--threads 1,2] [--rounds 15] [--seconds 60] [--figure PATH]

Both train the model of `ctc-scratch train` (BiLSTM 2 x 128 on frames of 7 columns, 11 classes) from
the same weights on the same batches: 64 rows of 4 to 6 augmented digits, drawn by our sampler, which is
not timed. The loss and the gradients of one batch are compared before anything is timed.

Our step is that of the trainer: frames, shards in parallel with one BLAS thread each, forward, CTC,
backward, clip, Adam. The step in torch is what its users would write: nn.LSTM on packed sequences,
Linear, log_softmax, CTCLoss, backward, clip_grad_norm_ and the fused Adam, with
torch.set_num_threads(1 or 2); its frames, lengths and labels become tensors before the clock starts.
nn.LSTM adds two biases where our LSTM has one. The second is held at 0 and not trained; otherwise Adam
would move their sum twice as fast as our bias.

The first table has rows per second: the two take turns with blocks of 5 batches, and the table shows
the median over the rounds. For the second table each trains for `--seconds` of its own clock, on the
largest number of threads. The one-cycle rate follows this clock, so that both complete their cycle and
the faster contender takes more steps. The contender with less time on its clock takes the next step;
both clocks stop during evaluations. For both, the same code reads the validation rows of 5 digits
greedily.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, Mapping, Protocol

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ctc_scratch import set_num_threads
from ctc_scratch.digits.data.mnist_files import load_mnist, training_split
from ctc_scratch.digits.data.rows import RowBatch, RowSampler
from ctc_scratch.digits.model.evaluate import evaluate
from ctc_scratch.digits.model.reader import BLANK, RowReader, digits_to_labels
from ctc_scratch.digits.training.gradients import batch_gradients
from ctc_scratch.digits.training.schedule import Schedule
from ctc_scratch.digits.training.settings import Settings
from ctc_scratch.nn import Adam, clip_by_global_norm, one_cycle
from ctc_scratch.plots.style import AMBER, BLUE, GRID

from .tools.harness import interleave, machine, markdown, ratio, save

FIGURE = Path(__file__).parent / "figures" / "training.png"
BATCHES = 5
"""Batches in a block that is timed: enough to average out the lengths of rows."""
POINTS = 6
"""Evaluations during training."""
STYLES: dict[str, dict[str, Any]] = {
    "ctc_scratch": dict(color=BLUE, marker="o", linewidth=2.2),
    "torch": dict(color=AMBER, marker="^", linewidth=1.8),
}


class Contender(Protocol):
    """A model with a training step: ours or torch's."""

    def prepare(self, batch: RowBatch) -> Any:
        """The batch in the form that `gradients` takes; this is not timed."""

    def gradients(self, batch: Any) -> tuple[float, dict[str, np.ndarray]]:
        """The mean loss per row, and its gradients under our names; the weights do not change."""

    def step(self, batch: Any, rate: float) -> None:
        """Compute the gradients, clip them, and change the weights with Adam."""

    def reader(self) -> RowReader:
        """A `RowReader` with the current weights."""


class Ours:
    """The training step of `Trainer.step`."""

    def __init__(self, model: RowReader, settings: Settings):
        self.model, self.settings = model.with_weights(model.params), settings
        self.optimiser = Adam(self.model.params)

    def prepare(self, batch: RowBatch) -> RowBatch:
        return batch

    def gradients(self, batch: RowBatch) -> tuple[float, dict[str, np.ndarray]]:
        loss, grads, _ = batch_gradients(self.model, batch, self.settings.shards)
        return loss, grads

    def step(self, batch: RowBatch, rate: float) -> None:
        _, grads = self.gradients(batch)
        clip_by_global_norm(grads, self.settings.clip)
        self.optimiser.step(grads, rate)

    def reader(self) -> RowReader:
        return self.model


class Torch:
    """The same training step in torch."""

    def __init__(self, model: RowReader, settings: Settings):
        self.model, self.settings = model, settings
        D, H, C = 28 * settings.window, settings.hidden, len(model.params["output.bias"])
        self.lstm = torch.nn.LSTM(D, H, settings.layers, bidirectional=True)
        self.output = torch.nn.Linear(2 * H, C)
        self.params = {name: self._named(name) for name in model.params}
        with torch.no_grad():
            for name, bias in self.lstm.named_parameters():
                if name.startswith("bias_hh"):
                    bias.zero_().requires_grad_(False)
            for name, param in model.params.items():
                self.params[name].copy_(torch.from_numpy(param))
        self.loss = torch.nn.CTCLoss(blank=BLANK, reduction="sum")
        self.optimiser = torch.optim.Adam(self.params.values(), fused=True)

    def _named(self, name: str) -> torch.nn.Parameter:
        """torch's parameter for one of ours: `bias_ih_l0_reverse` for `lstm1.reverse.bias`."""
        layer, *rest = name.split(".")
        if layer == "output":
            return getattr(self.output, rest[0])
        direction, key = rest
        return getattr(self.lstm, f"{key.replace('bias', 'bias_ih')}_l{int(layer[4:]) - 1}"
                                  f"{'_reverse' if direction == 'reverse' else ''}")

    def prepare(self, batch: RowBatch) -> tuple[torch.Tensor, ...]:
        x, lengths = self.model.frames(batch.images, batch.widths)
        counts = [len(row) for row in batch.labels]
        arrays = x, lengths, np.concatenate([digits_to_labels(row) for row in batch.labels]), np.array(counts)
        return tuple(map(torch.from_numpy, arrays))

    def _backward(self, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        x, lengths, targets, counts = batch
        self.optimiser.zero_grad()
        y, _ = self.lstm(pack_padded_sequence(x, lengths, enforce_sorted=False))
        log_probs = self.output(pad_packed_sequence(y)[0]).log_softmax(2)
        loss = self.loss(log_probs, targets, lengths, counts) / len(counts)
        loss.backward()
        return loss

    def gradients(self, batch: tuple[torch.Tensor, ...]) -> tuple[float, dict[str, np.ndarray]]:
        loss = self._backward(batch)
        return loss.item(), {name: param.grad.numpy().copy() for name, param in self.params.items()}

    def step(self, batch: tuple[torch.Tensor, ...], rate: float) -> None:
        self._backward(batch)
        torch.nn.utils.clip_grad_norm_(self.params.values(), self.settings.clip)
        self.optimiser.param_groups[0]["lr"] = rate
        self.optimiser.step()

    def reader(self) -> RowReader:
        return self.model.with_weights({name: param.detach() for name, param in self.params.items()})


CONTENDERS: dict[str, type] = {"ctc_scratch": Ours, "torch": Torch}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training")
    parser.add_argument("--threads", default="1,2", help="thread counts to measure (default: 1,2)")
    parser.add_argument("--rounds", type=int, default=15, help=f"rounds of {BATCHES} batches (default: 15)")
    parser.add_argument("--seconds", type=float, default=60.0,
                        help="training time of each; 0: only rows per second (default: 60)")
    parser.add_argument("--figure", type=Path, default=FIGURE, help="where to draw (default: figures/)")
    options = parser.parse_args()
    threads = [int(count) for count in options.threads.split(",")]

    settings = Settings()
    train_part, validation_part = training_split(load_mnist())
    model = RowReader(settings.hidden, settings.layers, True, settings.window,
                      rng=np.random.default_rng(settings.seed))
    print(f"{machine()}, torch {torch.__version__}\n")
    batch = sampler(train_part, settings).batch(settings.batch)
    errors = compare({name: make(model, settings) for name, make in CONTENDERS.items()}, batch)
    print(f"apart on one batch: the loss by {errors['loss']:.1e} of it, the gradients by "
          f"{errors['gradient']:.1e} of the largest entry of each array\n")

    speeds = [measure(model, settings, train_part, count, options.rounds) for count in threads]
    print(markdown(["threads", "contender", "rows / s (middle half)", "times as fast as torch"],
                   [row for speed in speeds for row in speed_rows(speed)]))
    results: dict[str, Any] = dict(errors=errors, speeds=speeds)
    if options.seconds:
        use_threads(max(threads))
        curves = learn(model, settings, train_part, validation_part, options.seconds)
        results.update(threads=max(threads), curves=curves)
        print(f"\nthreads: {max(threads)}; label error rate on validation rows (and steps taken)\n")
        print(curve_table(curves))
        figure(curves, max(threads)).savefig(options.figure, dpi=150)
        print(f"\ndrawn: {options.figure}")
    print(f"\nwritten: {save('training', results)}")


def sampler(part: tuple[np.ndarray, np.ndarray], settings: Settings) -> RowSampler:
    """A sampler that draws the same batches as `ctc-scratch train`, from the first one on."""
    return RowSampler(*part, settings.digits, np.random.default_rng(settings.seed), settings.augmentation)


def use_threads(count: int) -> None:
    """Let both contenders use this many threads."""
    set_num_threads(count)
    torch.set_num_threads(count)


# ---- measuring --------------------------------------------------------------------------------


def compare(contenders: Mapping[str, Contender], batch: RowBatch) -> dict[str, float]:
    """The relative differences of the losses and of the gradients of one batch."""
    (loss, grads), (expected, truth) = (
        contender.gradients(contender.prepare(batch)) for contender in contenders.values())
    worst = max(float(np.abs(grads[name] - grad).max() / np.abs(grad).max()) for name, grad in truth.items())
    errors = dict(loss=abs(loss / expected - 1), gradient=worst)
    assert max(errors.values()) < 1e-4, f"the answers differ: {errors}"
    return errors


def measure(model: RowReader, settings: Settings, part: Any, threads: int, rounds: int) -> dict[str, Any]:
    """Seconds per block of batches for each contender, on this many threads."""
    use_threads(threads)
    draw = sampler(part, settings)
    batches = [draw.batch(settings.batch) for _ in range(BATCHES)]

    def block(contender: Contender):
        prepared = [contender.prepare(batch) for batch in batches]
        rate = settings.rate / 25  # where the one-cycle rate begins
        return lambda: [contender.step(batch, rate) for batch in prepared]

    times = interleave({name: block(make(model, settings)) for name, make in CONTENDERS.items()},
                       seconds=0, least=rounds)
    return dict(threads=threads, rows=BATCHES * settings.batch,
                ratio={name: ratio(times, "torch", name) for name in times},
                seconds={name: spent.tolist() for name, spent in times.items()})


def learn(model: RowReader, settings: Settings, train_part: Any, validation_part: Any, seconds: float
          ) -> dict[str, list[dict[str, float]]]:
    """Train each contender for `seconds`; returns points of its curve: seconds, steps, label error rate."""
    contenders: dict[str, Contender] = {name: make(model, settings) for name, make in CONTENDERS.items()}
    draws = {name: sampler(train_part, settings) for name in contenders}
    schedules = {name: Schedule(10**9, seconds / 60) for name in contenders}
    curves: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for contender in contenders.values():  # warm up
        contender.gradients(contender.prepare(sampler(train_part, settings).batch(settings.batch)))
    while running := [name for name in contenders if not schedules[name].finished]:
        name = min(running, key=lambda name: schedules[name].seconds)
        schedule, contender = schedules[name], contenders[name]
        batch = contender.prepare(draws[name].batch(settings.batch))
        rate = one_cycle(schedule.progress, 1, settings.rate)
        start = time.perf_counter()
        contender.step(batch, rate)
        schedule.advance(schedule.seconds + time.perf_counter() - start)
        if schedule.finished or schedule.seconds >= (len(curves[name]) + 1) * seconds / POINTS:
            found = evaluate(contender.reader(), *validation_part, settings.test_digits)
            curves[name].append(dict(seconds=schedule.seconds, steps=schedule.step,
                                     label_error_rate=found.label_error_rate))
    return curves


# ---- showing ----------------------------------------------------------------------------------


def speed_rows(speed: dict[str, Any]) -> list[list[Any]]:
    """A table row per contender."""
    lines = []
    for name, spent in speed["seconds"].items():
        low, middle, high = np.percentile(speed["rows"] / np.array(spent), [25, 50, 75])
        lines.append([speed["threads"], name, f"{middle:.0f} ({low:.0f}-{high:.0f})",
                      f"{speed['ratio'][name]:.2f}"])
    return lines


def curve_table(curves: dict[str, list[dict[str, float]]]) -> str:
    """A table with a row per point in time."""
    rows = [[f"{points[0]['seconds']:.0f}",
             *(f"{point['label_error_rate']:.2%} ({point['steps']})" for point in points)]
            for points in zip(*curves.values())]
    return markdown(["seconds", *curves], rows)


def figure(curves: dict[str, list[dict[str, float]]], threads: int) -> Figure:
    """Draw the label error rate against the seconds of training."""
    drawing = Figure(figsize=(6, 4), layout="constrained")
    ax = drawing.subplots()
    for name, points in curves.items():
        errors = [100 * point["label_error_rate"] for point in points]
        ax.plot([point["seconds"] for point in points], errors, markersize=7, **STYLES[name],
                label=f"{name}: {points[-1]['steps']} steps")
    ax.set(xlabel=f"training time [s], {threads} thread{'s' * (threads > 1)}", yscale="log",
           ylabel="label error rate, validation rows [%]")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.grid(color=GRID)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return drawing


if __name__ == "__main__":
    main()
