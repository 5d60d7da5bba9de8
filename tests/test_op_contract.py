"""The contract of operations, point by point: how they are declared, recorded, swept and freed."""

import gc
import itertools
import threading
import weakref
from operator import iadd

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad import Tensor, Value, grad, gradcheck, graph, no_grad, op, ops
from minigrad.errors import GraphError, ShapeError
from minigrad.nn import RNN, Parameter
from minigrad.op import elementwise, registry


@pytest.fixture
def declare():
    """The decorator, for operations that leave the table with the test."""
    before = dict(registry)
    yield op
    registry.clear()
    registry.update(before)


def leaf(*shape, seed=0):
    return Tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=True)


# --- 1 ---------------------------------------------------------------------------------------------------------------


def test_01_positional_operands_keyword_static(declare):
    seen = []

    @declare(lambda g, y, x, k, *, power, scale=2.0: seen.append((power, scale)) or g * scale * k, None)
    def scaled(x, k, *, power, scale=2.0):
        return x * scale * k

    x = leaf(2)
    scaled(x, 3.0, power="first").sum().backward()  # a default is static, too
    scaled(x, np.full(2, 3.0), power="second", scale=5.0).sum().backward()
    assert seen == [("first", 2.0), ("second", 5.0)]
    assert x.grad.tolist() == [21.0, 21.0]
    assert scaled(Value(2.0), 3, power=None).data == 12.0


# --- 2 ---------------------------------------------------------------------------------------------------------------


def test_02_raw_in_raw_out():
    x = np.arange(3.0)
    assert type(ops.mul(x, 2)) is np.ndarray and type(ops.exp(0.0)) is float
    assert type(ops.concatenate([x, x])) is np.ndarray
    first, *_ = ops.unstack(x)
    assert isinstance(first, np.generic)
    assert all(isinstance(y, Tensor) for y in ops.unstack(Tensor(x)))
    assert isinstance(ops.mul(x, Tensor(x)), Tensor)


def test_02_rules_run_on_arrays_in_backward_and_on_nodes_with_create_graph(declare):
    kinds = []

    @declare(lambda g, y, x: kinds.append((type(g), type(y), type(x))) or g * 2)
    def twice(x):
        return x * 2

    x = leaf(2)
    twice(x).sum().backward()
    grad(twice(x).sum(), x, create_graph=True)
    assert kinds == [(np.ndarray,) * 3, (Tensor,) * 3]


# --- 3 ---------------------------------------------------------------------------------------------------------------


def test_03_a_rule_runs_only_for_operands_that_need_a_gradient(declare):
    ran = []

    @declare(lambda g, y, a, b: ran.append("a") or g, lambda g, y, a, b: ran.append("b") or g)
    def left_and_right(a, b):
        return a + b

    x, y = leaf(2), leaf(2)
    left_and_right(x, Tensor(np.ones(2))).sum().backward()
    assert ran == ["a"]
    ran.clear()
    left_and_right(np.ones(2), y).sum().backward()
    assert ran == ["b"]
    ran.clear()
    later = leaf(2)  # grad visits only what can depend on the input
    grad(left_and_right(x, later).sum(), later)
    assert ran == ["b"]


def test_03_grad_stops_at_an_intermediate_input_and_leaves_what_is_below_alone(declare):
    ran = []

    @declare(lambda g, y, x: ran.append(1) or g)
    def below(x):
        return x + 0

    x = leaf(2)
    h = below(x)
    assert grad((h * h).sum(), h).data.tolist() == (2 * x.data).tolist()
    assert not ran
    h.sum().backward()  # not freed either
    assert ran and x.grad.tolist() == [1, 1]


def test_03_a_rule_of_none_never_has_a_gradient():
    x = Tensor([-2.0, 3.0], requires_grad=True)
    assert not ops.sign(x).requires_grad and ops.sign(x).record is None
    assert not (x > 0).requires_grad
    (x * ops.sign(x)).sum().backward()
    assert x.grad.tolist() == [-1, 1]


# --- 4 ---------------------------------------------------------------------------------------------------------------


def test_04_elementwise_operations_are_unbroadcast_in_one_place(declare):
    @elementwise(lambda g, y, a, b: g, lambda g, y, a, b: g)
    def plus(a, b):
        return a + b

    for a, b in itertools.product([(), (1,), (3,), (2, 3), (2, 1), (1, 1, 3), (4, 1, 1)], repeat=2):
        a, b = leaf(*a), leaf(*b)
        y = plus(a, b)
        y.backward(np.ones(y.shape))
        assert a.grad.shape == a.shape and np.all(a.grad == y.size / a.size)
        assert b.grad.shape == b.shape and np.all(b.grad == y.size / b.size)


