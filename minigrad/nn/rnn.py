"""RNN: a layer of Elman cells over a whole sequence."""

import math

import numpy as np

from minigrad.backend import generator
from minigrad.errors import OptionError, ShapeError
from minigrad.nn.linear import check_input, uniform
from minigrad.nn.module import Module
from minigrad.ops import relu, sigmoid, tanh
from minigrad.recurrent.elman import elman
from minigrad.tensor import Tensor

NONLINEARITIES = {"tanh": tanh, "sigmoid": sigmoid, "relu": relu}


class RNN(Module):
    """One layer of Elman cells, h_t = f(W x_t + R h_(t-1) + b), with PyTorch's signature and shapes.

    Call: output, h_n = rnn(x, h_0). x is (T, B, input_size), or (B, T, input_size) with `batch_first`, or without a
    batch (T, input_size); output holds h_t for every t in the same layout; h_0 (zeros without one) and h_n are
    (1, B, hidden_size), or (1, hidden_size) without a batch. `nonlinearity` is "tanh", "sigmoid" or "relu".

    Parameters start in U[-k, k], k = 1 / sqrt(hidden_size): weight_ih_l0 is W (hidden_size, input_size), weight_hh_l0
    is R (hidden_size, hidden_size), bias_l0 is b. PyTorch has two biases, an inheritance from cuDNN; only their sum
    matters, so here it is one. Source: Elman 1990.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        rng: np.random.Generator | int | None = None,
        dtype: object = None,
    ):
        if nonlinearity not in NONLINEARITIES:
            raise OptionError(f"RNN: nonlinearity is one of {', '.join(NONLINEARITIES)}, not {nonlinearity!r}")
        if min(input_size, hidden_size) < 1:
            raise OptionError(f"RNN: sizes are at least 1, not {input_size=}, {hidden_size=}")
        self.hidden_size, self.nonlinearity, self.batch_first = hidden_size, nonlinearity, batch_first
        rng, bound = generator(rng), 1 / math.sqrt(hidden_size)
        self.weight_ih_l0 = uniform(rng, bound, (hidden_size, input_size), dtype)
        self.weight_hh_l0 = uniform(rng, bound, (hidden_size, hidden_size), dtype)
        self.bias_l0 = uniform(rng, bound, (hidden_size,), dtype) if bias else None

    def forward(self, x: Tensor, h_0: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (output, h_n) for a sequence and, if given, the state before its first step."""
        W, R, b = self.weight_ih_l0, self.weight_hh_l0, self.bias_l0
        x = x if isinstance(x, Tensor) else Tensor(x)
        if x.ndim not in (2, 3) or 0 in x.shape:
            raise ShapeError(f"RNN: the input has shape {x.shape}; give (T, I) or (T, B, I), nothing empty")
        x = check_input("RNN", x, W.shape[1], W)
        batched = x.ndim == 3
        if not batched:
            x = x.reshape(len(x), 1, -1)
        elif self.batch_first:
            x = x.transpose(1, 0, 2)
        state = (1, x.shape[1], self.hidden_size) if batched else (1, self.hidden_size)
        h_0 = check_input("RNN: h_0", np.zeros(state, W.dtype) if h_0 is None else h_0, self.hidden_size, W)
        if h_0.shape != state:
            raise ShapeError(f"RNN: h_0 has shape {h_0.shape}, for this input it must be {state}")
        output, h_n = elman(
            x, h_0.reshape(-1, self.hidden_size), W, R, 0.0 if b is None else b, NONLINEARITIES[self.nonlinearity]
        )
        if not batched:
            output = output.reshape(len(output), -1)
        elif self.batch_first:
            output = output.transpose(1, 0, 2)
        return output, h_n.reshape(*state)
