"""The tools behind notebooks and exercises, on small notebooks made here."""

import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from solution_fixture import ANSWER_1, ANSWER_2, solution

from unrolled import exercises, notebooks

# ---------------------------------------------------------------------------------------------- student notebooks


def cells(nb):
    return {cell.id: cell for cell in nb.cells}


def test_student_notebook_has_stubs_instead_of_solutions():
    nb = cells(exercises.student(solution()))
    assert nb["answer-1"].source.splitlines() == [
        "# EXERCISE 4.1",
        "def unit(W, x, b):",
        "    # YOUR CODE HERE",
        "    raise NotImplementedError",
    ]
    assert nb["answer-2"].source == "# EXERCISE 4.2\n# YOUR CODE HERE\nraise NotImplementedError"


def test_student_notebook_keeps_ids_and_drops_what_is_tagged_solution():
    assert list(cells(exercises.student(solution()))) == [
        *("title", "setup", "text-1", "answer-1", "check-1", "text-2", "answer-2", "check-2")
    ]


def test_student_notebook_keeps_no_output_after_the_first_answer():
    nb = cells(exercises.student(solution()))
    assert nb["setup"].outputs and nb["setup"].execution_count == 1
    for key in ("answer-1", "check-1", "answer-2", "check-2"):
        assert nb[key].outputs == [] and nb[key].execution_count is None


def test_student_leaves_the_solution_alone():
    nb = solution()
    exercises.student(nb)
    assert nb == solution()


@pytest.mark.parametrize(
    ("key", "source", "message"),
    [
        ("answer-1", ANSWER_1.replace("### END SOLUTION", ""), "needs"),
        ("answer-1", ANSWER_1.replace("### BEGIN SOLUTION", ""), "does not follow its partner"),
        ("answer-1", ANSWER_1.replace("### BEGIN SOLUTION", "### BEGIN SOLUTION\n### BEGIN SOLUTION"), "partner"),
        ("answer-1", "# EXERCISE 4.1\nx = 1", "needs"),
        ("check-1", "### BEGIN SOLUTION\nx = 1\n### END SOLUTION", "needs"),
        ("check-1", ANSWER_1, "2 answer cells"),
        ("check-2", "", "no check"),
    ],
    ids=["no end", "no begin", "two begins", "no region", "no label", "twice", "no check"],
)
def test_a_solution_that_breaks_the_rules_is_refused(key, source, message):
    nb = solution()
    cells(nb)[key].source = source
    if not source:
        nb.cells.remove(cells(nb)[key])
    with pytest.raises(exercises.BadSolution, match=message):
        exercises.student(nb)


def test_an_exercise_of_another_chapter_is_refused(tmp_path):
    nbformat.write(solution(), tmp_path / "05-filter.ipynb")
    with pytest.raises(exercises.BadSolution, match=r"05-filter.*4\.1 does not belong to chapter 5"):
        exercises.pristine(tmp_path / "05-filter.ipynb")


def test_derive_names_stale_and_orphaned_files_and_mends_them(checkout):
    target, orphan = checkout / "book/exercises/04-small.ipynb", checkout / "book/exercises/03-gone.ipynb"
    orphan.parent.mkdir()
    orphan.write_text("{}")
    assert exercises.derive(checkout, check=True) == [target, orphan]
    assert not target.exists() and orphan.exists()
    assert exercises.derive(checkout) == [target, orphan]
    assert target.exists() and not orphan.exists()
    assert exercises.derive(checkout, check=True) == exercises.derive(checkout) == []


# -------------------------------------------------------------------------------------------------------- grading


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "book/solutions").mkdir(parents=True)
    nbformat.write(solution(), tmp_path / "book/solutions/04-small.ipynb")
    return tmp_path


@pytest.fixture
def source(checkout):
    return checkout / "book/solutions/04-small.ipynb"


def submission(source, **changed):
    """Write the student notebook with some cells changed, given as answer_1="..."; return its path."""
    nb = exercises.pristine(source)
    for key, text in changed.items():
        cells(nb)[key.replace("_", "-")].source = text
    path = source.parents[2] / "mine.ipynb"
    nbformat.write(nb, path)
    return path


