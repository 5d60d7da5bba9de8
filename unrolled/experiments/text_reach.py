"""Does the character model of chapter 13 look further back when gradients do?

The stored net of two layers (results/text.npz, of the experiment `text`) goes on learning for three passes over the
training text, with gradients that go back 32 characters, as before, or 128. Both read 512 characters an update, in 16
streams or in 4, so that the numbers of updates agree. What it costs to predict is then measured with the context cut
to its last n characters (a state of zeros before them), at random places of the test text and at closing quotation
marks.
"""

import math

import numpy as np

import minigrad as mg
from minigrad import optim
from unrolled.experiments.text import WEIGHTS, CharModel, bits, evaluate
from unrolled.tasks import TEXT_SPLIT, text

RATE, PASSES = 4e-3, 3
CONTEXTS = [8, 16, 32, 64, 128, 256]
CASES = [{"steps": 32, "streams": 16}, {"steps": 128, "streams": 4}]
SMALL = {"characters": 3000}  # of each part of the text, for a look


def cost(net: CharModel, part: np.ndarray, at: np.ndarray, context: int) -> float:
    """Return the mean bits of part[at] after that many characters of context."""
    total = 0.0
    with mg.no_grad():
        for places in np.array_split(at, math.ceil(len(at) / 250)):
            output, _ = net.lstm(net.embedding(part[places - np.arange(context, 0, -1)[:, None]]))
            total += bits(net.readout(output[-1]), part[places]).item() * len(places)
    return total / len(at)


def trial(steps: int, streams: int, characters: int | None = None) -> dict:
    """Train on; return bits a character on the test text, and with the context cut, a number for each of CONTEXTS."""
    novel = text()
    alphabet = sorted(set(novel))
    indices = np.array([alphabet.index(c) for c in novel])
    train, validation, test = (part[:characters] for part in np.split(indices, TEXT_SPLIT))
    net = CharModel(len(alphabet), 2, 128, np.random.default_rng(0))
    stored = np.load(WEIGHTS)
    net.load_state_dict({name: stored[name].astype("float32") for name in stored})
    optimizer = optim.Adam(net.parameters(), lr=RATE)
    length = (len(train) - 1) // streams
    read = np.stack([train[k * length :][: length + 1] for k in range(streams)], axis=1)
    updates = length // steps
    for epoch in range(PASSES):
        state = None
        for k in range(updates):
            optimizer.lr = RATE * optim.cosine(epoch * updates + k, PASSES * updates, 0.02)
            stretch = read[k * steps :][: steps + 1]
            logits, state = net(stretch[:-1], state)
            state = tuple(s.detach() for s in state)
            optimizer.zero_grad()
            bits(logits, stretch[1:]).backward()
            optim.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
    mark, newline = alphabet.index('"'), alphabet.index("\n")
    marks = np.cumsum(test == mark)
    before = np.maximum.accumulate(np.where(test == newline, marks, 0))
    closing = np.flatnonzero((test == mark) & ((marks - before) % 2 == 0))
    places = np.random.default_rng(0).integers(CONTEXTS[-1], len(test), size=500)
    return {
        "validation": evaluate(net, validation),
        "test": evaluate(net, test),
        "anywhere": [cost(net, test, places, n) for n in CONTEXTS],
        "closing": [cost(net, test, closing[closing >= CONTEXTS[-1]], n) for n in CONTEXTS],
    }
