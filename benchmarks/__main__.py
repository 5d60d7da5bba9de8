"""Run the benchmarks, print their tables, store them with the machine and the versions they ran on.

Every engine runs in a process of its own, with one thread and the same setting of the allocator. Rounds are
interleaved, so that a slow moment of the machine meets all engines; what is reported are ratios of medians within this
run.
"""

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

ROUNDS = 9
SECONDS = 0.3  # of measuring, an engine a round
# One thread each; and glibc keeps what a pass frees. By default it hands memory back to the system and faults it in
# again at the next pass, or not, as the layout of the heap has it, which can double the time of any engine (NOTES.md).
SETTING = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
SETTING |= {f"MALLOC_{name}_THRESHOLD_": "1000000000" for name in ("TRIM", "MMAP")}
RESULTS = Path(__file__).parent / "results"


def work(engine: str) -> None:
    """Answer every line on stdin with the seconds of one pass; a worker of `rounds`."""
    from benchmarks import elman

    call = elman.ENGINES[engine]()
    wrong = [
        str(abs(got - right).max())
        for got, right in zip(call(), elman.numpy()(), strict=True)
        if not abs(got - right).max() < 1e-6
    ]
    if wrong:
        sys.exit(f"{engine}: the gradients differ by {', '.join(wrong)} from those by hand")
    print("ready", flush=True)
    for _ in sys.stdin:
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < SECONDS:
            call()
            count += 1
        print((time.perf_counter() - start) / count, flush=True)


def rounds(engines: list[str]) -> dict[str, list[float]]:
    """Return for each engine that is installed its seconds a pass, round by round."""
    command = [sys.executable, "-m", "benchmarks", "--worker"]
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": os.environ | SETTING}
    workers = {engine: subprocess.Popen([*command, engine], stderr=subprocess.PIPE, **pipe) for engine in engines}
    found: dict[str, list[float]] = {}
    for engine, worker in workers.items():
        if worker.stdout.readline() == "ready\n":
            found[engine] = []
        else:
            print(f"{engine} left out: {worker.stderr.read().strip().splitlines()[-1]}")
    for k in range(ROUNDS):
        print(f"round {k + 1} of {ROUNDS}", file=sys.stderr)
        for engine, seconds in found.items():
            workers[engine].stdin.write("go\n")
            workers[engine].stdin.flush()
            seconds.append(float(workers[engine].stdout.readline()))
    for worker in workers.values():
        worker.communicate()
    return found


def machine() -> dict:
    """Return the machine, the day and the versions of what was measured."""
    names = "numpy", "torch", "autograd", "mygrad"
    have = {dist.metadata["Name"].lower() for dist in importlib.metadata.distributions()}
    versions = {name: importlib.metadata.version(name) for name in names if name in have}
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next(
        (line.split(": ")[1] for line in info.splitlines() if line.startswith("model name")), platform.machine()
    )
    return {
        "date": date.today().isoformat(),
        "processor": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **versions,
    }


def main() -> None:
    from benchmarks import elman, engine

    result = {"command": "make bench", "machine": machine()}
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
    result["elman_seconds"] = rounds(list(elman.ENGINES))
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
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "engine.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nstored in {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2])
    else:
        if not SETTING.items() <= os.environ.items():  # read when a process starts, so start anew
            os.execve(sys.executable, [sys.executable, "-m", "benchmarks"], os.environ | SETTING)
        main()
