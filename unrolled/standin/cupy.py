"""What minigrad uses of CuPy 14, on NumPy, and stricter: what is slow, undefined or silently wrong on a GPU raises.

- An array refuses to meet a NumPy array or a NumPy scalar, to be converted to the host unless asked (`get`, `item`,
  `tolist`, `bool`), and to go through NumPy's functions.
- Reductions give 0-d arrays. Integer arrays as indices wrap round silently, as CuPy's do. Writing to one place twice,
  undefined in CuPy, raises.
- An array of a device that is not the current one raises, as no GPU may read another's memory.
- `counts` holds what was done: "to_device" and "to_host" (transfers), "kernel" (our own), "gemm", "launch" (others).

tests/test_standin.py holds the names and signatures to the real CuPy's where that is installed.
"""

import collections
import contextlib
import operator
import sys
import time
import types
import weakref

import numpy as np

from unrolled.standin import host

__version__ = "14.0.0 (stand-in)"
DEVICES = 2
FLAGS = "c_contiguous", "f_contiguous", "owndata"  # all there are in CuPy
counts = collections.Counter()
order = 1  # of the threads in a launch: 1, -1, or the seed of a random one
_current = [0]
_used = [0]  # bytes of all arrays


class CUDARuntimeError(RuntimeError):
    pass


class Device:
    """A GPU by number, without one the current; as a context, what is current within."""

    __hash__ = None

    def __init__(self, device=None):
        self.id = _current[-1] if device is None else int(device)  # not checked before `use`

    attributes = types.MappingProxyType(
        {"MultiProcessorCount": 8, "MaxSharedMemoryPerBlockOptin": 232448, "CooperativeLaunch": 1}
    )
    compute_capability = "90"

    def use(self):
        if not 0 <= self.id < DEVICES:
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        _current[-1] = self.id
        return self

    def synchronize(self):
        pass

    def __enter__(self):
        _current.append(_current[-1])
        return self.use()

    def __exit__(self, *_):
        _current.pop()

    def __int__(self):
        return self.id

    def __eq__(self, other):
        return isinstance(other, Device) and self.id == other.id


def _raw(x):
    """Return the NumPy array behind an operand, or the number; refuse all else, by the words of CuPy."""
    if isinstance(x, ndarray):
        if x.device.id != _current[-1]:
            raise ValueError(f"Array device must be same as the current device: {x.device.id} != {_current[-1]}")
        return x._host
    if x is None or type(x) in (bool, int, float, type(Ellipsis), slice):
        return x
    raise TypeError(f"Unsupported type {type(x)}")


def _deep(x):
    return type(x)(map(_deep, x)) if isinstance(x, tuple | list) else x if isinstance(x, np.dtype | type) else _plain(x)


def _plain(x):
    return x if isinstance(x, str) or callable(x) else _raw(x)


def _new(a):
    """Return an array on the current device."""
    x = object.__new__(ndarray)
    x._host, x.device = np.asarray(a), Device()
    if x._host.base is None:
        _used[0] += x._host.nbytes
        weakref.finalize(x._host, _let_go, x._host.nbytes).atexit = False
    return x


def _let_go(nbytes):
    _used[0] -= nbytes


def _launched(function, kind="launch", keywords="out dtype"):
    """Return NumPy's function, with those of its keywords that CuPy has and minigrad uses."""

    def call(*args, **kwargs):
        _check_keywords(call, kwargs)
        counts[kind] += 1
        with np.errstate(all="ignore"):  # a GPU does not warn
            found = function(
                *map(_deep, args), **{key: _deep(x) for key, x in kwargs.items() if key != "out"}, **_out(kwargs)
            )
        return kwargs["out"] if kwargs.get("out") is not None else _wrapped(found)

    call.__name__, call.numpy, call.keywords = function.__name__, function, keywords.split()
    return call


def _check_keywords(function, given):
    if not given.keys() <= set(function.keywords):
        raise TypeError(f"stand-in: {function.__name__} has the keywords {function.keywords}, not {sorted(given)}")


def _out(kwargs):
    return {"out": _raw(kwargs["out"])} if "out" in kwargs else {}


def _wrapped(found):
    return type(found)(map(_wrapped, found)) if isinstance(found, tuple | list) else _new(found)


