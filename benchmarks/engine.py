"""What minigrad's own machinery costs: a node, a long chain, a loop over x[t], memory over many steps."""

import gc
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import minigrad as mg


def best(call: Callable, repeat: int = 7) -> float:
    """Return the least seconds of several calls: the machine's noise only ever adds."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def node_cost(nodes: int = 1000) -> tuple[float, float]:
    """Return the microseconds that a node costs above the bare NumPy call, forward and backward, 16 x 64 float32.

    The bare calls keep their results, as every engine must that is to go back through them.
    """
    a = np.full((16, 64), 1.001, np.float32)
    leaf, factor = mg.Tensor(a, requires_grad=True), mg.Tensor(a)

    def chain(x: object, a: object) -> list:
        kept = [x]
        for _ in range(nodes):
            kept.append(kept[-1] * a)
        return kept

    def backward() -> float:
        y = chain(leaf, factor)[-1].sum()
        start = time.perf_counter()
        y.backward()
        return time.perf_counter() - start

    bare = best(lambda: chain(a, a))
    ours = best(lambda: chain(leaf, factor))
    return (ours - bare) / nodes * 1e6, (min(backward() for _ in range(7)) - bare) / nodes * 1e6


def chain(nodes: int) -> float:
    """Return the microseconds a node of a chain x + 1 + 1 + ..., forward and backward together."""
    start = time.perf_counter()
    x = y = mg.Value(0.0)
    for _ in range(nodes):
        y = y + 1.0
    y.backward()
    assert x.grad == 1.0
    del y
    return (time.perf_counter() - start) / nodes * 1e6


def reads(steps: int) -> float:
    """Return the microseconds a step of a loop that adds up x[t] over all t of one Tensor, forward and backward."""
    x = mg.Tensor(np.ones((steps, 8), np.float32), requires_grad=True)
    start = time.perf_counter()
    total = 0.0
    for t in range(steps):
        total = total + x[t]
    total.sum().backward()
    assert (x.grad == 1).all()
    return (time.perf_counter() - start) / steps * 1e6


def growth(steps: int = 1000) -> float:
    """Return by how many MB resident memory grows over training steps with the garbage collector off (Linux)."""
    rng = np.random.default_rng(0)
    rnn = mg.nn.RNN(16, 32, rng=rng)
    optimizer = mg.optim.Adam(rnn.parameters(), lr=1e-3)
    x = mg.Tensor(rng.standard_normal((20, 8, 16)).astype(np.float32))

    def step() -> None:
        h, _ = rnn(x)
        optimizer.zero_grad()
        (h * h).mean().backward()
        optimizer.step()

    gc.collect()
    gc.disable()
    for _ in range(100):  # the allocator's pools fill
        step()
    before = resident()
    for _ in range(steps):
        step()
    gc.enable()
    return resident() - before


def resident() -> float:
    """Return the resident memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
