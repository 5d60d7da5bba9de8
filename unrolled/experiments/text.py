"""Character models of one novel (chapter 13): an LSTM of two layers beside one of a single layer with as many weights.

Every model reads sixteen places of the training text at once, 32 characters between updates; states are handed on and
gradients cut. Loss is the cross-entropy of the next character. The learning rate and the number of streams were chosen
on the validation text in six short runs of the two-layer model; the single layer takes them over.
The first trial also keeps its weights, in half precision, in results/text.npz, which chapter 13 reads.
"""

import math
from pathlib import Path

import numpy as np

import minigrad as mg
from minigrad import nn, optim
from unrolled.tasks import TEXT_SPLIT, text

WEIGHTS = Path(__file__).parent / "results" / "text.npz"
STREAMS, STEPS, EPOCHS, RATE = 16, 32, 10, 1.2e-2
EMBEDDING = 32
SHAPES = (2, 128), (1, 212)  # layers and width
CASES = [{"layers": layers, "hidden": hidden, "seed": seed} for seed in range(3) for layers, hidden in SHAPES]
SMALL = {"hidden": 8, "characters": 2000}  # of each part of the text, for a look


class CharModel(nn.Module):
    """Characters as integers (T, B) -> logits of the next one (T, B, alphabet), and the states after the last."""

    def __init__(self, alphabet: int, layers: int, hidden: int, rng: np.random.Generator):
        self.embedding = nn.Embedding(alphabet, EMBEDDING, rng=rng, dtype="float32")
        self.lstm = nn.LSTM(EMBEDDING, hidden, layers, rng=rng, dtype="float32")
        self.readout = nn.Linear(hidden, alphabet, rng=rng, dtype="float32")

    def forward(self, x: np.ndarray, state: tuple | None = None) -> tuple:
        output, state = self.lstm(self.embedding(x), state)
        return self.readout(output), state


def bits(logits: mg.Tensor, targets: np.ndarray) -> mg.Tensor:
    """Return the mean cost of the targets in bits a character."""
    return mg.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1)) / math.log(2)


def evaluate(net: CharModel, part: np.ndarray) -> float:
    """Return bits a character on a part that is read from its start to its end, the state handed on throughout."""
    state, total = None, 0.0
    with mg.no_grad():
        for k in range(0, len(part) - 1, 1000):
            stretch = part[k : k + 1001, None]
            logits, state = net(stretch[:-1], state)
            total += bits(logits, stretch[1:]).item() * (len(stretch) - 1)
    return total / (len(part) - 1)


def trial(layers: int, hidden: int, seed: int, characters: int | None = None) -> dict:
    """Train one model; return its number of weights, and bits a character in each epoch of training and at the end.

    `head` is the beginning of the training text, as long as the test text is.
    """
    novel = text()
    alphabet = sorted(set(novel))
    indices = np.array([alphabet.index(c) for c in novel])
    parts = [part[:characters] for part in np.split(indices, TEXT_SPLIT)]
    net = CharModel(len(alphabet), layers, hidden, np.random.default_rng(seed))
    optimizer = optim.Adam(net.parameters(), lr=RATE)
    length = (len(parts[0]) - 1) // STREAMS
    streams = np.stack([parts[0][k * length :][: length + 1] for k in range(STREAMS)], axis=1)
    updates, curve = length // STEPS, []
    for epoch in range(EPOCHS):
        state, losses = None, []
        for k in range(updates):
            optimizer.lr = RATE * optim.cosine(epoch * updates + k, EPOCHS * updates, 0.02)
            stretch = streams[k * STEPS :][: STEPS + 1]
            logits, state = net(stretch[:-1], state)
            state = tuple(s.detach() for s in state)
            optimizer.zero_grad()
            loss = bits(logits, stretch[1:])
            loss.backward()
            losses.append(loss.item())
            optim.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
        curve.append(float(np.mean(losses)))
    if (layers, seed, characters) == (2, 0, None):
        np.savez_compressed(WEIGHTS, **{name: x.astype("float16") for name, x in net.state_dict().items()})
    head = parts[0][: len(parts[2])]
    ends = {name: evaluate(net, part) for name, part in (("head", head), ("validation", parts[1]), ("test", parts[2]))}
    return {"weights": sum(p.size for p in net.parameters()), "curve": curve, **ends}
