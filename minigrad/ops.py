"""The calculus table: every operation once, its derivative beside it.

Each rule is called as rule(g, y, *operands, **static), with g the cotangent of the result y. Elementwise rules may
return the broadcast shape: it is summed back in one place. Kinks have a stated convention: relu'(0) = 0, abs'(0) = 0,
ties of maximum, minimum, max and min share the cotangent evenly, the edges of clip pass it on, std'(0) = 0.
"""

import builtins
import math
import operator
from collections.abc import Sequence

import numpy as np

from minigrad import compiled, cuda, cuda_kernels
from minigrad.backend import SCALARS, as_array, beside, device_of, is_array, namespace, plain, to_device, together, use
from minigrad.errors import DTypeError, GraphError, OutOfRangeError, ShapeError
from minigrad.graph import Node, Part
from minigrad.op import elementwise, mode, op

FLOAT = np.dtype(float)

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


def log_base(a, b):
    """Return log(a), where a is not 0; of a negative number under an array of exponents NaN, as of a negative array."""
    return math.nan if isinstance(a, float | int) and a < 0 and hasattr(b, "dtype") else log(a + (a == 0))


def whole(x):
    """Whether x is an integer or an array of them."""
    return isinstance(x, int) or getattr(x, "dtype", FLOAT).kind in "biu"


@elementwise(
    lambda g, y, a, b: g * b * (a + (a == 0) * (b == 0)) ** (b - 1),  # 0 ** 0 is constant: 0, not 0 * inf
    lambda g, y, a, b: g * y * where(a == 0, where(b < 0, -math.inf, 0.0), log_base(a, b)),  # not 0 * log(0)
)
def pow(a, b):
    """Return a ** b elementwise, broadcast."""
    if isinstance(a, float) and isinstance(b, float):
        return math.pow(a, b)  # Python's own a ** b would leave the real numbers for a negative base
    if whole(b) and whole(a) and np.any(array_of(b < 0)):
        a = real(a) if is_array(a) else float(a)  # NumPy has no integers to negative powers
    return a**b


def winner(g, loses, ties):
    """Return the cotangent of an operand of maximum or minimum: none where it loses, half where both are equal."""
    return where(ties, 0.5 * g, where(loses, 0.0, g))


@elementwise(lambda g, y, a, b: winner(g, a < b, a == b), lambda g, y, a, b: winner(g, b < a, a == b))
def maximum(a, b):
    """Return the larger of a and b elementwise, broadcast; ties share the cotangent."""
    return namespace(a, b).maximum(a, b)


@elementwise(lambda g, y, a, b: winner(g, a > b, a == b), lambda g, y, a, b: winner(g, b > a, a == b))
def minimum(a, b):
    """Return the smaller of a and b elementwise, broadcast; ties share the cotangent."""
    return namespace(a, b).minimum(a, b)


@elementwise(
    None,
    lambda g, y, condition, a, b: where(condition, g, 0.0),  # selects: a product would turn inf * 0 into nan
    lambda g, y, condition, a, b: where(condition, 0.0, g),
)
def where(condition, a, b):
    """Return a where the condition holds and b elsewhere, broadcast."""
    numbers = namespace(condition, a, b)
    if numbers is not SCALARS and isinstance(condition, float | int):
        condition = numbers.full((), condition, bool)  # CuPy takes an array alone
    return numbers.where(condition, a, b)


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


def real(x):
    """Return x as floats: of integers of 8 or 16 bits NumPy would compute functions in float16 or float32."""
    return x.astype(float) if getattr(x, "dtype", FLOAT).kind in "biu" else x


@elementwise(lambda g, y, x: -g)
def neg(x):
    """Return -x."""
    return -x


@elementwise(lambda g, y, x: g * y)
def exp(x):
    """Return e ** x."""
    return namespace(x).exp(real(x))


@elementwise(lambda g, y, x: g / x)
def log(x):
    """Return the natural logarithm of x."""
    return namespace(x).log(real(x))


@elementwise(lambda g, y, x: g * (y + 1))
def expm1(x):
    """Return e ** x - 1, accurate near 0."""
    return namespace(x).expm1(real(x))


