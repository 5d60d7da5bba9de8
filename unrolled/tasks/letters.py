"""Consonants that announce how many vowels follow."""

import numpy as np

from unrolled.tasks._arguments import at_least

SYLLABLES = ("ba", "dii", "guuu")
FEATURE_NAMES = ("Consonant", "Vowel", "Interrupted", "High", "Back", "Voiced")
FEATURES = {
    "b": (1, 0, 1, 0, 0, 1),
    "d": (1, 0, 1, 1, 0, 1),
    "g": (1, 0, 1, 0, 1, 1),
    "a": (0, 1, 0, 0, 1, 1),
    "i": (0, 1, 0, 1, 0, 1),
    "u": (0, 1, 0, 1, 1, 1),
}


def letters(consonants: int, rng: np.random.Generator | int) -> tuple[str, np.ndarray]:
    """Random consonants b, d and g, each followed by its own vowels: b becomes ba, d dii and g guuu.

    The task is to predict the features of the next letter. Which consonant comes next is a fair three-way draw; its
    vowels, and that a consonant follows the last of them, can be known.

    consonants: how many to draw, 1 or more.
    Returns the T letters as a string and their features as float32 of shape (T, 6), columns as in `FEATURE_NAMES`
    and rows from `FEATURES`; T is three times `consonants` on average.
    Raises ValueError for another number of consonants.
    Source: Elman 1990, "Finding Structure in Time", the section on structure in letter sequences (1,000 consonants).
    """
    at_least(1, consonants=consonants)
    text = "".join(np.random.default_rng(rng).choice(SYLLABLES, size=consonants))
    return text, np.array([FEATURES[letter] for letter in text], dtype=np.float32)
