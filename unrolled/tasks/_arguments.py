"""One check for the sizes that tasks are asked for."""

from numbers import Integral
from typing import Any


def at_least(least: int, **given: Any) -> None:
    """Raise ValueError unless every argument, passed by its name, is an integer of `least` or more."""
    for name, value in given.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name}={value!r}: expected an integer, {least} or more")