@pytest.mark.parametrize("given", [(3, 2), (3,), (), (2, 3, 1)])
def test_04_a_rule_of_the_wrong_shape_is_named(declare, given):
    @declare(lambda g, y, a, b: g, lambda g, y, a, b: np.ones(given))
    def crooked(a, b):
        return a + b

    with pytest.raises(ShapeError, match="crooked") as error:
        crooked(leaf(2, 3), leaf(2, 3)).sum().backward()
    for word in ("operand 1", str(given), "(2, 3)"):
        assert word in str(error.value)


@pytest.mark.parametrize("part", [np.ones((3, 2)), np.ones(3), 1.0, None])
def test_04_an_elementwise_rule_that_fits_no_broadcast_is_named(declare, part):
    @elementwise(lambda g, y, x: part)
    def crooked(x):
        return x * 1

    with pytest.raises(ShapeError, match=r"crooked: the rule of operand 0 returned .*\(2, 3\)"):
        crooked(leaf(2, 3)).sum().backward()


# --- 5 ---------------------------------------------------------------------------------------------------------------


def polar(declare, calls):
    def joint(gs, outputs, saved, operands, needs, *, scale):
        calls.append((gs, outputs, saved, operands, needs, scale))
        g_sum, g_product = (0 if g is None else g for g in gs)
        a, b = operands
        return g_sum + g_product * b, g_sum + g_product * a

    @declare(joint=joint)
    def sum_and_product(a, b, *, scale=1):
        return (a + b, a * b), "saved"

    return sum_and_product


def test_05_several_outputs_share_one_rule_and_missing_cotangents_are_none(declare):
    calls = []
    f = polar(declare, calls)
    a, b = leaf(2), leaf(2, seed=1)
    total, product = f(a, b)
    (total * 2).sum().backward()
    (gs, outputs, saved, _, needs, scale) = calls.pop()
    assert gs[1] is None and gs[0].tolist() == [2, 2]
    assert all(type(y) is np.ndarray for y in outputs) and saved == "saved" and needs == [True, True] and scale == 1
    assert a.grad.tolist() == [2, 2]
    a.grad = None
    total, product = f(a, b.detach())
    (product + total).sum().backward()
    assert calls.pop()[4] == [True, False] and not calls
    np.testing.assert_allclose(a.grad, b.data + 1)
    assert [y.tolist() for y in f(np.ones(1), np.ones(1))] == [[2.0], [1.0]]


def test_05_all_cotangents_have_arrived_when_the_joint_rule_runs(declare):
    calls = []
    f = polar(declare, calls)
    a, b = leaf(2), leaf(2, seed=1)
    total, product = f(a, b)
    deep = total
    for _ in range(5):
        deep = deep * product  # both outputs used by nodes of many ages
    first = grad((deep + product).sum(), (a, b), create_graph=True)
    assert len(calls) == 1 and all(isinstance(g, Tensor) for g in calls[0][0])
    right = grad(((a + b) * (a * b) ** 5 + a * b).sum(), (a, b), create_graph=True)
    for g, r in zip(first, right, strict=True):
        np.testing.assert_allclose(g.data, r.data)
    for g, r in zip(grad(first[0].sum(), (a, b)), grad(right[0].sum(), (a, b)), strict=True):
        np.testing.assert_allclose(g.data, r.data)  # and again


def test_05_the_hidden_node_is_older_than_its_outputs_and_does_not_hold_them():
    parts = ops.unstack(leaf(3, 2))
    hidden = parts[0].record[1][0]
    assert all(part.record[1][0] is hidden and part.tick > hidden.tick for part in parts)
    watched = weakref.ref(parts[0])
    del parts
    assert watched() is None
    assert all(type(y) is np.ndarray for y in hidden.data)


def test_05_a_joint_rule_may_use_its_outputs_to_any_order(declare):
    def joint(gs, outputs, saved, operands, needs):
        return [sum(g * slope for g, slope in zip(gs, (outputs[0], 2 * operands[0]), strict=True) if g is not None)]

    @declare(joint=joint)
    def exp_and_square(x):
        return (np.exp(x), x * x), None

    def function(x):
        first, second = exp_and_square(x)
        return first * first * second, first

    gradcheck(function, [np.array([0.3, -0.5])], order=3)


