"""Learning symbol by symbol in the experiment follows the truncated gradient of whole strings."""

import numpy as np
import pytest

from unrolled.experiments import reber, reber_online


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


@pytest.mark.parametrize(("blocks", "size"), [(4, 1), (3, 2)])
def test_what_a_string_teaches_is_its_truncated_gradient(blocks, size):
    rng = np.random.default_rng(0)
    x, target, legal, lengths = reber.strings_apart(rng)
    T, gates = lengths[0], 2 * blocks
    W, V = (8 * part for part in reber_online.start(blocks, size, rng))
    net = reber.Cell1997(blocks, size, rng)
    net.U.data, net.b.data, net.V.data = W[:, :-1].copy(), W[:gates, -1].copy(), V.copy()

    def error(u):
        y = sigmoid(u)
        return (y - np.eye(7)[target[:T, :1]]) * y * (1 - y)

    net.backward(x[:T, :1], error)
    rate = 1e-7  # so small that the weights are the same at every symbol
    learnt = W.copy(), V.copy()
    reber_online.read(x[:T, 0], target[:T, 0], legal[:T, 0], *learnt, blocks, size, rate)
    by_W, by_V = (W - learnt[0]) / rate, (V - learnt[1]) / rate
    assert np.allclose(by_W[:, :-1], net.U.grad, rtol=1e-4, atol=1e-7)
    assert np.allclose(by_W[:gates, -1], net.b.grad, rtol=1e-4, atol=1e-7)
    assert np.allclose(by_V, net.V.grad, rtol=1e-4, atol=1e-7)
    assert (by_W[gates:, -1] == 0).all()  # cells have no bias


def test_a_string_is_right_where_the_readout_says_so():
    rng = np.random.default_rng(1)
    x, target, legal, lengths = reber.strings_apart(rng)
    W, V = (8 * part for part in reber_online.start(3, 2, rng))
    V[:] = 0
    W_before = W.copy()
    strings = [(x[:T, n], target[:T, n], legal[:T, n]) for n, T in enumerate(lengths)]
    assert not any(reber_online.read(*string, W, V, 3, 2, 0.0) for string in strings)  # all outputs are alike
    everything = np.ones_like(strings[0][2])
    assert reber_online.read(*strings[0][:2], everything, W, V, 3, 2, 0.0)  # nothing is illegal
    assert (W == W_before).all() and (V == 0).all()
