"""What every chapter promises and a program can count: sections, length, figures, symbols, citations, exercises."""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
CHAPTERS = {path.name[:2]: path for path in sorted((ROOT / "book").glob("[0-9]-*/[0-9][0-9]-*.ipynb"))}
each_chapter = pytest.mark.parametrize("number", CHAPTERS)

MATH = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)
# LaTeX that names an operation, a relation, a layout or a font, and so stands for no quantity.
GRAMMAR = set(
    "aligned alpha approx arctan arg bar begin big bmod cdot cdots cos cr delta det dfrac dots end exp frac ge hat in "
    "infty ldots le left leftarrow lfloor ln log max mid min ne odot partial pm prod qquad quad rfloor right sin sqrt "
    "sum tag text tfrac times to top binom".split()
)


def cells(number: str, kind: str) -> list:
    return [cell for cell in nbformat.read(CHAPTERS[number], as_version=4).cells if cell.cell_type == kind]


def prose(number: str) -> str:
    return "\n\n".join(cell.source for cell in cells(number, "markdown"))


def symbols(text: str) -> set[str]:
    """Return the letters and LaTeX names that the formulas of a text use, without subscripts that only count."""
    found = set()
    for match in MATH.finditer(text):
        formula = re.sub(r"\\text\{.*?\}|\\(begin|end)\{.*?\}", " ", match[1] or match[2])
        found |= set(re.findall(r"\\([a-zA-Z]+)|(?<![\\a-zA-Z])([a-zA-Z])(?![a-zA-Z])", formula))
    return {name or letter for name, letter in found} - GRAMMAR


def test_there_are_chapters():
    assert CHAPTERS


@each_chapter
def test_opens_with_its_question_and_closes_with_summary_exercises_reading(number):
    text = prose(number)
    assert re.match(rf"# {int(number)}\. .+\n\n\*\*.+\?\*\*\n\nAfter this chapter you can", text)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[-3:] == ["Summary", "Exercises", "Further reading"]


@each_chapter
def test_length_of_the_prose(number):
    text = MATH.sub(" ", re.sub(r"^\|.*$", "", prose(number), flags=re.MULTILINE))
    assert 1500 <= len(re.findall(r"[A-Za-z][\w'-]*", text)) <= 3500


@each_chapter
def test_code_cells_are_short(number):
    long = {cell.id: len(cell.source.splitlines()) for cell in cells(number, "code")}
    assert not {key: lines for key, lines in long.items() if lines > 25}


@each_chapter
def test_every_figure_has_alt_text_and_a_caption_that_names_its_seeds(number):
    for cell in cells(number, "code"):
        if "plt.show()" in cell.source:
            told = cell.metadata.get("mystnb", {})
            alt, caption = told.get("image", {}).get("alt", ""), told.get("figure", {}).get("caption", "")
            assert len(alt) > 40, f"{cell.id}: alt text"
            assert len(caption) > 40, f"{cell.id}: caption"
            if re.search(r"SEEDS|seed", cell.source) or re.search(r"median|mean |band|runs", caption):
                assert "seed" in caption, f"{cell.id}: which seeds?"


@each_chapter
def test_every_symbol_is_on_the_notation_page(number):
    known = symbols((ROOT / "book/notation.md").read_text(encoding="utf-8"))
    assert not symbols(prose(number)) - known


@each_chapter
def test_citations_resolve(number):
    keys = {key for keys in re.findall(r"\{cite:[pt]\}`(.+?)`", prose(number)) for key in keys.split(",")}
    known = set(re.findall(r"^@\w+\{(.+),$", (ROOT / "book/references.bib").read_text(encoding="utf-8"), re.MULTILINE))
    assert keys
    assert keys <= known


@each_chapter
def test_exercises_are_listed_as_they_are(number):
    (solution,) = (ROOT / "book/solutions").glob(f"{number}-*.ipynb")
    text = "\n\n".join(c.source for c in nbformat.read(solution, as_version=4).cells if c.cell_type == "markdown")
    heading = rf"^## ({int(number)}\.\d+) (.+)\n\n(★+) · (\d+) minutes$"
    actual = re.findall(heading, text, re.MULTILINE)
    row = rf"^\| ({int(number)}\.\d+) \| (.+?) \| (★+) \| (\d+) \|$"
    assert re.findall(row, prose(number), re.MULTILINE) == actual
    assert len(actual) >= 6
    assert any("bug" in title for _, title, _, _ in actual)
    assert text.count("<details><summary>A hint</summary>") == len(actual)


def test_symbols_are_found():
    assert symbols(r"$h_t^{(2)} = \phi(W x_t)$ and $$\bar v$$ but not \text{if}") == {"h", "t", "phi", "W", "x", "v"}
