"""Connectionist Temporal Classification from scratch.

The names of `ctc_scratch.ctc` can be imported from here too. The parts, in the order of reading:

- `ctc_scratch.ctc`, the algorithm: `ctc_loss`, `greedy_decode`, and the same loss written five times,
  from the plainest to the fastest: `enumeration`, `reference`, `kernels`, `exact`, `certified`
- `ctc_scratch.check`: is your CTC right? `check_ctc`, and test vectors; `check_lstm`, `check_layer`
- `ctc_scratch.nn`, the network by hand: layers, LSTM, optimisers, `check_grad`
- `ctc_scratch.digits`, the task: rows of MNIST digits
- `ctc-scratch --help`, the command line
"""

from importlib import import_module
from typing import Any

from .ctc import *  # noqa: F401, F403
from .ctc import __all__

__version__ = "0.1.0"  # setup.cfg reads it from here

LATER = {
    **dict.fromkeys(["Adapter", "Report", "check_ctc"], ".check"),
    **dict.fromkeys(["LSTMAdapter", "LayerReport", "check_layer", "check_lstm"], ".check.layers"),
}
"""Names whose modules are imported when one of them is first used."""


def __getattr__(name: str) -> Any:
    if name in LATER:
        return getattr(import_module(LATER[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names; submodules can be imported, but are not listed."""
    return sorted([*__all__, *LATER, "__version__"])