def _free(function, keywords=""):
    """Return a function of NumPy that launches nothing: it makes a view."""

    def call(*args, **kwargs):
        _check_keywords(call, kwargs)
        return _wrapped(function(*map(_deep, args), **kwargs))

    call.__name__, call.numpy, call.keywords = function.__name__, function, keywords.split()
    return call


class ndarray:
    __slots__ = ("_host", "device")
    __array_priority__ = 100
    __hash__ = None

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    flags = property(lambda self: types.SimpleNamespace(**{k: getattr(self._host.flags, k) for k in FLAGS}))
    data = property(lambda self: types.SimpleNamespace(ptr=self._host.ctypes.data))
    T = property(lambda self: _new(_raw(self).T))

    def get(self, stream=None, order="C", out=None, blocking=True):
        counts["to_host"] += 1
        return np.array(self._host, order=order)

    def item(self):
        return self.get().item()

    def tolist(self):
        return self.get().tolist()

    __float__ = lambda self: float(self.item())
    __int__ = lambda self: int(self.item())
    __bool__ = lambda self: bool(self.get())

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        return (self[k] for k in range(len(self)))

    def __repr__(self):
        return repr(self.get())

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        raise TypeError(f"stand-in: np.{ufunc.__name__} of an array on the GPU; take the function from its namespace")

    def __array_function__(self, function, types, args, kwargs):
        if function is np.shape:
            return self.shape
        raise TypeError(
            f"stand-in: np.{function.__name__} of an array on the GPU; take the function from its namespace"
        )

    def __getitem__(self, index):
        index, arrays = _index(self, index)
        counts["launch"] += arrays
        return _new(_raw(self)[index])

    def __setitem__(self, index, value):
        index, arrays = _index(self, index)
        counts["launch"] += 1
        if arrays:
            places = np.arange(self.size).reshape(self.shape)[index]
            if np.unique(places).size < places.size:
                raise ValueError("stand-in: one place is written twice; which write wins is undefined on a GPU")
        _raw(self)[index] = _raw(value)

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        counts["launch"] += copy or np.dtype(dtype) != self.dtype
        return self if not copy and np.dtype(dtype) == self.dtype else _new(_raw(self).astype(dtype, order=order))

    def copy(self, order="C"):
        counts["launch"] += 1
        found = _new(self._host.copy(order))  # to the current device, wherever it was
        if found.device != self.device and not (found.flags.c_contiguous or found.flags.f_contiguous):
            raise NotImplementedError("CuPy cannot copy non-contiguous array between devices.")
        return found

    def fill(self, value):
        counts["launch"] += 1
        _raw(self).fill(_raw(value))

    def reshape(self, *shape, order="C"):
        return _new(_raw(self).reshape(*shape, order=order))

    def dot(self, b, out=None):
        return dot(self, b, out)

    __copy__ = copy

    def __reduce__(self):
        return array, (self.get(order="A"),)


def _index(x, index):
    """Return NumPy's form of an index, and whether there are arrays in it."""
    entries, found, axis = index if isinstance(index, tuple) else (index,), [], 0
    given = len([i for i in entries if i is not None and i is not ...])
    for i in entries:
        if isinstance(i, ndarray):
            raw = _raw(i)
            if raw.dtype.kind in "iu":
                raw = raw % max(x.shape[axis], 1)  # CuPy wraps round what is out of range
            elif raw.dtype == bool:
                counts["to_host"] += 1  # how many are true decides the shape
                given, axis = given + raw.ndim - 1, axis + raw.ndim - 1
            found.append(raw)
        elif isinstance(i, int | slice | np.integer) or i is None or i is ...:
            found.append(i)
        else:
            raise TypeError(f"stand-in: an index of {type(i)}; make it an array of the GPU first")
        axis = x.ndim - given + axis if i is ... else axis + (i is not None)
    return tuple(found), ndarray in map(type, entries)


def _operator(name):
    function, inplace = getattr(operator, name), name.startswith("__i") and name != "__invert__"

    def apply(self, other):
        if not isinstance(other, ndarray | bool | int | float):
            if isinstance(other, np.ndarray | np.generic | list | tuple):
                raise TypeError(f"Unsupported type {type(other)}")
            if inplace:
                raise TypeError(f"Unsupported type {type(other)}")
            return NotImplemented  # CuPy asks NumPy, and that asks `other`, which comes to the same
        counts["gemm" if "matmul" in name else "launch"] += 1
        with np.errstate(all="ignore"):
            found = function(_raw(self), _raw(other))
        return self if inplace else _new(found)

    return apply


