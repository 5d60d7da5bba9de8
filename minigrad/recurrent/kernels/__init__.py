"""Whole sequences in one operation: forward and backward passes by hand, one module an array library.

`on_numpy` works everywhere. `on_numba` is compiled: it is taken where Numba is installed, for float32 and float64.
"""

import importlib
from collections.abc import Callable
from types import ModuleType

import numpy as np

from minigrad import compiled
from minigrad.recurrent.kernels import on_numpy


def active(operands: tuple) -> ModuleType:
    """Return the module for these operands: NumPy's where they are empty, or mixed or rare in their dtypes."""
    if compiled.usable(*(x for x in operands if isinstance(x, np.ndarray))):
        return importlib.import_module("minigrad.recurrent.kernels.on_numba")
    return on_numpy


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
