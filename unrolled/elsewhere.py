"""The book's notebooks on processors of other makes: the same sums in another order, other vectors, other threads.

What a notebook prints must hold on any processor. OpenBLAS, NumPy and our own kernels choose their code by what they
find; environment variables make them choose as they would elsewhere. A processor that this one cannot play is left out.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nbformat
from tqdm import tqdm

from unrolled import UnrolledError
from unrolled.notebooks import name, verify, write

ROOT = Path(__file__).resolve().parents[1]


class ElsewhereError(UnrolledError):
    """A processor that is not known, or a setting that had no effect."""


@dataclass(frozen=True)
class Processor:
    """What to play: OpenBLAS's core type, the bytes of a vector, NumPy's dispatch, threads of OpenBLAS."""

    core: str
    vector: int
    dispatch: bool
    threads: int

    def environment(self) -> dict[str, str]:
        """Return the variables that make the libraries choose as on this processor."""
        host = host_features()
        wider = {16: ("avx2", "avx512"), 32: ("avx512",), 64: ()}[self.vector]
        features = [f"{'-' if key.startswith(wider) else '+' if on else '-'}{key}" for key, on in host.items()]
        return {
            "OPENBLAS_CORETYPE": self.core,
            "OPENBLAS_NUM_THREADS": str(self.threads),
            "OMP_NUM_THREADS": str(self.threads),
            "NUMBA_CPU_NAME": "x86-64",
            "NUMBA_CPU_FEATURES": ",".join(features),
            "NPY_DISABLE_CPU_FEATURES": "" if self.dispatch else " ".join(dispatched()),
        }


# What OpenBLAS calls itself then: builds that lack a core's own code take that of a relative.
RELATIVES = {"Prescott": {"Prescott", "Katmai", "Core2"}, "Zen": {"Zen", "Haswell"}}

PROCESSORS = {
    "sse": Processor("Prescott", 16, False, 1),
    "avx2": Processor("Haswell", 32, False, 2),
    "zen": Processor("Zen", 32, True, 1),
    "avx512": Processor("SkylakeX", 64, True, 2),
}


@cache
def host_features() -> dict[str, bool]:
    """Return what LLVM finds of this processor."""
    import llvmlite.binding as llvm

    return dict(llvm.get_host_cpu_features())


def dispatched() -> list[str]:
    """Return the features of this processor that NumPy chooses code by."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    return [key for key in __cpu_dispatch__ if __cpu_features__.get(key)]


def playable() -> dict[str, Processor]:
    """Return the processors that this one can play."""
    needed = {16: "sse2", 32: "avx2", 64: "avx512f"}
    return {key: p for key, p in PROCESSORS.items() if host_features().get(needed[p.vector])}


def played() -> dict[str, object]:
    """Return what this process is in fact: the core types of its OpenBLAS, its vectors, dispatch and threads."""
    from threadpoolctl import threadpool_info

    from minigrad.compiled.simd import BYTES

    blas = [pool for pool in threadpool_info() if pool["internal_api"] == "openblas"]
    return {
        "core": sorted({pool["architecture"] for pool in blas}),
        "vector": BYTES,
        "dispatch": bool(dispatched()),
        "threads": max(pool["num_threads"] for pool in blas),
    }


def notebooks(names: tuple[str, ...] = ()) -> list[Path]:
    """Return the chapters and solutions whose path contains one of the names; all where there are none."""
    found = [
        p for p in sorted((ROOT / "book").rglob("*.ipynb")) if not {"exercises", ".ipynb_checkpoints"} & {*p.parts}
    ]
    return [p for p in found if not names or any(key in str(p.relative_to(ROOT)) for key in names)]


def run(paths: list[Path], processors: list[str], jobs: int, folder: Path) -> Iterator[tuple[str, Path, dict]]:
    """Run notebooks on processors; yield (processor, notebook, what differs by cell).

    Results are kept in `folder` and taken from there while notebook, sources and setting are the same, so that a run
    which was interrupted goes on where it was.
    """
    unknown = [key for key in processors if key not in playable()]
    if unknown:
        raise ElsewhereError(f"{', '.join(unknown)}: this processor can play {', '.join(playable())}")
    sources = [p for part in ("minigrad", "unrolled") for p in sorted((ROOT / part).rglob("*.py"))]
    base = hashlib.sha256(b"".join(p.read_bytes() for p in sources)).hexdigest()
    with ThreadPoolExecutor(jobs) as pool, tqdm(total=len(paths) * len(processors), disable=None) as bar:
        tasks = {}
        for path in paths:
            for key in processors:
                digest = hashlib.sha256(f"{base} {PROCESSORS[key]}".encode() + path.read_bytes()).hexdigest()
                kept = folder / key / f"{path.parent.name}-{path.stem}.json"
                tasks[pool.submit(once, path, PROCESSORS[key], kept, digest)] = key, path
        for task in as_completed(tasks):
            bar.update()
            yield *tasks[task], task.result()


def once(path: Path, processor: Processor, kept: Path, digest: str) -> dict[str, str]:
    """Return what differs in a notebook on a processor, by cell: kept, or found in a process of its own."""
    if kept.exists() and (found := json.loads(kept.read_text("utf8")))["digest"] == digest:
        return found["differs"]
    # Kernels of another processor are kept apart: Numba's index of a function would lose those of this one.
    variables = os.environ | processor.environment() | {"NUMBA_CACHE_DIR": str(kept.parent / "kernels")}
    command = [sys.executable, "-m", "unrolled.elsewhere", str(path)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    if done.returncode:
        raise ElsewhereError(f"{path}: could not be run:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    wanted = {"vector": processor.vector, "dispatch": processor.dispatch}
    wanted |= {"threads": min(processor.threads, os.cpu_count() or 1), "core": processor.core}
    cores = RELATIVES.get(processor.core, {processor.core})
    if {**found["played"], "core": processor.core} != wanted or not {*found["played"]["core"]} <= cores:
        raise ElsewhereError(f"the settings had no effect: {found['played']} in place of {wanted}")
    write(kept, json.dumps({"digest": digest, "differs": found["differs"]}, indent=1))
    return found["differs"]


def main(path: Path) -> None:
    """Run one notebook in this process, and print what it played and what differs."""
    names = {cell.id: name(cell) for cell in nbformat.read(path, as_version=4).cells if "id" in cell}
    differs = {names[key]: outcome.text for key, outcome in verify(path).items() if outcome.text}
    print("\n" + json.dumps({"played": played(), "differs": differs}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
