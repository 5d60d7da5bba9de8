"""What Numba compiles, and the choice to use it: it is optional, and NumPy does everything that this package does.

`compiling` says when and where machine code is made and kept, `simd` what vectors and products are, `threads`,
`barrier` and `workspace` how work and memory are shared; `pointwise` holds passes over whole arrays. The kernels of the
recurrent cells stand beside their NumPy twins in minigrad/recurrent/kernels.
"""

import functools
import importlib
import importlib.metadata
import importlib.util
from types import ModuleType

import numpy as np

from minigrad.compiled.threads import get_num_threads
from minigrad.errors import OptionError

CHOICES = ("auto", "numba", "numpy")
choice = "auto"


def set_kernels(name: str) -> None:
    """Choose what computes whole sequences on the CPU: "numba", "numpy", or "auto": Numba where it is installed.

    Raises OptionError for another name, or for "numba" where it cannot be imported.
    """
    global choice
    if name not in CHOICES:
        raise OptionError(f"set_kernels: takes one of {', '.join(CHOICES)}, not {name!r}")
    if name == "numba" and not isinstance(loaded(), ModuleType):
        raise OptionError(f"set_kernels: {loaded()}")
    choice = name


def kernels() -> str:
    """Return which kernels compute whole sequences on the CPU, and why, in one sentence."""
    found = loaded() if choice != "numpy" else "set_kernels('numpy') chose so"
    if isinstance(found, str):
        return f"NumPy: {found}"
    version = importlib.metadata.version("numba")
    return f"Numba {version}, {found.BYTES * 8}-bit vectors, {get_num_threads()} threads at most"


@functools.cache
def loaded() -> ModuleType | str:
    """Return the module of compiled passes, or why there is none."""
    if importlib.util.find_spec("numba") is None:
        return "Numba is not installed; pip install 'unrolled[jit]' brings kernels that are several times as fast"
    try:
        return importlib.import_module("minigrad.compiled.pointwise")
    except Exception as error:  # a Numba that does not know this NumPy or this Python, or that lacks its libraries
        return f"Numba cannot be imported ({error})"


def usable(*arrays: np.ndarray) -> bool:
    """Whether compiled functions are chosen, there, and made for these arrays: float32 or float64, none empty."""
    if choice == "numpy" or isinstance(loaded(), str):
        return False
    if not all(isinstance(x, np.ndarray) for x in arrays):  # numbers, and arrays of a GPU
        return False
    kinds = {x.dtype for x in arrays}
    return kinds in ({np.dtype("float32")}, {np.dtype("float64")}) and all(x.size for x in arrays)


LARGE = 2048  # numbers, from which on one compiled pass is faster than several of NumPy's


def pays(*arrays: np.ndarray) -> bool:
    """Whether a compiled pass over these arrays is usable, and faster than NumPy's passes."""
    return getattr(arrays[0], "size", 1) >= LARGE and usable(*arrays) and all(x.flags.c_contiguous for x in arrays)
