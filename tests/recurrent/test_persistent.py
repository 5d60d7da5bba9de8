"""Whole sequences in one launch give NumPy's numbers, however a net is laid out, and a missing barrier is noticed.

On the stand-in for CuPy threads run in order, in reverse, or "late": one block or warp at a time is kept waiting, drawn
from a seed, which is how a race shows. With `-m gpu` the same runs on a GPU.
"""

import functools

import numpy as np
import pytest
from cases import COVERING, SPECS
from test_cuda_kernels import (  # these tests run here, too, by this file's `cupy`
    SOME,
    compare,
    cotangents,
    ids,
    moved,
    opened,
    operands_of,
    test_an_infinite_cotangent_passes_where_relu_does_and_nowhere_else,  # noqa: F401
    test_nothing_is_shared_and_nothing_given_is_written_into,  # noqa: F401
    test_operands_and_cotangents_with_gaps_between_their_numbers,  # noqa: F401
    test_where_a_sequence_has_ended_states_and_cotangents_pass_as_they_are,  # noqa: F401
    through,
)

from minigrad import cuda
from minigrad.recurrent.kernels import on_cupy, on_numpy, persistent

ORDERS = {"in order": 1, "in reverse": -1, "late": 2}
GPU = pytest.param("GPU", marks=pytest.mark.gpu)


@pytest.fixture(params=["late", GPU])
def cupy(request, monkeypatch):
    yield from opened(request, monkeypatch, True, ORDERS)


@pytest.fixture
def launches(cupy, monkeypatch):
    """Counts the launches of persistent kernels, and of the others."""
    found = {"persistent": 0, "step": 0}

    def counting(kind, kernel):
        def get(*key):
            run = kernel(*key)

            def launch(*args, **kwargs):
                found[kind] += 1
                run(*args, **kwargs)

            return launch

        get.cache_clear = kernel.cache_clear
        return get

    monkeypatch.setattr(persistent, "kernel", counting("persistent", persistent.kernel))
    monkeypatch.setattr(on_cupy, "kernel", counting("step", on_cupy.kernel))
    return found


