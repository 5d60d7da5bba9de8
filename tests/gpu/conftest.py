"""A GPU for the tests: each runs on the stand-in, on any machine, and on a real one: `pytest -m gpu`."""

import contextlib
import sys
from collections import Counter
from pathlib import Path

import pytest
from test_nvrtc import sources

from minigrad import cuda
from unrolled.standin import cupy as standin
from unrolled.standin import host

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recurrent"))  # where cases.py is

# Every way to the host calls `get`, by a look-up that finds a patched one: item, tolist, bool, int, float, repr.
TRANSFERS = {"to_host": ("get",), "to_device": ("set",)}


class GPU:
    """The module `cupy` in use, whether it is the real one, and how often arrays crossed between host and GPU."""

    def __init__(self, cupy, real):
        self.cupy, self.real = cupy, real

    def enough(self, on_gpu, on_standin):
        """Return how much is to be done: the stand-in is slow."""
        return on_gpu if self.real else on_standin

    @contextlib.contextmanager
    def transfers(self):
        """Count the transfers within: the stand-in's own count, or the ways out of CuPy that Python can see."""
        found = Counter()
        if not self.real:
            before = Counter(self.cupy.counts)
            yield found
            found.update({kind: self.cupy.counts[kind] - before[kind] for kind in TRANSFERS})
            return
        with pytest.MonkeyPatch.context() as patch:
            for kind, names in TRANSFERS.items():
                for name in names:
                    patch.setattr(self.cupy.ndarray, name, counted(getattr(self.cupy.ndarray, name), found, kind))
            for name in ("array", "asarray"):
                patch.setattr(self.cupy, name, counted(getattr(self.cupy, name), found, "to_device", self.cupy.ndarray))
            yield found


def counted(function, found, kind, free=()):
    """Return a function that counts its calls, but for those whose operand is `free`: already on the GPU.

    What it calls itself is not counted again: `item` may be a `get`.
    """

    def call(x, *args, **kwargs):
        before = found[kind]
        y = function(x, *args, **kwargs)
        found[kind] = before + (not isinstance(x, free))
        return y

    return call


@pytest.fixture(params=["standin", pytest.param("real", marks=pytest.mark.gpu)])
def gpu(request, monkeypatch):
    """A GPU by the name "cuda"; a real one is skipped where there is none, with what is missing.

    What the stand-in compiles must be among the sources that tests/test_nvrtc.py compiles, each option with that code.
    """
    if request.param == "real":
        if cuda.missing():
            pytest.skip(cuda.missing())
        yield GPU(cuda.loaded(), real=True)
    else:
        request.getfixturevalue("compiler")
        named, compiled = {(code, option) for _, code, options in sources() for option in options}, host.compiled

        def known(code, options):
            unknown = [option for option in options if (code, option) not in named]
            assert not unknown, f"no sources() compiles this code with {unknown}"
            return compiled(code, options)

        monkeypatch.setattr(host, "compiled", known)
        with standin.installed() as cupy:
            yield GPU(cupy, real=False)


@pytest.fixture(params=["fused-step", "persistent"])
def kernels(request, gpu, monkeypatch):
    """Each way in which a whole sequence runs on a GPU."""
    monkeypatch.setattr(cuda, "persistent", request.param == "persistent")
    return request.param
