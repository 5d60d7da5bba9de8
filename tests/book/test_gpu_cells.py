"""Chapter 15: its cells that wait for a GPU run on the stand-in, and the times that it names are the stored ones."""

import ast
import json
import statistics
from pathlib import Path

import nbformat
import pytest

from unrolled import standin

ROOT = Path(__file__).parents[2]
GUARD = "if mg.cuda.is_available():"


@pytest.fixture
def code():
    """The chapter's code cells by their id."""
    cells = nbformat.read(ROOT / "book/4-fast/15-gpu.ipynb", as_version=4).cells
    return {cell.id: cell.source for cell in cells if cell.cell_type == "code"}


def test_the_measured_times_are_the_stored_ones(code):
    """They stand in the notebook, since Colab has no benchmarks/."""
    tree = ast.parse(code["cpu"])
    (named,) = (x.value for x in tree.body if isinstance(x, ast.Assign) and x.targets[0].id == "MEASURED")
    rows = json.loads((ROOT / "benchmarks/results/sequences.json").read_text("utf8"))["rows"]
    times = {
        tuple(row["size"]): 1e3 * statistics.median(row["seconds"]["minigrad numba"]["forward"])
        for row in rows.values()
        if row["kind"] == "lstm"
    }
    assert ast.literal_eval(named) == pytest.approx(times, rel=5e-3)


def test_the_cells_for_a_gpu_run_on_the_stand_in(code, compiler, capsys):
    guarded = [name for name, source in code.items() if GUARD in source]
    assert guarded == ["script-gpu", "live-run", "real"]
    names = {}
    for name in ("setup", "script", "script-train", "script-gpu", "live", "live-run", "real"):
        if name == "live-run":
            names |= {"SIZES": [(1, 7, 3, 5)], "backend": __import__("minigrad.backend", fromlist=["backend"])}
        with standin.cupy.installed():
            exec(code[name], names)
    told = capsys.readouterr().out
    assert "the same losses: True" in told and "a small call" in told and "loss 0.0" in told, told
