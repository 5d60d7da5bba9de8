"""The fused steps for a GPU give NumPy's numbers, with two launches a step.

Each test runs on the stand-in for CuPy, which compiles the CUDA sources for the processor, with the threads of a launch
in one order and in the other; with `-m gpu`, on a GPU.
"""

from collections import Counter

import numpy as np
import pytest
from cases import COVERING, SPECS, Case

from minigrad import cuda
from minigrad.errors import DTypeError
from minigrad.recurrent.kernels import on_cupy, on_numpy
from minigrad.recurrent.spec import CellSpec
from unrolled.standin import cupy as standin

ids = lambda row: "-".join(map(str, row))


def opened(request, monkeypatch, persistent, orders):
    """Yield CuPy, or the stand-in with the threads of a launch in an order."""
    monkeypatch.setattr(cuda, "persistent", persistent)
    if request.param == "GPU":
        if cuda.missing():
            pytest.skip(cuda.missing())
        yield cuda.loaded()
    else:
        request.getfixturevalue("compiler")
        monkeypatch.setattr(standin, "order", orders[request.param])
        with standin.installed() as module:
            yield module


@pytest.fixture(params=["in order", "in reverse", pytest.param("GPU", marks=pytest.mark.gpu)])
def cupy(request, monkeypatch):
    """CuPy, or the stand-in with the threads of a launch in one order or in the other."""
    yield from opened(request, monkeypatch, False, {"in order": 1, "in reverse": -1})


def operands_of(row):
    """Return family, operands and static arguments of a case, as the kernels receive them."""
    case, given = Case(*row), []

    def listen(*operands, **static):
        given[:] = operands, static
        return case.fused(*operands, **static)

    case.run(listen, *case.leaves.values())
    operands, static = given
    names = {"lstm": ("spec", "mask"), "elman": ("nonlinearity", "mask"), "gru": ("mask",)}
    family = case.fused.op.name.removesuffix("_sequence")
    return (
        family,
        [np.asarray(x, row[-1]) if np.ndim(x) else x for x in operands],
        {k: static[k] for k in names[family]},
    )


def cotangents(outputs, loss="both", seed=4):
    """Return a cotangent for each output, None for those that the loss leaves out."""
    rng = np.random.default_rng(seed)
    used = {"outputs": (0,), "last": (1, 2), "both": (0, 1, 2)}[loss]
    return tuple(rng.standard_normal(y.shape).astype(y.dtype) if k in used else None for k, y in enumerate(outputs))


def through(module, family, operands, static, gs, needs=None):
    """Return outputs, what is saved, and gradients; `gs` may be a function of the outputs."""
    outputs, saved = getattr(module, f"{family}_forward")(*operands, *static.values())
    gs = gs(outputs) if callable(gs) else gs
    needs = [hasattr(x, "shape") for x in operands] if needs is None else needs
    return outputs, saved, getattr(module, f"{family}_backward")(gs, outputs, saved, operands, needs, **static)


def moved(cupy, xs):
    return type(xs)(cupy.asarray(x) if isinstance(x, np.ndarray) else x for x in xs)


def compare(cupy, family, operands, static, gs, needs=None, scale=1.0):
    """Run NumPy's kernels and those of the GPU, and hold the second to the first."""
    needs = [hasattr(x, "shape") for x in operands] if needs is None else needs
    with np.errstate(all="ignore"):
        ys, _, ds = through(on_numpy, family, operands, static, gs, needs)
    found, _, back = through(on_cupy, family, moved(cupy, operands), static, moved(cupy, gs), needs)
    single = operands[0].dtype == np.float32
    tolerance = {"rtol": 3e-4, "atol": scale * 3e-5} if single else {"rtol": 1e-10, "atol": scale * 1e-12}
    states = len(ys) - 1  # the cotangents of x and of the first states are returned whether needed or not
    for k, (right, mine) in enumerate(zip((*ys, *ds), (*found, *back), strict=True)):
        if right is None or (k > len(ys) + states and not needs[k - len(ys)]):
            assert mine is None
            continue
        assert mine.dtype == right.dtype and mine.shape == right.shape
        np.testing.assert_allclose(mine.get(), right, **tolerance, err_msg=f"result {k}")


# --- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", COVERING, ids=ids)
def test_the_numbers_are_those_of_numpy(cupy, row):
    family, operands, static = operands_of(row)
    outputs, _ = getattr(on_numpy, f"{family}_forward")(*operands, *static.values())
    compare(cupy, family, operands, static, cotangents(outputs, row[8]))


WIDE = [  # several blocks of threads, the last not full, with sequences that begin late or end early
    (cell, "bias", "late", 4, 7, 5, blocks, "given", "both", "wide", dtype)
    for cell, blocks in (("relu", 67), ("GRU", 33), ("vanilla", 41), ("CIFG", 19), ("coupled blocks", 23))
    for dtype in ("float32", "float64")
]


