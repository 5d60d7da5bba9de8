"""Numerical checks: the rules of the table against central differences."""

from collections.abc import Callable, Sequence

import numpy as np

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

    `inputs` are arrays, numbers or Tensors, taken as float64; `function` returns a Tensor or a sequence of them. Each
    result is weighted by a random cotangent: one of all ones would let permuted gradients pass. With `order=2` the
    gradient itself is checked as a function, too. `eps` is the step in (f(x + eps) - f(x - eps)) / (2 eps).
    """
    rng = np.random.default_rng(rng)
    arrays = [np.array(getattr(x, "data", x), dtype=np.float64) for x in inputs]
    nodes = [Tensor(x, requires_grad=True) for x in arrays]
    weights = [rng.standard_normal(y.shape) for y in results(function, nodes)]

    def weighted(*xs: Tensor) -> Tensor:
        return sum(((y * w).sum() for y, w in zip(results(function, xs), weights, strict=True)), Tensor(0.0, "float64"))

    total = weighted(*nodes)
    found = grad(total, nodes) if total.requires_grad else [None] * len(nodes)
    for k, (x, g) in enumerate(zip(arrays, found, strict=True)):
        analytic = np.zeros_like(x) if g is None else g.data
        numeric = np.zeros_like(x)
        for at in np.ndindex(x.shape):
            moved = [a.copy() for a in arrays]
            moved[k][at] = x[at] + eps
            above = weighted(*map(Tensor, moved)).item()
            moved[k][at] = x[at] - eps
            numeric[at] = (above - weighted(*map(Tensor, moved)).item()) / (2 * eps)
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

        gradcheck(gradient, arrays, order - 1, eps, rtol, atol, rng)
    return True


def results(function: Callable, xs: Sequence) -> list[Tensor]:
    y = function(*xs)
    return [y] if isinstance(y, Tensor) else list(y)
