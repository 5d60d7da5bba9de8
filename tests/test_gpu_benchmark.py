"""The benchmark of a GPU at tiny sizes: minigrad's engines on the stand-in, the command without a GPU, the table."""

import json
from collections import Counter

import numpy as np
import pytest

from benchmarks import gpu, workers
from minigrad import cuda
from minigrad.nn import rnn as layers
from unrolled.standin import cupy as standin

SIZE = 2, 3, 4, 5


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("engine", ["composed", *gpu.OURS])
def test_an_engine_on_the_stand_in(monkeypatch, tmp_path, engine):
    for name in ("elman_sequence", "gru_sequence", "lstm_sequence"):  # put back what the composed engine replaces
        monkeypatch.setattr(layers, name, getattr(layers, name))
    monkeypatch.setattr(cuda, "persistent", False)
    monkeypatch.setattr(workers, "WARM", 0.001)
    expected = tmp_path / "expected"
    gpu.write_expected(*map(str, SIZE), str(expected))
    served = {}
    monkeypatch.setattr(
        workers, "serve", lambda *given: served.update(zip(("calls", "right", "timer", "fetch"), given, strict=True))
    )
    with standin.installed() as cupy:
        gpu.work(engine, *map(str, SIZE), str(expected))
        fetched = {name: lambda call=call: map(served["fetch"], call()) for name, call in served["calls"].items()}
        assert set(workers.check(fetched, served["right"])) == {"forward", "both"}
        before = Counter(cupy.counts)
        for call in served["calls"].values():
            assert 0 < served["timer"](call, 0.001) < 10
        done = cupy.counts - before
    assert not done["to_host"] and not done["to_device"], "copies within what is timed"
    assert bool(done["kernel"]) == (engine != "composed")


def test_without_a_gpu_the_cpu_is_measured_and_the_rest_says_why_not(monkeypatch, tmp_path, capsys):
    if gpu.device()["gpu"] != "none":
        pytest.skip("here is a GPU")
    monkeypatch.setattr(gpu, "SIZES", [SIZE])
    monkeypatch.setattr(gpu, "SECONDS", 0.001)
    gpu.main(["--results", str(tmp_path), "--rounds", "2"])
    (row,) = json.loads((tmp_path / "gpu.json").read_text("utf8"))["rows"]
    assert set(row["seconds"]) == {"CPU"} and set(row["not run"]) == set(gpu.ENGINES) - {"CPU"}
    assert all(len(times) == 2 and min(times) > 0 for times in row["seconds"]["CPU"].values())
    text = capsys.readouterr().out
    assert "| 2, 3, 4, 5 | forward | not run | not run | not run | not run | not run | 0." in text
    assert "no GPU;" in text and "CuPy" in text and text.count("not measured.") == 2


def row(size, **ms):
    """Return a row with these times, forward and backward, in ms; the rest was not run."""
    found = {name.replace("_", "-"): [t / 1e3, t / 2e3, t / 1e3] for name, t in ms.items()}
    found = {"cuDNN (PyTorch)" if name == "cuDNN" else name: {"forward": t, "both": t} for name, t in found.items()}
    return {
        "size": list(size),
        "seconds": found,
        "not run": {name: "no reason" for name in gpu.ENGINES if name not in found},
    }


def test_the_table_says_what_is_stored():
    machine = {
        "gpu": "H100",
        "driver": "580",
        "date": "2026-01-02",
        "cores": 8,
        "processor": "x",
        "load before": 0.5,
        "cupy-cuda13x": "14.2",
    }
    rows = [
        row(gpu.SIZES[0], fused_step=4, persistent=1, cuDNN=2, CPU=8),
        row(gpu.SIZES[1], fused_step=3, cuDNN=2, CPU=8),
        row(gpu.SIZES[2], fused_step=3, persistent=2.5, cuDNN=2),
        row(gpu.SIZES[3], fused_step=2, cuDNN=10),
    ]
    text = gpu.table({"command": "c", "machine": machine, "rows": rows})
    assert text.startswith("`c`, 2026-01-02: H100 (driver 580); 8 cores of x (load 0.5); cupy-cuda13x 14.2.")
    cells = "| 4.00 [2.00, 4.00] | 1.00 [0.500, 1.00] | 2.00 [1.00, 2.00] | not run | 8.00 [4.00, 8.00] | 2.00 | 0.50 |"
    assert f"| 1, 200, 8, 16 | forward | not run {cells}" in text
    assert "Not run: composed, scan (JAX), persistent at 32, 100, 64, 128 and 128, 200, 512, 1024, CPU at" in text
    assert "ahead of cuDNN at H <= 128, by the better of the two kernels: met in 1 of 2 rows." in text
    assert "1.5 times cuDNN's time at H <= 512, by the better of the two kernels: met in 3 of 3 rows." in text


def test_a_burst_is_timed_and_divided():
    asked = []
    seconds = gpu.timed(lambda call, n: asked.append(n) or 0.03 * n, None, 0.3)
    assert seconds == pytest.approx(0.03) and asked[-1] == 10 and asked[:3] == [1, 2, 4]
    assert np.isfinite(seconds)


def test_the_table_of_the_notes_is_the_stored_one():
    table = gpu.table(json.loads((workers.RESULTS / "gpu.json").read_text("utf8")))
    assert table in (workers.ROOT / "benchmarks/NOTES.md").read_text("utf8"), "copy the last table into NOTES.md"
