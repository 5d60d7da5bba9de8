"""The online, forward-going gradient of the experiment against the engine's truncated one."""

import numpy as np
import pytest

from minigrad import Tensor, nn, sigmoid
from minigrad.recurrent.spec import CellSpec
from unrolled.experiments import continual_reber as experiment


@pytest.mark.parametrize("algorithm", ["standard", "forget"])
def test_learning_follows_the_truncated_gradient(algorithm):
    rng = np.random.default_rng(0)
    W, V = (3 * w for w in experiment.start(rng))
    symbols, legal = experiment.pool(2000, rng)
    end = np.flatnonzero((symbols == experiment.E) & (np.roll(symbols, -1) == experiment.B))[0] + 1
    lr, forgets = 1e-7, algorithm == "forget"  # so small that the weights stay as they are
    W_after, V_after = W.copy(), V.copy()
    experiment.run(symbols, legal, 0, 1000, W_after, V_after, lr, -1.0 if forgets else 1.0, False, True)

    spec = CellSpec(
        forget_gate=forgets,
        block_size=2,
        input_squashing="4s-2",
        output_squashing="2s-1",
        biases=("gates",),
        truncate=True,
    )
    lstm = nn.LSTM(7, 8, spec=spec, dtype="float64")
    rows = np.r_[0:4, 4 : 4 + 4 * forgets, 12:20, 8:12]  # i, f, z, o
    lstm.weight_ih_l0.data, lstm.weight_hh_l0.data = W[rows, :7], W[rows, 7:15]
    lstm.bias_l0.data = W[np.r_[0:4, 4 : 4 + 4 * forgets, 8:12], 15]
    x = np.eye(7)[symbols[:end], None]
    outputs = Tensor(V, "float64", requires_grad=True)
    h, _ = lstm(Tensor(x, "float64"))
    y = sigmoid(h @ outputs[:, :8].T + x @ outputs[:, 8:15].T + outputs[:, 15])
    (((y - np.eye(7)[symbols[1 : end + 1], None]) ** 2).sum() / 2).backward()

    close = {"rtol": 1e-4, "atol": 1e-7}
    assert np.allclose((V - V_after) / lr, outputs.grad, **close)
    moved = ((W - W_after) / lr)[rows]
    assert np.allclose(moved[:, :7], lstm.weight_ih_l0.grad, **close)
    assert np.allclose(moved[:, 7:15], lstm.weight_hh_l0.grad, **close)
    assert np.abs(moved).max() > 0.01


def test_a_reset_clears_what_a_string_left():
    rng = np.random.default_rng(1)
    W, V = (3 * w for w in experiment.start(rng))
    symbols, legal = experiment.pool(2000, rng)
    end = np.flatnonzero((symbols == experiment.E) & (np.roll(symbols, -1) == experiment.B))[4] + 1
    legal[:end] = True  # nothing in the first five strings is an error
    read = lambda at, reset: experiment.run(symbols, legal, at, 1000, W, V, 0.0, 1.0, reset, False)
    assert read(0, True) == end + read(end, True)


def test_a_pool_is_made_of_whole_strings():
    symbols, legal = experiment.pool(2000, np.random.default_rng(0))
    assert symbols[0] == experiment.B and symbols[-1] == experiment.E
    assert legal[np.arange(len(symbols)), np.roll(symbols, -1)].all()
