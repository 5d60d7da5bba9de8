"""The RNN layer: every layout, every gradient against backpropagation through time written by hand."""

import numpy as np
import pytest

from minigrad import Tensor, grad, gradcheck, no_grad
from minigrad.errors import DTypeError, ShapeError
from minigrad.nn import RNN

T, B, I, H = 5, 3, 2, 4  # noqa: E741  (the sizes of the equations)
F = {
    "tanh": (np.tanh, lambda h: 1 - h**2),
    "sigmoid": (lambda a: 1 / (1 + np.exp(-a)), lambda h: h * (1 - h)),
    "relu": (lambda a: np.maximum(a, 0), lambda h: (h > 0) * 1.0),
}
rng = np.random.default_rng(11)
X, H0, SEED, SEED_N = (rng.standard_normal(s) for s in ((T, B, I), (1, B, H), (T, B, H), (1, B, H)))


def by_hand(rnn, x, h_0, seed, seed_n):
    """The forward loop, and backpropagation through time: returns outputs, h_n and all gradients."""
    f, slope = F[rnn.nonlinearity]
    W, R = rnn.weight_ih_l0.data, rnn.weight_hh_l0.data
    b = 0 if rnn.bias_l0 is None else rnn.bias_l0.data
    states = [h_0[0]]
    for t in range(len(x)):
        states.append(f(x[t] @ W.T + states[-1] @ R.T + b))
    dW, dR, db, dx = np.zeros_like(W), np.zeros_like(R), np.zeros(len(R)), np.zeros_like(x)
    dh = seed_n[0].copy()
    for t in reversed(range(len(x))):
        da = (dh + seed[t]) * slope(states[t + 1])
        dW += da.T @ x[t]
        dR += da.T @ states[t]
        db += da.sum(axis=0)
        dx[t] = da @ W
        dh = da @ R
    return np.stack(states[1:]), states[-1][None], dW, dR, db, dx, dh[None]