def _reflected(function):
    def apply(self, other):
        if type(other) not in (bool, int, float):
            raise TypeError(f"Unsupported type {type(other)}")
        counts["launch"] += 1
        with np.errstate(all="ignore"):
            return _new(function(other, _raw(self)))

    return apply


for _name in "add sub mul truediv floordiv mod pow matmul and or xor".split():
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
    if _name != "matmul":
        setattr(ndarray, f"__i{_name}__", _operator(f"__i{_name}__"))
    setattr(ndarray, f"__r{_name}__", _reflected(getattr(operator, f"__{_name}__")))
for _name in "eq ne lt le gt ge".split():
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
for _name in "neg pos abs invert".split():
    setattr(ndarray, f"__{_name}__", _launched(getattr(operator, f"__{_name}__"), keywords=""))
for _name, _keywords in {
    "sum mean std": "axis dtype out keepdims", "max min any all": "axis out keepdims", "argmax": "axis out keepdims",
    "cumsum": "axis dtype out", "clip": "out", "argsort": "axis kind",
}.items():  # fmt: skip
    for _one in _name.split():
        setattr(ndarray, _one, _launched(getattr(np.ndarray, _one), keywords=_keywords))
for _name in "transpose swapaxes squeeze ravel".split():
    setattr(ndarray, _name, _free(getattr(np.ndarray, _name), "axis" if _name == "squeeze" else ""))

# --- functions of the module (they hide the built-in ones of the same names from here on) ----------------------------

_this = sys.modules[__name__]
for _name, _keywords in {
    "exp log log1p expm1 sqrt square tanh sin cos sign abs maximum minimum isnan isfinite multiply": "out dtype",
    "zeros ones empty zeros_like ones_like empty_like full arange": "dtype",
    "concatenate stack": "axis out dtype", "pad": "constant_values", "where flip": "",
}.items():  # fmt: skip
    for _one in _name.split():
        setattr(_this, _one, _launched(getattr(np, _one), keywords=_keywords))
for _name in "moveaxis expand_dims broadcast_to split".split():
    setattr(_this, _name, _free(getattr(np, _name), "axis" if _name in ("expand_dims", "split") else ""))
matmul, dot = _launched(np.matmul, "gemm", "out"), _launched(np.dot, "gemm", "out")
_where, _split = where, split  # noqa: F821


def shape(a):
    return a.shape


def split(ary, indices_or_sections, axis=0):
    if np.ndim(indices_or_sections) and min(indices_or_sections, default=0) < -ary.shape[axis]:
        raise ValueError("stand-in: a position before the beginning, where CuPy reads beside the array")
    return _split(ary, indices_or_sections, axis)


def where(condition, x=None, y=None):
    return _where(condition.astype("?", copy=False), x, y)


def pad(array, pad_width, mode="constant", **kwargs):
    if not isinstance(pad_width, int):  # CuPy's own way from the forms of pad_width to pairs
        pad_width = np.asarray(pad_width)
        if pad_width.dtype.kind != "i":
            raise TypeError("`pad_width` must be of integral type.")
        if pad_width.size > 2 or pad_width.shape == (2, 1):
            pad_width = pad_width.reshape(array.ndim, 2)
        pad_width = pad_width.tolist()
    counts["launch"] += 1
    return _new(np.pad(_raw(array), pad_width, mode, **kwargs))


class _Add:
    """cupy.add, with `at`."""

    __call__ = staticmethod(_launched(np.add))

    @staticmethod
    def at(a, indices, b=None):
        index, _ = _index(a, indices)
        counts["launch"] += 1
        np.add.at(_raw(a), index, _raw(b))


add = _Add()


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    """Return an array of the current device, from the host or from another."""
    if isinstance(obj, ndarray):
        if obj.device.id != _current[-1]:
            return obj.copy(order or "K").astype(dtype or obj.dtype, copy=False)
        if not copy and dtype in (None, obj.dtype) and (order != "C" or obj.flags.c_contiguous):
            return obj
        counts["launch"] += 1
        return _new(np.array(obj._host, dtype, order=order))
    counts["to_device"] += 1
    return _new(np.array(obj, dtype, order=order))


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    return array(a, dtype, copy=bool(copy), order=order or "K")


