"""Temporal order over about a hundred steps: with and without carousel, with and without gates; and by guessing.

Source: Hochreiter & Schmidhuber 1997, experiment 6a: which of X and Y came first and second, among letters that do not
matter; a sequence is right when all four outputs are off by less than 0.3. What differs: 8 cells that share no gates,
tanh for both squashings, gates that are not fed to gates, the full gradient unless "cut" says otherwise; softmax and
cross-entropy; Adam (rate 0.01, gradients clipped at 1) on batches of 20 fresh sequences. As there, input gates start
with biases, -2 and -4 in turn.

Nets: "both" is the cell of 1997 so simplified, "both, cut" has its truncated gradient. In "gates" c_t = i z, without
the self-loop (a forget gate held shut). In "carousel" the gates are left out. "elman" has neither, and 15 units, so
that its weights are about as many; "elman, slower" is the same with Adam's usual rate, 0.001.

"guess" draws all weights of an Elman net of `units` tanh units and a linear readout from U[-a, a], again and again,
and counts the draws until one is right on every one of 1,000 sequences: the control of whether a task is hard. It is
tried on temporal order and on two-sequence (experiment 3a), of lengths 100 to 110.
"""

import numpy as np

from minigrad import Tensor, cross_entropy, nn, no_grad, optim
from minigrad.recurrent.spec import CellSpec
from unrolled import tasks

SEEDS = range(10)
NETS = ("elman", "elman, slower", "gates", "carousel", "both", "both, cut")
CASES = [{"net": net, "length": length, "seed": seed} for net in NETS for length in (30, 100) for seed in SEEDS]
CASES += [{"net": "guess", "task": task, "seed": seed} for task in ("two_sequence", "temporal_order") for seed in SEEDS]
SMALL = {"limit": 400, "test": 256}
SHUT = -40.0  # the bias of a forget gate that lets nothing through


class Net(nn.Module):
    """A layer and a readout of the last output."""

    def __init__(self, net: str, rng: np.random.Generator):
        self.shut = net == "gates"
        if net.startswith("elman"):
            self.rnn = nn.RNN(8, 15, rng=rng)
        else:
            gated = net != "carousel"
            spec = CellSpec(input_gate=gated, output_gate=gated, forget_gate=self.shut, truncate=net == "both, cut")
            self.rnn = nn.LSTM(8, 8, spec=spec, rng=rng)
            if gated:
                self.rnn.bias_l0.data[:8] = [-2, -4] * 4
        self.readout = nn.Linear(self.rnn.hidden_size, 4, rng=rng)
        if self.shut:
            for p in self.rnn.parameters():
                p.data[8:16] = SHUT if p.ndim == 1 else 0

    def forward(self, x: np.ndarray, lengths: np.ndarray) -> Tensor:
        last = self.rnn(Tensor(x), lengths=lengths)[1]
        return self.readout((last if isinstance(last, Tensor) else last[0])[0])

    def hold(self) -> None:
        """Keep the forget gate shut: its rows get no gradient."""
        if self.shut:
            for p in self.rnn.parameters():
                p.grad[8:16] = 0


def wrong(net: Net, rng: np.random.Generator, length: int, count: int) -> tuple[int, int]:
    """How many of `count` fresh sequences are wrong, by the measure of the paper, and by the largest output."""
    by_paper = by_largest = 0
    for _ in range(count // 256):
        x, classes, lengths = tasks.temporal_order(256, rng, length=length)
        with no_grad():
            u = net(x, lengths).data
        y = np.exp(u - u.max(axis=1, keepdims=True))
        off = abs(y / y.sum(axis=1, keepdims=True) - np.eye(4)[classes]).max(axis=1)
        by_paper += int((off >= 0.3).sum())
        by_largest += int((u.argmax(axis=1) != classes).sum())
    return by_paper, by_largest


def trial(
    net: str, seed: int, length: int = 100, task: str = "temporal_order", limit: int | None = None, test: int = 2560
) -> dict:
    """What came out after `limit` sequences, or of as many guesses."""
    rng = np.random.default_rng(seed)
    if net == "guess":
        return {"draws": guess(task, rng, limit or 50_000)}
    model = Net(net, rng)
    optimizer = optim.Adam(model.parameters(), lr=0.001 if net == "elman, slower" else 0.01)
    read = 0
    for read in range(20, (limit or 40_000) + 1, 20):
        x, classes, lengths = tasks.temporal_order(20, rng, length=length)
        loss = cross_entropy(model(x, lengths), classes)
        optimizer.zero_grad()
        loss.backward()
        model.hold()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if read % 2000 == 0 and wrong(model, rng, length, 256)[0] == 0:
            break
    by_paper, by_largest = wrong(model, rng, length, test)
    return {"sequences": read, "wrong": by_paper, "wrong_largest": by_largest, "test": test}


def guess(
    task: str, rng: np.random.Generator, limit: int, units: int = 4, a: float = 10.0, at_once: int = 200
) -> int | None:
    """How many nets were drawn until one was right on all sequences; None where none was in `limit` draws."""
    make = getattr(tasks, task)
    x, classes, lengths = make(1000, rng)
    classes = classes.ravel().astype(int)
    inputs, outputs = x.shape[2], classes.max() + 1
    first = np.concatenate([np.flatnonzero(classes == k)[:8] for k in range(outputs)])  # most nets fail on these
    for drawn in range(0, limit, at_once):
        size = (at_once, units, inputs + units + 1 + outputs)
        W, R, b, V = np.split(rng.uniform(-a, a, size), np.cumsum([inputs, units, 1]), axis=2)
        net = np.arange(at_once)
        for on in first, np.arange(1000):
            h = np.zeros((len(net), len(on), units))
            for t in range(lengths[on].max()):
                new = np.tanh(x[t, on] @ W[net].transpose(0, 2, 1) + h @ R[net].transpose(0, 2, 1) + b[net, None, :, 0])
                h = np.where((t < lengths[on])[:, None], new, h)
            right = ((h @ V[net]).argmax(axis=2) == classes[on]).all(axis=1)
            net = net[right]
        if len(net):
            return drawn + int(net[0]) + 1
    return None
