"""Whole sequences in one operation: forward and backward passes by hand, one module an array library.

`on_numpy` works everywhere. `on_numba` is compiled: it is taken where Numba is installed, for float32 and float64.
"""

import functools
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from types import ModuleType

import numpy as np

from minigrad.errors import OptionError
from minigrad.recurrent.kernels import on_numpy
from minigrad.recurrent.kernels.threads import get_num_threads

CHOICES = ("auto", "numba", "numpy")
choice = "auto"


def set_kernels(name: str) -> None:
    """Choose what computes whole sequences: "numba", "numpy", or "auto", which is Numba where it is installed.

    Raises OptionError for another name, or for "numba" where it cannot be imported.
    """
    global choice
    if name not in CHOICES:
        raise OptionError(f"set_kernels: takes one of {', '.join(CHOICES)}, not {name!r}")
    if name == "numba" and not isinstance(compiled(), ModuleType):
        raise OptionError(f"set_kernels: {compiled()}")
    choice = name


def kernels() -> str:
    """Return which kernels compute whole sequences, and why, in one sentence."""
    found = compiled() if choice != "numpy" else "set_kernels('numpy') chose so"
    if isinstance(found, str):
        return f"NumPy: {found}"
    version = importlib.metadata.version("numba")
    return f"Numba {version}, {found.BYTES * 8}-bit vectors, {get_num_threads()} threads at most"


@functools.cache
def compiled() -> ModuleType | str:
    """Return the module of compiled kernels, or why there is none."""
    if importlib.util.find_spec("numba") is None:
        return "Numba is not installed; pip install 'unrolled[jit]' brings kernels that are several times as fast"
    try:
        return importlib.import_module("minigrad.recurrent.kernels.on_numba")
    except ImportError as error:  # a Numba that does not know this NumPy or this Python
        return f"Numba cannot be imported ({error})"


def active(operands: tuple) -> ModuleType:
    """Return the module for these operands: NumPy's where they are empty, or mixed or rare in their dtypes."""
    if choice == "numpy" or isinstance(compiled(), str):
        return on_numpy
    arrays = [x for x in operands if isinstance(x, np.ndarray)]
    plain = {x.dtype for x in arrays} in ({np.dtype("float32")}, {np.dtype("float64")})
    return compiled() if plain and all(x.size for x in arrays) else on_numpy


def forward(family: str, operands: tuple, *static: object) -> tuple:
    """Return (outputs, saved) of a family of cells, by the module in use."""
    module = active(operands)
    outputs, saved = getattr(module, f"{family}_forward")(*operands, *static)
    return outputs, (module, saved)


def backward(family: str) -> Callable:
    """Return the joint rule of a family, by the module that ran forward."""

    def joint(gs: tuple, outputs: tuple, saved: tuple, operands: list, needs: list, **static: object) -> tuple:
        module, saved = saved
        return getattr(module, f"{family}_backward")(gs, outputs, saved, operands, needs, **static)

    return joint
