"""Every CUDA source compiles for the GPUs of three generations: NVIDIA's compiler needs no GPU.

Without a warning, and without spills: all variables of a thread find room in its registers.
"""

import importlib
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
ARCHITECTURES = ("sm_75", "sm_80", "sm_90")  # of the T4, the A100 and the H100
# What CuPy 14 adds to a module's own options; a warning fails; the assembler says what a thread needs.
OPTIONS = (
    *("-std=c++17", "-ftz=true", "--device-as-default-execution-space"),
    *("-Werror=all-warnings", "--ptxas-options=-v"),
)


def sources():
    """Return every (name, code, options) that the package hands to CuPy: what the modules' functions sources() yield.

    That these name all of them is checked where they run (tests/gpu/conftest.py).
    """
    paths = [path for path in sorted(ROOT.glob("minigrad/**/*.py")) if "\ndef sources(" in path.read_text("utf8")]
    modules = (importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts)) for path in paths)
    return [source for module in modules for source in module.sources()]


@pytest.fixture(scope="session")
def nvrtc():
    """NVIDIA's compiler. Where requirements.txt brings it the tests fail without it: they never skip there."""
    lines = (ROOT / "requirements.txt").read_text("utf8").splitlines()
    (needed,) = (Requirement(line) for line in lines if line.startswith("nvidia-cuda-nvrtc"))
    if not needed.marker.evaluate():
        pytest.skip("there is no NVRTC for this platform")
    from cuda.bindings import nvrtc

    return nvrtc


def compiled(nvrtc, code, *options):
    """Return a source's machine code and what the compiler says; raise where it refuses."""

    def checked(result, *found):
        assert result == nvrtc.nvrtcResult.NVRTC_SUCCESS, result
        return found[0] if found else None

    program = checked(*nvrtc.nvrtcCreateProgram(code.encode(), b"minigrad.cu", 0, [], []))
    try:
        (result,) = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
        log = bytearray(checked(*nvrtc.nvrtcGetProgramLogSize(program)))
        checked(*nvrtc.nvrtcGetProgramLog(program, log))
        log = log.rstrip(b"\0").decode()
        if result != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise ValueError(log)
        binary = bytearray(checked(*nvrtc.nvrtcGetCUBINSize(program)))
        checked(*nvrtc.nvrtcGetCUBIN(program, binary))
        return bytes(binary), log
    finally:
        checked(*nvrtc.nvrtcDestroyProgram(program))


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize(("name", "code", "options"), [pytest.param(*source, id=source[0]) for source in sources()])
def test_it_compiles(nvrtc, name, code, options, arch):
    binary, log = compiled(nvrtc, code, *OPTIONS, f"-arch={arch}", *options)
    kernels = re.findall(r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)", code)
    assert kernels and all(kernel.encode() in binary for kernel in kernels)
    spilt = re.findall(r"(\d+) bytes (?:stack frame|spill)", log)
    assert len(spilt) >= 3 * len(kernels) and not any(map(int, spilt)), log


def test_every_source_of_the_package_is_among_them():
    texts = [code for _, code, _ in sources()]
    files = sorted(ROOT.glob("minigrad/**/*.cu"))
    assert files and not [path for path in files if not any(path.read_text("utf8") in text for text in texts)]


@pytest.mark.parametrize(
    "broken", ["float f(float x) { return y; }", "void f() { int unused; }", "#include <math.h>"], ids=lambda t: t[:9]
)
def test_a_broken_source_and_one_with_a_warning_do_not(nvrtc, broken):
    with pytest.raises(ValueError, match="error"):
        compiled(nvrtc, broken, *OPTIONS, "-arch=sm_90")
