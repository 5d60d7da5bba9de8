import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from unrolled.tasks import LEXICON, words
from unrolled.tasks.words import ADJECTIVES, ADVERBS, DETERMINERS, NOUNS, VERBS


def segments(text, word_start):
    starts = np.flatnonzero(word_start).tolist()
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


def test_word_starts_cut_the_stream_into_the_lexicon():
    text, word_start = words(500, 0)
    assert len(LEXICON) == len(set(LEXICON)) == 15
    assert word_start.shape == (len(text),) and word_start.dtype == bool
    assert set(segments(text, word_start)) == set(LEXICON)


def test_sentences_follow_the_grammar():
    groups = {"d": DETERMINERS, "j": ADJECTIVES, "n": NOUNS, "v": VERBS, "a": ADVERBS}
    initials = {word: initial for initial, group in groups.items() for word in group}
    classes = "".join(initials[word] for word in segments(*words(500, 1)))
    assert re.fullmatch("(d?j?nvd?j?na?)+", classes)
    assert classes.count("v") == 500


def test_words_of_a_class_are_equally_likely_and_what_may_stay_empty_does_half_the_time():
    counts = Counter(segments(*words(4000, 2)))
    for group, expected in (DETERMINERS, 4000), (ADJECTIVES, 4000), (NOUNS, 8000), (VERBS, 4000), (ADVERBS, 2000):
        assert all(abs(counts[word] * len(group) / expected - 1) < 0.15 for word in group)


def test_the_next_letter_grows_certain_inside_a_word():
    """The surprise, in bits, of a predictor that counts what followed the last four letters."""
    text, word_start = words(4000, 3)
    followers = defaultdict(Counter)
    for t in range(4, len(text)):
        followers[text[t - 4 : t]][text[t]] += 1
    surprise = np.zeros(len(text))
    for t in range(4, len(text)):
        seen = followers[text[t - 4 : t]]
        surprise[t] = -np.log2(seen[text[t]] / seen.total())
    position = np.arange(len(text)) - np.flatnonzero(word_start)[np.cumsum(word_start) - 1]
    first, second, third, fourth = (surprise[position == n].mean() for n in range(4))
    assert first > 2 and first > 2 * second and second > 2 * third and third > 2 * fourth


def test_the_numbers_of_the_docstring():
    text, word_start = words(20_000, 4)
    share = np.array(list(Counter(text).values())) / len(text)
    assert round(-(share * np.log2(share)).sum(), 2) == 3.73
    assert abs(len(text) / 20_000 - 28.95) < 0.15 and abs(word_start.sum() / 20_000 - 5.5) < 0.03
    draws = 5 + 2 * (np.log2(3) / 2 + np.log2(2) / 2 + np.log2(5)) + np.log2(3) + np.log2(2) / 2
    assert round(draws, 1) == 14.3 and round(draws / 28.95, 2) == 0.49
    alphabet = sorted(set(text))
    one_hot = np.array(list(text[:99]))[:, None] == alphabet
    assert one_hot.shape == (99, 18) and (one_hot.sum(axis=1) == 1).all()


def test_a_seed_repeats():
    assert words(20, 5)[0] == words(20, 5)[0] == words(20, np.random.default_rng(5))[0]
    assert words(20, 5)[0] != words(20, 6)[0]


@pytest.mark.parametrize("sentences", [0, -1, 2.0, "2", None])
def test_refuses_an_impossible_number_of_sentences(sentences):
    with pytest.raises(ValueError, match=f"^sentences={sentences!r}: expected an integer, 1 or more$"):
        words(sentences, 0)
