"""How kernels are compiled: at their first use on a machine, once; from then on the machine code is loaded."""

import atexit
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from numba import config, njit
from numba.core import event

HERE = Path(__file__).parent
SOURCES = [*sorted(HERE.glob("*.py")), HERE.parent / "updates.py", *sorted(HERE.parent.glob("recurrent/kernels/*.py"))]
# Without Python's lock; and without counting references to arrays, which took as long as the cells' arithmetic: so no
# compiled function may make an array.
OPTIONS = {"nogil": True, "_nrt": False}
kernels = []


def cache_folder() -> Path:
    """Return where machine code is kept: a folder for this version of the sources, since Numba looks at one file only.

    It lies where NUMBA_CACHE_DIR says, else beside the sources, else in the user's cache: in the first of these that
    can be written. Where none can, it lasts as long as the process.
    """
    version = hashlib.sha256(b"".join(path.read_bytes() for path in SOURCES)).hexdigest()[:12]
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minigrad"
    for place in ([Path(config.CACHE_DIR) / "minigrad"] if config.CACHE_DIR else []) + [HERE / "__pycache__", user]:
        with suppress(OSError):
            (place / version).mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=place / version).close()
            return place / version
    folder = tempfile.mkdtemp(prefix="minigrad-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


FOLDER = cache_folder()


def kernel(function: Callable, **options: object) -> Callable:
    """Declare a compiled function that runs without Python's lock and whose machine code is kept."""
    before, config.CACHE_DIR = config.CACHE_DIR, str(FOLDER)
    try:
        compiled = njit(cache=True, error_model="numpy", **OPTIONS, **options)(function)
    finally:
        config.CACHE_DIR = before
    kernels.append(compiled)
    return compiled


class Teller(event.Listener):
    """Says once that kernels are being compiled: the user waits without having done anything unusual."""

    told = False

    def on_start(self, happening: event.Event) -> None:
        """Say it at the first of our functions."""
        if not self.told and any(happening.data["dispatcher"] is known for known in kernels):
            self.told = True
            print("minigrad: compiling its kernels, once on this machine; this takes a minute", file=sys.stderr)

    def on_end(self, happening: event.Event) -> None:
        """Nothing to say."""


event.register("numba:compile", Teller())
