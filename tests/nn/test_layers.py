"""Embedding, Dropout, Sequential and the losses as modules."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, gradcheck, nn, ops
from minigrad.errors import DTypeError, OptionError, OutOfRangeError, ShapeError

# --- Embedding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "indices", [2, [0, 4, 4], np.array([[0, 1], [3, 0]]), Tensor(np.array([1])), np.zeros((0, 2), int)]
)
def test_embedding_returns_rows(indices):
    layer = nn.Embedding(5, 3, rng=0)
    plain = np.array(indices.data if isinstance(indices, Tensor) else indices)
    y = layer(indices)
    assert y.shape == (*plain.shape, 3) and y.dtype == np.float32
    np.testing.assert_array_equal(y.data, layer.weight.data[plain])
    seed = np.random.default_rng(1).standard_normal(y.shape).astype("float32")
    y.backward(seed)
    right = np.zeros((5, 3))
    np.add.at(right, plain, seed)
    np.testing.assert_allclose(layer.weight.grad, right, rtol=1e-6)


def test_embedding_draws_from_its_generator():
    a, b = nn.Embedding(200, 50, rng=3), nn.Embedding(200, 50, rng=np.random.default_rng(3), dtype="float64")
    np.testing.assert_array_equal(a.weight.data, b.weight.data.astype("float32"))
    assert b.weight.dtype == np.float64 and b.weight.data.var() == pytest.approx(1, rel=0.05)
    assert not np.array_equal(nn.Embedding(2, 2).weight.data, nn.Embedding(2, 2).weight.data)


def test_embedding_refuses():
    layer = nn.Embedding(5, 3)
    for bad in (5, [0, -1], np.array([[7]])):
        with pytest.raises(OutOfRangeError, match=r"embedding: .* lie in 0 to 4"):
            layer(bad)
    for bad in ([0.5], np.ones(2), np.array([True])):
        with pytest.raises(DTypeError, match="embedding: indices are integers"):
            layer(bad)
    for sizes in ((0, 3), (3, 0)):
        with pytest.raises(OptionError, match="Embedding: sizes are at least 1"):
            nn.Embedding(*sizes)


# --- Dropout ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(p):
    layer, x = nn.Dropout(p, rng=0), np.full((400, 500), 2.0, "float32")
    y = layer(x).data
    assert y.dtype == np.float32
    np.testing.assert_allclose(np.unique(y), [0, 2 / (1 - p)], rtol=1e-6)
    assert (y == 0).mean() == pytest.approx(p, abs=0.005) and y.mean() == pytest.approx(2, rel=0.02)
    rows, columns = (y == 0).mean(axis=0), (y == 0).mean(axis=1)
    assert rows.std() < 0.03 and columns.std() < 0.03  # entry by entry, not whole rows
    assert not np.array_equal(layer(x).data, y)


def test_dropout_has_the_gradient_of_its_mask():
    x = Tensor(np.ones((3, 4)), requires_grad=True)
    y = nn.Dropout(0.5, rng=0)(x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, y.data)
    gradcheck(lambda x: nn.Dropout(0.3, rng=1)(x * x), [np.arange(1.0, 5.0)], order=2)


def test_dropout_sees_the_same_mask_in_every_dtype():
    x = np.ones((5, 5))
    narrow, wide = (nn.Dropout(0.4, rng=2)(x.astype(dtype)).data for dtype in ("float32", "float64"))
    np.testing.assert_array_equal(narrow == 0, wide == 0)
    assert wide.dtype == np.float64 and wide.max() == 1 / (1 - 0.4)


def test_after_eval_the_input_passes_and_nothing_is_drawn():
    layer, x = nn.Dropout(0.5, rng=0), Tensor(np.ones(5))
    before = layer.rng_state()
    assert layer.eval() is layer and layer(x) is x and layer.rng_state() == before
    assert nn.Dropout(0.0)(x) is x
    assert layer.train()(x) is not x and layer.rng_state() != before


def test_dropout_refuses():
    for p in (-0.1, 1, 1.5, np.nan):
        with pytest.raises(OptionError, match=r"Dropout: p must be at least 0 and below 1, not") as error:
            nn.Dropout(p)
        assert repr(p) in str(error.value)
    for layer in (nn.Dropout(), nn.Dropout().eval()):
        with pytest.raises(DTypeError, match="Dropout: the input is int64"):
            layer(np.arange(3))


# --- Sequential ------------------------------------------------------------------------------------------------------


def test_sequential_passes_on():
    first, last = nn.Linear(3, 4, rng=0), nn.Linear(4, 2, rng=1)
    net, x = nn.Sequential(first, mg.tanh, last), np.ones((5, 3), "float32")
    np.testing.assert_array_equal(net(x).data, last(ops.tanh(first(x))).data)
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]  # as PyTorch names them
    assert len(net) == 3 and net[0] is first and net[-1] is last and list(net)[1] is mg.tanh
    net.eval()
    assert len(net) == 3 and nn.Sequential()(x) is x


def test_sequential_refuses():
    with pytest.raises(DTypeError, match="Sequential: layer 1 is a str"):
        nn.Sequential(mg.tanh, "relu")
    with pytest.raises(DTypeError, match=r"Linear: the input is a tuple; a recurrent layer returns \(output, h_n\)"):
        nn.Sequential(nn.RNN(3, 4), nn.Linear(4, 2))(np.ones((5, 3), "float32"))


# --- losses ----------------------------------------------------------------------------------------------------------


def test_losses_are_those_of_the_table():
    rng = np.random.default_rng(0)
    logits, classes, target = rng.standard_normal((4, 3)), np.array([0, 2, 1, 1]), rng.random((4, 3))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    s = 1 / (1 + np.exp(-logits))
    for loss, given, right in (
        (nn.CrossEntropyLoss(), classes, -np.log(p[range(4), classes]).mean()),
        (nn.MSELoss(), target, ((logits - target) ** 2).mean()),
        (nn.BCEWithLogitsLoss(), target, -(target * np.log(s) + (1 - target) * np.log(1 - s)).mean()),
    ):
        value = loss(Tensor(logits), given)
        assert value.shape == () and value.item() == pytest.approx(right, rel=1e-12)
        gradcheck(lambda x, loss=loss, given=given: loss(x, given), [logits])
        with pytest.raises(ShapeError, match=r"\(4, 3\)"):
            loss(Tensor(logits), given[:3])
        assert not list(loss.parameters())
