"""The frame round the chapters names what they hold: table of contents, glossary, bug museum, instructor's guide."""

import re
from pathlib import Path

import nbformat
import pytest

import minigrad
from unrolled.site import chapters

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book"
CHAPTERS = {path.name[:2]: path for path in sorted(BOOK.glob("[0-9]-*/[0-9][0-9]-*.ipynb"))}
SOLUTIONS = {path.name[:2]: path for path in sorted((BOOK / "solutions").glob("[0-9][0-9]-*.ipynb"))}
each_solution = pytest.mark.parametrize("number", SOLUTIONS)


def page(name: str) -> str:
    return (BOOK / name).read_text(encoding="utf-8")


def text(path: Path) -> str:
    """Return what a reader sees of a notebook besides code: its prose and the captions of its figures."""
    cells = nbformat.read(path, as_version=4).cells
    captions = (cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "") for cell in cells)
    return "\n\n".join([*(cell.source for cell in cells if cell.cell_type == "markdown"), *captions])


def exercises(number: str) -> list[tuple[str, str, str, str]]:
    """Return label, title, stars and minutes of a chapter's exercises, as the solution's headings give them."""
    found = re.findall(r"^## (\d+\.\d+) (.+)\n\n(★+) · (\d+) minutes$", text(SOLUTIONS[number]), re.MULTILINE)
    assert found
    return found


