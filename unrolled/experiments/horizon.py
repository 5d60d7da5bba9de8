"""How far back an Elman net can learn to look: one bit, recalled after a lag of distractors as large as itself.

Our own experiment, on the latching task of Bengio, Simard & Frasconi 1994 in the form of `tasks.delayed_recall`; there
the gradient reached fewer steps back, and the nets were smaller. Four starts of the recurrent weights, two learning
rates, ten seeds; ten trials with four times as many updates. Chance is an accuracy of 0.5.
"""

import numpy as np

import minigrad as mg
from minigrad import Tensor, nn, optim
from minigrad.errors import NonFiniteError
from unrolled import tasks

STARTS = ("uniform", "gaussian", "orthogonal", "identity")
LAGS = (5, 10, 20, 40, 80, 160)
RATES = (0.001, 0.01)
CASES = [
    {"start": start, "lag": lag, "rate": rate, "updates": 500, "seed": seed}
    for start in STARTS
    for lag in LAGS
    for rate in RATES
    for seed in range(10)
]
CASES += [{"start": "uniform", "lag": 20, "rate": 0.001, "updates": 2000, "seed": seed} for seed in range(10)]
SMALL = {"updates": 20}


class Net(nn.Module):
    """An Elman net of 32 units, two inputs and two logits, read at the last step.

    start: "uniform" is nn.RNN's own; "gaussian" has the variance 1/H, "orthogonal" the gain 1; "identity" is that of
    Le, Jaitly & Hinton 2015, with relu and without bias at the start. The other weights are nn.RNN's and nn.Linear's.
    """

    def __init__(self, start: str, rng: np.random.Generator, hidden: int = 32):
        kind = "relu" if start == "identity" else "tanh"
        self.rnn = nn.RNN(2, hidden, nonlinearity=kind, rng=rng, dtype="float32")
        self.readout = nn.Linear(hidden, 2, rng=rng, dtype="float32")
        R, b = self.rnn.weight_hh_l0, self.rnn.bias_l0
        if start == "gaussian":
            R.data = (rng.standard_normal(R.shape) / hidden**0.5).astype("float32")
        elif start == "orthogonal":
            R.data = nn.init.orthogonal(R.shape, rng, "float32")
        elif start == "identity":
            R.data, b.data = nn.init.identity(R.shape, dtype="float32"), 0 * b.data

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (B, 2) after inputs (T, B, 2)."""
        _, h_n = self.rnn(x)
        return self.readout(h_n[0])


def trial(start: str, lag: int, rate: float, updates: int, seed: int) -> dict:
    """Train with Adam, gradients clipped to 1, batches of 32; return the accuracy on 1,000 fresh sequences.

    A run whose gradient is no number any more stops there, and its last weights are judged.
    """
    rng = np.random.default_rng(seed)
    net, done = Net(start, rng), 0
    params = list(net.parameters())
    optimizer = optim.Adam(params, lr=rate)
    with np.errstate(all="ignore"):
        try:
            for _ in range(updates):
                x, target = tasks.delayed_recall(32, rng, lag=lag, noise=1.0)
                loss = mg.cross_entropy(net(Tensor(x)), target)
                optimizer.zero_grad()
                loss.backward()
                optim.clip_grad_norm_(params, 1.0)
                optimizer.step()
                done += 1
        except NonFiniteError:
            pass
        x, target = tasks.delayed_recall(1000, rng, lag=lag, noise=1.0)
        with mg.no_grad():
            logits = net(Tensor(x)).data
    return {"accuracy": float((logits.argmax(axis=1) == target).mean()), "done": done}
