import numpy as np
import pytest

from unrolled.tasks import temporal_xor


def test_every_third_bit_is_the_xor_of_the_two_before():
    triples = temporal_xor(3000, 0).reshape(-1, 3)
    assert np.array_equal(triples[:, 2], triples[:, 0] ^ triples[:, 1])


def test_bits_are_fair_and_unpredictable_from_one_bit_back():
    triples = temporal_xor(30_000, 1).reshape(-1, 3).astype(float)
    assert np.allclose(triples.mean(axis=0), 0.5, atol=0.02)
    # Pairwise independent: even phase 2 needs both bits before it.
    assert np.allclose(np.corrcoef(triples.T), np.eye(3), atol=0.04)


def test_the_chance_error_is_a_quarter():
    assert np.mean((temporal_xor(3000, 2) - 0.5) ** 2) == 0.25


@pytest.mark.parametrize("length", [3, 4, 5, np.int64(3000)])
def test_shape_and_dtype(length):
    bits = temporal_xor(length, 0)
    assert bits.shape == (length,) and bits.dtype == np.uint8


def test_a_seed_repeats_and_a_generator_moves_on():
    assert np.array_equal(temporal_xor(300, 7), temporal_xor(300, 7))
    assert not np.array_equal(temporal_xor(300, 7), temporal_xor(300, 8))
    rng = np.random.default_rng(7)
    assert np.array_equal(temporal_xor(300, rng), temporal_xor(300, 7))
    assert not np.array_equal(temporal_xor(300, rng), temporal_xor(300, 7))


def test_the_generator_is_required():
    with pytest.raises(TypeError, match="rng"):
        temporal_xor(300)


@pytest.mark.parametrize("length", [2, 0, -3, 3.0, "3", True, None])
def test_refuses_an_impossible_length(length):
    with pytest.raises(ValueError, match=f"^length={length!r}: expected an integer, 3 or more$"):
        temporal_xor(length, 0)
