"""Tensor: what a constructor keeps, which dtype meets which, NumPy's functions, copies."""

import copy
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from op_samples import COMPOSED

import minigrad
from minigrad import Tensor, Value, get_default_dtype, ops, set_default_dtype
from minigrad.errors import DeviceError, DTypeError, GraphError, ShapeError
from minigrad.nn import Parameter
from minigrad.op import registry


@pytest.fixture
def default_float64():
    set_default_dtype("float64")
    yield
    set_default_dtype("float32")


# --- the constructor -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool"])
def test_arrays_keep_their_dtype(dtype):
    assert Tensor(np.ones(2, dtype)).dtype == dtype
    assert Tensor(Tensor(np.ones(2, dtype))).dtype == dtype


@pytest.mark.parametrize("data", [1, 2.5, True, [1, 2], [[1.0], [2.0]], [True, False], (1, 2), [], [np.float64(1)]])
def test_lists_and_numbers_take_the_default(data, default_float64):
    assert Tensor(data).dtype == np.float64 == get_default_dtype()
    set_default_dtype("float32")
    assert Tensor(data).dtype == np.float32
    assert Tensor(data, dtype="int64").dtype == np.int64
    assert Tensor(data).data.tolist() == np.array(data).tolist()


def test_the_default_is_a_float_width():
    for dtype in ("int64", "float16", bool):
        with pytest.raises(DTypeError, match="float32 or float64"):
            set_default_dtype(dtype)


def test_what_is_given_is_copied():
    array = np.ones((2, 2))
    for x in (Tensor(array), Tensor(array.T), Parameter(array), Tensor(Tensor(array))):
        assert not np.shares_memory(x.data, array)
    rows = [np.ones(2), np.ones(2)]
    x = Tensor(rows)
    rows[0][0] = array[0, 0] = 5
    assert np.all(x.data == 1)


@pytest.mark.parametrize("data", [None, "1.5", ["1", "2"], 1j, np.array([1j]), [None], [[1], [1, 2]], {}, object()])
def test_what_is_no_number_is_refused(data):
    with pytest.raises(DTypeError):
        Tensor(data)


def test_only_floats_require_a_gradient():
    for data in (np.arange(3), np.array([True])):
        with pytest.raises(DTypeError, match="cast"):
            Tensor(data, requires_grad=True)
        with pytest.raises(DTypeError, match="cast"):
            Tensor(data).requires_grad_()
    with pytest.raises(DTypeError, match="cast"):
        Parameter(np.arange(3))
    assert Tensor(np.arange(3)).astype("float32").requires_grad_().requires_grad
    x = Tensor([1.0], requires_grad=True)
    with pytest.raises(GraphError, match="detach"):
        (x * 2).requires_grad_(False)
    assert (x * 2).detach().requires_grad_().requires_grad


def test_devices():
    x = Tensor([1.0], device="cpu")
    assert x.device == "cpu" and x.to("cpu") is x
    with pytest.raises(DeviceError, match=r"'gpu'.*'cpu', 'cuda', 'cuda:0'"):
        Tensor([1.0], device="gpu")


# --- NumPy and Python around a Tensor --------------------------------------------------------------------------------


def test_numpy_functions_go_to_the_operation_of_that_meaning():
    array = np.array([[1.0, 2.0], [3.0, 4.0]])
    for function in (np.tanh, np.exp, np.log, np.sqrt, np.sin, np.cos, np.absolute, np.negative, np.sum, np.mean):
        x = Tensor(array, requires_grad=True)
        y = function(x)
        assert isinstance(y, Tensor)
        np.testing.assert_allclose(y.data, function(array))
        y.backward(np.ones(y.shape))
        assert x.grad.shape == (2, 2)
    for function in (np.add, np.subtract, np.multiply, np.divide, np.power, np.matmul):
        for a, b in ((Tensor(array, requires_grad=True), array), (array, Tensor(array, requires_grad=True))):
            y = function(a, b)
            assert isinstance(y, Tensor) and y.requires_grad
            np.testing.assert_allclose(y.data, function(array, array))
    for a in (Tensor(array), array):
        for y in (array + Tensor(array), Tensor(array) + array, np.concatenate([a, Tensor(array)]), a @ Tensor(array)):
            assert isinstance(y, Tensor) and y.dtype == np.float64
    assert np.sum(Tensor(array), axis=1, keepdims=True).shape == (2, 1)
    assert np.reshape(Tensor(array), (4,)).shape == np.broadcast_to(Tensor([1.0]), (4,)).shape == (4,)
    assert np.transpose(Tensor(array)).data.tolist() == array.T.tolist()
    assert np.stack([Tensor(array), array], axis=1).shape == (2, 2, 2)
    assert (array == Tensor(array)).data.all() and (array < Tensor(array + 1)).data.all()