def test_05_values_may_have_several_outputs_too(declare):
    f = polar(declare, [])
    a, b = Value(3.0), Value(4.0)
    total, product = f(a, b)
    (total * product).backward()
    assert (a.grad, b.grad) == (12 + 7 * 4, 12 + 7 * 3)


def programs():
    """Small programs that touch every way in which a graph is built."""
    x, w = leaf(3, 4), leaf(4, 4, seed=1)
    yield lambda: (ops.tanh(x @ w) * x).mean()
    yield lambda: ops.stack([row * 2 for row in x]).sum()
    yield lambda: sum(x[t].sum() * x[t, 0] for t in range(3))
    yield lambda: ops.concatenate([x, x * 2])[1:, [0, 0]].sum()
    yield lambda: ops.cross_entropy(x, [0, 1, 3]) + ops.mse_loss(x, x * 0.5)
    yield lambda: RNN(4, 2, rng=0, dtype="float64")(x)[0].sum()
    a, b = Value(2.0), Value(-3.0)
    yield lambda: (a * b + a**2).relu() / b.exp()


@pytest.mark.slow
@pytest.mark.parametrize("end", ["forward only", "backward", "twice", "grad", "create_graph", "error"])
def test_05_nothing_cyclic_is_left_behind(end):
    RNN(4, 2, rng=0, dtype="float64")(leaf(3, 4))[0].sum().backward()  # Numba leaves cycles while it loads its kernels
    gc.collect()
    gc.disable()
    try:
        for program in programs():
            for _ in range(3):
                y = program()
                if end == "backward":
                    y.backward()
                elif end == "twice":
                    y.backward(retain_graph=True)
                    y.backward()
                elif end in ("grad", "create_graph"):
                    leaves = [cell.cell_contents for cell in program.__closure__]
                    leaves = [p for p in leaves if isinstance(p, Tensor | Value)]
                    first = grad(y, leaves, create_graph=end == "create_graph")
                    if end == "create_graph":
                        second = sum(g.sum() if isinstance(g, Tensor) else g for g in first)
                        if second.requires_grad:
                            second.backward()
                        del second
                    del first, leaves
                elif end == "error":
                    y.backward()
                    with pytest.raises(GraphError):
                        y.backward()
                del y
            del program
        unreachable = gc.collect()
    finally:
        gc.enable()
    if end != "error":  # an exception holds its traceback, which is a cycle of Python's own
        assert unreachable == 0


def test_05_the_number_of_live_objects_does_not_grow():
    x = leaf(3)

    def program():
        return sum(part.sum() for part in ops.unstack(ops.tanh(x) * x))

    counts = []
    gc.disable()
    try:
        for _ in range(6):
            program()  # forward alone
            program().backward()
            counts.append(len(gc.get_objects()))
    finally:
        gc.enable()
    assert counts[-1] == counts[2]


def test_05_nothing_is_saved_under_no_grad(declare):
    x = leaf(2)
    with no_grad():
        for y in (x * 2, *ops.unstack(x), *polar(declare, [])(x, x)):
            assert y.record is None and not y.requires_grad
    watched = weakref.ref(x)
    with no_grad():
        y = ops.exp(x)
    del x
    assert watched() is None and not y.requires_grad

    @no_grad()
    def decorated(x):
        return x * 2

    assert not decorated(leaf(2)).requires_grad
    with pytest.raises(ZeroDivisionError), no_grad():
        1 / 0  # noqa: B018
    assert (leaf(2) * 2).requires_grad


def test_05_constants_are_not_recorded():
    assert (Tensor([1.0]) * 2).record is None
    _, parents, *_ = (leaf(1) * Tensor([1.0])).record
    assert parents[1] is None


# --- 6 ---------------------------------------------------------------------------------------------------------------

