"""Where a NaN was born: an opt-in check of every result, forward and on the way back."""

import contextlib
import functools
import os
import sys
from collections.abc import Iterator

import numpy as np

from minigrad import cuda
from minigrad.errors import MinigradError, NonFiniteError
from minigrad.graph import Node, Part
from minigrad.op import Op, mode

HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


@contextlib.contextmanager
def detect_anomaly(infinite: bool = False) -> Iterator[None]:
    """Run a block (or, as `@detect_anomaly()`, a function) in which the first NaN raises NonFiniteError.

    Every operation on a node in the block is checked, under no_grad, too; those recorded are checked again when
    `backward` or `grad` comes through them, wherever it is called. The error names the operation, the shapes of its
    operands, and the file and line outside minigrad that called it. Infinities pass unless `infinite` is true: -inf is
    how logits are masked, but it is also where many a NaN comes from. The block is slow; it is for finding a fault.
    """
    before, mode.watch = mode.watch, functools.partial(Watched, infinite)
    try:
        yield
    finally:
        mode.watch = before


def caller() -> str:
    """Return the file and line of the innermost call that lies outside minigrad."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith(HERE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class Watched:
    """An operation called in a watched block: it stands in the node's record in place of the Op itself."""

    def __init__(self, infinite: bool, op: Op, raw: list, y: object):
        self.op, self.name, self.infinite, self.place = op, op.name, infinite, caller()
        if self.bad(y):
            origin = [f"operand {k} already did" for k, x in enumerate(raw) if self.bad(x)]
            raise NonFiniteError(f"{self.call(raw)}: the result holds {'; '.join([self.what, *origin])}; {self.place}")

    what = property(lambda self: "a NaN or an infinity" if self.infinite else "a NaN")

    def call(self, raw: list) -> str:
        return f"{self.name} of shapes {', '.join(str(np.shape(x)) for x in raw)}"

    def bad(self, x: object) -> bool:
        if isinstance(x, tuple | list):
            return any(map(self.bad, x))
        x = x.g if isinstance(x, Part) else x
        x = x.data if isinstance(x, Node) else x
        if x is None:
            return False
        numbers = cuda.loaded() if cuda.holds(x) else np
        return bool((~numbers.isfinite(x) if self.infinite else numbers.isnan(x)).any())

    def pull(self, node: Node, g: object, floor: int, create_graph: bool) -> Iterator:
        """Yield what the operation's own pull does, each part checked; errors name the place of the forward call."""
        _, parents, raw, *_ = node.record
        forward = f"the forward call: {self.place}"
        try:
            for parent, part in self.op.pull(node, g, floor, create_graph):
                if self.bad(part):
                    k = next(k for k, p in enumerate(parents) if p is parent)
                    origin = "; the cotangent of the result already did" if self.bad(g) else ""
                    raise NonFiniteError(
                        f"backward of {self.call(raw)}: the part of operand {k} holds {self.what}{origin}; {forward}"
                    )
                yield parent, part
        except MinigradError as error:
            if forward not in str(error):
                error.add_note(f"backward of {self.call(raw)}; {forward}")
            raise