def results(report):
    return {result.exercise: result.status for result in report.results}


def test_grader_end_to_end(source):
    path = submission(
        source,
        answer_1="# EXERCISE 4.1\ndef unit(W, x, b):\n    return np.tanh(W @ x)",
        check_1="passed('4.1')",
        answer_2="# EXERCISE 4.2\nchance = 0.25",
    )
    report = exercises.grade(path, source)
    assert results(report) == {"4.1": "to fix", "4.2": "right"}
    assert report.results[0].hint == "The bias is missing."
    assert report.notes == (
        "the check of exercise 4.1 was changed or removed in mine.ipynb; the book's own was used, yours was ignored.",
    )
    assert not report.right
    assert "1 of 2 right; to fix: 4.1; given cells changed: 1" in str(report)


def test_grader_finds_answers_by_their_first_line_where_ids_are_gone(source):
    path = submission(source, answer_1=ANSWER_1)
    nb = json.loads(path.read_text())
    nb["nbformat_minor"] = 4
    for cell in nb["cells"]:
        del cell["id"]
    nb["cells"] = [cell for cell in nb["cells"] if "EXERCISE 4.2" not in "".join(cell["source"])]
    path.write_text(json.dumps(nb))
    report = exercises.grade(path, source)
    assert results(report) == {"4.1": "right", "4.2": "not answered yet"}
    assert report.results[1].hint == "Its answer cell is missing; it starts with '# EXERCISE 4.2'."
    assert not report.notes


def judge(source, answer):
    return exercises.grade(submission(source, answer_1=f"# EXERCISE 4.1\n{answer}"), source).results[0].hint


def test_an_error_in_the_answer_is_shown_with_its_line(source):
    hint = judge(source, "def unit(W, x, b):\n    y = W @ x[:2]\n    return y")
    assert hint.startswith("Your code raises ValueError: matmul")
    assert hint.endswith("(line 3 of the cell: y = W @ x[:2]).")


def test_a_syntax_error_is_shown_with_its_line(source):
    assert judge(source, "def unit(W, x, b):\n    return = W") == (
        "Your code raises SyntaxError: invalid syntax (line 3 of the cell: return = W)."
    )


def test_a_stub_is_not_answered_yet_though_something_was_noted_in_it(source):
    answer = "# EXERCISE 4.1\ndef unit(W, x, b):\n    # tanh?\n    raise NotImplementedError"
    path = submission(source, answer_1=answer, answer_2="# EXERCISE 4.2\nchance = unit(W, x, b)")
    first, second = exercises.grade(path, source).results
    assert first.status == "not answered yet"
    assert second.status == "to fix" and "Does it use an exercise that is not answered yet?" in second.hint


def test_names_from_other_cells_and_names_of_the_stub_are_told_apart(source):
    assert "must be defined in its own cell" in judge(source, "def unit(W, x, b):\n    return helper(W)")
    assert "keep the names that the stub gave" in judge(source, "def my_unit(W, x, b):\n    return W")


def test_a_loop_without_end_and_a_warning_are_reported(source, monkeypatch):
    monkeypatch.setattr(exercises, "LIMIT", 2)
    path = submission(source, answer_1="# EXERCISE 4.1\nnp.exp(np.array(1e4))\nwhile True:\n    pass", answer_2="1 / 0")
    first, second = exercises.grade(path, source).results
    assert first.hint.splitlines()[0].startswith(
        "It did not finish within 2 seconds of the processor's time; does a loop never end?"
    )
    assert first.hint.splitlines()[1] == "On the way: RuntimeWarning: overflow encountered in exp"
    assert second.hint == "Your code raises ZeroDivisionError: division by zero (line 1 of the cell: 1 / 0)."


