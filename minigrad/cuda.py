"""The GPU, through CuPy: whether there is one, and what is missing where there is none.

Nothing here imports CuPy before a GPU is asked for, and `import cupy` alone proves nothing: it succeeds with no driver.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np

from minigrad import updates

deterministic = False


def loaded() -> ModuleType | None:
    """Return CuPy where it has been imported; before that there is no array of a GPU."""
    return sys.modules.get("cupy")


def holds(x: object) -> bool:
    """Whether x is an array of a GPU."""
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(x, cupy.ndarray)


def missing() -> str | None:
    """Return what is missing for a GPU, package, driver or device, and what to do; None where nothing is."""
    try:
        import cupy
    except ImportError as error:
        if getattr(error, "name", None) == "cupy":
            return 'CuPy is not installed; pip install "unrolled[cuda13]" (with a CUDA 12 driver: "unrolled[cuda12]")'
        return f"CuPy is installed, but cannot be imported: {error}"
    runtime = cupy.cuda.runtime
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        version = runtime.driverGetVersion()  # 0 without a driver
        if version == 0:
            return f"CuPy is installed, but no NVIDIA driver is; `nvidia-smi` must list a GPU ({error})"
        found, wanted = (f"{v // 1000}.{v % 1000 // 10}" for v in (version, runtime.runtimeGetVersion()))
        return f"the NVIDIA driver, for CUDA {found}, gives CuPy, made for CUDA {wanted}, no device ({error})"
    return None if count else "the NVIDIA driver sees no GPU; look at `nvidia-smi` and at CUDA_VISIBLE_DEVICES"


def is_available() -> bool:
    """Whether Tensors can be put on a GPU: CuPy, a driver that fits it and a device are there."""
    return missing() is None


def device_count() -> int:
    """Return the number of GPUs: 0 where `is_available` is false."""
    return 0 if missing() else loaded().cuda.runtime.getDeviceCount()


def use_deterministic_algorithms(mode: bool) -> None:
    """Have gradients of indexing added up in a fixed order, so that a run on a GPU repeats bit for bit; slower.

    Off at the start: then the additions to one place come in the order in which the GPU's threads happen to arrive,
    and sums of floats depend on it in their last bits. On the CPU the order is fixed anyway.
    """
    global deterministic
    deterministic = bool(mode)


# --- our own kernels -------------------------------------------------------------------------------------------------


@functools.cache
def module(code: str, dtype: object, cooperative: bool = False, **macros: object) -> object:
    """Return CuPy's module for a CUDA source, compiled for `real` of a dtype, and with macros, at first use."""
    return loaded().RawModule(
        code=code, options=options(dtype, **macros), backend="nvrtc", enable_cooperative_groups=cooperative
    )


def options(dtype: object, **macros: object) -> tuple[str, ...]:
    """Return the compiler's options: `real` is float or double."""
    real = "float" if dtype.itemsize == 4 else "double"
    return (f"-Dreal={real}", *(f"-D{name}={value}" for name, value in macros.items()))


BLOCK = 256  # threads of a block, where a kernel's threads have nothing to do with each other


