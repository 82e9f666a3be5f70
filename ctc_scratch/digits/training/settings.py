"""What a training run is asked to do: each field is an option of `ctc-scratch train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from ..data.augment import Augmentation
from ..data.touching import ONWARD
from ..errors import OptionError
from ..model.archive import brief, same_kind
from .gradients import SHARDS
from .objective import OBJECTIVES, ObjectiveName

# Values far beyond any use are refused: they would only fill the memory.
MOST_DIGITS, MOST_GAP, MOST_HIDDEN, MOST_LAYERS = 10_000, 1000, 10_000, 100
MOST_STEPS = 10**9
"""Also the most evaluations and the most shards: a checkpoint has to hold all these numbers."""
MOST_SEED = 2**64 - 1
MOST_WEIGHT = 100
MOST_COLUMNS = 28_000_000
"""Pixel columns in a batch: those of a million digits."""

Direction = Literal["both", "forward"]
OptimiserName = Literal["adam", "muon"]


def _option(default: Any, help: str, metavar: str | None = None) -> Any:
    """A field of `Settings`, with what `ctc-scratch train --help` says about it."""
    return field(default=default, metadata={"help": help, "metavar": metavar})


@dataclass(frozen=True)
class Settings:
    """Everything that decides what a run computes, and where it writes."""

    digits: tuple[int, int] = _option((4, 6), "digits in a training row: a number, or a range LOW-HIGH")
    test_digits: int = _option(5, "digits in a validation or test row")
    hidden: int = _option(128, "LSTM units per layer and direction")
    layers: int = _option(1, "LSTM layers")
    direction: Direction = _option("both", "read a row from 'both' ends, or only 'forward', from the left",
                                   "WAY")
    window: int = _option(7, "pixel columns per frame")
    vertical: int = _option(0, "units per direction of a first layer that reads each frame, and two columns "
                               "on either side of it, from top to bottom; 0: no such layer")

    rotate: float = _option(6.0, "turn each digit either way by a random angle of at most this size "
                                 "[degrees]; 0 switches this distortion off, and likewise those below")
    scale: float = _option(0.08, "change height and width of each digit by at most this fraction")
    shear: float = _option(0.1, "slant each digit by at most this many pixels per pixel of height")
    shift: float = _option(1.0, "move each digit sideways by at most this much [pixels]")
    jitter: float = _option(1.0, "move each digit up or down by at most this much [pixels]")
    wave: float = _option(0.0, "bend each digit by a smooth random field that moves its pixels by this "
                               "much, root mean square over its box [pixels]")
    plain: float = _option(0.0, "leave this fraction of the digits undistorted, because the distortions "
                                "above also blur")
    gap: int = _option(0, "empty columns between two digits, at most")
    overlap: int = _option(0, "columns that two neighbouring digits share, at most")
    close: float = _option(0.0, "space this fraction of the rows by ink: neighbours touch, overlap, or stand "
                                "up to 20 columns apart; validation digits are then read touching and "
                                "overlapping, too")
    margin: int = _option(0, "columns of paper added at either end of a row, at most; half of the ends get "
                             "none")
    blur: float = _option(0.0, "blur a quarter of the rows, by a Gaussian of at most this standard deviation "
                               "[pixels]")

    batch: int = _option(64, "rows per batch")
    shards: int = _option(SHARDS, "parts that a batch is cut into, each a task for one thread; unlike the "
                                  "number of threads, the number of parts changes the last bits of the "
                                  "weights")
    steps: int = _option(3000, "training steps, one batch each")
    minutes: float = _option(0.0, "time limit of training, in minutes: if the steps do not fit, the clock "
                                  "decides how many are taken, and the learning rates are spread over "
                                  "these; to use all of the time, ask for more --steps than fit; 0: no limit")
    optimiser: OptimiserName = _option("adam", "'adam', or 'muon': Muon for the weights of the LSTMs and "
                                               "Adam for the others; its steps are slower, but learn more",
                                       "NAME")
    objective: ObjectiveName = _option(
        "ctc", f"the loss that training minimises: {', '.join(OBJECTIVES[:-1])} or {OBJECTIVES[-1]}; all but "
        "ctc need a --weight, as in --objective delay --weight 0.02", "NAME")
    weight: float = _option(0.0, "weight of the --objective: entropy (such as 0.2) and prior (0.1) widen "
                                 "spikes, delay (0.02) and bayes-risk (2) move them left, or below 0 right, "
                                 "and focal (1) counts rows that are read well for less")
    rate: float = _option(1.5e-2, "highest learning rate of the one-cycle schedule")
    clip: float = _option(5.0, "largest global norm of the gradient; a larger gradient is scaled down")
    average: float = _option(0.0, "average the weights over the steps with this decay, such as 0.999, and "
                                  "keep the average if it reads validation rows better; 0: no average")
    evaluations: int = _option(10, "evaluations on validation rows during the run; the best model is kept")
    patience: int = _option(0, "stop after this many evaluations in a row without a better one, not counting "
                               "those while the network still answers blank everywhere; 0: never, because "
                               "weights improve most at the end of a run")
    save_every: float = _option(30.0, "seconds between two checkpoints")
    seed: int = _option(0, "seed of everything random: the same seed gives the same run")
    out: str = _option("", "folder to write (default: runs/ and the time of the start)", "DIR")
    data: str = _option("", "folder of IDX files of MNIST, EMNIST or QMNIST, or of folders with them; "
                            "DIR/emnist-digits chooses one of several data sets in DIR (default: MNIST, "
                            "which is part of this package)", "DIR")
    transpose: bool = _option(False, "exchange rows and columns of each image, which EMNIST stores exchanged")

    @property
    def augmentation(self) -> Augmentation:
        """The random changes that training digits undergo."""
        return Augmentation(**{name: getattr(self, name) for name in Augmentation._fields})

    @property
    def reader(self) -> dict[str, Any]:
        """The `config` of the model, see `RowReader`."""
        return dict(hidden=self.hidden, layers=self.layers, bidirectional=self.direction == "both",
                    window=self.window, vertical=self.vertical)

    def check(self) -> None:
        """Raise OptionError for the first option whose value cannot be used."""
        low, high = self.digits
        most_rows = MOST_COLUMNS // max(1, high * (28 + self.gap) + 2 * self.margin)
        largest = dict(rotate=180, shift=28, jitter=28, wave=28, shear=10, blur=28, minutes=10**7,
                       save_every=10**9)
        bounded = [(name, 0 <= getattr(self, name) <= limit, f"a number from 0 to {limit}")
                   for name, limit in largest.items()]
        for name, fine, expected in [
            ("digits", 1 <= low <= high, "at least 1, and LOW-HIGH in order"),
            ("digits", high <= MOST_DIGITS, f"{MOST_DIGITS} at most"),
            ("test_digits", self.test_digits >= 1, "at least 1"),
            ("hidden", 1 <= self.hidden <= MOST_HIDDEN, f"from 1 to {MOST_HIDDEN}"),
            ("layers", 1 <= self.layers <= MOST_LAYERS, f"from 1 to {MOST_LAYERS}"),
            ("direction", self.direction in ("both", "forward"), "'both' or 'forward'"),
            ("vertical", 0 <= self.vertical <= MOST_HIDDEN, f"from 0 to {MOST_HIDDEN}"),
            # Two frames per digit are enough for any row, even with a blank between equal neighbours.
            ("window", 1 <= self.window <= 14, "from 1 to 14"),
            *bounded,
            ("scale", 0 <= self.scale < 1, "from 0 to below 1"),
            ("plain", 0 <= self.plain <= 1, "from 0 to 1"),
            ("close", 0 <= self.close <= 1, "from 0 to 1"),
            ("close", not self.close or self.window <= ONWARD,
             f"0 with a --window of more than {ONWARD} columns"),
            *((name, 0 <= getattr(self, name) <= MOST_GAP, f"from 0 to {MOST_GAP}")
              for name in ("gap", "margin")),
            # The columns of a digit that no other digit shares must still hold two frames.
            ("overlap", 0 <= self.overlap <= 28 - 2 * self.window,
             f"from 0 to {28 - 2 * self.window}, which leaves two frames of {self.window} columns"),
            ("batch", 1 <= self.batch <= most_rows, f"from 1 to {most_rows} for rows of up to {high} digits"),
            ("shards", 1 <= self.shards <= MOST_STEPS, f"from 1 to {MOST_STEPS}"),
            ("steps", 1 <= self.steps <= MOST_STEPS, f"from 1 to {MOST_STEPS}"),
            ("optimiser", self.optimiser in ("adam", "muon"), "'adam' or 'muon'"),
            ("objective", self.objective in OBJECTIVES, f"one of {', '.join(OBJECTIVES)}"),
            ("weight", self.objective != "ctc" or self.weight == 0, "0 without an --objective"),
            ("weight", self.objective == "ctc" or 0 < abs(self.weight) <= MOST_WEIGHT,
             f"a number from -{MOST_WEIGHT} to {MOST_WEIGHT} other than 0 with --objective {self.objective}"),
            ("weight", self.objective != "focal" or self.weight > 0, "above 0 with --objective focal"),
            ("rate", 0 < self.rate <= 1e6, "above 0, and 1e6 at most"),
            ("clip", self.clip > 0, "a positive number"),
            ("average", 0 <= self.average < 1, "from 0 to below 1"),
            ("evaluations", 0 <= self.evaluations <= MOST_STEPS, f"from 0 to {MOST_STEPS}"),
            # The first evaluation always counts as better, so patience must be smaller than their number.
            ("patience", 0 <= self.patience < max(self.evaluations, 1),
             f"from 0 to {max(self.evaluations, 1) - 1}, fewer than --evaluations"),
            ("seed", 0 <= self.seed <= MOST_SEED, f"from 0 to {MOST_SEED}"),
        ]:
            if not fine:
                value = f"{low}-{high}" if name == "digits" else getattr(self, name)
                raise OptionError(f"--{name.replace('_', '-')} must be {expected}, not {value}")


PRESETS: dict[str, dict[str, Any]] = {
    # A first layer reads each frame from top to bottom, so that a stroke is learnt once for all heights. Two
    # more layers see the whole digit before they answer. The run sees about nine hundred thousand rows, which
    # is each digit some seventy times: distortions about as strong as a reader can bear keep the network from
    # learning the digits by heart, and a quarter of the digits left as they are keep it from forgetting sharp
    # ones. Half of the rows are set by ink, because handwriting touches, and a quarter are blurred, as
    # photographs are. Half of all ends of rows get more paper than MNIST leaves there. Muon gets further in
    # an hour than Adam. The average removes the noise of the last thousand steps. Rows have 1 digit at least,
    # so that the network also sees short ones. Batches of 128 give four threads 32 rows each, and take no
    # longer per row than batches of 64 in two shards.
    # The steps take less than an hour on two cores; on slower ones the clock shortens the schedule.
    "best": dict(digits=(1, 8), hidden=160, layers=2, window=4, vertical=32,
                 rotate=12.0, scale=0.15, shear=0.2, shift=1.5, jitter=1.5, wave=1.3, plain=0.25,
                 close=0.5, margin=16, blur=1.5,
                 batch=128, shards=4, steps=7000, minutes=59.0, optimiser="muon", rate=6e-3,
                 average=0.999, evaluations=20),
}


def with_preset(name: str, **changes) -> Settings:
    """The settings of a preset with some of them changed; the default settings if the name is empty.

    >>> with_preset("best", hidden=64).layers
    2
    """
    if name and name not in PRESETS:
        raise OptionError(f"--preset must be one of {', '.join(PRESETS)}, not {name}")
    return Settings(**{**PRESETS.get(name, {}), **changes})


def from_json(values: Mapping[str, Any]) -> Settings:
    """Settings from what `dataclasses.asdict` gave and JSON has stored, which turns tuples into lists.

    TypeError if a setting is missing, unknown or of another type.
    """
    values = {"transpose": False, "close": 0.0, "margin": 0, "blur": 0.0, "objective": "ctc", "weight": 0.0,
              **values}    # those of older runs
    settings = {}
    for setting in fields(Settings):
        if setting.name not in values:
            raise TypeError(f"no {setting.name}")
        value = values[setting.name]
        signed = setting.name == "weight" and type(value) in (int, float)
        if not same_kind(abs(value) if signed else value, setting.default):
            raise TypeError(f"{setting.name} = {brief(value)}")
        kind: Any = type(setting.default)
        settings[setting.name] = kind(value)
    if unknown := values.keys() - settings.keys():
        raise TypeError(f"unknown setting {brief(sorted(unknown)[0])}")
    return Settings(**settings)
