"""The graph: nodes, and the sweep that carries cotangents from a result back to its inputs.

Every node takes the next tick of one clock when it is made. An operand exists before the operation that uses it, so
visiting nodes by falling tick visits every result before its operands. For a recurrent network that order is time
itself, run backwards.
"""

import itertools
import threading
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from operator import iadd

from minigrad.errors import GraphError

clock = itertools.count(1)
leaves = threading.Lock()  # held while a gradient is added, so that several threads may sweep to one leaf
FREED = "freed"  # the record of a node whose backward sweep is over


class Node:
    """A value in the graph: `data`, the gradient `grad` of a leaf, and `record`, how the value came about."""

    __slots__ = ("__weakref__", "data", "grad", "record", "requires_grad", "tick")

    def __init__(self, data: object, requires_grad: bool = False, record: tuple | None = None):
        self.data, self.grad, self.requires_grad = data, None, requires_grad
        self.record, self.tick = record, next(clock)

    @classmethod
    def make(cls, data: object, record: tuple | None = None) -> "Node":
        """Return a node of this class as it is, past the checks of the class's own constructor."""
        node = cls.__new__(cls)
        node.data, node.grad, node.requires_grad = data, None, record is not None
        node.record, node.tick = record, next(clock)
        return node


class Part:
    """A cotangent of which few entries are not 0; `add_to(total, data, owned)` adds them to the parent's buffer."""


def sweep(root: Node, seed: object, floor: int = 0, create_graph: bool = False, retain_graph: bool = False) -> Iterator:
    """Yield (node, cotangent, owned) by falling tick; `owned` says that no one else holds the cotangent's memory."""
    cotangents, owned, agenda = {root: seed}, set(), [(-root.tick, root)]
    while agenda:
        node = heappop(agenda)[1]  # the latest node: everything computed from it has been visited
        cotangent = cotangents.pop(node)
        yield node, cotangent, node in owned
        if node.record is None or node.tick == floor:
            continue
        if node.record is FREED:
            raise GraphError(
                "an earlier backward freed this part of the graph; pass it retain_graph=True, or run the forward again"
            )
        for parent, part in node.record[0].pull(node, cotangent, floor, create_graph):
            total = cotangents.get(parent)
            if total is None:
                heappush(agenda, (-parent.tick, parent))
            if isinstance(part, Part):  # in one buffer for all of them, so that x[t] stays linear
                cotangents[parent] = part.add_to(total, parent.data, parent in owned)
                owned.add(parent)
            elif total is None:
                cotangents[parent] = part  # borrow the first,
            elif parent in owned:
                cotangents[parent] = iadd(total, part)  # in place from the third on,
            else:
                cotangents[parent] = total + part  # and allocate at the second
                owned.add(parent)
        if not retain_graph:
            node.record = FREED


def backward(root: Node, seed: object = None, retain_graph: bool = False) -> None:
    """Add the gradient of `root` to `.grad` of every leaf it depends on, as raw numbers; free the graph."""
    for node, cotangent, owned in sweep(root, root.seed(seed), retain_graph=retain_graph):
        if node.record is None:
            with leaves:
                node.grad = node.own(*(cotangent, owned) if node.grad is None else (node.grad + cotangent, True))


def grad(
    root: Node, inputs: Node | Sequence, seed: object = None, create_graph: bool = False, retain_graph: object = None
) -> Node | tuple | None:
    """Return the gradient of `root` with respect to a node, or a tuple for several; None where it does not depend.

    With `create_graph` the result is itself differentiable. Ends in the inputs: leaves' `.grad` stays untouched.
    """
    wanted = [inputs] if isinstance(inputs, Node) else list(inputs)
    if not all(node.requires_grad for node in wanted):
        raise GraphError("grad: an input does not require a gradient; make it so before the forward pass")
    floor = min((node.tick for node in wanted), default=0)  # nothing older can depend on an input
    retain_graph = create_graph if retain_graph is None else retain_graph
    found, start = dict.fromkeys(wanted), root.seed(seed)
    start = start if not create_graph else seed if isinstance(seed, Node) else root.wrap(start)
    for node, cotangent, owned in sweep(root, start, floor, create_graph, retain_graph):
        if node in found:
            found[node] = cotangent if create_graph else root.wrap(node.own(cotangent, owned))
    return found[inputs] if isinstance(inputs, Node) else tuple(found[node] for node in wanted)
