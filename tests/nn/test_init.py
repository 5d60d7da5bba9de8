"""Initialisers have the variance, or the orthogonality, that their papers give."""

import numpy as np
import pytest

from minigrad.errors import ShapeError
from minigrad.nn import RNN, init

DRAWN = {
    "glorot_uniform": lambda out, n: 2 / (n + out),
    "glorot_normal": lambda out, n: 2 / (n + out),
    "he_uniform": lambda out, n: 2 / n,
    "he_normal": lambda out, n: 2 / n,
}
ALL = [*DRAWN, "orthogonal", "identity"]


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("shape", [(300, 500), (500, 300)])
def test_the_published_variance(name, shape):
    draw, variance = getattr(init, name), DRAWN[name](*shape)
    sample = draw(shape, rng=0)
    assert sample.shape == shape and abs(sample.mean()) < 4 * np.sqrt(variance / sample.size)
    assert sample.var() == pytest.approx(variance, rel=0.015)  # of 150,000 numbers
    if name.endswith("uniform"):  # U[-a, a] with a^2 / 3 = variance: Glorot's a = sqrt(6 / (in + out))
        bound = np.sqrt(3 * variance)
        assert 0.999 * bound < np.abs(sample).max() <= bound * (1 + 1e-6)
        assert np.percentile(sample, 25) == pytest.approx(-bound / 2, rel=0.02)
    else:
        assert (sample**4).mean() / sample.var() ** 2 == pytest.approx(3, rel=0.05)  # the kurtosis of a normal
    natural = np.sqrt(2) if name.startswith("he") else 1.0
    np.testing.assert_allclose(draw(shape, 0, gain=3 * natural), 3 * sample, rtol=1e-5)


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (1, 4), (1, 1)])
def test_orthogonal(shape):
    q = init.orthogonal(shape, rng=1, dtype="float64")
    product = q.T @ q if shape[0] >= shape[1] else q @ q.T
    assert q.shape == shape
    np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-12)
    np.testing.assert_allclose(init.orthogonal(shape, rng=1, dtype="float64", gain=0.5), 0.5 * q)


def test_orthogonal_is_uniform():
    # Q and -Q, and every entry's sign, are equally likely; LAPACK alone would favour negative diagonals.
    rng = np.random.default_rng(0)
    samples = np.stack([init.orthogonal((2, 2), rng) for _ in range(2000)])
    assert np.abs((samples > 0).mean(axis=0) - 0.5).max() < 0.05
    assert abs((np.linalg.det(samples) > 0).mean() - 0.5) < 0.05


def test_identity():
    assert init.identity((2, 3), gain=0.5).tolist() == [[0.5, 0, 0], [0, 0.5, 0]]
    rng = np.random.default_rng(3)
    init.identity((2, 2), rng)
    assert rng.random() == np.random.default_rng(3).random()


@pytest.mark.parametrize("name", ALL)
def test_seeds_and_dtypes(name):
    draw = getattr(init, name)
    narrow, wide = draw((3, 4), 5), draw((3, 4), np.random.default_rng(5), "float64")
    assert narrow.dtype == np.float32 and wide.dtype == np.float64 and wide.flags.c_contiguous
    np.testing.assert_array_equal(narrow, wide.astype("float32"))
    assert draw((3, 4), gain=np.float64(2)).dtype == np.float32
    if name != "identity":
        assert not np.array_equal(draw((3, 4)), draw((3, 4)))
    rnn = RNN(2, 4, rng=0)
    rnn.weight_hh_l0.data = draw(rnn.weight_hh_l0.shape, 0)
    assert rnn(np.ones((3, 2), "float32"))[0].shape == (3, 4)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (), (0, 3)])
def test_what_is_no_matrix_is_refused(name, shape):
    with pytest.raises(ShapeError, match=r"\(fan_out, fan_in\)") as error:
        getattr(init, name)(shape)
    assert str(shape) in str(error.value)
