"""Optimisers and clipping against updates worked out by hand from the papers' formulas."""

import inspect
import math

import numpy as np
import pytest

from minigrad import Tensor, Value, optim
from minigrad.errors import DTypeError, GraphError, NonFiniteError, OptionError, ShapeError
from minigrad.nn import Linear, Parameter
from minigrad.optim import SGD, Adam, AdamW, RMSprop, clip_grad_norm_, clip_grad_value_


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


def follow(optimizer, p, table):
    for g, right in table:
        p.grad = np.array(g)
        optimizer.step()
        assert p.data == pytest.approx(right, rel=1e-9)


def test_nesterov_by_hand():
    # the velocities of above, and moves by 0.9 v + g: 0.9 (1) + 1 = 1.9, 0.9 (2.9) + 2 = 4.61, 0.9 (1.61) - 1 = 0.449
    p = param(10.0)
    optimizer = SGD([p], lr=0.1, momentum=0.9, nesterov=True)
    follow(optimizer, p, [(1.0, 9.81), (2.0, 9.349), (-1.0, 9.3041)])


def test_nesterov_is_the_gradient_at_the_point_looked_ahead_to():
    # Sutskever et al. 2013, eq. 3-4: v' = m v - lr f'(q + m v), q' = q + v'; ours holds p = q + m v
    slope, m, lr = (lambda x: 4 * x**3 - x), 0.8, 0.05
    q, v, p = 1.5, 0.0, param(1.5)
    optimizer = SGD([p], lr=lr, momentum=m, nesterov=True)
    for _ in range(10):
        v = m * v - lr * slope(q + m * v)
        q = q + v
        p.grad = slope(p.data)
        optimizer.step()
        assert p.data == pytest.approx(q + m * v, rel=1e-12)


def test_weight_decay_of_sgd_is_part_of_the_gradient():
    # g' = g + 0.1 p: 1 + 0.1 (2) = 1.2, p = 2 - 0.5 (1.2) = 1.4; then 0 + 0.14, v = 0.5 (1.2) + 0.14 = 0.74, p = 1.03
    p = param(2.0)
    follow(SGD([p], lr=0.5, momentum=0.5, weight_decay=0.1), p, [(1.0, 1.4), (0.0, 1.03)])
    p = param(2.0)
    follow(SGD([p], lr=0.5, weight_decay=0.1), p, [(1.0, 1.4), (0.0, 1.33)])


def test_rmsprop_by_hand():
    # alpha = 0.75, eps = 0.5: s = 0.25 (4^2) = 4, 4 / (2 + 0.5) = 1.6; s = 0.75 (4) + 0.25 (2^2) = 4, -2 / 2.5 = -0.8
    p = param(1.0)
    follow(RMSprop([p], lr=0.1, alpha=0.75, eps=0.5), p, [(4.0, 0.84), (-2.0, 0.92)])


def test_adamw_by_hand():
    # Adam's two steps below, and 0.5 p beside each: 1 - 0.1 (1 + 0.5) = 0.85; 0.85 - 0.1 (-0.606976979 + 0.425)
    p = param(1.0)
    optimizer = AdamW([p], lr=0.1, betas=(0.5, 0.75), eps=0.0, weight_decay=0.5)
    follow(optimizer, p, [(2.0, 0.85), (-4.0, 0.8681976979)])


