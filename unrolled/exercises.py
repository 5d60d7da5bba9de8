"""Exercises: student notebooks made from the solutions, and a grader that takes only the answers from a student.

A solution notebook is the one hand-edited source. The first line of an answer cell is `# EXERCISE 4.2`, its solution
stands between nbgrader's markers, and the code cells that follow it up to the next text are the exercise's checks.
Cells tagged `solution` explain; students do not get them. All other code is given, and needs no answer to run.
"""

import copy
import json
import re
import symtable
import tempfile
import textwrap
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from unrolled import UnrolledError
from unrolled.notebooks import NotebookError, Outcome, name, normalise, store, verify, write

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
STUB = ("# YOUR CODE HERE", "raise NotImplementedError")
LIMIT = 180  # seconds of the processor's time that a cell may take: a right answer takes less on a slow machine
WAIT = 900  # seconds on the clock, for a cell that waits instead of computing
# Run before the first cell: a loop without end is stopped by the time that it computes, however busy the machine is.
LIMITER = """\
def limiter():
    import signal

    def stop(*_):
        raise KeyboardInterrupt

    if hasattr(signal, "setitimer"):  # not on Windows
        signal.signal(signal.SIGPROF, stop)
        events, start = get_ipython().events, lambda info: signal.setitimer(signal.ITIMER_PROF, LIMIT, 1)
        events.register("pre_run_cell", start)
        events.register("post_run_cell", lambda result: signal.setitimer(signal.ITIMER_PROF, 0))


limiter()
del limiter"""

_LABEL = re.compile(r"\s*#\s*EXERCISE\s+(\d+\.\d+)\b")
_ARROW = re.compile(r"^-*>\s*(\d+) ?(.*)$", re.MULTILINE)  # the line IPython points at
_SYNTAX = re.compile(r" \([^()]*, line (\d+)\)$")


class ExerciseError(UnrolledError):
    """Something stands in the way of grading."""


class NoSuchChapter(ExerciseError):
    """No exercises have this number."""


class DamagedNotebook(ExerciseError):
    """A file that cannot be read as a notebook."""


class WrongChapter(ExerciseError):
    """A notebook without any answer cell of the chapter."""


class BadSolution(ExerciseError):
    """A solution notebook that breaks the rules above."""


# ---------------------------------------------------------------------------------------------- student notebooks


def label(source: str) -> str | None:
    """Return "4.2" for the source of an answer cell, whose first line is `# EXERCISE 4.2`."""
    match = _LABEL.match(source)
    return match and match[1]


def owners(nb: NotebookNode) -> dict[str, str | None]:
    """Map the id of each code cell to its exercise, or to None for code that is given."""
    owner, found = None, {}
    for cell in nb.cells:
        if "solution" in cell.metadata.get("tags", ()):
            continue
        owner = (label(cell.source) or owner) if cell.cell_type == "code" else None
        if cell.cell_type == "code":
            found[cell.id] = owner
    return found


def student(solution: NotebookNode) -> NotebookNode:
    """Return what a student gets: stubs for solutions, no explanations, no output that depends on an answer."""
    nb = normalise(solution)
    nb.cells = [cell for cell in nb.cells if "solution" not in cell.metadata.get("tags", ())]
    answers = [label(cell.source) for cell in nb.cells if cell.cell_type == "code" and label(cell.source)]
    owner = owners(nb)
    cells = Counter(owner.values())
    for exercise in answers:
        if answers.count(exercise) > 1:
            raise BadSolution(f"exercise {exercise} has {answers.count(exercise)} answer cells; keep one.")
        if cells[exercise] < 2:
            raise BadSolution(f"exercise {exercise} has no check; put a code cell right after its answer cell.")
    for cell in nb.cells:
        if cell.cell_type == "code" and (BEGIN in cell.source or END in cell.source or label(cell.source)):
            cell.source = _stub(cell)
        if owner.get(cell.id):  # an answer or a check; what is given needs no answer, so its output gives none away
            cell.outputs, cell.execution_count = [], None
    if nb.cells:
        nb.cells[0].source = nb.cells[0].source.replace("# Solutions", "# Exercises", 1)
    return nb


