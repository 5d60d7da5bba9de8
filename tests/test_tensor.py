"""Tensor: what a constructor keeps, which dtype meets which, NumPy's functions, copies."""

import copy
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest

import minigrad
from minigrad import Tensor, Value, get_default_dtype, ops, set_default_dtype
from minigrad.errors import DeviceError, DTypeError, GraphError, ShapeError
from minigrad.nn import Parameter


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
    for call in (lambda: x.to("cuda"), lambda: Tensor([1.0], device="gpu")):
        with pytest.raises(DeviceError, match="not available"):
            call()


# --- which dtype meets which -----------------------------------------------------------------------------------------

f32, f64 = Tensor(np.ones(2, "float32"), requires_grad=True), Tensor(np.ones(2), requires_grad=True)
ints, flags = Tensor(np.array([1, 2])), Tensor(np.array([True, True]))


@pytest.mark.parametrize("weak", [2, 2.5, True, np.float64(2.5), np.float32(2), np.int64(2), np.bool_(1), [1.5, 2.5]])
def test_numbers_numpy_scalars_and_lists_are_weak(weak):
    for x in (f32, f64):
        for y in (x * weak, weak * x, x - weak, x**weak, np.add(weak, x), x.sum() * weak):
            assert y.dtype == x.dtype
        (x * weak).sum().backward()
        assert x.grad.dtype == x.dtype
    assert ops.add(f64, [0.1, 0.2]).data.tolist() == [1.1, 1.2]  # at full precision


@pytest.mark.parametrize("whole", [ints, flags, np.array([1, 2]), np.array([1, 3], "uint8")])
def test_an_integer_operand_takes_the_dtype_of_the_float(whole):
    for x in (f32, f64):
        for f in (ops.add, ops.mul, ops.div, lambda a, b: ops.concatenate([a, b]), lambda a, b: ops.stack([b, a])):
            assert f(x, whole).dtype == x.dtype
            assert f(whole, x).dtype == x.dtype
        assert (x @ whole).dtype == x.dtype and ops.mse_loss(x, whole).dtype == x.dtype


def test_two_float_widths_meet_in_the_wider_and_each_gradient_keeps_its_own():
    x, y = Tensor(f32.data, requires_grad=True), Tensor(f64.data, requires_grad=True)
    z = x * y
    assert z.dtype == np.float64
    z.sum().backward()
    assert x.grad.dtype == np.float32 and y.grad.dtype == np.float64


@pytest.mark.parametrize("default", ["float32", "float64"])
def test_integers_alone_become_the_default_float_where_a_float_is_due(default, default_float64):
    set_default_dtype(default)
    for y in (ints / 2, ints * 2.5, ops.exp(ints), ints.mean(), flags.mean(), flags * 0.5, ops.sqrt(ints), 1 / ints):
        assert y.dtype == default
    assert ops.softmax(ints).dtype == default and ops.mse_loss(ints, ints).dtype == default
    for y in (ints * 2, ints + flags, ints.sum(), flags.sum(), -ints, ints @ ints, ints[0], ints**2):
        assert y.dtype == np.int64
    assert ints.astype("float64").dtype == np.float64 and Tensor(np.ones(2)).astype("float64").dtype == np.float64


def test_astype_carries_the_gradient_between_floats_and_ends_at_integers():
    x = Tensor([1.5, 2.5], requires_grad=True)
    y = x.astype("float64") * 2
    assert y.dtype == np.float64
    y.sum().backward()
    assert x.grad.dtype == np.float32 and x.grad.tolist() == [2, 2]
    assert x.astype(int).data.tolist() == [1, 2] and not x.astype(int).requires_grad


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
    with pytest.raises(ShapeError, match="0-d"):
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


def test_no_warning_where_nothing_is_wrong():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = Tensor(np.array([-2.0, 0.0, 2.0]), requires_grad=True)
        (ops.relu(x) + ops.abs(x) + x**2 + x**3 + ops.sigmoid(x * 1e4) + ops.tanh(x * 1e4)).sum().backward()
        assert np.isfinite(x.grad).all()
