"""The calculus table: every operation once, its derivative beside it.

Each rule is called as rule(g, y, *operands, **static), with g the cotangent of the result y. Elementwise rules may
return the broadcast shape: it is summed back in one place. Kinks have a stated convention: relu'(0) = 0, abs'(0) = 0.
"""

import math
import operator
from collections.abc import Sequence

import numpy as np

from minigrad.backend import namespace
from minigrad.errors import DTypeError, GraphError, ShapeError
from minigrad.graph import Node, Part
from minigrad.op import elementwise, op

# --- elementwise, two operands ---------------------------------------------------------------------------------------


@elementwise(lambda g, y, a, b: g, lambda g, y, a, b: g)
def add(a, b):
    """Return a + b, broadcast."""
    return a + b


@elementwise(lambda g, y, a, b: g, lambda g, y, a, b: -g)
def sub(a, b):
    """Return a - b, broadcast."""
    return a - b


@elementwise(lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)
def mul(a, b):
    """Return a * b elementwise, broadcast."""
    return a * b


@elementwise(lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b)
def div(a, b):
    """Return a / b elementwise, broadcast."""
    return a / b


@elementwise(
    lambda g, y, a, b: g * b * (a + (a == 0) * (b == 0)) ** (b - 1),  # 0 ** 0 is constant: 0, not 0 * inf
    lambda g, y, a, b: g * y * log(a + (a == 0)),  # 0 where a is 0, not 0 * log(0)
)
def pow(a, b):
    """Return a ** b elementwise, broadcast."""
    if isinstance(a, float) and isinstance(b, float):
        return math.pow(a, b)  # Python's own a ** b would leave the real numbers for a negative base
    return a**b


# --- comparisons: elementwise, no gradient ---------------------------------------------------------------------------


@elementwise(None, None)
def equal(a, b):
    """Return a == b elementwise, as booleans."""
    return a == b


@elementwise(None, None)
def not_equal(a, b):
    """Return a != b elementwise, as booleans."""
    return a != b


@elementwise(None, None)
def less(a, b):
    """Return a < b elementwise, as booleans."""
    return a < b


@elementwise(None, None)
def less_equal(a, b):
    """Return a <= b elementwise, as booleans."""
    return a <= b


@elementwise(None, None)
def greater(a, b):
    """Return a > b elementwise, as booleans."""
    return a > b


@elementwise(None, None)
def greater_equal(a, b):
    """Return a >= b elementwise, as booleans."""
    return a >= b


# --- elementwise, one operand ----------------------------------------------------------------------------------------


@elementwise(lambda g, y, x: -g)
def neg(x):
    """Return -x."""
    return -x


@elementwise(lambda g, y, x: g * y)
def exp(x):
    """Return e ** x."""
    return namespace(x).exp(x)


@elementwise(lambda g, y, x: g / x)
def log(x):
    """Return the natural logarithm of x."""
    return namespace(x).log(x)


@elementwise(lambda g, y, x: 0.5 * g / y)
def sqrt(x):
    """Return the square root of x."""
    return namespace(x).sqrt(x)


@elementwise(lambda g, y, x: g * (1 - y * y))
def tanh(x):
    """Return the hyperbolic tangent of x."""
    return namespace(x).tanh(x)


@elementwise(lambda g, y, x: g * y * (1 - y))
def sigmoid(x):
    """Return the logistic function 1 / (1 + e ** -x), written with tanh so that no exponential overflows."""
    return 0.5 * namespace(x).tanh(0.5 * x) + 0.5


@elementwise(lambda g, y, x: g * (x > 0))
def relu(x):
    """Return the larger of x and 0; the derivative at 0 is 0."""
    return namespace(x).maximum(x, 0.0)


@elementwise(lambda g, y, x: g * cos(x))
def sin(x):
    """Return the sine of x, in radians."""
    return namespace(x).sin(x)


@elementwise(lambda g, y, x: -g * sin(x))
def cos(x):
    """Return the cosine of x, in radians."""
    return namespace(x).cos(x)


