"""The truncated gradient by hand in the experiment against the engine's, and what counts as right."""

from dataclasses import replace

import numpy as np
import pytest

from minigrad import Tensor, nn
from minigrad.recurrent.spec import CELLS
from unrolled.experiments import reber as experiment


@pytest.mark.parametrize(("blocks", "size"), [(4, 1), (3, 2)])
def test_the_gradient_by_hand_is_the_truncated_one(blocks, size):
    rng = np.random.default_rng(0)
    net, cells, gates = experiment.Cell1997(blocks, size, rng), blocks * size, 2 * blocks
    for p in net.parameters:
        p.data = 4 * p.data
    lstm = nn.LSTM(7, cells, spec=replace(CELLS["1997"], block_size=size), dtype="float64")
    rows = np.r_[0:blocks, gates : gates + cells, blocks:gates]  # i, z, o
    U = net.U.data[rows]
    lstm.weight_ih_l0.data, lstm.weight_gh_l0.data = U[:, :7], U[:, 7 : 7 + gates]
    lstm.weight_hh_l0.data, lstm.bias_l0.data = U[:, 7 + gates :], net.b.data
    x, seed = rng.standard_normal((2, 8, 5, 7))
    V = Tensor(net.V.data, "float64", requires_grad=True)
    y = lstm(Tensor(x, "float64"))[0] @ V.T
    assert np.allclose(net.readout(x), y.data, rtol=0, atol=1e-12)
    y.backward(seed)
    net.backward(x, lambda u: seed)
    grad = net.U.grad[rows]
    assert np.allclose(grad[:, :7], lstm.weight_ih_l0.grad, rtol=0, atol=1e-12)
    assert np.allclose(grad[:, 7 : 7 + gates], lstm.weight_gh_l0.grad, rtol=0, atol=1e-12)
    assert np.allclose(grad[:, 7 + gates :], lstm.weight_hh_l0.grad, rtol=0, atol=1e-12)
    assert np.allclose(net.b.grad, lstm.bias_l0.grad, rtol=0, atol=1e-12)
    assert np.allclose(net.V.grad, V.grad, rtol=0, atol=1e-12)


def test_one_step_keeps_the_states_and_cuts_the_past():
    x = np.random.default_rng(0).standard_normal((6, 2, 7))
    cut, full = (experiment.Layered(net, np.random.default_rng(1)) for net in ("elman, one step", "elman"))
    assert np.allclose(cut.readout(x), full.readout(x), rtol=0, atol=1e-12)
    R = []
    for net in (cut, full):
        net(x).sum().backward()
        R.append(net.rnn.weight_hh_l0.grad)
    assert not np.allclose(*R)


def test_a_string_is_right_where_all_legal_symbols_lead():
    legal = np.zeros((2, 2, 7), bool)
    legal[0, :, [1, 2]] = legal[1, 0, 3] = True  # the second string ends after one step
    y = np.zeros((2, 2, 7))
    y[0, :, [1, 2]], y[1, 0, 3] = 1, 1
    assert experiment.correct(y, legal).tolist() == [True, True]
    y[0, 1, 4] = 1
    assert experiment.correct(y, legal).tolist() == [True, False]


def test_test_strings_are_new_and_different():
    _, target, legal, lengths = experiment.strings_apart(np.random.default_rng(0))
    spelt = ["".join(map(str, column)) for column in target.T]
    assert len(spelt) == 512 and len(set(spelt[256:])) == 256
    assert not set(spelt[:256]) & set(spelt[256:])
    assert (legal.any(axis=2).sum(axis=0) == lengths).all()
