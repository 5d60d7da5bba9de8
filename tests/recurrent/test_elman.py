"""The Elman cell: the layer, the step in a loop and a plain NumPy loop give the same numbers."""

import numpy as np
import pytest

from minigrad import Tensor, grad, gradcheck, relu, sigmoid, tanh
from minigrad.nn import RNN
from minigrad.recurrent.elman import elman, elman_step

rng = np.random.default_rng(5)
T, B, I, H = 6, 2, 3, 4  # noqa: E741  (the sizes of the equations)
X, H0, W, R, b = (rng.standard_normal(s) for s in ((T, B, I), (B, H), (H, I), (H, H), (H,)))
NUMPY = {tanh: np.tanh, sigmoid: lambda a: 1 / (1 + np.exp(-a)), relu: lambda a: np.maximum(a, 0)}


def looped(x, h, W, R, b, f=tanh):
    states = []
    for t in range(T):
        h = elman_step(x[t], h, W, R, b, f)
        states.append(h)
    return states


@pytest.mark.parametrize("f", NUMPY)
def test_layer_step_and_numpy_agree(f):
    right, h = [], H0
    for x in X:
        h = NUMPY[f](x @ W.T + h @ R.T + b)
        right.append(h)
    states, last = elman(*map(Tensor, (X, H0, W, R, b)), f)
    np.testing.assert_allclose(states.data, right, rtol=1e-12)
    np.testing.assert_array_equal(last.data, states.data[-1])
    np.testing.assert_allclose([h.data for h in looped(*map(Tensor, (X, H0, W, R, b)), f)], right, rtol=1e-12)
    rnn = RNN(I, H, nonlinearity=f.__name__, dtype="float64")
    rnn.load_state_dict({"weight_ih_l0": W, "weight_hh_l0": R, "bias_l0": b})
    np.testing.assert_allclose(rnn(X, H0[None])[0].data, right, rtol=1e-12)


def test_the_step_on_arrays_is_the_equation():
    np.testing.assert_allclose(elman_step(X[0], H0, W, R, b), np.tanh(X[0] @ W.T + H0 @ R.T + b))


@pytest.mark.parametrize("f", [tanh, sigmoid])
def test_whole_sequence_and_looped_step_have_the_same_gradients(f):
    leaves = [Tensor(a, requires_grad=True) for a in (X, H0, W, R, b)]
    weight = rng.standard_normal((T, B, H))
    whole = grad((elman(*leaves, f)[0] * weight).sum(), leaves)
    steps = grad(sum((h * w).sum() for h, w in zip(looped(*leaves, f), weight, strict=True)), leaves)
    for a, c in zip(whole, steps, strict=True):
        np.testing.assert_allclose(a.data, c.data, rtol=1e-9, atol=1e-12)


def test_gradients_equal_central_differences():
    gradcheck(lambda *leaves: elman(*leaves), [X[:2], H0, W, R, b], order=2)
    gradcheck(lambda x, h, W, R: elman(x, h, W, R, 0.0)[1], [X[:2], H0, W, R])  # without a bias


def test_the_gradient_through_time_is_the_product_of_the_steps():
    h = Tensor(H0[0], requires_grad=True)  # without a batch, dh_T / dh_0 is a product of T matrices
    states = looped(X[:, 0], h, W, R, b)
    jacobian = np.eye(H)
    for state in states:
        jacobian = (1 - state.data**2)[:, None] * R @ jacobian
    for k in range(H):
        row = grad(states[-1], h, seed=np.eye(H)[k], retain_graph=True)
        np.testing.assert_allclose(row.data, jacobian[k], rtol=1e-9, atol=1e-15)