def test_a_right_answer_may_wait_longer_than_it_may_compute(source, monkeypatch):
    monkeypatch.setattr(exercises, "LIMIT", 1)
    answer = ANSWER_1.replace("    return", "    __import__('time').sleep(1.5)\n    return")
    assert results(exercises.grade(submission(source, answer_1=answer), source))["4.1"] == "right"


RIGHT = "# EXERCISE 4.1\ndef unit(W, x, b):\n    return np.tanh(W @ x + b)"
FIRST, SECOND = "# EXERCISE 4.1\ndef unit(W, x, b):\n    y = W @ x + b", "    return np.tanh(y)"
HELPED = "# EXERCISE 4.1\nf = np.tanh", "def unit(W, x, b):\n    return f(W @ x + b)"


@pytest.mark.parametrize(
    ("sources", "ids"),
    [
        (["stub", RIGHT], True),  # the stub left in place, the answer in a copy
        ([RIGHT, "stub"], False),  # a stub pasted below, ids gone
        ([RIGHT, "stub"], True),
        (["stub", "# EXERCISE 4.1\n# mine", RIGHT], True),
        ([FIRST, SECOND], True),  # split in two
        ([*HELPED], True),
        ([*HELPED, "unit(1, 2)"], False),  # what follows and defines nothing is no part of it
        ([RIGHT.replace("\n", "\r\n")], True),
        (["print('first')", RIGHT], True),
        ([FIRST, f"# EXERCISE 4.1\n{SECOND}"], True),  # split in two, each with the name
    ],
)
def test_the_cell_that_answers_is_found(source, sources, ids):
    path = submission(source)
    nb = json.loads(path.read_text())
    at = next(k for k, cell in enumerate(nb["cells"]) if cell["id"] == "answer-1")
    stub = nb["cells"].pop(at)
    for k, text in enumerate(sources):
        text = stub["source"] if text == "stub" else text
        nb["cells"].insert(at + k, {**stub, "id": "answer-1" if k == 0 else f"more-{k}", "source": text})
    for cell in nb["cells"]:
        cell.pop("id") if not ids else None
    path.write_text(json.dumps(nb), encoding="utf-8-sig")
    report = exercises.grade(path, source)
    assert results(report)["4.1"] == "right", report.results[0].hint
    assert report.notes == ()


def test_answers_whose_texts_changed_places_are_known_by_their_names(source):
    path = submission(source, answer_1="# EXERCISE 4.2\nchance = 0.25", answer_2=RIGHT)
    assert results(exercises.grade(path, source)) == {"4.1": "right", "4.2": "right"}


def test_a_kernel_that_dies_is_told_at_once(source, monkeypatch):
    monkeypatch.setattr(exercises, "WAIT", 600)
    path = submission(source, answer_1=RIGHT, answer_2="# EXERCISE 4.2\nimport os\nos._exit(1)")
    first, second = exercises.grade(path, source).results
    assert first.status == "right" and second.status == "to fix"
    assert second.hint.startswith("The kernel stopped here")


def test_an_answer_that_waits_is_told_apart_from_one_that_computes(source, monkeypatch):
    monkeypatch.setattr(exercises, "WAIT", 3)
    path = submission(source, answer_1="# EXERCISE 4.1\nimport time\ntime.sleep(1000)", answer_2=ANSWER_2)
    assert exercises.grade(path, source).results[0].hint.startswith("It did not finish within 0 minutes: does it wait")


@pytest.mark.parametrize("patch", ["import unrolled.checks", "close = passed = check = lambda *a, **k: None"])
def test_a_stub_is_never_right_and_replaced_checks_are_told(source, patch):
    """However the checks are silenced: by their names, as here, or in their module."""
    if patch.startswith("import"):
        patch += "\nget_ipython().run_cell_magic = None\nclose = check = passed = print"
    path = submission(source, answer_2=f"# EXERCISE 4.2\nchance = 0.5\n{patch}")
    first, second = exercises.grade(path, source).results
    assert first.status == "not answered yet"
    assert second.status == "to fix" and "does an answer replace the checks" in second.hint
    path = submission(source, answer_1=f"{RIGHT}\n{patch}")
    assert exercises.grade(path, source).results[1].status == "not answered yet"


