"""The Elman cell (Elman 1990): h_t = f(W x_t + R h_(t-1) + b)."""

from collections.abc import Callable

from minigrad.op import op
from minigrad.ops import relu, sigmoid, stack, tanh, unstack, where
from minigrad.recurrent import kernels
from minigrad.tensor import Tensor

NONLINEARITIES = {"tanh": tanh, "sigmoid": sigmoid, "relu": relu}


def elman_step(x: Tensor, h: Tensor, W: Tensor, R: Tensor, b: Tensor | float, f: Callable = tanh) -> Tensor:
    """Return the next hidden state h_t (B, H) from the input x_t (B, I) and the state h_(t-1) (B, H).

    W (H, I) weighs the input, R (H, H) the state, b (H) is the bias.
    """
    return f(x @ W.T + h @ R.T + b)


def elman(
    x: Tensor, h: Tensor, W: Tensor, R: Tensor, b: Tensor | float, f: Callable = tanh, mask: object = None
) -> tuple[Tensor, Tensor]:
    """Return all hidden states (T, B, H) and the last one (B, H) for a sequence x (T, B, I), from the state h (B, H).

    The same numbers as elman_step T times; the inputs of all steps are weighed in one product before the loop. `mask`
    (T, B, 1), booleans, is false where a sequence of the batch has ended: there the state stays and outputs are 0.
    """
    R_transposed, outputs = R.T, []
    for t, weighed in enumerate(unstack(x @ W.T + b)):
        new = f(weighed + h @ R_transposed)
        h = new if mask is None else where(mask[t], new, h)
        outputs.append(new if mask is None else where(mask[t], new, 0.0))
    return stack(outputs), h


@op(
    joint=kernels.backward("elman"),
    reference=lambda *operands, nonlinearity, mask: elman(*operands, NONLINEARITIES[nonlinearity], mask),
)
def elman_sequence(
    x: Tensor, h: Tensor, W: Tensor, R: Tensor, b: Tensor | float, *, nonlinearity: str = "tanh", mask: object = None
) -> tuple:
    """Return what elman does, in one operation; a missing bias is 0."""
    return kernels.forward("elman", (x, h, W, R, b), nonlinearity, mask)
