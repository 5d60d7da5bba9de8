"""The benchmarks at tiny sizes: what is stored, the table made of it, going on after an interruption, wrong engines."""

import json

import numpy as np
import pytest

from benchmarks import sequences, workers

ENGINES = "minigrad composed,minigrad numpy"
ROWS = [("lstm", 2, 3, 4, 5), ("peephole", 2, 3, 4, 5), ("training", 2, 3, 4, 5), ("length", 1, 3, 4, 5)]


def measured(folder, *arguments):
    sequences.main(["--results", str(folder), "--rounds", "1", "--engines", ENGINES, *arguments])
    return json.loads((folder / "sequences.json").read_text("utf8"))


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(sequences, "ROWS", ROWS)
    monkeypatch.setattr(sequences, "SECONDS", 0.001)
    monkeypatch.setattr(sequences, "MATRIX", 64)


def test_every_row_is_measured_stored_and_found_again(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(sequences, "ROWS", ROWS[1:])
    measured(tmp_path)
    monkeypatch.setattr(sequences, "ROWS", ROWS)  # as if the first run had been cut off
    asked = []
    monkeypatch.setattr(
        sequences, "measure", lambda kind, *_, real=sequences.measure: asked.append(kind) or real(kind, *_)
    )
    result = measured(tmp_path, "--resume")
    assert asked == ["lstm"]
    assert [(row["kind"], *row["size"]) for row in result["rows"].values()] == ROWS
    for row in result["rows"].values():
        names = {"minigrad numpy"} if row["kind"] == "length" else set(ENGINES.split(","))
        assert set(row["seconds"]) == names and not row["left out"]
        assert all(len(times) == 1 and times[0] > 0 for calls in row["seconds"].values() for times in calls.values())
    with pytest.raises(SystemExit, match="nothing to measure"):
        measured(tmp_path, "--resume")
    result["machine"]["processor"] = "another"
    workers.store(result, tmp_path / "sequences.json")
    with pytest.raises(SystemExit, match="measured elsewhere"):
        measured(tmp_path, "--only", "lstm")


def row(kind, size, ours, theirs, **others):
    names = {"minigrad numba": ours, "PyTorch composed" if kind == "peephole" else "PyTorch": theirs, **others}
    seconds = {name: {"forward": [s / 2] * 3, "both": [s, 2 * s, s]} for name, s in names.items()}
    return {
        "kind": kind,
        "size": size,
        "gigaflops": 100.0,
        "seconds": seconds,
        "left out": {"JAX": "ModuleNotFoundError"},
    }


def test_the_table_says_what_is_stored(capsys, tmp_path):
    rows = [
        row("lstm", [16, 50, 32, 128], 0.002, 0.004, MyGrad=0.02),
        row("peephole", [1, 50, 32, 128], 0.005, 0.004),
        row("training", [1, 50, 32, 128], 0.002, 0.004),
        row("length", [1, 100, 8, 16], 0.002, 0.004),
        {"kind": "memory", "size": [1, 100, 8, 16], "MB": {"kept": 40.0, "checkpointed": 4.0}},
    ]
    workers.store({"rows": dict(enumerate(rows))}, tmp_path / "sequences.json")
    sequences.main(["--results", str(tmp_path), "--table"])
    text = capsys.readouterr().out
    products = 6 * 4 * 128 * 160 * 16 * 50 / 100e9
    assert (
        f"| LSTM 16, 50, 32, 128 | 2.00 | 4.00 | 0.50 [0.50, 0.50] | 0.50 [0.50, 0.50] | {0.002 / products:.1f} "
        "| – | – | – | – | 0.10 |"
    ) in text
    assert "| peephole LSTM 1, 50, 32, 128 | 5.00 | 4.00 | 1.25" in text
    assert "| 100 | 20.0 | – | 40.0 | 4.0 |" in text
    assert "forward and backward: met in 1 of 2 rows" in text and "of PyTorch's: met in 1 of 1 rows" in text
    assert "JAX (ModuleNotFoundError), in LSTM 16, 50, 32, 128; peephole" in text


RIGHT = [np.array(3.0), np.linspace(-1, 2, 12).reshape(3, 4), np.ones(5)]
WRONG = {
    "loss": [RIGHT[0] * 1.001, *RIGHT[1:]],
    "one entry of a gradient": [RIGHT[0], RIGHT[1] + np.pad([[1e-3]], ((0, 2), (3, 0))), RIGHT[2]],
    "shape": [*RIGHT[:2], RIGHT[2][None]],
    "nan": [*RIGHT[:2], RIGHT[2] * np.nan],
}


@pytest.mark.parametrize(
    "returned", [[wrong] for wrong in WRONG.values()] + [[RIGHT, WRONG["loss"]]], ids=[*WRONG, "2nd"]
)
def test_an_engine_that_computes_something_else_is_refused(returned):
    close = [a.astype("float32") * np.float32(1 + 1e-5) for a in RIGHT]
    assert workers.check({"both": lambda: close}, {"both": [RIGHT, RIGHT]})["both"] > 0
    calls = iter(returned)
    with pytest.raises(SystemExit, match=r"refused: result \d of both is off by"):
        workers.check({"both": lambda: next(calls)}, {"both": [RIGHT, RIGHT]})


def test_an_engine_that_fails_is_left_out_with_its_reason():
    found, left_out = workers.interleaved({"none": ("sequences", "none", "lstm", "x")}, 1, 0.001, 1)
    assert not found and "KeyError" in left_out["none"]
