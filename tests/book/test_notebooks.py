"""Every chapter and solution runs under nbval and gives the outputs that are stored."""

from pathlib import Path

import nbformat
import pytest

from unrolled.notebooks import name, normalise, verify

ROOT = Path(__file__).parents[2]
NOTEBOOKS = [
    p for p in sorted((ROOT / "book").rglob("*.ipynb")) if not {"exercises", ".ipynb_checkpoints"} & set(p.parts)
]
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT / "book")))


@each_notebook
def test_notebook_gives_what_is_stored(path):
    nb = nbformat.read(path, as_version=4)
    cells = [cell for cell in nb.cells if cell.cell_type == "code" and cell.source]
    never_run = [
        name(cell)
        for cell in cells
        if cell.execution_count is None and "nbval-skip" not in cell.metadata.get("tags", ())
    ]
    assert not never_run, f"{path} holds cells without outputs. Run: unrolled execute {path}"
    # A cell that fails makes those after it fail: the first says most.
    failure = next((outcome.text for outcome in verify(path).values() if outcome.text), "")
    if failure:
        advice = f"{path} does not give what is stored. If the new outputs are right, run: unrolled execute {path}"
        pytest.fail(f"{advice}\n{failure}", pytrace=False)


@each_notebook
def test_notebook_is_stored_in_normal_form(path):
    text = path.read_text(encoding="utf-8")
    normal = nbformat.writes(normalise(nbformat.reads(text, as_version=4))) + "\n"
    if text != normal:  # no assert: the difference is long and says little
        pytest.fail(f"{path} was saved by an editor. Run: unrolled execute {path}", pytrace=False)
