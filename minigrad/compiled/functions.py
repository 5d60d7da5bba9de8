"""The exponential, the logistic function and the hyperbolic tangent of a vector, from additions and multiplications."""

# ruff: noqa: ANN001, ANN201, ANN202 (compiled functions)

import numpy as np
from numba import njit
from numba.extending import overload

from minigrad.compiled.compiling import OPTIONS
from minigrad.compiled.simd import maximum, minimum, multiply_add, power_of_two

LOG2_E, LN_2 = 1.4426950408889634, 0.6931471805599453
SERIES = {  # of (e^r - 1) / r, the highest power first, for |r| <= ln 2 / 2: 1 / k! down to 1 / 1!
    bits: tuple(1 / np.prod(np.arange(1.0, k + 1)) for k in range(terms, 0, -1)) for bits, terms in ((32, 7), (64, 13))
}
LIMIT = {32: 87.0, 64: 708.0}  # e^a and its inverse are neither 0 nor infinite
ROUND = {32: 1.5 * 2**23, 64: 1.5 * 2**52}  # added to a number, it pushes the digits after the point out


def exponential(a):
    """Return s = 2^n and q = e^r - 1, precise even where small, so that e^a = s + s q; a is kept within the limit."""
    raise NotImplementedError("for compiled functions alone")


@overload(exponential)
def exponential_compiled(a):
    """Cut a into n ln 2 + r."""
    bits = a.dtype.bitwidth
    shift, series, limit = ROUND[bits], SERIES[bits], LIMIT[bits]

    def compiled(a):
        a = minimum(maximum(a, -limit), limit)
        shifted = multiply_add(a, LOG2_E, shift)
        r = multiply_add(shifted - shift, -LN_2, a)
        q = r * 0.0
        for coefficient in series:
            q = multiply_add(q, r, coefficient)
        return power_of_two(shifted), q * r

    return compiled


@njit(**OPTIONS)
def sigmoid(a):
    s, q = exponential(0.0 - a)
    return 1.0 / (1.0 + (s + s * q))


@njit(**OPTIONS)
def tanh(a):
    s, q = exponential(2.0 * a)
    m = multiply_add(s, q, s - 1.0)  # e^(2a) - 1
    return m / (m + 2.0)
