"""The family of chapter 12: nine LSTM cells, the GRU and Elman nets on a running sum that a marker sets back to zero.

The cells are those of Greff et al. 2017, the task is ours. "stream": 30 steps, each with a number and, with
probability 0.15, a marker; wanted at each step is half the sum of the numbers since the last marker. "pieces": the same
without a need to forget, sequences of 8 steps with their only marker at the first. Both tasks give 480 numbers an
update. Adam, gradients clipped to 1, three learning rates for every cell, ten seeds. Eight units each, and those with
the fewest weights also with at least as many as the vanilla cell has. "longer" is three times the training.
"""

import numpy as np

import minigrad as mg
from minigrad import Tensor, nn, optim

CELLS = ("vanilla", "NIG", "NFG", "NOG", "NIAF", "NOAF", "NP", "CIFG", "FGR", "GRU", "Elman")
WIDER = (("NFG", 10), ("GRU", 10), ("Elman", 18))
RATES = (0.005, 0.015, 0.045)


def _cases(task: str, nets: tuple, rates: tuple = RATES, updates: int = 400) -> list[dict]:
    """Return a case for every net, rate and seed."""
    fixed = {"task": task, "updates": updates}
    return [
        fixed | {"cell": cell, "hidden": hidden, "rate": rate, "seed": seed}
        for cell, hidden in nets
        for rate in rates
        for seed in range(10)
    ]


NETS = tuple((cell, 8) for cell in CELLS)
CASES = _cases("stream", NETS + WIDER) + _cases("pieces", NETS)
CASES += _cases("stream", (("vanilla", 8), ("NFG", 8)), (0.015,), updates=1200)
SMALL = {"updates": 20, "long": 40}


def running_sum(task: str, count: int, rng: np.random.Generator, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs (T, N, 2), number and marker, and half the sum since the last marker (T, N, 1)."""
    x = np.zeros((length, count, 2), "float32")
    x[..., 0] = rng.uniform(-1, 1, (length, count))
    x[..., 1] = rng.random((length, count)) < (0.15 if task == "stream" else 0)
    x[0, :, 1] = 1
    targets, total = np.zeros((length, count, 1), "float32"), 0.0
    for t in range(length):
        total = np.where(x[t, :, 1] == 1, 0.0, total) + x[t, :, 0]
        targets[t, :, 0] = total / 2
    return x, targets


class Net(nn.Module):
    """A recurrent layer and a linear readout."""

    def __init__(self, cell: str, hidden: int, rng: np.random.Generator):
        like = {"rng": rng, "dtype": "float32"}
        if cell in ("GRU", "Elman"):
            self.rnn = (nn.GRU if cell == "GRU" else nn.RNN)(2, hidden, **like)
        else:
            self.rnn = nn.LSTM(2, hidden, spec=cell, **like)
        self.readout = nn.Linear(hidden, 1, **like)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (T, B, 1) for inputs (T, B, 2)."""
        return self.readout(self.rnn(x)[0])


def trial(task: str, cell: str, hidden: int, rate: float, seed: int, updates: int, long: int = 500) -> dict:
    """Train; return mean squared errors on fresh data: to choose a rate by, to report, and on longer streams.

    `path` holds the training loss, averaged over each tenth of the updates. `weights` counts what the layer holds.
    """
    rng = np.random.default_rng(seed)
    net = Net(cell, hidden, rng)
    params, losses = list(net.parameters()), []
    optimizer = optim.Adam(params, lr=rate)
    length, count = (30, 16) if task == "stream" else (8, 60)
    for _ in range(updates):
        x, targets = running_sum(task, count, rng, length)
        loss = mg.mse_loss(net(Tensor(x)), targets)
        optimizer.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(params, 1.0)
        optimizer.step()
        losses.append(loss.item())

    def error(seed: int, count: int, length: int) -> float:
        x, targets = running_sum(task, count, np.random.default_rng(seed), length)
        with mg.no_grad():
            return float(((net(Tensor(x)).data - targets) ** 2).mean())

    found = {"choose": error(1000, 200, length), "error": error(2000, 400, length)}
    if task == "stream":
        found["long"] = error(3000, 40, long)
    path = np.mean(np.array(losses[: updates // 10 * 10]).reshape(10, -1), axis=1)
    return found | {"path": path.round(4).tolist(), "weights": sum(p.size for p in net.rnn.parameters())}
