"""The Makefile names what the texts promise."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")


def make(*arguments, cwd=ROOT):
    return subprocess.run(["make", *arguments], cwd=cwd, capture_output=True, text=True)


def test_plain_make_lists_every_target():
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text("utf8"), re.MULTILINE))
    assert set(re.findall(r"^make ([\w-]+)", make().stdout, re.MULTILINE)) == targets


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "book/intro.md"])
def test_the_texts_name_targets_that_exist(name):
    named = re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / name).read_text("utf8"), re.MULTILINE)
    assert named and set(named) <= set(re.findall(r"^make ([\w-]+)", make().stdout, re.MULTILINE))


def test_an_old_python_is_refused_with_the_remedy(copy):
    old = copy / "old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    result = make("book", "PYTHON=./old", cwd=copy)
    assert result.returncode and "Python 3.11 or newer is needed" in result.stderr


def test_check_asks_for_the_chapter(copy):
    (copy / ".venv").mkdir()
    (copy / ".venv/ready").touch()
    result = make("check", cwd=copy)
    assert result.returncode and "make check EX=04" in result.stderr
