"""What the package promises to those who install it."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def requirements(name):
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text("utf8").splitlines())
    return {line for line in lines if line and not line.startswith("-")}


def test_requirements_are_the_extras_of_a_reader():
    assert requirements("requirements.txt") == {
        *PROJECT["dependencies"],
        *EXTRAS["jit"],
        *EXTRAS["plot"],
        *EXTRAS["book"],
        *EXTRAS["test"],
    }


def test_the_gpu_is_named_but_not_required():
    assert "requirements-gpu.txt" in (ROOT / "requirements.txt").read_text("utf8")
    assert not any("cupy" in line for line in requirements("requirements.txt"))


@pytest.mark.parametrize(
    "line", sorted({*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)})
)
def test_versions_are_bounded_on_both_sides(line):
    operators = {specifier.operator for specifier in Requirement(line).specifier}
    assert {">=", "<"} <= operators, f"pyproject.toml: give {line!r} a lower and an upper bound"


def test_the_lock_holds_a_version_within_every_bound():
    pinned = [Requirement(line) for line in requirements("requirements.lock")]
    versions = {pin.name: next(iter(pin.specifier)).version for pin in pinned}
    loose = [line for line in map(Requirement, requirements("requirements.txt")) if line.name in versions]
    assert len(loose) == len(requirements("requirements.txt"))
    wrong = [str(line) for line in loose if versions[line.name] not in line.specifier]
    assert not wrong, f"run: make lock  (requirements.lock leaves the bounds of {wrong})"


def test_the_hosted_tests_cover_makes_pythons_and_versions():
    jobs = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text("utf8"))["jobs"]
    matrix = jobs["machines"]["strategy"]["matrix"]
    assert {name.split("-")[0] for name in matrix["machine"]} == {"ubuntu", "macos", "windows"}
    assert any(name.endswith("arm") for name in matrix["machine"])
    oldest = re.search(r"[\d.]+", PROJECT["requires-python"])[0]
    assert matrix["python"][0] == oldest and len(matrix["python"]) >= 4
    assert {"highest", "lowest-direct"} <= {*matrix["versions"], *(more["versions"] for more in matrix["include"])}
    assert any("test-elsewhere" in step.get("run", "") for step in jobs["elsewhere"]["steps"])
    assert any(step.get("run") == ".ci/run" for step in jobs["test"]["steps"])


@pytest.mark.parametrize("command", [("check",), ("format", "--check")], ids=lambda command: command[0])
def test_ruff_has_nothing_to_say(command, tracked):
    files = [name for name in tracked if name.endswith((".py", ".ipynb"))]
    ruff = [sys.executable, "-m", "ruff", *command, "--quiet", "--force-exclude", *files]
    result = subprocess.run(ruff, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_minigrad_needs_numpy_alone():
    script = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names | {"numpy", "minigrad"}:
            raise ImportError(f"minigrad imports {name}")
sys.meta_path.insert(0, Refuse())
import pkgutil, minigrad
compiled = "barrier", "compiling", "functions", "pointwise", "simd"
needs_numba = {f"minigrad.compiled.{name}" for name in compiled}
needs_numba |= {f"minigrad.recurrent.kernels.{name}" for name in ("on_numba", "panels")}
for module in pkgutil.walk_packages(minigrad.__path__, "minigrad."):
    if module.name not in needs_numba:
        __import__(module.name)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_installed_metadata():
    installed = metadata("unrolled")
    assert installed["License-Expression"] == "BSD-3-Clause"
    needed = [Requirement(line) for line in installed.get_all("Requires-Dist")]
    assert [requirement.name for requirement in needed if requirement.marker is None] == ["numpy"]
    assert entry_points(group="console_scripts")["unrolled"].value == "unrolled.cli:main"


@pytest.mark.usefixtures("network")
def test_the_wheel_holds_every_file_of_the_packages(copy, tracked, tmp_path):
    import zipfile

    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, copy], check=True)
    (wheel,) = tmp_path.glob("unrolled-*-py3-none-any.whl")
    ours = {name for name in tracked if name.startswith(("minigrad/", "unrolled/"))}
    missing = ours - set(zipfile.ZipFile(wheel).namelist())
    assert not missing, f"pyproject.toml: name these as package data: {sorted(missing)}"
