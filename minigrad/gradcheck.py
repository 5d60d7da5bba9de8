"""Numerical checks: the rules of the table against central differences."""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from minigrad.backend import to_device
from minigrad.errors import GradcheckError
from minigrad.graph import grad
from minigrad.tensor import Tensor


def gradcheck(
    function: Callable,
    inputs: Sequence,
    order: int = 1,
    eps: float = 1e-5,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    rng: np.random.Generator | int = 0,
) -> bool:
    """Return True where `function(*inputs)` has the derivatives that central differences see, or raise GradcheckError.

    `inputs` are arrays, numbers or Tensors, taken as float64, and to the device of the first Tensor; `function` returns
    a Tensor or a sequence of them. Each result is weighted by a random cotangent: one of all ones would let permuted
    gradients pass. With `order=2` the gradient itself is checked as a function, too. `eps` is the step in
    (f(x + eps) - f(x - eps)) / (2 eps).
    """
    rng = np.random.default_rng(rng)
    device = next((x.device for x in inputs if isinstance(x, Tensor)), "cpu")
    there = functools.partial(Tensor, dtype="float64", device=device)
    arrays = [to_device(there(x).data, "cpu") for x in inputs]
    nodes = [there(x, requires_grad=True) for x in arrays]
    weights = [there(rng.standard_normal(y.shape)) for y in results(function, nodes)]

    def weighted(*xs: Tensor) -> Tensor:
        return sum(((y.to(device) * w).sum() for y, w in zip(results(function, xs), weights, strict=True)), there(0.0))

    total = weighted(*nodes)
    found = grad(total, nodes) if total.requires_grad else [None] * len(nodes)
    for k, (x, g) in enumerate(zip(arrays, found, strict=True)):
        analytic = np.zeros_like(x) if g is None else to_device(g.data, "cpu")
        numeric = np.zeros_like(x)
        for at in np.ndindex(x.shape):
            moved = [a.copy() for a in arrays]
            moved[k][at] = x[at] + eps
            above = weighted(*map(there, moved)).item()
            moved[k][at] = x[at] - eps
            numeric[at] = (above - weighted(*map(there, moved)).item()) / (2 * eps)
        off = np.abs(analytic - numeric) - atol - rtol * np.abs(numeric)
        if not np.all(off <= 0):  # NaN fails, too
            at = np.unravel_index(np.argmax(np.where(np.isnan(off), np.inf, off)), x.shape)
            raise GradcheckError(
                f"gradient of input {k} at {tuple(map(int, at))}: the rules give {analytic[at]:.8g}, "
                f"central differences {numeric[at]:.8g}"
            )
    if order > 1:

        def gradient(*xs: Tensor) -> list[Tensor]:
            xs = [x if x.requires_grad else x.requires_grad_() for x in xs]
            total = weighted(*xs)
            found = grad(total, xs, create_graph=True) if total.requires_grad else ()
            return [g for g in found if g is not None]

        gradcheck(gradient, list(map(there, arrays)), order - 1, eps, rtol, atol, rng)
    return True


def results(function: Callable, xs: Sequence) -> list[Tensor]:
    y = function(*xs)
    return [y] if isinstance(y, Tensor) else list(y)
