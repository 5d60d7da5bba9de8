"""A whole sequence in one launch on the GPU: persistent kernels (Diamos et al. 2016, "Persistent RNNs", ICML).

on_cupy.py launches twice a step, and reads R from the GPU's memory each time. Here R stays on the chip: each block of
threads keeps the rows of some hidden units (backward: their columns) in shared memory for the whole sequence, and the
blocks meet once a step at a counter in memory. The kernels in cuda/persistent.cu take the place of on_cupy's loops and
fill the same arrays, so forward and backward, persistent or not, mix freely. The loops stay where R does not fit the
chip, where a large product should be faster, and where several LSTM cells share gates.

Off until cuda.use_persistent_kernels(True). Not measured on a GPU: speed, the estimates of `Plan.cycles`, by which
plans are chosen, and that parity with NumPy, which the tests find for these sources compiled for the processor, holds
there too.
"""

import functools
from collections.abc import Callable, Iterator
from itertools import cycle, product
from typing import NamedTuple

from minigrad import cuda
from minigrad.cuda_kernels import REALS
from minigrad.recurrent.kernels.cuda_source import source
from minigrad.recurrent.kernels.on_numpy import FUNCTIONS
from minigrad.recurrent.spec import CELLS, CellSpec

CHUNK = 512  # numbers of a vector that are staged in shared memory at a time
ROWS = 4  # as in persistent.cu
LOOP = 30_000  # cycles of the GPU that a step of on_cupy's loop takes at least, most of them waiting for Python


class Plan(NamedTuple):
    """How a net is laid out: `columns` x `groups` blocks, each with `units` units and `own` tiles of sequences."""

    units: int
    columns: int
    groups: int
    own: int
    sequences: int  # of a tile
    lanes: int
    parts: int
    chunk: int
    stride: int
    threads: int
    shared: int  # bytes
    cycles: int  # of a step, a rough estimate


@functools.cache
def plan(B: int, H: int, rows: int, width: int, itemsize: int, processors: int, capacity: int) -> Plan | None:
    """Return the layout that should be fastest, or None where none fits, or none is worth it.

    A unit has `rows` vectors of `width` numbers: forward its gates' rows of R, backward its column. There are
    `processors` multiprocessors, one block on each, with `capacity` bytes of shared memory.
    """
    choices = product(range(1, min(H, processors) + 1), (1, 2, 4, 8, 16))
    layouts = (layout(B, H, rows, width, itemsize, processors, *choice) for choice in choices)
    fitting = [p for p in layouts if p and p.shared <= capacity and p.cycles < LOOP]
    return min(fitting, key=lambda p: p.cycles, default=None)