def test_half_a_character_in_an_answer_is_graded(source):
    path = submission(source, answer_1=RIGHT)
    path.write_text(path.read_text().replace("4.1\\ndef", "4.1 \\ud800\\ndef"))
    assert results(exercises.grade(path, source))["4.1"] == "right"


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"cells": [{}]}', '{"cells": 3}', "\udcff"])
def test_a_damaged_file_is_named(text, source, tmp_path):
    path = tmp_path / "broken.ipynb"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(exercises.DamagedNotebook, match=r"broken\.ipynb: not a readable notebook"):
        exercises.grade(path, source)


def test_a_missing_file_is_named(source, tmp_path):
    with pytest.raises(exercises.DamagedNotebook, match=r"none\.ipynb: cannot be opened"):
        exercises.grade(tmp_path / "none.ipynb", source)


def test_the_notebook_of_another_chapter_is_refused(source, tmp_path):
    nbformat.write(new_notebook(cells=[new_code_cell("# EXERCISE 6.1\nx = 1")]), tmp_path / "six.ipynb")
    with pytest.raises(exercises.WrongChapter, match=r"no answer to exercises 4\.1, 4\.2 .*\(it answers 6\.1\)"):
        exercises.grade(tmp_path / "six.ipynb", source)


@pytest.mark.parametrize("number", ["4", "04"])
def test_a_chapter_is_found_by_its_number(number, checkout, source):
    assert exercises.solution_for(checkout, number) == source


@pytest.mark.parametrize("number", ["5", "four", "4.1", "-4"])
def test_an_unknown_number_lists_those_there_are(number, checkout):
    with pytest.raises(exercises.NoSuchChapter, match="Chapters with exercises: 04"):
        exercises.solution_for(checkout, number)


def test_a_working_copy_is_made_once_and_never_overwritten(checkout, source):
    path, made = exercises.working_copy(checkout, source)
    assert made and path == checkout / "work/04-small.ipynb"
    path.write_text("my answers")
    assert exercises.working_copy(checkout, source) == (path, False)
    assert path.read_text() == "my answers"


# ------------------------------------------------------------------------------------------------------ notebooks


def code(*outputs, **more):
    return new_notebook(cells=[new_code_cell("plot()", id="plot", outputs=list(outputs), **more)])


def test_normalise_drops_what_changes_between_runs():
    nb = code(metadata={"execution": {"iopub.busy": "now"}, "tags": ["hide-input"]})
    nb.metadata.update(widgets={"state": 1}, kernelspec={"name": "my-env"}, mystnb={"kept": True})
    nb.metadata.language_info = {"name": "python", "version": "3.11.7"}
    normal = notebooks.normalise(nb)
    assert normal.cells[0].metadata == {"tags": ["hide-input"]} and normal.cells[0].id == "plot"
    assert normal.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "mystnb": {"kept": True},
    }
    assert notebooks.normalise(normal) == normal


def test_normalise_gives_cells_without_id_the_same_one_each_time():
    nb = code()
    del nb.cells[0]["id"]
    assert notebooks.normalise(nb).cells[0].id == notebooks.normalise(nb).cells[0].id


def test_normalise_drops_dates_and_stacks():
    svg = new_output("display_data", {"image/svg+xml": "<svg>\n  <dc:date>2020</dc:date>\n</svg>"})
    error = new_output(
        "error", ename="ValueError", evalue="no", traceback=["File /home/me/engine.py", "ValueError: no"]
    )
    drawn, raised = notebooks.normalise(code(svg, error)).cells[0].outputs
    assert drawn.data["image/svg+xml"] == "<svg>\n</svg>"
    assert raised.traceback == ["ValueError: no"]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (new_output("stream", name="stderr", text="RuntimeWarning: overflow"), "stderr.*overflow"),
        (new_output("execute_result", {"text/plain": "<Line2D at 0x7f0012345678>"}), "memory address"),
        (new_output("stream", name="stdout", text="x" * 300_001), "300 kB of output"),
    ],
    ids=["stderr", "address", "size"],
)
def test_normalise_refuses_by_the_name_of_the_cell(output, message):
    with pytest.raises(notebooks.NotebookError, match=rf"cell plot \(plot\(\)\) .*{message}"):
        notebooks.normalise(code(output))


