"""The command line: `ctc-scratch VERB ...`, one function a verb.

What the user got wrong ends as one line on stderr and exit status 2.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import fields
from typing import Any, Sequence

import numpy as np


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    # A stream that was closed (`>&-`) takes what is written to it, and its number, which a file would get.
    sys.stdout = sys.stdout or open(os.devnull, "w")
    sys.stderr = sys.stderr or open(os.devnull, "w")
    if hasattr(sys.stdout, "reconfigure"):      # what a run says is in its log at once, whatever its letters
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        return _main(argv)
    except KeyboardInterrupt:       # while modules are loaded, too
        return _end(130, "stopped by SIGINT")


def _main(argv: Sequence[str] | None) -> int:
    options = _parser().parse_args(argv)
    from ..digits.errors import ArchiveError, DataError, ImageError, OptionError
    from ..digits.training.train import DiskError, DivergedError, StoppedError
    from .study import StudyError

    try:
        status = options.run(options)
        sys.stdout.flush()
        return status
    except (ArchiveError, DataError, DiskError, ImageError, OptionError, StudyError) as error:
        return _end(2, f"error: {error}")
    except DivergedError as error:
        return _end(1, f"error: {error}")
    except StoppedError as stopped:
        return _end(128 + stopped.signal, stopped)  # the custom for an end by a signal
    except BrokenPipeError:     # of `ctc-scratch ... | head`, which has seen enough
        _forget_output()
        return 141
    except MemoryError as error:
        return _end(2, f"error: there is not enough memory: {error}")
    except OSError as error:
        if not error.filename:
            _forget_output()
        return _end(2, f"error: {error.filename or 'what it writes'}: {error.strerror or error}")


def _end(status: int, message: Any) -> int:
    """One line on stderr, and the exit status."""
    print("ctc-scratch:", " ".join(str(message).splitlines()), file=sys.stderr)
    return status


def _forget_output() -> None:
    """What could not be written to stdout is not tried again at the exit, which would say so once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ctc-scratch",
        description="Connectionist Temporal Classification from scratch: train and test a reader "
        "of rows of handwritten digits, and check every gradient.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    train = _verb(verbs, "train", _train, "learn to read rows of MNIST digits",
                  "ctc-scratch train --digits 3 --steps 1000 --out runs/three")
    from ..digits.training.settings import PRESETS, Settings

    train.add_argument("--preset", choices=list(PRESETS), help="other defaults, under what is given beside "
                       "it: 'best' reads best, and takes an hour")
    train.add_argument("--resume", metavar="RUN", help="go on with the run in this folder, bit for bit as if "
                       "it had never ended; its settings cannot be changed, only --data if they have moved")
    train.add_argument("--threads", type=_threads, metavar="K", help="threads that share the work; they do "
                       "not change a bit of the weights (default: one a core)")
    train.add_argument("--profile", action="store_true", help="show where the time of a training step goes")
    for setting in fields(Settings):
        _add_setting(train, setting)

    evaluate = _verb(verbs, "evaluate", _evaluate, "test a trained model on rows of MNIST test digits",
                     "ctc-scratch evaluate runs/three --digits 1,5,8,20 --decoder greedy,beam")
    evaluate.add_argument("folder", nargs="?", default="", metavar="RUN",
                          help="the folder of a run, or its model.npz (default: the model of this package)")
    evaluate.add_argument("--digits", type=_numbers, default=[5], metavar="N[,N...]",
                          help="digits in a test row (default: 5)")
    evaluate.add_argument("--decoder", type=_decoders, default=["greedy"], metavar="NAME[,NAME...]",
                          help="greedy, beam or map, the most probable digits; several are compared "
                          "(default: greedy)")
    evaluate.add_argument("--data", default="", metavar="DIR", help="folder of MNIST's IDX files")

    _add_read(verbs)
    gradcheck = _verb(verbs, "gradcheck", _gradcheck, "compare every gradient with finite differences",
                      "ctc-scratch gradcheck --seed 1")
    gradcheck.add_argument("--seed", type=_seed, default=0, metavar="N",
                           help="of the random problems (default: 0)")

    _add_lattice(verbs)
    _add_diagnose(verbs)
    _add_show(verbs)
    return parser


