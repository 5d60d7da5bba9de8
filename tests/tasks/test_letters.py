import re

import numpy as np
import pytest

from unrolled.tasks import FEATURE_NAMES, FEATURES, letters


def test_only_legal_syllables():
    text, _ = letters(1000, 0)
    assert re.fullmatch("(ba|dii|guuu)+", text)
    assert len(re.findall("[bdg]", text)) == 1000


def test_consonants_are_equally_likely():
    text, _ = letters(9000, 1)
    assert all(abs(text.count(consonant) / 9000 - 1 / 3) < 0.02 for consonant in "bdg")


def test_features_are_the_published_ones():
    assert FEATURE_NAMES == ("Consonant", "Vowel", "Interrupted", "High", "Back", "Voiced")
    published = {"b": "101001", "d": "101101", "g": "101011", "a": "010011", "i": "010101", "u": "010111"}
    assert {letter: "".join(map(str, row)) for letter, row in FEATURES.items()} == published


def test_each_row_describes_its_letter():
    text, features = letters(200, 2)
    assert features.shape == (len(text), 6) and features.dtype == np.float32
    assert all(tuple(row) == FEATURES[letter] for letter, row in zip(text, features, strict=True))


def test_a_seed_repeats():
    assert letters(50, 3)[0] == letters(50, 3)[0] == letters(50, np.random.default_rng(3))[0]
    assert letters(50, 3)[0] != letters(50, 4)[0]


@pytest.mark.parametrize("consonants", [0, -1, 2.0, "2", None])
def test_refuses_an_impossible_number_of_consonants(consonants):
    with pytest.raises(ValueError, match=f"^consonants={consonants!r}: expected an integer, 1 or more$"):
        letters(consonants, 0)