@elementwise(lambda g, y, x: g / (1 + x))
def log1p(x):
    """Return log(1 + x), accurate near 0."""
    return namespace(x).log1p(real(x))


@elementwise(lambda g, y, x: 0.5 * g / y)
def sqrt(x):
    """Return the square root of x."""
    return namespace(x).sqrt(real(x))


@elementwise(lambda g, y, x: g * (1 - y * y))
def tanh(x):
    """Return the hyperbolic tangent of x."""
    return namespace(x).tanh(real(x))


@elementwise(lambda g, y, x: g * y * (1 - y))
def sigmoid(x):
    """Return the logistic function 1 / (1 + e ** -x), exact in its negative tail until e ** -x would overflow."""
    numbers, lowest = namespace(x), -88.0 if getattr(x, "dtype", None) == np.float32 else -709.0
    return 1 / (1 + numbers.exp(-numbers.maximum(x, lowest)))


@elementwise(lambda g, y, x: g * sigmoid(x))
def softplus(x):
    """Return log(1 + e ** x), written so that no exponential overflows."""
    numbers = namespace(x)
    return numbers.maximum(x, 0.0) + numbers.log1p(numbers.exp(-1.0 * numbers.abs(x)))


@elementwise(lambda g, y, x: where(x > 0, g, 0.0))
def relu(x):
    """Return the larger of x and 0; the derivative at 0 is 0."""
    numbers = namespace(x)
    return numbers.maximum(x, 0.0 if numbers is SCALARS else 0)  # integers stay what they are


@elementwise(lambda g, y, x: g * cos(x))
def sin(x):
    """Return the sine of x, in radians."""
    return namespace(x).sin(real(x))


@elementwise(lambda g, y, x: -g * sin(x))
def cos(x):
    """Return the cosine of x, in radians."""
    return namespace(x).cos(real(x))


@elementwise(None)
def sign(x):
    """Return -1, 0 or 1; the gradient, 0 almost everywhere, is not recorded."""
    return namespace(x).sign(x)


@elementwise(lambda g, y, x: g * sign(x))
def abs(x):
    """Return the absolute value of x; the derivative at 0 is 0."""
    return namespace(x).abs(x)


@elementwise(lambda g, y, x, *, min, max: where(y == x, g, 0.0))
def clip(x, *, min=None, max=None):
    """Return x cut off below `min` and above `max`, numbers or arrays (no gradient); at an edge the derivative is 1."""
    if isinstance(min, Node) or isinstance(max, Node):
        raise DTypeError("clip: min and max are numbers or arrays; for bounds with a gradient use maximum and minimum")
    if type(x) is float:
        x = x if min is None else SCALARS.maximum(x, float(min))
        return x if max is None else SCALARS.minimum(x, float(max))
    if x.dtype.kind == "f":  # bounds are weak: they do not widen float32
        min, max = (None if bound is None else as_array(bound, x.dtype, device_of(x)) for bound in (min, max))
    return x.copy() if min is None and max is None else x.clip(min, max)  # NumPy 2.0 takes no two Nones


# --- sums and shapes -------------------------------------------------------------------------------------------------


def expand(g, like, axis, keepdims):
    """Return the cotangent of a reduction, spread over the axes of `like` that were reduced."""
    if axis is not None and not keepdims and like.ndim:  # a 0-d array has an axis 0 for NumPy
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
    full = g.shape[lead:]
    if full == shape:  # a bias: only new axes in front
        return g.sum(axis=tuple(range(lead)))
    stretched = [lead + k for k, n in enumerate(shape) if n != full[k]]
    return reshape(sum(g, axis=(*range(lead), *stretched)), shape=shape)


@op(lambda g, y, x, *, axis, keepdims: expand(g, x, axis, keepdims))
def sum(x, *, axis=None, keepdims=False):
    """Return the sum over `axis` (an integer, a tuple, or None for all)."""
    return x.sum(axis=axis, keepdims=keepdims)


@op(lambda g, y, x, *, axis, keepdims: expand(g * (y.size / x.size), x, axis, keepdims))
def mean(x, *, axis=None, keepdims=False):
    """Return the mean over `axis` (an integer, a tuple, or None for all); refuses an empty one."""
    if x.size == 0:
        raise ShapeError(f"mean: there is nothing to average in shape {x.shape}")
    return x.mean(axis=axis, keepdims=keepdims)


