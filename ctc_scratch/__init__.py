"""Connectionist Temporal Classification from scratch.

The names of `ctc_scratch.ctc` can be imported from here too. The parts, in the order of reading:

- `ctc_scratch.ctc`, the algorithm: `ctc_loss`, `greedy_decode`, and the same loss written five times,
  from the plainest to the fastest: `enumeration`, `reference`, `kernels`, `exact`, `certified`
- `ctc_scratch.nn`, the network by hand: layers, LSTM, optimisers, `check_grad`
- `ctc_scratch.digits`, the task: rows of MNIST digits
- `ctc-scratch --help`, the command line
"""

from .ctc import *  # noqa: F401, F403
from .ctc import __all__

__version__ = "0.1.0"  # setup.cfg reads it from here


def __dir__() -> list[str]:
    """The public names; submodules can be imported, but are not listed."""
    return sorted([*__all__, "__version__"])