def slug(heading: str) -> str:
    """Return the anchor of a heading, as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def headings(path: Path) -> list[str]:
    return re.findall(r"^#{1,3} (.+)$", text(path), re.MULTILINE)


def plain(words: str) -> str:
    """Return lower-case words without emphasis and line ends, to look terms up in."""
    return re.sub(r"[\s*]+", " ", words).lower()


# ---------------------------------------------------------------------------------------------- table of contents


def test_every_chapter_stands_in_the_table_of_contents_with_its_exercises_and_solutions():
    assert CHAPTERS and CHAPTERS.keys() == SOLUTIONS.keys()
    wanted = []
    for path in CHAPTERS.values():
        folders = (path.parent.name, "exercises", "solutions")
        wanted += [f"book/{folder}/{path.stem}" for folder in folders]
    assert [name for name in chapters(ROOT) if name.count("/") == 2] == wanted


# ----------------------------------------------------------------------------------------------- instructor's guide


@each_solution
def test_the_instructors_guide_has_a_row_for_every_exercise(number):
    row = rf"^\| ({int(number)}\.\d+) \| (.+?) \| (★+) \| (\d+) \| .+ \| .+ \| .+ \|$"
    assert re.findall(row, page("instructors.md"), re.MULTILINE) == exercises(number)


@each_solution
def test_the_instructors_guide_adds_up_the_minutes(number):
    link = rf"\[solutions\]\(solutions/{SOLUTIONS[number].name}\)\. Exercises: (\d+) minutes\."
    total = sum(int(minutes) for *_, minutes in exercises(number))
    assert re.findall(link, page("instructors.md")) == [str(total)]


def plan(heading: str) -> list[str]:
    """Return the exercises of a course plan, after looking at its weeks, minutes and projects."""
    everything = {label: (stars, int(minutes)) for n in SOLUTIONS for label, _, stars, minutes in exercises(n)}
    body = re.search(rf"^## {heading}\n(.+?)^## ", page("instructors.md"), re.MULTILINE | re.DOTALL)[1]
    rows = re.findall(r"^\| (\d+) \| .+ \| (.+) \| (\d+) \|(.*)\|$", body, re.MULTILINE)
    assert [int(week) for week, *_ in rows] == list(range(1, len(rows) + 1))
    taken = []
    for _, home, minutes, project in rows:
        labels = home.split(", ")
        assert sum(everything[label][1] for label in labels) == int(minutes), labels
        assert all(everything[label][0] != "★★★" for label in labels), labels
        assert not project.strip() or everything[project.strip()][0] == "★★★"
        taken += [*labels, *project.split()]
    assert len(set(taken)) == len(taken)
    return taken


def test_the_plan_of_two_semesters_takes_every_exercise_once():
    assert sorted(plan("Two semesters")) == sorted(label for n in SOLUTIONS for label, *_ in exercises(n))


def test_the_plan_of_one_semester_is_a_selection():
    chapters_taken = {label.split(".")[0] for label in plan("One semester")}
    assert chapters_taken < {str(int(number)) for number in CHAPTERS}


@each_solution
def test_sections_that_exercises_need_exist(number):
    row = rf"^\| {int(number)}\.\d+ \| .+? \| ★+ \| \d+ \| (.+?) \|"
    needed = re.findall(row, page("instructors.md"), re.MULTILINE)
    sections = {name for needs in needed for name in re.findall(r'"(.+?)"', needs)}
    assert sections and sections <= set(headings(CHAPTERS[number]))


# ------------------------------------------------------------------------------------------------------- bug museum


def test_every_bug_exercise_has_a_row_with_the_entries_that_link_to_it():
    head, *entries = re.split(r"^### ", page("bug-museum.md"), flags=re.MULTILINE)
    rows = dict(re.findall(r"^\| (\[\d.+?\)) \| (.+?) \|", head, re.MULTILINE))
    for number, path in SOLUTIONS.items():
        for label, title, *_ in exercises(number):
            if "bug" in title:
                link = f"{label}](exercises/{path.name}#{slug(f'{label} {title}')})"
                treated = [entry.splitlines()[0] for entry in entries if f"[exercise {link}" in entry]
                assert treated, f"{label} {title}"
                assert rows.pop(f"[{link}") == "; ".join(f"[{name}](#{slug(name)})" for name in treated)
    assert not rows


def test_entries_of_the_museum_have_one_form():
    entries = re.split(r"^### ", page("bug-museum.md"), flags=re.MULTILINE)[1:]
    form = r".+\n\n- \*\*Wrong:\*\* .+\n- \*\*Seen:\*\* .+\n- \*\*Shows:\*\* .+\n- \*\*Here:\*\* .*\]\(.+\n+(## .+\n+)?"
    assert entries
    assert not [entry.splitlines()[0] for entry in entries if not re.fullmatch(form, entry)]


def test_links_of_the_museum_name_exercises_and_sections():
    for name, shown, target, anchor in re.findall(r"(\[(.+?)\]\((\S+?)#(\S+?)\))", page("bug-museum.md")):
        # The build knows whether the page exists; that the words say the same as the link is seen here alone.
        (heading,) = (title for title in headings(BOOK / target) if slug(title) == anchor)
        assert shown.removeprefix("exercise ") in (heading, heading.split()[0]), name


# --------------------------------------------------------------------------------------------------------- glossary

ENTRY = re.compile(r"^(\S.*)\n  (.+) \[Chapter (\d+)\]\((\S+)\)$", re.MULTILINE)


def entries() -> list[tuple[str, str, str, str]]:
    """Return term, definition, chapter and link of each entry."""
    body = re.search(r"````\{glossary\}\n(.+?)\n````", page("glossary.md"), re.DOTALL)[1]
    found = ENTRY.findall(body)
    assert len(found) == len(body.split("\n\n"))
    return found


def test_terms_are_in_alphabetical_order_and_unique():
    terms = [re.sub(r"[^a-z0-9]+", " ", term.lower()).strip() for term, *_ in entries()]
    assert terms == sorted(set(terms))


def test_each_definition_is_one_sentence():
    # A capital after a full stop begins a second sentence.
    bad = [term for term, words, *_ in entries() if not words.endswith(".") or re.search(r"[.?!] [A-Z]", words)]
    assert not bad


def test_terms_occur_in_the_chapter_that_is_said_to_introduce_them():
    texts = {number: plain(text(path)) for number, path in CHAPTERS.items()}
    for term, _, chapter, link in entries():
        path = CHAPTERS[f"{int(chapter):02d}"]
        assert link == str(path.relative_to(BOOK)), term
        # What follows in brackets or after a comma tells two terms apart, or gives a short form.
        name = plain(re.split(r" \(|,", term)[0])
        assert name in texts[f"{int(chapter):02d}"], f"{term}: not in chapter {chapter}"


# --------------------------------------------------------------------------------------------------------- citing


def test_the_page_on_citing_agrees_with_the_file_for_programs():
    citation = (ROOT / "CITATION.cff").read_text("utf8")
    for key, field in {"title": "title", "version": "version"}.items():
        value = re.search(rf'^{key}: "?([^"\n]+)"?$', citation, re.MULTILINE)[1]
        assert f"{field:8}= {{{value}}}" in page("citing.md").replace("{{", "{").replace("}}", "}")
        assert key != "version" or value == minigrad.__version__