def _add_read(verbs) -> None:
    read = _verb(verbs, "read", _read, "read the row of digits in each image file",
                 "ctc-scratch read photo.jpg scan.png --model runs/three --top 3 --figure runs/pictures")
    add = read.add_argument
    add("images", nargs="+", metavar="IMAGE", help="PNG, JPEG...; dark digits on light paper or light on "
        "dark, of any size, one row in each")
    add("--model", default="", metavar="RUN",
        help="the folder of a run, or its model.npz (default: the model of this package)")
    add("--decoder", choices=["greedy", "beam", "map"], default="beam",
        help="map proves that no digits are more probable (default: beam)")
    add("--top", type=int, default=1, metavar="N", help="readings shown of each image (default: 1)")
    add("--figure", default="", metavar="DIR", help="draw where each digit was read, to "
        "DIR/IMAGE.read.png, which replaces an older one")


def _add_lattice(verbs) -> None:
    lattice = _verb(
        verbs, "lattice", _lattice, "show all alignments of a target: as text, numbers and figures",
        "ctc-scratch lattice --target 1,2,2 --frames 6 --seed 0",
    )
    add = lattice.add_argument
    add("--target", type=_labels, default=[1, 2], metavar="L[,L...]",
        help="labels, without the blank (default: 1,2)")
    add("--frames", type=int, default=4, metavar="T", help="frames of a toy (default: 4)")
    add("--classes", type=int, default=0, metavar="C",
        help="classes of a toy (default: what the target needs, 3 at least)")
    add("--seed", type=_seed, metavar="N",
        help="of a toy's random logits, and of the samples (default: all logits are 0)")
    add("--logits", default="", metavar="FILE",
        help="logits (T, C) as numpy.save writes them, in place of a toy's")
    add("--blank", type=int, default=0, metavar="C", help="the blank's class (default: 0)")
    add("--k", type=int, default=3, metavar="N", help="best alignments shown (default: 3)")
    add("--samples", type=int, default=8, metavar="N", help="samples drawn (default: 8)")
    add("--out", default="runs/lattice", metavar="DIR",
        help="folder of the figures, which replace older ones (default: runs/lattice)")


def _add_diagnose(verbs) -> None:
    diagnose = _verb(
        verbs, "diagnose", _diagnose, "say why a target does not fit, or what is wrong with a batch",
        "ctc-scratch diagnose --target 1,1,2 --frames 3; ctc-scratch diagnose batch.npz",
    )
    add = diagnose.add_argument
    add("file", nargs="?", metavar="FILE",
        help="a batch: .npz with the arrays logits, targets and, if need be, logit_lengths and "
        "target_lengths, as ctc_loss takes them; or a data set: .jsonl with lines "
        '{"frames": 140, "target": [3, 1, 4]}, or .csv with a line frames,target and lines 140,3 1 4')
    add("--target", type=_labels, metavar="L[,L...]", help="a single target, in place of FILE")
    add("--frames", type=int, metavar="T", help="the frames it has")
    add("--classes", type=int, metavar="C", help="classes, with the blank, to check labels by")
    add("--blank", type=int, default=0, metavar="C", help="the blank's class (default: 0)")
    add("--layout", choices=["TNC", "NTC"], default="TNC",
        help="axes of the logits: time or batch first (default: TNC)")


def _add_show(verbs) -> None:
    show = _verb(
        verbs, "show", _show, "watch a row of digits being learnt, or see why another never was",
        "ctc-scratch show --original-mistake --out runs/mistake",
    )
    which = show.add_mutually_exclusive_group()
    which.add_argument("--original-mistake", action="store_true",
                       help="the number of digits given as the number of frames, and what mends it")
    which.add_argument("--plateau", action="store_true",
                       help="why training begins all blank and ends in spikes, and what moves it")
    show.add_argument("--seed", type=_seed, default=7, metavar="N", help="of the first weights (default: 7)")
    show.add_argument("--out", default="", metavar="DIR",
                      help="folder of figures and text, which replace older ones (default: runs/show, "
                      "runs/mistake or runs/plateau)")
    show.add_argument("--data", default="", metavar="DIR", help="folder of MNIST's IDX files")


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> None:
        self.exit(2, f"{self.prog}: error: {message}\n")


def _verb(verbs, name: str, run, help: str, example: str) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        name, help=help, description=f"{help[0].upper()}{help[1:]}.", epilog=f"example: {example}"
    )
    parser.set_defaults(run=run)
    return parser


def _add_setting(parser: argparse.ArgumentParser, setting) -> None:
    """One option for one field of the settings dataclass."""
    default, help = setting.default, setting.metadata["help"]
    kind = _range if isinstance(default, tuple) else type(default)
    if default != "":
        shown = "-".join(map(str, default)) if isinstance(default, tuple) else default
        help = f"{help} (default: {shown})"
    parser.add_argument(
        f"--{setting.name.replace('_', '-')}", type=kind, help=help,  # None if not given
        metavar=setting.metadata["metavar"] or {_range: "RANGE", int: "N", float: "X"}[kind],
    )


