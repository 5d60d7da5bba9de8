"""Tensor: a node that holds an array, with NumPy's methods and PyTorch's names for gradients."""

import inspect
import math
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType

import numpy as np

from minigrad import backend, cuda, graph, ops
from minigrad.errors import DeviceError, DTypeError, GraphError, OutOfRangeError, ShapeError
from minigrad.op import Op
from minigrad.ops import Operand
from minigrad.torch_names import TENSOR, missing


class Tensor(Operand):
    """An array in the graph.

    `data` is copied; arrays keep their dtype, lists and Python numbers become float32 (see set_default_dtype). `device`
    is "cpu", "cuda" (a GPU, through CuPy) or one of several by number, "cuda:1"; without one, an array stays where it
    is. Only floats can require a gradient, which `backward` leaves in `.grad` as a plain array of that device.
    """

    __slots__ = ()

    def __init__(self, data: object, dtype: object = None, device: str | None = None, requires_grad: bool = False):
        if isinstance(data, Operand):
            data = data.data
        array = backend.as_array(data, dtype, device and backend.check_device(device))
        super().__init__(array, False)
        if requires_grad:
            self.requires_grad_()

    def requires_grad_(self, requires_grad: bool = True) -> "Tensor":
        """Say whether `backward` is to leave a gradient here, and return self."""
        if requires_grad and self.dtype.kind != "f":
            raise DTypeError(f"only floats can require a gradient, not {self.dtype}; cast with .astype('float32')")
        if self.record is not None:
            raise GraphError("requires_grad_: this Tensor is a result, not a leaf; use .detach() first")
        self.requires_grad = requires_grad
        return self

    # --- what the op decorator and the sweep ask of a kind of node ---

    @staticmethod
    def wrap(y: np.ndarray, record: tuple | None = None, raw: Sequence = ()) -> "Tensor":
        y = y if type(y) is np.ndarray else backend.as_result(y)
        if raw and y.dtype.kind == "f" and not any(map(is_float, raw)):
            y = y.astype(backend.get_default_dtype())  # a float made of integers and numbers alone
        return Tensor.make(y, record)

    @staticmethod
    def lower(op: Op, operands: tuple) -> list:
        raw, dtype, library = [], None, None
        for x in operands:
            if isinstance(x, Tensor):
                x = x.data
                if dtype is None:
                    dtype, library = x.dtype, type(x)
                elif x.dtype is not dtype or type(x) is not library:
                    return lower_mixed(op, operands)
            elif not (op.elementwise and type(x) in (float, int)):
                return lower_mixed(op, operands)
            raw.append(x)
        if library is not np.ndarray:
            backend.together(op.name, raw)
        return raw

    @staticmethod
    def explain(name: str, raw: list, static: dict, error: Exception) -> Exception:
        shapes = ", ".join(str(np.shape(x)) for x in raw)
        given = "".join(f", {key}={value!r}" for key, value in static.items() if value is not None)
        if isinstance(error, OverflowError):
            return DTypeError(f"{name}: {error}; cast the Tensor first, for example .astype('int64')")
        if isinstance(error, ArithmeticError):
            return error
        kind = DTypeError if isinstance(error, TypeError | AttributeError) else ShapeError
        kind = OutOfRangeError if type(error) is IndexError else kind
        return kind(f"{name} of shapes {shapes}{given}: {error}")

    def conform(self, part: object, op: Op, k: int) -> object:
        x = self.data
        if type(part) is np.ndarray and part.shape == x.shape and part.dtype is x.dtype:
            return part
        if isinstance(part, graph.Part):
            return part
        shape, given = x.shape, getattr(part, "shape", None)
        if given != shape:
            if given is None or not op.elementwise or not broadcasts(shape, given):
                raise ShapeError(
                    f"{op.name}: the rule of operand {k} returned {type(part).__name__ if given is None else given} "
                    f"for an operand of shape {shape}; a rule returns its operand's shape"
                )
            part = ops.unbroadcast(part, shape)
        return part if part.dtype == x.dtype else ops.astype(part, dtype=x.dtype)

    def own(self, cotangent: np.ndarray, owned: bool) -> np.ndarray:
        if owned and backend.is_array(cotangent):
            return cotangent
        return backend.as_array(cotangent) if cuda.holds(cotangent) else np.array(cotangent)

    def seed(self, seed: object) -> np.ndarray:
        if not self.requires_grad:
            raise GraphError("backward: this Tensor depends on nothing that requires a gradient")
        if seed is None:
            if self.data.size != 1:
                raise GraphError(
                    f"backward: a root of shape {self.shape} needs a seed, the cotangent of the same shape; "
                    "or reduce it to one number first (.sum(), .mean())"
                )
            backend.use(self.device)
            return backend.namespace(self.data).ones_like(self.data)
        if isinstance(seed, Tensor):
            backend.together("backward", [self.data, seed.data])
            seed = seed.data
        seed = backend.as_array(seed, self.dtype, self.device)
        if seed.shape != self.shape:
            raise ShapeError(f"backward: the seed has shape {seed.shape}, the root {self.shape}; they must be equal")
        return seed

    # --- gradients ---

    def backward(self, seed: object = None, retain_graph: bool = False) -> None:
        """Add the gradient of self (weighted by `seed` where it is not a single number) to `.grad` of every leaf."""
        graph.backward(self, seed, retain_graph)

    def detach(self) -> "Tensor":
        """Return the same data outside the graph: a constant to everything computed from it."""
        return Tensor.make(self.data)

    # --- the array ---

    shape = property(lambda self: self.data.shape)
    dtype = property(lambda self: self.data.dtype)
    ndim = property(lambda self: self.data.ndim)
    size = property(lambda self: self.data.size)
    device = property(lambda self: backend.device_of(self.data))
    T = property(lambda self: ops.transpose(self))

    def numpy(self) -> np.ndarray:
        """Return the array, not a copy; refused while a gradient is required, as writing into it would falsify it.

        Raises DeviceError for a Tensor on a GPU: what leaves it does so by .to("cpu").
        """
        if self.requires_grad:
            raise GraphError("numpy: this Tensor requires a gradient; use .detach().numpy(), or .data to look at it")
        if self.device != "cpu":
            raise DeviceError(f"numpy: this Tensor is on {self.device}; use .to('cpu').numpy()")
        return self.data

    def item(self) -> float:
        """Return the one entry as a Python number."""
        if self.data.size != 1:
            raise ShapeError(f"item: needs exactly one entry, this Tensor has shape {self.shape}")
        return self.data.item()

    def tolist(self) -> list | float:
        """Return the entries as Python numbers in nested lists."""
        return self.data.tolist()

    def __dlpack__(self, **options: object) -> object:
        """Hand the array to another library, not a copy: np.from_dlpack(x), torch.from_dlpack(x)."""
        return (self.numpy() if self.device == "cpu" or self.requires_grad else self.data).__dlpack__(**options)

    def __dlpack_device__(self) -> tuple:
        return self.data.__dlpack_device__()

    def to(self, device: str) -> "Tensor":
        """Return the Tensor on "cpu", "cuda" or "cuda:1": itself where it is there, else a copy; gradients go back.

        Raises DeviceError that says what is missing, where there is no such device.
        """
        device = backend.check_device(device)
        return self if device == self.device else ops.to(self, device=device)

    def astype(self, dtype: object) -> "Tensor":
        """Return the Tensor in another dtype; the gradient follows between floats and ends at integers."""
        if np.dtype(dtype).kind == self.dtype.kind == "f":
            return ops.astype(self, dtype=np.dtype(dtype))
        return Tensor(self.data, dtype)

    def sum(self, axis: int | tuple | None = None, keepdims: bool = False, **torchs: object) -> "Tensor":
        """Return the sum over `axis`."""
        return ops.sum(self, axis=axis, keepdims=keepdims, **torchs)

    def mean(self, axis: int | tuple | None = None, keepdims: bool = False, **torchs: object) -> "Tensor":
        """Return the mean over `axis`."""
        return ops.mean(self, axis=axis, keepdims=keepdims, **torchs)

    def var(self, axis: int | tuple | None = None, *, ddof: int = 0, keepdims: bool = False) -> "Tensor":
        """Return the variance over `axis`, of n - ddof entries."""
        return ops.var(self, axis=axis, ddof=ddof, keepdims=keepdims)

    def std(self, axis: int | tuple | None = None, *, ddof: int = 0, keepdims: bool = False) -> "Tensor":
        """Return the standard deviation over `axis`, of n - ddof entries."""
        return ops.std(self, axis=axis, ddof=ddof, keepdims=keepdims)

    def max(self, axis: int | tuple | None = None, keepdims: bool = False, **torchs: object) -> "Tensor":
        """Return the largest entry over `axis`."""
        return ops.max(self, axis=axis, keepdims=keepdims, **torchs)

    def min(self, axis: int | tuple | None = None, keepdims: bool = False, **torchs: object) -> "Tensor":
        """Return the smallest entry over `axis`."""
        return ops.min(self, axis=axis, keepdims=keepdims, **torchs)

    def argmax(self, axis: int | None = None, keepdims: bool = False, **torchs: object) -> "Tensor":
        """Return where the largest entry is along `axis`."""
        return ops.argmax(self, axis=axis, keepdims=keepdims, **torchs)

    def cumsum(self, axis: int | None = None) -> "Tensor":
        """Return the running sum along `axis`."""
        return ops.cumsum(self, axis=axis)

    def clip(self, min: object = None, max: object = None) -> "Tensor":
        """Return the entries cut off below `min` and above `max`."""
        return ops.clip(self, min=min, max=max)

    def softmax(self, axis: int = -1, **torchs: object) -> "Tensor":
        """Return exp(x) / sum(exp(x)) along `axis`."""
        return ops.softmax(self, axis=axis, **torchs)

    def log_softmax(self, axis: int = -1, **torchs: object) -> "Tensor":
        """Return log(softmax(x)) along `axis`."""
        return ops.log_softmax(self, axis=axis, **torchs)

    def logsumexp(self, axis: int | tuple | None = None, keepdims: bool = False, **torchs: object) -> "Tensor":
        """Return log(sum(exp(x))) over `axis`."""
        return ops.logsumexp(self, axis=axis, keepdims=keepdims, **torchs)

    def squeeze(self, axis: int | tuple | None = None) -> "Tensor":
        """Return the Tensor without its axes of length 1."""
        return ops.squeeze(self, axis=axis)

    def ravel(self) -> "Tensor":
        """Return the entries along one axis."""
        return ops.reshape(self, shape=(-1,))

    def swapaxes(self, axis1: int, axis2: int) -> "Tensor":
        """Return the Tensor with two axes exchanged."""
        return ops.swapaxes(self, axis1=axis1, axis2=axis2)

    def reshape(self, *shape: int | tuple) -> "Tensor":
        """Return the same entries in another shape, given as integers or as one tuple."""
        return ops.reshape(self, shape=shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape)

    def transpose(self, *axes: int | tuple) -> "Tensor":
        """Return the Tensor with its axes reversed, or in the order given."""
        axes = axes[0] if len(axes) == 1 and isinstance(axes[0], tuple | list) else axes
        return ops.transpose(self, axes=tuple(axes) or None)

    # --- PyTorch's names for the same ---

    view, permute = reshape, transpose

    def unsqueeze(self, dim: int) -> "Tensor":
        """Return the Tensor with a new axis of length 1 at `dim`: NumPy's expand_dims."""
        return ops.expand_dims(self, axis=dim)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> "Tensor":
        """Return the Tensor with the axes from `start_dim` to `end_dim` in one."""
        shape, first, last = self.shape or (1,), start_dim % max(self.ndim, 1), end_dim % max(self.ndim, 1)
        return ops.reshape(self, shape=(*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))

    def __getattr__(self, name: str) -> object:
        raise missing("a Tensor", TENSOR, name)

    def __matmul__(self, other: object) -> "Tensor":
        return ops.matmul(self, other)

    def __rmatmul__(self, other: object) -> "Tensor":
        return ops.matmul(other, self)

    def __getitem__(self, index: object) -> "Tensor":
        if type(index) is int:  # x[t] in a loop over time
            return ops.getitem(self, index=index)
        entries = index if isinstance(index, tuple) else (index,)
        for i in entries:
            if isinstance(i, Tensor):
                backend.together("getitem", [self.data, i.data])
        plain = tuple(
            position(i) if isinstance(i, Tensor | list | tuple) or backend.is_array(i) else i for i in entries
        )
        if self.device != "cpu":
            plain = ops.gpu_index(self.data, plain)
        return ops.getitem(self, index=plain if isinstance(index, tuple) else plain[0])

    def __setitem__(self, index: object, value: object) -> None:
        raise GraphError(
            "a Tensor is not written into, since the graph remembers its values; build a new one with "
            "concatenate, stack or arithmetic, or change .data of a leaf before using it"
        )

    def __iter__(self) -> Iterator["Tensor"]:
        if self.ndim == 0:  # a TypeError, by which Python and NumPy know what cannot be iterated over
            raise DTypeError("a 0-d Tensor has nothing to iterate over; .item() is its number")
        return iter(ops.unstack(self, axis=0))

    def __len__(self) -> int:
        return len(self.data)

    def __contains__(self, x: object) -> bool:
        return bool(backend.as_result(ops.equal(self.data, x.data if isinstance(x, Tensor) else x)).any())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise DTypeError(f"an index is an integer, this Tensor is {self.dtype}; use int(x) or .astype(int)")
        return int(self.item())

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ShapeError(f"the truth of {self.size} entries is ambiguous; use .data.any() or .data.all()")
        return bool(self.data)

    def __repr__(self) -> str:
        array = backend.to_device(self.data, "cpu")
        body = np.array2string(array, separator=", ", precision=4, prefix="Tensor(", threshold=100)
        dtype = "" if self.dtype == backend.get_default_dtype() else f", dtype={self.dtype}"
        device = "" if self.device == "cpu" else f", device='{self.device}'"
        return f"Tensor({body}{dtype}{device}{', requires_grad=True' if self.requires_grad else ''})"

    # --- NumPy's functions on a Tensor go to the operation of that meaning; what has none is refused ---

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: object, **kwargs: object) -> "Tensor":
        special = method != "__call__" or kwargs or ufunc not in UFUNCS
        if special and "out" not in kwargs and not needs_gradient(inputs):
            return getattr(ufunc, method)(*map(plain, inputs), **kwargs)  # there is no gradient to be lost
        if method != "__call__" or kwargs:
            raise DTypeError(
                f"np.{ufunc.__name__} with {method if method != '__call__' else ', '.join(kwargs) + '='} is not "
                "supported on a Tensor; use the plain call, or .detach().numpy() for NumPy without gradients"
            )
        return dispatch(UFUNCS, ufunc)(*inputs)

    def __array_function__(self, function: object, types: tuple, args: tuple, kwargs: dict) -> "Tensor":
        if function not in FUNCTIONS and not needs_gradient(args):
            return function(*map(plain, args), **kwargs)
        ours = dispatch(FUNCTIONS, function)
        try:
            inspect.signature(ours).bind(*args, **kwargs)
        except TypeError as error:
            raise DTypeError(
                f"np.{function.__name__} on a Tensor takes {inspect.signature(ours)}: {error}; "
                "for the rest use .detach().numpy(), NumPy without gradients"
            ) from error
        return ours(*args, **kwargs)


