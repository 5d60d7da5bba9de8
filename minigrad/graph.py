"""The graph: nodes, and the sweep that carries cotangents from a result back to its inputs.

Every node takes the next tick of one clock when it is made. An operand exists before its result, so falling ticks visit
every result before its operands. For a recurrent network that order is time itself, run backwards.
"""

import itertools
import threading
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from operator import iadd

from minigrad.errors import GraphError

clock = itertools.count(1)
leaves = threading.Lock()  # held while a gradient is added, so that several threads may sweep to one leaf
FREED = "an earlier backward freed this graph: .detach() a state kept across batches, or pass it retain_graph=True"


class Node:
    """A value in the graph; `record` says how it was made, None in a leaf."""

    __slots__ = ("__weakref__", "data", "grad", "record", "requires_grad", "tick")

    def __init__(self, data: object, requires_grad: bool = False):
        self.data, self.grad, self.requires_grad = data, None, requires_grad
        self.record, self.tick = None, next(clock)

    @classmethod
    def make(cls, data: object, record: tuple | None = None) -> "Node":
        """Return the result of an operation, past the constructor's checks."""
        node = cls.__new__(cls)
        node.data, node.grad, node.record = data, None, record
        node.requires_grad, node.tick = record is not None, next(clock)
        return node


class Part:
    """A cotangent of which few entries are not 0; `add_to(total, data, owned)` adds them to the parent's buffer."""


def sweep(root: Node, seed: object, floor: int = 0, create_graph: bool = False, retain_graph: bool = False) -> Iterator:
    """Yield (node, cotangent g, is its memory ours?), the newest first."""
    cotangents, owned, agenda = {root: seed}, set(), [(-root.tick, root)]
    while agenda:
        node = heappop(agenda)[1]  # the newest: all that is made of it is done
        g = cotangents.pop(node)
        yield node, g, node in owned
        if node.record is None or node.tick == floor:
            continue
        if node.record is FREED:
            raise GraphError(FREED)
        for parent, part in node.record[0].pull(node, g, floor, create_graph):
            total = cotangents.get(parent)
            if total is None:
                heappush(agenda, (-parent.tick, parent))
            if isinstance(part, Part):  # into one buffer, so x[t] stays linear
                total = part.add_to(total, parent.data, parent in owned)
                owned.add(parent)
            elif total is None:
                total = part  # borrow the first,
            elif parent in owned:
                total = iadd(total, part)  # in place from the third on,
            else:
                total = total + part  # and allocate at the second
                owned.add(parent)
            cotangents[parent] = total
        node.record = node.record if retain_graph else FREED


def backward(root: Node, seed: object = None, retain_graph: bool = False) -> None:
    """Add the gradient of `root` to `.grad` of every leaf; free the graph."""
    for node, g, owned in sweep(root, root.seed(seed), 0, False, retain_graph):
        if node.record is None:
            with leaves:
                total = g if node.grad is None else node.grad + g
                node.grad = node.own(total, owned or node.grad is not None)


def grad(
    root: Node, inputs: Node | Sequence, seed: object = None, create_graph: bool = False, retain_graph: object = None
) -> Node | tuple | None:
    """Return the gradient of `root` for a node or several; no `.grad` changes.

    None where `root` does not depend. Differentiable with `create_graph`.
    """
    wanted = [inputs] if isinstance(inputs, Node) else list(inputs)
    if not all(node.requires_grad for node in wanted):
        raise GraphError("grad: an input does not require a gradient; make it so before the forward pass")
    floor = min((node.tick for node in wanted), default=0)  # none older counts
    retain = create_graph if retain_graph is None else retain_graph
    found, start = dict.fromkeys(wanted), root.seed(seed)
    if create_graph:
        start = seed if isinstance(seed, Node) else root.wrap(start)
    for node, g, owned in sweep(root, start, floor, create_graph, retain):
        if node in found:
            found[node] = g if create_graph else root.wrap(node.own(g, owned))
    found = tuple(found[node] for node in wanted)
    return found[0] if isinstance(inputs, Node) else found
