"""Every exercise: its solution passes alone, its stub fails, each named misconception gets its hint."""

import importlib
from pathlib import Path

import nbformat
import pytest
from misconceptions import Misconception

from unrolled import exercises
from unrolled.checks import CheckFailed

ROOT = Path(__file__).parents[2]
SOLUTIONS = {path.name[:2]: path for path in sorted((ROOT / "book/solutions").glob("[0-9][0-9]-*.ipynb"))}


def labels(solution: Path) -> list[str]:
    """Return the exercises of a solution notebook, in order."""
    nb = nbformat.read(solution, as_version=4)
    return list(dict.fromkeys(filter(None, exercises.owners(nb).values())))


def misconceptions(chapter: str) -> list[Misconception]:
    """Return the wrong answers that are kept for a chapter."""
    return importlib.import_module(f"misconceptions.ch{chapter}").MISCONCEPTIONS


def run(nb: nbformat.NotebookNode, exercise: str | None, answer: str | None = None) -> None:
    """Run one exercise alone in this process: the given cells before it, its answer (or another), its checks."""
    import matplotlib.pyplot as plt

    namespace, seen, owner = {"__name__": "__main__", "display": print}, False, exercises.owners(nb)
    for cell in nb.cells:
        mine = cell.cell_type == "code" and owner.get(cell.id, "") in (None, exercise)
        if seen and not (mine and owner[cell.id]):
            break
        if mine and "nbval-skip" not in cell.metadata.get("tags", ()):
            given = cell.source if answer is None or not exercises.label(cell.source) else answer
            exec(compile(given, cell.id, "exec"), namespace)
            seen = bool(owner[cell.id])
    plt.close("all")


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
    run(exercises.pristine(solution), None)


@quiet
@each_exercise
def test_solution_passes_alone(solution, exercise, capsys):
    run(nbformat.read(solution, as_version=4), exercise)
    assert capsys.readouterr().out.endswith(f"Exercise {exercise}: correct.\n")


@quiet
@each_exercise
def test_stub_fails(solution, exercise):
    with pytest.raises((CheckFailed, NotImplementedError)):
        run(exercises.pristine(solution), exercise)


@quiet
@pytest.mark.parametrize(("solution", "wrong"), WRONG)
def test_misconception_gets_its_hint(solution, wrong):
    assert wrong.exercise in labels(solution), f"there is no exercise {wrong.exercise}"
    with pytest.raises(CheckFailed) as failed:
        run(nbformat.read(solution, as_version=4), wrong.exercise, wrong.code)
    assert wrong.hint in str(failed.value)


@each_exercise
def test_exercise_has_two_misconceptions(solution, exercise):
    names = {wrong.name for wrong in misconceptions(solution.name[:2]) if wrong.exercise == exercise}
    assert len(names) >= 2, f"name two wrong answers in tests/book/misconceptions/ch{solution.name[:2]}.py"


@each_chapter
def test_grader_accepts_the_solutions(solution):
    report = exercises.grade(solution, solution)
    assert report.right, str(report)


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
