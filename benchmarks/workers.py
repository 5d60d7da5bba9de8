"""Engines measured side by side: each in a process of its own, all alive at once, asked in turn, round by round.

So a slow moment of the machine meets all engines; what is compared are ratios within one run. An engine is timed only
once its numbers are found to be right.
"""

import json
import math
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from unrolled.machine import machine as describe_machine

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
WARM = 0.1  # seconds of calls before those that count: caches fill, threads wake up and find a core of their own
SLOW, TOO_SLOW = 2.0, 20.0  # seconds of one call from which an engine has three rounds, or none
Seconds = dict[str, dict[str, list[float]]]  # engine -> call -> seconds, round by round


def environment(threads: int) -> dict[str, str]:
    """Return what every engine's process is started with.

    NPROC is XLA's. glibc keeps what a pass frees: by default it hands memory back to the system and faults it in again
    at the next pass, or not, as the layout of the heap has it, which can double the time of any engine (NOTES.md).
    """
    pools = [f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")]
    keeping = {f"MALLOC_{name}_THRESHOLD_": "1000000000" for name in ("TRIM", "MMAP")}
    return dict.fromkeys([*pools, "NPROC"], str(threads)) | keeping | {"JAX_PLATFORMS": "cpu"}


# --- in the worker ---------------------------------------------------------------------------------------------------


def serve(
    calls: dict[str, Callable],
    expected: dict[str, list],
    timer: Callable | None = None,
    fetch: Callable = lambda a: a,
) -> None:
    """Check the calls, then answer every line on stdin, a call's name and for how long, with its seconds.

    `timer(call, seconds)` says what a call takes; `fetch` turns what it returns into NumPy arrays, for the check alone.
    """
    fetched = {name: lambda call=call: map(fetch, call()) for name, call in calls.items()}
    print(json.dumps(check(fetched, expected)), flush=True)
    for line in sys.stdin:
        name, seconds = line.split()
        print((timer or timed)(calls[name], float(seconds)), flush=True)


def check(calls: dict[str, Callable], expected: dict[str, list], tolerance: float = 1e-4) -> dict[str, float]:
    """Return the seconds of the last of the calls checked, by name; exit where an engine computes something else.

    `expected` holds what the first calls return, call after call, each a sequence of arrays. They may differ by
    `tolerance` times the array's largest number.
    """
    seconds = {}
    for name, results in expected.items():
        for right in results:
            start = time.perf_counter()
            got = calls[name]()
            seconds[name] = time.perf_counter() - start
            for k, (a, b) in enumerate(zip(got, right, strict=True)):
                off, largest = abs(a - b).max() if a.shape == b.shape else math.inf, abs(b).max()
                if not off <= tolerance * largest:
                    sys.exit(f"refused: result {k} of {name} is off by {off:.1e}, where the largest is {largest:.1e}")
    return seconds


def timed(call: Callable, seconds: float) -> float:
    """Return the median seconds of calls that last `seconds` together, and leave the processor idle.

    After its last call OpenBLAS spins for 0.1 s, OpenMP for 0.01 s. That would cost the next engine a core, and it is
    each engine's own choice, so it is waited for instead of switched off.
    """
    start = time.perf_counter()
    call()
    while time.perf_counter() - start < WARM:
        call()
    times = []
    while sum(times) < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    end = time.perf_counter() + 1
    while time.perf_counter() < end:
        before = time.process_time()
        time.sleep(0.01)
        if time.process_time() - before < 0.001:
            break
    return statistics.median(times)


# --- in the process that asks ----------------------------------------------------------------------------------------


def start(*arguments: object, threads: int) -> subprocess.Popen:
    """Return a process that does `python -m benchmarks --worker ARGUMENTS`."""
    command = [sys.executable, "-m", "benchmarks", "--worker", *map(str, arguments)]
    pipe = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    setting = environment(threads)
    if {"minigrad numba", "CPU"} & set(
        arguments
    ):  # OpenBLAS's second thread spins for a tenth of a second after every product
        setting["OPENBLAS_NUM_THREADS"] = "1"
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | setting, text=True, **pipe)


def interleaved(engines: dict[str, tuple], rounds: int, seconds: float, threads: int) -> tuple[Seconds, dict[str, str]]:
    """Return the seconds of each engine's calls, and for each engine that was left out the reason.

    `engines` holds the worker's arguments by the engine's name; a call is repeated for `seconds` a round.
    """
    workers, first, left_out = {}, {}, {}
    try:
        for name, arguments in engines.items():
            workers[name] = start(*arguments, threads=threads)
            if answer := workers[name].stdout.readline():
                first[name] = json.loads(answer)
                if max(first[name].values()) > TOO_SLOW:
                    left_out[name] = f"one pass takes {max(first[name].values()):.0f} s"
            else:
                left_out[name] = last_words(workers[name])
        found = {name: {call: [] for call in calls} for name, calls in first.items() if name not in left_out}
        for k in range(rounds):
            for name, calls in found.items():
                for call, times in calls.items():
                    if name in left_out or (k >= 3 and first[name][call] > SLOW):
                        continue
                    workers[name].stdin.write(f"{call} {seconds}\n")
                    workers[name].stdin.flush()
                    if answer := workers[name].stdout.readline():
                        times.append(float(f"{float(answer):.4g}"))
                    else:
                        left_out[name] = last_words(workers[name])
        return {name: calls for name, calls in found.items() if name not in left_out}, left_out
    finally:
        for worker in workers.values():
            worker.kill()
            worker.communicate()


def last_words(worker: subprocess.Popen) -> str:
    """Return why a worker ended."""
    said = worker.stderr.read().strip().splitlines()
    return said[-1] if said else f"ended with {worker.wait()}"


def machine() -> dict:
    """Return the machine, the day and the versions of what is measured."""
    return describe_machine("numpy", "numba", "torch", "jax", "autograd", "mygrad")


def store(result: dict, path: Path) -> None:
    """Write a result as JSON, at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    text = json.dumps(result, indent=1)
    text = re.sub(r"\[\n[^][{}]*\]", lambda found: "[" + " ".join(found[0][1:-1].split()) + "]", text)  # a list, a line
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(path)
