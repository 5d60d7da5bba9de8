"""A fused operation: its joint rule first, its reference for higher derivatives."""

import numpy as np
import pytest

from minigrad import Tensor, grad, gradcheck, tanh
from minigrad.op import op, registry


def composed(x, w):
    y = tanh(x * w)
    return y, (y * w).sum(axis=0)


def joint(gs, outputs, saved, operands, needs):
    (x, w), y = operands, saved
    g, h = (np.zeros_like(out) if g is None else g for g, out in zip(gs, outputs, strict=True))
    inner = (g + h * w) * (1 - y * y)
    return inner * w, (inner * x).sum(axis=0) + h * y.sum(axis=0)


@pytest.fixture
def fused():
    @op(joint=joint, reference=composed)
    def fused_example(x, w):
        y = np.tanh(x * w)
        return (y, (y * w).sum(axis=0)), y

    yield fused_example
    del registry["fused_example"]


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return rng.standard_normal((4, 3)), rng.standard_normal(3)


def test_values_and_first_and_second_derivatives(fused, arrays):
    assert gradcheck(fused, arrays, order=2)


@pytest.mark.parametrize("k", [0, 1])
def test_one_output_alone(fused, arrays, k):
    assert gradcheck(lambda x, w: fused(x, w)[k], arrays, order=2)


def test_a_parent_that_depends_on_another_is_not_gone_through_twice(fused, arrays):
    assert gradcheck(lambda x, w: fused(x * w, w), arrays, order=2)
    assert gradcheck(lambda x, w: fused(fused(x, w)[0], w * w), arrays, order=2)


def test_mixed_derivatives_reach_an_older_parent(fused, arrays):
    w, x = (Tensor(a, requires_grad=True) for a in reversed(arrays))  # w is older than x

    def mixed(f):
        y, z = f(x, w)
        dx = grad((y * y).sum() + (z * z).sum(), x, create_graph=True)
        return grad((dx * dx).sum(), w).data

    assert np.allclose(mixed(fused), mixed(composed), rtol=1e-12)
