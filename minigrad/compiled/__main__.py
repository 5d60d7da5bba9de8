"""Compile every kernel now, so that no first use has to wait: python -m minigrad.compiled."""

import time

import numpy as np

from minigrad import Tensor, embedding, kernels, nn, optim
from minigrad.compiled import LARGE


def main() -> None:
    """Run a step of every layer and optimiser in both dtypes, and say how long it took."""
    started = time.perf_counter()
    for dtype in "float32", "float64":
        x = Tensor(np.ones((2, 1, 1), dtype), requires_grad=True)
        for layer, settings in ((nn.RNN, {}), (nn.GRU, {}), (nn.LSTM, {"peephole": True})):
            layer(1, 1, rng=0, dtype=dtype, **settings)(x)[0].sum().backward()
        for make in (optim.SGD, optim.RMSprop, optim.Adam):
            weight = nn.Parameter(np.ones((LARGE, 1), dtype))
            embedding(np.zeros(LARGE, int), weight).sum().backward()
            optim.clip_grad_norm_(weight, 1.0)
            for settings in ({}, {"momentum": 0.5}) if make is optim.SGD else ({},):
                make([weight], lr=0.1, **settings).step()
    print(f"{kernels()}: ready after {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
