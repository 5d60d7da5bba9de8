"""Dropout: noise that keeps a network from relying on single units."""

import numpy as np

from minigrad.backend import generator
from minigrad.errors import DTypeError, OptionError
from minigrad.nn.module import Module
from minigrad.tensor import Tensor


class Dropout(Module):
    """Set each entry to 0 with probability `p`, and multiply the rest by 1 / (1 - p), so that the mean stays.

    In training alone: after `eval()` the input passes as it is. The mask is drawn from `rng` (a Generator or a seed;
    fresh entropy without one), whose state is part of a checkpoint: see Module.rng_state. It is drawn on the host, so
    that the same seed gives the same mask on a GPU, and copied there at each call. Sources: Srivastava et al.
    2014; the scaling in training ("inverted dropout") is PyTorch's.
    """

    def __init__(self, p: float = 0.5, rng: np.random.Generator | int | None = None):
        if not 0 <= p < 1:
            raise OptionError(f"Dropout: p must be at least 0 and below 1, not {p!r}")
        self.p, self.rng = float(p), generator(rng)

    def forward(self, x: Tensor) -> Tensor:
        x = x if isinstance(x, Tensor) else Tensor(x)
        if x.dtype.kind != "f":
            raise DTypeError(f"Dropout: the input is {x.dtype}, not floats; cast it with .astype")
        if not self.training or self.p == 0:
            return x
        kept = self.rng.random(x.shape, np.float32) >= self.p  # of one width, so that every dtype sees the same mask
        return x * Tensor(kept * x.dtype.type(1 / (1 - self.p)), device=x.device)

    def extra_repr(self) -> str:
        return f"p={self.p:g}"
