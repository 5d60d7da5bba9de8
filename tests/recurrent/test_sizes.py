"""Compiled kernels at every size: composed = compiled around the widths of vectors and tiles, however it is shared."""

import itertools

import numpy as np
import pytest
from cases import SPECS, Case

from minigrad import Tensor, grad, nn, set_kernels, set_num_threads
from minigrad.recurrent.elman import elman_sequence

CELLS = ["tanh", "sigmoid", "relu", "GRU", *SPECS]
UNITS, INPUTS = (1, 7, 15, 16, 17, 31, 33, 63, 64, 65, 70, 130), (1, 3, 16, 17, 65)
BATCHES, STEPS = (1, 2, 3, 4, 5, 6, 7, 8, 13), (1, 2, 9, 130)  # 130 is more than one CHUNK


def sampled():
    """Every number of units with every fifth cell and every cell with two sizes, the rest drawn; then the corners."""
    rng = np.random.default_rng(11)
    for k, (H, cell) in enumerate(itertools.product(UNITS, CELLS)):
        if k % 5 == k // len(CELLS) % 5:
            T = STEPS[rng.integers(4)] if H < 64 else STEPS[rng.integers(3)]
            drawn = rng.choice(["whole", "late", "lengths"]), T, int(rng.choice(BATCHES)), int(rng.choice(INPUTS))
            yield cell, rng.choice(["bias", "no bias"]), *drawn, H, rng.choice(["given", "zeros"]), "both"
    for k, sizes in enumerate([(1, 1, 1, 1), (130, 1, 1, 130), (130, 13, 65, 1), (1, 13, 65, 130), (129, 2, 17, 17)]):
        for cell in ("tanh", "GRU", "vanilla"):
            T, B, I, H = sizes  # noqa: E741
            yield cell, "bias", ("whole", "late")[(k + len(cell)) % 2], T, B, I, H, "given", "both"


