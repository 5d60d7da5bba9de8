"""The commands and the code that the README shows, run as a newcomer would run them."""

import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf8")
BLOCK = re.compile(r"<!-- tested(?:: ([\w-]+))? -->\n```(\w+)\n(.*?)```", re.DOTALL)


@pytest.mark.usefixtures("network")
def test_the_commands_for_machines_without_make(copy):
    blocks = BLOCK.findall(README)
    # The tests are collected, not run: they would run this one again.
    shell = [
        f"{text.rstrip()} --collect-only -q" if mark == "collect-only" else text
        for mark, language, text in blocks
        if language == "bash"
    ]
    assert len(shell) == 2, "README.md: the marks <!-- tested --> are gone"
    # The commands call python3: let it be the Python that runs the tests, without what is installed beside it.
    hidden = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"}
    environment = {
        key: value for key, value in os.environ.items() if key not in hidden and not key.startswith("PYTEST")
    }
    environment["PATH"] = f"{sys.base_prefix}/bin{os.pathsep}{environment['PATH']}"
    command = ["bash", "-e", "-c", "\n".join(shell)]
    result = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (copy / "_build/html/index.html").exists()


def test_the_code_prints_what_its_comments_say():
    codes = [text for _, language, text in BLOCK.findall(README) if language == "python"]
    assert codes, "README.md: the mark <!-- tested --> is gone"
    for code in codes:
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert result.stdout.splitlines() == re.findall(r"print\(.*\)  # (.*)", code), result.stderr


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_to_files(name):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / name).read_text("utf8"))
    assert links and not [link for link in links if not (ROOT / link).exists()]


def test_the_benchmark_table_is_the_stored_one():
    stored = json.loads((ROOT / "benchmarks/results/engine.json").read_text(encoding="utf-8"))["elman_seconds"]
    median = {engine: statistics.median(seconds) for engine, seconds in stored.items()}
    rows = [f"| {1e3 * ms:.2f} | {median['minigrad'] / ms:.2f} |" for ms in median.values()]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [row for row in rows if row not in text], "copy the numbers of the last make bench into README.md"


def test_the_table_of_whole_layers_is_the_stored_one():
    sys.path.insert(0, str(ROOT))
    from benchmarks import sequences

    table = sequences.table(json.loads((ROOT / "benchmarks/results/sequences.json").read_text(encoding="utf-8")))
    assert not [line for line in table.splitlines() if line not in README], "copy the last table into README.md"
