"""Whole sequences in one operation: forward and backward passes by hand, one module an array library.

`on_numpy` works everywhere. `on_numba` is compiled: it is taken where Numba is installed, for float32 and float64.
`on_cupy` computes on a GPU.
"""

import importlib
from collections.abc import Callable
from types import ModuleType

import numpy as np

from minigrad import compiled, cuda
from minigrad.backend import is_array
from minigrad.errors import ShapeError
from minigrad.recurrent.kernels import on_numpy


def active(family: str, operands: tuple, static: tuple) -> ModuleType:
    """Return the module for these operands: NumPy's where they are empty, irregular, or mixed or rare in dtype."""
    if any(map(cuda.holds, operands)):
        if not regular(family, operands, static):
            shapes = ", ".join(str(x.shape if is_array(x) else ()) for x in operands)
            raise ShapeError(f"{family}_sequence of shapes {shapes}: its operands do not fit each other")
        return importlib.import_module("minigrad.recurrent.kernels.on_cupy")
    if compiled.usable(*(x for x in operands if isinstance(x, np.ndarray))) and regular(family, operands, static):
        return importlib.import_module("minigrad.recurrent.kernels.on_numba")
    return on_numpy


def regular(family: str, operands: tuple, static: tuple) -> bool:
    """Whether all shapes are the documented ones. Compiled code believes them; NumPy broadcasts others, or refuses."""
    states = 2 if family == "lstm" else 1
    shapes = [x.shape if is_array(x) else () for x in operands]
    x, *before = shapes[: 1 + states]
    W, R, b, *last = shapes[1 + states :]
    H, mask = R[-1] if R else 0, static[-1]
    if family == "lstm":
        spec = static[0]
        rows = sum(H if row == "z" else H // spec.block_size for row in spec.rows)
        fits = H % spec.block_size == 0 and (not spec.peepholes or last == [(3, H)])
    else:
        rows, fits = (H, True) if family == "elman" else (3 * H, last[0] in ((), (H,)))
    return (
        fits
        and len(x) == 3
        and all(shape == (x[1], H) for shape in before)
        and (W, R) == ((rows, x[2]), (rows, H))
        and b in ((), (rows,))
        and (mask is None or (mask.dtype == bool and mask.shape == (*x[:2], 1)))
    )


def forward(family: str, operands: tuple, *static: object) -> tuple:
    """Return (outputs, saved) of a family of cells, by the module in use."""
    module = active(family, operands, static)
    outputs, saved = getattr(module, f"{family}_forward")(*operands, *static)
    return outputs, (module, saved)


def backward(family: str) -> Callable:
    """Return the joint rule of a family, by the module that ran forward."""

    def joint(gs: tuple, outputs: tuple, saved: tuple, operands: list, needs: list, **static: object) -> tuple:
        module, saved = saved
        return getattr(module, f"{family}_backward")(gs, outputs, saved, operands, needs, **static)

    return joint
