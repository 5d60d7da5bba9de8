"""Run the benchmarks, print their tables, store them with the machine and the versions they ran on.

python -m benchmarks              both
python -m benchmarks engine       what minigrad's machinery costs, and a small Elman net on every engine (1 minute)
python -m benchmarks sequences    whole sequences on every engine; sequences.py says what it takes beside that
python -m benchmarks gpu          whole sequences on a GPU; gpu.py says what it takes beside that
"""

import os
import statistics
import sys
from pathlib import Path

from benchmarks import gpu, sequences, workers

ROUNDS, SECONDS = 9, 0.3


def elman_worker(engine: str) -> None:
    """Serve an engine's training gradient of the Elman net."""
    from benchmarks import elman

    workers.serve({"both": elman.ENGINES[engine]()}, {"both": [elman.numpy()()] * 2})


def tell_kernels() -> None:
    """Print which kernels minigrad chooses here, and why."""
    from minigrad import kernels

    print(kernels())


WORKERS = {
    "elman": elman_worker, "sequences": sequences.work, "expected": sequences.write_expected,
    "multiply": sequences.multiply, "peak": sequences.peak, "kernels": tell_kernels,
    "gpu": gpu.work, "gpu-expected": gpu.write_expected,
}  # fmt: skip


def engine_tables() -> None:
    """Measure the engine, print and store."""
    from benchmarks import elman, engine

    result = {"command": "make bench", "machine": workers.machine()}
    print("  ".join(f"{key} {value}" for key, value in result["machine"].items()))

    forward, backward = engine.node_cost()
    result["node_us"] = {"forward": forward, "backward": backward}
    print(f"\nA node above the bare NumPy call, 16 x 64 float32: {forward:.1f} us forward, {backward:.1f} us backward")

    result["chain_us_per_node"] = {n: engine.chain(n) for n in (10**4, 10**5, 10**6)}
    result["reads_us_per_step"] = {n: engine.reads(n) for n in (10**3, 10**4, 10**5)}
    for name, key in ("a node of a chain", "chain_us_per_node"), ("a step that reads x[t]", "reads_us_per_step"):
        print(f"us {name}: " + ", ".join(f"{us:.1f} at {n:,}" for n, us in result[key].items()))
    if Path("/proc/self/statm").exists():
        result["growth_MB"] = engine.growth()
        print(f"resident memory over 1,000 training steps, collector off: {result['growth_MB']:+.2f} MB")

    print(f"\nElman net, T {elman.T}, B {elman.B}, H {elman.H}, float32, one thread, forward and backward")
    engines = {name: ("elman", name) for name in elman.ENGINES}
    found, left_out = workers.interleaved(engines, ROUNDS, SECONDS, threads=1)
    for name, why in left_out.items():
        print(f"{name} left out: {why}")
    result["elman_seconds"] = {name: calls["both"] for name, calls in found.items()}
    ours = result["elman_seconds"]["minigrad"]
    print(f"{'':18}{'ms':>7}  {'range':>14}  minigrad's time to its")
    for name, seconds in result["elman_seconds"].items():
        ratios = sorted(a / b for a, b in zip(ours, seconds, strict=True))
        ms = [1e3 * s for s in (statistics.median(seconds), min(seconds), max(seconds))]
        span = f"[{ms[1]:.2f}, {ms[2]:.2f}]"
        print(
            f"{name:18}{ms[0]:7.2f}  {span:>14}  "
            f"{statistics.median(ours) / statistics.median(seconds):.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]"
        )
    path = workers.RESULTS / "engine.json"
    workers.store(result, path)
    print(f"\nstored in {path}")


def main(suite: str = "", *arguments: str) -> None:
    setting = workers.environment(threads=1)
    if suite == "--worker":
        WORKERS[arguments[0]](*arguments[1:])
    elif suite == "sequences":
        sequences.main(list(arguments))
    elif suite == "gpu":
        gpu.main(list(arguments))
    elif suite not in ("", "engine") or arguments:
        sys.exit(__doc__)
    elif not setting.items() <= os.environ.items():  # read when a process starts, so start anew
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]], os.environ | setting)
    else:
        engine_tables()
        if not suite:
            sequences.main([])


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit("interrupted; python -m benchmarks sequences --resume measures the rows that are missing")