def var(x, *, axis=None, ddof=0, keepdims=False):
    """Return the mean squared distance from the mean over `axis`; `ddof` is subtracted from the number of entries."""
    error = x - mean(x, axis=axis, keepdims=True)
    squares = sum(error * error, axis=axis, keepdims=keepdims)
    return squares / freedom("var", x, squares, ddof)


def freedom(name, x, y, ddof):
    """Return how many of the entries of x each entry of y is made of, less `ddof`."""
    if x.size <= y.size * ddof:
        raise ShapeError(f"{name}: {x.size // y.size} entries for each result leave nothing to average with {ddof=}")
    return x.size / y.size - ddof


def std_rule(g, y, x, *, axis, ddof, keepdims):
    g = where(y == 0, 0.0, g) / (y + (y == 0))  # where all entries are equal: 0, not 0 / 0
    error = x - mean(x, axis=axis, keepdims=True)
    return expand(g, x, axis, keepdims) * error * (1 / freedom("std", x, y, ddof))


@op(std_rule)
def std(x, *, axis=None, ddof=0, keepdims=False):
    """Return the square root of the variance over `axis`; the derivative where all entries are equal is 0."""
    if x.size == 0:
        raise ShapeError(f"std: there is nothing to average in shape {x.shape}")
    y = x.std(axis=axis, keepdims=keepdims)
    return y if ddof == 0 else y * math.sqrt(x.size / y.size / freedom("std", x, y, ddof))


def extreme_rule(g, y, x, *, axis, keepdims):
    ties = x == expand(y, x, axis, keepdims)
    count = sum(astype(ties, dtype=x.dtype), axis=axis, keepdims=keepdims)
    return where(ties, expand(g / count, x, axis, keepdims), 0.0)


@op(extreme_rule)
def max(x, *, axis=None, keepdims=False):
    """Return the largest entry over `axis` (an integer, a tuple, or None for all); ties share the cotangent."""
    return x.max(axis=axis, keepdims=keepdims)


@op(extreme_rule)
def min(x, *, axis=None, keepdims=False):
    """Return the smallest entry over `axis` (an integer, a tuple, or None for all); ties share the cotangent."""
    return x.min(axis=axis, keepdims=keepdims)


@op(None)
def argmax(x, *, axis=None, keepdims=False):
    """Return where the largest entry is along `axis`, or in the flattened array for None: integers, no gradient."""
    return x.argmax(axis=axis, keepdims=keepdims)


@op(lambda g, y, x, *, axis: reshape(flip(cumsum(flip(g, axis=axis), axis=axis), axis=axis), shape=x.shape))
def cumsum(x, *, axis=None):
    """Return the running sum along `axis`, or of the flattened array for None."""
    return x.cumsum(axis=axis)


def below_top(x, axis):
    """Return x less its largest entry, so that no exponential overflows."""
    x = real(x)  # small integers would wrap
    return x - x.max(axis=axis, keepdims=True)


def logsumexp_rule(g, y, x, *, axis, keepdims):
    """Return g times each entry's share of the sum; infinite entries share evenly, and -inf has no share."""
    y = expand(y, x, axis, keepdims)
    infinite, ties = abs(y) == math.inf, (x == math.inf) * 1.0
    count = sum(ties, axis=axis, keepdims=True)
    share = where(ties > 0, ties / (count + (count == 0)), 0.0)
    finite = exp(where(infinite, -math.inf, x) - where(infinite, 0.0, y))
    return expand(g, x, axis, keepdims) * where(infinite, share, finite)


@op(logsumexp_rule)
def logsumexp(x, *, axis=None, keepdims=False):
    """Return log(sum(exp(x))) over `axis`, shifted by the maximum so that it cannot overflow; -inf where all are."""
    numbers, x = namespace(x), real(x)
    top = x.max(axis=axis, keepdims=True)
    shift = numbers.where(numbers.isfinite(top), top, 0).astype(x.dtype)
    with np.errstate(divide="ignore", over="ignore"):  # log(0) is -inf; beside an infinite entry others do not count
        y = numbers.log(numbers.exp(x - shift).sum(axis=axis, keepdims=True)) + shift
    return y if keepdims else y.squeeze(axis)


