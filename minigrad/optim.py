"""Optimisers and gradient clipping. They rebind `.data` and `.grad`, and never write into an array."""

import math
from collections.abc import Iterable

import numpy as np

from minigrad.errors import GraphError, NonFiniteError
from minigrad.graph import Node


class Optimizer:
    """What all optimisers share: the parameters and the learning rate `lr`, which may be changed at any time."""

    def __init__(self, params: Iterable[Node], lr: float):
        self.params, self.lr = list(params), lr
        if not self.params:
            raise ValueError("the optimiser was given no parameters")
        for k, p in enumerate(self.params):
            if not isinstance(p, Node) or not p.requires_grad or p.record is not None:
                raise GraphError(f"parameter {k} is not a leaf that requires a gradient")
        if len(set(self.params)) < len(self.params):
            raise ValueError("a parameter was given twice; it would move twice at every step")
        if not lr > 0:
            raise ValueError(f"the learning rate lr must be above 0, not {lr}")

    def zero_grad(self) -> None:
        """Forget the gradients of the parameters."""
        for p in self.params:
            p.grad = None

    def step(self) -> None:
        """Move every parameter that has a gradient; a NaN or an infinity in any gradient raises NonFiniteError."""
        for k, p in enumerate(self.params):
            if p.grad is not None and not np.isfinite(p.grad).all():
                raise NonFiniteError(
                    f"the gradient of parameter {k}, shape {np.shape(p.data)}, holds a NaN or an infinity; "
                    "no parameter was changed. Lower the learning rate, clip the gradient, or look at the loss"
                )
        for k, p in enumerate(self.params):
            if p.grad is not None:
                p.data = p.own(p.data - float(self.lr) * self.update(k, p.grad), True)

    def update(self, k: int, g: np.ndarray) -> np.ndarray:
        """Return what to subtract from parameter `k`, in units of `lr`, given its gradient."""
        raise NotImplementedError


class SGD(Optimizer):
    """Stochastic gradient descent, p <- p - lr v with v <- momentum v + g (Polyak 1964; v = g without momentum)."""

    def __init__(self, params: Iterable[Node], lr: float, momentum: float = 0.0):
        super().__init__(params, lr)
        self.momentum = float(momentum)
        self.velocity = [0.0] * len(self.params)

    def update(self, k: int, g: np.ndarray) -> np.ndarray:
        self.velocity[k] = self.momentum * self.velocity[k] + g if self.momentum else g
        return self.velocity[k]


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, Algorithm 1): steps scaled by running means of the gradient and of its square."""

    def __init__(
        self, params: Iterable[Node], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ):
        super().__init__(params, lr)
        self.betas, self.eps = tuple(map(float, betas)), float(eps)
        self.steps, self.mean, self.square = ([0] * len(self.params) for _ in range(3))

    def update(self, k: int, g: np.ndarray) -> np.ndarray:
        beta1, beta2 = self.betas
        self.steps[k] += 1
        self.mean[k] = beta1 * self.mean[k] + (1 - beta1) * g
        self.square[k] = beta2 * self.square[k] + (1 - beta2) * g * g
        unbiased = self.mean[k] / (1 - beta1 ** self.steps[k])
        scale = (self.square[k] / (1 - beta2 ** self.steps[k])) ** 0.5
        return unbiased / (scale + self.eps)


def clip_grad_norm_(params: Iterable[Node] | Node, max_norm: float) -> float:
    """Scale all gradients together so that their common Euclidean norm is at most `max_norm`; return it as it was.

    Source: Pascanu, Mikolov & Bengio 2013, Algorithm 1. Raises NonFiniteError where the norm is NaN or infinite.
    """
    params = [p for p in ([params] if isinstance(params, Node) else params) if p.grad is not None]
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm_: max_norm must not be below 0, as {max_norm} is")
    norm = math.sqrt(sum(float(np.sum(np.square(p.grad, dtype=np.float64))) for p in params))
    if not math.isfinite(norm):
        raise NonFiniteError(f"clip_grad_norm_: the norm of the gradients is {norm}; clipping cannot mend that")
    if norm > max_norm:
        for p in params:
            p.grad = p.own(p.grad * float(max_norm / norm), True)
    return norm
