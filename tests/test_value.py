"""Value: micrograd's expressions unchanged, and stated behaviour at the edges."""

import math

import numpy as np
import pytest

from minigrad import Tensor, Value, exp, log, sqrt
from minigrad.errors import DomainError, DTypeError, GraphError


def test_the_expression_of_micrograds_readme():
    a = Value(-4.0)
    b = Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    assert f"{g.data:.4f}" == "24.7041"
    g.backward()
    assert f"{a.grad:.4f}" == "138.8338"
    assert f"{b.grad:.4f}" == "645.5773"


def test_plain_numbers_on_either_side():
    x = Value(3.0)
    for y, right in [(2 - x, -1), (x - 2, 1), (6 / x, 2), (x / 6, 0.5), (2**x, 8), (x**2, 9), (-x, -3), (abs(-x), 3)]:
        assert type(y.data) is float and y.data == right
    for number in (2, 2.0, True, np.float64(2), np.float32(2), np.int64(2), np.array(2.0)):
        assert type((x * number).data) is float and type((number * x).data) is float
        assert isinstance(number * x, Value)
    assert sum([x, x]).data == 6


@pytest.mark.parametrize("data", ["1", None, 1j, [1.0], np.ones(1), np.ones(2), Tensor(1.0), Value(1.0)])
def test_a_value_holds_one_number(data):
    with pytest.raises(DTypeError, match="Value holds one number"):
        Value(data)


@pytest.mark.parametrize("data", [1, True, 2.5, np.float32(1), np.int64(3), math.inf])
def test_every_real_number_becomes_a_float(data):
    assert type(Value(data).data) is float and Value(data).data == data


ARRAY, TENSOR = np.array([1.0, 2.0]), Tensor([1.0, 2.0])


@pytest.mark.parametrize(
    "call",
    [
        lambda v: v * ARRAY, lambda v: ARRAY * v, lambda v: v + TENSOR, lambda v: TENSOR + v, lambda v: v ** ARRAY,
        lambda v: ARRAY ** v, lambda v: v - ARRAY, lambda v: v < TENSOR,
        lambda v: TENSOR.sum() * v, lambda v: v * TENSOR.sum(), lambda v: v == ARRAY, lambda v: v * "2",
        lambda v: v + None, lambda v: v * [1.0], lambda v: Tensor([v]), lambda v: Tensor(np.array([v], object)),
        lambda v: TENSOR * np.array([v, v], object), lambda v: v * 1j,
    ],
)  # fmt: skip
def test_values_do_not_mix_with_arrays(call):
    with pytest.raises(DTypeError):
        call(Value(2.0))


def test_numpy_functions_refuse_a_value():
    for call in (lambda v: np.exp(v), lambda v: np.add(ARRAY, v), lambda v: np.multiply(v, 2.0)):
        with pytest.raises(TypeError, match="Value"):
            call(Value(2.0))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: exp(Value(1000.0)), "exp(1000): the result is too large"),
        (lambda: Value(10.0) ** 400, "pow(10, 400): the result is too large"),
        (lambda: log(Value(0.0)), "log(0): not defined"),
        (lambda: log(Value(-1.0)), "log(-1): not defined"),
        (lambda: sqrt(Value(-1.0)), "sqrt(-1): not defined"),
        (lambda: Value(0.0) ** -1, "pow(0, -1): not defined"),
        (lambda: Value(-8.0) ** (1 / 3), "not defined for a real number"),
        (lambda: Value(1.0) / 0, "div(1, 0): not defined"),
        (lambda: sqrt(Value(0.0)).backward(), "backward of sqrt(0): not defined"),
        (lambda: ((-2.0) ** Value(2.0)).backward(), "backward of pow(-2, 2): not defined"),
    ],
)
def test_the_edges_are_typed_errors(call, words):
    for kind in (DomainError, ArithmeticError, ValueError):
        with pytest.raises(kind) as error:
            call()
        assert words in str(error.value)


def test_sums_and_products_overflow_as_pythons_do():
    assert (Value(1e308) * 10).data == math.inf and (Value(1e308) + 1e308).data == math.inf
    assert math.isnan((Value(math.inf) - math.inf).data)


def test_a_negative_base_has_whole_powers():
    x = Value(-2.0)
    y = x**3
    y.backward()
    assert y.data == -8 and x.grad == 12


def test_comparisons_are_pythons_booleans():
    x, y = Value(1.0), Value(2.0)
    assert (x < y) is True and (x >= y) is False and (x == 1) is True and (x != y) is True and 0 < x <= 1
    assert len({x, Value(1.0)}) == 2
    assert max([x, y]) is y and bool(x) and not Value(0.0)


def test_gradients_are_floats_and_add_up():
    x = Value(3.0)
    assert x.grad is None
    (x * x).backward()
    assert type(x.grad) is float and x.grad == 6
    (x * x).backward(0.5)
    assert x.grad == 9
    constant = Value(1.0, requires_grad=False)
    (x * constant).backward()
    assert constant.grad is None
    with pytest.raises(GraphError, match="depends on nothing"):
        (constant * 2).backward()
    assert not x.detach().requires_grad and x.item() == 3.0


def test_repr_and_format():
    assert repr(Value(2.5)) == "Value(2.5)" and f"{Value(2.5):.2f}" == "2.50"
