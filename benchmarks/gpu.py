"""An LSTM over a whole sequence on a GPU: minigrad's three ways, PyTorch's cuDNN, JAX's scan, and minigrad on the CPU.

    python -m benchmarks gpu             every row, from the start
    python -m benchmarks gpu --table     the stored ones, as NOTES.md shows them

cells.py says what is computed: "forward" the outputs, without a graph; "both" also the gradients of x and of all
weights. Nothing is copied to or from the GPU while the time runs. TF32 is off in every engine: float32 is float32. What
cannot run here stands in the table as not run, with the reason.

Times are the GPU's own: an event before a burst of calls and one after it, over their number (CuPy, PyTorch). JAX has
no events, the CPU needs none: there a clock runs, from nothing under way until all results are there.
"""

import argparse
import json
import math
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import cells, sequences, workers
from unrolled.machine import machine as describe_machine

SIZES = (1, 200, 8, 16), (32, 100, 64, 128), (64, 100, 256, 512), (128, 200, 512, 1024)  # B, T, I, H
ROUNDS, SECONDS = 7, 0.2
PASSES = {"forward": "forward", "both": "forward + backward"}
AIMS = {  # at most so many times cuDNN's time, by the better of the kernels
    "ahead of cuDNN": (1.0, SIZES[:2]),
    "at most 1.5 times cuDNN's time": (1.5, SIZES[:3]),
}
OURS = ("fused-step", "persistent")
PACKAGES = (
    "numpy", "numba", "cupy-cuda12x", "cupy-cuda13x", "torch", "nvidia-cudnn-cu12", "nvidia-cudnn-cu13", "jax", "jaxlib"
)  # fmt: skip
SETTINGS = {
    "tf32": "off: CuPy CUPY_TF32=0; PyTorch cuda.matmul.allow_tf32 = cudnn.allow_tf32 = False; JAX "
    'jax_default_matmul_precision = "highest"',
    "clock": "events of the GPU around a burst of calls (CuPy, PyTorch); a clock around a burst (JAX, CPU)",
}


# --- in the worker ---------------------------------------------------------------------------------------------------
# An engine is built for (B, T, I, H) and gives its calls, what turns a result into a NumPy array, and
# elapsed(call, n): the seconds of n calls, one after the other.


def minigrad(kernels: str, *size: int) -> tuple:
    """minigrad on the GPU, "composed" node by node or with the kernels of that name."""
    os.environ["CUPY_TF32"] = "0"
    from minigrad import cuda
    from minigrad.recurrent.kernels import persistent

    if cuda.missing():
        sys.exit(cuda.missing())
    import cupy

    cuda.use_persistent_kernels(kernels == "persistent")
    B, _, _, H = size
    ways = (4, H), (1, 4 * H)  # forward a unit has four rows of R, backward a column of all
    if cuda.persistent and not all(persistent.plan(B, H, *way, 4, *persistent.limits(0)) for way in ways):
        sys.exit("fused steps run in its place: R does not fit the chip, or not in a layout that promises to be faster")
    elapsed = partial(by_events, cupy.cuda.Event(), cupy.cuda.Event(), cupy.cuda.get_elapsed_time)
    return cells.minigrad(kernels, "lstm", *size, device="cuda"), cupy.asnumpy, elapsed


def torch(*size: int) -> tuple:
    """PyTorch's nn.LSTM, which is cuDNN's on a GPU."""
    import torch

    if not (torch.cuda.is_available() and torch.backends.cudnn.is_available()):
        sys.exit("PyTorch is installed, but finds no GPU with cuDNN")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    x, g, weights = cells.layer_data("lstm", *size)
    net = torch.nn.LSTM(*size[2:])
    leaves = cells.torch_load(net, *weights)
    net.to("cuda")
    x, g = torch.tensor(x, device="cuda", requires_grad=True), torch.tensor(g, device="cuda")

    def forward() -> tuple:
        with torch.no_grad():
            return (net(x)[0],)

    def both() -> tuple:
        for leaf in (x, *leaves):
            leaf.grad = None
        loss = net(x)[0].reshape(-1) @ g
        loss.backward()
        return loss, *(leaf.grad for leaf in (x, *leaves))

    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    elapsed = partial(by_events, start, end, torch.cuda.Event.elapsed_time)
    return {"forward": forward, "both": both}, lambda a: a.detach().cpu().numpy(), elapsed