UNARY = [
    lambda x: x * 2, lambda x: x + 1.0, lambda x: -x, lambda x: x.T.T, lambda x: x.reshape(4).reshape(2, 2),
    lambda x: x[...], lambda x: ops.stack(list(x)), lambda x: ops.broadcast_to(x.sum(axis=0), shape=(2, 2)),
    lambda x: ops.concatenate([x[:1], x[1:]]), lambda x: x + x.sum(), lambda x: x.astype("float32").astype("float64"),
    lambda x: ops.transpose(x), lambda x: x + x, lambda x: x - x[0],
]  # fmt: skip
BINARY = [ops.add, ops.sub, ops.mul, ops.matmul, lambda a, b: ops.concatenate([a, b])[1:3], lambda a, b: a + b[0]]
steps = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(steps, st.sampled_from(["seed", "sum", "mean"]))
def test_06_a_gradient_owns_its_memory_in_random_programs(program, end):
    leaves = [leaf(2, 2, seed=k) for k in range(3)]
    for _ in range(2):  # the second round accumulates
        nodes = list(leaves)
        for which, first, second in program:
            a, b = nodes[first % len(nodes)], nodes[second % len(nodes)]
            which %= len(UNARY) + len(BINARY)
            nodes.append(UNARY[which](a) if which < len(UNARY) else BINARY[which - len(UNARY)](a, b))
        root, seed = nodes[-1], np.random.default_rng(0).standard_normal((2, 2))
        kept = seed.copy()
        if end == "seed":
            root.backward(seed)
        else:
            getattr(root, end)().backward()
        np.testing.assert_array_equal(seed, kept)
        mine = [p.grad for p in leaves if p.grad is not None]
        others = [p.data for p in leaves] + [seed, *(node.data for node in nodes)]
        for g in mine:
            assert type(g) is np.ndarray and g.flags.writeable and g.flags.owndata and 0 not in g.strides
            assert not any(np.shares_memory(g, other) for other in others)
        assert not any(np.shares_memory(a, b) for a, b in itertools.combinations(mine, 2))


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_06_a_gradient_is_an_array_after_one_and_two_backwards(shape):
    x = leaf(*shape)
    for times in (1, 2, 3):
        (x + x).sum().backward()
        assert type(x.grad) is np.ndarray and x.grad.shape == shape and np.all(x.grad == 2 * times)
    x.backward(np.ones(shape))  # a leaf as the root
    assert type(x.grad) is np.ndarray and np.all(x.grad == 7)


def test_06_earlier_gradients_are_not_written_into():
    x = leaf(2)
    (x * 2).sum().backward()
    kept = x.grad
    (x * 3).sum().backward()
    assert kept.tolist() == [2, 2] and x.grad.tolist() == [5, 5]


def test_06_accumulation_borrows_allocates_then_works_in_place(monkeypatch):
    x, totals = leaf(3), []
    monkeypatch.setattr(graph, "iadd", lambda total, part: totals.append(total) or iadd(total, part))
    sum(x * float(k) for k in range(5)).sum().backward()
    assert len(totals) == 3 and all(total is x.grad for total in totals)
    assert x.grad.tolist() == [10, 10, 10]


def test_06_the_gradient_is_taken_at_the_captured_values():
    x, w = Tensor([1.0, 2.0], requires_grad=True), Tensor([3.0, 4.0], requires_grad=True)
    loss = (x * w * w).sum()
    x.data, w.data = np.zeros(2, "float32"), np.zeros(2, "float32")  # as an optimiser would
    loss.backward()
    assert x.grad.tolist() == [9, 16] and w.grad.tolist() == [6, 16]
    y = (w * w).sum()
    w.data = w.data + 1
    with pytest.raises(GraphError, match=r"mul: an operand's \.data was replaced"):
        grad(y, w, create_graph=True)


def test_06_the_callers_array_may_change_after_the_forward_pass():
    x, factor, index = Tensor([1.0, 2.0], requires_grad=True), np.array([3.0, 4.0], "float32"), np.array([0, 0])
    loss = (x * factor).sum() + x[index].sum()
    factor[:], index[:] = 0, 1
    loss.backward()
    assert x.grad.tolist() == [5, 4]


def test_06_two_forwards_before_one_backward():
    def run(rnn, xs):
        outputs = [rnn(x) for x in xs]
        return outputs, sum((y * y).sum() + h.sum() for y, h in outputs)

    xs = [leaf(5, 2, 3), leaf(5, 2, 3, seed=1)]
    both, single = RNN(3, 4, rng=0, dtype="float64"), RNN(3, 4, rng=0, dtype="float64")
    outputs, loss = run(both, xs)
    kept = [y.data.copy() for y, _ in outputs]
    loss.backward()
    for y, k in zip(outputs, kept, strict=True):
        np.testing.assert_array_equal(y[0].data, k)
    for x in xs:
        run(single, [x])[1].backward()
    for a, b in zip(both.parameters(), single.parameters(), strict=True):
        np.testing.assert_allclose(a.grad, b.grad)


