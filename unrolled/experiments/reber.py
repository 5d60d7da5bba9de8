"""Embedded Reber strings: Elman nets and the cell of 1997, with and without the cuts in their gradients.

Source: Hochreiter & Schmidhuber 1997, experiment 1. As there: 256 training strings and 256 test strings that are not
among them, success when in every string of both sets the legal next symbols are the most active outputs, the sizes of
the nets, the biases of the output gates, the start of the weights. What differs: ten trials with a data set each
instead of thirty on three; the test strings are all different; success is looked for every 800 strings. Recipe "adam"
differs further: softmax and cross-entropy, Adam (rate 0.01, gradients clipped at 1) on batches of 16 strings. Recipe
"online" is nearer to the paper: logistic outputs, squared error, gradient descent (rate 0.1) after each string.

Nets: "elman" (15 units, full gradient), "elman, one step" (15 units; no error goes back through time, as in 1990),
"4x1" and "3x2" (the preset "1997" in blocks x cells, its truncated gradient by hand), and "3x2, gates apart" (gates
are not fed to gates), truncated or with the full gradient.
"""

from dataclasses import replace

import numpy as np

from minigrad import Tensor, cross_entropy, nn, no_grad, optim, tanh
from minigrad.recurrent.spec import CELLS
from unrolled import tasks

SEEDS = range(10)
NETS = ("elman", "elman, one step", "4x1", "3x2", "3x2, gates apart", "3x2, gates apart, full gradient")
CASES = [{"net": net, "recipe": "adam", "seed": seed} for net in NETS for seed in SEEDS]
CASES += [{"net": "4x1", "recipe": "online", "seed": seed, "limit": 50_000} for seed in SEEDS]  # half a minute each
SMALL = {"limit": 1600}


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


class Cell1997:
    """The net of the paper in NumPy, with its truncated gradient: no error goes back except along the cells."""

    def __init__(self, blocks: int, size: int, rng: np.random.Generator):
        self.blocks, self.size, cells = blocks, size, blocks * size
        units = 2 * blocks + cells  # rows and columns: input gates, output gates, cells
        self.U = nn.Parameter(rng.uniform(-0.2, 0.2, (units, 7 + units)))
        bias = rng.uniform(-0.2, 0.2, 2 * blocks)
        bias[blocks:] = -1.0 - np.arange(blocks)
        self.b = nn.Parameter(bias)
        self.V = nn.Parameter(rng.uniform(-0.2, 0.2, (7, cells)))
        self.parameters = [self.U, self.b, self.V]

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """What entered (T, B, 7 + units), activations (T, B, units), cells and their outputs, for x (T, B, 7)."""
        gates, cells = 2 * self.blocks, self.blocks * self.size
        seen = np.zeros((len(x) + 1, x.shape[1], 7 + gates + cells))
        seen[:-1, :, :7] = x
        act, c = np.empty((*x.shape[:2], gates + cells)), np.zeros((len(x) + 1, x.shape[1], cells))
        U, b = self.U.data.T, np.concatenate([self.b.data, np.zeros(cells)])
        wide = np.repeat(np.arange(self.blocks), self.size)  # the block of each cell
        for t in range(len(x)):
            act[t] = sigmoid(seen[t] @ U + b)
            act[t, :, gates:] = 4 * act[t, :, gates:] - 2
            c[t + 1] = c[t] + act[t][:, wide] * act[t, :, gates:]
            seen[t + 1, :, 7 : 7 + gates] = act[t, :, :gates]
            seen[t + 1, :, 7 + gates :] = act[t][:, self.blocks + wide] * (2 * sigmoid(c[t + 1]) - 1)
        return seen[:-1], act, c[1:], seen[1:, :, 7 + gates :]

    def readout(self, x: np.ndarray) -> np.ndarray:
        return self.forward(x)[3] @ self.V.data.T

    def backward(self, x: np.ndarray, error: object) -> None:
        """Leave the gradients in .grad; `error` makes the derivative of the loss from what the readout says."""
        seen, act, c, h = self.forward(x)
        blocks, gates = self.blocks, 2 * self.blocks
        wide = np.repeat(np.arange(blocks), self.size)
        du = error(h @ self.V.data.T)
        dh = du @ self.V.data
        squashed = 2 * sigmoid(c) - 1
        dc = dh * act[..., blocks + wide] * (1 - squashed**2) / 2
        dc = dc[::-1].cumsum(axis=0)[::-1]  # the carousel: what any later step says of c_t, with weight 1
        z = act[..., gates:]
        of_blocks = lambda g: g.reshape(*g.shape[:2], blocks, self.size).sum(axis=3)
        da = np.concatenate([of_blocks(dc * z), of_blocks(dh * squashed), dc * act[..., wide]], axis=2)
        da[..., :gates] *= act[..., :gates] * (1 - act[..., :gates])
        da[..., gates:] *= 1 - z**2 / 4
        self.U.grad = np.tensordot(da, seen, axes=((0, 1), (0, 1)))
        self.b.grad = da[..., :gates].sum(axis=(0, 1))
        self.V.grad = np.tensordot(du, h, axes=((0, 1), (0, 1)))


