"""Activations as modules, for those who keep them in the list of layers; the functions are in minigrad.ops."""

from minigrad import ops
from minigrad.nn.module import Module
from minigrad.tensor import Tensor


class ReLU(Module):
    """max(x, 0), entry by entry."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.relu(x)


class Sigmoid(Module):
    """1 / (1 + exp(-x)), entry by entry."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent, entry by entry."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.tanh(x)
