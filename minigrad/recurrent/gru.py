"""The GRU cell (Cho et al. 2014), with PyTorch's candidate: the reset gate scales R_n h + b_hn, not h."""

from minigrad.op import op
from minigrad.ops import sigmoid, stack, tanh, unstack, where
from minigrad.recurrent import kernels
from minigrad.tensor import Tensor


def gru_step(weighed: Tensor, h: Tensor, R: Tensor, b_hn: Tensor | float) -> Tensor:
    """Return h_t = u h_(t-1) + (1 - u) n from `weighed` = W x_t + b (B, 3 H) and h_(t-1) (B, H).

    Rows stand in PyTorch's order r (reset), u (update, its z), n (candidate). Cho et al. 2014 weigh the state with u,
    as here; Chung et al. 2014 exchange u and 1 - u.
    """
    H = h.shape[1]
    a = h @ R.T
    reset = sigmoid(weighed[:, :H] + a[:, :H])
    update = sigmoid(weighed[:, H : 2 * H] + a[:, H : 2 * H])
    candidate = tanh(weighed[:, 2 * H :] + reset * (a[:, 2 * H :] + b_hn))
    return update * h + (1 - update) * candidate


def gru(
    x: Tensor, h: Tensor, W: Tensor, R: Tensor, b: Tensor | float, b_hn: Tensor | float, mask: object = None
) -> tuple[Tensor, Tensor]:
    """Return all states (T, B, H) and the last one (B, H) for x (T, B, I), from h (B, H); `mask` is that of lstm."""
    outputs = []
    for t, weighed in enumerate(unstack(x @ W.T + b)):
        new = gru_step(weighed, h, R, b_hn)
        h = new if mask is None else where(mask[t], new, h)
        outputs.append(new if mask is None else where(mask[t], new, 0.0))
    return stack(outputs), h


@op(joint=kernels.backward("gru"), reference=lambda *operands, mask: gru(*operands, mask))
def gru_sequence(
    x: Tensor, h: Tensor, W: Tensor, R: Tensor, b: Tensor | float, b_hn: Tensor | float, *, mask: object = None
) -> tuple:
    """Return what gru does, in one operation; missing biases are 0."""
    return kernels.forward("gru", (x, h, W, R, b, b_hn), mask)
