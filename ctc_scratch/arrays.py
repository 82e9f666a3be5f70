"""Arguments as NumPy arrays, with errors that name the remedy; and a decorator that allows underflow."""

from __future__ import annotations

import functools
from typing import Any, Callable, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])


def underflow_is_zero(function: Function) -> Function:
    """A decorator: a probability too small for a float becomes 0, even after np.seterr(under="raise")."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        # A np.errstate used as the decorator would be shared by all threads, and NumPy 1.26 stores the old
        # settings in it.
        with np.errstate(under="ignore"):
            return function(*args, **kwargs)

    return cast(Function, call)


REFUSED = "must not be a masked array, whose mask would be lost"
"""The beginning of each error about a mask, after the name of the argument."""


def before_mask(labels: Any, name: str) -> Any:
    """The labels of a target without its masked end; what is not a masked target is returned unchanged.

    Raises TypeError if the mask covers anything but the end.

    >>> before_mask(np.ma.masked_equal([1, 2, -1, -1], -1), "targets")
    array([1, 2])
    """
    if not isinstance(labels, np.ma.MaskedArray) or labels.ndim != 1 or not np.ma.is_masked(labels):
        return labels
    mask = np.ma.getmaskarray(labels)
    U = int(np.argmax(mask))
    if not mask[U:].all():
        raise TypeError(f"{name} {REFUSED}, unless it masks the end of a sequence and nothing before it; "
                        "pass plain numbers, and lengths")
    return labels.data[:U]


def as_array(values: Any, name: str) -> NDArray:
    """The values as an array.

    Raises TypeError if they cannot be converted, as a torch tensor that requires a gradient, or if they are
    masked, since the mask would be lost; ValueError if they are nested lists whose lengths differ.

    >>> as_array(np.ma.masked_greater([1, 2, 9], 5), "lengths")
    Traceback (most recent call last):
    TypeError: lengths must not be a masked array, whose mask would be lost; pass plain numbers, and lengths
    """
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.is_masked(values):
            raise TypeError(f"{name} {REFUSED}; pass plain numbers, and lengths")
        values = values.data
    try:
        return np.asarray(values)
    except MemoryError:
        raise
    except Exception as error:  # __array__ of another library may raise anything
        if not hasattr(values, "__array__") and isinstance(error, ValueError):
            raise ValueError(
                f"{name} must be an array, but its parts differ in length: {values!r:.80}") from None
        kind = f"{type(values).__module__}.{type(values).__qualname__}"
        raise TypeError(f"{name} cannot be read as an array from {kind}: {_remedy(values, name)}") from error


def _remedy(values: Any, name: str) -> str:
    """What to pass instead. Tensors are recognised by their attributes, so their library is not imported."""
    if getattr(values, "requires_grad", False):
        return f"it requires a gradient; pass {name}.detach()"
    if getattr(getattr(values, "device", None), "type", "cpu") != "cpu":
        return f"it is on the device {values.device}; pass {name}.cpu()"
    if "bfloat16" in str(getattr(values, "dtype", "")):
        return f"NumPy has no bfloat16; pass {name}.float(), or .long() if they are integers"
    return "pass a NumPy array or nested lists of numbers"
