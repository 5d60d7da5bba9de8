"""Every operation of the table: values against NumPy, gradients against central differences, to second order."""

import math

import numpy as np
import pytest
from op_samples import COMPOSED, MEANING, SAMPLES, call

from minigrad import Tensor, Value, grad, gradcheck, ops
from minigrad.op import registry

TABLE = sorted({name for name, op in registry.items() if op.forward.__module__ == "minigrad.ops"} | COMPOSED)
ALL = [
    pytest.param(name, *sample, id=f"{name}-{k}") for name in TABLE for k, sample in enumerate(SAMPLES.get(name, ()))
]
SILENT = {
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "sign",
    "argmax",
}  # no gradient by nature


@pytest.mark.parametrize("name", TABLE)
def test_every_operation_has_samples_and_a_meaning(name):
    assert SAMPLES.get(name), f"{name} has no samples in tests/op_samples.py"
    assert name in MEANING, f"{name} has no independent meaning in tests/op_samples.py"


def outputs(y):
    return y if isinstance(y, tuple) else (y,)


@pytest.mark.parametrize(("name", "operands", "static"), ALL)
def test_values(name, operands, static):
    expected = MEANING[name](*operands, **static)
    expected = expected if isinstance(expected, list) else [expected]
    for kind in (lambda x: x, Tensor):  # raw arrays, and Tensors
        found = outputs(call(name)(*map(kind, operands), **static))
        assert len(found) == len(expected)
        for y, right in zip(found, expected, strict=True):
            assert isinstance(y, Tensor) == (kind is Tensor)
            y = getattr(y, "data", y) if kind is Tensor else y
            assert y.shape == np.shape(right) and y.dtype == np.asarray(right).dtype
            np.testing.assert_allclose(y, right, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("name", "operands", "static"), [p for p in ALL if p.values[0] not in SILENT])
def test_gradients_to_second_order(name, operands, static):
    floats = [k for k, x in enumerate(operands) if x.dtype.kind == "f"]

    def function(*xs):
        full = list(operands)
        for k, x in zip(floats, xs, strict=True):
            full[k] = x
        return call(name)(*full, **static)

    gradcheck(function, [operands[k] for k in floats], order=2)
    for alone in floats if len(floats) > 1 else ():  # one operand needs a gradient, the others are arrays
        full = list(operands)

        def function_of_one(x, full=full, alone=alone):
            full[alone] = x
            return call(name)(*full, **static)

        gradcheck(function_of_one, [operands[alone]])


@pytest.mark.parametrize(("name", "operands", "static"), ALL)
def test_float32_in_float32_out(name, operands, static):
    if name == "astype":
        return
    xs = [Tensor(x.astype("float32"), requires_grad=True) if x.dtype.kind == "f" else x for x in operands]
    ys = outputs(call(name)(*xs, **static))
    for y in ys:
        assert y.dtype == {"sign": np.float32, "argmax": np.int64}.get(name, bool if name in SILENT else np.float32)
        assert y.requires_grad == (name not in SILENT)
    if name in SILENT or not ys:
        return
    sum((y * np.float64(0.3)).sum() for y in ys).backward()
    for x in xs:
        if isinstance(x, Tensor):
            assert type(x.grad) is np.ndarray and x.grad.dtype == np.float32 and x.grad.shape == x.shape


@pytest.mark.parametrize(("name", "operands", "static"), ALL)
def test_integers_alone_give_integers_or_the_default_float(name, operands, static):
    whole = [(np.abs(x).astype(int) % 3 + (name in ("div", "log", "sqrt"))) for x in operands]
    if name in ("cross_entropy", "gather", "embedding"):
        whole = [x if x.dtype.kind in "iu" else y for x, y in zip(operands, whole, strict=True)]
    for y in outputs(call(name)(*map(Tensor, whole), **static)):
        assert y.dtype in (np.int64, np.bool_, np.float32) or name == "astype"