@op(lambda g, y, x, *, shape: unbroadcast(g, x.shape))
def broadcast_to(x, *, shape):
    """Return x broadcast to `shape`; a read-only view."""
    return namespace(x).broadcast_to(x, shape)


@op(lambda g, y, x, *, shape: reshape(g, shape=x.shape))
def reshape(x, *, shape):
    """Return the same entries in another shape."""
    return x.reshape(shape)


def inverse(axes, ndim):
    """Return the order of axes that undoes another."""
    return None if axes is None else tuple(np.argsort(np.mod(axes, ndim)).tolist())


@op(lambda g, y, x, *, axes: transpose(g, axes=inverse(axes, x.ndim)))
def transpose(x, *, axes=None):
    """Return x with its axes in the order `axes`, reversed by default."""
    return x.transpose(axes)


@op(lambda g, y, x, *, axis1, axis2: swapaxes(g, axis1=axis1, axis2=axis2))
def swapaxes(x, *, axis1, axis2):
    """Return x with two axes exchanged."""
    return x.swapaxes(axis1, axis2)


@op(lambda g, y, x, *, source, destination: moveaxis(g, source=destination, destination=source))
def moveaxis(x, *, source, destination):
    """Return x with the axes `source` (an integer or several) moved to `destination`, the others in their order."""
    return namespace(x).moveaxis(x, source, destination)


@op(lambda g, y, x, *, axis: reshape(g, shape=x.shape))
def squeeze(x, *, axis=None):
    """Return x without its axes of length 1: all of them, or those named."""
    return x.squeeze(axis)


@op(lambda g, y, x, *, axis: reshape(g, shape=x.shape))
def expand_dims(x, *, axis):
    """Return x with a new axis of length 1 at each position of `axis`."""
    return namespace(x).expand_dims(x, axis)


@op(lambda g, y, x, *, axis: flip(g, axis=axis))
def flip(x, *, axis=None):
    """Return x with the entries along `axis` (an integer, a tuple, or None for all) in reverse order."""
    return namespace(x).flip(x, axis)


def pairs(pad_width, ndim):
    """Return (before, after) for each axis: what NumPy makes of all forms of `pad_width`, CuPy only of some."""
    return np.broadcast_to(pad_width, (ndim, 2)).tolist()


def inner(shape, pad_width):
    """Return the index of the original inside its padded copy."""
    return tuple(slice(before, before + n) for (before, _), n in zip(pairs(pad_width, len(shape)), shape, strict=True))


@op(lambda g, y, x, *, pad_width, constant_values: getitem(g, index=inner(x.shape, pad_width)))
def pad(x, *, pad_width, constant_values=0):
    """Return x with constants around it; `pad_width` is n, (before, after), or such a pair for every axis."""
    return namespace(x).pad(x, pairs(pad_width, x.ndim) if x.ndim else pad_width, constant_values=constant_values)


@op(lambda g, y, x, *, dtype: astype(g, dtype=x.dtype))
def astype(x, *, dtype):
    """Return x in another float dtype."""
    return x.astype(dtype)


def array_of(x):
    """Return the array of a node, or the array itself."""
    return x.data if isinstance(x, Node) else x


@op(lambda g, y, x, *, device: to(g, device=device_of(array_of(x))))
def to(x, *, device):
    """Return x on another device, by its full name; the cotangent goes back to where x is."""
    y = to_device(x, device)
    use(device)  # where the result, or the cotangent, is now, there it is gone on with
    return y


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
            total = namespace(x).zeros_like(x)
        elif not owned or x.ndim == 0:  # sums of 0-d arrays are NumPy scalars, which cannot be written into
            total = as_array(total, x.dtype)
        add_at(total, self.index, self.g)
        return total


WHOLE = int | np.integer | slice


def is_mask(i):
    return (i if is_array(i) else np.asarray(i)).dtype.kind == "b"


