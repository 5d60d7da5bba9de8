"""Misconceptions about Elman networks."""

from misconceptions import Misconception

MISCONCEPTIONS: list[Misconception] = []