SCALAR = {
    "neg": [-1.3, 0.0], "exp": [-1.3, 0.0, 2.0], "log": [0.3, 2.0], "sqrt": [0.3, 2.0], "tanh": [-0.7, 0.0, 3.0],
    "sigmoid": [-0.7, 0.0, 3.0], "relu": [-0.7, 1.2], "sin": [0.4], "cos": [0.4], "abs": [-0.7, 1.2], "sign": [-2.0, 3],
    "expm1": [-1.3, 0.0, 2.0], "log1p": [0.3, 2.0], "softplus": [-0.7, 0.0, 3.0],
}  # fmt: skip
PAIRS = [(1.3, -0.4), (0.7, 2.0), (2.0, 3.0), (0.5, 0.51)]


def derivative(f, x, eps=1e-5):
    return (f(x + eps) - f(x - eps)) / (2 * eps)


@pytest.mark.parametrize("name", sorted(n for n in TABLE if n in SCALAR))
def test_a_value_follows_the_same_rules(name):
    for x in SCALAR[name]:
        node = Value(x)
        y = getattr(ops, name)(node)
        assert math.isclose(y.data, float(MEANING[name](x)), abs_tol=1e-15)
        if name in SILENT:
            assert not y.requires_grad
            continue
        first = grad(y, node, create_graph=True)
        assert math.isclose(first.data, derivative(lambda v: float(MEANING[name](v)), x), rel_tol=1e-6, abs_tol=1e-8)
        if first.requires_grad:
            second = grad(first, node).data
            slope = derivative(lambda v: grad(getattr(ops, name)(w := Value(v)), w).data, x)
            assert math.isclose(second, slope, rel_tol=1e-6, abs_tol=1e-8)
        y = getattr(ops, name)(node)
        y.backward()
        assert type(node.grad) is float and node.grad == first.data


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow", "maximum", "minimum"])
@pytest.mark.parametrize("pair", PAIRS)
def test_a_value_follows_the_same_rules_with_two_operands(name, pair):
    f, meaning = getattr(ops, name), MEANING[name]
    nodes = [Value(x) for x in pair]
    first = grad(f(*nodes), nodes, create_graph=True)
    for k in range(2):

        def moved(v, k=k):
            return [*pair[:k], v, *pair[k + 1 :]]

        assert math.isclose(
            first[k].data, derivative(lambda v: meaning(*moved(v)), pair[k]), rel_tol=1e-6, abs_tol=1e-8
        )
        if not first[k].requires_grad:
            continue
        second = grad(first[k], nodes, retain_graph=True)
        for j in range(2):

            def slope(v, j=j, k=k):
                xs = [Value(x) for x in (*pair[:j], v, *pair[j + 1 :])]
                return grad(f(*xs), xs[k]).data

            found = 0.0 if second[j] is None else second[j].data
            assert math.isclose(found, derivative(slope, pair[j]), rel_tol=1e-5, abs_tol=1e-7)


def test_powers_at_the_edges():
    for base, exponent, by_base, by_exponent in [(0.0, 2.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0), (0.0, 1.0, 1.0, 0.0)]:
        for kind in (Value, lambda x: Tensor(x, requires_grad=True)):
            a, b = kind(base), kind(exponent)
            (a**b).backward()
            assert a.grad == by_base and b.grad == by_exponent
    x = Tensor([-2.0, 0.0, 3.0], requires_grad=True)
    (x**2).sum().backward()  # no logarithm of a negative base: the exponent needs no gradient
    assert x.grad.tolist() == [-4.0, 0.0, 6.0]


def test_sigmoid_and_softmax_do_not_overflow():
    y = ops.sigmoid(Tensor([-1e4, 0.0, 1e4]))
    assert y.data[0] < 1e-38 and y.data[1:].tolist() == [0.5, 1.0]
    x = Tensor([[1e4, 0.0], [-1e4, -1e4]], requires_grad=True)
    y = ops.softmax(x)
    assert y.data.tolist() == [[1.0, 0.0], [0.5, 0.5]]
    loss = ops.cross_entropy(x, [1, 0])
    assert loss.item() == pytest.approx((1e4 + math.log(2)) / 2)
    loss.backward()
    np.testing.assert_allclose(x.grad, [[0.5, -0.5], [-0.25, 0.25]])


