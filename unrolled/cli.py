"""The `unrolled` command: build the book, execute its notebooks, check exercises, derive generated files."""

import os
import sys
import time
from pathlib import Path

from unrolled import UnrolledError

INSTALL = "Install the book's tools with: python -m pip install -e '.[book]'"

try:
    import click
except ModuleNotFoundError:
    sys.exit(f"The unrolled command needs click, which is not installed. {INSTALL}")


class Group(click.Group):
    """Turn the errors that a user can mend into one plain line."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except UnrolledError as error:
            raise click.ClickException(str(error)) from error
        except ModuleNotFoundError as error:
            raise click.ClickException(f"{error}. {INSTALL}") from error


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """The companion of the book Unrolled."""


def checkout() -> Path:
    """Return the root of the book's checkout that the current folder lies in."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "_config.yml").is_file() and (folder / "_toc.yml").is_file():
            return folder
    raise click.ClickException(
        f"{here} is not inside a checkout of the book (no _config.yml and _toc.yml here or above). "
        "Change into the checkout and run the command again."
    )


@main.command()
def book() -> None:
    """Build the book from its stored outputs and name the page to open."""
    from unrolled import site

    start = time.perf_counter()
    page = site.build(checkout())
    click.echo(f"The book is built in {time.perf_counter() - start:.0f} s. Open {page.as_uri()}")


@main.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--jobs", type=click.IntRange(1), help="Notebooks at a time; by default one for each core.")
def execute(paths: tuple[Path, ...], jobs: int | None) -> None:
    """Run notebooks and store their outputs; all chapters and solutions if no PATHS are given."""
    from unrolled import notebooks

    found = []
    for path in paths or (checkout() / "book",):
        files = sorted(path.rglob("*.ipynb")) if path.is_dir() else [path]
        # Student notebooks have no outputs to store: `unrolled derive` makes them.
        skip = {".ipynb_checkpoints", "_build", "exercises"}
        found += [file.resolve() for file in files if file == path or not skip & set(file.relative_to(path).parts)]
    done = notebooks.execute(found, jobs)
    failed = [result for result in done if result.error]
    click.echo(f"{len(done) - len(failed)} notebooks executed, {len(failed)} failed.")
    sys.exit(bool(failed))


@main.command()
@click.argument("number")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
def check(number: str, files: tuple[Path, ...]) -> None:
    """Check the exercises of chapter NUMBER in your notebook under work/, or in each of FILES."""
    from unrolled import exercises

    root = checkout()
    solution = exercises.solution_for(root, number)
    if len(files) > 1:
        sys.exit(_check_many(files, solution))
    if files:
        path = files[0]
    else:
        path, made = exercises.working_copy(root, solution)
        if made:
            click.echo(f"{os.path.relpath(path)} is new: your own copy. Answer there, then run this command again.")
            return
    say(f"Exercises in {os.path.relpath(path)}\n")
    report = exercises.grade(path, solution)
    say(str(report))
    if not files:
        exercises.remember(root, solution, report)
    sys.exit(not report.right)


@main.command()
def progress() -> None:
    """List the chapters, and what was right in your notebooks under work/ when they were last checked."""
    from unrolled import exercises

    click.echo("\n".join(exercises.progress(checkout())))


def _check_many(files: tuple[Path, ...], solution: Path) -> bool:
    """Print a line a file; return whether one could not be graded."""
    from unrolled import exercises

    failed = False
    width = max(len(str(file)) for file in files)
    for file in files:
        try:
            line = exercises.grade(file, solution).summary()
        except UnrolledError as error:
            failed, line = True, f"not graded: {str(error).removeprefix(f'{file}: ')}"
        except Exception as error:  # whatever one notebook holds, the others get their lines
            failed, line = True, f"not graded: {type(error).__name__}: {error}"
        say(f"{file!s:<{width}}  {' '.join(line.split())}")
    return failed


def say(text: str) -> None:
    """Print text that may hold what the terminal's encoding lacks, or a file's name that is no text."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding))


@main.command()
@click.argument("names", nargs=-1)
@click.option("--processor", "processors", multiple=True, help="By default every one that this processor can play.")
@click.option("--jobs", type=click.IntRange(1), help="Notebooks at a time; by default one for each core.")
def elsewhere(names: tuple[str, ...], processors: tuple[str, ...], jobs: int | None) -> None:
    """Run the notebooks whose path contains one of NAMES as processors of other makes would; say what differs."""
    from unrolled import elsewhere

    processors = list(processors or elsewhere.playable())
    left_out = [key for key in elsewhere.PROCESSORS if key not in elsewhere.playable()]
    failed, folder = 0, checkout() / "_build/elsewhere"
    for key, path, differs in elsewhere.run(elsewhere.notebooks(names), processors, jobs or os.cpu_count(), folder):
        failed += bool(differs)
        for cell, text in differs.items():
            say(f"{key}: {os.path.relpath(path)}: {cell}\n{text}\n")
    click.echo(
        f"{', '.join(processors)}: {failed} notebooks differ." + f" Not playable here: {left_out}" * bool(left_out)
    )
    sys.exit(bool(failed))


@main.command()
@click.argument("name", required=False)
@click.option("--jobs", type=click.IntRange(1), help="Trials at a time; by default one for each core.")
def experiment(name: str | None, jobs: int | None) -> None:
    """Run the trials of the experiment NAME that are not stored yet; without NAME, list the experiments."""
    from unrolled import experiments

    if name is None:
        click.echo("\n".join(experiments.names()))
        return
    for case, result, seconds in experiments.run(name, jobs or os.cpu_count()):
        click.echo(f"{seconds:6.1f} s  {_words(case)}  ->  {_words(result)}")
    click.echo(experiments.provenance(name))


def _words(values: dict) -> str:
    return " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
    )


@main.command()
@click.option("--check", is_flag=True, help="Change nothing; name the files that are stale and exit with 1.")
def derive(check: bool) -> None:
    """Regenerate the files that others determine: student notebooks, and what the site's settings decide."""
    from unrolled import exercises, site

    root = checkout()
    # The site first: it may write into the notebooks that the student's are made from.
    changed = [*site.derive(root, check), *exercises.derive(root, check)]
    for path in changed:
        click.echo(f"{'stale' if check else 'written'}: {os.path.relpath(path)}")
    if check and changed:
        raise click.ClickException("These files are not what they are derived from. Run: unrolled derive")


if __name__ == "__main__":
    main()