def ascontiguousarray(a, dtype=None):
    if a.flags.c_contiguous and dtype in (None, a.dtype):
        return a if a.ndim else a.ravel()  # as in NumPy, with one axis at least
    counts["launch"] += 1
    return _new(np.ascontiguousarray(_raw(a), dtype))


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


# --- our own kernels -------------------------------------------------------------------------------------------------


class RawKernel:
    """A kernel of ours, compiled for the processor."""

    def __init__(self, code, name, options=(), backend="nvrtc", *, enable_cooperative_groups=False):
        self._module = RawModule(code=code, options=options, enable_cooperative_groups=enable_cooperative_groups)
        self.name, self.max_dynamic_shared_size_bytes = name, 48 * 1024
        self.attributes = {"num_regs": 32, "max_threads_per_block": 1024}

    def __call__(self, grid, block, args, *, shared_mem=0):
        counts["kernel"] += 1
        grid = tuple(max(1, n) for n in grid)  # as in CuPy: a launch of nothing runs one block
        cooperative, blocks = self._module.cooperative, int(np.prod(grid))
        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise CUDARuntimeError(f"stand-in: {shared_mem} bytes of shared memory, set max_dynamic_shared_size_bytes")
        if cooperative and blocks > Device.attributes["MultiProcessorCount"]:
            raise CUDARuntimeError(f"cudaErrorCooperativeLaunchTooLarge: {blocks} blocks")
        for x in args:
            if isinstance(x, ndarray) and not x.flags.c_contiguous:
                raise ValueError("stand-in: a raw kernel ignores strides; this array is not contiguous")
        library = host.compiled(self._module.code, tuple(self._module.options))
        host.launch(library, self.name, grid, block, [_argument(x) for x in args], shared_mem, cooperative, order)


def _argument(x):
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    return _raw(x) if isinstance(x, ndarray) else x


class RawModule:
    """A CUDA source."""

    def __init__(
        self, code=None, *, path=None, options=(), backend="nvrtc", translate_cucomplex=False,
        enable_cooperative_groups=False, name_expressions=None, jitify=None,
    ):  # fmt: skip
        if not isinstance(code, str) or not isinstance(options, tuple):
            raise TypeError("code is a string, options a tuple of strings")
        self.code, self.options, self.cooperative = code, options, enable_cooperative_groups
        if enable_cooperative_groups and "__shared__" in code.replace("extern __shared__", ""):
            raise ValueError("stand-in: static __shared__ in a cooperative kernel is one for all blocks; use extern")

    def get_function(self, name):
        return RawKernel(self.code, name, self.options, enable_cooperative_groups=self.cooperative)


# --- devices ---------------------------------------------------------------------------------------------------------

runtime = types.SimpleNamespace(
    getDeviceCount=lambda: DEVICES,
    driverGetVersion=lambda: 13000,
    runtimeGetVersion=lambda: 13000,
    CUDARuntimeError=CUDARuntimeError,
    getDeviceProperties=lambda device: {"name": b"stand-in"},
)


class Event:
    """A moment; there is nothing to wait for."""

    done = True

    def record(self, stream=None):
        self.time = time.perf_counter()

    def synchronize(self):
        pass


cuda = types.SimpleNamespace(
    Event=Event,
    get_elapsed_time=lambda start_event, end_event: 1e3 * (end_event.time - start_event.time),
    Device=Device,
    runtime=runtime,
    is_available=lambda: True,
    get_current_stream=lambda: types.SimpleNamespace(ptr=0),
)
_pool = types.SimpleNamespace(used_bytes=lambda: _used[0], free_all_blocks=lambda: None)
get_default_memory_pool = lambda: _pool


def _forget():
    """Have minigrad drop the kernels that another module `cupy` has compiled."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("minigrad.cuda", "minigrad.recurrent.kernels")):
            for value in vars(module).values():
                if getattr(value, "__module__", None) == name and hasattr(value, "cache_clear"):
                    value.cache_clear()


@contextlib.contextmanager
def installed():
    """Have `import cupy` find this module, within a block; the real one, where it is, is there again afterwards."""
    before = sys.modules.get("cupy")
    sys.modules["cupy"] = _this
    counts.clear()
    _current[:] = [0]
    _forget()
    try:
        yield _this
    finally:
        _forget()
        if before is None:
            del sys.modules["cupy"]
        else:
            sys.modules["cupy"] = before