def test_a_sequence_of_one_and_the_parts_of_an_unstacked_array():
    x = Tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    first, _, last = ops.unstack(x)
    (first * 2 + last).sum().backward()  # the middle part is not used
    assert x.grad.tolist() == [[2, 2], [0, 0], [1, 1]]
    assert ops.stack([x[0]]).shape == (1, 2) and ops.concatenate([x]).shape == (3, 2)
    assert ops.unstack(Tensor(np.zeros((0, 2)))) == ()


def test_a_part_of_a_split_that_is_not_used_has_gradient_0():
    x = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    first, _, last = ops.split(x, 3, axis=1)
    (first * first * last).sum().backward()
    assert x.grad.tolist() == [[0, 0, 0], [2 * 3 * 5, 0, 9]]
    assert gradcheck(lambda v: ops.split(v, [1, 2], axis=1)[2] ** 3, [x], order=2)


# --- kinks and edges -------------------------------------------------------------------------------------------------


def gradient(f, *arrays, seed=None):
    xs = [Tensor(np.array(x, float), requires_grad=True) for x in arrays]
    f(*xs).backward(seed)
    return [x.grad.tolist() for x in xs]


def test_ties_share_the_cotangent():
    for f in (ops.maximum, ops.minimum):
        assert gradient(f, [1.0, 2.0], [1.0, 2.0], seed=[4.0, 6.0]) == [[2, 3], [2, 3]]
        a, b = Value(3.0), Value(3.0)
        f(a, b).backward()
        assert a.grad == b.grad == 0.5
    assert gradient(lambda x: ops.maximum(x, 0.0), [-1.0, 0.0, 1.0], seed=np.ones(3)) == [[0, 0.5, 1]]
    assert gradient(lambda x: x.max(), [[3.0, 1.0], [3.0, 3.0]], seed=6.0) == [[[2, 0], [2, 2]]]
    assert gradient(lambda x: x.min(axis=1), [[1.0, 1.0], [2.0, 3.0]], seed=[4.0, 6.0]) == [[[2, 2], [6, 0]]]


def test_the_edges_of_clip_pass_the_cotangent():
    assert gradient(lambda x: x.clip(0, 1), [-0.5, 0.0, 0.5, 1.0, 1.5], seed=np.ones(5)) == [[0, 1, 1, 1, 0]]
    for number, right in [(-0.5, 0), (0.0, 1), (0.5, 1), (1.0, 1), (1.5, 0)]:
        v = Value(number)
        ops.clip(v, min=0, max=1).backward()
        assert v.grad == right


def test_the_deviation_of_equal_entries_has_derivative_0():
    assert gradient(lambda x: x.std(axis=1), [[2.0, 2.0], [0.0, 2.0]], seed=[1.0, 1.0]) == [[[0, 0], [-0.5, 0.5]]]
    assert gradient(lambda x: x.std(), 5.0) == [0]


def test_a_selection_stops_an_infinite_cotangent_where_it_does_not_pass():
    inf = np.inf
    assert gradient(ops.relu, [-1.0, 0.0, 1.0], seed=[inf, inf, inf]) == [[0, 0, inf]]
    assert gradient(lambda x: x.clip(0, 1), [-1.0, 0.5], seed=[inf, inf]) == [[0, inf]]
    assert gradient(ops.maximum, [1.0, 0.0], [0.0, 1.0], seed=[inf, inf]) == [[inf, 0], [0, inf]]
    assert gradient(lambda x: x.max(), [1.0, 2.0], seed=inf) == [[0, inf]]
    assert gradient(lambda a, b: ops.where([True, False], a, b), [1.0, 2.0], [3.0, 4.0], seed=[inf, inf]) == [
        [inf, 0],
        [0, inf],
    ]
    v = Value(0.0)
    ops.relu(v).backward(inf)
    assert v.grad == 0


