"""Checks of what tasks are asked for."""

from math import inf
from numbers import Integral, Real
from typing import Any


def at_least(least: int, **given: Any) -> None:
    """Raise ValueError unless every argument, passed by its name, is an integer of `least` or more."""
    for name, value in given.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name}={value!r}: expected an integer, {least} or more")


def one_of(allowed: tuple, **given: Any) -> None:
    """Raise ValueError unless every argument, passed by its name, is one of the `allowed` values."""
    for name, value in given.items():
        if isinstance(value, bool) or value not in allowed:
            raise ValueError(f"{name}={value!r}: expected one of {', '.join(map(repr, allowed))}")


def not_negative(**given: Any) -> None:
    """Raise ValueError unless every argument, passed by its name, is a finite real number of zero or more."""
    for name, value in given.items():
        if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= value < inf:
            raise ValueError(f"{name}={value!r}: expected a finite number, 0 or more")
