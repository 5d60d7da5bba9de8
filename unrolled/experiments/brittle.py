"""How narrow the window of learning rates is: temporal order at length 20, over nine rates and ten seeds.

The task of experiment 6a in Hochreiter & Schmidhuber 1997 at a fifth of its length, so the classes follow from two
symbols about 17 and 9 steps before the last. Plain gradient descent, the same with clipped gradients, and Adam with
clipped gradients; two starts. Chance is an accuracy of 0.25, one symbol of the two gives 0.5.
"""

import numpy as np

import minigrad as mg
from minigrad import Tensor, nn, optim
from minigrad.errors import NonFiniteError
from unrolled import tasks

METHODS = ("SGD", "SGD, clipped", "Adam, clipped")
STARTS = ("uniform", "orthogonal")
RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
CASES = [
    {"method": method, "start": start, "rate": rate, "updates": 600, "seed": seed}
    for method in METHODS
    for start in STARTS
    for rate in RATES
    for seed in range(10)
]
SMALL = {"updates": 20}


class Net(nn.Module):
    """An Elman net of 32 units with tanh, eight inputs and four logits, read at each sequence's last step.

    start: "uniform" is nn.RNN's own, "orthogonal" has the gain 1.
    """

    def __init__(self, start: str, rng: np.random.Generator, hidden: int = 32):
        self.rnn = nn.RNN(8, hidden, rng=rng, dtype="float32")
        self.readout = nn.Linear(hidden, 4, rng=rng, dtype="float32")
        if start == "orthogonal":
            self.rnn.weight_hh_l0.data = nn.init.orthogonal((hidden, hidden), rng, "float32")

    def forward(self, x: Tensor, lengths: np.ndarray) -> Tensor:
        """Return the logits (B, 4) after inputs (T, B, 8)."""
        _, h_n = self.rnn(x, lengths=lengths)
        return self.readout(h_n[0])


def trial(method: str, start: str, rate: float, updates: int, seed: int) -> dict:
    """Train on batches of 32; return the accuracy on 1,000 fresh sequences, and the largest gradient norm met.

    A run whose gradient is no number any more stops there, and its last weights are judged.
    """
    rng = np.random.default_rng(seed)
    net, done, largest = Net(start, rng), 0, 0.0
    params = list(net.parameters())
    optimizer = optim.Adam(params, lr=rate) if method.startswith("Adam") else optim.SGD(params, lr=rate)
    limit = 1.0 if method.endswith("clipped") else np.inf
    with np.errstate(all="ignore"):
        try:
            for _ in range(updates):
                x, target, lengths = tasks.temporal_order(32, rng, length=20)
                loss = mg.cross_entropy(net(Tensor(x), lengths), target)
                optimizer.zero_grad()
                loss.backward()
                largest = max(largest, optim.clip_grad_norm_(params, limit))
                optimizer.step()
                done += 1
        except NonFiniteError:
            pass
        x, target, lengths = tasks.temporal_order(1000, rng, length=20)
        with mg.no_grad():
            logits = net(Tensor(x), lengths).data
    return {"accuracy": float((logits.argmax(axis=1) == target).mean()), "done": done, "largest": largest}