def jax(*size: int) -> tuple:
    """JAX's scan, jitted as a whole."""
    os.environ |= {"JAX_PLATFORMS": "", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    import jax

    try:
        jax.devices("cuda")
    except RuntimeError:
        sys.exit("JAX is installed, but finds no GPU")
    jax.config.update("jax_default_matmul_precision", "highest")
    return cells.jax("lstm", *size, wait=False), np.asarray, partial(clocked, jax.block_until_ready)


def cpu(*size: int) -> tuple:
    """minigrad's compiled kernels on the processor."""
    return cells.minigrad("numba", "lstm", *size), np.asarray, partial(clocked, lambda results: results)


def by_events(start: object, end: object, milliseconds: Callable, call: Callable, n: int) -> float:
    """Return the seconds of n calls by the GPU's clock."""
    start.record()
    for _ in range(n):
        call()
    end.record()
    end.synchronize()
    return milliseconds(start, end) / 1e3


def clocked(wait: Callable, call: Callable, n: int) -> float:
    """Return the seconds until n calls are done."""
    start = time.perf_counter()
    for _ in range(n):
        results = call()
    wait(results)
    return time.perf_counter() - start


ENGINES = {
    **{name: partial(minigrad, name) for name in ("composed", *OURS)},
    "cuDNN (PyTorch)": torch,
    "scan (JAX)": jax,
    "CPU": cpu,
}


def work(engine: str, *rest: str) -> None:
    """Serve an engine's calls for one row; what they must return is read from a file."""
    *size, expected = rest
    calls, fetch, elapsed = ENGINES[engine](*map(int, size))
    right = pickle.loads(Path(expected).read_bytes())
    workers.serve(calls, right, lambda call, seconds: timed(elapsed, call, seconds), fetch)


def timed(elapsed: Callable, call: Callable, seconds: float) -> float:
    """Return the seconds of one call in a burst that lasts about `seconds`."""
    n = 1
    while (spent := elapsed(call, n)) < workers.WARM:  # warms up, and says how many calls make a burst
        n *= 2
    n = math.ceil(n * seconds / spent)
    return elapsed(call, n) / n


def write_expected(*rest: str) -> None:
    """Write what two calls of each kind return, by the NumPy kernels in float64."""
    *size, path = rest
    calls = cells.minigrad("numpy", "lstm", *map(int, size), dtype="float64")
    results = {name: [np.asarray(a, "float32") for a in call()] for name, call in calls.items()}
    Path(path).write_bytes(pickle.dumps({name: [found, found] for name, found in results.items()}))


# --- measuring -------------------------------------------------------------------------------------------------------


def device() -> dict[str, str]:
    """Return the GPU in use and its driver, by NVIDIA's own tool; "none" where that finds none."""
    asked = {"gpu": "name", "driver": "driver_version", "memory": "memory.total", "power limit": "power.limit"}
    command = ["nvidia-smi", f"--query-gpu={','.join(asked.values())}", "--format=csv,noheader"]
    command.append(f"--id={os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',')[0] or 0}")
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return {"gpu": "none"}
    return dict(zip(asked, map(str.strip, said.split(",")), strict=True))


def measure(size: tuple[int, ...], rounds: int) -> dict:
    """Return what a row holds."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with tempfile.TemporaryDirectory() as folder:
        expected = Path(folder, "expected.pickle")
        sequences.once("gpu-expected", *size, expected)
        engines = {name: ("gpu", name, *size, expected) for name in ENGINES}
        seconds, left_out = workers.interleaved(engines, rounds, SECONDS, threads)
    return {"size": size, "threads of the CPU": threads, "seconds": seconds, "not run": left_out}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks gpu", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--table", action="store_true", help="print the stored rows in Markdown")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--results", type=Path, default=workers.RESULTS, metavar="FOLDER")
    given = parser.parse_args(arguments)
    path = given.results / "gpu.json"
    if not given.table:
        machine = describe_machine(*PACKAGES) | device() | {"load before": round(os.getloadavg()[0], 1)}
        result = {"command": "python -m benchmarks gpu", "machine": machine, "settings": SETTINGS, "rows": []}
        for size in SIZES:
            print(f"B, T, I, H = {', '.join(map(str, size))}", file=sys.stderr, flush=True)
            result["rows"].append(measure(size, given.rounds))
            workers.store(result, path)
        print(f"stored in {path}\n", file=sys.stderr)
    print(table(json.loads(path.read_text(encoding="utf-8"))))


# --- reading ---------------------------------------------------------------------------------------------------------


def table(result: dict) -> str:
    """Return the table of NOTES.md in Markdown, with what it was measured on, what was not run and the aims."""
    rows = result["rows"]
    head = ["B, T, I, H", "pass, ms", *ENGINES, *(f"{name} to cuDNN" for name in OURS)]
    body = ([", ".join(map(str, row["size"])), PASSES[call], *cells_of(row, call)] for row in rows for call in PASSES)
    parts = [described(result), sequences.lines(head, body), reasons(rows), "\n".join(map(partial(met, rows), AIMS))]
    return "\n\n".join(part for part in parts if part)


def described(result: dict) -> str:
    """Say when, with what and on which machine the rows were measured."""
    machine = result["machine"]
    gpu = "no GPU" if machine["gpu"] == "none" else f"{machine['gpu']} (driver {machine['driver']})"
    versions = ", ".join(f"{name} {machine[name]}" for name in ("python", *PACKAGES) if name in machine)
    cores = f"{machine['cores']} cores of {machine['processor']}"
    return f"`{result['command']}`, {machine['date']}: {gpu}; {cores} (load {machine['load before']}); {versions}."


def cells_of(row: dict, call: str) -> list[str]:
    """Return the times of one pass, and the ratios of our kernels to cuDNN."""
    found = [row["seconds"].get(name, {}).get(call) for name in ENGINES]
    spans = [f"{sequences.milliseconds(t)} [{span(t)}]" if t else "not run" for t in found]
    ratios = (ratio(row, name, call) for name in OURS)
    return [*spans, *(f"{r:.2f}" if r else "not run" for r in ratios)]


def span(times: list[float]) -> str:
    """Return the smallest and the largest in ms."""
    return ", ".join(sequences.digits(1e3 * t) for t in (min(times), max(times)))


def ratio(row: dict, name: str, call: str) -> float | None:
    """Return the time of one of our kernels to cuDNN's, of the medians."""
    ours, theirs = (row["seconds"].get(engine, {}).get(call) for engine in (name, "cuDNN (PyTorch)"))
    return statistics.median(ours) / statistics.median(theirs) if ours and theirs else None


def reasons(rows: list[dict]) -> str:
    """Say why engines were not run, each reason once."""
    found = {}
    for row in rows:
        for name, why in row["not run"].items():
            found.setdefault(why, {}).setdefault(name, []).append(", ".join(map(str, row["size"])))
    whole = lambda sizes: "" if len(sizes) == len(rows) else f" at {' and '.join(sizes)}"
    return "\n".join(
        f"Not run: {', '.join(name + whole(sizes) for name, sizes in names.items())}: {why}."
        for why, names in found.items()
    )


def met(rows: list[dict], aim: str) -> str:
    """Say in how many rows an aim is met."""
    bound, sizes = AIMS[aim]
    best = [
        min(ratios)
        for row in rows
        if tuple(row["size"]) in sizes
        if (ratios := [r for name in OURS if (r := ratio(row, name, "both"))])
    ]
    found = f"met in {sum(r <= bound for r in best)} of {len(best)} rows" if best else "not measured"
    return f"Aim: forward and backward {aim} at H <= {sizes[-1][3]}, by the better of the two kernels: {found}."