def _stub(cell: NotebookNode) -> str:
    lines, inside, regions = [], False, 0
    for line in cell.source.splitlines():
        if line.strip() in (BEGIN, END):
            if inside == (line.strip() == BEGIN):
                raise BadSolution(f"{name(cell)}: '{line.strip()}' does not follow its partner.")
            inside = not inside
            if inside:
                regions += 1
                lines += [line.replace(BEGIN, text) for text in STUB]
        elif not inside:
            lines.append(line)
    if inside or not regions or not label(cell.source):
        raise BadSolution(f"{name(cell)}: needs '# EXERCISE n.m' as its first line and a region '{BEGIN}', '{END}'.")
    return "\n".join(lines)


def derive(root: Path, check: bool = False) -> list[Path]:
    """Make the student notebooks from the solutions; return the files that changed, or with `check` would change."""
    changed = []
    solutions = sorted((root / "book/solutions").glob("*.ipynb"))
    for source in solutions:
        target = root / "book/exercises" / source.name
        nb = pristine(source)
        if check:
            text = nbformat.writes(nb) + "\n"
            stale = not target.exists() or target.read_text(encoding="utf-8") != text
        else:
            stale = store(target, nb)
        changed += [target] * stale
    known = {source.name for source in solutions}
    for orphan in (root / "book/exercises").glob("*.ipynb"):
        if orphan.name not in known:
            changed.append(orphan)
            if not check:
                orphan.unlink()
    return changed


def pristine(solution: Path) -> NotebookNode:
    """Return the student notebook that belongs to a solution file."""
    try:
        nb = student(nbformat.read(solution, as_version=4))
    except (BadSolution, NotebookError, ValueError) as error:  # ValueError: not a notebook at all
        raise BadSolution(f"{solution}: {error}") from None
    chapter = str(int(solution.name.split("-")[0]))
    for exercise in filter(None, owners(nb).values()):
        if exercise.split(".")[0] != chapter:
            raise BadSolution(f"{solution}: exercise {exercise} does not belong to chapter {chapter}.")
    return nb


# -------------------------------------------------------------------------------------------------------- grading


@dataclass(frozen=True)
class Result:
    """One exercise: `status` is "right", "to fix" or "not answered yet"."""

    exercise: str
    status: str
    hint: str = ""


@dataclass(frozen=True)
class Report:
    """One notebook, graded."""

    path: Path
    results: tuple[Result, ...]
    notes: tuple[str, ...]
    seconds: float

    @property
    def right(self) -> bool:
        return all(result.status == "right" for result in self.results)

    def summary(self) -> str:
        """Return one line: how many are right, and which are not."""
        parts = [f"{len(self._with('right'))} of {len(self.results)} right"]
        parts += [f"{status}: {', '.join(self._with(status))}" for status in ("to fix", "not answered yet")
                  if self._with(status)]  # fmt: skip
        parts += [f"given cells changed: {len(self.notes)}"] * bool(self.notes)
        return "; ".join(parts)

    def __str__(self) -> str:
        lines = []
        for result in self.results:
            lines.append(f"  {result.exercise:<5} {result.status}")
            indent = " " * 8
            for paragraph in result.hint.splitlines():
                lines.append(textwrap.fill(paragraph, 88, initial_indent=indent, subsequent_indent=indent))
        lines += ["", f"{self.summary()} ({self.seconds:.0f} s)"]
        return "\n".join([*lines, *(textwrap.fill(f"Note: {note}", 96) for note in self.notes)])

    def _with(self, status: str) -> list[str]:
        return [result.exercise for result in self.results if result.status == status]


def solution_for(root: Path, number: str) -> Path:
    """Return the solution notebook of a chapter given as "4" or "04"."""
    files = {int(path.name[:2]): path for path in (root / "book/solutions").glob("[0-9][0-9]-*.ipynb")}
    if not number.isdecimal() or int(number) not in files:
        known = ", ".join(f"{chapter:02d}" for chapter in sorted(files)) or "none yet"
        raise NoSuchChapter(f"There are no exercises numbered '{number}'. Chapters with exercises: {known}.")
    return files[int(number)]


def working_copy(root: Path, solution: Path) -> tuple[Path, bool]:
    """Return the student's own notebook, and whether it was made just now; one that exists is never touched."""
    path = root / "work" / solution.name
    return path, not path.exists() and store(path, pristine(solution))


