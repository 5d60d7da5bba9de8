"""The GRU layer: its equations, layouts, names, states carried and learned, gradients, refusals."""

import numpy as np
import pytest

from minigrad import Tensor, gradcheck
from minigrad.errors import DTypeError, OptionError, ShapeError
from minigrad.nn import GRU, Parameter

T, B, I, H = 5, 3, 2, 4  # noqa: E741  (the sizes of the equations)
rng = np.random.default_rng(11)
X, H0 = rng.standard_normal((T, B, I)), rng.standard_normal((1, B, H))


def layer(*args, **options):
    return GRU(I, H, *args, rng=1, dtype="float64", **options)


def s(a):
    return 1 / (1 + np.exp(-a))


@pytest.mark.parametrize("bias", [True, False])
def test_the_layer_is_its_equations(bias):
    gru = layer(bias=bias)
    (W_r, W_u, W_n), (R_r, R_u, R_n) = (np.split(p.data, 3) for p in (gru.weight_ih_l0, gru.weight_hh_l0))
    b_r, b_u, b_n = np.split(gru.bias_l0.data, 3) if bias else np.zeros((3, H))
    b_hn = gru.bias_hn_l0.data if bias else 0
    output, h_n = gru(X, H0)
    for b in range(B):
        h = H0[0, b]
        for t in range(T):
            x = X[t, b]
            r, u = s(W_r @ x + R_r @ h + b_r), s(W_u @ x + R_u @ h + b_u)
            h = u * h + (1 - u) * np.tanh(W_n @ x + b_n + r * (R_n @ h + b_hn))  # u keeps, as in Cho et al. 2014
            np.testing.assert_allclose(output.data[t, b], h, rtol=1e-12)
        np.testing.assert_allclose(h_n.data[0, b], h, rtol=1e-12)


def test_layouts_are_transposes_of_each_other():
    whole, h_n = layer()(X, H0)
    assert whole.shape == (T, B, H) and h_n.shape == (1, B, H)
    batch_first, last = layer(batch_first=True)(X.swapaxes(0, 1), H0)  # the state stays layers first
    np.testing.assert_allclose(batch_first.data, whole.data.swapaxes(0, 1), rtol=1e-12)
    np.testing.assert_allclose(last.data, h_n.data, rtol=1e-12)
    for options in ({}, {"batch_first": True}):
        alone, h_1 = layer(**options)(X[:, 1], H0[:, 1])
        assert alone.shape == (T, H) and h_1.shape == (1, H)
        np.testing.assert_allclose(alone.data, whole.data[:, 1], rtol=1e-12)


def test_without_h_0_the_state_starts_at_zero():
    for a, b in zip(layer()(X), layer()(X, np.zeros((1, B, H))), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


def test_names_and_shapes():
    shapes = {name: p.shape for name, p in GRU(I, H, 2, bidirectional=True).named_parameters()}
    assert list(shapes.items()) == [
        (f"{name}_l{k}{way}", shape)
        for k in (0, 1)
        for way in ("", "_reverse")
        for name, shape in (
            ("weight_ih", (3 * H, 2 * H if k else I)),
            ("weight_hh", (3 * H, H)),
            ("bias", (3 * H,)),
            ("bias_hn", (H,)),
        )
    ]
    assert list(GRU(I, H, bias=False).state_dict()) == ["weight_ih_l0", "weight_hh_l0"]


def test_the_same_seed_gives_the_same_weights():
    a, b, fresh = GRU(I, H, rng=3), GRU(I, H, rng=np.random.default_rng(3)), GRU(I, H)
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert np.array_equal(p.data, q.data) and np.abs(p.data).max() <= 1 / np.sqrt(H)
    assert not np.array_equal(a.weight_hh_l0.data, fresh.weight_hh_l0.data)


def test_a_state_carried_across_chunks_is_one_long_run():
    gru, h = layer(2), np.repeat(H0, 2, axis=0)
    whole, last = gru(X, h)
    pieces = []
    for chunk in (X[:2], X[2:3], X[3:]):
        output, h = gru(chunk, h)
        h = h.detach()
        pieces.append(output.data)
    np.testing.assert_allclose(np.concatenate(pieces), whole.data, rtol=1e-12)
    np.testing.assert_allclose(h.data, last.data, rtol=1e-12)
    _, h = gru(X[:2])
    gru(X[2:], h)[0].sum().backward()
    through = [p.grad for p in gru.parameters()]
    gru.zero_grad()
    gru(X)[0][2:].sum().backward()
    for g, p in zip(through, gru.parameters(), strict=True):
        np.testing.assert_allclose(g, p.grad, rtol=1e-9, atol=1e-12)


def test_a_detached_state_ends_the_gradient():
    gru, x = layer(), Tensor(X, requires_grad=True)
    _, h = gru(x[:3])
    gru(x[3:], h.detach())[0].sum().backward()
    assert not x.grad[:3].any() and x.grad[3:].all()


def test_a_learnable_state_of_batch_1_serves_the_whole_batch():
    gru, h_0 = layer(bidirectional=True), Parameter(rng.standard_normal((2, 1, H)), "float64")
    repeated = Tensor(np.repeat(h_0.data, B, axis=1), requires_grad=True)
    one, many = gru(X, h_0), gru(X, repeated)
    np.testing.assert_array_equal(one[0].data, many[0].data)
    (one[0] ** 2).sum().backward()
    (many[0] ** 2).sum().backward()
    assert h_0.grad.shape == (2, 1, H)
    np.testing.assert_allclose(h_0.grad, repeated.grad.sum(axis=1, keepdims=True), rtol=1e-10)


@pytest.mark.parametrize("lengths", [None, [2, 5, 3]], ids=["full", "lengths"])
def test_float32_stays_float32(lengths):
    gru, x = GRU(I, H, 2, bidirectional=True, rng=0), Tensor(X.astype("float32"), requires_grad=True)
    output, h_n = gru(x, lengths=lengths)
    assert output.dtype == h_n.dtype == np.float32
    (output.sum() + h_n.sum()).backward()
    assert all(p.dtype == p.grad.dtype == np.float32 for p in (x, *gru.parameters()))


@pytest.mark.parametrize(("sizes", "order"), [((2, 2, 3), 1), ((1, 2, 2), 2)], ids=["first", "second"])
def test_gradients_equal_central_differences(sizes, order):
    inputs, hidden, steps = sizes
    gru = GRU(inputs, hidden, rng=1, dtype="float64")

    def function(x, h_0, *weights):
        vars(gru).update(zip(("weight_ih_l0", "weight_hh_l0", "bias_l0", "bias_hn_l0"), weights, strict=True))
        return gru(x, h_0)

    gradcheck(function, [X[:steps, :2, :inputs], H0[:, :2, :hidden], *gru.parameters()], order=order)


def test_refusals():
    with pytest.raises(OptionError, match="GRU: sizes are at least 1"):
        GRU(0, H)
    with pytest.raises(OptionError, match=r"GRU: dropout=0\.1 acts between layers"):
        GRU(I, H, dropout=0.1)
    with pytest.raises(ShapeError, match=r"GRU: h_0 has shape \(1, 2, 4\), for this input it must be \(1, 3, 4\)"):
        layer()(X, H0[:, :2])
    with pytest.raises(ShapeError, match=r"GRU: the input has shape \(5, 3, 1\), its last axis must be 2"):
        layer()(X[..., :1])
    with pytest.raises(DTypeError, match="GRU: the input is float32, the weights are float64; cast"):
        layer()(X.astype("float32"))
    with pytest.raises(DTypeError, match="GRU: h_0: the input is a tuple"):
        layer()(X, (H0, H0))