@pytest.fixture
def lay_out(monkeypatch):
    """Lets a test choose the columns of blocks and the sequences of a tile, on so many multiprocessors."""

    def chosen(columns, sequences, processors=8):
        def plan(B, H, rows, width, itemsize, *_):
            tries = (
                persistent.layout(B, H, rows, width, itemsize, processors, c, s)
                for s in (sequences, sequences // 2, 1)
                for c in range(min(columns, H), 0, -1)
            )
            return next(filter(None, tries))

        monkeypatch.setattr(persistent, "plan", plan)

    return chosen


def held_to_numpy(cupy, row, scale=1.0):
    family, operands, static = operands_of(row)
    outputs, _ = getattr(on_numpy, f"{family}_forward")(*operands, *static.values())
    compare(cupy, family, operands, static, cotangents(outputs, row[8]), scale=scale)


# --- numbers ---------------------------------------------------------------------------------------------------------

ALL = [row for row in COVERING if row[3] == 5 and (row[0] not in SPECS or SPECS[row[0]].block_size == 1)]


@pytest.mark.parametrize("row", ALL, ids=ids)
def test_every_cell_with_a_block_of_threads_for_each_unit(cupy, lay_out, launches, row):
    lay_out(columns=8, sequences=2)
    held_to_numpy(cupy, row)
    assert launches == {"persistent": 2, "step": 0}


LAYOUTS = [
    # cell, lengths, T, B, H, width; columns, sequences, multiprocessors, chunk: what is special
    ("vanilla", "late", 1, 3, 1, "float32", 1, 2, 8, 512),  # one unit, one step
    ("vanilla", "late", 7, 3, 5, "float64", 1, 2, 8, 512),  # a block has all units: no barrier
    ("GRU", "whole", 4, 1, 16, "float32", 1, 1, 8, 512),
    ("GRU", "lengths", 7, 3, 5, "float64", 2, 4, 8, 512),  # the last block has fewer units
    ("vanilla", "lengths", 4, 3, 5, "float64", 5, 1, 8, 512),  # tiles share blocks: 5 columns leave one row of blocks
    ("tanh", "late", 7, 17, 33, "float64", 3, 2, 8, 512),  # five tiles for a block, the last tile half empty
    ("vanilla", "late", 3, 17, 33, "float32", 3, 16, 8, 512),  # the largest tile; sums in two parts
    ("tanh", "whole", 3, 1, 20, "float64", 2, 1, 8, 8),  # vectors staged in three pieces
    ("GRU", "whole", 2, 3, 33, "float32", 8, 2, 8, 64),
]


@pytest.mark.parametrize("cupy", [*ORDERS, GPU], indirect=True)
@pytest.mark.parametrize("layout", LAYOUTS, ids=ids)
def test_every_layout_in_every_order_of_threads(cupy, lay_out, launches, monkeypatch, layout):
    cell, lengths, T, B, H, dtype, columns, sequences, processors, chunk = layout
    lay_out(columns, sequences, processors)
    monkeypatch.setattr(persistent, "CHUNK", chunk)
    held_to_numpy(cupy, (cell, "bias", lengths, T, B, 2, H, "given", "both", "wide", dtype), scale=10)
    assert launches == {"persistent": 2, "step": 0}


@pytest.mark.parametrize("row", SOME[-2:], ids=ids)
def test_forward_and_backward_mix_with_those_of_single_steps(cupy, lay_out, launches, monkeypatch, row):
    family, operands, static = operands_of(row)
    right = through(on_numpy, family, operands, static, cotangents)
    lay_out(columns=3, sequences=2)
    needs = [hasattr(x, "shape") for x in operands]
    for first in (True, False):
        operands = moved(cupy, operands)
        monkeypatch.setattr(cuda, "persistent", first)
        outputs, saved = getattr(on_cupy, f"{family}_forward")(*operands, *static.values())
        monkeypatch.setattr(cuda, "persistent", not first)
        gs = moved(cupy, cotangents(outputs))
        back = getattr(on_cupy, f"{family}_backward")(gs, outputs, saved, operands, needs, **static)
        for mine, a in zip((*outputs, *back), (*right[0], *right[2]), strict=True):
            np.testing.assert_allclose(mine.get(), a, rtol=1e-10, atol=1e-12)
    assert launches == {"persistent": 2, "step": 2 * row[3]}


def test_a_launch_repeats_bit_for_bit_and_leaves_nothing_behind(cupy, lay_out):
    lay_out(columns=3, sequences=2)
    family, operands, static = operands_of(SOME[-1])
    runs = [
        through(on_cupy, family, moved(cupy, operands), static, lambda ys: moved(cupy, cotangents(ys))) for _ in "ab"
    ]
    for a, b in zip((*runs[0][0], *runs[0][2]), (*runs[1][0], *runs[1][2]), strict=True):
        np.testing.assert_array_equal(a.get(), b.get())


# --- what the tests above would notice -------------------------------------------------------------------------------

BREAKS = {
    "nobody waits": ("while (*(const volatile unsigned*)arrived < steps * gridDim.x) __nanosleep(20);", ""),
    "a step too few": ("arrived < steps * gridDim.x", "arrived < (steps - 1) * gridDim.x && steps"),
    "only one thread waits": ("    __threadfence();\n  }\n  __syncthreads();", "    __threadfence();\n  }"),
    "counted before written": ("  __syncthreads();\n  if (gridDim.x > 1 &&", "  if (gridDim.x > 1 &&"),
    "tiles share a counter": ("arrived + cell.tile", "arrived"),
    "multiplied before staged": ("count, from, n);\n      __syncthreads();", "count, from, n);"),
    "staged before multiplied": ("if (from) __syncthreads();", ""),
    "summed too early": ("= sum[r][0];\n  __syncthreads();", "= sum[r][0];"),
}


@pytest.mark.parametrize("cupy", ["late"], indirect=True)
@pytest.mark.parametrize("broken", BREAKS)
def test_a_missing_barrier_is_noticed(cupy, lay_out, monkeypatch, broken):
    right, (before, after) = persistent.source("persistent_cells", "persistent"), BREAKS[broken]
    assert before in right
    monkeypatch.setattr(persistent, "source", lambda *_: right.replace(before, after))
    monkeypatch.setattr(persistent, "CHUNK", 8)
    lay_out(columns=2, sequences=4)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        held_to_numpy(cupy, ("tanh", "bias", "whole", 5, 9, 2, 33, "given", "both", "wide", "float64"), scale=10)


# --- what fits -------------------------------------------------------------------------------------------------------

GPUS = {"A100": (108, 166_912), "H100": (132, 232_448), "small": (2, 49_152)}


@pytest.mark.parametrize("gpu", GPUS)
def test_a_layout_keeps_to_the_chip_and_leaves_nothing_out(gpu):
    processors, capacity = GPUS[gpu]
    named, found = {option for _, _, options in persistent.sources() for option in options}, 0
    for gates in (1, 3, 4):
        for H in (1, 2, 5, 16, 33, 100, 128, 500, 512, 1024):
            for B in (1, 3, 17, 64, 100):
                for rows, width in ((gates, H), (1, gates * H)):
                    for itemsize in (4, 8):
                        p = persistent.plan(B, H, rows, width, itemsize, processors, capacity)
                        if p is None:
                            continue
                        found += 1
                        assert p.shared <= capacity and p.threads % 32 == 0
                        assert p.units * p.sequences <= p.threads <= (256 if p.sequences * itemsize > 32 else 512)
                        assert p.columns == 1 or p.columns * p.groups <= processors
                        assert p.units * (p.columns - 1) < H <= p.units * p.columns
                        assert p.groups <= -(-B // p.sequences) <= p.groups * p.own
                        assert p.sequences <= p.lanes <= 32 and (p.parts == 1 or p.lanes == 32) and p.chunk <= p.stride
                        assert p.lanes * p.parts * -(-rows * p.units // persistent.ROWS) <= p.threads
                        assert {f"-DSEQUENCES={p.sequences}", f"-DLANES={p.lanes}"} <= named
    assert found > 100


@pytest.mark.parametrize("gpu", ["A100", "H100"])
def test_an_lstm_of_512_units_fits_and_one_of_2048_does_not(gpu):
    for rows, gates in ((4, 1), (1, 4)):
        assert persistent.plan(64, 512, rows, gates * 512, 4, *GPUS[gpu])
        assert persistent.plan(1, 16, rows, gates * 16, 4, *GPUS[gpu]).columns == 1  # and needs no barrier
        assert persistent.plan(1, 2048, rows, gates * 2048, 4, *GPUS[gpu]) is None


@pytest.mark.parametrize("cupy", ["late"], indirect=True)
@pytest.mark.parametrize("reason", ["off", "too large", "an old GPU", "cells share gates"])
def test_the_loop_stays_where_one_launch_cannot_do(cupy, launches, monkeypatch, reason):
    cell = "blocks" if reason == "cells share gates" else "vanilla"
    if reason == "off":
        cuda.use_persistent_kernels(False)
    if reason == "too large":
        monkeypatch.setattr(persistent, "limits", functools.cache(lambda device: (2, 1000)))
    if reason == "an old GPU":
        monkeypatch.setattr(cupy.cuda.Device, "compute_capability", "61")
    held_to_numpy(cupy, (cell, "bias", "lengths", 5, 3, 2, 6, "given", "both", "plain", "float64"))
    assert launches == {"persistent": 0, "step": 10}