def remember(root: Path, solution: Path, report: Report) -> None:
    """Keep what was found in a student's own notebook, for `progress`."""
    found = _remembered(root) | {solution.stem: {result.exercise: result.status for result in report.results}}
    write(root / "work/progress.json", json.dumps(found, indent=1, sort_keys=True) + "\n")


def _remembered(root: Path) -> dict[str, dict[str, str]]:
    path = root / "work/progress.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return {chapter: dict(statuses) for chapter, statuses in found.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise DamagedNotebook(f"{path}: cannot be read ({error}); delete it, and check your chapters again.") from None


def progress(root: Path) -> list[str]:
    """Return a line for each chapter: what was right when it was last checked."""
    found, lines = _remembered(root), []
    for solution in sorted((root / "book/solutions").glob("[0-9][0-9]-*.ipynb")):
        statuses = found.get(solution.stem, {})
        results = tuple(Result(exercise, status) for exercise, status in statuses.items())
        begun = "begun, not checked yet" if (root / "work" / solution.name).exists() else "not begun"
        lines.append(f"{solution.stem:<20} {Report(solution, results, (), 0).summary() if results else begun}")
    return lines


def grade(path: Path, solution: Path) -> Report:
    """Grade the answers in the notebook at `path` by the checks of the solution notebook's exercises."""
    start = time.perf_counter()
    nb = pristine(solution)
    given, notes = copy.deepcopy(nb), _merge(nb, path)
    with tempfile.TemporaryDirectory() as folder:
        merged, run = Path(folder) / "answers.ipynb", copy.deepcopy(nb)
        run.cells.insert(0, nbformat.v4.new_code_cell(LIMITER.replace("LIMIT", str(LIMIT))))
        nbformat.write(run, merged)
        outcomes = verify(merged, lax=True, timeout=WAIT)
    owner = owners(given)
    results = []
    for stub, cell in zip(given.cells, nb.cells, strict=True):
        if exercise := cell.cell_type == "code" and label(stub.source):
            found = [outcomes[key] for key, value in owner.items() if value == exercise]
            results.append(_judge(exercise, cell.source, stub, found))
    return Report(path, tuple(results), tuple(notes), time.perf_counter() - start)


def _merge(nb: NotebookNode, path: Path) -> list[str]:
    """Put the student's answers into the pristine notebook; return a note for every given cell that was changed."""
    submitted = _read(path)
    by_label = {label(source) for _, source in submitted}
    sources = {source.strip() for _, source in submitted}
    owner, notes, answered = owners(nb), [], 0
    given = {cell.source.strip() for cell in nb.cells if cell.cell_type == "code"}
    for cell in nb.cells:
        if cell.cell_type != "code":
            continue
        if exercise := label(cell.source):
            source = _answer(exercise, cell, submitted, given)
            answered += source is not None
            cell.source = "# MISSING" if source is None else source
        elif cell.source.strip() not in sources:
            which = f"the check of exercise {owner[cell.id]}" if owner[cell.id] else f"the given {name(cell)}"
            notes.append(f"{which} was changed or removed in {path.name}; the book's own was used, yours was ignored.")
    if not answered:
        others = ", ".join(sorted(exercise for exercise in by_label if exercise)) or "none at all"
        expected = ", ".join(dict.fromkeys(filter(None, owner.values())))
        raise WrongChapter(
            f"{path}: no answer to exercises {expected} in this notebook (it answers {others}). "
            "Is it the notebook of another chapter?"
        )
    return notes


def _answer(exercise: str, stub: NotebookNode, submitted: list[tuple[str | None, str]], given: set[str]) -> str | None:
    """Return the answer to an exercise, or None where its cell is gone.

    Its cell is known by its first line, wherever it stands, or, where that is gone, by its id; a copy that is answered
    counts more than a stub that was left. Cells of the student's own that follow it go with it if they go on with its
    last function, or define what the stub names and the cell does not; a second cell of the same name likewise.
    """
    named = lambda source: label(source) in (None, exercise)
    mine = [k for k, (key, text) in enumerate(submitted) if label(text) == exercise or (key == stub.id and named(text))]
    if not mine:
        return None
    ids, texts = zip(*submitted, strict=True)
    at = max(mine, key=lambda k: (not _unanswered(texts[k], stub), label(texts[k]) is not None, ids[k] == stub.id, -k))
    answer, wanted = texts[at], _defined(stub.source)
    for source in texts[at + 1 :]:
        if not named(source) or source.strip() in given:
            break
        if source[:1].isspace() or (wanted - _defined(answer)) & _defined(source) or _goes_on(source):
            answer = f"{answer}\n{source}"
    return answer


