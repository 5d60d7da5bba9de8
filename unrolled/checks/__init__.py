"""What the exercises call: a check passes quietly or raises `CheckFailed` with a hint for the student."""

import textwrap
from collections.abc import Mapping

import numpy as np

from unrolled.checks.why import WHY


class CheckFailed(Exception):
    """An answer that is not right yet; its text is the hint the student reads."""

    def _render_traceback_(self) -> list[str]:
        # IPython shows these lines instead of a stack: the mistake is in the answer, not in the code that found it.
        return [f"Not right yet: {self}"]


def check(condition: object, hint: str) -> None:
    """Raise `CheckFailed(hint)` unless `condition` holds."""
    if not condition:
        raise CheckFailed(hint)


def close(
    actual: object,
    expected: object,
    hint: str,
    *,
    mistakes: Mapping[str, object] | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-8,
) -> None:
    """Raise `CheckFailed` unless `actual` has the shape and, within tolerance, the values of `expected`.

    Arrays, minigrad nodes, numbers and (nested) lists of them are compared. `mistakes` maps the hint for a known
    mistake to the value which that mistake gives; an answer that matches one gets its hint, any other wrong answer
    gets `hint`. A NaN is never right.
    """
    actual, expected = _array(actual), np.asarray(_plain(expected))
    if _same(actual, expected, rtol, atol):
        return
    for mistake, value in (mistakes or {}).items():
        if _same(actual, np.asarray(_plain(value)), rtol, atol):
            raise CheckFailed(mistake)
    if actual.shape != expected.shape:
        hint = f"The shape is {actual.shape} and should be {expected.shape}. {hint}"
    elif np.isnan(actual).any():
        hint = f"The answer contains NaN. {hint}"
    raise CheckFailed(hint)


def passed(exercise: str) -> None:
    """Print what a right answer earns: that it is right, and why."""
    print(f"Exercise {exercise}: correct.")
    if exercise in WHY:
        print(textwrap.fill(WHY[exercise], 76))


def _plain(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    # ndarray and NumPy's scalars have a `data` too: a memory buffer.
    return value if isinstance(value, (np.ndarray, np.generic)) else getattr(value, "data", value)


def _array(value: object) -> np.ndarray:
    if value is None:
        raise CheckFailed("The answer is None: does the function return its result?")
    try:
        array = np.asarray(_plain(value))
    except ValueError:
        raise CheckFailed("The answer is a list whose rows differ in length or shape.") from None
    check(array.dtype.kind in "biufc", f"The answer should be numbers, and is a {type(value).__name__}.")
    return array


def _same(actual: np.ndarray, expected: np.ndarray, rtol: float, atol: float) -> bool:
    return actual.shape == expected.shape and np.allclose(actual, expected, rtol=rtol, atol=atol)
