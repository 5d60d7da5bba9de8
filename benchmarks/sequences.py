"""Whole sequences side by side with other engines: layers, a training step, growth with the number of steps.

    python -m benchmarks sequences               every row, from the start
    python -m benchmarks sequences --resume      those that are not stored yet
    python -m benchmarks sequences --only gru    those with "gru" in their names, beside what is stored
    python -m benchmarks sequences --table       the stored ones, as the README shows them

cells.py says what is computed. Each row is stored as soon as it is measured.
"""

import argparse
import ctypes
import json
import os
import pickle
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import cells, workers

THREADS, ROUNDS, SECONDS = 2, 7, 0.03
SIZES = (  # B, T, I, H
    (1, 200, 8, 16), (1, 100, 8, 128), (16, 50, 32, 64), (32, 100, 64, 128), (20, 35, 200, 200), (128, 50, 64, 64),
    (64, 100, 256, 512), (8, 20, 16, 32), (5, 200, 40, 104), (1, 20, 512, 512), (4, 64, 512, 1024),
)  # fmt: skip
ROWS = [
    *(("lstm", *size) for size in SIZES),
    *((cell, *SIZES[k]) for cell in ("rnn", "gru") for k in (1, 3, 4)),
    *(("peephole", *SIZES[k]) for k in (3, 4)),
    ("training", 32, 64, 64, 128),
    *(("length", 1, T, 8, 16) for T in (10**2, 10**3, 10**4, 10**5)),
    *(("memory", 8, T, 32, 64) for T in (10**2, 10**3, 10**4)),
]
MINUTES = 12  # for all rows, on two cores of a server
MATRIX = 2048  # rows of the matrices whose product says how fast the machine multiplies
TITLES = {"lstm": "LSTM", "rnn": "RNN", "gru": "GRU", "peephole": "peephole LSTM", "training": "training step"}
OTHERS = ("minigrad numpy", "minigrad composed", "JAX", "HIPS autograd", "MyGrad")
# at most so many times PyTorch's time; at most so many times the products alone, where H >= 128 and B >= 16
AIMS = {"layer": 0.85, "training": 0.8, "products": 1.6}


# --- in the worker ---------------------------------------------------------------------------------------------------


def work(engine: str, kind: str, *rest: str) -> None:
    """Serve an engine's calls for one row; what they must return is read from a file."""
    *size, expected = rest
    calls = cells.ENGINES[engine](cell(kind), *map(int, size))
    workers.serve(calls, pickle.loads(Path(expected).read_bytes()))


def write_expected(kind: str, *rest: str) -> None:
    """Write what two calls of each kind return, in float64 on minigrad's composed cells, which the tests hold.

    Beyond 10,000 steps their graph is too large, and the NumPy kernels take their place.
    """
    *size, path = rest
    size = tuple(map(int, size))
    kernels = "composed" if size[1] <= 10**4 else "numpy"
    calls = cells.minigrad(kernels, cell(kind), *size, dtype="float64")
    Path(path).write_bytes(pickle.dumps({name: [call(), call()] for name, call in calls.items()}))


def multiply(engine: str, n: str) -> None:
    """Serve a product of two matrices."""
    workers.serve(cells.product(engine, int(n)), {"product": [cells.product("NumPy", int(n))["product"]()]})


def cell(kind: str) -> str:
    """Return the cell of a row."""
    return "lstm" if kind == "length" else kind


def peak(way: str, B: str, T: str, I: str, H: str) -> None:  # noqa: E741
    """Print by how many MB the resident memory grows at its peak in one pass through an LSTM and back (Linux)."""
    import numpy as np

    import minigrad as mg
    from minigrad.recurrent.bptt import checkpointed

    B, T, I, H = map(int, (B, T, I, H))  # noqa: E741
    net = mg.nn.LSTM(I, H, rng=0)

    def both(T: int) -> None:
        x, state = mg.Tensor(np.ones((T, B, I), np.float32)), mg.Tensor(np.zeros((1, B, H), np.float32))
        output, _ = checkpointed(net, x, (state, state)) if way == "checkpointed" else net(x, (state, state))
        output.sum().backward()

    def status(key: str) -> float:
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
        return int(line.split()[1]) * 1024 / 1e6

    both(4)  # what is needed once
    ctypes.CDLL(None).malloc_trim(0)  # freed memory that the process kept would hide as much of the growth
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = status("VmRSS")
    both(T)
    print(f"{status('VmHWM') - before:.2f}")


# --- measuring -------------------------------------------------------------------------------------------------------


def engines_of(kind: str, wanted: list[str] | None) -> list[str]:
    """Return the engines of a row."""
    if kind == "length":
        found = ["minigrad numba", "minigrad numpy"]
    else:
        found = [name for name in cells.ENGINES if name != ("PyTorch" if kind == "peephole" else "PyTorch composed")]
    return [name for name in found if wanted is None or name in wanted]


def once(*arguments: object) -> str:
    """Return what a worker prints that does one thing."""
    worker = workers.start(*arguments, threads=THREADS)
    said, complained = worker.communicate()
    if worker.returncode:
        raise RuntimeError(f"{' '.join(map(str, arguments))} failed:\n{complained}")
    return said.strip()