def _goes_on(source: str) -> bool:
    """Whether a cell, below its name, begins within a function: the rest of an answer that was split."""
    return label(source) is not None and source.split("\n", 1)[-1][:1].isspace()


def _unanswered(answer: str, stub: NotebookNode) -> bool:
    """Whether an answer is the stub as it was given, but for spaces and comments."""
    code = lambda source: [line.split("#")[0].rstrip() for line in source.splitlines() if line.split("#")[0].strip()]
    return code(answer) == code(stub.source)


def _defined(source: str) -> set[str]:
    """Return the names that a cell defines; none where it is no Python."""
    try:
        table = symtable.symtable(source, "cell", "exec")
    except SyntaxError:
        return set()
    return {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned()}


def _read(path: Path) -> list[tuple[str | None, str]]:
    """Return id and source of each code cell; plain JSON, so that a small flaw elsewhere costs no one their grade."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8-sig"))["cells"]
        plain = lambda source: "".join(source).replace("\r\n", "\n").encode("utf-8", "replace").decode("utf-8")
        return [(cell.get("id"), plain(cell["source"])) for cell in cells if cell["cell_type"] == "code"]
    except OSError as error:
        raise DamagedNotebook(f"{path}: cannot be opened ({error.strerror}). Check the name.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedNotebook(
            f"{path}: not a readable notebook ({type(error).__name__}: {error}). Open it in Jupyter and save it again, "
            "or move it away and run the command once more for a fresh copy."
        ) from None


def _judge(exercise: str, answer: str, stub: NotebookNode, outcomes: list[Outcome]) -> Result:
    failed = next((outcome for outcome in outcomes if outcome.text), None)
    if answer == "# MISSING":
        return Result(
            exercise, "not answered yet", f"Its answer cell is missing; it starts with '# EXERCISE {exercise}'."
        )
    if _unanswered(answer, stub) or (failed and failed.error == "NotImplementedError" and STUB[1] in answer):
        return Result(exercise, "not answered yet")
    if failed is None and f"Exercise {exercise}: correct." not in outcomes[-1].printed:
        return Result(
            exercise, "to fix", "Its check did not speak: does an answer replace the checks, or what they use?"
        )
    if failed is None:
        return Result(exercise, "right", " ".join(outcomes[-1].printed.split("correct.\n", 1)[-1].split()))
    hint = _explain(failed, answer)
    warnings = dict.fromkeys(warning for outcome in outcomes for warning in outcome.warnings)
    return Result(exercise, "to fix", "\n".join([hint, *(f"On the way: {warning}" for warning in warnings)]))


def _explain(failed: Outcome, answer: str) -> str:
    line = _line(failed, answer)
    if failed.error == "CheckFailed":
        return failed.message
    if failed.text.count("Timeout of"):
        return f"It did not finish within {WAIT // 60} minutes: does it wait for something?{line}"
    if failed.error == "KeyboardInterrupt":
        return f"It did not finish within {LIMIT} seconds of the processor's time; does a loop never end?{line}"
    if not failed.error:
        return "The kernel stopped here or at an exercise before: does an answer end Python, or use up the memory?"
    text = f"Your code raises {failed.error}: {_SYNTAX.sub('', failed.message)}{line}."
    if failed.error == "NameError" and line:
        text += " Whatever an answer uses must be defined in its own cell or in a given one."
    elif failed.error == "NameError":
        text += " The check needs it: keep the names that the stub gave."
    elif failed.error == "NotImplementedError":
        text += " Does it use an exercise that is not answered yet?"
    return text


def _line(failed: Outcome, answer: str) -> str:
    """Name the deepest line of the answer in the traceback, if there is one."""
    lines = dict(enumerate(map(str.strip, answer.splitlines()), start=1))
    if syntax := _SYNTAX.search(failed.message):
        pointed = [(syntax[1], lines.get(int(syntax[1]), ""))]
    else:
        pointed = reversed(_ARROW.findall(failed.traceback))
    # The text must agree: IPython also points at lines of the check, and of every library on the way.
    return next(
        (f" (line {n} of the cell: {text.strip()})" for n, text in pointed if lines.get(int(n)) == text.strip()), ""
    )