def test_where_keeps_what_was_not_chosen_out_of_the_gradient():
    x = Tensor([0.0, 4.0], requires_grad=True)
    safe = ops.where(x > 0, x, 1.0)  # the way around an infinite derivative on the side that is not taken
    ops.where(x > 0, ops.sqrt(safe), 0.0).sum().backward()
    assert x.grad.tolist() == [0, 0.25]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logits_of_ten_thousand(dtype):
    logits = np.array([[1e4, 0.0, -1e4], [-1e4, -1e4 + 1, -1e4]], dtype)
    shares = np.exp([0.0, 1.0, 0.0]) / np.exp([0.0, 1.0, 0.0]).sum()
    x = Tensor(logits, requires_grad=True)
    for y, right in [
        (ops.softmax(x), [[1, 0, 0], shares]),
        (ops.log_softmax(x), [[0, -1e4, -2e4], np.log(shares)]),
        (ops.logsumexp(x, axis=1), [1e4, -1e4 - np.log(shares[0])]),
        (ops.cross_entropy(x, [1, 0]), (1e4 - np.log(shares[0])) / 2),
        (ops.softplus(x), np.logaddexp(0, logits)),
        (ops.binary_cross_entropy_with_logits(x, np.ones((2, 3))), np.mean([0, math.log(2), *[1e4] * 3, 1e4 - 1])),
        (ops.binary_cross_entropy_with_logits(x, np.zeros((2, 3))), (1e4 + math.log(2)) / 6),
        (ops.sigmoid(x), [[1, 0.5, 0], [0, 0, 0]]),
    ]:
        np.testing.assert_allclose(y.data, right, rtol=1e-6, atol=1e-30)
        x.grad = None
        y.backward(np.ones(y.shape))
        assert np.isfinite(x.grad).all() and x.grad.dtype == dtype


def test_small_losses_and_probabilities_keep_their_digits():
    tail = Tensor(np.array([-20.0, -50.0, -80.0], "float32"), requires_grad=True)
    right = np.exp(tail.data.astype(float))
    for f in (ops.sigmoid, ops.softplus):
        tail.grad = None
        y = f(tail)
        y.sum().backward()
        np.testing.assert_allclose(y.data, right, rtol=1e-5)
        np.testing.assert_allclose(tail.grad, right, rtol=1e-5)
    assert ops.binary_cross_entropy_with_logits(Tensor([20.0, -20.0]), [1, 0]).item() == pytest.approx(np.exp(-20.0))
    assert ops.cross_entropy(Tensor([[1e4, 1e4 - 8]]), [0]).item() == pytest.approx(np.log1p(np.exp(-8.0)), rel=1e-3)
    np.testing.assert_allclose(ops.log1p(Tensor([1e-8])).data, 1e-8, rtol=1e-6)
    np.testing.assert_allclose(ops.expm1(Tensor([1e-8])).data, 1e-8, rtol=1e-6)
    assert ops.sigmoid(Value(-700.0)).data == pytest.approx(math.exp(-700.0))
    assert ops.sigmoid(Value(-1e4)).data < 1e-300 and ops.softplus(Value(1e4)).data == 1e4


def test_nan_is_not_hidden():
    for f in (
        ops.relu,
        ops.sigmoid,
        ops.softplus,
        ops.logsumexp,
        ops.max,
        ops.min,
        lambda x: ops.clip(x, min=0, max=1),
    ):
        assert np.isnan(f(Tensor([np.nan, np.nan])).data).all()
    for f in (ops.maximum, ops.minimum):
        for a, b in ((np.nan, 1.0), (1.0, np.nan)):
            assert np.isnan(f(Tensor(a), b).data) and math.isnan(f(Value(a), b).data)


def test_where_on_values():
    a, b = Value(2.0), Value(3.0)
    y = ops.where(a > b, a, b * b)
    y.backward()
    assert y.data == 9 and a.grad == 0 and b.grad == 6
