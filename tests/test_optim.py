"""Optimisers and clipping against updates worked out by hand from the papers' formulas."""

import math

import numpy as np
import pytest

from minigrad import Tensor, Value, optim
from minigrad.errors import GraphError, NonFiniteError
from minigrad.nn import Linear, Parameter
from minigrad.optim import SGD, Adam, clip_grad_norm_


def param(*entries, grad=None, dtype="float64"):
    p = Parameter(np.array(entries if len(entries) > 1 else entries[0], dtype))
    p.grad = None if grad is None else np.array(grad, dtype)
    return p


def test_sgd_moves_against_the_gradient():
    p = param(1.0, -2.0, grad=[0.5, -4.0])
    SGD([p], lr=0.1).step()
    np.testing.assert_allclose(p.data, [0.95, -1.6])


def test_momentum_by_hand():
    # v1 = 1, v2 = 0.9 * 1 + 2 = 2.9, v3 = 0.9 * 2.9 - 1 = 1.61; p = 10 - 0.1 (1), - 0.1 (2.9), - 0.1 (1.61)
    p = param(10.0, grad=1.0)
    optimizer = SGD([p], lr=0.1, momentum=0.9)
    for g, right in [(1.0, 9.9), (2.0, 9.61), (-1.0, 9.449)]:
        p.grad = np.array(g)
        optimizer.step()
        assert p.data == pytest.approx(right, rel=1e-12)


def test_adam_by_hand():
    # beta1 = 0.5, beta2 = 0.75, lr = 0.1, eps = 0, gradients 2, then -4 (Algorithm 1 of Kingma & Ba):
    # t = 1: m = 0.5 * 2 = 1, v = 0.25 * 4 = 1; m^ = 1 / 0.5 = 2, v^ = 1 / 0.25 = 4; step 0.1 * 2 / 2 = 0.1
    # t = 2: m = 0.5 * 1 - 0.5 * 4 = -1.5, v = 0.75 * 1 + 0.25 * 16 = 4.75;
    #        m^ = -1.5 / 0.75 = -2, v^ = 4.75 / 0.4375 = 76/7; step 0.1 * -2 / sqrt(76/7) = -0.0606976979
    p = param(1.0)
    optimizer = Adam([p], lr=0.1, betas=(0.5, 0.75), eps=0.0)
    p.grad = np.array(2.0)
    optimizer.step()
    assert p.data == pytest.approx(0.9, rel=1e-12)
    p.grad = np.array(-4.0)
    optimizer.step()
    assert p.data == pytest.approx(0.9606976979, rel=1e-9)


def test_adams_epsilon_stands_outside_the_root():
    p = param(1.0, grad=1e-8)  # m^ = 1e-8, sqrt(v^) = 1e-8: half a step of lr with eps = 1e-8
    Adam([p], lr=0.1).step()
    assert p.data == pytest.approx(0.95, rel=1e-9)


def test_adam_counts_the_steps_of_each_parameter():
    early, late = param(1.0, grad=3.0), param(1.0)
    optimizer = Adam([early, late], lr=0.1)
    optimizer.step()
    late.grad = np.array(5.0)
    optimizer.step()
    assert late.data == pytest.approx(0.9)  # the first step of Adam is lr, whatever the scale


@pytest.mark.parametrize(
    "make",
    [
        lambda ps: SGD(ps, lr=np.float64(0.1)),
        lambda ps: SGD(ps, lr=0.1, momentum=np.float64(0.9)),
        lambda ps: Adam(ps, lr=np.float64(0.1), betas=np.array([0.9, 0.99]), eps=np.float64(1e-8)),
    ],
)
@pytest.mark.parametrize("shape", [(), (3,)])
def test_float32_stays_float32_and_nothing_is_written_into(make, shape):
    p = Parameter(np.ones(shape, "float32"))
    optimizer = make([p])
    for _ in range(3):
        data, grad = p.data, np.full(shape, 0.5, "float32")
        p.grad = grad
        kept = data.copy()
        optimizer.step()
        assert type(p.data) is np.ndarray and p.data.dtype == np.float32 and p.data.shape == shape
        assert not np.shares_memory(p.data, data) and np.array_equal(data, kept) and np.all(grad == 0.5)
    for state in ("velocity", "mean", "square"):
        for x in getattr(optimizer, state, []):
            assert np.asarray(x).dtype == np.float32 or not isinstance(x, np.ndarray | np.generic)
    clip_grad_norm_([p], np.float64(0.1))
    assert type(p.grad) is np.ndarray and p.grad.dtype == np.float32 and p.grad.shape == shape


