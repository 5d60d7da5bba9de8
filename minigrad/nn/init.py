"""Initialisers: functions of a shape that return an array.

All take (shape, rng, dtype, gain). The shape is that of a weight, (fan_out, fan_in), as in y = x W^T. `rng` is a
Generator or a seed (fresh entropy without one), `dtype` the default one unless given; numbers are drawn in float64, so
that both widths start equal. With a weight that is there already:

    layer.weight.data = orthogonal(layer.weight.shape, rng=0)
"""

import math

import numpy as np

from minigrad.backend import generator, get_default_dtype
from minigrad.errors import ShapeError

Rng = np.random.Generator | int | None


def fans(shape: tuple[int, int]) -> tuple[int, int]:
    """Return (fan_out, fan_in), refusing what is no matrix."""
    if len(shape) != 2 or min(shape) < 1:
        raise ShapeError(f"an initialiser takes the shape (fan_out, fan_in) of a matrix, not {tuple(shape)}")
    return shape


def draw_uniform(shape: tuple, rng: Rng, dtype: object, std: float) -> np.ndarray:
    bound = math.sqrt(3) * std  # U[-a, a] has the variance a^2 / 3
    return generator(rng).uniform(-bound, bound, shape).astype(dtype or get_default_dtype())


def draw_normal(shape: tuple, rng: Rng, dtype: object, std: float) -> np.ndarray:
    return (std * generator(rng).standard_normal(shape)).astype(dtype or get_default_dtype())


def glorot_std(shape: tuple, gain: float) -> float:
    return gain * math.sqrt(2 / sum(fans(shape)))


def he_std(shape: tuple, gain: float) -> float:
    return gain / math.sqrt(fans(shape)[1])


def glorot_uniform(shape: tuple, rng: Rng = None, dtype: object = None, gain: float = 1.0) -> np.ndarray:
    """Return a uniform sample of variance gain^2 2 / (fan_in + fan_out) (Glorot & Bengio 2010, eq. 16)."""
    return draw_uniform(shape, rng, dtype, glorot_std(shape, gain))


def glorot_normal(shape: tuple, rng: Rng = None, dtype: object = None, gain: float = 1.0) -> np.ndarray:
    """Return a normal sample of variance gain^2 2 / (fan_in + fan_out) (Glorot & Bengio 2010, eq. 12)."""
    return draw_normal(shape, rng, dtype, glorot_std(shape, gain))


def he_uniform(shape: tuple, rng: Rng = None, dtype: object = None, gain: float = math.sqrt(2)) -> np.ndarray:
    """Return a uniform sample of variance gain^2 / fan_in; the gain is that of relu (He et al. 2015, eq. 10)."""
    return draw_uniform(shape, rng, dtype, he_std(shape, gain))


def he_normal(shape: tuple, rng: Rng = None, dtype: object = None, gain: float = math.sqrt(2)) -> np.ndarray:
    """Return a normal sample of variance gain^2 / fan_in; the gain is that of relu (He et al. 2015, eq. 10)."""
    return draw_normal(shape, rng, dtype, he_std(shape, gain))


def orthogonal(shape: tuple, rng: Rng = None, dtype: object = None, gain: float = 1.0) -> np.ndarray:
    """Return `gain` times a random orthogonal matrix; not square, its rows or columns, the fewer, are orthonormal.

    Uniform over all such matrices. Source: Saxe, McClelland & Ganguli 2014; the signs, Mezzadri 2007, section 5.
    """
    rows, columns = fans(shape)
    q, r = np.linalg.qr(generator(rng).standard_normal((max(shape), min(shape))))
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # QR leaves the signs of Q's columns to the algorithm
    return (gain * (q if rows >= columns else q.T)).astype(dtype or get_default_dtype(), order="C")


def identity(shape: tuple, rng: Rng = None, dtype: object = None, gain: float = 1.0) -> np.ndarray:
    """Return `gain` times the identity, for recurrent weights with relu (Le, Jaitly & Hinton 2015); draws nothing."""
    return (gain * np.eye(*fans(shape))).astype(dtype or get_default_dtype())
