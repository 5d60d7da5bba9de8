"""How an operation is declared: once, its forward computation and its backward rules side by side.

A rule is called as rule(g, y, *operands, **static): the cotangent of the result, the result, and what went in. It
returns the cotangent of its operand. It is ordinary code: given arrays it returns arrays, given nodes it returns nodes,
so that higher derivatives come from the same table.
"""

import functools
import inspect
import math
import threading
from collections.abc import Callable, Generator, Iterator
from sys import modules

from minigrad.backend import device_of, use
from minigrad.errors import DTypeError, GraphError, MinigradError
from minigrad.graph import Node, Part, grad

registry: dict[str, "Op"] = {}
FAULTS = (ArithmeticError, AttributeError, IndexError, TypeError, ValueError)  # what bad operands raise


class Mode(threading.local):
    recording = True  # each thread starts with recording on,
    watch = None  # and with no one (detect_anomaly) looking at each result


mode = Mode()


class no_grad:
    """Run a block without recording a graph; as `@no_grad()` a function, or a generator, step by step."""

    def __enter__(self) -> None:
        self.before, mode.recording = mode.recording, False

    def __exit__(self, *error: object) -> None:
        mode.recording = self.before

    def __call__(self, function: Callable) -> Callable:
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise GraphError(f"no_grad: {function.__name__} is async; write `with no_grad():` between its awaits")

        @functools.wraps(function)
        def unrecorded(*args: object, **kwargs: object) -> object:
            with no_grad():
                return function(*args, **kwargs)

        @functools.wraps(function)
        def steps(*args: object, **kwargs: object) -> Generator:
            generator = function(*args, **kwargs)
            step, given = generator.send, (None,)
            while True:
                try:
                    with no_grad():  # and between the steps as the caller will
                        result = step(*given)
                except StopIteration as end:
                    return end.value
                try:
                    step, given = generator.send, ((yield result),)
                except BaseException as error:  # thrown in, or closed
                    step, given = generator.throw, (error,)

        return steps if inspect.isgeneratorfunction(function) else unrecorded


class Op:
    """One row of the table: a name, the forward computation, and either a rule per operand or one joint rule."""

    def __init__(
        self,
        forward: Callable,
        rules: tuple = (),
        joint: Callable | None = None,
        elementwise: bool = False,
        reference: Callable | None = None,
        loss: bool = False,
    ):
        self.name = forward.__name__.lstrip("_")
        self.forward, self.rules, self.joint, self.elementwise = forward, rules, joint, elementwise
        self.reference, self.loss = reference, loss

    def pull(self, node: Node, g: object, floor: int, create_graph: bool) -> list:
        """Return (parent, its part of the cotangent) for the parents that need one."""
        _, parents, raw, static, saved = node.record
        operands, y = raw, node.data
        if "cupy" in modules:  # a rule computes where its operands are
            use(device_of(y[0] if type(y) is tuple else y))
        if create_graph and self.reference:
            return self.pull_reference(node, g, floor)
        if create_graph:  # nodes again; the outputs are made afresh, since a record that kept them would close a cycle
            operands = [x if p is None else self.relive(p, x) for p, x in zip(parents, raw, strict=True)]
            y = picks(node) if type(y) is tuple else node
        parts = None
        try:
            if self.joint:
                gs, outputs = (g, y) if type(y) is tuple else ((g,), (y,))
                needs = [p is not None and p.tick >= floor for p in parents]
                parts = self.joint(gs, outputs, saved, operands, needs, **static)
            pulled = []
            for k, parent in enumerate(parents):
                if parent is not None and parent.tick >= floor:
                    part = parts[k] if parts else self.rules[k](g, y, *operands, **static)
                    pulled.append((parent, parent.conform(part, self, k)))
            return pulled
        except MinigradError:
            raise
        except FAULTS as error:
            raise node.explain(f"backward of {self.name}", raw, static, error) from error

    def pull_reference(self, node: Node, g: object, floor: int) -> list:
        """Return what pull does, as nodes: the gradient of the reference, run again on stand-ins for the parents.

        The sweep through the reference ends at the stand-ins, the oldest nodes it can reach: a parent that depends on
        another (an initial state made from the weights) is not gone through twice.
        """
        _, parents, raw, static, _ = node.record
        inputs = [x if p is None else stand_in(self.relive(p, x)) for p, x in zip(parents, raw, strict=True)]
        outputs = self.reference(*inputs, **static)
        pairs = zip(outputs, g, strict=True) if type(node.data) is tuple else [(outputs, g)]
        total = sum((y * cotangent).sum() for y, cotangent in pairs if cotangent is not None)
        wanted = [k for k, p in enumerate(parents) if p is not None and p.tick >= floor]
        found = grad(total, [inputs[k] for k in wanted], create_graph=True)
        return [(parents[k], part) for k, part in zip(wanted, found, strict=True) if part is not None]

    def relive(self, parent: Node, captured: object) -> Node:
        if parent.data is not captured:
            raise GraphError(
                f"{self.name}: an operand's .data was replaced after the forward pass, so the gradient "
                "cannot be differentiated again; call grad before the optimiser's step"
            )
        return parent


