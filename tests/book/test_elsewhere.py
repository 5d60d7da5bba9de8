"""Notebooks on processors of other makes: settings take effect, what differs is named, a cut-off run goes on."""

import nbformat
import pytest
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_notebook, new_output

from unrolled import elsewhere
from unrolled.cli import main

pytestmark = pytest.mark.skipif("sse2" not in elsewhere.host_features(), reason="plays processors of x86-64")
PLAYED = "from unrolled.elsewhere import played\nprint(played()['vector'], played()['dispatch'])"


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book of one notebook, which prints its vectors: as stored, 16 bytes and no dispatch."""
    (tmp_path / "book/chapters").mkdir(parents=True)
    for name in ("_config.yml", "_toc.yml"):
        (tmp_path / name).touch()
    cells = [
        new_code_cell("x = 1", id="first", execution_count=1),
        new_code_cell(PLAYED, id="second", execution_count=2, outputs=[new_output("stream", text="16 False\n")]),
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "book/chapters/01-one.ipynb")
    monkeypatch.setattr(elsewhere, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(main, ["elsewhere", *arguments], catch_exceptions=False)


def test_what_a_notebook_prints_on_another_processor_is_told(book):
    wide = [key for key in elsewhere.playable() if key != "sse"]
    result = call()
    assert result.exit_code == bool(wide)
    assert f"{len(wide)} notebooks differ." in result.output
    for key in wide:
        assert (
            f"{key}: book/chapters/01-one.ipynb: cell second (from unrolled.elsewhere import played)" in result.output
        )
    assert call("--processor", "sse").exit_code == 0 and call("nothing").exit_code == 0


def test_a_run_goes_on_where_it_was(book, monkeypatch):
    assert call("--processor", "sse").exit_code == 0
    monkeypatch.setattr(elsewhere.subprocess, "run", lambda *_, **__: pytest.fail("run again"))
    assert call("--processor", "sse").exit_code == 0
    path = book / "book/chapters/01-one.ipynb"
    path.write_text(path.read_text().replace("x = 1", "x = 2"))
    with pytest.raises(pytest.fail.Exception, match="run again"):
        call("--processor", "sse")


def test_a_setting_without_effect_is_an_error(book, monkeypatch):
    monkeypatch.setattr(elsewhere.Processor, "environment", lambda self: {"NPY_DISABLE_CPU_FEATURES": ""})
    result = call("--processor", "sse")
    assert result.exit_code == 1 and "the settings had no effect" in result.output


def test_a_processor_that_cannot_be_played_is_refused(book):
    result = call("--processor", "z80")
    assert result.exit_code == 1 and "z80: this processor can play sse" in result.output
