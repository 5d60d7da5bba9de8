import numpy as np
import pytest

from unrolled.tasks import copy_memory

SEEDS = range(5)


@pytest.mark.parametrize("lag, items, symbols", [(1, 1, 2), (3, 2, 8), (100, 10, 8), (20, 5, 3)])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_layout_of_the_paper(lag, items, symbols, seed):
    inputs, targets = copy_memory(50, seed, lag=lag, items=items, symbols=symbols)
    assert inputs.shape == targets.shape == (lag + 2 * items, 50)
    assert inputs.dtype == targets.dtype == np.int64
    blank, signal = symbols, symbols + 1
    for x, y in zip(inputs.T.tolist(), targets.T.tolist(), strict=True):
        assert all(0 <= item < symbols for item in x[:items])
        assert x[items:] == [blank] * (lag - 1) + [signal] + [blank] * items
        assert y == [blank] * (lag + items) + x[:items]


def test_items_are_fair_and_independent():
    items = copy_memory(8000, 0)[0][:10]
    assert np.allclose([np.bincount(step, minlength=8) / 8000 for step in items], 1 / 8, atol=0.015)
    assert np.allclose(np.corrcoef(items), np.eye(10), atol=0.05)


def test_the_cost_of_knowing_when_but_not_what():
    """A predictor that is sure of the blanks and uniform over the 8 symbols in the last 10 steps."""
    inputs, targets = copy_memory(100, 1)
    steps, items, symbols = len(inputs), 10, 8
    guess = np.zeros((steps, 10))
    guess[:-items, symbols] = 1
    guess[-items:, :symbols] = 1 / symbols
    probability = guess[np.arange(steps)[:, None], targets]
    cost = -np.log(probability)
    assert np.isclose(cost.mean(), items * np.log(symbols) / (100 + 2 * items))
    assert round(cost.mean(), 3) == 0.173
    assert np.isclose(cost[-items:].mean(), np.log(symbols))


def test_a_seed_repeats_and_a_generator_moves_on():
    rng = np.random.default_rng(7)
    draws = [copy_memory(5, seed)[0] for seed in (7, 7, rng, 8, rng)]
    assert [np.array_equal(draws[0], other) for other in draws] == [True, True, True, False, False]


@pytest.mark.parametrize("name, least", [("count", 1), ("lag", 1), ("items", 1), ("symbols", 2)])
@pytest.mark.parametrize("value", [0, -1, 2.0, "2", True, None])
def test_refuses_impossible_sizes(name, least, value):
    arguments = {"count": 1, name: value}
    with pytest.raises(ValueError, match=f"^{name}={value!r}: expected an integer, {least} or more$"):
        copy_memory(arguments.pop("count"), 0, **arguments)


def test_one_symbol_leaves_nothing_to_remember():
    with pytest.raises(ValueError, match=r"^symbols=1: "):
        copy_memory(1, 0, symbols=1)
