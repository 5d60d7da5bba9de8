"""The compiled kernels on processors with narrower vectors than this one's, whose tiles have other shapes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")
PACKAGE = Path(__file__).resolve().parents[2] / "minigrad"

SCRIPT = """
import sys
import llvmlite.binding as llvm
import numpy as np

found = llvm.get_host_cpu_features()
for name in sys.argv[2:]:
    found[name] = False
llvm.get_host_cpu_features = lambda: found

from minigrad import Tensor, grad, set_kernels
from minigrad.compiled.simd import BYTES
from minigrad.recurrent.lstm import lstm_sequence
from minigrad.recurrent.spec import CELLS

assert BYTES == int(sys.argv[1]), BYTES
rng = np.random.default_rng(0)
T, B, I, H = 5, 7, 3, 19
shapes = (T, B, I), (B, H), (B, H), (4 * H, I), (4 * H, H), (4 * H,), (3, H)
given = [rng.standard_normal(shape).astype("float32") for shape in shapes]
mask = np.arange(T)[:, None, None] < rng.integers(1, T + 1, (B, 1))
weights = [rng.standard_normal(shape).astype("float32") for shape in ((T, B, H), (B, H), (B, H))]


def results():
    leaves = [Tensor(x, requires_grad=True) for x in given]
    outputs = lstm_sequence(*leaves, spec=CELLS["vanilla"], mask=mask)
    return [y.data for y in outputs], grad(sum((y * w).sum() for y, w in zip(outputs, weights)), leaves)


set_kernels("numpy")
right, right_gradients = results()
set_kernels("numba")
mine, gradients = results()
# Roundings of u = eps / 2 at random: n terms in a chain of sums leave about u sqrt(n), the largest of many twice that.
tolerance = np.finfo("float32").eps * np.sqrt(T * B * 4 * H)
for a, b in zip([*mine, *(g.data for g in gradients)], [*right, *(g.data for g in right_gradients)]):
    assert np.abs(a - b).max() <= tolerance * np.abs(b).max(), np.abs(a - b).max() / np.abs(b).max()
"""


@pytest.mark.parametrize("width, missing", [(32, ["avx512f"]), (16, ["avx512f", "avx2"])], ids=["32 bytes", "16 bytes"])
def test_narrower_vectors_give_the_same_numbers(tmp_path, width, missing):
    # A copy of the package, since machine code is kept beside it.
    shutil.copytree(PACKAGE, tmp_path / "minigrad", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "script.py", str(width), *missing]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
