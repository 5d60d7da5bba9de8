"""The `unrolled` command as its users meet it: output, exit codes, errors that say what to do."""

import os
import subprocess
import sys

import nbformat
import pytest
from click.testing import CliRunner
from solution_fixture import solution

from unrolled import exercises
from unrolled.checks.why import WHY
from unrolled.cli import main


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    (tmp_path / "_config.yml").touch()
    (tmp_path / "_toc.yml").touch()
    (tmp_path / "book/solutions").mkdir(parents=True)
    nbformat.write(solution(), tmp_path / "book/solutions/04-small.ipynb")
    monkeypatch.chdir(tmp_path / "book")
    return tmp_path


def unrolled(*arguments):
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def test_check_makes_a_working_copy_first_and_grades_it_then(checkout):
    result = unrolled("check", "4")
    assert result.exit_code == 0
    assert result.output == (
        "../work/04-small.ipynb is new: your own copy. Answer there, then run this command again.\n"
    )
    nbformat.write(solution(), checkout / "work/04-small.ipynb")
    result = unrolled("check", "04")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    first, second = lines.index("  4.1   right"), lines.index("  4.2   right")
    assert " ".join(" ".join(lines[first + 1 : second]).split()) == WHY["4.1"] and "\n\n2 of 2 right" in result.output


def test_progress_is_what_the_last_checks_found(checkout):
    nbformat.write(solution(), checkout / "book/solutions/05-other.ipynb")
    assert unrolled("progress").output.splitlines() == [
        "04-small             not begun",
        "05-other             not begun",
    ]
    unrolled("check", "4")
    assert unrolled("progress").output.splitlines()[0] == "04-small             begun, not checked yet"
    unrolled("check", "4")
    assert "0 of 2 right; not answered yet: 4.1, 4.2" in unrolled("progress").output
    nbformat.write(solution(), checkout / "work/04-small.ipynb")
    unrolled("check", "4")
    unrolled("check", "4", "../book/solutions/04-small.ipynb")  # a file of someone else's is not remembered
    assert unrolled("progress").output.splitlines() == [
        "04-small             2 of 2 right",
        "05-other             not begun",
    ]
    for damaged in ("{", "[]", '{"04-small": 3}'):
        (checkout / "work/progress.json").write_text(damaged)
        result = unrolled("progress")
        assert result.exit_code == 1 and "delete it, and check your chapters again" in result.output


def test_check_of_one_file_fails_unless_all_is_right(checkout):
    nbformat.write(exercises.student(solution()), checkout / "ann.ipynb")
    result = unrolled("check", "04", str(checkout / "ann.ipynb"))
    assert result.exit_code == 1
    assert "0 of 2 right; not answered yet: 4.1, 4.2" in result.output


def test_check_of_a_class_gives_a_line_each_and_goes_on_after_a_damaged_file(checkout):
    nbformat.write(exercises.student(solution()), checkout / "ann.ipynb")
    nbformat.write(solution(), checkout / "benedict.ipynb")
    (checkout / "cy.ipynb").write_text("{")
    result = unrolled("check", "04", *(f"../{name}.ipynb" for name in ("cy", "ann", "benedict")))
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[0].startswith("../cy.ipynb        not graded: not a readable notebook")
    assert lines[1:] == [
        "../ann.ipynb       0 of 2 right; not answered yet: 4.1, 4.2",
        "../benedict.ipynb  2 of 2 right",
    ]


def test_every_file_of_a_class_gets_its_line(checkout, monkeypatch):
    """A name that is no text, a hint that the terminal cannot show, an error that nobody foresaw."""
    names = [checkout / "ann.ipynb", checkout / os.fsdecode(b"ben\xff.ipynb"), checkout / "cy.ipynb"]
    for name in names:
        nbformat.write(solution(), name)
    grade = exercises.grade

    def graded(path, source):
        if path == names[2]:
            raise RuntimeError("Kernel died\nbefore replying: ✗")
        return grade(path, source)

    monkeypatch.setattr(exercises, "grade", graded)
    result = CliRunner(charset="ascii").invoke(main, ["check", "04", *map(str, names)], catch_exceptions=False)
    lines = [line.split("  ")[-1].strip() for line in result.output.splitlines()]
    assert lines == [
        "2 of 2 right",
        "2 of 2 right",
        "not graded: RuntimeError: Kernel died before replying: \\u2717",
    ]
    assert result.exit_code == 1 and r"ben\udcff.ipynb" in result.output


def test_check_names_the_chapters_that_have_exercises(checkout):
    result = unrolled("check", "12")
    assert result.exit_code == 1
    assert result.output == "Error: There are no exercises numbered '12'. Chapters with exercises: 04.\n"


@pytest.mark.parametrize("command", [("check", "4"), ("derive",), ("execute",)])
def test_outside_a_checkout_it_says_where_to_go(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = unrolled(*command)
    assert result.exit_code == 1
    assert "is not inside a checkout of the book" in result.output


def test_derive_writes_then_has_nothing_to_do(checkout, monkeypatch):
    monkeypatch.setattr("unrolled.site.derive", lambda root, check: [])
    target = checkout / "book/exercises/04-small.ipynb"
    stale = unrolled("derive", "--check")
    assert stale.exit_code == 1 and not target.exists()
    assert stale.output.startswith("stale: exercises/04-small.ipynb\n") and "unrolled derive" in stale.output
    assert unrolled("derive").output == "written: exercises/04-small.ipynb\n"
    assert unrolled("derive", "--check").exit_code == 0


def test_derive_refuses_a_malformed_address_in_one_line(checkout):
    (checkout / "_config.yml").write_text("repository: {url: github.com/Example}")
    result = unrolled("derive")
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {checkout}/_config.yml: repository.url is 'github.com/Example'; write")


def test_a_solution_with_conflict_marks_is_named(checkout):
    (checkout / "book/solutions/04-small.ipynb").write_text("<<<<<<< HEAD")
    result = unrolled("check", "4", "ann.ipynb")
    assert result.exit_code == 1
    assert result.output.startswith("Exercises in") and "Error: " in result.output
    assert "04-small.ipynb: Notebook does not appear to be JSON" in result.output


def test_execute_runs_the_book_but_not_the_student_notebooks(checkout, monkeypatch):
    (checkout / "book/exercises").mkdir()
    nbformat.write(exercises.student(solution()), checkout / "book/exercises/04-small.ipynb")
    asked = []
    monkeypatch.setattr("unrolled.notebooks.execute", lambda paths, jobs: asked.append((paths, jobs)) or [])
    assert unrolled("execute", "--jobs", "2").exit_code == 0
    assert asked == [([checkout / "book/solutions/04-small.ipynb"], 2)]


def test_execute_fails_if_a_notebook_does(checkout):
    nbformat.write(exercises.student(solution()), checkout / "stub.ipynb")
    result = unrolled("execute", "../stub.ipynb")
    assert result.exit_code == 1
    assert "failed, file left as it was: cell answer-2" in result.output or "cell check-1" in result.output


def test_help_imports_nothing_heavy():
    code = "import sys, unrolled.cli; print(*{'nbformat', 'pytest', 'numpy', 'matplotlib'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == ""


def test_without_the_books_tools_it_says_how_to_get_them(checkout, monkeypatch):
    monkeypatch.setitem(sys.modules, "unrolled.exercises", None)
    monkeypatch.delattr("unrolled.exercises", raising=False)
    result = unrolled("check", "4")
    assert result.exit_code == 1 and "pip install -e '.[book]'" in result.output
