"""Which dtype comes out: one table, for values and gradients."""

import numpy as np
import pytest
from op_samples import COMPOSED, SAMPLES, call

from minigrad import Tensor, get_default_dtype, ops, set_default_dtype
from minigrad.errors import DTypeError
from minigrad.op import registry


@pytest.fixture(autouse=True)
def default_float32():
    yield
    set_default_dtype("float32")


f32, f64 = Tensor(np.full(2, 0.5, "float32")), Tensor(np.full(2, 0.5))
ints, bytes_, flags = Tensor(np.array([1, 2])), Tensor(np.array([1, 2], "uint8")), Tensor(np.array([True, True]))

TABLE = [
    # a constructor: arrays keep theirs, lists and numbers take the default
    *[(f"Tensor(array of {name})", lambda _, name=name: Tensor(np.ones(2, name)), name) for name in
      ("float32", "float64", "int64", "uint8", "bool")],
    ("Tensor(list of floats)", lambda _: Tensor([0.5]), "default"),
    ("Tensor(list of integers)", lambda _: Tensor([1, 2]), "default"),
    ("Tensor(number)", lambda _: Tensor(1), "default"),
    ("Tensor(NumPy scalar)", lambda _: Tensor(np.float64(1)), "float64"),
    ("Tensor(list, dtype)", lambda _: Tensor([1, 2], dtype="int64"), "int64"),
    ("Tensor(array, dtype)", lambda _: Tensor(np.ones(2), dtype="float32"), "float32"),
    # numbers, NumPy's scalars and lists are weak
    *[(f"x + {weak!r}", lambda x, weak=weak: x + weak, "x") for weak in (2, 2.5, True, [1.5, 2.5], np.float64(2.5),
                                                                         np.float32(2), np.int64(2), np.bool_(1))],
    ("number / x", lambda x: 2.5 / x, "x"),
    ("np.float64 * x", lambda x: np.float64(2.5) * x, "x"),
    ("x ** number", lambda x: x**2, "x"),
    ("np.maximum(x, number)", lambda x: np.maximum(x, 0.25), "x"),
    ("np.where(flags, x, number)", lambda x: np.where(flags, x, 0.0), "x"),
    ("np.where(flags, number, x)", lambda x: np.where(flags, 1, x), "x"),
    ("clip by numbers", lambda x: x.clip(0.1, 1), "x"),
    ("clip by NumPy's scalars", lambda x: x.clip(np.float64(0.1), np.int64(1)), "x"),
    ("clip by an array", lambda x: x.clip(np.array([0.1, 0.7])), "x"),
    ("a 0-d result * np.float64", lambda x: x.sum() * np.float64(0.5), "x"),
    # an integer operand takes the dtype of the float, on either side
    *[(f"{f.op.name} with {name}", lambda x, f=f, whole=whole: f(x, whole), "x")
      for f in (ops.add, ops.mul, ops.div, ops.maximum, ops.matmul, ops.mse_loss, ops.binary_cross_entropy_with_logits)
      for name, whole in (("integers", ints), ("bytes", bytes_), ("flags", flags), ("an integer array", ints.data))],
    ("integers - x", lambda x: ints - x, "x"),
    ("flags @ x", lambda x: flags @ x, "x"),
    ("concatenate with integers", lambda x: ops.concatenate([ints, x, flags]), "x"),
    ("stack with integers", lambda x: ops.stack([bytes_, x]), "x"),
    ("cross entropy", lambda x: ops.cross_entropy(x, 1), "x"),
    # two float widths meet in the wider
    ("float32 + float64", lambda _: f32 + f64, "float64"),
    ("float32 + array of float64", lambda _: f32 + np.ones(2), "float64"),
    ("concatenate of two widths", lambda _: ops.concatenate([f32, f64]), "float64"),
    # integers and booleans among themselves: NumPy's rules, and the default where a float is due
    *[(f"{label} of {name}", lambda _, f=f, whole=whole: f(whole), "default")
      for label, f in (("half", lambda i: i / 2), ("times 0.5", lambda i: i * 0.5), ("mean", ops.mean),
                       ("var", ops.var), ("std", ops.std), ("exp", ops.exp), ("sigmoid", ops.sigmoid),
                       ("softplus", ops.softplus), ("softmax", ops.softmax),
                       ("log_softmax", ops.log_softmax),
                       ("logsumexp", ops.logsumexp), ("cross_entropy", lambda i: ops.cross_entropy(i, 1)))
      for name, whole in (("integers", ints), ("bytes", bytes_), ("flags", flags))],
    ("integers + integers", lambda _: ints + ints, "int64"),
    ("integers + number", lambda _: ints + 2, "int64"),
    ("integers + bytes", lambda _: ints + bytes_, "int64"),
    ("bytes + number", lambda _: bytes_ + 2, "uint8"),
    ("flags + flags", lambda _: flags + flags, "bool"),
    ("sum of flags", lambda _: flags.sum(), "int64"),
    ("cumsum of flags", lambda _: flags.cumsum(), "int64"),
    ("sum of integers", lambda _: ints.sum(), "int64"),
    ("integers @ integers", lambda _: ints @ ints, "int64"),
    ("relu of integers", lambda _: ops.relu(ints), "int64"),
    ("relu of bytes", lambda _: ops.relu(bytes_), "uint8"),
    ("max of bytes", lambda _: bytes_.max(), "uint8"),
    ("maximum of integers", lambda _: ops.maximum(ints, 2), "int64"),
    ("clip of integers", lambda _: ints.clip(1, 2), "int64"),
    ("where of integers", lambda _: ops.where(flags, ints, 0), "int64"),
    ("where of numbers", lambda _: ops.where(flags, 1.0, 0.0), "default"),
    ("comparison", lambda x: x > 0, "bool"),
    ("argmax", lambda x: x.argmax(), "int64"),
    ("integers indexed", lambda _: ints[0], "int64"),
    ("gather of bytes", lambda _: ops.gather(bytes_, [0, 0]), "uint8"),
    ("padded integers", lambda _: ops.pad(ints, pad_width=1), "int64"),
    # casts
    ("astype", lambda _: f32.astype("float64"), "float64"),
    ("astype of integers", lambda _: ints.astype("float32"), "float32"),
    ("astype to integers", lambda x: x.astype(int), "int64"),
]  # fmt: skip


