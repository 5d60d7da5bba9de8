import hashlib
import re
from importlib.resources import files

from unrolled.tasks import TEXT_SPLIT, text


def test_it_is_the_text_whose_source_is_stated():
    novel = text()
    digest = hashlib.sha256(novel.encode()).hexdigest()
    assert digest == "eaa94544bb57de7a1e7e9823ef185e7ee52d14d376d55b525054511124ad75de"
    told = files("unrolled.tasks").joinpath("pride_and_prejudice.md").read_text("utf-8")
    assert digest in told and "Public domain" in told
    assert len(novel) == 680_738 and len(set(novel)) == 68


def test_a_paragraph_is_a_line():
    novel = text()
    assert novel.startswith(
        "It is a truth universally acknowledged, that a single man in possession of a good fortune,"
    )
    assert novel.endswith("had been the means of uniting them.\n")
    assert not re.search(r"\n\n|  |^ | $|\t|\r|_|\*", novel, re.MULTILINE)
    assert novel.count("\n") == 2057


def test_nothing_of_an_editor_is_left():
    assert not re.search(r"gutenberg|chapter \d|\[illustration|transcribe|copyright", text(), re.IGNORECASE)


def test_the_split_is_by_position_at_paragraphs():
    novel, (a, b) = text(), TEXT_SPLIT
    assert novel[a - 1] == novel[b - 1] == "\n"
    parts = novel[:a], novel[a:b], novel[b:]
    assert "".join(parts) == novel
    assert [round(100 * len(part) / len(novel)) for part in parts] == [80, 10, 10]
    assert set(parts[1]) | set(parts[2]) <= set(parts[0])  # no character that training has not shown
