"""CTC in torch training loops: the public names of `bridges/torch`, where the code is."""

from .bridges.torch import *  # noqa: F401, F403
from .bridges.torch import __all__  # noqa: F401
