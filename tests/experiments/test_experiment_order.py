"""The forget gate that stands in for a missing carousel, and guessing."""

import numpy as np

from minigrad import no_grad
from unrolled import tasks
from unrolled.experiments import order as experiment


def test_a_gate_held_shut_stays_shut():
    rng = np.random.default_rng(0)
    net = experiment.Net("gates", rng)
    x, _, lengths = tasks.temporal_order(4, rng, length=10)
    net(x, lengths).sum().backward()
    net.hold()
    assert all((p.grad[8:16] == 0).all() for p in net.rnn.parameters())
    with no_grad():
        _, (_, c) = net.rnn(x[:1])
        _, (_, later) = net.rnn(x[:2])
        _, (_, same) = net.rnn(x[1:2], (net.rnn(x[:1])[1][0], 0 * c))
    assert np.allclose(later.data, same.data, rtol=0, atol=1e-7)  # c_2 does not know c_1


def test_guessing_finds_a_net_that_is_right_on_all_sequences():
    draws = experiment.guess("two_sequence", np.random.default_rng(0), 5000)
    assert draws == experiment.guess("two_sequence", np.random.default_rng(0), 5000)
    assert draws == experiment.guess("two_sequence", np.random.default_rng(0), draws + 199)
    assert experiment.guess("temporal_order", np.random.default_rng(0), 200) is None
