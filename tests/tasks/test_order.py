import re

import numpy as np
import pytest

from unrolled.tasks import ORDER_SYMBOLS, temporal_order

SEEDS = range(5)
PUBLISHED = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}


def spell(inputs, lengths):
    letters = np.array(list(ORDER_SYMBOLS))
    for n, end in enumerate(lengths):
        assert (inputs[:end, n].sum(axis=1) == 1).all() and not inputs[end:, n].any()
        yield "".join(letters[inputs[:end, n].argmax(axis=1)])


@pytest.mark.parametrize("relevant", [2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_sequences_follow_the_paper(relevant, seed):
    inputs, classes, lengths = temporal_order(400, seed, relevant=relevant)
    positions = []
    for string, label, end in zip(spell(inputs, lengths), classes, lengths, strict=True):
        assert re.fullmatch(f"E[abcd]+([XY][abcd]+){{{relevant}}}B", string) and len(string) == end
        positions.append([match.start() for match in re.finditer("[XY]", string)])
        digits = re.sub("[^XY]", "", string).translate(str.maketrans("XY", "01"))
        assert label == int(digits, 2)
    for place, (earliest, latest) in zip(np.transpose(positions), PUBLISHED[relevant], strict=True):
        assert set(place.tolist()) == set(range(earliest, latest + 1))
    assert sorted(set(lengths.tolist())) == list(range(100, 111))


def test_the_published_names_of_the_classes():
    order = {2: "XX XY YX YY", 3: "XXX XXY XYX XYY YXX YXY YYX YYY"}
    for relevant, names in order.items():
        inputs, classes, lengths = temporal_order(200, 0, relevant=relevant)
        seen = {label: re.sub("[^XY]", "", s) for s, label in zip(spell(inputs, lengths), classes, strict=True)}
        assert [seen[label] for label in sorted(seen)] == names.split()


@pytest.mark.parametrize("relevant", [2, 3])
def test_classes_and_distractors_are_fair(relevant):
    inputs, classes, lengths = temporal_order(8000, 1, relevant=relevant)
    share = np.bincount(classes) / 8000
    assert len(share) == 2**relevant and np.allclose(share, 2.0**-relevant, atol=0.02)
    distractors = inputs.sum(axis=(0, 1))[2:6]
    assert np.allclose(distractors / distractors.sum(), 0.25, atol=0.005)
    assert distractors.sum() == (lengths - 2 - relevant).sum()


def test_no_single_symbol_tells_the_class():
    inputs, classes, lengths = temporal_order(8000, 2)
    x_count = inputs[..., ORDER_SYMBOLS.index("X")].sum(axis=0)
    assert set(x_count[(classes == 1) | (classes == 2)].tolist()) == {1}  # XY and YX differ in their order only
    for label in range(4):
        assert abs(lengths[classes == label].mean() - 105) < 0.3


@pytest.mark.parametrize("relevant", [2, 3])
@pytest.mark.parametrize("length", [10, 11, 19, 30, 57, 200, 500])
def test_other_lengths_scale_the_places(relevant, length):
    inputs, _, lengths = temporal_order(500, 3, length=length, relevant=relevant)
    assert lengths.min() == length and lengths.max() == length + length // 10 == len(inputs)
    positions = np.array([[m.start() for m in re.finditer("[XY]", s)] for s in spell(inputs, lengths)])
    for place, (earliest, latest) in zip(positions.T, PUBLISHED[relevant], strict=True):
        assert place.min() >= earliest * length // 100 >= 1 and place.max() <= latest * length // 100 < length - 1


def test_shapes_and_dtypes():
    inputs, classes, lengths = temporal_order(3, 0, length=20)
    assert inputs.shape == (lengths.max(), 3, 8) and classes.shape == lengths.shape == (3,)
    assert (inputs.dtype, classes.dtype, lengths.dtype) == (np.float32, np.int64, np.int64)
    assert len(ORDER_SYMBOLS) == 8


def test_a_seed_repeats_and_a_generator_moves_on():
    rng = np.random.default_rng(7)
    draws = [temporal_order(5, seed)[0] for seed in (7, 7, rng)]
    assert np.array_equal(draws[0], draws[1]) and np.array_equal(draws[0], draws[2])
    others = [temporal_order(5, seed)[0] for seed in (8, rng)]
    assert not any(np.array_equal(draws[0], other) for other in others)


@pytest.mark.parametrize("value", [0, -1, 9.0, "9", True, None])
def test_refuses_impossible_sizes(value):
    with pytest.raises(ValueError, match=f"^count={value!r}: expected an integer, 1 or more$"):
        temporal_order(value, 0)
    with pytest.raises(ValueError, match=f"^length={value!r}: expected an integer, 10 or more$"):
        temporal_order(1, 0, length=value)
    with pytest.raises(ValueError, match=f"^relevant={value!r}: expected one of 2, 3$"):
        temporal_order(1, 0, relevant=value)


def test_refuses_lengths_whose_places_would_meet():
    with pytest.raises(ValueError, match=r"^length=9: "):
        temporal_order(1, 0, length=9)
