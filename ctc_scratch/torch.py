"""CTC in torch training loops; the code is in `bridges/torch`."""

from .bridges.torch import *  # noqa: F401, F403
from .bridges.torch import __all__  # noqa: F401
