"""gradcheck catches each way in which a rule can be wrong."""

import numpy as np
import pytest

from minigrad import Tensor, gradcheck, ops
from minigrad.errors import GradcheckError
from minigrad.graph import Node
from minigrad.op import op, registry


@pytest.fixture
def declare():
    before = dict(registry)
    yield op
    registry.clear()
    registry.update(before)


X = np.random.default_rng(3).standard_normal((3, 3))


def test_right_rules_pass():
    assert gradcheck(lambda x: ops.tanh(x) * x, [X], order=3)
    assert gradcheck(lambda x, y: (x @ y, x * 2), [X, X.T], order=2)
    assert gradcheck(lambda x: x * 2.5, [Tensor(1.5)]) and gradcheck(lambda x: x * 2, [3], order=2)
    assert gradcheck(lambda x: ops.sign(x), [X], order=2)  # constant
    assert gradcheck(lambda x: (), [X], order=2)
    assert gradcheck(lambda x, unused: ops.exp(x), [X, X], order=2)


@pytest.mark.parametrize(
    ("name", "forward", "rule"),
    [
        ("factor", lambda x: x * x, lambda g, y, x: g * x),
        ("sign", lambda x: -x, lambda g, y, x: g),
        ("permutation", lambda x: x[::-1].copy(), lambda g, y, x: g),  # passes with a cotangent of all ones
        ("transposed", lambda x: x @ X, lambda g, y, x: g @ X),
        ("nothing", lambda x: x * 2, lambda g, y, x: g * 0),
        ("not a number", lambda x: x * 2, lambda g, y, x: g * np.nan),
        ("slightly off", lambda x: x * 2, lambda g, y, x: g * 2.001),
    ],
)
def test_wrong_rules_fail(declare, name, forward, rule):
    wrong = declare(rule)(forward)
    with pytest.raises(GradcheckError, match=r"input 0 at \(\d, \d\): the rules give .* central differences"):
        gradcheck(lambda x: wrong(x), [X])


def test_a_wrong_second_operand_is_named(declare):
    wrong = declare(lambda g, y, a, b: g, lambda g, y, a, b: 2 * g)(lambda a, b: a + b)
    with pytest.raises(GradcheckError, match="input 1"):
        gradcheck(wrong, [X, X])


def test_a_wrong_second_derivative_alone_fails_at_order_two(declare):
    @declare(lambda g, y, x: g * 2 * (x.detach() if isinstance(x, Node) else x))
    def square(x):
        return x * x

    assert gradcheck(square, [X])
    with pytest.raises(GradcheckError):
        gradcheck(square, [X], order=2)


def test_a_nan_in_the_function_fails(declare):
    @declare(lambda g, y, x: g)
    def broken(x):
        return x * np.nan

    with pytest.raises(GradcheckError):
        gradcheck(broken, [X])


def test_inputs_are_not_changed():
    x = X.copy()
    leaf = Tensor(x, requires_grad=True)
    gradcheck(lambda x: x * x, [leaf], order=2)
    assert leaf.grad is None and np.array_equal(leaf.data, X)