@pytest.mark.parametrize("default", ["float32", "float64"])
@pytest.mark.parametrize("width", ["float32", "float64"])
@pytest.mark.parametrize(("call", "expected"), [pytest.param(*row[1:], id=row[0]) for row in TABLE])
def test_the_table(call, expected, width, default):
    set_default_dtype(default)
    x = Tensor(np.full(2, 0.5, width), requires_grad=True)
    y = call(x)
    assert y.dtype == {"x": width, "default": default}.get(expected, expected)
    if y.requires_grad:
        y.backward(np.ones(y.shape))  # a seed of another width
        assert x.grad.dtype == width


@pytest.mark.parametrize("name", sorted({n for n, op in registry.items() if op.forward.__module__ == "minigrad.ops"}))
def test_float32_in_means_float32_out_for_every_operation(name):
    """test_ops.py holds this for each sample; here every row of the registry is counted."""
    assert name in SAMPLES and COMPOSED <= set(SAMPLES)
    operands, static = SAMPLES[name][0]
    xs = [Tensor(x.astype("float32"), requires_grad=True) if x.dtype.kind == "f" else x for x in operands]
    static = {"dtype": np.dtype("float32")} if name == "astype" else static
    ys = call(name)(*xs, **static)
    for y in ys if isinstance(ys, tuple) else (ys,):
        assert y.dtype.kind in "bi" or y.dtype == np.float32
        if y.requires_grad:
            y.backward(np.ones(y.shape), retain_graph=True)
            assert all(x.grad is None or x.grad.dtype == np.float32 for x in xs if isinstance(x, Tensor))


def test_two_float_widths_each_keep_their_own_in_the_gradient():
    x, y = Tensor(f32.data, requires_grad=True), Tensor(f64.data, requires_grad=True)
    (x * y).sum().backward()
    assert x.grad.dtype == np.float32 and y.grad.dtype == np.float64


def test_lists_are_taken_at_full_precision():
    assert ops.add(Tensor(np.ones(2)), [0.1, 0.2]).data.tolist() == [1.1, 1.2]


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_small_integers_do_not_wrap_where_a_float_is_due(dtype):
    whole = np.array([[3, 100, 7], [0, 5, 120]], dtype)
    set_default_dtype("float64")
    for f in (ops.sigmoid, ops.softplus, ops.softmax, ops.log_softmax, ops.logsumexp, ops.var, ops.std, ops.mean):
        np.testing.assert_allclose(f(Tensor(whole)).data, f(Tensor(whole.astype(float))).data, rtol=1e-6)
    loss = ops.cross_entropy(Tensor(whole), [0, 1]).item()
    assert loss == ops.cross_entropy(Tensor(whole.astype(float)), [0, 1]).item()


def test_astype_carries_the_gradient_between_floats_and_ends_at_integers():
    x = Tensor([1.5, 2.5], requires_grad=True)
    (x.astype("float64") * 2).sum().backward()
    assert x.grad.dtype == np.float32 and x.grad.tolist() == [2, 2]
    assert x.astype(int).data.tolist() == [1, 2] and not x.astype(int).requires_grad


def test_the_default_is_settable_to_a_float_width_alone():
    set_default_dtype("float64")
    assert get_default_dtype() == np.float64
    for dtype in ("int64", "float16", bool):
        with pytest.raises(DTypeError, match="float32 or float64"):
            set_default_dtype(dtype)
