"""What peepholes buy: five tasks of counting and timing, learnt by small LSTMs with and without them.

The tasks are those of Gers, Schraudolph & Schmidhuber 2002 and Gers & Schmidhuber 2001. What differs: Adam with full
backpropagation through time on batches, where the papers learn online from a truncated gradient; tanh at the input and
output of the cell; more than one cell. "none" and "peepholes" start as one and the same network, for peepholes start
at 0, and see the same data. "cut" also stops the gradient in the peepholes, as the papers do. "wider" is "none" with a
cell more, which makes it larger than "peepholes". Ten seeds; every net of a task gets the same learning rates.
"""

import numpy as np

import minigrad as mg
from minigrad import Tensor, nn, optim
from minigrad.recurrent.spec import CellSpec
from unrolled import tasks

SPECS = {
    "none": CellSpec(),
    "peepholes": CellSpec(peepholes=True),
    "cut": CellSpec(peepholes=True, detach_peephole=True),
    "wider": CellSpec(),
}
CELLS = {"anbn": 2, "anbncn": 3, "cosine": 3, "spikes": 4, "delays": 3}
PAIR = ("none", "peepholes")


def _cases(task: str, nets: tuple, updates: int, rates: tuple = (0.02,)) -> list[dict]:
    """Return a case for every net, rate and seed."""
    fixed = {"task": task, "updates": updates}
    return [fixed | {"net": net, "rate": rate, "seed": seed} for net in nets for rate in rates for seed in range(10)]


CASES = _cases("anbn", (*SPECS, "Elman"), 3000) + _cases("cosine", tuple(SPECS), 2000)
CASES += _cases("cosine", PAIR, 2000, (0.007,)) + _cases("delays", PAIR, 1500)
CASES += _cases("spikes", PAIR, 3000, (0.007, 0.02)) + _cases("anbncn", PAIR, 3000)
SMALL = {"updates": 20, "highest": 30}


class Net(nn.Module):
    """A recurrent layer and a readout; weights that two nets of a seed have in common start equal."""

    def __init__(self, kind: str, channels: int, hidden: int, seed: int):
        rng, like = np.random.default_rng(seed), {"dtype": "float32"}
        if kind == "Elman":
            self.rnn = nn.RNN(channels, hidden, rng=rng, **like)
        else:
            self.rnn = nn.LSTM(channels, hidden, spec=SPECS[kind], rng=rng, **like)
            if SPECS[kind].peepholes:
                self.rnn.peephole_l0.data = np.zeros((3, hidden), "float32")
        self.readout = nn.Linear(hidden, channels, rng=np.random.default_rng(1000 + seed), **like)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (T, B, channels) for inputs of that shape."""
        return self.readout(self.rnn(x)[0])


def accepted(logits: np.ndarray, legal: np.ndarray) -> int:
    """Return the largest n up to which every string is predicted without an error; string n is column n - 1."""
    right = ((logits > 0) == legal) | ~legal.any(axis=-1, keepdims=True)  # past its end a string asks nothing
    wrong = ~right.all(axis=(0, 2))
    return int(wrong.argmax()) if wrong.any() else len(wrong)


class Counting:
    """Strings of a's, b's (and c's), up to n = 10; at each symbol, which may come next? Tested on longer strings."""

    def __init__(self, task: str, highest: int):
        self.strings, self.highest = getattr(tasks, task), highest
        self.channels = 4 if task == "anbn" else 5

    def loss(self, net: Net, rng: np.random.Generator) -> Tensor:
        """All ten strings at once."""
        inputs, _, legal, _ = self.strings(1, 10)
        asked = legal.any(axis=-1)
        return mg.binary_cross_entropy_with_logits(net(Tensor(inputs))[asked], legal[asked].astype("float32"))

    def test(self, net: Net) -> dict:
        """Return the largest n up to which all strings are predicted without an error."""
        inputs, _, legal, _ = self.strings(1, self.highest)
        return {"reach": accepted(net(Tensor(inputs)).data, legal)}


class Cosine:
    """A cosine of 25 steps from no input, four periods of it; tested on its fourth and on its hundredth period."""

    channels = 1

    def loss(self, net: Net, rng: np.random.Generator) -> Tensor:
        """One run from the zero state."""
        inputs, target = tasks.periodic_function(100, period=25)
        return mg.mse_loss(mg.sigmoid(net(Tensor(inputs))), target)

    def test(self, net: Net) -> dict:
        """Return the root of the mean squared error over the two periods; always saying 0.5 makes 0.354."""
        inputs, target = tasks.periodic_function(2500, period=25)
        error = mg.sigmoid(net(Tensor(inputs))).data - target
        error = ((error**2).reshape(100, 25).mean(axis=1)) ** 0.5
        return {"period 4": float(error[3]), "period 100": float(error[99])}


class Spikes:
    """Spikes to be made after 10 or 11 steps, as the input says; tested by the steps until the first wrong answer."""

    channels = 1

    def loss(self, net: Net, rng: np.random.Generator) -> Tensor:
        """Sixteen streams of 60 steps."""
        inputs, target = tasks.timed_spikes(16, rng, length=60)
        return mg.binary_cross_entropy_with_logits(net(Tensor(inputs)), target)

    def test(self, net: Net) -> dict:
        """Return the mean steps without an error, of 1000, over 20 fresh streams."""
        inputs, target = tasks.timed_spikes(20, 99, length=1000)
        wrong = ((net(Tensor(inputs)).data > 0) != target)[..., 0]
        return {"steps": float(np.where(wrong.any(axis=0), wrong.argmax(axis=0), 1000).mean())}


class Delays:
    """Did a spike come 10 or 11 steps after the one before? Tested by the share of right answers in long streams."""

    channels = 1

    def loss(self, net: Net, rng: np.random.Generator) -> Tensor:
        """Sixteen streams of 60 steps."""
        inputs, target, asked = tasks.measure_spike_delays(16, rng, length=60)
        return mg.binary_cross_entropy_with_logits(net(Tensor(inputs))[asked], target[asked])

    def test(self, net: Net) -> dict:
        """Return the share of right answers in 20 fresh streams of 1000 steps."""
        inputs, target, asked = tasks.measure_spike_delays(20, 99, length=1000)
        return {"right": float(((net(Tensor(inputs)).data > 0) == target)[asked].mean())}


def trial(task: str, net: str, updates: int, rate: float, seed: int, highest: int = 500) -> dict:
    """Train with Adam, gradients clipped to 1; return the numbers of the test, the last loss and how many weights."""
    kinds = {"cosine": Cosine, "spikes": Spikes, "delays": Delays}
    given = kinds[task]() if task in kinds else Counting(task, highest)
    hidden = 5 if net == "Elman" else CELLS[task] + (net == "wider")
    model, rng = Net(net, given.channels, hidden, seed), np.random.default_rng(2000 + seed)
    params = list(model.parameters())
    optimizer = optim.Adam(params, lr=rate)
    for _ in range(updates):
        loss = given.loss(model, rng)
        optimizer.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(params, 1.0)
        optimizer.step()
    with mg.no_grad():
        return given.test(model) | {"loss": loss.item(), "weights": sum(p.size for p in params)}
