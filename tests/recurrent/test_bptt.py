"""Truncated and checkpointed back-propagation through time, and RTRL."""

import tracemalloc

import numpy as np
import pytest

from minigrad import Tensor, errors, grad, nn
from minigrad.compiled import workspace
from minigrad.recurrent.bptt import checkpoint, checkpointed, rtrl, truncated


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def grads(layer):
    return [p.grad for p in layer.parameters()]


@pytest.mark.parametrize("nonlinearity", ["tanh", "sigmoid", "relu"])
def test_rtrl_equals_backpropagation(rng, nonlinearity):
    rnn = nn.RNN(2, 3, nonlinearity=nonlinearity, rng=0, dtype="float64")
    x, h, weights = rng.standard_normal((6, 2)), rng.standard_normal(3), rng.standard_normal((6, 3))
    (rnn(Tensor(x), Tensor(h[None]))[0] * weights).sum().backward()
    found = rtrl(x, h, *(p.data for p in rnn.parameters()), weights, nonlinearity)
    for mine, theirs in zip(found, grads(rnn), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("k1, k2", [(3, 3), (2, 6), (4, 8), (20, 20)])
@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM])
def test_truncated_values_are_those_of_one_run_and_gradients_reach_back_k2(rng, kind, k1, k2):
    layer = kind(2, 3, rng=0, dtype="float64")
    x = Tensor(rng.standard_normal((11, 1, 2)), requires_grad=True)
    whole = layer(x)[0].data
    seen = []
    for steps, output, state in truncated(layer, x, k1, k2):
        np.testing.assert_allclose(output.data, whole[steps], rtol=0, atol=1e-14)
        reach = grad(output[-1].sum(), x).data.any(axis=(1, 2))
        assert reach[max(0, steps.start + k1 - k2) : steps.stop].all()
        assert not reach[: max(0, steps.start + k1 - k2)].any()
        assert not (state[0] if isinstance(state, tuple) else state).requires_grad
        seen += range(11)[steps]
    assert seen == list(range(11))


@pytest.mark.parametrize("k1, k2", [(0, 1), (2, 1), (2, 3)])
def test_impossible_truncations(k1, k2):
    with pytest.raises(errors.OptionError, match="k2"):
        next(truncated(None, np.ones(3), k1, k2))


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("segments", [None, 1, 4, 10])
def test_checkpoints_change_no_gradient(rng, kind, segments):
    layer = kind(2, 3, num_layers=2, rng=0, dtype="float64")
    x = Tensor(rng.standard_normal((10, 2, 2)), requires_grad=True)
    state = tuple(Tensor(rng.standard_normal((2, 2, 3)), requires_grad=True) for _ in layer.states)
    weights = rng.standard_normal((10, 2, 3))

    def run(f):
        for leaf in (x, *state, *layer.parameters()):
            leaf.grad = None
        output, after = f()
        last = after[-1] if isinstance(after, tuple) else after
        ((output * weights).sum() + (last * last).sum()).backward()
        return [output.data, x.grad, *(s.grad for s in state), *grads(layer)]

    plain = run(lambda: layer(x * 1.0, state if len(state) > 1 else state[0]))
    saved = run(lambda: checkpointed(layer, x * 1.0, state, segments))
    for a, b in zip(plain, saved, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_checkpoints_save_memory(rng, kernels):
    layer = nn.LSTM(4, 16, rng=0)
    x = Tensor(np.float32(rng.standard_normal((400, 4, 4))))
    state = tuple(Tensor(np.zeros((1, 4, 16), "float32")) for _ in range(2))

    def peak(f):
        f()[0].sum().backward()  # the first use loads kernels, which takes memory once
        workspace.release()  # memory that waits to be used again would not be counted
        tracemalloc.start()
        f()[0].sum().backward()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(lambda: checkpointed(layer, x, state)) < 0.4 * peak(lambda: layer(x, state))


def test_checkpoint_refuses_what_would_be_wrong(rng):
    w = Tensor(np.ones(3), requires_grad=True)
    y = checkpoint(lambda x: x * w, Tensor(np.ones(3)), params=[w])
    with pytest.raises(errors.GraphError, match="higher derivatives"):
        grad(y.sum(), w, create_graph=True)
    w.data = w.data * 2
    with pytest.raises(errors.GraphError, match="replaced"):
        y.sum().backward()
    with pytest.raises(errors.GraphError, match="dropout"):
        checkpointed(nn.RNN(1, 1, num_layers=2, dropout=0.5), np.ones((3, 1, 1)), ())
    with pytest.raises(errors.OptionError, match="segments"):
        checkpointed(nn.RNN(1, 1), np.ones((3, 1, 1)), (), segments=4)
