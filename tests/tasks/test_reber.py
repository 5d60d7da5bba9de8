import re

import numpy as np
import pytest

from unrolled.tasks import REBER_SYMBOLS, continual_reber, embedded_reber, reber

SEEDS = range(5)

# The same grammar, written down a second time. After the S or X that leaves the upper loop, and after P:
TAIL = "(XT*VP)*(S|XT*VV)"
REBER = f"B(TS*X{TAIL}|PT*V(V|P{TAIL}))E"
EMBEDDED = f"B(T{REBER}T|P{REBER}P)E"


def spell(inputs, targets):
    """The strings, each with the symbol that its last target adds."""
    letters = np.array(list(REBER_SYMBOLS))
    for n in range(inputs.shape[1]):
        length = (targets[:, n] >= 0).sum()
        assert (inputs[:length, n].sum(axis=1) == 1).all() and not inputs[length:, n].any()
        read = letters[inputs[:length, n].argmax(axis=1)]
        assert (read[1:] == letters[targets[: length - 1, n]]).all()
        yield "".join(read) + letters[targets[length - 1, n]]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("distinct", [False, True])
def test_every_string_is_of_the_embedded_grammar(seed, distinct):
    inputs, targets, _, lengths = embedded_reber(300, seed, distinct=distinct)
    strings = list(spell(inputs, targets))
    assert [s for s in strings if not re.fullmatch(EMBEDDED, s)] == []
    assert all(s[1] == s[-2] and s[1] in "TP" for s in strings)
    assert (lengths + 1).tolist() == [len(s) for s in strings]
    assert {s[2:-2] for s in strings} >= {"BTXSE", "BPVVE", "BTSXSE", "BTXXVVE"}
    assert (len(set(strings)) == len(strings)) == distinct


def test_the_readers_grammar_is_the_published_one():
    """Strings that are printed as examples of the grammar, and some that break it by one symbol."""
    for legal in "BTXSE", "BPVVE", "BTSSXXTVVE", "BTXXVPSE", "BPVPXVPXVPXVVE", "BTSXXVPSE", "BPTTVPSE":
        assert re.fullmatch(REBER, legal)
    for illegal in "BTSSPXSE", "BPTVVB", "BTXXVVSE", "BPVXSE", "BPVPSS", "TXSE":
        assert not re.fullmatch(REBER, illegal)


@pytest.mark.parametrize("seed", SEEDS)
def test_legal_names_what_the_strings_themselves_can_go_on_with(seed):
    inputs, targets, legal, _ = embedded_reber(3000, seed)
    strings = list(spell(inputs, targets))
    followers = {}
    for s in strings:
        for end in range(1, len(s)):
            followers.setdefault(s[:end], set()).add(s[end])
    often = {s[:end] for s in strings for end in range(1, 8)}
    counts = dict.fromkeys(often, 0)
    for s in strings:
        for end in range(1, 8):
            counts[s[:end]] += 1
    for n, s in enumerate(strings):
        for t in range(len(s) - 1):
            said = {symbol for symbol, may in zip(REBER_SYMBOLS, legal[t, n], strict=True) if may}
            seen = followers[s[: t + 1]]
            assert s[t + 1] in said and seen <= said
            if counts.get(s[: t + 1], 0) > 60:  # a branch missed sixty times: one in 10**18
                assert seen == said
    assert not legal[targets < 0].any()
    assert set(legal[targets >= 0].sum(axis=1)) == {1, 2}


@pytest.mark.parametrize("seed", SEEDS)
def test_branches_are_fair(seed):
    _, targets, legal, lengths = embedded_reber(4000, seed)
    branch = legal.sum(axis=2) == 2
    first = legal.argmax(axis=2)  # the legal symbol that comes first in the alphabet
    assert abs((targets == first)[branch].mean() - 0.5) < 0.02
    second = REBER_SYMBOLS.index("T") == targets[0]
    assert abs(second.mean() - 0.5) < 0.04
    assert abs((lengths + 1).mean() - 12) < 0.3 and lengths.min() + 1 == 9