def add_rows(buffer, rows, g):
    """Add each row of `g` to the row of `buffer` that it names; on NumPy sorted, so that equal names stand together.

    For the 800 tokens of a batch that takes a sixth of np.add.at's time with 64 rows, and half with 5,000.
    """
    if compiled.pays(g, buffer):
        return compiled.loaded().add_rows(buffer.reshape(len(buffer), -1), rows, g.reshape(len(rows), -1))
    order = rows.argsort(kind="stable")
    rows = rows[order]
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    buffer[rows[starts]] += np.add.reduceat(g[order], starts, axis=0)


def add_at(buffer, index, g):
    """Add `g` at `index` in place; an index that occurs several times is added several times."""
    entries = index if isinstance(index, tuple) else (index,)
    if all(i is None or i is ... or isinstance(i, WHOLE) or is_mask(i) for i in entries):
        buffer[index] += g
    elif cuda.holds(buffer):
        cuda_kernels.add_at(buffer, index, g)
    elif len(entries) == 1 and buffer.ndim and np.size(index):
        add_rows(buffer, np.ravel(entries[0]).astype(int) % len(buffer), np.reshape(g, (-1, *buffer.shape[1:])))
    else:
        np.add.at(buffer, index, g)


def getitem_rule(g, y, x, *, index):
    if isinstance(g, Node):  # to be differentiated again, and a Scatter has no rule
        return scatter(g, index=index, shape=x.shape)
    return Scatter(g, index)


@op(getitem_rule)
def getitem(x, *, index):
    """Return x[index]: integers, slices, `...`, None, boolean masks, integer arrays."""
    return x[index]


@op(lambda g, y, x, *, index, shape: getitem(g, index=index))
def scatter(x, *, index, shape):
    """Return zeros of `shape` with x added at `index`: the transpose of indexing."""
    y = namespace(x).zeros(shape, x.dtype)
    add_at(y, index, x)
    return y


def within(name, x, indices, size, lowest=0):
    """Return integer indices into x as an array of their own beside it; refuse those outside [lowest, size) by name.

    CuPy would wrap them round. Plain indices are checked on the host; those on a GPU there, which waits for the answer.
    """
    if isinstance(indices, Node):
        together(name, [array_of(x), indices.data])
    indices = array_of(indices)
    indices = indices if cuda.holds(indices) else np.array(plain(indices))
    if indices.dtype.kind not in "iu":
        raise DTypeError(f"{name}: indices are integers, not {indices.dtype}; cast them")
    if cuda.holds(indices):
        indices = indices.astype("int64")  # CuPy compares in the array's own dtype, where `size` may not exist
    outside = (indices < lowest) | (indices >= size)
    if outside.any():
        found = np.unique(to_device(indices[outside], "cpu"))[:5].tolist()
        raise OutOfRangeError(f"{name}: {found} among the indices, which lie in {lowest} to {size - 1}")
    return beside(indices, array_of(x))


def gpu_index(x, entries):
    """Return an index, entry by entry, as an array x of a GPU takes it: arrays there, integers within their axes."""
    found, axis = [], 0
    taken = [0 if i is None else getattr(i, "ndim", 0) if is_mask(i) else int(i is not ...) for i in entries]
    for i, n in zip(entries, taken, strict=True):
        if is_mask(i) or axis >= x.ndim:  # with too many indices: CuPy says so
            i = beside(i, x) if is_array(i) else i
        elif is_array(i):
            i = within("getitem", x, i, x.shape[axis], -x.shape[axis])
        axis += x.ndim - builtins.sum(taken) if i is ... else n
        found.append(i)
    return tuple(found)


def embedding(input, weight):
    """Return the rows of `weight` (V, D) that the integers `input` (...) name: (..., D), as PyTorch's F.embedding."""
    if weight.ndim != 2:
        raise ShapeError(f"embedding: weight has shape {weight.shape}; it needs two axes, a row for each index")
    return getitem(weight, index=within("embedding", weight, input, len(weight)))


def gather(x, indices, axis=-1):
    """Return x at one index along `axis` for each position: NumPy's take_along_axis, with its shapes."""
    if not isinstance(axis, int | np.integer):
        raise DTypeError("gather: takes x, the indices, then the axis; write gather(x, indices, axis)")
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(f"gather: shape {x.shape} has no axis {axis}")
    size = x.shape[axis]
    indices = within("gather", x, indices, size, -size)
    if indices.ndim != x.ndim:
        raise ShapeError(f"gather: x of shape {x.shape} needs indices with as many axes, not {indices.shape}")
    positions = np.ogrid[tuple(map(slice, x.shape))]  # each axis numbered along itself: every position is kept,
    positions = [beside(n, indices) for n in positions]
    positions[axis] = indices  # but along `axis` the indices choose
    return getitem(x, index=tuple(positions))


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
    return namespace(*xs).concatenate(xs, operator.index(axis)), None  # no axis=None, which would flatten