NEW = np.lib.NumpyVersion(np.__version__) >= "2.1.0"  # np.clip and np.from_dlpack have taken more since
MATRIX = np.array([[1.0, 2.0, -3.0], [0.5, 4.0, 0.25]])
FUNCTIONS = {
    "max": lambda x: np.max(x, axis=1), "min": lambda x: np.min(x, 0, keepdims=True), "amax": lambda x: np.amax(x),
    "amin": lambda x: np.amin(x, axis=-1), "argmax": lambda x: np.argmax(x, axis=1),
    "var": lambda x: np.var(x, axis=0, ddof=1), "std": lambda x: np.std(x, keepdims=True),
    "cumsum": lambda x: np.cumsum(x, axis=1), "cumsum of all": lambda x: np.cumsum(x),
    "clip": lambda x: np.clip(x, 0, 1), "clip by names": lambda x: np.clip(x, a_min=0, a_max=None),
    **({"clip by new names": lambda x: np.clip(x, min=0, max=2)} if NEW else {}),
    "where": lambda x: np.where(x > 0, x, 0.5 * x),
    "maximum": lambda x: np.maximum(x, 0.75),
    "minimum": lambda x: np.minimum(0.75, x), "log1p": lambda x: np.log1p(x * x), "expm1": lambda x: np.expm1(x),
    "square": lambda x: np.square(x), "reshape": lambda x: np.reshape(x, (3, 2)), "ravel": lambda x: np.ravel(x),
    "squeeze": lambda x: np.squeeze(x[:1]), "squeeze an axis": lambda x: np.squeeze(x[:1], axis=0),
    "expand_dims": lambda x: np.expand_dims(x, (0, -1)), "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "moveaxis": lambda x: np.moveaxis(x, 0, -1), "flip": lambda x: np.flip(x, 1),
    "transpose": lambda x: np.transpose(x),
    "split": lambda x: np.split(x, 3, axis=1)[1], "pad": lambda x: np.pad(x, ((1, 0), (0, 2)), constant_values=7),
    "pad by mode": lambda x: np.pad(x, 1, mode="constant"), "stack": lambda x: np.stack([x, x], axis=-1),
    "take_along_axis": lambda x: np.take_along_axis(x, np.array([[2, 2], [0, 1]]), axis=1),
    "dot of matrices": lambda x: np.dot(x, x.T), "dot of vectors": lambda x: np.dot(x[0], x[1]),
    "dot of both": lambda x: np.dot(x, x[0]), "matmul": lambda x: np.matmul(x.T, x),
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 2, 3)), "concatenate": lambda x: np.concatenate((x, x), axis=1),
}  # fmt: skip


@pytest.mark.parametrize("call", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_what_numpy_does_to_an_array_it_does_to_a_tensor(call):
    x, right = Tensor(MATRIX, requires_grad=True), call(MATRIX)
    y = call(x)
    assert isinstance(y, Tensor) and y.shape == right.shape and y.dtype == right.dtype
    np.testing.assert_allclose(y.data, right, rtol=1e-14)
    if y.dtype == np.float64 and y.requires_grad:
        y.backward(np.ones(y.shape))
        assert x.grad.shape == MATRIX.shape


def test_shape_ndim_and_size_are_plain_numbers():
    x = Tensor(MATRIX, requires_grad=True)
    assert (np.shape(x), np.ndim(x), np.size(x), np.size(x, 1)) == ((2, 3), 2, 6, 3)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("max", {"axis": 1}), ("min", {"keepdims": True}), ("var", {"axis": 0, "ddof": 1}), ("std", {"axis": 1}),
        ("sum", {"axis": 0}), ("mean", {"keepdims": True}), ("argmax", {"axis": 0}), ("cumsum", {"axis": 1}),
        ("clip", {"min": 0, "max": 1}), ("squeeze", {}), ("ravel", {}), ("swapaxes", {"axis1": 0, "axis2": 1}),
        ("tolist", {}),
    ],
)  # fmt: skip
def test_methods_have_numpys_names_and_arguments(method, arguments):
    bare = "swapaxes" in method or not arguments
    right = getattr(MATRIX, method)(*arguments.values()) if bare else getattr(MATRIX, method)(**arguments)
    found = getattr(Tensor(MATRIX), method)(**arguments)
    np.testing.assert_allclose(found if method == "tolist" else found.data, right)


