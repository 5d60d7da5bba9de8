"""Wrong answers that students give, one module a chapter; each must meet the hint that speaks to it."""

from typing import NamedTuple


class Misconception(NamedTuple):
    """A wrong answer: `code` replaces the whole answer cell, `hint` is a part of the hint it must get."""

    exercise: str
    name: str
    code: str
    hint: str
