"""Sentences run together, without spaces or stops."""

import numpy as np

from unrolled.tasks._arguments import at_least

DETERMINERS = ("the", "those", "some")
ADJECTIVES = ("old", "small")
NOUNS = ("sailors", "storms", "gulls", "lanterns", "islands")
VERBS = ("follow", "find", "leave")
ADVERBS = ("slowly", "today")
LEXICON = DETERMINERS + ADJECTIVES + NOUNS + VERBS + ADVERBS

# sentence = phrase verb phrase [adverb]; phrase = [determiner] [adjective] noun.
# Each slot: the words that may fill it, and whether it may stay empty.
_PHRASE = ((DETERMINERS, True), (ADJECTIVES, True), (NOUNS, False))
_SENTENCE = (*_PHRASE, (VERBS, False), *_PHRASE, (ADVERBS, True))


def words(sentences: int, rng: np.random.Generator | int) -> tuple[str, np.ndarray]:
    """Sentences over a lexicon of 15 words, run together as one stream of letters.

    The task is to predict the next letter. A sentence is a noun phrase, a verb, a noun phrase and perhaps an adverb;
    a phrase is a noun, perhaps with a determiner and an adjective before it. What may be left out is kept with
    probability 1/2 and words of a class are equally likely, so a sentence has 3 to 8 words, 5.5 on average. Words
    share beginnings (the, those; sailors, storms, some, small, slowly), so the next letter is hard to
    guess at the start of a word and grows certain inside it, one branch after another.
    By counts: the draws that make a sentence carry 14.3 bits and it has 28.95 letters on average, so a reader who
    knows the grammar pays 0.49 bits a letter; one who knows only how often each letter occurs pays 3.73.

    sentences: how many, 1 or more.
    Returns the T letters as a string and a bool array of shape (T,), True where a word starts. Their one-hot code over
    an alphabet, say `sorted(set(text))`, is `np.array(list(text))[:, None] == alphabet`, of shape (T, len(alphabet)).
    Raises ValueError for another number of sentences.
    Source: the idea is Elman 1990, "Finding Structure in Time", the section on the notion of word (15 words, 200
    sentences); lexicon and grammar are our own.
    """
    at_least(1, sentences=sentences)
    rng = np.random.default_rng(rng)
    columns = []
    for choices, optional in _SENTENCE:
        column = rng.choice(choices, size=sentences)
        columns.append(np.where(rng.random(sentences) < 0.5, "", column) if optional else column)
    stream = [word for word in np.stack(columns, axis=1).reshape(-1).tolist() if word]
    text = "".join(stream)
    word_start = np.zeros(len(text), dtype=bool)
    word_start[np.cumsum([0, *map(len, stream[:-1])])] = True
    return text, word_start