Tensor.kind = Tensor


def position(index: object) -> np.ndarray:
    """Return an array of indices as a copy: the caller may write into its own before the backward sweep."""
    if isinstance(index, Tensor):
        index = index.data
    index = backend.plain(index).copy() if backend.is_array(index) else np.array(index)
    return index.astype(int) if index.size == 0 and index.dtype.kind == "f" else index  # an empty list


def is_float(x: object) -> bool:
    return (isinstance(x, np.ndarray) or cuda.holds(x)) and x.dtype.kind == "f"


def broadcasts(shape: tuple, to: tuple) -> bool:
    if to[len(to) - len(shape) :] == shape:  # a bias
        return True
    return len(shape) <= len(to) and all(n in (1, m) for n, m in zip(shape[::-1], to[::-1], strict=False))


def lower_mixed(op: Op, operands: tuple) -> list:
    """Return the arrays of operands that are not all Tensors of one dtype on one device.

    Numbers, NumPy's scalars and lists are weak: they take the dtype of the floats they meet, and so do integers, except
    where they are indices. The caller's arrays are copied: it may write into them before the backward sweep. Indices
    and what a loss is given follow the Tensors to their device; other arrays stay, and are refused if that is another.
    """
    raw, floats, indices = [], [], []
    device = next(x.device for x in operands if isinstance(x, Tensor)) if cuda.loaded() else None
    for k, x in enumerate(operands):
        if isinstance(x, Operand) and not isinstance(x, Tensor):
            raise DTypeError(f"{op.name}: a Tensor meets a {type(x).__name__}; make it a Tensor first")
        if isinstance(x, np.generic):
            x = x.item()
        elif not isinstance(x, Tensor | float | int | list | tuple) and not backend.is_array(x):
            x = backend.as_array(x)  # of another library: pandas, polars, PyTorch
        if op.rules[k : k + 1] == (None,) and (any(op.rules) or not op.elementwise):  # or a condition
            indices.append(k)
        if isinstance(x, Tensor):
            array = x.data
        else:
            follows = isinstance(x, float | int) or op.loss or (k in indices and not op.elementwise)
            dtype = x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype
            array = backend.as_array(x, dtype, device if follows else None)
        if is_float(array) and hasattr(x, "dtype"):
            floats.append(array.dtype)
        raw.append(x if op.elementwise and isinstance(x, float | int) else array)
    if device:
        backend.together(op.name, raw)
    if not any(map(is_float, raw)):
        return raw
    dtype = max(floats, default=backend.get_default_dtype())
    for k, x in enumerate(raw):
        if backend.is_array(x) and k not in indices and (x.dtype.kind != "f" or not hasattr(operands[k], "dtype")):
            raw[k] = x.astype(dtype)
    return raw


