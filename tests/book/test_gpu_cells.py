"""The cells of chapter 15 that wait for a GPU run on the stand-in: without one they would stay unread until Colab."""

from pathlib import Path

import nbformat
import pytest

from unrolled import standin

CHAPTER = Path(__file__).parents[2] / "book/4-fast/15-gpu.ipynb"
GUARD = "if mg.cuda.is_available():"


@pytest.mark.skipif(standin.host.COMPILER is None, reason="there is no C++ compiler for the CUDA sources")
def test_they_run_on_the_stand_in(capsys):
    code = {cell.id: cell.source for cell in nbformat.read(CHAPTER, as_version=4).cells if cell.cell_type == "code"}
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
