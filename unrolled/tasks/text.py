"""A text to learn to write from: one novel, shipped with the package."""

from importlib.resources import files

# Where validation and test begin, each at the start of a paragraph: about 80, 10 and 10 per cent.
TEXT_SPLIT = (546_023, 612_899)


def text() -> str:
    """Return "Pride and Prejudice" by Jane Austen (1813): 680,738 characters, 68 different ones, a paragraph a line.

    A newline ends each paragraph and stands nowhere else. Titles of chapters and the marks of italics are left out.
    The split is by position, so that no stretch of the book is both learnt from and tested on:

        a, b = TEXT_SPLIT
        train, validation, test = text()[:a], text()[a:b], text()[b:]

    Source, licence (public domain) and the rule by which the text was made are in pride_and_prejudice.md beside it.
    """
    return files(__package__).joinpath("pride_and_prejudice.txt").read_text("utf-8")