def test_values_can_be_learnt():
    x = Value(3.0)
    optimizer = SGD([x], lr=0.25)
    ((x - 1) ** 2).backward()
    optimizer.step()
    assert type(x.data) is float and x.data == 2.0
    assert clip_grad_norm_([x], 1.0) == 4.0 and x.grad == 1.0


def test_the_learning_rate_may_change_and_gradients_are_forgotten():
    p, idle = param(1.0, grad=1.0), param(1.0)
    optimizer = SGD([p, idle], lr=1.0)
    optimizer.lr = 0.5
    optimizer.step()
    assert p.data == 0.5 and idle.data == 1.0
    optimizer.zero_grad()
    assert p.grad is None


def test_optimisers_find_a_minimum():
    for make in (lambda ps: SGD(ps, 0.1), lambda ps: SGD(ps, 0.02, momentum=0.9), lambda ps: Adam(ps, 0.1)):
        p = Tensor(np.array([3.0, -2.0]), requires_grad=True)
        optimizer = make([p])
        for _ in range(400):
            optimizer.zero_grad()
            ((p - np.array([1.0, 2.0])) ** 2).sum().backward()
            optimizer.step()
        np.testing.assert_allclose(p.data, [1, 2], atol=1e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_non_finite_gradient_changes_nothing(bad):
    for make in (lambda ps: SGD(ps, 0.1, momentum=0.9), lambda ps: Adam(ps)):
        fine, broken = param(1.0, grad=1.0), param(1.0, 2.0, grad=[0.0, bad])
        with pytest.raises(NonFiniteError, match=r"parameter 1, shape \(2,\)"):
            make([fine, broken]).step()
        assert fine.data == 1.0 and broken.data.tolist() == [1.0, 2.0]
        with pytest.raises(NonFiniteError):
            clip_grad_norm_([fine, broken], 1.0)
        assert fine.grad == 1.0


def test_refusals():
    p = param(1.0)
    for lr in (0, -0.1, math.nan):
        with pytest.raises(ValueError, match="above 0"):
            SGD([p], lr=lr)
    with pytest.raises(ValueError, match="no parameters"):
        Adam([])
    with pytest.raises(ValueError, match="twice"):
        Adam([p, p])
    for x in (p * 2, Tensor(1.0), np.ones(2), ("weight", p)):
        with pytest.raises(GraphError, match="parameter 1 is not a leaf"):
            SGD([p, x], lr=0.1)
    with pytest.raises(GraphError, match="not a leaf"):
        SGD(param(1.0, 2.0), lr=0.1)  # a Tensor iterates over its entries
    for norm in (-1.0, math.nan):
        with pytest.raises(ValueError, match="max_norm"):
            clip_grad_norm_([p], norm)
    assert optim.SGD is SGD


def test_clipping_scales_all_gradients_together():
    a, b, idle = param(0.0, grad=3.0), param(0.0, 0.0, grad=[0.0, 4.0]), param(0.0)
    kept = b.grad
    assert clip_grad_norm_((p for p in (a, b, idle)), 1.0) == 5.0
    np.testing.assert_allclose([a.grad, *b.grad], [0.6, 0, 0.8])
    assert kept.tolist() == [0, 4]  # rebound, not written into
    assert clip_grad_norm_([a, b], 1.0 + 1e-9) == pytest.approx(1.0)
    np.testing.assert_allclose(a.grad, 0.6)
    assert clip_grad_norm_([idle], 1.0) == 0.0 and clip_grad_norm_([], 1.0) == 0.0
    assert clip_grad_norm_(b, 0.4) == pytest.approx(0.8) and b.grad[1] == pytest.approx(0.4)  # one parameter
    big = param(0.0, 0.0, grad=[1e30, 1e30], dtype="float32")
    assert clip_grad_norm_([big], 1.0) == pytest.approx(math.sqrt(2) * 1e30)  # summed in float64


def test_parameters_shared_by_two_layers_move_once():
    layer = Linear(2, 2, rng=0)
    layer.again = layer.weight
    assert len(list(layer.parameters())) == 2
    SGD(layer.parameters(), lr=0.1)