def test_an_interrupted_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.ipynb"
    notebooks.store(path, code())
    before = path.read_bytes()

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        notebooks.store(path, new_notebook())
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


PLOT = """\
import matplotlib.pyplot as plt
from pathlib import Path
from unrolled import figures
figures.use()
plt.plot([0, 1], marker="o", clip_on=True)
plt.show()
print(Path.cwd().name)
"""


def test_execute_is_deterministic_and_keeps_a_notebook_that_fails(tmp_path, capsys):
    (tmp_path / "inner").mkdir()
    plot, failing = tmp_path / "inner/plot.ipynb", tmp_path / "failing.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(PLOT, id="plot")]), plot)
    nbformat.write(new_notebook(cells=[new_code_cell("import numpy as np\nnp.exp(np.array(1e4))", id="boom")]), failing)
    before = failing.read_bytes()
    first = {result.path: result for result in notebooks.execute([plot, failing])}
    assert first[plot].changed and not first[plot].error and first[plot].seconds > 0
    assert "cell boom (import numpy as np)" in first[failing].error  # a RuntimeWarning is an error in the book
    assert "\nRuntimeWarning: overflow" in first[failing].error and "\x1b" not in first[failing].error
    assert failing.read_bytes() == before

    figure, printed = nbformat.read(plot, as_version=4).cells[0].outputs
    assert "<svg" in figure.data["image/svg+xml"] and "<dc:date>" not in figure.data["image/svg+xml"]
    assert printed.text == "inner\n"
    stored = plot.read_bytes()
    (again,) = notebooks.execute([plot])
    assert not again.changed and plot.read_bytes() == stored
    shown = capsys.readouterr().out
    assert "plot.ipynb" in shown and "unchanged" in shown and "failed, file left as it was" in shown


def hear_interrupts():
    """Undo what a shell does to a command in the background: tests may be run there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupt_ends_at_once_and_changes_nothing(tmp_path):
    path, started = tmp_path / "slow.ipynb", tmp_path / "started"
    wait = f"import time\nopen({str(started)!r}, 'w').close()\ntime.sleep(60)"
    nbformat.write(new_notebook(cells=[new_code_cell(wait)]), path)
    before = path.read_bytes()
    command = [sys.executable, "-m", "unrolled.cli", "execute", str(path)]
    own = {"start_new_session": True, "preexec_fn": hear_interrupts}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **own) as process:
        while not started.exists() and process.poll() is None:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C does: the whole group gets it
        shown, _ = process.communicate(timeout=30)
    assert process.returncode == 1 and shown.decode().strip() == "Aborted!"
    assert path.read_bytes() == before and {p.name for p in tmp_path.iterdir()} == {"slow.ipynb", "started"}


def test_verify_compares_outputs_but_neither_figures_nor_warnings(tmp_path):
    show = "from IPython.display import SVG, display\ndisplay(SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>'))"
    cells = [
        new_code_cell("print(2)", execution_count=1, outputs=[new_output("stream", text="1\n")]),
        new_code_cell("import warnings; warnings.warn('new')", execution_count=2, outputs=[]),
        new_code_cell(
            show,
            execution_count=3,
            outputs=[
                new_output(
                    "display_data", {"image/svg+xml": "<svg/>", "text/plain": "<IPython.core.display.SVG object>"}
                )
            ],
        ),
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "a.ipynb")
    printed, warned, drawn = notebooks.verify(tmp_path / "a.ipynb").values()
    assert "Cell outputs differ" in printed.text and "\x1b" not in printed.text
    assert not warned.text and warned.warnings == ("UserWarning: new",)
    assert not drawn.text
    assert not any(outcome.text for outcome in notebooks.verify(tmp_path / "a.ipynb", lax=True).values())
