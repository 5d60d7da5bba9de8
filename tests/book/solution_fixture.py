"""A small solution notebook with every feature of the format, for the tests of the tools."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

SETUP = """\
import numpy as np
from unrolled.checks import check, close, passed

rng = np.random.default_rng(0)
x, W, b = rng.normal(size=3), rng.normal(size=(2, 3)), np.array([1.0, -1.0])
print("ready")
"""
ANSWER_1 = """\
# EXERCISE 4.1
def unit(W, x, b):
    ### BEGIN SOLUTION
    return np.tanh(W @ x + b)
    ### END SOLUTION
"""
CHECK_1 = """\
close(unit(W, x, b), np.tanh(W @ x + b), "Compute one unit by hand.", mistakes={"The bias is missing.": np.tanh(W @ x)})
passed("4.1")
"""
ANSWER_2 = """\
# EXERCISE 4.2
### BEGIN SOLUTION
chance = 1 / 4
### END SOLUTION
"""
CHECK_2 = """\
check(chance != 0.5, "Two bits give four cases, not two.")
close(chance, 0.25, "Count the cases.")
passed("4.2")
"""


def solution() -> nbformat.NotebookNode:
    """Return the solution notebook, executed as it would be stored."""
    cells = [
        new_markdown_cell("# Exercises 4", id="title"),
        new_code_cell(
            SETUP, id="setup", execution_count=1, outputs=[new_output("stream", name="stdout", text="ready\n")]
        ),
        new_markdown_cell("**4.1** Write one unit.", id="text-1"),
        _run(ANSWER_1, "answer-1", 2),
        _run(CHECK_1, "check-1", 3, "Exercise 4.1: correct.\n"),
        new_markdown_cell("The bias is added before tanh.", id="why-1", metadata={"tags": ["solution"]}),
        new_markdown_cell("**4.2** What is chance?", id="text-2"),
        _run(ANSWER_2, "answer-2", 4),
        _run(CHECK_2, "check-2", 5, "Exercise 4.2: correct.\n"),
    ]
    return new_notebook(cells=cells)


def _run(source: str, key: str, count: int, text: str = "") -> nbformat.NotebookNode:
    outputs = [new_output("stream", name="stdout", text=text)] if text else []
    return new_code_cell(source.strip(), id=key, execution_count=count, outputs=outputs)