def concatenate(xs: Sequence, axis: int = 0) -> object:
    """Return the arrays of a sequence joined along an existing axis."""
    return _concatenate(*some("concatenate", xs), axis=axis)


def cat(xs: Sequence, dim: int = 0) -> object:
    """Return the arrays of a sequence joined along an existing axis: PyTorch's name for concatenate."""
    return concatenate(xs, dim)


def some(name, xs):
    """Return the arrays of a sequence; refuse an empty one, and make arrays of plain numbers and lists."""
    if not len(xs):
        raise ShapeError(f"{name}: there is nothing to join; pass at least one array")
    return xs if any(isinstance(x, Node) for x in xs) else [x if is_array(x) else as_array(x) for x in xs]


def stack_joint(gs, outputs, saved, operands, needs, *, axis):
    lead = (slice(None),) * (axis % outputs[0].ndim)
    return [gs[0][(*lead, k)] if need else None for k, need in enumerate(needs)]


@op(joint=stack_joint)
def _stack(*xs, axis):
    return namespace(*xs).stack(xs, axis), None


def stack(xs: Sequence, axis: int = 0) -> object:
    """Return the arrays of a sequence, all of one shape, along a new axis."""
    return _stack(*some("stack", xs), axis=axis)


def unstack_joint(gs, outputs, saved, operands, needs, *, axis):
    zeros = namespace(array_of(outputs[0])).zeros_like(array_of(outputs[0]))
    return (stack([zeros if g is None else g for g in gs], axis=axis),)


@op(joint=unstack_joint)
def unstack(x, *, axis=0):
    """Return the tuple of slices of x along `axis`, one node each; what iteration over a Tensor uses."""
    return tuple(namespace(x).moveaxis(x, axis, 0)), None


def split_joint(gs, outputs, saved, operands, needs, *, indices_or_sections, axis):
    numbers = namespace(array_of(outputs[0]))
    parts = [numbers.zeros(y.shape, y.dtype) if g is None else g for g, y in zip(gs, outputs, strict=True)]
    return (concatenate(parts, axis=axis),)


@op(joint=split_joint)
def _split(x, *, indices_or_sections, axis):
    if np.ndim(indices_or_sections):  # before its beginning CuPy would read beside x
        n = x.shape[axis]
        indices_or_sections = [builtins.max(k + n, 0) if k < 0 else k for k in indices_or_sections]
    return tuple(namespace(x).split(x, indices_or_sections, axis)), None


def split(x, indices_or_sections, axis=0):
    """Return the tuple of parts of x along `axis`: a number of equal ones, or the positions at which to cut."""
    return _split(x, indices_or_sections=indices_or_sections, axis=axis)


# --- matrices --------------------------------------------------------------------------------------------------------


def flat(x):
    """Return x as one tall matrix: all axes but the last in one."""
    return x if x.ndim == 2 else reshape(x, shape=(math.prod(x.shape[:-1]), x.shape[-1]))


def matmul_left(g, y, a, b):
    if a.ndim == b.ndim == 2:
        return matmul(g, b.T)
    if b.ndim == 1:  # y[...] = sum over k of a[..., k] b[k]
        return reshape(g, shape=(*g.shape, 1)) * b
    if a.ndim == 1:  # y[..., n] = sum over k of a[k] b[..., k, n]
        return sum(reshape(b @ reshape(g, shape=(*g.shape, 1)), shape=b.shape[:-1]), axis=tuple(range(b.ndim - 2)))
    return unbroadcast(g @ swap(b), a.shape)


def matmul_right(g, y, a, b):
    if a.ndim == b.ndim == 2:
        return matmul(a.T, g)
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
    e = namespace(x).exp(below_top(x, axis))
    return e / e.sum(axis=axis, keepdims=True)