@pytest.mark.parametrize("nonlinearity", F)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layout", ["time first", "batch first", "no batch"])
def test_outputs_and_every_gradient_equal_those_by_hand(nonlinearity, bias, layout):
    rnn = RNN(I, H, nonlinearity=nonlinearity, bias=bias, batch_first=layout == "batch first", rng=1, dtype="float64")
    n = 1 if layout == "no batch" else B
    arrays = X[:, :n], H0[:, :n], SEED[:, :n], SEED_N[:, :n]
    to = {"time first": lambda a: a, "batch first": lambda a: a.swapaxes(0, 1), "no batch": lambda a: a[:, 0]}[layout]
    state = (lambda a: a[:, 0]) if layout == "no batch" else (lambda a: a)
    x, h_0 = Tensor(to(arrays[0]), requires_grad=True), Tensor(state(arrays[1]), requires_grad=True)
    output, h_n = rnn(x, h_0)
    ys, last, dW, dR, db, dx, dh_0 = by_hand(rnn, *arrays)
    assert output.shape == to(ys).shape and h_n.shape == state(last).shape
    np.testing.assert_allclose(output.data, to(ys), rtol=1e-12)
    np.testing.assert_allclose(h_n.data, state(last), rtol=1e-12)
    ((output * to(arrays[2])).sum() + (h_n * state(arrays[3])).sum()).backward()
    right = [dW, dR, *([db] if bias else []), to(dx), state(dh_0)]
    for p, g in zip([*rnn.parameters(), x, h_0], right, strict=True):
        assert p.grad.shape == p.shape
        np.testing.assert_allclose(p.grad, g, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("nonlinearity", F)
def test_gradients_equal_central_differences(nonlinearity):
    rnn = RNN(I, H, nonlinearity=nonlinearity, rng=1, dtype="float64")

    def function(x, h_0, *weights):
        vars(rnn).update(zip(("weight_ih_l0", "weight_hh_l0", "bias_l0"), weights, strict=True))
        return rnn(x, h_0)

    order = 1 if nonlinearity == "relu" else 2
    gradcheck(function, [X[:3, :2], H0[:, :2], *rnn.parameters()], order=order)


def test_without_h_0_the_state_starts_at_zero():
    rnn = RNN(I, H, rng=1, dtype="float64")
    for a, b in zip(rnn(X), rnn(X, np.zeros((1, B, H))), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    np.testing.assert_array_equal(rnn(X)[0].data[-1], rnn(X)[1].data[0])


def test_a_sequence_in_two_pieces_is_the_sequence():
    rnn = RNN(I, H, rng=1, dtype="float64")
    whole, _ = rnn(X, H0)
    first, h = rnn(X[:2], H0)
    second, _ = rnn(X[2:], h)
    np.testing.assert_allclose(np.concatenate([first.data, second.data]), whole.data)
    second.sum().backward()
    through = rnn.weight_hh_l0.grad
    rnn.zero_grad()
    whole[2:].sum().backward()
    np.testing.assert_allclose(through, rnn.weight_hh_l0.grad)  # the gradient flows through h


def test_float32_stays_float32():
    rnn = RNN(I, H, rng=0)
    output, h_n = rnn(X.astype("float32"))
    assert output.dtype == h_n.dtype == np.float32
    output.sum().backward()
    assert all(p.grad.dtype == np.float32 for p in rnn.parameters())
    assert rnn(X[:, 0].tolist())[0].shape == (T, H)  # lists become the default dtype


def test_the_same_seed_gives_the_same_weights_and_names_are_pytorchs():
    a, b = RNN(I, H, rng=3), RNN(I, H, rng=np.random.default_rng(3))
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert np.array_equal(p.data, q.data) and np.abs(p.data).max() <= 1 / np.sqrt(H)
    assert {k: v.shape for k, v in a.state_dict().items()} == {
        "weight_ih_l0": (H, I), "weight_hh_l0": (H, H), "bias_l0": (H,),
    }  # fmt: skip
    assert not np.array_equal(RNN(I, H).weight_hh_l0.data, RNN(I, H).weight_hh_l0.data)


def test_no_graph_under_no_grad_and_no_gradient_for_a_detached_state():
    rnn = RNN(I, H, rng=1, dtype="float64")
    with no_grad():
        assert not rnn(X)[0].requires_grad
    h = Tensor(H0, requires_grad=True)
    assert grad(rnn(X, h.detach())[0].sum(), h) is None


@pytest.mark.parametrize("shape", [(T,), (T, B, I, 1), (0, B, I), (T, 0, I), (T, B, I + 1), (T, I + 1), ()])
def test_inputs_that_do_not_fit(shape):
    with pytest.raises(ShapeError) as error:
        RNN(I, H)(Tensor(np.ones(shape, "float32")))
    assert str(shape) in str(error.value) and "RNN" in str(error.value)


def test_states_that_do_not_fit():
    rnn = RNN(I, H, dtype="float64")
    for x, h_0, right in [(X, H0[0], (1, B, H)), (X[:, 0], H0, (1, H)), (X, H0[:, :2], (1, B, H))]:
        with pytest.raises(ShapeError) as error:
            rnn(x, h_0)
        assert str(h_0.shape) in str(error.value) and str(right) in str(error.value)
    with pytest.raises(ShapeError, match=rf"h_0.*must be {H}"):
        rnn(X, np.ones((1, B, H + 1)))


def test_two_widths_meeting_in_a_layer():
    rnn = RNN(I, H)
    with pytest.raises(DTypeError, match="RNN: the input is float64, the weights are float32; cast"):
        rnn(X)
    with pytest.raises(DTypeError, match="RNN: h_0: the input is float64, the weights are float32; cast"):
        rnn(X.astype("float32"), H0)


def test_refusals_of_the_constructor():
    with pytest.raises(ValueError, match="tanh, sigmoid, relu, not 'elu'"):
        RNN(I, H, nonlinearity="elu")
    for sizes in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            RNN(*sizes)