def test_another_library_takes_the_array_through_dlpack():
    for array in (np.arange(6.0).reshape(2, 3), np.arange(3), np.ones((2, 2), "float32").T, np.array(2.5)):
        x = Tensor(array)
        y = np.from_dlpack(x)
        assert y.dtype == array.dtype and np.array_equal(y, array) and np.shares_memory(y, x.data)
        assert x.__dlpack_device__() == (1, 0)  # the CPU
    if NEW:
        assert not np.shares_memory(np.from_dlpack(x, copy=True), x.data)
    with pytest.raises(GraphError, match="detach"):
        np.from_dlpack(Tensor([1.0], requires_grad=True))
    assert np.from_dlpack(Tensor([1.0], requires_grad=True).detach()).tolist() == [1]


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.add(x, x, out=np.zeros(2)), lambda x: np.add(x, 1, where=[True, False]),
        lambda x: np.add(x, 1, dtype="float64"), lambda x: np.add.reduce(x), lambda x: np.add.accumulate(x),
        lambda x: np.multiply.outer(x, x), lambda x: np.floor(x), lambda x: np.median(x), lambda x: np.linalg.norm(x),
        lambda x: np.max(x, initial=0), lambda x: np.clip(x, 0, 1, out=np.zeros(2)),
        lambda x: np.einsum("i,i", x, x), lambda x: np.sum(x, dtype="float64"), lambda x: np.pad(x, 1, "edge"),
        lambda x: np.sum(x, out=np.zeros(())), lambda x: np.reshape(x, (2, 1), order="F"),
        lambda x: np.float64(2) // x,
    ],
)  # fmt: skip
def test_what_has_no_counterpart_raises_and_says_what_there_is(call):
    with pytest.raises(DTypeError, match=r"np\.\w+ .*(supported|there are|takes).*numpy\(\)|np.pad"):
        call(Tensor([1.0, 2.0], requires_grad=True))


def test_writing_into_an_array_through_a_tensor_raises():
    array = np.ones(2)
    with pytest.raises(DTypeError, match="out="):
        array += Tensor([1.0, 2.0])
    with pytest.raises(GraphError, match="detach"):
        array[:] = Tensor([1.0, 2.0], requires_grad=True)


def test_an_object_array_never_appears():
    x = Tensor([1.0, 2.0], requires_grad=True)
    for call in (lambda: np.array([x, x]), lambda: np.asarray(x), lambda: np.array([x.sum()]), lambda: Tensor([x, x])):
        with pytest.raises(GraphError, match="detach"):
            call()
    assert np.asarray(x.detach()).dtype == np.float32
    for bad in (np.array([1j, 2]), np.array(["a", "b"]), np.array([x.sum().detach(), None], object)):
        with pytest.raises(DTypeError):
            x + bad


def test_numpy_shows_the_array_where_no_gradient_is_required():
    x = Tensor([1.0])
    assert x.numpy() is x.data
    with pytest.raises(GraphError, match="detach"):
        Tensor([1.0], requires_grad=True).numpy()


def test_a_tensor_is_not_written_into_but_names_are_rebound():
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(GraphError, match=r"not written into.*concatenate"):
        x[0] = 3.0
    loss = total = x.sum()
    loss += x.sum()
    loss *= 2
    assert total.item() == 3 and loss.item() == 12
    loss.backward()
    assert x.grad.tolist() == [4, 4]


def test_equality_is_elementwise_and_hash_is_identity():
    x, y = Tensor([1.0, 2.0]), Tensor([1.0, 3.0])
    assert (x == y).data.tolist() == [True, False] and (x != y).data.tolist() == [False, True]
    assert (x <= y).data.all() and (2 > x).data.tolist() == [True, False]
    assert len({x, y, Tensor([1.0, 2.0])}) == 3 and {x: 1}[x] == 1