def case_of(row, dtype):
    *first, H, states, loss = row
    spec = SPECS.get(first[0])
    return Case(*first, max(1, H // spec.block_size) if spec else H, states, loss, "wide", dtype)


def flat(found):
    return [*found[0], *found[1]]


def assert_close(mine, right, tolerance):
    """The largest error, measured by the largest number."""
    for a, b in zip(mine, right, strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= tolerance * max(1e-3, np.abs(b).max())


@pytest.mark.parametrize("row", list(sampled()), ids=lambda row: "-".join(map(str, row)))
def test_compiled_is_composed_at_every_size(on_numba, row):
    double = case_of(row, "float64")
    right = flat(double.gradients(double.composed))
    assert_close(flat(double.gradients(double.fused)), right, 1e-12)
    single = case_of(row, "float32")
    found = flat(single.gradients(single.fused))
    assert {a.dtype for a in found} == {np.dtype("float32")}
    assert_close(found, right, 1e-4)


SHARED = [
    ("tanh", "bias", "late", 9, 5, 17, 70, "given", "both"),
    ("relu", "bias", "whole", 5, 2, 3, 130, "given", "both"),
    ("GRU", "bias", "late", 9, 3, 17, 130, "given", "both"),
    ("GRU", "no bias", "whole", 131, 8, 3, 31, "zeros", "both"),
    ("vanilla", "bias", "late", 9, 4, 65, 70, "given", "both"),
    ("CIFG", "bias", "whole", 4, 13, 17, 33, "given", "both"),
    ("coupled blocks", "bias", "late", 5, 3, 17, 66, "given", "both"),
    ("peephole", "bias", "whole", 5, 1, 17, 65, "given", "both"),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("row", SHARED, ids=lambda row: "-".join(map(str, row)))
def test_the_same_bits_however_the_work_is_shared(on_numba, share_all, monkeypatch, row, dtype):
    from minigrad.recurrent.kernels import panels

    case = case_of(row, dtype)
    counts, real, right = [], share_all.together, None
    monkeypatch.setattr(share_all, "together", lambda parts, *f, **k: counts.append(parts) or real(parts, *f, **k))
    for few, count in itertools.product((0, 100), (1, 2, 3, 7)):  # sequences shared, then units
        monkeypatch.setattr(panels, "FEW", few)
        monkeypatch.setattr(panels, "MANY", 1)
        set_num_threads(count)
        found = flat(case.gradients(case.fused))
        right = right or found
        assert all(a.tobytes() == b.tobytes() for a, b in zip(found, right, strict=True)), (few, count)
    assert set(counts) == {1, 2, 3, 7}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("row", [*SHARED, *list(sampled())[::4]], ids=lambda row: "-".join(map(str, row)))
def test_nothing_is_written_outside_and_nothing_unwritten_is_read(on_numba, share_all, monkeypatch, row, count):
    from minigrad.recurrent.kernels import panels

    lent = []

    def room(*shape, dtype):
        """Memory full of NaN between two margins."""
        size = int(np.prod(shape))
        memory = np.full(size + 2048, np.nan, dtype)
        start = 1024 - memory.ctypes.data % 64 // dtype.itemsize
        lent.append((memory, start, start + size))
        return memory[start : start + size]

    monkeypatch.setattr(panels, "room", room)
    set_num_threads(count)
    case = case_of(row, "float32")
    found = flat(case.gradients(case.fused))
    assert len(lent) > 5 and all(np.isfinite(a).all() for a in found)
    for memory, start, end in lent:
        assert np.isnan(memory[:start]).all() and np.isnan(memory[end:]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", ["tanh", "relu", "GRU", "NP", "vanilla", "CIFG", "blocks", "2000", "bare"])
def test_stacked_layers_in_both_directions_with_lengths(on_numba, share_all, cell, dtype):
    kind, special = (
        (nn.LSTM, {"spec": SPECS[cell]})
        if cell in SPECS
        else (nn.GRU, {})
        if cell == "GRU"
        else (nn.RNN, {"nonlinearity": cell})
    )
    rng, H = np.random.default_rng(8), 18
    net = kind(5, H, num_layers=2, bidirectional=True, rng=5, dtype=dtype, **special)
    x = Tensor(rng.standard_normal((11, 6, 5)).astype(dtype), requires_grad=True)
    states = [Tensor(rng.standard_normal((4, 6, H)).astype(dtype), requires_grad=True) for _ in net.states]
    found = []
    for name in ("numpy", "numba"):
        set_kernels(name)
        output, last = net(x, tuple(states) if len(states) > 1 else states[0], lengths=[11, 1, 7, 10, 2, 11])
        ys = [output, *(last if isinstance(last, tuple) else [last])]
        total = sum((y * y).sum() for y in ys)
        found.append([y.data for y in ys] + [g.data for g in grad(total, [x, *states, *net.parameters()])])
    assert_close(found[1], found[0], 1e-12 if dtype == "float64" else 2e-5)


@pytest.mark.parametrize("name", ["x", "h", "W", "R", "b", "mask"])
@pytest.mark.parametrize("form", ["read-only", "columns first", "every second", "backwards", "between registers"])
def test_operands_of_any_layout(on_numba, name, form):
    rng = np.random.default_rng(2)
    given = {
        key: rng.standard_normal(shape)
        for key, shape in zip("xhWRb", [(4, 3, 5), (3, 9), (9, 5), (9, 9), (9,)], strict=True)
    }
    given["mask"] = np.arange(4)[:, None, None] < np.array([4, 2, 3])[:, None]

    def run(given):
        leaves = [Tensor(given[key], requires_grad=True) for key in "xhWRb"]
        for leaf, key in zip(leaves, "xhWRb", strict=True):
            leaf.data = given[key]
        output, last = elman_sequence(*leaves, mask=given["mask"])
        return [output.data, last.data, *(g.data for g in grad((output * output).sum() + last.sum(), leaves))]

    right, a = run(given), given[name]
    if form == "read-only":
        a = a.copy()
        a.flags.writeable = False
    elif form == "columns first":
        a = np.asfortranarray(a)
    elif form == "every second":
        a = np.repeat(a, 2, axis=-1)[..., ::2]
    elif form == "backwards":
        a = a[::-1].copy()[::-1]
    else:
        memory = np.zeros(a.nbytes + 8, np.uint8)
        shifted = memory[4 : 4 + a.nbytes].view(a.dtype).reshape(a.shape)
        shifted[...] = a
        a = shifted
    for mine, wanted in zip(run(given | {name: a}), right, strict=True):
        np.testing.assert_array_equal(mine, wanted)