# --- 7 ---------------------------------------------------------------------------------------------------------------


def reads(T, width=64):
    x = Tensor(np.ones((T, width)), requires_grad=True)
    total = 0.0
    for t in range(T):
        total = total + x[t] * float(t)
    total.sum().backward()
    return x


def test_07_reading_steps_in_a_loop_is_right_and_linear_in_time(monkeypatch):
    sizes = []
    zeros = np.zeros_like
    monkeypatch.setattr(np, "zeros_like", lambda *args, **kwargs: sizes.append(args[0].shape) or zeros(*args, **kwargs))
    x = reads(50)
    assert x.grad.tolist() == [[float(t)] * 64 for t in range(50)]
    assert sizes == [(50, 64)]  # one buffer for all reads, or the time would grow with the square of their number


def test_07_reads_meet_other_uses_in_any_order():
    for order in itertools.permutations(range(4)):
        x = leaf(3)
        uses = [lambda x: x[0] * 2, lambda x: (x * 3).sum(), lambda x: x[[1, 1]].sum(), lambda x: x.sum()]
        sum(uses[k](x) for k in order).backward()
        assert x.grad.tolist() == [6, 6, 4]
    x = Tensor(2.0, requires_grad=True)
    oldest = x[()]  # its cotangent arrives last, onto a sum of NumPy scalars
    (oldest + x * x + x[...] + x).backward()
    assert x.grad == 7 and type(x.grad) is np.ndarray
    oldest = x[()]
    (oldest + x * x).backward()
    assert x.grad == 12


def test_07_iteration_goes_through_unstack():
    x = leaf(4, 3)
    rows = list(x)
    assert len({id(row.record[1][0]) for row in rows}) == 1 and rows[0].record[1][0].record[0].name == "unstack"
    sum(k * row for k, row in enumerate(rows)).sum().backward()
    assert x.grad.tolist() == [[k] * 3 for k in range(4)]


# --- 8 ---------------------------------------------------------------------------------------------------------------


def test_08_matmul_sums_over_batch_axes_with_one_product(monkeypatch):
    a, w = leaf(5, 4, 3, 2), leaf(2, 6, seed=1)
    y = a @ w
    seed = np.random.default_rng(2).standard_normal(y.shape)
    y.backward(seed)
    np.testing.assert_allclose(w.grad, np.einsum("abik,abin->kn", a.data, seed))
    np.testing.assert_allclose(a.grad, seed @ w.data.T)
    monkeypatch.setattr(ops, "unbroadcast", None)  # what would sum a product per batch entry
    np.testing.assert_allclose(registry["matmul"].rules[1](seed, y.data, a.data, w.data), w.grad)


def test_08_kinks_have_a_stated_convention():
    for f in (ops.relu, ops.abs):
        x, v = Tensor([0.0, -0.0], requires_grad=True), Value(0.0)
        f(x).sum().backward()
        f(v).backward()
        assert x.grad.tolist() == [0, 0] and v.grad == 0


# --- 9 ---------------------------------------------------------------------------------------------------------------


def test_09_every_operation_of_the_table_has_samples():
    from op_samples import COMPOSED, MEANING, SAMPLES

    table = {name for name, op in registry.items() if op.forward.__module__ == "minigrad.ops"}
    assert len(table) >= 25
    assert table | COMPOSED == set(SAMPLES) == set(MEANING)
    for name, samples in SAMPLES.items():
        arrays = [x for operands, _ in samples for x in operands]
        assert any(not x.flags.c_contiguous for x in arrays) or name in {
            "astype", "scatter", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
        }, f"{name} has no sample that is not contiguous"  # fmt: skip


# --- 10 --------------------------------------------------------------------------------------------------------------


def test_10_a_freed_graph_says_what_to_do():
    x = leaf(2)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(x.grad, 4 * x.data)
    with pytest.raises(GraphError, match="retain_graph=True"):
        y.backward()
    shared = x * x
    shared.sum().backward()
    with pytest.raises(GraphError, match="retain_graph=True"):
        (shared * 2).sum().backward()  # reaches the freed part from elsewhere
    first, second = ops.unstack(x)
    first.backward()
    with pytest.raises(GraphError, match="retain_graph=True"):
        second.backward()


