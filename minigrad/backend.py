"""Where numbers live: the namespace that computes on them, their device, the default dtype, random generators."""

import math
import re
from types import ModuleType, SimpleNamespace

import numpy as np

from minigrad import cuda
from minigrad.errors import DeviceError, DTypeError

# What `math` lacks, so that an operation reads the same for a float and for an array.
SCALARS = SimpleNamespace(
    **vars(math),
    abs=abs,
    maximum=lambda a, b: a if a >= b or a != a else b,  # nan on either side stays nan
    minimum=lambda a, b: a if a <= b or a != a else b,
    sign=lambda x: float((x > 0) - (x < 0)),
    where=lambda condition, a, b: a if condition else b,
)
HOST, NUMBERS = (np.ndarray, np.generic), (float, int)
FLOATS = (np.dtype("float32"), np.dtype("float64"))

_default = np.dtype("float32")


def namespace(*operands: object) -> ModuleType | SimpleNamespace:
    """Return what computes on the operands: CuPy for arrays of a GPU, NumPy for others, `math` for Python numbers."""
    numbers = SCALARS
    for x in operands:
        if isinstance(x, HOST):
            numbers = np if type(x) is not np.ma.MaskedArray else plain(x)
            if not cuda.loaded():
                break
        elif not isinstance(x, NUMBERS):
            if cuda.holds(x):
                return cuda.loaded()
            raise DTypeError(f"no operation takes a {type(x).__name__}; pass a Tensor, a Value, an array or a number")
    return numbers


def plain(data: object) -> object:
    """Return the data as it is; refuse a masked array, whose mask every computation here would drop."""
    if isinstance(data, np.ma.MaskedArray):
        raise DTypeError("a masked array's mask would be dropped; give .filled(value) instead, or .compressed()")
    return data


def get_default_dtype() -> np.dtype:
    """Return the dtype that lists and Python numbers become in a constructor."""
    return _default


def set_default_dtype(dtype: object) -> None:
    """Set the dtype that lists and Python numbers become in a constructor: float32 (the start) or float64."""
    global _default
    if np.dtype(dtype) not in FLOATS:
        raise DTypeError(f"the default dtype is float32 or float64, not {np.dtype(dtype)}")
    _default = np.dtype(dtype)


def zeros(shape: tuple, like: np.ndarray) -> np.ndarray:
    """Return zeros of a shape, in the dtype of another array and where that lies."""
    use(device_of(like))
    return namespace(like).zeros(shape, like.dtype)


def is_array(x: object) -> bool:
    """Whether x is an array, of NumPy or of a GPU."""
    return isinstance(x, np.ndarray) or cuda.holds(x)


def as_array(data: object, dtype: object = None, device: str | None = None) -> np.ndarray:
    """Return `data` as an array of its own memory: arrays keep their dtype, lists and numbers take the default.

    It lies on `device`; where none is named, arrays stay where they are, and all else is on the CPU.
    """
    there = cuda.holds(data)
    try:
        array = to_device(data, device or device_of(data)) if there else np.array(plain(data))
    except (ValueError, TypeError) as error:
        raise DTypeError(f"cannot make an array of this {type(data).__name__}: {error}") from error
    dtype = np.dtype(dtype or (array.dtype if hasattr(data, "dtype") else _default))
    for kind in (array.dtype, dtype):
        if kind.kind not in "biuf":
            raise DTypeError(f"a Tensor holds floats, integers or booleans, not {kind}")
    if there:
        use(device_of(array))
    array = array.astype(dtype, copy=array is data)
    return array if there or device is None else to_device(array, device)


def as_result(y: object) -> np.ndarray:
    """Return what an operation gave as an array: NumPy gives scalars for 0-d results, CuPy arrays."""
    return y if cuda.holds(y) else np.asarray(y)


# --- devices ---------------------------------------------------------------------------------------------------------


def check_device(device: str) -> str:
    """Return the full name of a device that is there: "cuda" is the first GPU, "cuda:0"."""
    if device == "cpu":
        return device
    found = re.fullmatch(r"cuda(?::(\d+))?", device) if isinstance(device, str) else None
    if not found:
        raise DeviceError(f"there is no device {device!r}; the names are 'cpu', 'cuda', 'cuda:0', 'cuda:1', ...")
    reason = cuda.missing()
    if reason:
        raise DeviceError(f"device {device!r} is not available: {reason}")
    number = int(found[1] or 0)
    if number >= cuda.device_count():
        raise DeviceError(f"device {device!r} is not available: there are {cuda.device_count()}, numbered from cuda:0")
    return f"cuda:{number}"


def device_of(x: object) -> str:
    """Return where an array lies: "cpu", "cuda:0", "cuda:1", ...; for all that is no array, the CPU."""
    return f"cuda:{x.device.id}" if cuda.holds(x) else "cpu"


def to_device(array: np.ndarray, device: str) -> np.ndarray:
    """Return an array on a device: itself where it lies there already, else a copy."""
    if device_of(array) == device:
        return array
    if device == "cpu":
        return array.get()
    cupy = cuda.loaded()
    with cupy.cuda.Device(int(device[5:])):
        if array.ndim == 0 and isinstance(array, np.ndarray):  # a number goes along with the launch that writes it
            return cupy.full((), array.item(), array.dtype)
        return cupy.asarray(array, order="C")  # between GPUs CuPy copies only what has no gaps


def beside(data: object, array: np.ndarray) -> np.ndarray:
    """Return plain data (an array, a list, a number) as an array on the device of another.

    For what a layer, a loss or an index is given; Tensors move only when asked to.
    """
    return data if is_array(data) and device_of(data) == device_of(array) else as_array(data, None, device_of(array))


def together(name: str, operands: list) -> None:
    """Refuse arrays on several devices, naming them; on a GPU, make theirs the current one."""
    devices = list(dict.fromkeys(device_of(x) for x in operands if is_array(x)))
    if len(devices) > 1:
        places = " and ".join(devices)
        raise DeviceError(
            f"{name}: operands on {places}; nothing moves by itself: use .to({devices[0]!r}), "
            f"for an array Tensor(x, device={devices[0]!r})"
        )
    if devices and devices[0] != "cpu":
        use(devices[0])


def use(device: str) -> None:
    """Make a GPU the one that CuPy computes on; nothing for the CPU."""
    if device != "cpu":
        cuda.loaded().cuda.Device(int(device[5:])).use()


def generator(rng: np.random.Generator | int | None) -> np.random.Generator:
    """Return a random generator: the one given, one from a seed, or one of fresh entropy for None."""
    return np.random.default_rng(rng)
