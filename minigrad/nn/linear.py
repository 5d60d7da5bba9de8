"""Linear: an affine map of the last axis."""

import math

import numpy as np

from minigrad.backend import generator, get_default_dtype
from minigrad.errors import DTypeError, OptionError, ShapeError
from minigrad.nn.module import Module, Parameter
from minigrad.tensor import Tensor


def uniform(rng: np.random.Generator, bound: float, shape: tuple, dtype: object) -> Parameter:
    """Return a parameter drawn from U[-bound, bound]."""
    return Parameter(rng.uniform(-bound, bound, shape), dtype or get_default_dtype())


def check_input(layer: str, x: object, size: int, weight: Parameter) -> Tensor:
    """Return the input as a Tensor, plain data on the layer's device; refuse a last axis or dtype that does not fit."""
    if isinstance(x, tuple):
        raise DTypeError(f"{layer}: the input is a tuple; a recurrent layer returns (output, h_n), pass on the output")
    x = x if isinstance(x, Tensor) else Tensor(x, device=weight.device)
    if x.ndim == 0 or x.shape[-1] != size:
        raise ShapeError(f"{layer}: the input has shape {x.shape}, its last axis must be {size}")
    if x.dtype != weight.dtype:
        raise DTypeError(f"{layer}: the input is {x.dtype}, the weights are {weight.dtype}; cast one with .astype")
    return x


class Linear(Module):
    """y = x W^T + b along the last axis: x (..., in_features), y (..., out_features).

    `weight` (out_features, in_features) and `bias` (out_features) start in U[-k, k], k = 1 / sqrt(in_features), drawn
    from `rng` (a Generator or a seed; fresh entropy without one).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        rng: np.random.Generator | int | None = None,
        dtype: object = None,
    ):
        if min(in_features, out_features) < 1:
            raise OptionError(f"Linear: sizes are at least 1, not {in_features=}, {out_features=}")
        rng, bound = generator(rng), 1 / math.sqrt(in_features)
        self.weight = uniform(rng, bound, (out_features, in_features), dtype)
        self.bias = uniform(rng, bound, (out_features,), dtype) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        x = check_input("Linear", x, self.weight.shape[1], self.weight)
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias
