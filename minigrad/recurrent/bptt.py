"""Ways to go back through time: in pieces, with less memory, and, for the Elman cell, not at all (RTRL)."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from minigrad.errors import GraphError, OptionError
from minigrad.graph import Node, grad
from minigrad.op import mode, no_grad, picks
from minigrad.ops import concatenate
from minigrad.tensor import Tensor


def detached(state: object) -> object:
    """Return a state, or a tuple of states, outside the graph."""
    return tuple(map(detached, state)) if isinstance(state, tuple) else state.detach()


def truncated(
    layer: Callable, x: Tensor, k1: int, k2: int, state: object = None
) -> Iterator[tuple[slice, Tensor, object]]:
    """Run a recurrent layer over x (T, ...) in pieces of k1 steps, gradients reaching back k2 steps, a multiple of k1.

    Yields (steps, output of these steps, detached state after them) for each piece; compute its loss and call backward
    before the next. Where k2 > k1 the k2 - k1 steps before a piece are run again, so that the graph reaches back to
    them. The last piece may be shorter. Source: Williams & Peng 1990, BPTT(h; h'), with h = k2, h' = k1.
    """
    if k1 < 1 or k2 < k1 or k2 % k1:
        raise OptionError(f"truncated: k2 is a multiple of k1, and k1 at least 1; not {k1=}, {k2=}")
    before = deque([(0, state)], maxlen=k2 // k1)  # the states from which the next piece's graph may start
    for start in range(0, len(x), k1):
        begin, state = before[0]
        steps = slice(start, min(start + k1, len(x)))
        output, state = layer(x[begin : steps.stop], state)
        state = detached(state)
        yield steps, output[start - begin :], state
        before.append((steps.stop, state))


class Replay:
    """The operation behind a checkpoint: it remembers what to run again, not what came of it."""

    name = "checkpoint"

    def __init__(self, function: Callable, inputs: list[Node], params: list[Node]):
        self.function, self.inputs, self.params = function, inputs, params

    def pull(self, node: Node, g: object, floor: int, create_graph: bool) -> list:
        if create_graph:
            raise GraphError("checkpoint: higher derivatives need the graph that it does without")
        captured = node.record[2][len(self.inputs) :]
        if any(p.data is not x for p, x in zip(self.params, captured, strict=True)):
            raise GraphError("checkpoint: a parameter's .data was replaced after the forward pass; step after backward")
        leaves = [Tensor.make(x) for x in node.record[2][: len(self.inputs)]]
        for leaf, x in zip(leaves, self.inputs, strict=True):
            leaf.requires_grad = x.requires_grad
        outputs = self.function(*leaves)
        pairs = zip(outputs, g, strict=True) if type(node.data) is tuple else [(outputs, g)]
        total = sum((y * cotangent).sum() for y, cotangent in pairs if cotangent is not None)
        parents = [p for p in (*self.inputs, *self.params) if p.requires_grad]
        found = grad(total, [p for p in (*leaves, *self.params) if p.requires_grad])
        return [
            (parent, part.data)
            for parent, part in zip(parents, found, strict=True)
            if part is not None and parent.tick >= floor
        ]


def checkpoint(function: Callable, *inputs: Tensor, params: Sequence[Tensor] = ()) -> Tensor | tuple[Tensor, ...]:
    """Return function(*inputs) without its graph; the backward sweep runs the function again to get one.

    `params` are the leaves that the function uses beside its inputs; what is in neither gets no gradient. The function
    must give the same numbers again: no dropout inside. Higher derivatives are refused. Source: Chen et al. 2016.
    """
    with no_grad():
        outputs = function(*inputs)
    params = list(params)
    if not (mode.recording and any(x.requires_grad for x in (*inputs, *params))):
        return outputs
    used = [*inputs, *params]
    parents = [x if x.requires_grad else None for x in used]
    record = (Replay(function, list(inputs), params), parents, [x.data for x in used], {}, None)
    if isinstance(outputs, tuple):
        return picks(Tensor.make(tuple(y.data for y in outputs), record))
    return Tensor.wrap(outputs.data, record)


def checkpointed(layer: Callable, x: Tensor, state: tuple[Tensor, ...], segments: int | None = None) -> tuple:
    """Run a recurrent layer over x (T, B, I) from its states, keeping the graph of one segment at a time.

    `state` is the tuple of states that the layer takes (of one for RNN and GRU). With `segments` about sqrt(T), the
    default, what the graph keeps for the backward pass grows with sqrt(T) instead of T, for one more forward pass; x
    and the output still take T steps each. Returns (output, states) as numbers of the graph, gradients equal to those
    without checkpoints.
    """
    segments = segments or max(1, round(math.sqrt(len(x))))
    if not 1 <= segments <= len(x):
        raise OptionError(f"checkpointed: segments lie between 1 and the {len(x)} steps, not {segments}")
    if layer.training and layer.rng_state():
        raise GraphError("checkpointed: dropout would draw another mask when a segment is run again; use eval() or p=0")
    params, outputs = list(layer.parameters()), []

    def run(piece: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        output, after = layer(piece, states if len(states) > 1 else states[0])
        return output, *(after if isinstance(after, tuple) else (after,))

    for piece in np.array_split(np.arange(len(x)), segments):
        output, *state = checkpoint(run, x[piece[0] : piece[-1] + 1], *state, params=params)
        outputs.append(output)
    return concatenate(outputs), tuple(state)


SLOPES = {"tanh": lambda h: 1 - h * h, "sigmoid": lambda h: h * (1 - h), "relu": lambda h: 1.0 * (h > 0)}
FORWARD = {"tanh": np.tanh, "sigmoid": lambda a: 0.5 * np.tanh(0.5 * a) + 0.5, "relu": lambda a: np.maximum(a, 0)}


def rtrl(
    x: np.ndarray, h: np.ndarray, W: np.ndarray, R: np.ndarray, b: np.ndarray, cotangents: np.ndarray,
    nonlinearity: str = "tanh",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Return dL/dW, dL/dR, dL/db of an Elman net by real-time recurrent learning, forwards only, in NumPy.

    x (T, I), h (H) before the first step, cotangents (T, H): dL_t/dh_t, what the loss at step t says of h_t alone. The
    influence P = dh_t/dtheta (H, number of weights) goes forward with the state: P_t = diag(f'(a_t)) (R P_(t-1) +
    da_t/dtheta). Memory does not depend on T; time is H^4 a step. Source: Williams & Zipser 1989.
    """
    H = len(h)
    influence = np.zeros((H, H * (len(x[0]) + H + 1)))
    gradient = np.zeros(influence.shape[1])
    for x_t, cotangent in zip(x, cotangents, strict=True):
        v = np.concatenate([x_t, h, [1.0]])
        h = FORWARD[nonlinearity](W @ x_t + R @ h + b)
        direct = np.kron(np.eye(H), v)  # da/dtheta: row k of [W R b] sees v
        influence = SLOPES[nonlinearity](h)[:, None] * (R @ influence + direct)
        gradient += cotangent @ influence
    rows = gradient.reshape(H, -1)
    return rows[:, : len(x[0])], rows[:, len(x[0]) : -1], rows[:, -1]