@elementwise(None)
def sign(x):
    """Return -1, 0 or 1; the gradient, 0 almost everywhere, is not recorded."""
    return namespace(x).sign(x)


@elementwise(lambda g, y, x: g * sign(x))
def abs(x):
    """Return the absolute value of x; the derivative at 0 is 0."""
    return namespace(x).abs(x)


# --- sums and shapes -------------------------------------------------------------------------------------------------


def expand(g, like, axis, keepdims):
    """Return the cotangent of a reduction, spread over the axes of `like` that were reduced."""
    if axis is not None and not keepdims:
        shape = list(like.shape)
        for k in axis if isinstance(axis, tuple) else (axis,):
            shape[k] = 1
        g = reshape(g, shape=tuple(shape))
    return broadcast_to(g, shape=like.shape)


def unbroadcast(g, shape):
    """Sum `g` over the axes along which an operand of `shape` was broadcast: the transpose of broadcasting."""
    if g.shape == shape:
        return g
    lead = g.ndim - len(shape)
    if g.shape[lead:] == shape:  # a bias: only new axes in front
        return sum(g, axis=tuple(range(lead)))
    axes = tuple(range(lead)) + tuple(k + lead for k, n in enumerate(shape) if n == 1 and g.shape[k + lead] != 1)
    return reshape(sum(g, axis=axes), shape=shape)


@op(lambda g, y, x, *, axis, keepdims: expand(g, x, axis, keepdims))
def sum(x, *, axis=None, keepdims=False):
    """Return the sum over `axis` (an integer, a tuple, or None for all)."""
    return x.sum(axis=axis, keepdims=keepdims)


@op(lambda g, y, x, *, axis, keepdims: expand(g, x, axis, keepdims) * (y.size / x.size))
def mean(x, *, axis=None, keepdims=False):
    """Return the mean over `axis` (an integer, a tuple, or None for all); refuses an empty one."""
    if x.size == 0:
        raise ShapeError(f"mean: there is nothing to average in shape {x.shape}")
    return x.mean(axis=axis, keepdims=keepdims)


@op(lambda g, y, x, *, shape: unbroadcast(g, x.shape))
def broadcast_to(x, *, shape):
    """Return x broadcast to `shape`; a read-only view."""
    return np.broadcast_to(x, shape)


@op(lambda g, y, x, *, shape: reshape(g, shape=x.shape))
def reshape(x, *, shape):
    """Return the same entries in another shape."""
    return x.reshape(shape)


@op(lambda g, y, x, *, axes: transpose(g, axes=None if axes is None else tuple(np.argsort(np.mod(axes, x.ndim)))))
def transpose(x, *, axes=None):
    """Return x with its axes in the order `axes`, reversed by default."""
    return x.transpose(axes)


@op(lambda g, y, x, *, dtype: astype(g, dtype=x.dtype))
def astype(x, *, dtype):
    """Return x in another float dtype."""
    return x.astype(dtype)


