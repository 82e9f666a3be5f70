"""The losses of `ctc_scratch` for JAX; see `bridges/jax/`."""
from .bridges.jax import *  # noqa: F401, F403
from .bridges.jax import __all__  # noqa: F401
