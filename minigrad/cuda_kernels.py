"""What runs on a GPU beside CuPy's own functions: additions at an index in a fixed order, and the optimisers' rules."""

import functools
import inspect
import math
from collections.abc import Callable, Iterator

import numpy as np

from minigrad import cuda, updates

REALS = {"float32": "float", "float64": "double"}  # what `real` is in a CUDA source
BLOCK = 256  # threads of a block; they have nothing to do with each other


def options(dtype: np.dtype) -> tuple[str, ...]:
    """Return the compiler's options: which type `real` is."""
    return (f"-DREAL={REALS[dtype.name]}",)


@functools.cache
def kernel(code: str, name: str, dtype: np.dtype) -> Callable:
    """Return a kernel of a CUDA source; CuPy compiles it at its first launch, and keeps it on disk."""
    return cuda.loaded().RawModule(code="typedef REAL real;\n" + code, options=options(dtype)).get_function(name)


def launch(run: Callable, threads: int, *arguments: object) -> None:
    """Run a kernel on at least so many threads."""
    if threads:
        run((-(-threads // BLOCK),), (BLOCK,), arguments)


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

    Integers in the index lie within their axes.
    """
    cupy = cuda.loaded()
    if not cuda.deterministic or buffer.dtype.kind != "f":
        cupy.add.at(buffer, index, g)
        return
    rows = index if not isinstance(index, tuple) else index[0] if len(index) == 1 else None
    if rows is not None:
        places, width = rows.ravel().astype("int64") % len(buffer), math.prod(buffer.shape[1:])
    else:
        places, width = cupy.arange(buffer.size).reshape(buffer.shape)[index].ravel(), 1
    order = places.argsort(kind="stable").astype("int64")
    total = cupy.ascontiguousarray(buffer)  # buffer itself, or a copy of one whose axes lie in another order
    g = cupy.ascontiguousarray(g, buffer.dtype)
    add_runs = kernel(ADD_RUNS, "add_runs", buffer.dtype)
    launch(add_runs, places.size * width, places.size, width, places[order], order, g, total)
    if not buffer.flags.c_contiguous:
        buffer[...] = total


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
    cupy = cuda.loaded()
    arrays = [x if x.flags.c_contiguous else cupy.ascontiguousarray(x) for x in arrays]  # which gives 0-d an axis
    dtype = arrays[0].dtype
    code = update_source(rule, len(arrays))
    new = [cupy.empty_like(arrays[0]) for _ in range(code.count("real* out"))]
    size, numbers = arrays[0].size, map(dtype.type, numbers)  # a Python float would arrive as a double
    launch(kernel(code, rule.__name__, dtype), size, size, *arrays, *numbers, *new)
    return new


def sources() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield (name, code, options) of everything that is compiled here, for those who compile it without a GPU."""
    rules = [rule for rule in vars(updates).values() if inspect.isfunction(rule)]
    arrays = [list(inspect.signature(rule).parameters).index("lr") for rule in rules]  # these come before the numbers
    codes = {rule.__name__: update_source(rule, n) for rule, n in zip(rules, arrays, strict=True)}
    for name, code in {"add_runs": ADD_RUNS, **codes}.items():
        for dtype in map(np.dtype, ("float32", "float64")):
            yield f"{name} {dtype}", "typedef REAL real;\n" + code, options(dtype)
