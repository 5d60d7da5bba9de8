"""When a stack beats one layer of as many weights: rule 30 of cellular automata, applied several times to coin flips.

Our own experiment. The target of a step is a function of the last 2 n + 1 inputs, rule 30 composed with itself n times,
wanted at once or `delay` steps later. Stacks of one, two and three layers with 1,055, 1,045 and 1,051 weights, beside
one layer whose readout has a hidden layer (1,057) and one layer with four times the weights (4,159). Ten seeds; every
net gets the same learning rates. Chance is an error of 0.5; a table of the 2^(2 n + 1) windows makes none.
"""

import numpy as np

import minigrad as mg
from minigrad import Tensor, nn, optim

NETS = {"1 layer": (1, 31), "2 layers": (2, 18), "3 layers": (3, 14), "deep readout": (1, 22), "1 layer, wide": (1, 63)}
STACKS = ("1 layer", "2 layers", "3 layers")
RATES = (0.00125, 0.0025, 0.005, 0.01)


def _cases(nets: tuple, n: int, rates: tuple, updates: int = 1000, delay: int = 0) -> list[dict]:
    """Return a case for every net, rate and seed."""
    fixed = {"n": n, "delay": delay, "updates": updates}
    return [fixed | {"net": net, "rate": rate, "seed": seed} for net in nets for rate in rates for seed in range(10)]


CASES = _cases(STACKS, 5, RATES) + _cases(STACKS, 4, RATES) + _cases(("deep readout",), 5, RATES)
CASES += _cases(("1 layer", "3 layers"), 5, (0.0025,), updates=3000)
CASES += _cases(("1 layer, wide",), 5, RATES[:3])
CASES += _cases(("1 layer", "3 layers"), 4, (0.0025, 0.005), delay=2)
CASES += _cases(STACKS, 6, (0.0025,))
SMALL = {"updates": 20}


def rule_30(x: np.ndarray) -> np.ndarray:
    """Return x_(t-2) xor (x_(t-1) or x_t) for bits x (T, ...), with zeros before the first step."""
    padded = np.concatenate([np.zeros_like(x[:2]), x])
    return padded[:-2] ^ (padded[1:-1] | padded[2:])


def batch(n: int, delay: int, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs -1 or 1 (24, count, 1) and targets 0 or 1 for the last 24 - 2 n - delay steps."""
    x = rng.integers(0, 2, (24, count, 1))
    d = x
    for _ in range(n):
        d = rule_30(d)
    return (2 * x - 1).astype("float32"), d[2 * n : 24 - delay].astype("float32")


class Net(nn.Module):
    """A stack of Elman layers and a readout of its top layer, which has a hidden layer of its own if `deep_readout`."""

    def __init__(self, layers: int, hidden: int, deep_readout: bool, rng: np.random.Generator):
        self.rnn = nn.RNN(1, hidden, layers, rng=rng, dtype="float32")
        self.between = nn.Linear(hidden, hidden, rng=rng, dtype="float32") if deep_readout else None
        self.readout = nn.Linear(hidden, 1, rng=rng, dtype="float32")

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (T, B, 1) for inputs (T, B, 1)."""
        h, _ = self.rnn(x)
        return self.readout(mg.tanh(self.between(h)) if self.between else h)


def trial(n: int, delay: int, net: str, updates: int, rate: float, seed: int) -> dict:
    """Train with Adam, gradients clipped to 1, batches of 32; return the share of wrong bits in 500 fresh sequences.

    `path` holds the same for 100 sequences, ten times during training; `weights` counts the parameters.
    """
    rng = np.random.default_rng(seed)
    model = Net(*NETS[net], net == "deep readout", rng)
    params = list(model.parameters())
    optimizer = optim.Adam(params, lr=rate)

    def error(count: int, rng: np.random.Generator) -> float:
        x, d = batch(n, delay, count, rng)
        with mg.no_grad():
            logits = model(Tensor(x)).data[2 * n + delay :]
        return float(((logits > 0) != d).mean())

    path, probe = [], np.random.default_rng(1000 + seed)
    for update in range(1, updates + 1):
        x, d = batch(n, delay, 32, rng)
        loss = mg.binary_cross_entropy_with_logits(model(Tensor(x))[2 * n + delay :], d)
        optimizer.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(params, 1.0)
        optimizer.step()
        if update % max(updates // 10, 1) == 0:
            path.append(round(error(100, probe), 4))
    return {"error": error(500, rng), "path": path, "weights": sum(p.size for p in params)}
