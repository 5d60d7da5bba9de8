"""Derivatives of derivatives, and gradients in every order of asking for them."""

import numpy as np
import pytest

from minigrad import Tensor, Value, grad, gradcheck, hvp, no_grad, ops
from minigrad.errors import GraphError, ShapeError
from minigrad.nn import RNN, Linear

rng = np.random.default_rng(5)
X, Y, U, V = (rng.standard_normal(s) for s in ((3,), (2, 3), (3,), (2, 3)))


def leaf(array):
    return Tensor(array, requires_grad=True)


def quartic(x, y):
    return ((y @ x) ** 2).sum() * x.sum() + ops.exp(x).sum()


def hessian_of_quartic(eps=1e-5):
    """The whole Hessian in (x, y) by central differences of gradients."""

    def gradient(flat):
        x, y = leaf(flat[:3]), leaf(flat[3:].reshape(2, 3))
        return np.concatenate([g.data.ravel() for g in grad(quartic(x, y), (x, y))])

    flat, rows = np.concatenate([X, Y.ravel()]), np.eye(9) * eps
    return np.stack([(gradient(flat + row) - gradient(flat - row)) / (2 * eps) for row in rows])


# --- hvp -------------------------------------------------------------------------------------------------------------


def test_hvp_is_the_whole_hessian_times_the_vector():
    x, y = leaf(X), leaf(Y)
    right = hessian_of_quartic() @ np.concatenate([U, V.ravel()])
    in_x, in_y = hvp(quartic(x, y), (x, y), (U, V))
    np.testing.assert_allclose(np.concatenate([in_x.data, in_y.data.ravel()]), right, rtol=1e-6, atol=1e-7)
    alone = hvp(quartic(x, y), x, Tensor(U))  # one node: one block
    np.testing.assert_allclose(alone.data, hessian_of_quartic()[:3, :3] @ U, rtol=1e-6, atol=1e-7)
    assert x.grad is None and not alone.requires_grad


def test_hvp_by_hand():
    A = np.array([[2.0, 1.0], [0.0, 3.0]])
    x = leaf(np.array([0.5, -1.0]))
    np.testing.assert_allclose(hvp(x @ A @ x, x, [1.0, 2.0]).data, (A + A.T) @ [1.0, 2.0])
    v = Value(3.0)
    assert hvp(v**3, v, 2.0).data == 2 * 18.0 and type(hvp(v**3, v, 2).data) is float


def test_hvp_is_zero_where_nothing_curves():
    x, unused = leaf(X), leaf(Y)
    for root in (lambda: (x * 2).sum(), lambda: (x * x).sum()):
        in_x, in_unused = hvp(root(), (x, unused), (U, V))
        assert in_unused.shape == (2, 3) and not in_unused.data.any()
    np.testing.assert_allclose(in_x.data, 2 * U)
    v = Value(3.0)
    assert hvp(v * 2, v, 1.0).data == 0.0
    assert hvp((x * x).sum(), (), ()) == ()


def test_hvp_again_and_again():
    x = leaf(X)
    root = ops.tanh(x).sum() ** 2
    first = hvp(root, x, U, retain_graph=True)
    np.testing.assert_array_equal(hvp(root, x, U).data, first.data)
    with pytest.raises(GraphError, match="retain_graph=True"):
        hvp(root, x, U)


def test_hvp_of_a_network_keeps_its_dtype():
    net = RNN(2, 3, rng=0)
    params = list(net.parameters())
    loss = lambda: (net(np.ones((4, 2), "float32"))[0] ** 2).mean()
    vectors = [rng.standard_normal(p.shape) for p in params]
    products, eps = hvp(loss(), params, vectors), 1e-2
    assert all(h.dtype == np.float32 and h.shape == p.shape for h, p in zip(products, params, strict=True))
    moved = []
    for sign in (1, -1):
        for p, v in zip(params, vectors, strict=True):
            p.data = p.data + sign * eps * v.astype("float32")
        moved.append(grad(loss(), params))
        for p, v in zip(params, vectors, strict=True):
            p.data = p.data - sign * eps * v.astype("float32")
    for h, above, below in zip(products, *moved, strict=True):
        np.testing.assert_allclose(h.data, (above.data - below.data) / (2 * eps), rtol=0.05, atol=1e-3)


def test_hvp_refuses():
    x, y = leaf(X), leaf(Y)
    for vectors in ((V, U), (U,), (U, V, V), (1.0, V)):
        with pytest.raises(ShapeError, match=r"hvp: vectors of shapes .* for inputs of shapes \[\(3,\), \(2, 3\)\]"):
            hvp(quartic(x, y), (x, y), vectors)
    with pytest.raises(GraphError, match="needs a seed"):
        hvp(x * x, x, U)
    with pytest.raises(GraphError, match="requires a gradient"):
        hvp((x * x).sum(), Tensor(X), U)