def test_reductions_are_0d_tensors_and_numbers_come_out_by_item_and_float():
    x = Tensor([1.0, 2.0])
    for y in (x.sum(), x.mean(), x[0], x @ x, ops.mse_loss(x, x)):
        assert isinstance(y, Tensor) and y.shape == () and type(y.data) is np.ndarray and type(y.item()) is float
        assert float(y) == y.item()
    assert f"{x.sum():.2f} {x.sum()}" == "3.00 Tensor(3.)"
    assert bool(Tensor([1.0])) and not Tensor(0.0)
    for call in (bool, float, lambda x: x.item()):
        with pytest.raises(ShapeError):
            call(x)


def test_shape_methods():
    x = Tensor(np.arange(6.0).reshape(2, 3))
    assert x.reshape(3, 2).shape == x.reshape((3, 2)).shape == x.reshape([3, -1]).shape == x.T.shape == (3, 2)
    assert x.transpose(1, 0).shape == x.transpose((1, 0)).shape == x.transpose().shape == (3, 2)
    assert (x.ndim, x.size, len(x)) == (2, 6, 2)
    assert [row.data.tolist() for row in x] == x.data.tolist()
    with pytest.raises(DTypeError, match="0-d"):
        iter(Tensor(1.0))
    assert x[Tensor(np.array([1]))].data.tolist() == [[3, 4, 5]] and x[x > 3].data.tolist() == [4, 5]


def test_repr_shows_what_is_out_of_the_ordinary():
    assert repr(Tensor([1.0])) == "Tensor([1.])"
    assert repr(Tensor(np.ones(1), requires_grad=True)) == "Tensor([1.], dtype=float64, requires_grad=True)"


# --- copies ----------------------------------------------------------------------------------------------------------

COPIES = [copy.deepcopy, copy.copy, lambda x: pickle.loads(pickle.dumps(x))]


@pytest.mark.parametrize("duplicate", COPIES)
@pytest.mark.parametrize("kind", [Tensor, Parameter, Value])
def test_a_copied_leaf_is_a_leaf_of_its_own_with_a_new_tick(duplicate, kind):
    x = kind(2.0)
    x.requires_grad = True
    (x * 3).backward()
    y = duplicate(x)
    assert type(y) is kind and y.requires_grad and y.data == x.data and y.grad == 3
    assert y.tick > x.tick
    (y * y).backward()
    assert x.grad == 3 and y.grad == 7


def test_an_old_tick_in_a_copy_would_give_wrong_gradients():
    x = Tensor([2.0], requires_grad=True)
    pickled = pickle.dumps(x)
    _ = [Tensor([1.0]) for _ in range(10)]
    y = pickle.loads(pickled)
    (y * y + y).backward()
    assert y.grad.tolist() == [5.0]


@pytest.mark.parametrize("duplicate", COPIES)
def test_copying_inside_a_graph_is_refused(duplicate):
    for result in (Tensor([1.0], requires_grad=True) * 2, Value(1.0) * 2):
        with pytest.raises(GraphError, match="detach"):
            duplicate(result)
        assert duplicate(result.detach()).data == 2


def test_the_engine_imports_numpy_alone_and_names_what_it_exports():
    heavy = "{'cupy', 'numba', 'scipy', 'matplotlib', 'unrolled'}"
    code = f"import sys, minigrad; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
    assert sorted(minigrad.__all__) == minigrad.__all__ and all(hasattr(minigrad, name) for name in minigrad.__all__)


def test_every_operation_is_exported():
    table = {name for name, op in registry.items() if op.forward.__module__ == "minigrad.ops"} | COMPOSED
    assert table - set(minigrad.__all__) == {
        "astype",
        "to",
        "getitem",
        "scatter",
    }  # methods, an operator, its transpose
    assert all(getattr(minigrad, name) is getattr(ops, name) for name in table & set(minigrad.__all__))


def test_no_warning_where_nothing_is_wrong():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = Tensor(np.array([-2.0, 0.0, 2.0]), requires_grad=True)
        (ops.relu(x) + ops.abs(x) + x**2 + x**3 + ops.sigmoid(x * 1e4) + ops.tanh(x * 1e4)).sum().backward()
        assert np.isfinite(x.grad).all()
