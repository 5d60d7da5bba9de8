"""LayerNorm: each row brought to mean 0 and variance 1, then scaled and shifted as learnt."""

import math

import numpy as np

from minigrad.backend import get_default_dtype
from minigrad.errors import OptionError, ShapeError
from minigrad.nn.module import Module, Parameter
from minigrad.ops import var
from minigrad.tensor import Tensor


class LayerNorm(Module):
    """y = (x - mean) / sqrt(variance + eps) * weight + bias, over the last axes, of shape `normalized_shape`.

    `weight` starts at 1, `bias` at 0. Source: Ba, Kiros & Hinton 2016, eq. 4.
    """

    def __init__(self, normalized_shape: int | tuple[int, ...], eps: float = 1e-5, dtype: object = None):
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        if not shape or math.prod(shape) < 1 or not eps > 0:
            raise OptionError(f"LayerNorm: sizes are at least 1 and eps above 0, not {normalized_shape=}, {eps=}")
        self.shape, self.eps = shape, float(eps)
        self.weight = Parameter(np.ones(shape), dtype or get_default_dtype())
        self.bias = Parameter(np.zeros(shape), dtype or get_default_dtype())

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-len(self.shape) :] != self.shape:
            raise ShapeError(f"LayerNorm: the input has shape {x.shape}, its last axes must be {self.shape}")
        axes = tuple(range(-len(self.shape), 0))
        centred = x - x.mean(axis=axes, keepdims=True)
        return centred / (var(x, axis=axes, keepdims=True) + self.eps).sqrt() * self.weight + self.bias