# --- third derivatives -----------------------------------------------------------------------------------------------

THIRD = {
    "product": lambda x: x * x * x * x[::-1],
    "division": lambda x: 1 / (x * x + 2),
    "power": lambda x: (x * x + 1) ** 2.5,
    "matmul": lambda x: ops.tanh(x.reshape(2, 2) @ x.reshape(2, 2).T),
    "softmax": lambda x: ops.softmax(x) * x,
    "entropy": lambda x: ops.cross_entropy(x.reshape(2, 2), [0, 1]),
    "reads": lambda x: x[0] * x[1:] * x[[0, 0, 3]],
    "unstack": lambda x: sum(a * a * b for a, b in zip(x, list(x)[1:], strict=False)),
    "broadcast": lambda x: (x.reshape(4, 1) * x).sum(axis=0) * x.mean(),
}


@pytest.mark.parametrize("function", THIRD.values(), ids=THIRD)
def test_third_derivatives(function):
    gradcheck(function, [np.array([0.4, -0.7, 0.9, 0.3])], order=3, rtol=1e-4, atol=1e-6)


def test_third_derivatives_of_a_value_by_hand():
    x = Value(0.7)
    d1 = grad(x.sin() * x**3, x, create_graph=True)
    d2 = grad(d1, x, create_graph=True)
    s, c = np.sin(0.7), np.cos(0.7)
    assert grad(d2, x).data == pytest.approx(6 * s + 18 * 0.7 * c - 9 * 0.49 * s - 0.343 * c)


# --- in every order of asking ----------------------------------------------------------------------------------------


def test_unused_inputs_have_no_gradient_at_any_order():
    x, y, unused = leaf(X), leaf(X), leaf(X)
    gx, gy, nothing = grad((x * y).sum() + (x * x).sum(), (x, y, unused), create_graph=True)
    assert nothing is None
    in_x, in_y, nothing = grad(gx.sum(), (x, y, unused), create_graph=True)
    np.testing.assert_allclose((in_x.data, in_y.data), (np.full(3, 2.0), np.ones(3)))
    assert nothing is None and not in_x.requires_grad  # constant: nothing left to differentiate
    assert grad(gy.sum(), (x, y))[1] is None
    detached = grad((x.detach() * y).sum(), (x, y))
    assert detached[0] is None and np.array_equal(detached[1].data, X)
    with no_grad():
        constant = (x * x).sum()
    assert grad(constant + y.sum(), (x, y))[0] is None


def test_a_retained_graph_gives_the_same_again():
    x = leaf(X)
    h = ops.tanh(x)
    y = (h * h).sum()
    first = grad(y, x, retain_graph=True)
    np.testing.assert_array_equal(grad(y, x, retain_graph=True).data, first.data)
    y.backward(retain_graph=True)
    np.testing.assert_array_equal(x.grad, first.data)
    second = grad(grad(y, x, create_graph=True).sum(), x)  # frees the graph of y, on which it depends
    np.testing.assert_allclose(second.data, 2 * (1 - h.data**2) * (1 - 3 * h.data**2))
    with pytest.raises(GraphError, match="retain_graph"):
        y.backward()
    np.testing.assert_array_equal(x.grad, first.data)  # the refused sweep added nothing


def test_create_graph_keeps_the_graph_unless_told_otherwise():
    x = leaf(X)
    y = (x * x * x).sum()
    grad(y, x, create_graph=True)
    y.backward()
    np.testing.assert_allclose(x.grad, 3 * X * X)


def test_gradients_of_parts_of_a_batch_add_up_to_those_of_the_whole():
    net, x = Linear(3, 2, rng=0, dtype="float64"), rng.standard_normal((8, 3))
    (net(x) ** 2).sum().backward()
    whole = [p.grad for p in net.parameters()]
    net.zero_grad()
    for k in range(0, 8, 2):
        (net(x[k : k + 2]) ** 2).sum().backward()
    for p, g in zip(net.parameters(), whole, strict=True):
        np.testing.assert_allclose(p.grad, g, rtol=1e-12)
    y = (net(x) ** 2).sum()
    y.backward(retain_graph=True)
    y.backward()
    for p, g in zip(net.parameters(), whole, strict=True):
        np.testing.assert_allclose(p.grad, 3 * g, rtol=1e-12)


def test_backward_through_a_gradient_adds_to_leaves():
    x = leaf(X)
    g = grad((x**3).sum(), x, create_graph=True)
    ((g * g).sum() + x.sum()).backward()  # a gradient penalty
    np.testing.assert_allclose(x.grad, 2 * 3 * X**2 * 6 * X + 1)
