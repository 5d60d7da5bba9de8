"""Fixtures that several test files share."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Workers share the cores: BLAS threads of each would fight for them. Kernels of notebooks inherit it.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

ROOT = Path(__file__).resolve().parents[1]


# Files whose tests take more than a second each, or many seconds together: left to make test.
SLOW = """
    book/test_notebooks book/test_exercises book/test_interactive book/test_site book/test_elsewhere book/test_tools
    book/test_cli book/test_gpu_cells experiments/test_experiments gpu/test_gpu_kernels gpu/test_gpu_ops
    gpu/test_gpu_training recurrent/test_cuda_kernels recurrent/test_persistent recurrent/test_widths test_benchmarks
    test_figures test_gpu_benchmark test_nvrtc test_properties
""".split()


def pytest_collection_modifyitems(items):
    """The longest first: else one core runs a chapter while the others have nothing left to do."""
    for item in items:
        if "network" in item.fixturenames or item.path.relative_to(ROOT / "tests").with_suffix("").as_posix() in SLOW:
            item.add_marker("slow")
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def tracked():
    """The files that git would hand to someone who clones the repository."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs the git repository, to know which files belong to it")
    # A container's checkout may belong to another user, which git distrusts.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in names.split("\0") if name and (ROOT / name).exists()]


@pytest.fixture
def copy(tracked, tmp_path):
    """A fresh copy of the repository, in a folder with a space in its name."""
    for name in tracked:
        target = tmp_path / "a copy" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    return tmp_path / "a copy"


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """Skips where pip reaches no package index; in CI that is a failure."""
    folder = tmp_path_factory.mktemp("pip")
    command = [sys.executable, *"-m pip download -q --no-deps --retries=0 click -d".split(), folder]
    if subprocess.run(command, capture_output=True).returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("pip reaches no package index")


@pytest.fixture
def compiler():
    """Skips where nothing compiles C++, which the stand-in for CuPy needs for our kernels; in CI that is a failure."""
    from unrolled.standin import host

    if host.COMPILER is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no C++ compiler, to run CUDA sources without a GPU")


@pytest.fixture(autouse=True)
def _default_dtype():
    """Notebooks set the default dtype; no test inherits another's."""
    import minigrad

    minigrad.set_default_dtype("float32")
