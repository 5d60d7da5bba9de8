"""Products with second derivatives: a gradient, differentiated once more."""

from collections.abc import Sequence

import numpy as np

from minigrad.errors import ShapeError
from minigrad.graph import Node, grad


def hvp(root: Node, inputs: Node | Sequence[Node], vectors: object, retain_graph: bool = False) -> Node | tuple:
    """Return H v for the Hessian H of a scalar `root` in the inputs, at the cost of two gradients (Pearlmutter 1994).

    `vectors` holds an array or number for each input, of its shape, and so does the result; for a single node both are
    single, too. Over several inputs H is the whole Hessian, mixed blocks included; it is 0 where `root` depends on an
    input not at all or only linearly. `retain_graph` allows another product of the same root. Raises ShapeError.
    """
    nodes, vectors = ([inputs], [vectors]) if isinstance(inputs, Node) else (list(inputs), list(vectors))
    vectors = [v.data if isinstance(v, Node) else v for v in vectors]
    shapes = [np.shape(v) for v in vectors], [np.shape(x.data) for x in nodes]
    if shapes[0] != shapes[1]:
        raise ShapeError(f"hvp: vectors of shapes {shapes[0]} for inputs of shapes {shapes[1]}; they must be equal")
    vectors = [x.seed(v) for x, v in zip(nodes, vectors, strict=True)]
    total, found = 0.0, [None] * len(nodes)
    for g, v in zip(grad(root, nodes, create_graph=True), vectors, strict=True):
        if g is not None:
            total = total + (g * v if type(v) is float else (g * v).sum())
    if isinstance(total, Node) and total.requires_grad:
        found = grad(total, nodes, retain_graph=retain_graph)
    found = tuple(x.wrap(v * 0) if h is None else h for h, x, v in zip(found, nodes, vectors, strict=True))
    return found[0] if isinstance(inputs, Node) else found