@pytest.mark.parametrize("row", WIDE, ids=ids)
def test_many_units(cupy, row):
    family, operands, static = operands_of(row)
    outputs, _ = getattr(on_numpy, f"{family}_forward")(*operands, *static.values())
    compare(cupy, family, operands, static, cotangents(outputs), scale=10)


SOME = [row for row in COVERING if row[0] in ("tanh", "GRU", "vanilla") and row[3] == 5 and row[-1] == "float64"] + [
    ("GRU", "bias", "lengths", 5, 3, 2, 3, "given", "both", "plain", "float64"),
    ("vanilla", "bias", "lengths", 5, 3, 2, 3, "given", "both", "plain", "float64"),
]


@pytest.mark.parametrize("row", SOME, ids=ids)
def test_only_what_is_needed_is_computed(cupy, row):
    family, operands, static = operands_of(row)
    outputs, _ = getattr(on_numpy, f"{family}_forward")(*operands, *static.values())
    for k in range(len(operands)):
        needs = [j == k and hasattr(x, "shape") for j, x in enumerate(operands)]
        compare(cupy, family, operands, static, cotangents(outputs), needs)


@pytest.mark.parametrize("row", SOME, ids=ids)
def test_operands_and_cotangents_with_gaps_between_their_numbers(cupy, row):
    family, operands, static = operands_of(row)
    right = through(on_numpy, family, operands, static, cotangents)
    apart = lambda x: x if not hasattr(x, "shape") else np.repeat(x, 2, axis=-1)
    gaps = [x[..., ::2] if hasattr(x, "shape") else x for x in moved(cupy, list(map(apart, operands)))]
    if static["mask"] is not None:
        static = static | {"mask": cupy.asarray(static["mask"][::-1].copy())[::-1]}
    gs = lambda ys: tuple(cupy.asarray(apart(g))[..., ::2] for g in cotangents(right[0]))
    found = through(on_cupy, family, gaps, static, gs)
    for a, b in zip((*right[0], *right[2]), (*found[0], *found[2]), strict=True):
        assert a is b is None or np.allclose(b.get(), a, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("b", [0.5, np.full((), 0.5)], ids=["number", "0-d"])
def test_a_bias_that_is_one_number(cupy, b):
    _, (x, h, W, R, *_), static = operands_of(SOME[-2])
    compare(cupy, "gru", [x, h, W, R, b, b], static, (None, np.ones_like(h)))


ENDS = [np.nan, np.inf, -np.inf, 1e4, -1e4, 710.0, -710.0, 89.0, -89.0, 87.0, -87.0, 1e-5, -1e-5, 0.0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("f", ["tanh", "sigmoid", "relu"])
def test_activations_far_out_and_of_nan(cupy, f, dtype):
    x = np.array(ENDS, dtype).reshape(1, -1, 1)
    operands = [x, np.zeros((len(ENDS), 1), dtype), np.ones((1, 1), dtype), np.zeros((1, 1), dtype), 0.0]
    with np.errstate(all="ignore"):
        (right, _), _ = on_numpy.elman_forward(*operands, f, None)
    (found, _), _ = on_cupy.elman_forward(*moved(cupy, operands), f, None)
    tiny = {"float32": 2e-38, "float64": 0.0}[dtype]  # on a GPU floats below the smallest normal one become 0
    np.testing.assert_allclose(found.get(), right, rtol={"float32": 1e-6, "float64": 1e-14}[dtype], atol=tiny)


@pytest.mark.parametrize("f", ["4s-2", "2s-1", "identity", "tanh"])
def test_squashings_far_out_and_of_nan(cupy, f):
    spec = CellSpec(False, False, False, input_squashing=f)
    x, zero = np.array(ENDS).reshape(1, -1, 1), np.zeros((len(ENDS), 1))
    operands = [x, zero, zero, np.ones((1, 1)), np.zeros((1, 1)), 0.0, 0.0]
    with np.errstate(all="ignore"):
        (*_, right), _ = on_numpy.lstm_forward(*operands, spec, None)
    (*_, found), _ = on_cupy.lstm_forward(*moved(cupy, operands), spec, None)
    np.testing.assert_allclose(found.get(), right, rtol=1e-14)


def test_an_infinite_cotangent_passes_where_relu_does_and_nowhere_else(cupy):
    x, h, eye = np.ones((1, 1, 1)), np.array([[1.0, -1.0]]), np.eye(2)
    operands, gs = moved(cupy, [x * 0, h, np.ones((2, 1)), eye, 0.0]), moved(cupy, (np.array([[[1.0, np.inf]]]), None))
    outputs, _, (_, dh, *_) = through(on_cupy, "elman", operands, {"nonlinearity": "relu", "mask": None}, gs)
    assert outputs[0].tolist() == [[[1, 0]]] and dh.tolist() == [[1, 0]]


@pytest.mark.parametrize("cell", ["tanh", "GRU", "vanilla"])
def test_where_a_sequence_has_ended_states_and_cotangents_pass_as_they_are(cupy, cell):
    family, operands, static = operands_of((cell, "bias", "whole", 3, 2, 2, 3, "given", "both", "plain", "float64"))
    x, states = operands[0], operands[1 : 3 if family == "lstm" else 2]
    x[:, 1], static["mask"] = np.inf, np.array([True, False])[None, :, None].repeat(3, axis=0)
    gs = tuple(np.full_like(y, np.inf) for y in (np.zeros((3, 2, 3)), *states))  # infinite, so that 0 times it shows
    for g in gs:
        g[..., 0, :] = 1
    (y, *last), _, (dx, *back) = through(on_cupy, family, moved(cupy, operands), static, moved(cupy, gs))
    assert (y.get()[:, 1] == 0).all() and np.isfinite(y.get()).all() and (dx.get()[:, 1] == 0).all()
    for before, after, g, d in zip(states, last, gs[1:], back, strict=False):
        np.testing.assert_array_equal(after.get()[1], before[1])
        np.testing.assert_array_equal(d.get()[1], g[1])
        assert np.isfinite(d.get()[0]).all()


def test_operands_of_several_dtypes_are_refused(cupy):
    _, operands, static = operands_of(SOME[-1])
    for wrong in ("float32", "float16", "int64"):
        for k in range(len(operands)):
            given = moved(cupy, [x.astype(wrong) if j == k else x for j, x in enumerate(operands)])
            with pytest.raises(DTypeError, match=f"lstm_sequence.*{wrong}"):
                on_cupy.lstm_forward(*given, *static.values())


# --- memory ----------------------------------------------------------------------------------------------------------


def bounds(x):
    return x.data.ptr, x.data.ptr + x.nbytes


def share(a, b):
    (a0, a1), (b0, b1) = bounds(a), bounds(b)
    return a0 < b1 and b0 < a1


@pytest.mark.parametrize("row", SOME, ids=ids)
def test_nothing_is_shared_and_nothing_given_is_written_into(cupy, row):
    family, operands, static = operands_of(row)
    operands = moved(cupy, operands)
    given = [x for x in operands if hasattr(x, "shape")]
    outputs, saved = getattr(on_cupy, f"{family}_forward")(*operands, *static.values())
    gs = moved(cupy, cotangents(outputs))
    before, needs = [x.get() for x in (*given, *gs)], [hasattr(x, "shape") for x in operands]
    backward = lambda: getattr(on_cupy, f"{family}_backward")(gs, outputs, saved, operands, needs, **static)
    first = backward()
    kept = [saved] if hasattr(saved, "shape") else saved
    for out in outputs:
        assert not any(share(out, other) for other in (*given, *kept, *gs, *outputs) if other is not out)
        out.fill(np.nan)  # what a caller does to its own copy is not the business of the backward pass
    second = backward()
    for k, (a, b) in enumerate(zip(first, second, strict=True)):
        if a is not None:
            np.testing.assert_array_equal(a.get(), b.get())
            assert not any(share(a, other) for other in (*given, *kept, *gs, *first[:k]) if other is not None)
    for x, right in zip((*given, *gs), before, strict=True):
        np.testing.assert_array_equal(x.get(), right)


# --- launches --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cupy", ["in order"], indirect=True)
@pytest.mark.parametrize("lengths", ["whole", "lengths"])
@pytest.mark.parametrize("cell", ["tanh", "GRU", *SPECS])
def test_a_step_is_one_product_and_one_kernel(cupy, cell, lengths):
    def launches(T):
        row = (cell, "bias", lengths, T, 2, 2, 2, "given", "both", "plain", "float32")
        family, operands, static = operands_of(row)
        operands, needs = moved(cupy, operands), [hasattr(x, "shape") for x in operands]
        if static["mask"] is not None:
            static["mask"] = cupy.asarray(static["mask"])
        cupy.counts.clear()
        outputs, saved = getattr(on_cupy, f"{family}_forward")(*operands, *static.values())
        forward = cupy.counts.copy()
        gs = moved(cupy, cotangents(outputs))
        cupy.counts.clear()
        getattr(on_cupy, f"{family}_backward")(gs, outputs, saved, operands, needs, **static)
        return forward, cupy.counts.copy()

    (few, few_back), (many, many_back) = launches(3), launches(8)
    cut = cell in SPECS and SPECS[cell].truncate
    assert many - few == Counter(kernel=5, gemm=5)
    assert many_back - few_back == Counter(kernel=5, gemm=0 if cut else 5)
    assert few["gemm"] == 3 + 1 and few_back["gemm"] == (0 if cut else 3) + 3  # W x; dx, dW, dR
    assert not any(found[way] for found in (few, few_back) for way in ("to_device", "to_host"))