def measure(kind: str, size: tuple[int, ...], wanted: list[str] | None, rounds: int) -> dict:
    """Return what a row holds."""
    if kind == "memory":
        return {"MB": {way: float(once("peak", way, *size)) for way in ("kept", "checkpointed")}}
    with tempfile.TemporaryDirectory() as folder:
        expected = Path(folder, "expected.pickle")
        once("expected", kind, *size, expected)
        engines = {name: ("sequences", name, kind, *size, expected) for name in engines_of(kind, wanted)}
        seconds, left_out = workers.interleaved(engines, rounds, SECONDS, THREADS)
    return {"seconds": seconds, "left out": left_out}


def gigaflops(rounds: int) -> float:
    """Return how many multiplications and additions this machine does a nanosecond in a large float32 product."""
    engines = {name: ("multiply", name, MATRIX) for name in ("NumPy", "PyTorch")}
    found, _ = workers.interleaved(engines, rounds, SECONDS, THREADS)
    return float(f"{2e-9 * MATRIX**3 / min(min(calls['product']) for calls in found.values()):.4g}")


def begin(path: Path, keep: bool) -> dict:
    """Return the result to go on with: what is stored, or an empty one."""
    machine = workers.machine()
    if keep and path.exists():
        result = json.loads(path.read_text(encoding="utf-8"))
        changed = [key for key, value in machine.items() if key != "date" and result["machine"].get(key) != value]
        if changed:
            sys.exit(f"{path} was measured elsewhere or with other versions ({', '.join(changed)}): measure every row")
        result["machine"] = machine
        return result
    settings = {"threads": THREADS, "seconds": SECONDS, "environment": workers.environment(THREADS)}
    settings["minigrad numba"] = {"OPENBLAS_NUM_THREADS": "1"}
    return {"command": "make bench", "machine": machine, "settings": settings, "rows": {}}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks sequences", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--table", action="store_true", help="print the stored rows in Markdown")
    parser.add_argument("--resume", action="store_true", help="measure only what is not stored")
    parser.add_argument("--only", default="", metavar="TEXT", help="measure only rows with this in their names")
    parser.add_argument("--engines", type=lambda text: text.split(","), help="A,B,...: only these, by their full names")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--results", type=Path, default=workers.RESULTS, metavar="FOLDER")
    given = parser.parse_args(arguments)
    path = given.results / "sequences.json"
    if given.table:
        print(table(json.loads(path.read_text(encoding="utf-8"))))
        return
    result = begin(path, keep=given.resume or bool(given.only))
    rows = {f"{kind} {','.join(map(str, size))}": (kind, size) for kind, *size in ROWS}
    todo = [name for name in rows if given.only in name and not (given.resume and name in result["rows"])]
    if not todo:
        sys.exit("nothing to measure: no such row, or all are stored")
    if given.engines and given.results == workers.RESULTS:
        parser.error("--engines makes rows that lack the others: name another folder with --results")
    print(f"{len(todo)} of {len(rows)} rows; all take about {MINUTES} minutes; --resume goes on", file=sys.stderr)
    if (load := os.getloadavg()[0]) > 1:
        print(
            f"load {load:.1f}: where that is not the benchmark itself, what is measured now means little",
            file=sys.stderr,
        )
    started, speed = time.monotonic(), gigaflops(given.rounds)
    result["kernels"] = once("kernels")
    for k, name in enumerate(todo):
        spent = time.monotonic() - started
        print(f"[{k + 1}/{len(todo)}] {name} ({spent / 60:.1f} min so far)", file=sys.stderr, flush=True)
        kind, size = rows[name]
        row = {"kind": kind, "size": size, "gigaflops": speed, "load before the run": round(load, 1)}
        try:
            row |= measure(kind, size, given.engines, given.rounds)
        except RuntimeError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        result["rows"][name] = row
        result["rows"] = {name: result["rows"][name] for name in rows if name in result["rows"]}
        workers.store(result, path)
        print(brief(row), flush=True)
    print(f"\n{table(result)}\n\nstored in {path}")


# --- reading ---------------------------------------------------------------------------------------------------------


def brief(row: dict) -> str:
    """Return a row in one line, in ms, and why engines were left out."""
    if "MB" in row:
        return "  " + ", ".join(f"{way} {MB:.1f} MB" for way, MB in row["MB"].items())
    times = (f"{name} {' + '.join(map(milliseconds, calls.values()))}" for name, calls in row["seconds"].items())
    return "\n  ".join(["  ms: " + ", ".join(times), *(f"{name}: {why}" for name, why in row["left out"].items())])


def milliseconds(times: list[float]) -> str:
    """Return the median in ms, in three digits."""
    return digits(1e3 * statistics.median(times))


def digits(number: float) -> str:
    """Return a number above 0 in three digits, without an exponent."""
    return f"{number:.0f}" if number >= 100 else f"{number:#.3g}"


