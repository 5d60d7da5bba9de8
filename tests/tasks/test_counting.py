import re

import numpy as np
import pytest

from unrolled.tasks import anbn, anbncn

LANGUAGES = pytest.mark.parametrize("language, symbols", [(anbn, "SabT"), (anbncn, "SabcT")])


def spell(inputs, targets, symbols):
    letters = np.array(list(symbols))
    for n in range(inputs.shape[1]):
        length = (targets[:, n] >= 0).sum()
        assert (inputs[:length, n].sum(axis=1) == 1).all() and not inputs[length:, n].any()
        read = letters[inputs[:length, n].argmax(axis=1)]
        assert (read[1:] == letters[targets[: length - 1, n]]).all()
        yield "".join(read) + letters[targets[length - 1, n]]


@LANGUAGES
@pytest.mark.parametrize("lowest, highest", [(1, 1), (1, 10), (7, 9), (500, 501)])
def test_every_string_of_the_range_once(language, symbols, lowest, highest):
    inputs, targets, _, lengths = language(lowest, highest)
    blocks = symbols[1:-1]
    expected = ["S" + "".join(n * letter for letter in blocks) + "T" for n in range(lowest, highest + 1)]
    assert list(spell(inputs, targets, symbols)) == expected
    assert lengths.tolist() == [len(string) - 1 for string in expected]


@LANGUAGES
def test_legal_is_what_some_string_of_the_language_goes_on_with(language, symbols):
    """Against the strings of a wider range: a prefix that ends in a's does not tell how many will come."""
    wide = list(spell(*language(1, 30)[:2], symbols))
    inputs, targets, legal, _ = language(1, 12)
    for n, string in enumerate(spell(inputs, targets, symbols)):
        for t in range(len(string) - 1):
            followers = {s[t + 1] for s in wide if s.startswith(string[: t + 1])}
            assert followers == {symbol for symbol, may in zip(symbols, legal[t, n], strict=True) if may}
    assert not legal[targets < 0].any()


@LANGUAGES
@pytest.mark.parametrize("highest", [1, 5, 40])
def test_where_a_reader_of_the_last_symbol_goes_wrong(language, symbols, highest):
    inputs, targets, legal, _ = language(1, highest)
    for n, string in enumerate(spell(inputs, targets, symbols)):
        if n == 0:
            continue  # ab and abc have no letter twice
        usual = {"S": "a", "a": "ab", "b": "b", "c": "c"}
        wrong = [
            string[t : t + 2]
            for t in range(len(string) - 1)
            if {symbol for symbol, may in zip(symbols, legal[t, n], strict=True) if may} != set(usual[string[t]])
        ]
        assert wrong == (["bT"] if language is anbn else ["bc", "cT"])


@LANGUAGES
def test_shapes_and_dtypes(language, symbols):
    inputs, targets, legal, lengths = language(2, 6)
    assert inputs.shape == legal.shape == (lengths.max(), 5, len(symbols)) and targets.shape == inputs.shape[:2]
    assert (inputs.dtype, targets.dtype, legal.dtype, lengths.dtype) == (np.float32, np.int64, bool, np.int64)
    assert all(np.array_equal(a, b) for a, b in zip(language(2, 6), language(2, 6), strict=True))


@LANGUAGES
@pytest.mark.parametrize("value", [0, -1, 2.0, "2", True, None])
def test_refuses_impossible_ranges(language, symbols, value):
    with pytest.raises(ValueError, match=f"^lowest={value!r}: expected an integer, 1 or more$"):
        language(value, 5)
    with pytest.raises(ValueError, match=f"^highest={value!r}: expected an integer, 3 or more$"):
        language(3, value)


@LANGUAGES
def test_refuses_an_empty_range(language, symbols):
    with pytest.raises(ValueError, match=re.escape("highest=4: expected an integer, 5 or more")):
        language(5, 4)