def op(
    *rules: Callable | None,
    joint: Callable | None = None,
    elementwise: bool = False,
    reference: Callable | None = None,
    loss: bool = False,
) -> Callable:
    """Declare an operation: a rule per positional operand, None for one that never has a gradient.

    Keyword-only arguments are static: they reach the rules by name. With no node among the operands the call is only
    the computation. With `joint` the forward returns (output or tuple of outputs, saved), and one function
    joint(gs, outputs, saved, operands, needs, **static) returns all cotangents; missing ones in `gs` are None. A fused
    operation names its `reference`, the same function composed of other operations: higher derivatives go through that.
    A `loss` takes plain arrays, its targets, to the device of the Tensors that they meet; other operations refuse them.
    """

    def declare(forward: Callable) -> Callable:
        this = Op(forward, rules, joint, elementwise, reference, loss)
        registry[this.name] = this
        defaults, blind = forward.__kwdefaults__, None in rules
        arity, code = len(rules) or math.inf, forward.__code__  # a joint rule takes any number of operands
        names = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]

        @functools.wraps(forward)
        def apply(*operands: object, **static: object) -> object:
            if len(operands) > arity and len(operands) <= arity + len(names):  # sum(x, 0) for sum(x, axis=0)
                return apply(*operands[:arity], **dict(zip(names, operands[arity:], strict=False)), **static)
            kind, parents, needed = None, [], False
            for x in operands:
                if isinstance(x, Node):
                    kind = kind or x.kind
                    if x.requires_grad:
                        parents.append(x)
                        needed = True
                        continue
                parents.append(None)
            if kind is None:
                if any(isinstance(x, list | tuple | str) for x in operands):  # which have a + and a * of their own
                    found = next(type(x).__name__ for x in operands if isinstance(x, list | tuple | str))
                    raise DTypeError(f"{this.name}: takes Tensors, arrays and numbers, not a {found}; make it a Tensor")
                try:
                    return forward(*operands, **static)[0] if joint else forward(*operands, **static)
                except AttributeError as error:  # a list has no .sum
                    raise DTypeError(f"{this.name}: takes Tensors, arrays and numbers ({error})") from error
            if defaults:
                static = defaults | (renamed(static) if "dim" in static or "keepdim" in static else static)
            raw = kind.lower(this, operands)
            try:
                y = forward(*raw, **static)
            except MinigradError:
                raise
            except FAULTS as error:
                raise kind.explain(this.name, raw, static, error) from error
            y, saved = y if joint else (y, None)
            if blind:
                parents = [p if rule else None for p, rule in zip(parents, rules, strict=True)]
                needed = any(p is not None for p in parents)
            watched = mode.watch(this, raw, y) if mode.watch else this
            if not (needed and mode.recording):
                return tuple(kind.wrap(x, None, raw) for x in y) if type(y) is tuple else kind.wrap(y, None, raw)
            record = (watched, parents, raw, static, saved)
            if type(y) is tuple:
                return picks(kind.make(y, record))
            return kind.wrap(y, record)

        apply.op = this
        return apply

    return declare


def renamed(static: dict) -> dict:
    """Return keyword arguments with NumPy's names in place of PyTorch's `dim` and `keepdim`."""
    torchs = {"dim": "axis", "keepdim": "keepdims"}
    ours = {key: x for key, x in static.items() if key not in torchs}
    return ours | {torchs[key]: x for key, x in static.items() if key in torchs}


elementwise = functools.partial(op, elementwise=True)


class Slot(Part):
    """The cotangent of one output among several, put in its place in the list."""

    def __init__(self, g: object, k: int):
        self.g, self.k = g, k

    def add_to(self, total: list | None, outputs: tuple, owned: bool) -> list:
        total = [None] * len(outputs) if total is None else total
        total[self.k] = self.g if total[self.k] is None else total[self.k] + self.g
        return total


class Pick:
    """The operation behind one output of several: its cotangent waits in the hidden node for the others."""

    name = "pick"

    @staticmethod
    def pull(node: Node, g: object, floor: int, create_graph: bool) -> Iterator:
        _, (hidden,), _, static, _ = node.record
        if hidden.tick >= floor:
            yield hidden, Slot(g, static["output"])


class StandIn:
    """The identity: a node with a tick of its own, in place of an older one."""

    name = "stand_in"

    @staticmethod
    def pull(node: Node, g: object, floor: int, create_graph: bool) -> list:
        (parent,) = node.record[1]
        return [(parent, g)] if parent.tick >= floor else []


def stand_in(parent: Node) -> Node:
    """Return a younger node of the same value, through which gradients pass."""
    return parent.kind.wrap(parent.data, (StandIn, [parent], [parent.data], {}, None))


class Cut:
    """The operation behind a gradient that ends here on purpose."""

    name = "cut"

    @staticmethod
    def pull(node: Node, g: object, floor: int, create_graph: bool) -> list:
        if create_graph:
            raise GraphError("cut: a truncated gradient is the derivative of nothing, so it cannot be differentiated")
        return []


def cut(x: Node) -> Node:
    """Return `x` as it is, with no gradient back to it; unlike detach, higher derivatives through it are refused."""
    return (
        x.kind.wrap(x.data, (Cut, [x], [x.data], {}, None))
        if getattr(x, "requires_grad", False) and mode.recording
        else x
    )


def picks(hidden: Node) -> tuple[Node, ...]:
    """Return the outputs that a hidden node stands for, as nodes with later ticks."""
    return tuple(hidden.kind.wrap(y, (Pick, [hidden], [y], {"output": k}, None)) for k, y in enumerate(hidden.data))