def test_what_a_reader_of_the_last_two_symbols_can_know():
    """Everything but the last T or P is legal or not by the inner string, so forgetting costs half the strings."""
    inputs, targets, legal, lengths = embedded_reber(4000, 0)
    sequence = np.arange(4000)
    before = inputs[lengths - 3, sequence].argmax(axis=1), inputs[lengths - 2, sequence].argmax(axis=1)
    asked = targets[lengths - 2, sequence]
    for pair in set(zip(*(symbols.tolist() for symbols in before), strict=True)):
        alike = (before[0] == pair[0]) & (before[1] == pair[1])
        if alike.sum() > 400:
            assert abs((asked[alike] == REBER_SYMBOLS.index("T")).mean() - 0.5) < 0.1
    assert (legal[lengths - 2, sequence].sum(axis=1) == 1).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_distinct_strings_come_in_the_order_drawn_and_leave_no_empty_steps(seed):
    inputs, targets, _, _ = embedded_reber(200, seed, distinct=True)
    drawn = dict.fromkeys(spell(*embedded_reber(200, seed)[:2]))  # the first 200 draws are the same
    assert list(spell(inputs, targets))[: len(drawn)] == list(drawn)
    for few in range(1, 20):
        inputs, _, _, lengths = embedded_reber(few, seed, distinct=True)
        assert len(inputs) == lengths.max()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stream_is_whole_strings_one_after_another(seed):
    inputs, targets, legal = continual_reber(500, seed, count=3)
    whole = f"({EMBEDDED})"
    for n in range(3):
        (stream,) = spell(inputs[:, n : n + 1], targets[:, n : n + 1])
        assert len(stream) == 501
        strings = re.findall("B[TP]B.*?E[TP]E", stream)
        assert len(strings) > 30 and "".join(strings) == stream[: len("".join(strings))]
        assert all(re.fullmatch(whole, s) for s in strings)
        assert len(stream) - len("".join(strings)) < 60
    assert np.take_along_axis(legal, targets[..., None], axis=2).all()
    end_of_string = np.array([[inputs[t, n].argmax() for n in range(3)] for t in range(500)]) == REBER_SYMBOLS.index(
        "E"
    )
    only_b = legal[end_of_string & (targets == 0)]
    assert len(only_b) and (only_b.sum(axis=1) == 1).all() and only_b[:, REBER_SYMBOLS.index("B")].all()


def test_a_stream_may_stop_anywhere_and_a_longer_one_begins_with_it():
    for length in 1, 2, 7, 40:
        parts = zip(continual_reber(length, 3, count=2), continual_reber(80, 3, count=2), strict=True)
        assert all(np.array_equal(short, long[:length]) for short, long in parts)


def test_shapes_and_dtypes():
    inputs, targets, legal, lengths = embedded_reber(5, 0)
    assert inputs.shape == legal.shape == (*targets.shape, 7) == (lengths.max(), 5, 7)
    assert (inputs.dtype, targets.dtype, legal.dtype, lengths.dtype) == (np.float32, np.int64, bool, np.int64)
    assert inputs[0, :, REBER_SYMBOLS.index("B")].all()
    inputs, targets, legal = continual_reber(6, 0)
    assert inputs.shape == legal.shape == (6, 1, 7) and targets.shape == (6, 1)
    assert (inputs.dtype, targets.dtype, legal.dtype) == (np.float32, np.int64, bool)


@pytest.mark.parametrize("draw", [lambda rng: embedded_reber(9, rng), lambda rng: continual_reber(50, rng)])
def test_a_seed_repeats_and_a_generator_moves_on(draw):
    def same(a, b):
        return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))

    rng = np.random.default_rng(7)
    assert same(draw(7), draw(7)) and same(draw(7), draw(rng))
    assert not same(draw(7), draw(8)) and not same(draw(7), draw(rng))


@pytest.mark.parametrize("value", [0, -1, 2.0, "2", True, None])
def test_refuses_impossible_sizes(value):
    refusal = f"{value!r}: expected an integer, 1 or more$"
    with pytest.raises(ValueError, match=f"^count={refusal}"):
        embedded_reber(value, 0)
    with pytest.raises(ValueError, match=f"^count={refusal}"):
        continual_reber(5, 0, count=value)
    with pytest.raises(ValueError, match=f"^length={refusal}"):
        continual_reber(value, 0)


def test_gives_up_on_more_distinct_strings_than_draws_find(monkeypatch):
    monkeypatch.setattr(reber, "_MOST_DRAWS", 1000)
    assert embedded_reber(50, 0, distinct=True)[0].shape[1] == 50
    with pytest.raises(ValueError, match=r"^count=300: 900 draws gave \d+ distinct strings; ask for fewer$"):
        embedded_reber(300, 0, distinct=True)
    with pytest.raises(ValueError, match=r"^count=1001: 0 draws"):
        embedded_reber(1001, 0, distinct=True)