def launch(kernel: object, threads: int, arguments: tuple) -> None:
    """Run a kernel on at least so many threads."""
    kernel((-(-threads // BLOCK),), (BLOCK,), arguments)


ADD_RUNS = r"""
// buffer[places[k]] += g[order[k]] for all k, `width` numbers each. `places` is sorted, so equal ones stand together:
// the thread at the first of a run adds the whole run, in the order in which it stands, and nobody else writes there.
extern "C" __global__ void add_runs(
    long long n, long long width, const long long* places, const long long* order, const real* g, real* buffer) {
  long long at = blockIdx.x * (long long)blockDim.x + threadIdx.x, k = at / width, column = at % width;
  if (k >= n || (k > 0 && places[k - 1] == places[k])) return;
  real sum = 0;
  for (long long j = k; j < n && places[j] == places[k]; ++j) sum += g[order[j] * width + column];
  buffer[places[k] * width + column] += sum;
}
"""


def add_at(buffer: object, index: object, g: object) -> None:
    """Add g at an index in place, what occurs several times several times; in a fixed order where that was asked for.

    `buffer` is contiguous. Integers in the index lie within their axes.
    """
    cupy = loaded()
    if not deterministic:
        cupy.add.at(buffer, index, g)
        return
    rows = index if not isinstance(index, tuple) else index[0] if len(index) == 1 else None
    if rows is not None:
        places, width = rows.ravel() % len(buffer), buffer.size // len(buffer)
    else:
        places, width = cupy.arange(buffer.size).reshape(buffer.shape)[index].ravel(), 1
    if places.size and width:
        order = places.argsort(kind="stable")
        places, g = places[order].astype("int64"), cupy.ascontiguousarray(g)
        kernel = module(ADD_RUNS, buffer.dtype).get_function("add_runs")
        launch(kernel, places.size * width, (places.size, width, places, order.astype("int64"), g, buffer))


class Symbol:
    """A variable of a formula that writes down what is done with it, as C does."""

    def __init__(self, text: str):
        self.text = text

    def __array_ufunc__(self, ufunc: object, method: str, x: "Symbol") -> "Symbol":
        return Symbol(f"{ufunc.__name__}({x.text})")  # np.sqrt is C's sqrt

    __add__ = lambda self, other: Symbol(f"({self.text} + {other.text})")
    __sub__ = lambda self, other: Symbol(f"({self.text} - {other.text})")
    __mul__ = lambda self, other: Symbol(f"({self.text} * {other.text})")
    __truediv__ = lambda self, other: Symbol(f"({self.text} / {other.text})")


@functools.cache
def update_source(rule: Callable, arrays: int) -> str:
    """Return the kernel of an optimiser's rule (minigrad/updates.py), written by the rule itself."""
    names = list(inspect.signature(rule).parameters)
    results = rule(*map(Symbol, names))
    inputs = [f"const real* {name}s" for name in names[:arrays]] + [f"real {name}" for name in names[arrays:]]
    outputs = [f"real* out{k}" for k in range(len(results))]
    read = [f"  const real {name} = {name}s[k];" for name in names[:arrays]]
    write = [f"  out{k}[k] = {result.text};" for k, result in enumerate(results)]
    return "\n".join(
        [
            f'extern "C" __global__ void {rule.__name__}(long long n, {", ".join(inputs + outputs)}) {{',
            "  long long k = blockIdx.x * (long long)blockDim.x + threadIdx.x;",
            "  if (k >= n) return;",
            *read,
            *write,
            "}",
        ]
    )


def update(rule: Callable, arrays: list, numbers: list) -> list:
    """Return rule(*arrays, *numbers) as new arrays, in one launch."""
    cupy = loaded()
    arrays = [cupy.ascontiguousarray(x) for x in arrays]
    dtype = arrays[0].dtype
    code = update_source(rule, len(arrays))
    new = [cupy.empty_like(arrays[0]) for _ in range(code.count("real* out"))]
    kernel = module(code, dtype).get_function(rule.__name__)
    launch(kernel, arrays[0].size, (arrays[0].size, *arrays, *map(dtype.type, numbers), *new))
    return new


def sources() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield (name, code, options) of everything that is compiled here, for those who compile it without a GPU."""
    rules = [rule for rule in vars(updates).values() if inspect.isfunction(rule)]
    arrays = [list(inspect.signature(rule).parameters).index("lr") for rule in rules]  # these come before the numbers
    codes = {rule.__name__: update_source(rule, n) for rule, n in zip(rules, arrays, strict=True)}
    for name, code in {"add_runs": ADD_RUNS, **codes}.items():
        for dtype in map(np.dtype, ("float32", "float64")):
            yield f"{name} {dtype}", code, options(dtype)
