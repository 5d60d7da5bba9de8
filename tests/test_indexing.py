"""Indexing: every kind against NumPy, its gradient against counting, to second order; embedding and gather."""

import numpy as np
import pytest

from minigrad import Tensor, embedding, gather, grad, gradcheck, ops
from minigrad.errors import DTypeError, OutOfRangeError, ShapeError

SHAPE = (4, 3, 2)
rng = np.random.default_rng(3)
mask = rng.random(SHAPE) > 0.5

INDICES = {
    "integer": 1,
    "negative integer": -1,
    "NumPy's integer": np.int64(2),
    "three integers": (1, -2, 0),
    "slice": slice(1, 3),
    "step": slice(None, None, 2),
    "backwards": slice(None, None, -1),
    "past the end": slice(2, 99),
    "empty slice": slice(3, 1),
    "ellipsis": ...,
    "ellipsis in front": (..., 1),
    "ellipsis between": (0, ..., slice(None, None, -1)),
    "newaxis": None,
    "newaxis between": (slice(None), None, 1),
    "no index": (),
    "boolean mask": mask,
    "mask of the first axis": mask[:, 0, 0],
    "mask of two axes": mask[..., 0],
    "list of booleans": [True, False, True, True],
    "mask after a slice": (slice(None), [True, False, True]),
    "mask with an integer": (mask[:, 0, 0], 2),
    "True": True,
    "False": False,
    "array": np.array([2, 0, 3]),
    "array with repeats": np.array([1, 1, 3, 1]),
    "array of negatives": np.array([-1, 3, -4, 0]),
    "matrix of indices": np.array([[0, 1], [1, 1]]),
    "0-d array": np.array(2),
    "bytes": np.array([3, 3, 0], "uint8"),
    "list": [0, 0, 2],
    "empty list": [],
    "empty array": np.zeros((2, 0), int),
    "1-tuple of an array": (np.array([1, 1, -3]),),
    "two arrays": ([0, 1, 1], [2, 2, 2]),
    "arrays that broadcast": (np.array([[0], [3], [3]]), np.array([0, 0])),
    "arrays around a slice": ([0, 1, 1], slice(None), [1, 0, 0]),
    "array after a slice": (slice(1, 3), [2, 2, 0]),
    "array after an ellipsis": (..., [1, 1, 0]),
    "array and integer": ([2, 2, 1], 0),
    "array, newaxis, slice": ([1, 1], None, slice(0, 2)),
    "array and mask": ([1, 0], [True, False, True]),
    "Tensor": Tensor(np.array([3, 3, 1])),
    "Tensor mask": Tensor(mask),
    "Tensor in a tuple": (slice(None), Tensor(np.array([2, 2]))),
}


def plain(index):
    """The same index without Tensors."""
    if isinstance(index, tuple):
        return tuple(map(plain, index))
    return index.data if isinstance(index, Tensor) else index


def counted(positions, g, shape):
    """The gradient of reading `positions`, one entry at a time."""
    total = np.zeros(shape)
    for at, entry in zip(np.ravel(positions), np.ravel(g), strict=True):
        total.flat[at] += entry
    return total


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES.keys())
def test_every_kind_of_index(index):
    array = rng.standard_normal(SHAPE)
    x = Tensor(array, requires_grad=True)
    right = array[plain(index)] if not isinstance(index, list) or index else array[np.array(index, int)]
    y = x[index]
    assert y.shape == right.shape and np.array_equal(y.data, right)
    g = rng.standard_normal(y.shape)
    (y * g).sum().backward()
    positions = np.arange(array.size).reshape(SHAPE)[plain(index)]
    np.testing.assert_allclose(x.grad, counted(positions, g, SHAPE), atol=1e-15)
    assert gradcheck(lambda v: v[index] * v[index], [array[:, :, :]], order=2)


@pytest.mark.parametrize("index", [[1, 1, 3], (slice(None), 1), mask, ([0, 0], [1, 1]), np.array([2, 2])], ids=str)
def test_float32_stays_and_several_reads_share_one_buffer(index):
    x = Tensor(np.ones(SHAPE, "float32"), requires_grad=True)
    (x[index].sum() + 2 * x[index].sum() + x.sum()).backward()
    right = counted(np.arange(24).reshape(SHAPE)[index], np.full_like(x.data[index], 3), SHAPE) + 1
    assert x.grad.dtype == np.float32 and np.array_equal(x.grad, right)


