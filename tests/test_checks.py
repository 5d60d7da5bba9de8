"""What exercises call: right answers pass, wrong ones get the hint meant for them, NaN never passes."""

import numpy as np
import pytest

from unrolled.checks import CheckFailed, check, close, passed
from unrolled.checks.why import WHY


class Node:
    """Stands for a Tensor or a Value: something with its numbers in `.data`."""

    def __init__(self, data):
        self.data = data


@pytest.mark.parametrize(
    "actual",
    [np.array([1.0, 2.0]), [1.0, 2.0], (1, 2), Node(np.array([1.0, 2.0])), [Node(1.0), Node(2.0)], np.float32([1, 2])],
    ids=["array", "list", "tuple", "tensor", "values", "float32"],
)
def test_close_accepts_every_kind_of_numbers(actual):
    close(actual, [1.0, 2.0], "no")


def test_close_accepts_scalars():
    close(Node(0.5), 0.5, "no")
    close(np.float64(0.5), Node(0.5), "no")
    close(True, 1, "no")


def test_close_is_as_strict_as_its_tolerances():
    close(1.001, 1, "no", rtol=1e-2)
    close(0.001, 0, "no", atol=1e-2)
    with pytest.raises(CheckFailed, match=r"^off by one$"):
        close(2, 1, "off by one")


def test_a_wrong_shape_is_named_beside_the_right_one():
    with pytest.raises(CheckFailed, match=r"\(3,\) and should be \(1, 3\)\. Keep the batch\."):
        close(np.zeros(3), np.zeros((1, 3)), "Keep the batch.")


def test_shapes_that_broadcast_are_still_wrong():
    with pytest.raises(CheckFailed, match="shape"):
        close(np.ones((2, 2)), 1.0, "")


@pytest.mark.parametrize("expected", [np.nan, 1.0])
def test_nan_is_never_right(expected):
    with pytest.raises(CheckFailed, match="NaN"):
        close(np.nan, expected, "")


def test_a_known_mistake_gets_its_own_hint_whatever_its_shape():
    mistakes = {"The bias is missing.": [1.0, 2.0], "That is the transpose.": np.zeros((3, 2))}
    with pytest.raises(CheckFailed, match=r"^The bias is missing\.$"):
        close([1.0, 2.0], [2.0, 3.0], "general", mistakes=mistakes)
    with pytest.raises(CheckFailed, match=r"^That is the transpose\.$"):
        close(np.zeros((3, 2)), np.zeros((2, 3)), "general", mistakes=mistakes)
    with pytest.raises(CheckFailed, match=r"^general$"):
        close([9.0, 9.0], [2.0, 3.0], "general", mistakes=mistakes)


def test_a_right_answer_passes_though_a_mistake_gives_the_same():
    close(2.0, 2.0, "no", mistakes={"mistake": 2.0})


@pytest.mark.parametrize(
    ("answer", "hint"), [(None, "return"), ("two", "is a str"), ([[1], [1, 2]], "differ in length"), ({}, "is a dict")]
)
def test_an_answer_that_is_no_array_of_numbers_is_explained(answer, hint):
    with pytest.raises(CheckFailed, match=hint):
        close(answer, [1.0], "")


def test_check_raises_its_hint():
    check(True, "no")
    with pytest.raises(CheckFailed, match=r"^why$"):
        check(np.False_, "why")


def test_a_failed_check_shows_as_one_plain_line():
    from IPython.core.interactiveshell import InteractiveShell

    shell, shown = InteractiveShell(), []
    shell._showtraceback = lambda kind, value, lines: shown.extend(lines)
    shell.run_cell("from unrolled.checks import check\ncheck(False, 'Add the bias.')")
    assert shown == ["Not right yet: Add the bias."]


def test_passed_prints_a_fixed_line_and_why(capsys):
    passed("99.1")
    assert capsys.readouterr().out == "Exercise 99.1: correct.\n"
    passed("4.4")
    assert capsys.readouterr().out.split("\n", 1)[0] == "Exercise 4.4: correct."
    passed("4.4")
    assert " ".join(capsys.readouterr().out.split()).endswith(WHY["4.4"])