def test_10_backward_leaves_raw_arrays_in_leaves_only():
    x = leaf(2)
    h = x * 2
    h.sum().backward()
    assert type(x.grad) is np.ndarray and h.grad is None


def test_10_backward_has_no_create_graph():
    with pytest.raises(TypeError, match="create_graph"):
        leaf().backward(create_graph=True)


def test_10_grad_returns_nodes_and_leaves_leaves_untouched():
    x, unused = leaf(2), leaf(2)
    g, nothing = grad((x**3).sum(), (x, unused))
    assert isinstance(g, Tensor) and not g.requires_grad and nothing is None and x.grad is None
    np.testing.assert_allclose(g.data, 3 * x.data**2)
    assert grad((x * 1).sum(), x).data.flags.writeable
    assert isinstance(grad((x**2).sum(), [x]), tuple) and isinstance(grad(x.sum(), x), Tensor)
    assert grad((x * 2).sum(), unused) is None and grad((x * 2).sum(), ()) == ()


def test_10_grad_can_be_differentiated_again_and_again():
    x = Tensor(np.array([0.3, -1.2]), requires_grad=True)
    y = ops.sin(x).sum()
    for right in (np.cos, lambda v: -np.sin(v), lambda v: -np.cos(v), np.sin):
        g = grad(y, x, create_graph=True)
        np.testing.assert_allclose(g.data, right(x.data))
        y = g.sum()
    v = Value(0.3)
    assert grad(grad(v**4, v, create_graph=True), v).data == pytest.approx(12 * 0.09)


def test_10_the_seed_of_a_differentiable_gradient_is_differentiable():
    x, u = leaf(3), leaf(3, seed=1)
    g = grad(ops.tanh(x), x, seed=u, create_graph=True)
    (forward_mode,) = grad(g.sum(), [u])  # the vector-Jacobian product is linear in the seed
    np.testing.assert_allclose(forward_mode.data, 1 - np.tanh(x.data) ** 2)


def test_10_a_non_scalar_root_needs_a_seed():
    x = leaf(2, 3)
    with pytest.raises(GraphError, match=r"\(2, 3\) needs a seed"):
        (x * 2).backward()
    (x * 2).backward(np.full((2, 3), 0.5))
    assert np.all(x.grad == 1)
    (x * 2).sum().reshape(1, 1).backward()  # one entry is enough
    (x * 2).backward(Tensor(np.ones((2, 3))))
    with pytest.raises(ShapeError, match=r"seed has shape \(3,\)"):
        (x * 2).backward(np.ones(3))


@pytest.mark.slow
@pytest.mark.parametrize("x", [Value(1.0), Tensor(1.0, requires_grad=True)], ids=["value", "tensor"])
def test_10_a_million_nodes(x):
    length = 10**6 if isinstance(x, Value) else 10**5
    gc.disable()  # its passes over a million live objects are most of the time
    try:
        y = x
        for _ in range(length):
            y = -y
        y.backward()
        assert x.grad == 1.0
        for _ in range(length):
            y = -y
        del y  # never swept: its deallocation must not recurse either
    finally:
        gc.enable()


def test_10_visits_by_falling_age_whatever_the_order_of_building():
    x = leaf()
    old = x * 2
    young = old * 3
    y = young + old * young + old
    y.backward()
    h = 2 * x.data  # y = 3h + 3h^2 + h
    np.testing.assert_allclose(x.grad, 2 * (4 + 6 * h))


def run_threads(*targets):
    errors = []

    def guarded(target):
        try:
            target()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors


def test_10_no_grad_holds_for_its_own_thread():
    inside, checked = threading.Event(), threading.Event()

    def without():
        with no_grad():
            inside.set()
            assert checked.wait(10)
            assert not (leaf(1) * 2).requires_grad

    def recording():
        assert inside.wait(10)
        try:
            assert (leaf(1) * 2).requires_grad
        finally:
            checked.set()

    run_threads(without, recording)


def test_10_two_threads_sweep_to_shared_leaves():
    import sys

    w, each, interval = Parameter(np.ones(3)), 300, sys.getswitchinterval()

    def work():
        for _ in range(each):
            (ops.tanh(w) * 0 + w).sum().backward()

    sys.setswitchinterval(1e-6)
    try:
        run_threads(work, work, work)
    finally:
        sys.setswitchinterval(interval)
    assert w.grad.tolist() == [3.0 * each] * 3