@op(lambda g, y, x, *, axis: g - exp(y) * sum(g, axis=axis, keepdims=True))
def log_softmax(x, *, axis=-1):
    """Return log(softmax(x)) along `axis`, without the logarithm of a probability that has underflowed to 0."""
    x, numbers = below_top(x, axis), namespace(x)
    return x - numbers.log(numbers.exp(x).sum(axis=axis, keepdims=True))


def one_hot(targets, like):
    classes = namespace(targets).arange(like.shape[-1])
    return (targets[..., None] == classes).astype(like.dtype)


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
    if ((targets < 0) | (targets >= logits.shape[-1])).any():  # on a GPU the one number that is waited for
        raise ShapeError(
            f"cross_entropy: targets lie in [{targets.min()}, {targets.max()}], but logits of shape {logits.shape} "
            f"have classes 0 to {logits.shape[-1] - 1}"
        )
    rows, numbers = flat(below_top(logits, -1)), namespace(logits)
    return (numbers.log(numbers.exp(rows).sum(axis=-1)) - rows[numbers.arange(len(rows)), targets.ravel()]).mean()


@op(
    lambda g, y, logits, targets: g * (sigmoid(logits) - targets) * (1 / logits.size),
    lambda g, y, logits, targets: g * logits * (-1 / logits.size),
    loss=True,
)
def binary_cross_entropy_with_logits(logits, targets):
    """Return the mean over all entries of -log of the probability of `targets`, in nats; both of one shape.

    The probability of a 1 is sigmoid(logits); targets are 0, 1, or a probability between. Raises ShapeError.
    """
    if logits.shape != targets.shape or logits.size == 0:
        raise ShapeError(
            f"binary_cross_entropy_with_logits: logits {logits.shape} and targets {targets.shape} must have one "
            "non-empty shape"
        )
    return (targets * softplus(-1.0 * logits) + (1 - targets) * softplus(logits)).mean()


@op(
    lambda g, y, prediction, target: g * (prediction - target) * (2 / prediction.size),
    lambda g, y, prediction, target: g * (target - prediction) * (2 / prediction.size),
    loss=True,
)
def mse_loss(prediction, target):
    """Return the mean of (prediction - target) ** 2 over all entries; both of one shape, so nothing broadcasts."""
    if prediction.shape != target.shape or prediction.size == 0:
        raise ShapeError(
            f"mse_loss: prediction {prediction.shape} and target {target.shape} must have one non-empty shape"
        )
    error = real(prediction) - real(target)  # small integers would wrap
    return (error * error).mean()


def in_place(symbol):
    """Return the method behind p += ...: Python's own way, except for a leaf under no_grad, which would not change."""

    def method(self, other):
        if self.requires_grad and self.record is None and not mode.recording:
            raise GraphError(
                f"p {symbol}= ... under no_grad makes a new {type(self).__name__}, so it would train nothing; "
                f"write p.data = p.data {symbol} ..."
            )
        return NotImplemented

    return method


class Operand(Node):
    """A node with the operators of Python: what Value and Tensor share."""

    __slots__ = ()

    __add__, __sub__, __mul__, __truediv__, __pow__, __neg__, __abs__ = add, sub, mul, div, pow, neg, abs
    __lt__, __le__, __gt__, __ge__ = less, less_equal, greater, greater_equal
    __eq__ = lambda self, other: NotImplemented if other is None else equal(self, other)
    __ne__ = lambda self, other: NotImplemented if other is None else not_equal(self, other)
    __hash__ = object.__hash__
    __radd__ = lambda self, other: add(other, self)
    __rsub__ = lambda self, other: sub(other, self)
    __rmul__ = lambda self, other: mul(other, self)
    __rtruediv__ = lambda self, other: div(other, self)
    __rpow__ = lambda self, other: pow(other, self)
    __iadd__, __isub__, __imul__, __itruediv__, __ipow__, __imatmul__ = map(in_place, ("+", "-", "*", "/", "**", "@"))
    exp, log, sqrt, tanh, sigmoid, relu, sin, cos, abs = exp, log, sqrt, tanh, sigmoid, relu, sin, cos, abs
    expm1, log1p, softplus = expm1, log1p, softplus

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
