"""CUDA sources compiled by the machine's C++ compiler and run on its processor: `cupy.RawModule` without a GPU."""

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

HEADER = Path(__file__).parent / "cuda_on_host.h"
FLAGS = ["-std=c++17", "-O1", "-fPIC", "-w"]
KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(")
COMPILER = next(filter(None, map(shutil.which, ("g++", "c++", "clang++"))), None)


def translated(code):
    """Return CUDA C++ as C++ with a launcher for every kernel."""
    code = re.sub(r"extern\s+__shared__\s+([\w ]+?)\s*(\w+)\[\]", r"\1* \2 = static_cast<\1*>(on_host::shared())", code)
    launchers = [
        f'extern "C" const char* launch_{name}(dim3 g, dim3 b, size_t s, bool c, void** a, int n, int o) '
        f"{{ on_host::order = o; return on_host::launch({name}, g, b, s, c, a, n); }}"
        for name in dict.fromkeys(KERNEL.findall(code))
    ]
    return "\n".join([f'#include "{HEADER.name}"', code, *launchers])


def build(command, kind, text, target):
    """Compile a text into a file, which appears whole or not at all."""
    source, part = (target.with_suffix(f".{os.getpid()}.{suffix}") for suffix in (kind, "part"))
    source.write_text(text)
    done = subprocess.run([*command, str(source), "-o", str(part)], capture_output=True, text=True)
    source.unlink()
    if done.returncode:
        raise RuntimeError(f"the CUDA source does not compile:\n{done.stderr[:4000]}")
    part.replace(target)


@functools.cache
def precompiled(digest):
    """Return the folder of the header, which g++ reads faster once it is compiled; clang takes it as it is."""
    folder = Path(tempfile.gettempdir()) / f"minigrad-cuda-on-host-{os.getuid()}" / digest
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "cuda_on_host.h.gch").exists():
        shutil.copy(HEADER, folder)
        build([COMPILER, *FLAGS, "-x", "c++-header"], "h", HEADER.read_text(), folder / "cuda_on_host.h.gch")
    return folder


@functools.cache
def compiled(code, options):
    """Return the shared library of a source; kept on disk between runs, by a digest of all that goes into it."""
    given = [o for o in options if o.startswith(("-D", "-I"))]  # the others are NVRTC's own
    text = translated(code)
    digest = lambda *texts: hashlib.sha256("\0".join([COMPILER, *FLAGS, *texts]).encode()).hexdigest()[:32]
    folder = precompiled(digest(HEADER.read_text()))
    library = folder / f"{digest(*given, text)}.so"
    if not library.exists():
        build([COMPILER, *FLAGS, "-shared", f"-I{folder}", *given], "cpp", text, library)
    return ctypes.CDLL(str(library))


class Dim(ctypes.Structure):
    _fields_ = [(k, ctypes.c_uint) for k in "xyz"]

    @classmethod
    def of(cls, sizes):
        return cls(*(*sizes, 1, 1)[:3])


def argument(x):
    """Return a kernel's argument as CuPy passes it: an int as 64 bits, a float as a double, an array as a pointer."""
    if isinstance(x, bool | np.bool_):
        return ctypes.c_bool(x)
    if isinstance(x, np.generic):
        return (ctypes.c_char * x.nbytes).from_buffer_copy(x.tobytes())
    if isinstance(x, int):
        return ctypes.c_int64(x)
    if isinstance(x, float):
        return ctypes.c_double(x)
    if x is None:
        return ctypes.c_void_p(0)
    return ctypes.c_void_p(x.ctypes.data)


def launch(library, name, grid, block, arguments, shared=0, cooperative=False, order=1):
    """Run a kernel over a grid; `arguments` are NumPy arrays, numbers, NumPy numbers and None (a null pointer).

    `order` is in which the threads run: cuda_on_host.h says what there is.
    """
    run = getattr(library, f"launch_{name}")
    run.restype = ctypes.c_char_p
    values = [argument(x) for x in arguments]
    pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(v) for v in values))
    how = ctypes.c_size_t(shared), ctypes.c_bool(cooperative)
    fault = run(Dim.of(grid), Dim.of(block), *how, pointers, len(values), order)
    if fault:
        raise RuntimeError(f"{name}: {fault.decode()}")
