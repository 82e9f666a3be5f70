"""Connectionist Temporal Classification from scratch.

The public names; each is explained where it is defined:

- `ctc_scratch.ctc`, the algorithm: `ctc_loss`, `greedy_decode`, and the ladder
  `enumeration`, `reference`, `kernels`, `exact`, `certified`, on which it can be read
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
