import numpy as np
import pytest

from unrolled.tasks import adding, multiplication

SEEDS = range(5)
TASKS = pytest.mark.parametrize("task", [adding, multiplication])


@TASKS
@pytest.mark.parametrize("length", [11, 20, 100, 500])
@pytest.mark.parametrize("seed", SEEDS)
def test_markers_stand_where_the_paper_puts_them(task, length, seed):
    inputs, _, lengths = task(300, seed, length=length)
    first, second = [], []
    for n, end in enumerate(lengths):
        markers = inputs[:, n, 1]
        assert markers[0] == markers[end - 1] == -1 and not inputs[end:, n].any()
        assert set(markers.tolist()) <= {-1, 0, 1} and (markers == -1).sum() == 2
        marked = np.flatnonzero(markers == 1)
        assert 1 <= len(marked) <= 2
        if len(marked) < 2:  # the other mark fell on the first pair
            assert inputs[0, n, 0] == (0 if task is adding else 1)
            marked = [0, *marked]
        assert min(marked) < 10 and max(marked) < max(10, length // 2)
        first.append(min(marked))
        second.append(max(marked))
    if length >= 100:
        assert max(first) < 10 and length // 2 - 1 >= max(second) > 0.9 * length / 2


@TASKS
def test_every_place_that_the_paper_allows_is_marked(task):
    inputs, _, _ = task(20_000, 0, length=30)
    seen = (inputs[1:, :, 1] == 1).mean(axis=1)
    assert (seen[:14] > 0).all() and not seen[14:].any()
    # The first mark is one of pairs 0-9 and the second one of the first 14 others, all equally likely.
    alone = 1 / 14
    assert np.allclose(seen[10:14], alone, atol=0.01)
    assert np.allclose(seen[:9], 0.1 + 0.9 * alone, atol=0.015)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_answers(seed):
    for task in adding, multiplication:
        inputs, targets, _ = task(400, seed)
        for n in range(400):
            marked = inputs[inputs[:, n, 1] == 1, n, 0].astype(float)
            right = 0.5 + marked.sum() / 4 if task is adding else marked.prod()
            assert abs(targets[n, 0] - right) < 1e-6
        assert targets.min() >= 0 and targets.max() <= 1


@TASKS
@pytest.mark.parametrize("length", [11, 100, 105])
def test_lengths_are_spread_over_a_tenth(task, length):
    inputs, _, lengths = task(3000, 1, length=length)
    assert sorted(set(lengths.tolist())) == list(range(length, length + length // 10 + 1))
    assert len(inputs) == lengths.max()


@TASKS
def test_numbers_fill_their_range(task):
    inputs, _, lengths = task(2000, 2)
    numbers = np.concatenate([inputs[1:end, n, 0] for n, end in enumerate(lengths)])
    low = -1 if task is adding else 0
    assert numbers.min() >= low and numbers.min() < low + 0.001 and 0.999 < numbers.max() <= 1
    assert abs(numbers.mean() - (low + 1) / 2) < 0.01 and abs(numbers.var() - (1 - low) ** 2 / 12) < 0.01


def test_what_a_constant_answer_costs():
    on_first_pair = 1 / 10 + 9 / 10 / 49
    targets = adding(40_000, 3)[1]
    assert abs(((targets - 0.5) ** 2).mean() - (2 - on_first_pair) / 3 / 16) < 0.001
    assert round((2 - on_first_pair) / 3 / 16, 3) == 0.039
    assert abs((abs(targets - 0.5) < 0.04).mean() - 0.154) < 0.006
    targets = multiplication(40_000, 3)[1]
    mean = (1 - on_first_pair) / 4 + on_first_pair / 2
    variance = (1 - on_first_pair) / 9 + on_first_pair / 3 - mean**2
    assert abs(targets.mean() - mean) < 0.005 and abs(targets.var() - variance) < 0.001
    assert (round(mean, 2), round(variance, 3)) == (0.28, 0.059)


@TASKS
def test_shapes_and_dtypes(task):
    inputs, targets, lengths = task(3, 0, length=50)
    assert inputs.shape == (lengths.max(), 3, 2) and targets.shape == (3, 1) and lengths.shape == (3,)
    assert (inputs.dtype, targets.dtype, lengths.dtype) == (np.float32, np.float32, np.int64)


@TASKS
def test_a_seed_repeats_and_a_generator_moves_on(task):
    rng = np.random.default_rng(7)
    assert np.array_equal(task(3, 7)[0], task(3, 7)[0]) and np.array_equal(task(3, 7)[0], task(3, rng)[0])
    assert not np.array_equal(task(3, 7)[1], task(3, 8)[1]) and not np.array_equal(task(3, 7)[1], task(3, rng)[1])


@TASKS
@pytest.mark.parametrize("value", [0, -1, 10.0, "9", True, None])
def test_refuses_impossible_sizes(task, value):
    with pytest.raises(ValueError, match=f"^count={value!r}: expected an integer, 1 or more$"):
        task(value, 0)
    with pytest.raises(ValueError, match=f"^length={value!r}: expected an integer, 11 or more$"):
        task(1, 0, length=value)


@TASKS
def test_the_first_ten_pairs_need_a_last_one_after_them(task):
    with pytest.raises(ValueError, match=r"^length=10: "):
        task(1, 0, length=10)
