"""What a mistake is answered with: the type, and the words that name the operation, the shapes, the remedy."""

import inspect

import numpy as np
import pytest

from minigrad import Tensor, Value, errors, grad, nn, ops, optim
from minigrad.errors import DeviceError, DomainError, DTypeError, GraphError, OutOfRangeError, ShapeError

x = Tensor(np.ones((2, 3), "float32"), requires_grad=True)
v, ints = Value(2.0), Tensor(np.arange(3))

TABLE = [
    (lambda: ops.sum([1.0, 2.0]), DTypeError, ["sum", "takes Tensors, arrays and numbers"]),
    # shapes
    (lambda: x + np.ones(4), ShapeError, ["add", "(2, 3)", "(4,)", "broadcast"]),
    (lambda: x @ x, ShapeError, ["matmul", "(2, 3), (2, 3)"]),
    (lambda: x @ 2, ShapeError, ["matmul", "(2, 3), ()"]),
    (lambda: x.reshape(4, 2), ShapeError, ["reshape", "(2, 3)", "(4, 2)"]),
    (lambda: x.sum(axis=2), ShapeError, ["sum", "(2, 3)", "axis=2", "out of bounds"]),
    (lambda: x.mean(axis=(0, 0)), ShapeError, ["mean", "axis=(0, 0)", "duplicate"]),
    (lambda: Tensor(np.ones((0, 3))).mean(), ShapeError, ["mean", "(0, 3)", "nothing to average"]),
    (lambda: x.transpose(0, 0), ShapeError, ["transpose", "(2, 3)", "axes=(0, 0)"]),
    (lambda: ops.broadcast_to(x, shape=(3, 2)), ShapeError, ["broadcast_to", "(2, 3)", "shape=(3, 2)"]),
    (lambda: ops.concatenate([x, np.ones((2, 2))]), ShapeError, ["concatenate of shapes (2, 3), (2, 2)", "axis=0"]),
    (lambda: ops.concatenate([x, x], axis=None), DTypeError, ["concatenate of shapes (2, 3), (2, 3)", "integer"]),
    (lambda: ops.stack([x, np.ones(3)]), ShapeError, ["stack of shapes (2, 3), (3,)", "same shape"]),
    (lambda: ops.unstack(x, axis=5), ShapeError, ["unstack", "(2, 3)", "axis=5"]),
    (lambda: ops.softmax(Tensor(np.ones((2, 0)))), ShapeError, ["softmax", "(2, 0)"]),
    (lambda: x[5], OutOfRangeError, ["getitem", "(2, 3)", "index=5", "out of bounds"]),
    (lambda: x[0, 0, 0], OutOfRangeError, ["getitem", "(2, 3)", "too many indices"]),
    (lambda: x[0.5], OutOfRangeError, ["getitem", "index=0.5", "integers"]),
    (lambda: ops.cross_entropy(x, [0, 1, 2]), ShapeError, ["cross_entropy", "(2, 3)", "(2,)", "(3,)"]),
    (lambda: ops.cross_entropy(x, [0, 3]), ShapeError, ["cross_entropy", "[0, 3]", "classes 0 to 2"]),
    (lambda: ops.cross_entropy(x, [-1, 2]), ShapeError, ["cross_entropy", "[-1, 2]"]),
    (lambda: ops.cross_entropy(x, [0.0, 1.0]), DTypeError, ["cross_entropy", "integers", "cast"]),
    (lambda: ops.mse_loss(x, np.ones(3)), ShapeError, ["mse_loss", "(2, 3)", "(3,)"]),
    (lambda: ops.mse_loss(x, 0.0), ShapeError, ["mse_loss", "(2, 3)", "()"]),
    (lambda: ops.swapaxes(x, axis1=0, axis2=2), ShapeError, ["swapaxes", "(2, 3)", "axis2=2", "out of bounds"]),
    (lambda: ops.moveaxis(x, source=0, destination=5), ShapeError, ["moveaxis", "(2, 3)", "destination=5"]),
    (lambda: ops.moveaxis(x, source=(0, 1), destination=0), ShapeError, ["moveaxis", "same number"]),
    (lambda: x.squeeze(axis=0), ShapeError, ["squeeze", "(2, 3)", "axis=0", "not equal to one"]),
    (lambda: ops.expand_dims(x, axis=4), ShapeError, ["expand_dims", "(2, 3)", "axis=4"]),
    (lambda: ops.flip(x, axis=2), ShapeError, ["flip", "(2, 3)", "axis=2"]),
    (lambda: ops.split(x, 2, axis=1), ShapeError, ["split", "(2, 3)", "equal division"]),
    (lambda: ops.split(x, 2, axis=2), ShapeError, ["split", "(2, 3)", "axis=2"]),
    (lambda: ops.pad(x, pad_width=-1), ShapeError, ["pad", "(2, 3)", "negative"]),
    (lambda: ops.pad(x, pad_width=((1, 1), (1, 1), (1, 1))), ShapeError, ["pad", "(2, 3)", "broadcast"]),
    (lambda: x.var(axis=2), ShapeError, ["mean", "(2, 3)", "axis=2"]),
    (lambda: x.var(axis=0, ddof=2), ShapeError, ["var", "2 entries", "ddof=2"]),
    (lambda: x.std(axis=0, ddof=2), ShapeError, ["std", "2 entries", "ddof=2"]),
    (lambda: Tensor(np.ones((0, 3))).std(), ShapeError, ["std", "(0, 3)", "nothing to average"]),
    (lambda: Tensor(np.ones((0, 3))).max(axis=0), ShapeError, ["max", "(0, 3)", "axis=0", "zero-size"]),
    (lambda: Tensor(np.ones(0)).min(), ShapeError, ["min", "(0,)", "zero-size"]),
    (lambda: Tensor(np.ones((2, 0))).argmax(axis=1), ShapeError, ["argmax", "(2, 0)", "empty"]),
    (lambda: x.cumsum(axis=2), ShapeError, ["cumsum", "(2, 3)", "axis=2"]),
    (lambda: ops.logsumexp(x, axis=2), ShapeError, ["logsumexp", "(2, 3)", "axis=2"]),
    (lambda: ops.log_softmax(x, axis=2), ShapeError, ["log_softmax", "(2, 3)", "axis=2"]),
    (lambda: ops.maximum(x, np.ones(4)), ShapeError, ["maximum", "(2, 3)", "(4,)"]),
    (lambda: ops.where(x > 0, x, np.ones(4)), ShapeError, ["where", "(2, 3), (2, 3), (4,)"]),
    (lambda: x.clip(np.ones(4)), ShapeError, ["clip", "(2, 3)", "min="]),
    (
        lambda: ops.binary_cross_entropy_with_logits(x, [1, 0]),
        ShapeError,
        ["cross_entropy_with_logits", "(2, 3)", "(2,)"],
    ),
    (lambda: x.item(), ShapeError, ["item", "(2, 3)"]),
    (lambda: bool(x > 0), ShapeError, ["6 entries", ".any()", ".all()"]),
    (lambda: iter(x.sum()), DTypeError, ["0-d", ".item()"]),
    # types
    (lambda: Tensor(ints, requires_grad=True), DTypeError, ["int64", "cast", ".astype"]),
    (lambda: Tensor("text"), DTypeError, ["floats, integers or booleans"]),
    (lambda: Tensor([[1], [1, 2]]), DTypeError, ["cannot make an array", "list"]),
    (lambda: x + None, DTypeError, ["object"]),
    (lambda: -(x > 0), DTypeError, ["neg", "(2, 3)"]),
    (lambda: x + v, DTypeError, ["add", "Tensor", "Value"]),
    (lambda: v + x, DTypeError, ["add", "Value", "Tensor", ".item()"]),
    (lambda: v * np.ones(2), DTypeError, ["mul", "Value", "ndarray", "Make both Tensors"]),
    (lambda: ops.matmul(v, v), DTypeError, ["matmul(2, 2)", "Tensors"]),
    (lambda: ops.stack([v, v]), DTypeError, ["Values", "Tensors"]),
    (lambda: ops.unstack(v), DTypeError, ["unstack", "Tensors"]),
    (lambda: Value("1"), DTypeError, ["one number", "str"]),
    (lambda: x.clip(x, 1), DTypeError, ["clip", "maximum and minimum"]),
    (lambda: ops.cumsum(v), DTypeError, ["cumsum", "Tensors"]),
    (lambda: ops.embedding([0.5], x), DTypeError, ["embedding", "float64", "cast"]),
    (lambda: np.dot(x, 2.0), DTypeError, ["np.dot", "(2, 3), ()", "@"]),
    (lambda: np.pad(x, 1, mode="edge"), DTypeError, ["np.pad", "'edge'", "constant"]),
    (lambda: np.max(x, initial=0), DTypeError, ["np.max", "initial", "takes"]),
    (lambda: np.where(x > 0), DTypeError, ["np.where", "condition, a, b"]),
    (lambda: ops.exp([1.0]), DTypeError, ["list", "Tensor"]),
    (lambda: ops.exp(x, x), DTypeError, ["exp", "positional"]),
    (lambda: np.fmax(x, 0), DTypeError, ["np.fmax", "there are", "add", ".detach().numpy()"]),
    (lambda: np.median(x), DTypeError, ["np.median", "there are", "concatenate"]),
    (lambda: np.add(x, x, out=np.ones(1)), DTypeError, ["np.add", "out=", "plain call"]),
    (lambda: np.add.reduce(x), DTypeError, ["np.add", "reduce"]),
    # scalars
    (lambda: ops.log(Value(0.0)), DomainError, ["log(0)"]),
    (lambda: ops.exp(Value(1e4)), DomainError, ["exp(10000)", "too large"]),
    (lambda: v / 0, DomainError, ["div(2, 0)"]),
    # the graph
    (lambda: (x * 2).backward(), GraphError, ["(2, 3)", "seed", ".sum()"]),
    (lambda: (x * 2).backward(np.ones(2)), ShapeError, ["(2,)", "(2, 3)"]),
    (lambda: ints.sum().backward(), GraphError, ["depends on nothing"]),
    (lambda: Value(1.0, requires_grad=False).backward(), GraphError, ["depends on nothing"]),
    (lambda: grad(x.sum(), ints), GraphError, ["does not require a gradient"]),
    (lambda: x.numpy(), GraphError, [".detach().numpy()"]),
    (lambda: x.__setitem__(0, 1.0), GraphError, ["concatenate", "stack"]),
    (lambda: (x * 2).requires_grad_(), GraphError, ["detach()"]),
    (lambda: x.to("gpu"), DeviceError, ["'gpu'", "'cpu'", "'cuda'", "'cuda:1'"]),
    # layers and optimisers
    (lambda: nn.Linear(4, 2)(x), ShapeError, ["Linear", "(2, 3)", "4"]),
    (lambda: nn.Linear(3, 2, dtype="float64")(x), DTypeError, ["float32", "float64", ".astype"]),
    (lambda: nn.RNN(4, 2)(x), ShapeError, ["RNN", "(2, 3)", "4"]),
    (lambda: nn.RNN(3, 2)(x, np.ones((2, 2), "float32")), ShapeError, ["RNN", "h_0", "(2, 2)", "(1, 2)"]),
    (lambda: optim.SGD([x * 2], lr=0.1), GraphError, ["parameter 0", "leaf"]),
]


@pytest.mark.parametrize(("call", "kind", "words"), TABLE, ids=lambda row: row[0] if isinstance(row, list) else "")
def test_a_mistake_is_answered(call, kind, words):
    with pytest.raises(kind) as error:
        call()
    for word in words:
        assert word in str(error.value), str(error.value)


def test_every_error_is_also_the_built_in_one_that_a_caller_would_expect():
    for name, kind in inspect.getmembers(errors, inspect.isclass):
        assert issubclass(kind, errors.MinigradError), name
        if kind is not errors.MinigradError:
            assert len(kind.__mro__) > 4 and kind.__doc__


def test_the_cause_is_kept():
    with pytest.raises(ShapeError) as error:
        x @ x
    assert isinstance(error.value.__cause__, ValueError)
