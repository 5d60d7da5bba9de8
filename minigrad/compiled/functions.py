"""The exponential, the logistic function and the hyperbolic tangent of a vector, from additions and multiplications."""

# ruff: noqa: ANN001, ANN201, ANN202 (compiled functions)

import numpy as np
from numba import njit
from numba.extending import overload

from minigrad.compiled.simd import maximum, minimum, multiply_add, power_of_two

LOG2_E, LN_2 = 1.4426950408889634, 0.6931471805599453
SERIES = {  # of (e^r - 1) / r, the highest power first, for |r| <= ln 2 / 2: 1 / k! down to 1 / 1!
    bits: tuple(1 / np.prod(np.arange(1.0, k + 1)) for k in range(terms, 0, -1)) for bits, terms in ((32, 7), (64, 13))
}
ROUND = {32: 1.5 * 2**23, 64: 1.5 * 2**52}  # added to a number, it pushes the digits after the point out


def exponential(a):
    """Return s and q with e^a = s + s q for |a| <= 87: s = 2^n, and q = e^r - 1 to full precision even where small."""
    raise NotImplementedError("for compiled functions alone")


@overload(exponential)
def exponential_compiled(a):
    """Cut a into n ln 2 + r."""
    bits = a.dtype.bitwidth
    shift, series = ROUND[bits], SERIES[bits]

    def compiled(a):
        shifted = multiply_add(a, LOG2_E, shift)
        r = multiply_add(shifted - shift, -LN_2, a)
        q = r * 0.0
        for coefficient in series:
            q = multiply_add(q, r, coefficient)
        return power_of_two(shifted), q * r

    return compiled


@njit(nogil=True)
def sigmoid(a):
    s, q = exponential(minimum(maximum(0.0 - a, -87.0), 87.0))
    return 1.0 / (1.0 + (s + s * q))


@njit(nogil=True)
def tanh(a):
    s, q = exponential(minimum(maximum(2.0 * a, -80.0), 80.0))
    m = multiply_add(s, q, s - 1.0)  # e^(2a) - 1
    return m / (m + 2.0)
