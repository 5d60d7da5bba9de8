import math

import numpy as np
import pytest

from unrolled.tasks import delayed_recall, two_sequence

SEEDS = range(5)
VARIANTS = ("3a", "3b", "3c")


@pytest.mark.parametrize("lag", [0, 1, 10, 100])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_bit_the_wait_and_the_question(lag, seed):
    inputs, targets = delayed_recall(200, seed, lag=lag, noise=0.5)
    assert inputs.shape == (lag + 2, 200, 2) and targets.shape == (200,)
    assert inputs.dtype == np.float32 and targets.dtype == np.int64
    assert np.array_equal(inputs[0, :, 0] > 0, targets == 1) and set(abs(inputs[0, :, 0]).tolist()) == {1}
    assert inputs[1:-1, :, 0].all() and not inputs[-1, :, 0].any()
    assert not inputs[:-1, :, 1].any() and (inputs[-1, :, 1] == 1).all()


@pytest.mark.parametrize("noise", [0, 0.2, 2])
def test_noise_is_a_standard_deviation(noise):
    distractors = delayed_recall(2000, 0, lag=20, noise=noise)[0][1:-1, :, 0]
    assert abs(distractors.std() - noise) <= 0.02 * noise and abs(distractors.mean()) <= 0.02 * noise


def test_bits_are_fair_and_the_distractors_do_not_tell():
    inputs, targets = delayed_recall(20_000, 1)
    assert abs(targets.mean() - 0.5) < 0.02
    told = [np.corrcoef(step[:, 0], targets)[0, 1] for step in inputs[1:-1]]
    assert len(told) == 10 and np.abs(told).max() < 0.04


@pytest.mark.parametrize("informative", [1, 3])
@pytest.mark.parametrize("noise", VARIANTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_informative_elements(informative, noise, seed):
    inputs, targets, lengths = two_sequence(400, seed, informative=informative, noise=noise)
    signs = np.sign(targets - 0.5)[:, 0]
    head = inputs[:informative, :, 0]
    if noise == "3a":
        assert np.array_equal(head, np.tile(signs, (informative, 1)))
    if noise == "3b":
        assert abs((head - signs).var() - 0.2) < 0.05 and abs((head - signs).mean()) < 0.08
        assert len(set(head.ravel().tolist())) == head.size
    if noise == "3c":
        assert set(head.ravel().tolist()) == {-1, 1} and (head == head[0]).all()
    body = [inputs[informative:end, n, 0] for n, end in enumerate(lengths)]
    assert abs(np.concatenate(body).var() - 0.2) < 0.01 and abs(np.concatenate(body).mean()) < 0.02
    assert all(element for sequence in body for element in sequence)
    assert not any(inputs[end:, n].any() for n, end in enumerate(lengths))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_targets(seed):
    for noise in "3a", "3b":
        targets = two_sequence(400, seed, noise=noise)[1]
        assert set(targets.ravel().tolist()) == {0, 1} and abs(targets.mean() - 0.5) < 0.1
    inputs, targets, _ = two_sequence(4000, seed, noise="3c")
    clean = np.where(inputs[0] > 0, 0.2, 0.8)  # the class shown as +1 has the smaller target
    for target in 0.2, 0.8:
        noisy = targets[clean == target]
        assert abs(noisy.mean() - target) < 0.03 and abs(noisy.var() - 0.1) < 0.015


def test_what_a_constant_answer_costs_and_the_best_reader():
    for noise, cost in ("3a", 0.25), ("3b", 0.25), ("3c", 0.19):
        assert abs(((two_sequence(20_000, 0, noise=noise)[1] - 0.5) ** 2).mean() - cost) < 0.005
    for informative, confused in (1, 1.3), (3, 0.005):
        bound = 50 * math.erfc(math.sqrt(informative / 0.2 / 2))  # per cent
        assert round(bound, 1 if informative == 1 else 3) == confused
    inputs, targets, _ = two_sequence(20_000, 0, informative=1, noise="3b")
    assert abs(((inputs[0] > 0) != (targets == 1)).mean() - 0.0127) < 0.003


@pytest.mark.parametrize("length", [4, 10, 100, 105])
def test_lengths_are_spread_over_a_tenth(length):
    inputs, targets, lengths = two_sequence(2000, 1, length=length)
    assert sorted(set(lengths.tolist())) == list(range(length, length + length // 10 + 1))
    assert inputs.shape == (lengths.max(), 2000, 1) and targets.shape == (2000, 1)
    assert (inputs.dtype, targets.dtype, lengths.dtype) == (np.float32, np.float32, np.int64)


@pytest.mark.parametrize(
    "draw", [delayed_recall, *(lambda n, rng, v=v: two_sequence(n, rng, noise=v) for v in VARIANTS)]
)
def test_a_seed_repeats_and_a_generator_moves_on(draw):
    rng = np.random.default_rng(7)
    draws = [draw(5, seed) for seed in (7, 7, rng, 8, rng)]
    same = [all(np.array_equal(a, b) for a, b in zip(draws[0], other, strict=True)) for other in draws]
    assert same == [True, True, True, False, False]


@pytest.mark.parametrize("value", [0, -1, 2.0, "2", True, None])
def test_refuses_impossible_sizes(value):
    refusal = f"{value!r}: expected an integer, 1 or more$"
    for task in delayed_recall, two_sequence:
        with pytest.raises(ValueError, match=f"^count={refusal}"):
            task(value, 0)
    with pytest.raises(ValueError, match=f"^informative={refusal}"):
        two_sequence(1, 0, informative=value)
    if value != 0:
        with pytest.raises(ValueError, match=f"^lag={value!r}: expected an integer, 0 or more$"):
            delayed_recall(1, 0, lag=value)


@pytest.mark.parametrize("length", [3, 0, 50.0, None])
def test_refuses_lengths_without_noise(length):
    with pytest.raises(ValueError, match=f"^length={length!r}: expected an integer, 4 or more$"):
        two_sequence(1, 0, length=length)


@pytest.mark.parametrize("noise", ["3d", "", 3, None, 0.2])
def test_refuses_unknown_variants(noise):
    with pytest.raises(ValueError, match=f"^noise={noise!r}: expected one of '3a', '3b', '3c'$"):
        two_sequence(1, 0, noise=noise)


@pytest.mark.parametrize("noise", [-0.1, float("nan"), float("inf"), "0.2", None, True])
def test_refuses_impossible_noise(noise):
    with pytest.raises(ValueError, match=f"^noise={noise!r}: expected a finite number, 0 or more$"):
        delayed_recall(1, 0, noise=noise)