def needs_gradient(args: Sequence) -> bool:
    """Whether a Tensor among the arguments of a NumPy function, or in a list of them, requires a gradient."""
    return any(needs_gradient(x) if isinstance(x, list | tuple) else getattr(x, "requires_grad", False) for x in args)


def plain(x: object) -> object:
    """Return an argument of a NumPy function with arrays in place of Tensors."""
    return type(x)(map(plain, x)) if isinstance(x, list | tuple) else x.numpy() if isinstance(x, Tensor) else x


def dispatch(table: dict, function: object) -> object:
    if function not in table:
        raise DTypeError(
            f"np.{function.__name__} has no counterpart on a Tensor; there are: "
            f"{', '.join(sorted(f.__name__ for f in table))}. For NumPy without gradients use .detach().numpy()"
        )
    return table[function]


def np_clip(x: object, a_min: object = None, a_max: object = None, *, min: object = None, max: object = None) -> Tensor:
    return ops.clip(x, min=a_min if min is None else min, max=a_max if max is None else max)


def np_dot(a: object, b: object) -> Tensor:
    if {np.ndim(a), np.ndim(b)} <= {1, 2}:
        return ops.matmul(a, b)
    raise DTypeError(f"np.dot on a Tensor takes 1 or 2 axes, not shapes {np.shape(a)}, {np.shape(b)}; use @ or *")