def ratios(row: dict, other: str, call: str = "both") -> tuple[float, float, float] | None:
    """Return the time of minigrad's Numba kernels to another engine's: of the medians, and from round to round."""
    ours, theirs = (row["seconds"].get(name, {}).get(call) for name in ("minigrad numba", other))
    if not (ours and theirs):
        return None
    each = [a / b for a, b in zip(ours, theirs, strict=False)]  # a slow engine has fewer rounds
    return statistics.median(ours) / statistics.median(theirs), min(each), max(each)


def limit(row: dict) -> float | None:
    """Return the seconds that the products of a layer alone would take, forward and backward.

    Forward these are 2 (rows of W) (I + H) B T floating-point operations; backward, for inputs and weights, twice that.
    """
    B, T, I, H = row["size"]  # noqa: E741
    return 3 * 2 * cells.BLOCKS[cell(row["kind"])] * H * (I + H) * B * T / (row["gigaflops"] * 1e9)


def to_limit(row: dict) -> float | None:
    """Return the time of minigrad's Numba kernels to that of the products alone; None for a whole training step."""
    ours = row["seconds"].get("minigrad numba")
    return statistics.median(ours["both"]) / limit(row) if ours and row["kind"] != "training" else None


def title(row: dict) -> str:
    """Return what a row of the first table is called."""
    return f"{TITLES[row['kind']]} {', '.join(map(str, row['size']))}"


def rival(row: dict) -> str:
    """Return PyTorch's name in a row."""
    return "PyTorch composed" if row["kind"] == "peephole" else "PyTorch"


def table(result: dict) -> str:
    """Return the tables of the README in Markdown."""
    rows = list(result["rows"].values())
    compared = [row for row in rows if row["kind"] in TITLES]
    by_length = {kind: {r["size"][1]: r for r in rows if r["kind"] == kind} for kind in ("length", "memory")}
    parts = [lines(header(), map(compared_cells, compared)), aims(compared), reasons(compared)]
    if steps := sorted({T for group in by_length.values() for T in group}):
        head = ["steps", "us a step", "us a step, NumPy kernels", "MB", "MB, checkpointed"]
        parts.append(lines(head, (length_cells(T, by_length) for T in steps)))
    return "\n\n".join(part for part in parts if part)


def lines(head: list[str], body: object) -> str:
    """Return a Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body])


def header() -> list[str]:
    return ["B, T, I, H", "ms", "PyTorch ms", "to PyTorch", "forward alone", "to the GEMM limit", *(
        name.removeprefix("minigrad ") for name in OTHERS
    )]  # fmt: skip


def compared_cells(row: dict) -> list[str]:
    """Return a row of the first table."""

    def span(call: str) -> str:
        found = ratios(row, rival(row), call)
        return "{:.2f} [{:.2f}, {:.2f}]".format(*found) if found else "–"

    calls = (row["seconds"].get(name, {}).get("both") for name in ("minigrad numba", rival(row)))
    products = to_limit(row)
    return [
        title(row),
        *(milliseconds(times) if times else "–" for times in calls),
        span("both"),
        span("forward"),
        f"{products:.1f}" if products else "–",
        *(f"{found[0]:.2f}" if (found := ratios(row, name)) else "–" for name in OTHERS),
    ]


def length_cells(T: int, rows: dict) -> list[str]:
    """Return a row of the second table."""
    seconds = rows["length"].get(T, {}).get("seconds", {})
    MB = rows["memory"].get(T, {}).get("MB", {})
    times = (seconds.get(name, {}).get("both") for name in ("minigrad numba", "minigrad numpy"))
    return [
        f"{T:,}",
        *(digits(1e6 * statistics.median(t) / T) if t else "–" for t in times),
        *(f"{MB[way]:.1f}" if way in MB else "–" for way in ("kept", "checkpointed")),
    ]


def aims(rows: list[dict]) -> str:
    """Say how many rows meet the aims."""
    groups = {
        f"at most {AIMS['layer']} of PyTorch's time, forward and backward": [
            found[0] <= AIMS["layer"]
            for row in rows
            if row["kind"] != "training" and (found := ratios(row, rival(row)))
        ],
        f"at most {AIMS['products']} times the products where H >= 128 and B >= 16": [
            found <= AIMS["products"]
            for row in rows
            if row["size"][3] >= 128 and row["size"][0] >= 16 and (found := to_limit(row))
        ],
        f"training step at most {AIMS['training']} of PyTorch's": [
            found[0] <= AIMS["training"]
            for row in rows
            if row["kind"] == "training" and (found := ratios(row, "PyTorch"))
        ],
    }
    return "\n".join(f"Aim: {aim}: met in {sum(met)} of {len(met)} rows." for aim, met in groups.items() if met)


def reasons(rows: list[dict]) -> str:
    """Say why engines were left out, each reason once."""
    found = {}
    for row in rows:
        for name, why in row["left out"].items():
            found.setdefault((name, why), []).append(title(row))
    return "\n".join(f"Not run: {name} ({why}), in {'; '.join(titles)}." for (name, why), titles in found.items())
