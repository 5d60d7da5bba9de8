"""Timed spikes once more, by cells without the two tanh, as Gers, Schraudolph & Schmidhuber 2002 have them.

As the trials of `peepholes` on the task "spikes", from the same seeds and with the same rates, but with the identity at
the input and at the output of the cell. What differs from the paper is what differs there: Adam, batches, the full
gradient, four cells.
"""

import numpy as np

import minigrad as mg
from minigrad import Tensor, nn, optim
from minigrad.errors import NonFiniteError
from minigrad.recurrent.spec import CellSpec
from unrolled.experiments.peepholes import Spikes

LINEAR = {"input_squashing": "identity", "output_squashing": "identity"}
SPECS = {"none": CellSpec(**LINEAR), "peepholes": CellSpec(peepholes=True, **LINEAR)}

CASES = [
    {"task": "spikes", "net": net, "rate": rate, "updates": 3000, "seed": seed}
    for net in SPECS
    for rate in (0.007, 0.02)
    for seed in range(10)
]
SMALL = {"updates": 20}


class Net(nn.Module):
    """Four cells and a readout; the two kinds of a seed start as one and the same net."""

    def __init__(self, kind: str, seed: int):
        self.rnn = nn.LSTM(1, 4, spec=SPECS[kind], rng=np.random.default_rng(seed), dtype="float32")
        if SPECS[kind].peepholes:
            self.rnn.peephole_l0.data = np.zeros((3, 4), "float32")
        self.readout = nn.Linear(4, 1, rng=np.random.default_rng(1000 + seed), dtype="float32")

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (T, B, 1) for inputs (T, B, 1)."""
        return self.readout(self.rnn(x)[0])


def trial(task: str, net: str, rate: float, updates: int, seed: int) -> dict:
    """Train with Adam, gradients clipped to 1; return the mean steps until the first wrong answer.

    A net whose cells overflow counts as one that is wrong from the start.
    """
    model, rng, given = Net(net, seed), np.random.default_rng(2000 + seed), Spikes()
    params = list(model.parameters())
    optimizer = optim.Adam(params, lr=rate)
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            for _ in range(updates):
                loss = given.loss(model, rng)
                optimizer.zero_grad()
                loss.backward()
                optim.clip_grad_norm_(params, 1.0)
                optimizer.step()
        except NonFiniteError:
            return {"steps": 0.0}
        with mg.no_grad():
            return given.test(model)