def swap(x):
    """Return x with its last two axes exchanged: the matrix transpose, for every matrix of a batch."""
    return transpose(x, axes=(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


# --- indexing --------------------------------------------------------------------------------------------------------


class Scatter(Part):
    """The cotangent of x[index]: `g` at the index, zero elsewhere, added into one buffer for all reads of x."""

    def __init__(self, g, index):
        self.g, self.index = g, index

    def add_to(self, total, x, owned):
        if total is None:
            total = np.zeros_like(x)
        elif not owned or x.ndim == 0:  # sums of 0-d arrays are NumPy scalars, which cannot be written into
            total = np.array(total)
        add_at(total, self.index, self.g)
        return total


def add_at(buffer, index, g):
    """Add `g` at `index` in place; an index that occurs several times is added several times."""
    entries = index if isinstance(index, tuple) else (index,)
    if all(i is None or i is ... or isinstance(i, int | slice) or np.asarray(i).dtype == bool for i in entries):
        buffer[index] += g
    else:
        np.add.at(buffer, index, g)


@op(lambda g, y, x, *, index: scatter(g, index=index, shape=x.shape) if isinstance(g, Node) else Scatter(g, index))
def getitem(x, *, index):
    """Return x[index]: integers, slices, `...`, None, boolean masks, integer arrays."""
    return x[index]


@op(lambda g, y, x, *, index, shape: getitem(g, index=index))
def scatter(x, *, index, shape):
    """Return zeros of `shape` with x added at `index`: the transpose of indexing."""
    y = np.zeros(shape, x.dtype)
    add_at(y, index, x)
    return y


# --- joining and taking apart ----------------------------------------------------------------------------------------


def concatenate_joint(gs, outputs, saved, operands, needs, *, axis):
    ends = np.cumsum([x.shape[axis] for x in operands])
    lead = (slice(None),) * (axis % operands[0].ndim)
    return [
        getitem(gs[0], index=(*lead, slice(end - x.shape[axis], end))) if need else None
        for x, end, need in zip(operands, ends, needs, strict=True)
    ]


@op(joint=concatenate_joint)
def _concatenate(*xs, axis):
    return np.concatenate(xs, operator.index(axis)), None  # no axis=None, which would flatten


def concatenate(xs: Sequence, axis: int = 0) -> object:
    """Return the arrays of a sequence joined along an existing axis."""
    return _concatenate(*xs, axis=axis)


def stack_joint(gs, outputs, saved, operands, needs, *, axis):
    lead = (slice(None),) * (axis % outputs[0].ndim)
    return [getitem(gs[0], index=(*lead, k)) if need else None for k, need in enumerate(needs)]


@op(joint=stack_joint)
def _stack(*xs, axis):
    return np.stack(xs, axis), None


def stack(xs: Sequence, axis: int = 0) -> object:
    """Return the arrays of a sequence, all of one shape, along a new axis."""
    return _stack(*xs, axis=axis)


def unstack_joint(gs, outputs, saved, operands, needs, *, axis):
    zeros = np.zeros_like(outputs[0] if isinstance(outputs[0], np.ndarray) else outputs[0].data)
    return (stack([zeros if g is None else g for g in gs], axis=axis),)


@op(joint=unstack_joint)
def unstack(x, *, axis=0):
    """Return the tuple of slices of x along `axis`, one node each; what iteration over a Tensor uses."""
    return tuple(np.moveaxis(x, axis, 0)), None


# --- matrices --------------------------------------------------------------------------------------------------------


def flat(x):
    """Return x as one tall matrix: all axes but the last in one."""
    return x if x.ndim == 2 else reshape(x, shape=(math.prod(x.shape[:-1]), x.shape[-1]))


def matmul_left(g, y, a, b):
    if b.ndim == 1:  # y[...] = sum over k of a[..., k] b[k]
        return reshape(g, shape=(*g.shape, 1)) * b
    if a.ndim == 1:  # y[..., n] = sum over k of a[k] b[..., k, n]
        return sum(reshape(b @ reshape(g, shape=(*g.shape, 1)), shape=b.shape[:-1]), axis=tuple(range(b.ndim - 2)))
    return unbroadcast(g @ swap(b), a.shape)


def matmul_right(g, y, a, b):
    if b.ndim <= 2:  # the sum over batch axes is one product of two tall matrices
        return swap(flat(a)) @ (flat(g) if b.ndim == 2 else reshape(g, shape=(g.size,)))
    if a.ndim == 1:  # y[..., n] = sum over k of a[k] b[..., k, n]
        return reshape(a, shape=(-1, 1)) * reshape(g, shape=(*g.shape[:-1], 1, g.shape[-1]))
    return unbroadcast(swap(a) @ g, b.shape)


@op(matmul_left, matmul_right)
def matmul(a, b):
    """Return the matrix product a @ b, with NumPy's rules for 1-d and batched operands."""
    if b.ndim == 2 <= a.ndim:
        if a.ndim == 2:
            return a.dot(b)  # half the overhead of @ on small matrices
        return flat(a).dot(b).reshape(*a.shape[:-1], b.shape[-1])
    return a @ b


# --- losses ----------------------------------------------------------------------------------------------------------


@op(lambda g, y, x, *, axis: y * (g - sum(g * y, axis=axis, keepdims=True)))
def softmax(x, *, axis=-1):
    """Return exp(x) / sum(exp(x)) along `axis`, shifted by the maximum so that it cannot overflow."""
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def one_hot(targets, like):
    return (targets[..., None] == np.arange(like.shape[-1])).astype(like.dtype)


@op(
    lambda g, y, logits, targets: g * (softmax(logits, axis=-1) - one_hot(targets, logits)) * (1 / targets.size),
    None,
)
def cross_entropy(logits, targets):
    """Return the mean over all positions of -log softmax(logits)[target], in nats.

    Shapes: logits (..., C) floats; targets (...) integers in [0, C). Raises DTypeError, ShapeError.
    """
    if targets.dtype.kind not in "iu":
        raise DTypeError(f"cross_entropy: targets are class indices (integers), not {targets.dtype}; cast them")
    if targets.shape != logits.shape[:-1] or targets.size == 0:
        raise ShapeError(
            f"cross_entropy: logits of shape {logits.shape} need targets of shape {logits.shape[:-1]}, "
            f"at least one; got {targets.shape}"
        )
    if targets.min() < 0 or targets.max() >= logits.shape[-1]:
        raise ShapeError(
            f"cross_entropy: targets lie in [{targets.min()}, {targets.max()}], but logits of shape {logits.shape} "
            f"have classes 0 to {logits.shape[-1] - 1}"
        )
    top = logits.max(axis=-1, keepdims=True)
    log_sum = np.log(np.exp(logits - top).sum(axis=-1)) + top[..., 0]
    return (log_sum - np.take_along_axis(logits, targets[..., None], -1)[..., 0]).mean()


@op(
    lambda g, y, prediction, target: g * (prediction - target) * (2 / prediction.size),
    lambda g, y, prediction, target: g * (target - prediction) * (2 / prediction.size),
)
def mse_loss(prediction, target):
    """Return the mean of (prediction - target) ** 2 over all entries; both of one shape, so nothing broadcasts."""
    if prediction.shape != target.shape or prediction.size == 0:
        raise ShapeError(
            f"mse_loss: prediction {prediction.shape} and target {target.shape} must have one non-empty shape"
        )
    error = prediction - target
    return (error * error).mean()


class Operand(Node):
    """A node with the operators of Python: what Value and Tensor share."""

    __slots__ = ()

    __add__, __sub__, __mul__, __truediv__, __pow__, __neg__, __abs__ = add, sub, mul, div, pow, neg, abs
    __eq__, __ne__, __lt__, __le__, __gt__, __ge__ = equal, not_equal, less, less_equal, greater, greater_equal
    __hash__ = object.__hash__
    __radd__ = lambda self, other: add(other, self)
    __rsub__ = lambda self, other: sub(other, self)
    __rmul__ = lambda self, other: mul(other, self)
    __rtruediv__ = lambda self, other: div(other, self)
    __rpow__ = lambda self, other: pow(other, self)
    exp, log, sqrt, tanh, sigmoid, relu, sin, cos, abs = exp, log, sqrt, tanh, sigmoid, relu, sin, cos, abs

    def __format__(self, spec: str) -> str:
        return format(self.item() if spec else str(self), spec)

    def __reduce__(self) -> tuple:
        if self.record is not None:
            raise GraphError("a result inside a graph is neither copied nor pickled; use .detach() first")
        return revive, (type(self), self.data, self.grad, self.requires_grad)


def revive(kind, data, grad, requires_grad):
    """Return a copied or unpickled leaf; its tick is new, since an old one could collide with a node made since."""
    node = kind.make(data)
    node.grad, node.requires_grad = grad, requires_grad
    return node