class Layered(nn.Module):
    """A recurrent layer of the library and a readout without a bias."""

    def __init__(self, net: str, rng: np.random.Generator):
        self.one_step = net == "elman, one step"
        if net.startswith("elman"):
            self.rnn = nn.RNN(7, 15, rng=rng, dtype="float64")
        else:
            cut = not net.endswith("full gradient")
            spec = replace(CELLS["1997"], block_size=2, gate_recurrence="none", truncate=cut)
            self.rnn = nn.LSTM(7, 6, spec=spec, rng=rng, dtype="float64")
            for p in self.rnn.parameters():
                p.data = rng.uniform(-0.2, 0.2, p.shape)
            self.rnn.bias_l0.data[3:] = -1.0 - np.arange(3)
        self.V = nn.Parameter(rng.uniform(-0.2, 0.2, (7, self.rnn.hidden_size)))

    def forward(self, x: np.ndarray) -> Tensor:
        h, _ = self.rnn(Tensor(x))
        if self.one_step:  # the same states again, from the state before as if it were an input
            before = np.concatenate([np.zeros_like(h.data[:1]), h.data[:-1]])
            h = tanh(x @ self.rnn.weight_ih_l0.T + before @ self.rnn.weight_hh_l0.T + self.rnn.bias_l0)
        return h @ self.V.T

    def readout(self, x: np.ndarray) -> np.ndarray:
        with no_grad():
            return self(x).data


def strings_apart(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """256 strings as the grammar makes them, then 256 different ones that are not among them."""
    x, target, legal, lengths = tasks.embedded_reber(8192, rng)
    spelt = ["".join(map(str, column)) for column in target.T]
    known, test = set(spelt[:256]), []
    for at in range(256, 8192):
        if len(test) < 256 and spelt[at] not in known:
            known.add(spelt[at])
            test.append(at)
    at = np.array([*range(256), *test])
    T = lengths[at].max()
    return x[:T, at].astype(float), target[:T, at], legal[:T, at], lengths[at]


def correct(y: np.ndarray, legal: np.ndarray) -> np.ndarray:
    """For each string (B,), whether the legal symbols are the most active outputs at every step."""
    lowest = np.where(legal, y, np.inf).min(axis=2)
    highest = np.where(legal, -np.inf, y).max(axis=2)
    return ((lowest > highest) | ~legal.any(axis=2)).all(axis=0)


def trial(net: str, recipe: str, seed: int, limit: int = 100_000) -> dict:
    """Strings read until success, None where there was none within the limit, and what share was right at the end."""
    rng = np.random.default_rng(seed)
    x, target, legal, lengths = strings_apart(rng)
    blocks = {"4x1": (4, 1), "3x2": (3, 2)}.get(net)
    model = Cell1997(*blocks, rng) if blocks else Layered(net, rng)
    parameters = model.parameters if blocks else list(model.parameters())
    batch = {"adam": 16, "online": 1}[recipe]
    optimizer = optim.Adam(parameters, lr=0.01) if recipe == "adam" else optim.SGD(parameters, lr=0.1)
    wanted = np.eye(7)[target]
    for strings in range(batch, limit + 1, batch):
        at = rng.integers(256, size=batch)
        T = lengths[at].max()
        d, inside = wanted[:T, at], (target[:T, at] >= 0)[..., None]

        def error(u: np.ndarray, d: np.ndarray = d, inside: np.ndarray = inside) -> np.ndarray:
            if recipe == "online":
                y = sigmoid(u)
                return (y - d) * y * (1 - y)
            y = np.exp(u - u.max(axis=2, keepdims=True))
            return inside * (y / y.sum(axis=2, keepdims=True) - d) / inside.sum()

        if blocks:
            model.backward(x[:T, at], error)
        else:
            u = model(x[:T, at])
            loss = cross_entropy(u.reshape(-1, 7)[np.flatnonzero(inside)], target[:T, at][inside[..., 0]])
            optimizer.zero_grad()
            loss.backward()
        if recipe == "adam":
            optim.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if strings % 800 == 0:
            right = correct(model.readout(x), legal)
            if right.all():
                break
    final = correct(model.readout(x), legal)
    return {
        "strings": strings if final.all() else None,
        "train": float(final[:256].mean()),
        "test": float(final[256:].mean()),
    }
