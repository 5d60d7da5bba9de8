"""What must hold whatever the program, the shapes or the index: drawn by Hypothesis, the same draws every time."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, basic_indices, integer_array_indices, mutually_broadcastable_shapes

from minigrad import Tensor, grad, gradcheck, ops

few = settings(derandomize=True, deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
many = settings(few, max_examples=300)


def bounded(x):
    return ops.tanh(x)


# Every step maps one or two arrays of (2, 3) to one of (2, 3), smoothly and without growing much.
STEPS = [
    lambda a, b: a + b, lambda a, b: a - 0.5 * b, lambda a, b: bounded(a) * bounded(b), lambda a, b: a / (2 + b * b),
    lambda a, b: (1 + a * a) ** (0.3 * bounded(b)), lambda a, b: bounded(a @ b.T) @ b, lambda a, b: ops.sigmoid(a),
    lambda a, b: ops.exp(bounded(a)), lambda a, b: ops.log(1 + a * a), lambda a, b: ops.sqrt(1 + b * b),
    lambda a, b: ops.sin(a) + ops.cos(b), lambda a, b: ops.softplus(a), lambda a, b: ops.expm1(bounded(a)),
    lambda a, b: ops.log1p(b * b), lambda a, b: ops.softmax(a, axis=0), lambda a, b: bounded(ops.log_softmax(a)),
    lambda a, b: a - ops.logsumexp(b, axis=1, keepdims=True), lambda a, b: a - b.mean(axis=0),
    lambda a, b: a / (1 + b.var()), lambda a, b: a.cumsum(axis=1), lambda a, b: ops.flip(a, axis=0),
    lambda a, b: a[[1, 1]] + b[:, ::-1], lambda a, b: a.T.reshape(2, 3),
    lambda a, b: b.sum(axis=1, keepdims=True) * bounded(a),
    lambda a, b: ops.concatenate([a[:1], b[1:]]), lambda a, b: ops.stack([*a])[:, [2, 0, 0]],
    lambda a, b: ops.concatenate(ops.split(a, [1], axis=1)[::-1], axis=1),
    lambda a, b: ops.pad(a, pad_width=((1, 0), (0, 1)))[:2, 1:],
    lambda a, b: ops.swapaxes(a, axis1=0, axis2=1).reshape(2, 3),
    lambda a, b: ops.where(np.array([[True], [False]]), a, b), lambda a, b: ops.gather(a, [[2, 2, 0], [1, 0, 1]]),
    lambda a, b: ops.embedding([1, 1], a), lambda a, b: ops.expand_dims(a, axis=0).squeeze() + b[1],
]  # fmt: skip
program = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=9)


def run(steps, *leaves):
    """Each step reads two of the arrays made so far: results are shared, dropped, and reach back to the leaves."""
    made = list(leaves)
    for step, first, second in steps:
        made.append(step(made[-1 - first % len(made)], made[-1 - second % len(made)]))
    return made[-1]


@few
@given(program, st.integers(0, 99))
def test_a_random_program_has_the_gradient_that_central_differences_see(steps, seed):
    leaves = np.random.default_rng(seed).standard_normal((2, 2, 3))
    gradcheck(lambda *xs: run(steps, *xs), leaves, rtol=1e-4, atol=1e-6)


@settings(few, max_examples=100)
@given(program, st.integers(0, 99))
def test_a_random_program_has_the_right_second_derivatives(steps, seed):
    leaves = np.random.default_rng(seed).standard_normal((2, 2, 3))
    gradcheck(lambda *xs: run(steps, *xs), leaves, order=2, rtol=1e-3, atol=1e-5)


@few
@given(program, st.integers(0, 99))
def test_grad_and_backward_agree_and_repeat(steps, seed):
    leaves = [Tensor(x, requires_grad=True) for x in np.random.default_rng(seed).standard_normal((2, 2, 3))]
    first = [grad(run(steps, *leaves).sum(), leaves, create_graph=graph) for graph in (False, True)]
    run(steps, *leaves).sum().backward()
    for x, plain, graphed in zip(leaves, *first, strict=True):
        assert (plain is None) == (graphed is None) == (x.grad is None)
        if plain is not None:
            np.testing.assert_allclose(plain.data, graphed.data, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(plain.data, x.grad, rtol=1e-9, atol=1e-12)


def gathered(positions, g, shape):
    """The sum of `g` over all places that show the same entry of an array of `shape`."""
    return np.bincount(positions.ravel(), g.ravel(), np.prod(shape, dtype=int)).reshape(shape)


@many
@given(mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3, min_side=0), st.integers(0, 99))
def test_broadcasting(shapes, seed):
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(shape) for shape in shapes.input_shapes]
    a, b, c = (Tensor(x, requires_grad=True) for x in arrays)
    y = a * b + ops.where(c > 0, b, c) - ops.maximum(a, c)
    assert y.shape == shapes.result_shape
    x, z, w = arrays
    np.testing.assert_allclose(y.data, x * z + np.where(w > 0, z, w) - np.maximum(x, w))
    g = rng.standard_normal(y.shape)
    y.backward(g)
    slopes = (z - (x > w), x + (w > 0), (w <= 0) - (w > x) * 1.0)
    for leaf, slope in zip((a, b, c), slopes, strict=True):
        positions = np.broadcast_to(np.arange(leaf.size).reshape(leaf.shape), y.shape)
        np.testing.assert_allclose(leaf.grad, gathered(positions, g * slope, leaf.shape), atol=1e-12)


index_of = st.one_of(
    array_shapes(max_dims=3, max_side=4).flatmap(
        lambda shape: st.tuples(
            st.just(shape),
            st.one_of(
                basic_indices(shape, allow_newaxis=True),
                integer_array_indices(shape),
                st.integers(0, 99).map(lambda seed: np.random.default_rng(seed).random(shape) > 0.5),
                st.tuples(st.slices(shape[0]), *[st.just([-1, 0, 0])] * (len(shape) - 1)),
                st.tuples(st.lists(st.integers(-shape[0], shape[0] - 1), min_size=1, max_size=5), st.just(...)),
            ),
        )
    )
)


@many
@given(index_of, st.integers(0, 99))
def test_indexing(case, seed):
    shape, index = case
    rng = np.random.default_rng(seed)
    x = Tensor(rng.standard_normal(shape), requires_grad=True)
    y = x[index]
    positions = np.asarray(np.arange(x.size).reshape(shape)[index])
    assert np.array_equal(y.data, x.data[index])
    g, h = rng.standard_normal((2, *y.shape))
    (once,) = grad(y, [x], seed=g, create_graph=True)
    np.testing.assert_allclose(once.data, gathered(positions, g, shape), atol=1e-12)
    (y * g + x[index] * h).sum().backward()
    np.testing.assert_allclose(x.grad, gathered(positions, g + h, shape), atol=1e-12)