def _range(text: str) -> tuple[int, int]:
    """'5' or '3-7' as (low, high)."""
    low, dash, high = text.partition("-")
    try:
        return int(low), int(high if dash else low)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number or LOW-HIGH, not {text!r}") from None


def _seed(text: str) -> int:
    """A number from 0 on."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number from 0 on, not {text!r}")
    return int(text)


def _threads(text: str) -> int:
    """A number of threads."""
    from ..ctc.running.threads import MOST_THREADS

    if not text.isdecimal() or not 1 <= int(text) <= MOST_THREADS:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {MOST_THREADS}, not {text!r}")
    return int(text)


def _labels(text: str) -> list[int]:
    """'1,1,2' as [1, 1, 2]; nothing as []."""
    parts = text.split(",") if text else []
    if not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"expected labels from 0 on, like 1,1,2, not {text!r}")
    return [int(part) for part in parts]


def _numbers(text: str) -> list[int]:
    """'1,5,8' as [1, 5, 8]."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"expected positive numbers, like 1,5,8, not {text!r}")
    return numbers


def _decoders(text: str) -> list[str]:
    """'greedy,beam' as ['greedy', 'beam']."""
    from ..ctc.decoding.by_name import DECODERS

    names = text.split(",")
    for name in names:
        if name not in DECODERS:
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(DECODERS)}, like greedy,beam, "
                                             f"not {text!r}")
    return names


def _train(options: argparse.Namespace) -> int:
    from ..ctc import set_num_threads
    from ..digits.errors import OptionError
    from ..digits.training.settings import Settings, with_preset
    from ..digits.training.train import resume, train

    given = {setting.name: getattr(options, setting.name) for setting in fields(Settings)}
    given = {name: value for name, value in given.items() if value is not None}
    if options.threads:
        set_num_threads(options.threads)
    if options.resume is None:
        train(with_preset(options.preset or "", **given), options.profile)
        return 0
    if not options.resume:
        raise OptionError("--resume must name the folder of a run, not ''")
    data = given.pop("data", "")
    changed = [*(["preset"] if options.preset else []), *given]
    if changed:
        raise OptionError(f"--resume goes on with the settings of {options.resume}, which "
                          f"--{changed[0].replace('_', '-')} cannot change")
    resume(options.resume, options.profile, data)
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from ..digits.data.mnist_files import load_mnist
    from ..digits.errors import OptionError
    from ..digits.model.evaluate import describe, evaluate
    from ..digits.model.model_file import find_model, load_model

    model = load_model(find_model(options.folder))
    mnist = load_mnist(options.data or None)
    for digits in options.digits:
        if digits > len(mnist.test_labels):
            raise OptionError(f"--digits must be at most {len(mnist.test_labels)}, not {digits}")
    print(describe([evaluate(model, mnist.test_images, mnist.test_labels, digits, decoder)
                    for digits in options.digits for decoder in options.decoder]))
    return 0


def _read(options: argparse.Namespace) -> int:
    from ..digits.model.model_file import find_model, load_model
    from ..digits.reading.read import read_files

    model = load_model(find_model(options.model))
    read_files(options.images, model, options.decoder, options.top, options.figure)
    return 0


def _gradcheck(options: argparse.Namespace) -> int:
    from ..digits.lessons.gradchecks import describe, run_checks

    results = run_checks(np.random.default_rng(options.seed))
    print(describe(results))
    return 0 if all(result.passed for result in results) else 1


def _lattice(options: argparse.Namespace) -> int:
    from .study import study_lattice

    o = options
    study_lattice(o.target, o.frames, o.classes, o.blank, o.logits, o.seed, o.k, o.samples, o.out)
    return 0


def _diagnose(options: argparse.Namespace) -> int:
    from .study import StudyError, study_file, study_target

    file, target, frames = options.file, options.target, options.frames
    if file is not None and target is None and frames is None:
        found = study_file(file, options.classes, options.blank, options.layout)
    elif file is None and target is not None and frames is not None:
        found = study_target(target, frames, options.classes, options.blank)
    else:
        raise StudyError("expected a FILE, or --target and --frames")
    return 1 if found.errors else 0


def _show(options: argparse.Namespace) -> int:
    from ..digits.lessons.memorise import show_memorising
    from ..digits.lessons.mistake import show_mistake
    from ..digits.lessons.plateau import show_plateau

    run, folder = show_memorising, "runs/show"
    if options.original_mistake:
        run, folder = show_mistake, "runs/mistake"
    elif options.plateau:
        run, folder = show_plateau, "runs/plateau"
    files = run(options.out or folder, options.seed, options.data)
    print("\nwrote " + "\n      ".join(files))
    return 0
