"""Whole sequences on a GPU: the kernels' numbers are those of the CPU, on every cell and at sizes that fill a GPU."""

import numpy as np
import pytest
from cases import COVERING, Case
from test_nvrtc import sources

import minigrad
from minigrad import Tensor

WIDE = [  # cell, T, B, blocks of cells
    ("tanh", 7, 33, 65), ("GRU", 6, 17, 129), ("vanilla", 20, 64, 512), ("NP", 100, 32, 128), ("CIFG", 5, 3, 300),
    ("GRU", 20, 64, 512), ("relu", 9, 128, 96), ("NP", 9, 1, 16), ("NP", 4, 128, 1024),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _numpy_on_the_cpu():
    minigrad.set_kernels("numpy")
    yield
    minigrad.set_kernels("auto")


def on_gpu(function):
    """Return an operation that takes Tensors of the CPU there and back."""

    def there(x):
        return x if type(x) is float else x.to("cuda") if isinstance(x, Tensor) else Tensor(x, device="cuda")

    def moved(*operands, **static):
        return [y.to("cpu") for y in function(*map(there, operands), **static)]

    return moved


def close(case, dtype):
    """Compare outputs and gradients with the NumPy kernels'."""
    tolerance = 1e-9 if dtype == "float64" else 2e-3
    for mine, right in zip(case.gradients(on_gpu(case.fused)), case.gradients(case.fused), strict=True):
        for a, b in zip(mine, right, strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, np.abs(b).max(initial=0)))


@pytest.mark.parametrize("row", COVERING[::5], ids=lambda row: "-".join(map(str, row)))  # tests/recurrent has them all
def test_every_cell(gpu, kernels, row):
    close(Case(*row), row[-1])


@pytest.mark.gpu
@pytest.mark.parametrize("gpu", ["real"], indirect=True)
@pytest.mark.parametrize(("cell", "T", "B", "blocks"), WIDE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_many_units(gpu, kernels, cell, T, B, blocks, dtype):
    close(Case(cell, "bias", "lengths", T, B, 19, blocks, "given", "both", "wide", dtype), dtype)


@pytest.mark.gpu
@pytest.mark.parametrize("gpu", ["real"], indirect=True)
@pytest.mark.parametrize(("name", "code", "options"), [pytest.param(*source, id=source[0]) for source in sources()])
def test_what_cupy_compiles_spills_no_registers(gpu, name, code, options):
    import re

    for kernel in re.findall(r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)", code):
        found = gpu.cupy.RawModule(code=code, options=options).get_function(kernel).attributes
        assert found["local_size_bytes"] == 0, f"{kernel}: {found}"