def layout(
    B: int, H: int, rows: int, width: int, itemsize: int, processors: int, columns: int, sequences: int
) -> Plan | None:
    """Return the Plan with so many columns of blocks and sequences a tile; None where that cannot be."""
    units, alone = ceil_div(H, columns), columns == 1  # a block alone with its sequences waits for no other
    tiles, most = ceil_div(B, sequences), 256 if sequences * itemsize > 32 else 512  # threads, as in persistent.cu
    sharing = ceil_div(rows * units, ROWS)  # groups of threads, of which each shares ROWS rows
    impossible = ceil_div(H, units) != columns or max(sharing, units) * sequences > most
    if impossible or sequences >= 2 * B or sequences * itemsize > 64:
        return None
    group = sequences  # threads of a group: as many as there is work for
    while 2 * group * sharing <= most and 4 * group < width:
        group *= 2
    lanes = min(32, group)
    parts, threads = group // lanes, 32 * ceil_div(max(sharing * group, units * sequences), 32)
    groups = tiles if alone else min(tiles, processors // columns)
    own, chunk = ceil_div(tiles, groups), width if alone else min(width, CHUNK)
    stride = width + (lanes - width) % 32  # neighbouring groups then read different banks
    shared = rows * units * stride + sequences * chunk + parts * sequences * (rows * units | 1) + 2 * own * threads

    # Shared memory gives 32 words a cycle, L2 8; a warp shuffles a word a cycle; a read after a read waits.
    words = itemsize // 4
    reads = max(sharing * width * (ROWS + sequences) * words // 32, ceil_div(width, group) * 40)
    shuffles = ceil_div(threads, 32) * ROWS * words * (sequences - 1 + (lanes // sequences).bit_length() - 1)
    fetch, meet = (0, 0) if alone else (600 + sequences * width * words // 8, 1000 + 4 * columns)
    turns = ceil_div(tiles, processors) if alone else own
    cycles = meet + turns * (400 + reads + shuffles + fetch)
    return Plan(units, columns, groups, own, sequences, lanes, parts, chunk, stride, threads, shared * itemsize, cycles)


def ceil_div(a: int, b: int) -> int:
    """Return a / b, rounded up."""
    return -(-a // b)


# --- cells, as the compiler is told of them --------------------------------------------------------------------------


class Cell(NamedTuple):
    """A cell: how many rows of R a unit has, and the macros of persistent_cells.cu."""

    gates: int
    macros: tuple[tuple[str, object], ...]


def describe(family: str, gates: int, **macros: object) -> Cell:
    """Return a Cell; functions go by their place in common.cu, EXTRA is the number of parameters beside W, R and b."""
    return Cell(gates, tuple(({f"FAMILY_{family}": 1, "GATES": gates, "EXTRA": 0, "TRUNCATE": 0} | macros).items()))


def elman(nonlinearity: str) -> Cell:
    """Return the Elman cell."""
    return describe("ELMAN", 1, SQUASH=list(FUNCTIONS).index(nonlinearity))


def gru() -> Cell:
    """Return the GRU, which has b_hn beside."""
    return describe("GRU", 3, EXTRA=1)


def lstm(spec: CellSpec, peepholes: bool) -> Cell | None:
    """Return an LSTM cell, in which peepholes are looked through or not; None where cells share gates."""
    if spec.block_size > 1:
        return None
    g, h = map(list(FUNCTIONS).index, (spec.input_squashing, spec.output_squashing))
    return describe(
        "LSTM", len(spec.rows), EXTRA=3 * peepholes, PEEPHOLES=int(peepholes), TRUNCATE=int(spec.truncate),
        COUPLED=int(spec.coupled), SQUASH_G=g, SQUASH_H=h,
        **{f"AT_{row.upper()}": spec.rows.find(row) for row in "ifzo"},
    )  # fmt: skip


# --- launches --------------------------------------------------------------------------------------------------------


def options(cell: Cell, dtype: str, sequences: int, lanes: int) -> tuple[str, ...]:
    """Return the compiler's options."""
    macros = {"REAL": REALS[dtype], "SEQUENCES": sequences, "LANES": lanes} | dict(cell.macros)
    return tuple(f"-D{name}={value}" for name, value in macros.items())


def sources() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield (name, code, options) of what is compiled here: every value of every option, but not all together."""
    bare = CellSpec(False, False, False, input_squashing="2s-1", output_squashing="4s-2")
    specs = {name: CELLS[name] for name in ("vanilla", "2000", "peephole", "NIG", "NFG", "NOG", "NP", "CIFG")}
    specs |= {"bare": bare, "o alone": CellSpec(False, False)}
    cells = {name: elman(name) for name in ("tanh", "sigmoid", "relu")} | {"GRU": gru()}
    cells |= {name: lstm(spec, spec.peepholes) for name, spec in specs.items()}
    tiles = cycle([(1, 1), (2, 2), (4, 4), (8, 8), (1, 32), (8, 16), (16, 32)])
    for k, ((name, cell), (sequences, lanes)) in enumerate(zip(cells.items(), tiles, strict=False)):
        dtype = "float64" if k % 2 and sequences < 16 else "float32"
        label = f"persistent {name} {dtype} {sequences}x{lanes}"
        yield label, source("persistent_cells", "persistent"), options(cell, dtype, sequences, lanes)


@functools.cache
def kernel(direction: str, cell: Cell, dtype: str, plan: Plan, device: int) -> Callable:
    """Return a kernel of the current device, which is allowed as much shared memory as the plan needs."""
    import cupy

    module = cupy.RawModule(
        code=source("persistent_cells", "persistent"),
        options=options(cell, dtype, plan.sequences, plan.lanes),
        enable_cooperative_groups=plan.columns > 1,  # all blocks run at once, so that they can wait for each other
    )
    found = module.get_function(f"persistent_{direction}")
    if plan.shared > 48 * 1024:
        found.max_dynamic_shared_size_bytes = plan.shared
    return found


@functools.cache
def limits(device: int) -> tuple[int, int]:
    """Return how many multiprocessors a GPU has, 0 if it is too old, and the bytes of shared memory of a block."""
    import cupy

    gpu = cupy.cuda.Device(device)
    able = gpu.attributes["CooperativeLaunch"] and int(gpu.compute_capability) >= 70  # which has __nanosleep
    return gpu.attributes["MultiProcessorCount"] * able, gpu.attributes["MaxSharedMemoryPerBlockOptin"]


def ready(direction: str, cell: Cell | None, R: object, states: object) -> Callable | None:
    """Return what launches a direction for states (T, B, H), given the arrays; None where the loop has to do it."""
    if not cuda.persistent or cell is None or states.size == 0:
        return None
    import cupy

    (T, B, H), device = states.shape, cupy.cuda.Device().id
    rows, width = (cell.gates, H) if direction == "forward" else (1, cell.gates * H)
    found = plan(B, H, rows, width, R.itemsize, *limits(device))
    if found is None:
        return None
    run = kernel(direction, cell, R.dtype.name, found, device)
    grid, sizes = (found.columns, found.groups), (found.units, found.parts, found.chunk, found.stride)
    arrived = cupy.zeros(ceil_div(B, found.sequences), "uint32")  # a new one: two launches may run side by side
    return lambda *arrays: run(grid, (found.threads,), (T, B, H, *sizes, *arrays, arrived), shared_mem=found.shared)


def clear() -> None:
    """Forget kernels and devices, which belong to the CuPy that gave them."""
    kernel.cache_clear()
    limits.cache_clear()
