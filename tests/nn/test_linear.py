"""Linear and Module: shapes, gradients, weights by name."""

import copy
import pickle

import numpy as np
import pytest

from minigrad import Tensor, gradcheck
from minigrad.errors import DTypeError, MinigradError, ShapeError
from minigrad.nn import RNN, Linear, Module, Parameter


class Net(Module):
    def __init__(self):
        self.first = Linear(3, 4, rng=0)
        self.rest = [Linear(4, 2, rng=1), Linear(2, 1, bias=False, rng=2)]
        self.scale = Parameter([1.0])
        self.size = 3


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 5, 3), (0, 3)])
def test_shapes_and_values(shape):
    layer, x = Linear(3, 4, rng=0), np.random.default_rng(1).standard_normal(shape).astype("float32")
    right = x @ layer.weight.data.T + layer.bias.data
    for given in (x, Tensor(x), x.tolist()) if x.size else (x,):
        y = layer(given)
        assert y.shape == (*shape[:-1], 4) and y.dtype == np.float32
        np.testing.assert_allclose(y.data, right, rtol=1e-5, atol=1e-6)
    assert Linear(3, 4, bias=False, rng=0).bias is None


def test_gradients():
    layer, x = Linear(3, 2, rng=0, dtype="float64"), np.random.default_rng(1).standard_normal((4, 3))

    def function(x, weight, bias):
        vars(layer).update(weight=weight, bias=bias)
        return layer(x)

    gradcheck(function, [x, layer.weight, layer.bias], order=2)


def test_weights_are_drawn_from_the_generator():
    for dtype in ("float32", "float64"):
        a, b = Linear(4, 3, rng=5, dtype=dtype), Linear(4, 3, rng=np.random.default_rng(5), dtype=dtype)
        for p, q in zip(a.parameters(), b.parameters(), strict=True):
            assert p.dtype == dtype and np.array_equal(p.data, q.data) and np.abs(p.data).max() <= 0.5
    assert not np.array_equal(Linear(4, 3).weight.data, Linear(4, 3).weight.data)  # fresh entropy
    wide = Linear(100, 1000, rng=0).weight.data
    assert abs(wide.std() - 0.1 / np.sqrt(3)) < 1e-3  # of U[-0.1, 0.1]


@pytest.mark.parametrize("shape", [(), (4,), (3, 4)])
def test_an_input_that_does_not_fit(shape):
    with pytest.raises(ShapeError) as error:
        Linear(3, 2)(Tensor(np.ones(shape, "float32")))
    assert str(shape) in str(error.value) and "must be 3" in str(error.value)


@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_two_widths_meeting_in_a_layer(dtype):
    with pytest.raises(DTypeError, match=rf"Linear: the input is {dtype}, the weights are float32; cast"):
        Linear(3, 2)(Tensor(np.ones(3, dtype)))


def test_sizes_are_at_least_one():
    for sizes in ((0, 1), (1, 0), (-1, 2)):
        with pytest.raises(ValueError, match="at least 1"):
            Linear(*sizes)


def test_parameters_are_found_by_name_in_lists_too():
    names = ["first.weight", "first.bias", "rest.0.weight", "rest.0.bias", "rest.1.weight", "scale"]
    net = Net()
    assert [name for name, _ in net.named_parameters()] == names == list(net.state_dict())
    assert all(isinstance(p, Parameter) and p.requires_grad for p in net.parameters())
    net.scale.grad = np.ones(1)
    net.zero_grad()
    assert net.scale.grad is None


def test_state_goes_out_and_in():
    a, b = Net(), Net()
    b.scale.data = np.array([5.0], "float32")
    state = a.state_dict()
    b.load_state_dict(state)
    assert b.scale.data == 1.0 and not np.shares_memory(b.scale.data, state["scale"])
    a.scale.data = a.scale.data + 1  # training goes on: the snapshot stays
    assert state["scale"] == 1.0
    b.load_state_dict({name: x.astype("float64") for name, x in state.items()})
    assert b.scale.dtype == np.float32
    b.load_state_dict(dict(a.named_parameters()))  # Tensors will do
    assert b.scale.data == 2.0


def test_a_state_that_does_not_fit_is_named_and_changes_nothing():
    net = Net()
    before = {name: x.copy() for name, x in net.state_dict().items()}
    state = {name: x + 1 for name, x in before.items()}
    del state["scale"]
    state["extra"] = np.ones(1)
    state["first.bias"] = np.ones((2, 2))
    with pytest.raises(ShapeError) as error:
        net.load_state_dict(state)
    for words in ("missing scale", "unexpected extra", "first.bias has shape (2, 2), not (4,)"):
        assert words in str(error.value)
    for name, x in net.state_dict().items():
        np.testing.assert_array_equal(x, before[name])
    bad = {**before, "scale": np.array(["a"])}
    with pytest.raises(MinigradError):
        net.load_state_dict(bad)
    for name, x in net.state_dict().items():
        np.testing.assert_array_equal(x, before[name])


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copied_module_is_its_own(duplicate):
    net = RNN(2, 3, rng=0)
    twin = duplicate(net)
    x = Tensor(np.ones((4, 2), "float32"))
    np.testing.assert_array_equal(twin(x)[0].data, net(x)[0].data)
    twin(x)[0].sum().backward()
    assert net.weight_ih_l0.grad is None and twin.weight_ih_l0.grad is not None


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError):
        Module()(1)