def test_adamw_decays_what_adam_does_not_scale():
    plain, decayed = param(1.0, -3.0), param(1.0, -3.0)
    a, b = Adam([plain], lr=0.1), AdamW([decayed], lr=0.1, weight_decay=0.0)
    for _ in range(3):
        plain.grad = decayed.grad = np.array([1e-3, 1e3])
        a.step(), b.step()
    np.testing.assert_array_equal(plain.data, decayed.data)
    decayed = param(2.0, grad=0.0)
    AdamW([decayed], lr=0.1).step()
    assert decayed.data == pytest.approx(2 * (1 - 0.1 * 0.01), rel=1e-12)  # the gradient is 0: the decay alone


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
        lambda ps: SGD(ps, lr=0.1, momentum=np.float64(0.9), nesterov=True, weight_decay=np.float64(0.1)),
        lambda ps: RMSprop(ps, lr=np.float64(0.1), alpha=np.float64(0.9), eps=np.float64(1e-8)),
        lambda ps: AdamW(ps, lr=np.float64(0.1), weight_decay=np.float64(0.1)),
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
    for clip in (clip_grad_norm_, clip_grad_value_):
        clip([p], np.float64(0.1))
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
    for make in (
        lambda ps: SGD(ps, 0.1),
        lambda ps: SGD(ps, 0.02, momentum=0.9),
        lambda ps: SGD(ps, 0.02, momentum=0.9, nesterov=True),
        lambda ps: Adam(ps, 0.1),
        lambda ps: AdamW(ps, 0.1, weight_decay=0.0),
    ):
        p = Tensor(np.array([3.0, -2.0]), requires_grad=True)
        optimizer = make([p])
        for _ in range(400):
            optimizer.zero_grad()
            ((p - np.array([1.0, 2.0])) ** 2).sum().backward()
            optimizer.step()
        np.testing.assert_allclose(p.data, [1, 2], atol=1e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_non_finite_gradient_changes_nothing(bad):
    for make in (lambda ps: SGD(ps, 0.1, momentum=0.9), RMSprop, Adam, AdamW):
        fine, broken = param(1.0, grad=1.0), param(1.0, 2.0, grad=[0.0, bad])
        with pytest.raises(NonFiniteError, match=r"parameter 1, shape \(2,\)"):
            make([fine, broken]).step()
        assert fine.data == 1.0 and broken.data.tolist() == [1.0, 2.0]
        with pytest.raises(NonFiniteError):
            clip_grad_norm_([fine, broken], 1.0)
        assert fine.grad == 1.0


def test_refusals():
    p = param(1.0)
    for lr in (0, -0.1, math.nan, math.inf, "fast", None, [0.1, 0.2]):
        with pytest.raises(OptionError, match="lr must be"):
            SGD([p], lr=lr)
    with pytest.raises(OptionError, match="no parameters"):
        Adam([])
    with pytest.raises(OptionError, match="twice"):
        Adam([p, p])
    for x in (p * 2, Tensor(1.0), np.ones(2), ("weight", p)):
        with pytest.raises(GraphError, match="parameter 1 is not a leaf"):
            SGD([p, x], lr=0.1)
    with pytest.raises(GraphError, match="not a leaf"):
        SGD(param(1.0, 2.0), lr=0.1)  # a Tensor iterates over its entries
    for norm in (-1.0, math.nan):
        with pytest.raises(OptionError, match="max_norm"):
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
    assert clip_grad_norm_([idle], 1.0) == 0.0
    assert clip_grad_norm_(b, 0.4) == pytest.approx(0.8) and b.grad[1] == pytest.approx(0.4)  # one parameter
    big = param(0.0, 0.0, grad=[1e30, 1e30], dtype="float32")
    assert clip_grad_norm_([big], 1.0) == pytest.approx(math.sqrt(2) * 1e30)  # summed in float64


def test_parameters_shared_by_two_layers_move_once():
    layer = Linear(2, 2, rng=0)
    layer.again = layer.weight
    assert len(list(layer.parameters())) == 2
    SGD(layer.parameters(), lr=0.1)


SETTINGS = [
    (SGD, {"lr": 0.1}, "momentum", [-0.1, 1.0, math.nan, None]),
    (SGD, {"lr": 0.1}, "weight_decay", [-1e-9, math.inf, "much"]),
    (RMSprop, {}, "alpha", [-0.1, 1, math.nan]),
    (RMSprop, {}, "eps", [-1e-9]),
    (Adam, {}, "betas", [(0.9, 1.0), (-0.1, 0.9), (0.9,), (0.9, 0.9, 0.9), 0.9, None]),
    (Adam, {}, "eps", [-1e-9, math.nan]),
    (AdamW, {}, "weight_decay", [-0.1]),
]


@pytest.mark.parametrize(("kind", "others", "name", "values"), SETTINGS)
def test_an_impossible_setting_is_refused_by_name(kind, others, name, values):
    for value in values:
        with pytest.raises(OptionError, match=f"^{name} must be .* not ") as error:
            kind([param(1.0)], **others, **{name: value})
        assert repr(value) in str(error.value)


def test_more_refusals():
    p = param(1.0, grad=1.0)
    with pytest.raises(OptionError, match="nesterov needs a momentum"):
        SGD([p], lr=0.1, nesterov=True)
    with pytest.raises(TypeError, match="weight_decay"):
        Adam([p], weight_decay=0.1)  # AdamW's: never taken in silence
    optimizer = SGD([p], lr=0.1)
    for lr in (math.nan, -1.0, None):
        optimizer.lr = lr
        with pytest.raises(OptionError, match="lr must be"):
            optimizer.step()
        assert p.data == 1.0
    optimizer.lr = 0.0
    optimizer.step()
    assert p.data == 1.0


def test_schedules_are_factors_of_the_step():
    assert [optim.warmup(step, 4) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert optim.warmup(0, 0) == 1.0
    np.testing.assert_allclose(
        [optim.cosine(step, 4) for step in range(6)], [1, 0.5 + 2**-1.5, 0.5, 0.5 - 2**-1.5, 0, 0]
    )
    assert optim.cosine(2, 4, end=0.1) == pytest.approx(0.55) and optim.cosine(9, 4, end=0.1) == pytest.approx(0.1)
    assert [optim.exponential(step, 0.5) for step in range(3)] == [1, 0.5, 0.25]
    assert [optim.exponential(step, 0.5, every=2) for step in range(5)] == [1, 1, 0.5, 0.5, 0.25]
    p = param(1.0, grad=1.0)
    optimizer = SGD([p], lr=0.1)
    for step in range(2):
        optimizer.lr = 0.1 * optim.warmup(step, 2) * optim.exponential(step, 0.5)
        optimizer.step()
    assert p.data == pytest.approx(1 - 0.05 - 0.05)


def test_clipping_by_value():
    a, b, idle = param(0.0, 0.0, 0.0, grad=[0.5, -3.0, np.inf]), Value(0.0), param(0.0)
    kept, b.grad = a.grad, 2.0
    assert clip_grad_value_([a, b, idle], 1.0) is None
    assert a.grad.tolist() == [0.5, -1.0, 1.0] and kept.tolist() == [0.5, -3.0, np.inf]
    assert type(b.grad) is float and b.grad == 1.0 and idle.grad is None
    clip_grad_value_(a, 0.0)
    assert a.grad.tolist() == [0, 0, 0]
    fine, broken = param(0.0, grad=5.0), param(0.0, 0.0, grad=[1.0, np.nan])
    with pytest.raises(NonFiniteError, match=r"clip_grad_value_.*\(2,\).*NaN"):
        clip_grad_value_([fine, broken], 1.0)
    assert fine.grad == 5.0
    for value in (-1.0, math.nan):
        with pytest.raises(OptionError, match="clip_value"):
            clip_grad_value_([fine], value)


MAKE = [
    lambda ps: SGD(ps, lr=0.1),
    lambda ps: SGD(ps, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    lambda ps: RMSprop(ps, alpha=0.9),
    lambda ps: Adam(ps, betas=(0.5, 0.75)),
    lambda ps: AdamW(ps),
]


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize("dtype", ["float32", "float64", None], ids=str)
def test_a_restored_optimiser_continues_identically(make, dtype):
    def fresh():
        if dtype is None:
            return [Value(1.0), Value(-2.0)]
        return [param(1.0, -2.0, dtype=dtype), param(3.0, dtype=dtype), param(4.0, dtype=dtype)]

    def train(ps, optimizer, steps):
        for step in steps:
            optimizer.lr = 0.1 / (step + 1)
            for k, p in enumerate(ps[:2]):  # the last never has a gradient
                p.grad = p.own(p.data * (step + k + 1.0), False)
            optimizer.step()

    ps, qs = fresh(), fresh()
    one, two = make(ps), make(qs)
    train(ps, one, range(3))
    state, data = one.state_dict(), [p.data for p in ps]
    kept = {name: np.copy(x) for name, x in state.items()}
    train(ps, one, range(3, 6))
    for name, x in state.items():
        np.testing.assert_array_equal(x, kept[name])  # a snapshot
    two.load_state_dict(state)
    assert two.lr == pytest.approx(0.1 / 3) and two.state_dict().keys() == state.keys()
    options = set(inspect.signature(type(one)).parameters) - {"params"}
    assert options == {name for name in state if "." not in name}  # every setting goes along
    for q, x in zip(qs, data, strict=True):
        q.data = x
    train(qs, two, range(3, 6))
    for p, q in zip(ps, qs, strict=True):
        assert type(p.data) is type(q.data) and np.array_equal(p.data, q.data)
    for name, x in one.state_dict().items():
        y = two.state_dict()[name]
        assert np.array_equal(x, y) and np.asarray(x).dtype == np.asarray(y).dtype
        if isinstance(x, np.ndarray) and x.ndim:
            assert not np.shares_memory(two.state_dict()[name], kept[name])


def test_a_state_that_does_not_fit_is_named_and_changes_nothing():
    p = param(1.0, -2.0, grad=[1.0, 1.0])
    optimizer = Adam([p])
    optimizer.step()
    before = optimizer.state_dict()
    state = before | {"mean.0": np.ones(3), "mean.1": np.ones(2), "lr": 0.5}
    del state["square.0"]
    with pytest.raises(ShapeError) as error:
        optimizer.load_state_dict(state)
    for words in ("Adam.load_state_dict", "missing square.0", "unexpected mean.1", "mean.0 has shape (3,), not (2,)"):
        assert words in str(error.value)
    with pytest.raises(OptionError, match="betas must be"):
        optimizer.load_state_dict(before | {"betas": (0.9, 1.5)})
    with pytest.raises(DTypeError, match=r"Adam\.load_state_dict: mean\.0: "):
        optimizer.load_state_dict(before | {"mean.0": np.array(["a", "b"])})
    with pytest.raises(DTypeError, match=r"Adam\.load_state_dict: lr: "):
        optimizer.load_state_dict(before | {"lr": "fast"})
    with pytest.raises(DTypeError, match="state_dict"):
        optimizer.load_state_dict([1, 2])
    for name, x in optimizer.state_dict().items():
        assert x is before[name]


@pytest.mark.parametrize("make", [RMSprop, Adam, AdamW, lambda p: SGD(p, lr=0.1, momentum=0.9)])
def test_a_value_stays_a_python_float(make):
    x = Value(2.0)
    optimizer = make([x])
    for _ in range(2):
        optimizer.zero_grad()
        (x * x).backward()
        optimizer.step()
    assert type(x.data) is float and x.data < 2
