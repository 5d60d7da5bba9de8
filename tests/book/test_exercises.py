"""Every exercise: its solution passes alone, its stub fails, each named misconception gets its hint."""

import copy
import functools
import importlib
import re
import symtable
import textwrap
from pathlib import Path

import nbformat
import numpy as np
import pytest
from misconceptions import Misconception

import minigrad as mg
from unrolled import exercises
from unrolled.checks import CheckFailed
from unrolled.checks.why import WHY

ROOT = Path(__file__).parents[2]
SOLUTIONS = {path.name[:2]: path for path in sorted((ROOT / "book/solutions").glob("[0-9][0-9]-*.ipynb"))}


def labels(solution: Path) -> list[str]:
    """Return the exercises of a solution notebook, in order."""
    nb = nbformat.read(solution, as_version=4)
    return list(dict.fromkeys(filter(None, exercises.owners(nb).values())))


def misconceptions(chapter: str) -> list[Misconception]:
    """Return the wrong answers that are kept for a chapter."""
    return importlib.import_module(f"misconceptions.ch{chapter}").MISCONCEPTIONS


@functools.lru_cache(maxsize=8)
def given(path: Path, exercise: str | None) -> tuple[dict, dict, np.dtype]:
    """Run the cells that are given before an exercise; return their namespace, its data, and the default dtype."""
    nb, namespace = exercises.pristine(path), {"__name__": "__main__", "display": print}
    owner = exercises.owners(nb)
    for cell in nb.cells:
        if cell.cell_type == "code" and owner[cell.id] == exercise is not None:
            break
        if cell.cell_type == "code" and not owner[cell.id] and "nbval-skip" not in cell.metadata.get("tags", ()):
            exec(compile(cell.source, cell.id, "exec"), namespace)
    data = {name: x for name, x in namespace.items() if name != "__builtins__" and copyable(x)}
    return namespace, data, mg.get_default_dtype()


def copyable(x: object) -> bool:
    """Whether it can be copied; a module, an open file or a node of a graph is shared."""
    try:
        return copy.deepcopy(x) is not None
    except Exception:
        return False


def run(path: Path, nb: nbformat.NotebookNode, exercise: str, answer: str | None = None) -> None:
    """Run one exercise alone in this process: the given cells before it, its answer (or another), its checks.

    What is given runs once for all answers; each finds copies of it, which it may change as it likes.
    """
    import matplotlib.pyplot as plt

    namespace, data, dtype = given(path, exercise)
    mg.set_default_dtype(dtype)
    before, owner = dict(namespace), exercises.owners(nb)
    namespace.update(copy.deepcopy(data))
    try:
        for cell in nb.cells:
            if cell.cell_type == "code" and owner.get(cell.id) == exercise:
                source = answer if answer is not None and exercises.label(cell.source) else cell.source
                exec(compile(source, cell.id, "exec"), namespace)
    finally:
        namespace.clear()
        namespace.update(before)
        plt.close("all")


def names(sources: list[str]) -> tuple[set[str], set[str]]:
    """Return the names that cells define at their top level, and all that they use anywhere."""
    tables = [symtable.symtable(source, "cell", "exec") for source in sources]
    defined = {s.get_name() for table in tables for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    inner = lambda table: [table, *(t for child in table.get_children() for t in inner(child))]
    used = {
        s.get_name()
        for top in tables
        for table in inner(top)
        for s in table.get_symbols()
        if s.is_referenced() and (s.is_global() or table is top)
    }
    return defined, used


EXERCISES = [pytest.param(path, exercise, id=exercise) for path in SOLUTIONS.values() for exercise in labels(path)]
WRONG = [
    pytest.param(SOLUTIONS[chapter], wrong, id=f"{wrong.exercise} {wrong.name}")
    for chapter in SOLUTIONS
    for wrong in misconceptions(chapter)
]
each_chapter = pytest.mark.parametrize("solution", SOLUTIONS.values(), ids=SOLUTIONS)
each_exercise = pytest.mark.parametrize(("solution", "exercise"), EXERCISES)
quiet = pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive:UserWarning")


@pytest.fixture(autouse=True)
def _no_windows(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    import matplotlib

    matplotlib.use("agg")


def test_student_notebooks_are_what_the_solutions_say():
    stale = [str(path.relative_to(ROOT)) for path in exercises.derive(ROOT, check=True)]
    assert not stale, "run: unrolled derive"


@quiet
@each_chapter
def test_given_cells_need_no_answer(solution):
    given(solution, None)


@each_exercise
def test_an_answer_needs_no_other(solution, exercise):
    """By its names: that it is right is seen when the whole notebook runs, in test_notebooks."""
    nb = nbformat.read(solution, as_version=4)
    owner, sources = exercises.owners(nb), {}
    for cell in nb.cells:
        if cell.cell_type == "code" and cell.id in owner:
            sources.setdefault(owner[cell.id], []).append(re.sub(r"(?m)^%.*", "", cell.source))
    mine, used = names(sources[exercise])
    others = set().union(*(names(cells)[0] for key, cells in sources.items() if key not in (exercise, None)))
    assert not used & others - mine - names(sources.get(None, []))[0]
    printed = [o.get("text", "") for c in nb.cells if owner.get(c.id) == exercise for o in c.get("outputs", [])]
    assert "".join(printed).endswith(f"Exercise {exercise}: correct.\n{textwrap.fill(WHY[exercise], 76)}\n")


@quiet
@each_exercise
def test_stub_fails(solution, exercise):
    with pytest.raises((CheckFailed, NotImplementedError)):
        run(solution, exercises.pristine(solution), exercise)


@quiet
@pytest.mark.parametrize(("solution", "wrong"), WRONG)
def test_misconception_gets_its_hint(solution, wrong):
    assert wrong.exercise in labels(solution), f"there is no exercise {wrong.exercise}"
    with pytest.raises(CheckFailed) as failed:
        run(solution, nbformat.read(solution, as_version=4), wrong.exercise, wrong.code)
    assert wrong.hint in str(failed.value)


def test_every_exercise_says_why_in_a_sentence():
    assert list(WHY) == [exercise for path in SOLUTIONS.values() for exercise in labels(path)]
    assert not [why for why in WHY.values() if not why.endswith(".") or ". " in why or len(why) > 120]


@each_exercise
def test_exercise_has_two_misconceptions(solution, exercise):
    names = {wrong.name for wrong in misconceptions(solution.name[:2]) if wrong.exercise == exercise}
    assert len(names) >= 2, f"name two wrong answers in tests/book/misconceptions/ch{solution.name[:2]}.py"


@each_chapter
def test_the_grader_runs_a_solution_as_it_is(solution):
    """So that it finds right what runs in test_notebooks."""
    given, nb = (nbformat.read(solution, as_version=4) for _ in range(2))
    merged = exercises.pristine(solution)
    assert exercises._merge(merged, solution) == []
    kept = exercises.owners(nb)
    code = lambda nb: [cell.source for cell in nb.cells if cell.cell_type == "code" and cell.id in kept]
    assert code(merged) == code(given)


@each_chapter
def test_grader_ignores_edited_checks(solution, tmp_path):
    nb = exercises.pristine(solution)
    owner = exercises.owners(nb)
    for cell in nb.cells:
        if cell.cell_type == "code" and owner[cell.id] and not exercises.label(cell.source):
            cell.source = "print('correct')"
    nbformat.write(nb, tmp_path / "edited.ipynb")
    report = exercises.grade(tmp_path / "edited.ipynb", solution)
    assert {result.status for result in report.results} == {"not answered yet"}
    assert len(report.notes) >= len(report.results)
