"""What a training run is asked to do: each field is an option of `ctc-scratch train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..data.augment import Augmentation
from ..errors import OptionError
from ..model.archive import brief, same_kind
from .gradients import SHARDS

# What is far beyond all that makes sense is refused: it would only fill the memory.
MOST_DIGITS, MOST_GAP, MOST_HIDDEN, MOST_LAYERS = 10_000, 1000, 10_000, 100
MOST_TIMES = 10**9
"""Steps, evaluations or shards; a checkpoint has to hold these numbers, and the seed."""
MOST_SEED = 2**64 - 1
MOST_COLUMNS = 28_000_000
"""Of pixels in a batch, as a million digits have."""


def _option(default, help, metavar=None):
    return field(default=default, metadata={"help": help, "metavar": metavar})


@dataclass(frozen=True)
class Settings:
    """Everything that decides what a run computes, and where it writes."""

    digits: tuple[int, int] = _option((4, 6), "digits in a training row: a number, or a range LOW-HIGH")
    test_digits: int = _option(5, "digits in a validation or test row")
    hidden: int = _option(128, "LSTM units of a layer, in each direction")
    layers: int = _option(1, "LSTM layers")
    direction: str = _option("both", "'both' ends of a row, or 'forward' from the left only", "WAY")
    window: int = _option(7, "pixel columns in a frame")
    vertical: int = _option(0, "units, in each direction, of a first layer that reads each frame, and two "
                               "columns on either side, from top to bottom; 0: none")

    rotate: float = _option(6.0, "turn each digit by up to so much [degrees]; this and the next are "
                                 "by chance, either way, and 0 switches them off")
    scale: float = _option(0.08, "change height and width of each digit by up to this fraction")
    shear: float = _option(0.1, "slant each digit by up to so many pixels for each pixel of height")
    shift: float = _option(1.0, "move each digit sideways by up to so much [pixels]")
    jitter: float = _option(1.0, "move each digit up or down by up to so much [pixels]")
    wave: float = _option(0.0, "bend each digit by a smooth field of chance that moves its pixels by so "
                               "much, root mean square over its box [pixels]")
    plain: float = _option(0.0, "leave this part of the digits as sharp and upright as they are: all "
                                "of the above blurs them")
    gap: int = _option(0, "up to so many empty columns between two digits")
    overlap: int = _option(0, "up to so many columns that two digits share")

    batch: int = _option(64, "rows in a batch")
    shards: int = _option(SHARDS, "parts a batch is cut into, each a task for one thread; threads do not "
                                  "change the weights, but the number of parts rounds them differently")
    steps: int = _option(3000, "training steps, one batch each")
    minutes: float = _option(0.0, "time for training at most: if the steps do not fit, the schedule is "
                                  "shortened to end in time, and the clock decides how far; to use it up, "
                                  "ask for more --steps than fit; 0: no limit")
    optimiser: str = _option("adam", "'adam', or 'muon' for the weights of the LSTMs, Adam for the others: "
                                     "slower steps that learn more", "NAME")
    rate: float = _option(1.5e-2, "highest learning rate of the one-cycle schedule")
    clip: float = _option(5.0, "gradients are scaled down to this global norm")
    average: float = _option(0.0, "average the weights over steps with this decay, 0.999 say, and keep "
                                  "the average where it reads validation rows better; 0: do not")
    evaluations: int = _option(10, "evaluations on validation rows during the run; the best model is kept")
    patience: int = _option(0, "stop after so many evaluations without a better one, not counting those "
                               "while all is still blank; 0: never, as the end of the schedule brings most")
    save_every: float = _option(30.0, "seconds between two checkpoints")
    seed: int = _option(0, "of everything random: the same seed, the same run")
    out: str = _option("", "folder to write; default: runs/ and the time of the start", "DIR")
    data: str = _option("", "folder of MNIST's IDX files; default: the packaged ones", "DIR")

    @property
    def augmentation(self) -> Augmentation:
        """The changes by chance that training rows undergo."""
        return Augmentation(**{name: getattr(self, name) for name in Augmentation._fields})

    @property
    def reader(self) -> dict[str, Any]:
        """The `config` of the model."""
        return dict(hidden=self.hidden, layers=self.layers, bidirectional=self.direction == "both",
                    window=self.window, vertical=self.vertical)

    def check(self) -> None:
        """Raise OptionError for the first option that cannot be used."""
        low, high = self.digits
        most_rows = MOST_COLUMNS // max(1, high * (28 + self.gap))
        most = dict(rotate=180, shift=28, jitter=28, wave=28, shear=10, minutes=10**7, save_every=10**9)
        bounded = [(name, 0 <= getattr(self, name) <= limit, f"a number from 0 to {limit}")
                   for name, limit in most.items()]
        for name, fine, expected in [
            ("digits", 1 <= low <= high, "at least 1, and LOW-HIGH in order"),
            ("digits", high <= MOST_DIGITS, f"{MOST_DIGITS} at most"),
            ("test_digits", self.test_digits >= 1, "at least 1"),
            ("hidden", 1 <= self.hidden <= MOST_HIDDEN, f"from 1 to {MOST_HIDDEN}"),
            ("layers", 1 <= self.layers <= MOST_LAYERS, f"from 1 to {MOST_LAYERS}"),
            ("direction", self.direction in ("both", "forward"), "'both' or 'forward'"),
            ("vertical", 0 <= self.vertical <= MOST_HIDDEN, f"from 0 to {MOST_HIDDEN}"),
            # Two frames a digit are enough for any row, even with a blank before each repeat.
            ("window", 1 <= self.window <= 14, "from 1 to 14"),
            *bounded,
            ("scale", 0 <= self.scale < 1, "from 0 to below 1"),
            ("plain", 0 <= self.plain <= 1, "from 0 to 1"),
            ("gap", 0 <= self.gap <= MOST_GAP, f"from 0 to {MOST_GAP}"),
            # What is left of a box must still hold two frames.
            ("overlap", 0 <= self.overlap <= 28 - 2 * self.window,
             f"from 0 to {28 - 2 * self.window}, which leaves two frames of {self.window} columns"),
            ("batch", 1 <= self.batch <= most_rows, f"from 1 to {most_rows} for rows of up to {high} digits"),
            ("shards", 1 <= self.shards <= MOST_TIMES, f"from 1 to {MOST_TIMES}"),
            ("steps", 1 <= self.steps <= MOST_TIMES, f"from 1 to {MOST_TIMES}"),
            ("optimiser", self.optimiser in ("adam", "muon"), "'adam' or 'muon'"),
            ("rate", 0 < self.rate <= 1e6, "above 0, and 1e6 at most"),
            ("clip", self.clip > 0, "a positive number"),
            ("average", 0 <= self.average < 1, "from 0 to below 1"),
            ("evaluations", 0 <= self.evaluations <= MOST_TIMES, f"from 0 to {MOST_TIMES}"),
            # As many as there are never come: the first one is better than none.
            ("patience", 0 <= self.patience < max(self.evaluations, 1),
             f"from 0 to {max(self.evaluations, 1) - 1}, fewer than --evaluations"),
            ("seed", 0 <= self.seed <= MOST_SEED, f"from 0 to {MOST_SEED}"),
        ]:
            if not fine:
                value = f"{low}-{high}" if name == "digits" else getattr(self, name)
                raise OptionError(f"--{name.replace('_', '-')} must be {expected}, not {value}")


PRESETS: dict[str, dict[str, Any]] = {
    # A frame is read from top to bottom first, so that a stroke is learnt once for all heights; two more
    # layers see the whole digit before they speak. Nine hundred thousand rows are some seventy rounds
    # through the digits; distortions about as strong as a reader can bear keep them from being learnt by
    # heart, and a quarter left as they are keep sharp digits from being forgotten. Learning is then what
    # takes the hour, and Muon gets further in it than Adam. The average takes the noise out of the last
    # thousand steps. Rows from 1 digit on, so that no length is a stranger. Batches of 128 give four
    # threads 32 rows each and cost no more a row than 64 in halves.
    # The steps take less than an hour on two cores; on slower ones the clock cuts the schedule short.
    "best": dict(digits=(1, 8), hidden=160, layers=2, window=4, vertical=32,
                 rotate=12.0, scale=0.15, shear=0.2, shift=1.5, jitter=1.5, wave=1.3, plain=0.25,
                 batch=128, shards=4, steps=7000, minutes=59.0, optimiser="muon", rate=6e-3,
                 average=0.999, evaluations=20),
}


def with_preset(name: str, **changes) -> Settings:
    """The settings of a preset, some of them changed; without a name, the default ones.

    >>> with_preset("best", hidden=64).layers
    2
    """
    if name and name not in PRESETS:
        raise OptionError(f"--preset must be one of {', '.join(PRESETS)}, not {name}")
    return Settings(**{**PRESETS.get(name, {}), **changes})


def from_json(values: Mapping[str, Any]) -> Settings:
    """Settings from `dataclasses.asdict` by way of JSON, which knows no tuples; or TypeError."""
    kinds = {setting.name: type(setting.default) for setting in fields(Settings)}
    for setting in fields(Settings):
        if setting.name not in values:
            raise TypeError(f"no {setting.name}")
        if not same_kind(values[setting.name], setting.default):
            raise TypeError(f"{setting.name} = {brief(values[setting.name])}")
    return Settings(**{name: kinds.get(name, str)(value) for name, value in values.items()})