def np_pad(x: object, pad_width: object, mode: str = "constant", *, constant_values: object = 0) -> Tensor:
    if mode != "constant":
        raise DTypeError(f"np.pad on a Tensor takes mode='constant', not {mode!r}; there is concatenate for the rest")
    return ops.pad(x, pad_width=pad_width, constant_values=constant_values)


def over(reduction: object) -> object:
    return lambda x, axis=None, *, keepdims=False: reduction(x, axis=axis, keepdims=keepdims)


def spread(moment: object) -> object:
    return lambda x, axis=None, *, ddof=0, keepdims=False: moment(x, axis=axis, ddof=ddof, keepdims=keepdims)


UFUNCS = {
    np.add: ops.add, np.subtract: ops.sub, np.multiply: ops.mul, np.divide: ops.div, np.power: ops.pow,
    np.negative: ops.neg, np.absolute: ops.abs, np.sign: ops.sign, np.matmul: ops.matmul,
    np.exp: ops.exp, np.log: ops.log, np.sqrt: ops.sqrt, np.tanh: ops.tanh, np.sin: ops.sin, np.cos: ops.cos,
    np.expm1: ops.expm1, np.log1p: ops.log1p, np.square: lambda x: ops.mul(x, x),
    np.maximum: ops.maximum, np.minimum: ops.minimum,
    np.equal: ops.equal, np.not_equal: ops.not_equal, np.less: ops.less, np.less_equal: ops.less_equal,
    np.greater: ops.greater, np.greater_equal: ops.greater_equal,
}  # fmt: skip
FUNCTIONS = {
    np.sum: over(ops.sum), np.mean: over(ops.mean), np.max: over(ops.max), np.min: over(ops.min),
    np.amax: over(ops.max), np.amin: over(ops.min), np.argmax: over(ops.argmax),
    np.var: spread(ops.var), np.std: spread(ops.std),
    np.cumsum: lambda x, axis=None: ops.cumsum(x, axis=axis),
    np.clip: np_clip, np.where: ops.where, np.dot: np_dot, np.pad: np_pad,
    np.reshape: lambda x, shape: ops.reshape(x, shape=shape),
    np.ravel: lambda x: ops.reshape(x, shape=(-1,)),
    np.transpose: lambda x, axes=None: ops.transpose(x, axes=axes),
    np.swapaxes: lambda x, axis1, axis2: ops.swapaxes(x, axis1=axis1, axis2=axis2),
    np.moveaxis: lambda x, source, destination: ops.moveaxis(x, source=source, destination=destination),
    np.squeeze: lambda x, axis=None: ops.squeeze(x, axis=axis),
    np.expand_dims: lambda x, axis: ops.expand_dims(x, axis=axis),
    np.flip: lambda x, axis=None: ops.flip(x, axis=axis),
    np.broadcast_to: lambda x, shape: ops.broadcast_to(x, shape=shape),
    np.concatenate: ops.concatenate, np.stack: ops.stack, np.split: ops.split,
    np.take_along_axis: ops.gather,
    np.shape: lambda x: x.shape, np.ndim: lambda x: x.ndim,
    np.size: lambda x, axis=None: x.size if axis is None else x.shape[axis],
}  # fmt: skip


class Constructor(ModuleType):
    """This module, called as PyTorch's function `tensor`: minigrad.tensor([1.0, 2.0])."""

    def __call__(self, data: object, **options: object) -> Tensor:
        """Return Tensor(data, **options)."""
        return Tensor(data, **options)


sys.modules[__name__].__class__ = Constructor
