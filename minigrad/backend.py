"""Where numbers live: the namespace that computes on them, their device, the default dtype, random generators."""

import math
from types import ModuleType, SimpleNamespace

import numpy as np

from minigrad.errors import DeviceError, DTypeError

# What `math` lacks, so that an operation reads the same for a float and for an array.
SCALARS = SimpleNamespace(
    **vars(math),
    abs=abs,
    maximum=lambda a, b: a if a >= b or a != a else b,  # nan on either side stays nan
    minimum=lambda a, b: a if a <= b or a != a else b,
    sign=lambda x: float((x > 0) - (x < 0)),
)
FLOATS = (np.dtype("float32"), np.dtype("float64"))

_default = np.dtype("float32")


def namespace(x: object) -> ModuleType | SimpleNamespace:
    """Return what computes on `x`: NumPy for an array, the functions of `math` for a Python number."""
    if isinstance(x, np.ndarray | np.generic):
        return np
    if isinstance(x, float | int):
        return SCALARS
    raise DTypeError(f"no operation takes a {type(x).__name__}; pass a Tensor, a Value, an array or a number")


def get_default_dtype() -> np.dtype:
    """Return the dtype that lists and Python numbers become in a constructor."""
    return _default


def set_default_dtype(dtype: object) -> None:
    """Set the dtype that lists and Python numbers become in a constructor: float32 (the start) or float64."""
    global _default
    if np.dtype(dtype) not in FLOATS:
        raise DTypeError(f"the default dtype is float32 or float64, not {np.dtype(dtype)}")
    _default = np.dtype(dtype)


def as_array(data: object, dtype: object = None) -> np.ndarray:
    """Return `data` as an array of its own memory: arrays keep their dtype, lists and numbers take the default."""
    try:
        array = np.array(data)
    except (ValueError, TypeError) as error:
        raise DTypeError(f"cannot make an array of this {type(data).__name__}: {error}") from error
    dtype = np.dtype(dtype or (array.dtype if hasattr(data, "dtype") else _default))
    for kind in (array.dtype, dtype):
        if kind.kind not in "biuf":
            raise DTypeError(f"a Tensor holds floats, integers or booleans, not {kind}")
    return array.astype(dtype, copy=False)


def check_device(device: str) -> str:
    """Return the name of a device that is there."""
    if device == "cpu":
        return device
    raise DeviceError(f"device {device!r} is not available: this version of minigrad computes on 'cpu' alone")


def generator(rng: np.random.Generator | int | None) -> np.random.Generator:
    """Return a random generator: the one given, one from a seed, or one of fresh entropy for None."""
    return np.random.default_rng(rng)