def test_an_index_is_captured_when_it_is_used():
    x, index = Tensor(np.arange(4.0), requires_grad=True), np.array([0, 0])
    for read in (lambda i: x[i], lambda i: gather(x, i), lambda i: embedding(i, x.reshape(4, 1))):
        x.grad, index[:] = None, 0
        y = read(index)
        index[:] = 3
        y.sum().backward()
        assert x.grad.tolist() == [2, 0, 0, 0]


def test_third_derivative_through_repeated_reads():
    x = Tensor(np.array([2.0, 3.0]), requires_grad=True)
    y = (x[[0, 0, 1]] ** 4).sum()
    for power in (8 * 2.0**3, 24 * 2.0**2, 48 * 2.0):
        (g,) = grad(y, [x], create_graph=True)
        assert g.data[0] == pytest.approx(power)
        y = g[0]


# --- embedding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 64, 5000])
@pytest.mark.parametrize("shape", [(800,), (20, 40), (), (1,), (0,), (3, 0)])
@pytest.mark.parametrize("kind", ["int64", "uint8", "int32", "uint64"])
def test_embedding_and_its_gradient(rows, shape, kind):
    indices = rng.integers(0, min(rows, 256), shape).astype(kind)
    weight = Tensor(rng.standard_normal((rows, 3)), requires_grad=True)
    y = embedding(indices, weight)
    assert np.array_equal(y.data, weight.data[indices])
    g = rng.standard_normal(y.shape)
    y.backward(g)
    right = np.zeros((rows, 3))
    np.add.at(right, indices.astype(int), g)
    np.testing.assert_allclose(weight.grad, right, rtol=1e-12, atol=1e-12)


def test_embedding_twice_and_to_second_order():
    weight = rng.standard_normal((5, 2))
    assert gradcheck(lambda w: embedding([1, 1, 4], w) * embedding([[0, 1, 4]], w) ** 2, [weight], order=2)
    assert gradcheck(lambda v: gather(v, [[1, 1], [0, 1], [0, 0], [1, 0], [1, 1]], 1) ** 3, [weight], order=2)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda w: embedding([0, 7, 3, 7, 9], w), OutOfRangeError, ["embedding", "[7, 9]", "0 to 3"]),
        (lambda w: embedding([-1], w), OutOfRangeError, ["embedding", "[-1]", "0 to 3"]),
        (lambda w: embedding([0.0, 1.0], w), DTypeError, ["embedding", "float64", "cast"]),
        (lambda w: embedding(Tensor([0, 1]), w), DTypeError, ["embedding", "float32", "cast"]),
        (lambda w: embedding([True], w), DTypeError, ["embedding", "bool", "cast"]),
        (lambda w: embedding([0], w[0]), ShapeError, ["embedding", "(3,)", "two axes"]),
        (lambda w: gather(w, [[3]], 1), OutOfRangeError, ["gather", "[3]", "-3 to 2"]),
        (lambda w: gather(w, [[-4]], 1), OutOfRangeError, ["gather", "[-4]", "-3 to 2"]),
        (lambda w: gather(w, [0], 1), ShapeError, ["gather", "(4, 3)", "(1,)"]),
        (lambda w: gather(w, [[0]], 2), ShapeError, ["gather", "(4, 3)", "no axis 2"]),
        (lambda w: gather(w, [[0], [1]], 1), ShapeError, ["(4, 3)", "broadcast"]),
        (lambda w: w[[0, 4]], OutOfRangeError, ["getitem", "(4, 3)", "index 4", "size 4"]),
        (lambda w: w[[True, False]], OutOfRangeError, ["getitem", "(4, 3)", "boolean"]),
        (lambda w: w[0, 1, 2], OutOfRangeError, ["getitem", "(4, 3)", "too many"]),
        (lambda w: w["a"], OutOfRangeError, ["getitem", "index='a'"]),
    ],
)
def test_an_index_out_of_range_is_named(call, kind, words):
    with pytest.raises(kind) as error:
        call(Tensor(np.ones((4, 3)), requires_grad=True))
    for word in words:
        assert word in str(error.value), str(error.value)


def test_a_sequence_read_by_steps_equals_one_read_as_a_whole():
    array = rng.standard_normal((6, 2))
    x, z = Tensor(array, requires_grad=True), Tensor(array, requires_grad=True)
    ops.stack([x[t] * t for t in np.arange(6)]).sum().backward()
    ops.stack([row * t for t, row in enumerate(z)]).sum().backward()
    assert np.array_equal(x.grad, z.grad)
