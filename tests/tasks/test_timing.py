import numpy as np
import pytest

from unrolled.tasks import measure_spike_delays, periodic_function, timed_spikes

SEEDS = range(5)
SPIKES = pytest.mark.parametrize("task", [measure_spike_delays, timed_spikes])


@pytest.mark.parametrize("period, delays, length", [(10, 2, 100), (10, 3, 200), (49, 2, 300), (1, 1, 5), (2, 6, 8)])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_delay_is_what_an_interval_has_over_the_period(period, delays, length, seed):
    inputs, targets, asked = measure_spike_delays(50, seed, length=length, period=period, delays=delays)
    assert set(inputs.ravel().tolist()) <= {0, 1}
    for n in range(50):
        spikes = np.flatnonzero(inputs[:, n, 0])
        assert spikes[0] == 0 and length - spikes[-1] <= period + delays - 1
        assert np.flatnonzero(asked[:, n]).tolist() == spikes[1:].tolist() and len(spikes) > 1
        delay = np.diff(spikes) - period
        assert targets[spikes[1:], n, 0].tolist() == delay.tolist()
        assert delay.min() >= 0 and delay.max() < delays
        assert targets[:, n, 0].sum() == delay.sum()  # 0 everywhere else


@pytest.mark.parametrize("period, delays, length", [(10, 2, 100), (10, 3, 200), (49, 2, 300), (1, 1, 5), (2, 6, 8)])
@pytest.mark.parametrize("seed", SEEDS)
def test_spikes_come_when_the_input_says(period, delays, length, seed):
    inputs, targets = timed_spikes(50, seed, length=length, period=period, delays=delays)
    assert set(targets.ravel().tolist()) <= {0, 1} and targets.any(axis=0).all()
    for n in range(50):
        wait = period + inputs[0, n, 0]
        for t in range(1, length):  # a clock that reads the input at each step
            assert wait == period + inputs[t, n, 0]
            last = 0 if not targets[:t, n].any() else np.flatnonzero(targets[:t, n, 0])[-1]
            assert targets[t, n, 0] == (t - last == wait)
            if targets[t, n, 0] and t + 1 < length:
                wait = period + inputs[t + 1, n, 0]
    assert targets[0].max() == 0 and inputs.min() >= 0 and inputs.max() < delays


def test_one_is_the_other_reversed():
    spikes, delays, asked = measure_spike_delays(20, 3, length=150, delays=3)
    held, answers = timed_spikes(20, 3, length=150, delays=3)
    assert np.array_equal(spikes[1:], answers[1:]) and np.array_equal(answers[..., 0] == 1, asked)
    assert np.array_equal(held[asked], delays[asked])


@pytest.mark.parametrize("delays", [2, 3, 5])
def test_delays_are_fair(delays):
    _, targets, asked = measure_spike_delays(4000, 0, length=200, delays=delays)
    share = np.bincount(targets[asked][:, 0].astype(int)) / asked.sum()
    assert np.allclose(share, 1 / delays, atol=0.02)


def test_what_a_constant_answer_costs():
    for delays, cost in (2, 0.25), (3, 0.67):
        _, targets, asked = measure_spike_delays(4000, 1, delays=delays)
        assert abs(((targets[asked] - (delays - 1) / 2) ** 2).mean() - cost) < 0.01
    _, targets = timed_spikes(4000, 1)
    assert round(targets.mean(), 2) == 0.09 and round(targets.var(), 2) == 0.08
    for shape, cost in ("cosine", 0.125), ("triangle", 0.09), ("rectangle", 0.25):
        assert np.isclose(((periodic_function(100, shape=shape)[1] - 0.5) ** 2).mean(), cost)


def test_the_waves():
    cosine = [0, 0.0955, 0.3455, 0.6545, 0.9045, 1, 0.9045, 0.6545, 0.3455, 0.0955]
    triangle = [0, 0.2, 0.4, 0.6, 0.8, 1, 0.8, 0.6, 0.4, 0.2]
    for shape, once in ("cosine", cosine), ("triangle", triangle), ("rectangle", [0] * 5 + [1] * 5):
        inputs, targets = periodic_function(37, shape=shape)
        assert np.allclose(targets[:, 0, 0], (once * 4)[:37], atol=1e-4) and not inputs.any()
    assert periodic_function(25, shape="rectangle", period=25)[1].sum() == 12
    assert np.allclose(periodic_function(7)[1], periodic_function(7, shape="cosine", period=10)[1])


@pytest.mark.parametrize("shape", ["cosine", "triangle", "rectangle"])
@pytest.mark.parametrize("period", [2, 10, 25])
def test_waves_repeat_and_fill_their_range(shape, period):
    wave = periodic_function(4 * period, shape=shape, period=period)[1].ravel()
    assert np.allclose(wave[period:], wave[:-period], atol=1e-6)
    assert wave[0] == wave.min() == 0 and 0.95 < wave.max() <= 1
    assert np.allclose(wave[1:period], wave[1:period][::-1], atol=1e-6) or shape == "rectangle"


@SPIKES
def test_a_longer_stream_begins_with_the_shorter(task):
    for length in 12, 55, 100:
        parts = zip(task(3, 5, length=length), task(3, 5, length=130), strict=True)
        assert all(np.array_equal(short, long[:length]) for short, long in parts)


@SPIKES
def test_a_seed_repeats_and_a_generator_moves_on(task):
    rng = np.random.default_rng(7)
    draws = [task(5, seed)[0] for seed in (7, 7, rng, 8, rng)]
    assert [np.array_equal(draws[0], other) for other in draws] == [True, True, True, False, False]


def test_shapes_and_dtypes():
    inputs, targets, asked = measure_spike_delays(4, 0, length=30)
    assert inputs.shape == targets.shape == (30, 4, 1) and asked.shape == (30, 4)
    assert (inputs.dtype, targets.dtype, asked.dtype) == (np.float32, np.float32, bool)
    for inputs, targets in (
        timed_spikes(1, 0, length=30),
        *(periodic_function(30, shape=shape) for shape in ("cosine", "triangle", "rectangle")),
    ):
        assert inputs.shape == targets.shape == (30, 1, 1)
        assert inputs.dtype == targets.dtype == np.float32


@SPIKES
@pytest.mark.parametrize("value", [0, -1, 2.0, "2", True, None])
def test_refuses_impossible_streams(task, value):
    refusal = f"={value!r}: expected an integer, 1 or more$"
    with pytest.raises(ValueError, match=f"^count{refusal}"):
        task(value, 0)
    for name in "period", "delays":
        with pytest.raises(ValueError, match=f"^{name}{refusal}"):
            task(1, 0, **{name: value})
    with pytest.raises(ValueError, match=f"^length={value!r}: expected an integer, 12 or more$"):
        task(1, 0, length=value)


@SPIKES
def test_refuses_streams_without_an_interval(task):
    assert task(100, 0, length=13, delays=3)[1].shape == (13, 100, 1)
    with pytest.raises(ValueError, match=r"^length=12: expected an integer, 13 or more$"):
        task(100, 0, length=12, delays=3)


@pytest.mark.parametrize("value", [0, -1, 1.0, "9", True, None])
def test_refuses_impossible_waves(value):
    with pytest.raises(ValueError, match=f"^length={value!r}: expected an integer, 1 or more$"):
        periodic_function(value)
    with pytest.raises(ValueError, match=f"^period={value!r}: expected an integer, 2 or more$"):
        periodic_function(9, period=value)
    with pytest.raises(ValueError, match=f"^shape={value!r}: expected one of 'cosine', 'triangle', 'rectangle'$"):
        periodic_function(9, shape=value)
