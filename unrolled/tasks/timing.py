"""Intervals to be measured and rhythms to be kept."""

import numpy as np

from unrolled.tasks._arguments import at_least, one_of


def _spikes(
    count: int, rng: np.random.Generator | int, length: int, period: int, delays: int
) -> tuple[np.ndarray, np.ndarray]:
    """Where the spikes are, step 0 included, and the delay of the interval that each step is in or ends.

    Bool and int64, both of shape (length, count).
    """
    at_least(1, count=count, period=period, delays=delays)
    at_least(period + delays, length=length)  # so that the first interval ends in time
    drawn = np.random.default_rng(rng).integers(delays, size=(-(-length // period), count))
    times = np.cumsum(period + drawn, axis=0)
    spikes = np.zeros((length, count), dtype=bool)
    spikes[0] = True
    interval, sequence = np.nonzero(times < length)
    spikes[times[interval, sequence], sequence] = True
    begun = np.cumsum(spikes, axis=0) - spikes  # how many intervals have begun before this step
    return spikes, np.take_along_axis(drawn, np.maximum(begun - 1, 0), axis=0)


def measure_spike_delays(
    count: int, rng: np.random.Generator | int, *, length: int = 100, period: int = 10, delays: int = 2
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Streams of spikes, to be answered at each spike by how late it came.

    The first spike is at step 0, the next ones at T(n) = T(n-1) + F + I(n), where F is `period` and I(n) one of 0 to
    `delays - 1`, all equally likely. The task is to say I(n) at step T(n); with period=49 and delays=2 that is to tell
    intervals of 49 steps from such of 50. Always saying the mean, `(delays - 1) / 2`, costs at the spikes a mean
    squared error of `(delays**2 - 1) / 12`, that is 0.25 with two delays and 0.67 with three.

    count: how many streams, 1 or more. Another count with the same seed draws other streams.
    length: T, the number of steps, `period + delays` or more, so that each stream has an interval to measure. A longer
        stream of the same seed and count begins with the shorter one.
    period: F, 1 or more.
    delays: how many values I(n) may have, 1 or more.
    Returns inputs, float32 of shape (T, count, 1), 1 at a spike and 0 elsewhere; targets, float32 of shape
    (T, count, 1), I(n) at the spikes and 0 elsewhere; and asked, bool of shape (T, count), True at the spikes after the
    first, where an answer counts.
    Raises ValueError for another count, length, period or number of delays.
    Source: Gers, Schraudolph & Schmidhuber 2002, "Learning Precise Timing with LSTM Recurrent Networks", the task of
    measuring spike delays (MSD), F = 10 with two or three delays, and 49 against 50. That nothing is asked between
    spikes, and where a stream begins and ends, is ours.
    """
    spikes, delay = _spikes(count, rng, length, period, delays)
    asked = spikes.copy()
    asked[0] = False
    return spikes[..., None].astype(np.float32), (delay * asked)[..., None].astype(np.float32), asked


def timed_spikes(
    count: int, rng: np.random.Generator | int, *, length: int = 100, period: int = 10, delays: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Streams that say how long to wait, to be answered by spikes at those intervals: `measure_spike_delays` reversed.

    The task is to say 1 at the steps T(n) = T(n-1) + F + I(n) and 0 elsewhere. The input is I(n) from the step after
    T(n-1) to T(n), both included. Each stream begins as if a spike had been at step 0, where none is asked for, so
    T(0) = 0. Where I(n) repeats, nothing in the input marks where an interval ends; with delays=1 the input is 0
    throughout. Always saying how often a spike comes, p, costs a mean squared error of `p * (1 - p)`: 0.08 with
    two delays and period=10, where p is 0.09 in a stream of 100 steps.

    count: how many streams, 1 or more. Another count with the same seed draws other streams.
    length: T, the number of steps, `period + delays` or more, so that each stream has a spike. A longer stream of the
        same seed and count begins with the shorter one.
    period: F, 1 or more.
    delays: how many values I(n) may have, 0 to `delays - 1`, 1 or more.
    Returns inputs, float32 of shape (T, count, 1), and targets, float32 of shape (T, count, 1). At step 0, which is in
    no interval, the input is I(1).
    Raises ValueError for another count, length, period or number of delays.
    Source: Gers, Schraudolph & Schmidhuber 2002, "Learning Precise Timing with LSTM Recurrent Networks", the task of
    generating timed spikes (GTS). That the input is held through the interval, and where a stream begins and ends, is
    ours.
    """
    spikes, delay = _spikes(count, rng, length, period, delays)
    spikes[0] = False
    return delay[..., None].astype(np.float32), spikes[..., None].astype(np.float32)


def periodic_function(length: int, *, shape: str = "cosine", period: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """A wave between 0 and 1, to be produced from nothing.

    The task is to say at step t the value of the wave: "cosine", (1 - cos(2 pi t / F)) / 2, with F for `period`;
    "triangle", which rises from 0 at the start of a period to 1 at its middle and falls again; or "rectangle", 0 in the
    first half of a period and 1 in the second. The input is 0 throughout. Always saying 0.5 costs, over whole periods
    of 10 steps, a mean squared error of 0.125 for the cosine, 0.09 for the triangle and 0.25 for the rectangle.

    length: T, the number of steps, 1 or more.
    shape: "cosine", "triangle" or "rectangle".
    period: F, in steps, 2 or more; the rectangle of an odd period is 0 for one step more than it is 1.
    Returns inputs and targets, both float32 of shape (T, 1, 1).
    Raises ValueError for another length, shape or period.
    Source: Gers, Schraudolph & Schmidhuber 2002, "Learning Precise Timing with LSTM Recurrent Networks", periodic
    function generation (PFG) with F of 10 and 25. Where in its period the triangle or rectangle begins is ours.
    """
    at_least(1, length=length)
    one_of(("cosine", "triangle", "rectangle"), shape=shape)
    at_least(2, period=period)
    phase = np.arange(length) % period / period
    if shape == "cosine":
        wave = (1 - np.cos(2 * np.pi * phase)) / 2
    elif shape == "triangle":
        wave = 1 - np.abs(1 - 2 * phase)
    else:
        wave = phase >= 0.5
    targets = np.asarray(wave, dtype=np.float32)[:, None, None]
    return np.zeros_like(targets), targets
