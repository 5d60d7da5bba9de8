"""Which kernels compute: Numba's where it is, NumPy's everywhere; and that they accept, refuse and yield the same."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import SPECS, Case

import minigrad
from minigrad import Tensor, grad, nn, no_grad, set_kernels
from minigrad.errors import MinigradError, OptionError
from minigrad.recurrent.elman import elman_sequence
from minigrad.recurrent.gru import gru_sequence
from minigrad.recurrent.lstm import lstm_sequence

# --- with and without Numba ------------------------------------------------------------------------------------------


def run(code, *paths, cache=None, **variables):
    """Run a program in a process of its own, which finds modules in `paths` first; returns (stdout, stderr)."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*paths, Path(minigrad.__file__).parents[1]]))}
    env |= ({"XDG_CACHE_HOME": str(cache)} if cache else {}) | variables
    command, here = [sys.executable, "-c", code], Path(__file__).parent
    ran = subprocess.run(command, capture_output=True, text=True, env=env, cwd=here, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout, ran.stderr


TRAINING = """
import sys
import numpy as np
import minigrad
from minigrad import errors, nn
assert not {"numba", "llvmlite"} & set(sys.modules), "import minigrad imports Numba"
for net in (nn.LSTM(3, 5, num_layers=2, bidirectional=True, rng=0), nn.GRU(3, 5, rng=0), nn.RNN(3, 5, rng=0)):
    net(np.ones((4, 2, 3), "float32"), lengths=[4, 2])[0].sum().backward()
    assert all(np.isfinite(p.grad).all() for p in net.parameters())
try:
    minigrad.set_kernels("numba")
except errors.OptionError as error:
    print(error)
minigrad.set_kernels("numpy")
minigrad.set_kernels("auto")
print(minigrad.kernels())
"""


def test_without_numba_everything_works_silently():
    code = "import importlib.util as util\nreal = util.find_spec\n"
    code += "util.find_spec = lambda name, *rest: None if name == 'numba' else real(name, *rest)\n"
    out, err = run(code + TRAINING)
    refused, why = out.splitlines()
    assert refused.startswith("set_kernels: Numba is not installed; pip install") and err == ""
    assert why.startswith("NumPy: Numba is not installed")


@pytest.mark.parametrize("error", ["ImportError", "OSError", "AttributeError"])
def test_with_a_numba_that_does_not_load_everything_works_silently(tmp_path, error):
    (tmp_path / "numba").mkdir()
    (tmp_path / "numba/__init__.py").write_text(f"raise {error}('needs NumPy 1')\n")
    out, err = run(TRAINING, tmp_path)
    assert out == "set_kernels: {0}\nNumPy: {0}\n".format("Numba cannot be imported (needs NumPy 1)") and err == ""


def test_what_kernels_says(on_numba):
    assert minigrad.kernels().startswith("Numba ") and "-bit vectors" in minigrad.kernels()
    set_kernels("numpy")
    assert minigrad.kernels() == "NumPy: set_kernels('numpy') chose so"
    set_kernels("auto")
    assert minigrad.kernels().startswith("Numba ")
    for name in ("Numba", "", None, "cuda"):
        with pytest.raises(OptionError, match="one of auto, numba, numpy"):
            set_kernels(name)
    assert minigrad.kernels().startswith("Numba ")


def test_set_kernels_changes_what_runs_but_not_a_graph_that_exists(on_numba, monkeypatch):
    from minigrad.recurrent.kernels import on_numpy

    ran = []
    for module in (on_numba, on_numpy):
        for way in ("forward", "backward"):
            f, name = getattr(module, f"gru_{way}"), (module.__name__.split("_")[-1], way)
            note = lambda *args, f=f, name=name, **static: ran.append(name) or f(*args, **static)
            monkeypatch.setattr(module, f"gru_{way}", note)
    net, x = nn.GRU(3, 4, rng=0), np.ones((2, 1, 3), "float32")
    y = net(x)[0]
    set_kernels("numpy")
    y.sum().backward()
    net(x)[0].sum().backward()
    assert ran == [("numba", "forward"), ("numba", "backward"), ("numpy", "forward"), ("numpy", "backward")]


COMPILE = """
import sys
from pathlib import Path
import numpy as np
import minigrad
assert "numba" not in sys.modules
from minigrad.recurrent.kernels import on_numba, panels
from minigrad.compiled import compiling
print(Path(minigrad.__file__).parent)
for dtype in ("float32", "float64"):
    panels.sums(np.ones(4 * on_numba.BYTES, dtype), 1, np.zeros(4 * on_numba.BYTES, dtype), 0, 1)
stats = panels.sums.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
print(sum(len(known.signatures) for known in compiling.kernels))
"""


@pytest.mark.slow
@pytest.mark.parametrize("place", ["beside the sources", "in the user's cache", "where NUMBA_CACHE_DIR says"])
def test_kernels_compile_at_their_first_use_once_with_one_line(on_numba, tmp_path, place):
    package = Path(minigrad.__file__).parent
    shutil.copytree(package, tmp_path / "minigrad", ignore=shutil.ignore_patterns("__pycache__"))
    if place == "in the user's cache":
        (tmp_path / "minigrad/compiled/__pycache__").write_text("a file, not a folder")
    variables = {"NUMBA_CACHE_DIR": str(tmp_path / "numba")} if place.startswith("where") else {}
    where, cache = str(tmp_path / "minigrad"), tmp_path / "cache"
    again = lambda: run(COMPILE, tmp_path, cache=cache, **variables)
    out, err = again()
    assert out.split() == [where, "0", "2", "2"], "something else was compiled"
    assert err.count("\n") == 1 and err.startswith("minigrad: compiling its kernels, once on this machine")
    folders = {
        "beside the sources": tmp_path / "minigrad/compiled/__pycache__",
        "in the user's cache": cache / "minigrad",
        "where NUMBA_CACHE_DIR says": tmp_path / "numba/minigrad",
    }
    assert [name for name, folder in folders.items() if list(folder.rglob("*.nbc"))] == [place]
    out, err = again()
    assert out.split() == [where, "2", "0", "2"] and err == ""
    source = tmp_path / "minigrad/compiled/simd.py"  # machine code of other sources is not taken
    source.write_text(source.read_text().replace('"fadd"', '"fsub"'))
    out, err = again()
    assert out.split() == [where, "0", "2", "2"] and err.count("\n") == 1


@pytest.mark.slow
def test_where_nothing_can_be_kept_kernels_still_compile(on_numba, tmp_path):
    package = Path(minigrad.__file__).parent
    shutil.copytree(package, tmp_path / "minigrad", ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("file", "minigrad/compiled/__pycache__"):
        (tmp_path / file).write_text("")
    (tmp_path / "temporary").mkdir()
    out, err = run(COMPILE, tmp_path, cache=tmp_path / "file", TMPDIR=str(tmp_path / "temporary"))
    assert out.split()[-1] == "2" and err.count("\n") == 1
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("name", ["x", "h", "W", "R", "b", "mask"])
def test_no_layout_or_length_of_operands_makes_numba_compile_again(on_numba, name):
    event = pytest.importorskip("numba.core.event")

    def once(read_only, T=3, B=2, H=5):
        given = [np.ones(s, "float32") for s in ((T, B, 4), (B, H), (H, 4), (H, H), (H,))] + [np.ones((T, B, 1), bool)]
        for key, a in zip(("x", "h", "W", "R", "b", "mask"), given, strict=True):
            a.flags.writeable = key != read_only
        leaves = [Tensor(a, requires_grad=True) for a in given[:-1]]
        for leaf, a in zip(leaves, given, strict=False):
            leaf.data = a
        grad(elman_sequence(*leaves, mask=given[-1])[0].sum(), leaves)

    once(None)
    with event.install_recorder("numba:compile") as recorder:
        once(name)
        once(None, T=1, B=1, H=1)
        once(name, T=1, B=1, H=64)
    assert not recorder.buffer


# --- the same operands accepted, refused and answered alike ----------------------------------------------------------


def both(function, *args, **options):
    """Return the function's results with NumPy's kernels and with compiled ones; a refusal is its error's class."""
    found = []
    for name in ("numpy", "numba"):
        set_kernels(name)
        try:
            found.append(function(*args, **options))
        except MinigradError as error:
            found.append(type(error))
    return found


def operands(cell, H=5):
    rng, n = np.random.default_rng(1), {"tanh": 1, "GRU": 3, "NP": 4, "vanilla": 4}[cell] * H
    shapes = {"x": (3, 2, 4), "h": (2, H)} | ({"c": (2, H)} if cell in SPECS else {})
    shapes |= {"W": (n, 4), "R": (n, H), "b": (n,)}
    shapes |= {"p": (3, H)} if cell == "vanilla" else {"b_hn": (H,)} if cell == "GRU" else {}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def call(cell, given, mask=None):
    """Return outputs, last states and gradients."""
    leaves = [
        Tensor(a, requires_grad=np.asarray(a).dtype.kind == "f", dtype=np.asarray(a).dtype) for a in given.values()
    ]
    if cell in SPECS:
        ys = lstm_sequence(*leaves, *([0.0] if cell == "NP" else []), spec=SPECS[cell], mask=mask)
    else:
        ys = gru_sequence(*leaves, mask=mask) if cell == "GRU" else elman_sequence(*leaves, mask=mask)
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    gradients = grad(sum((y * (k + 1.0)).sum() for k, y in enumerate(ys)), wanted)
    return [y.data for y in ys] + [None if g is None else g.data for g in gradients]


def assert_alike(found, cell=None):
    mine, right = found[1], found[0]
    if isinstance(right, type):
        assert mine is right
        return
    for a, b in zip(mine, right, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


FAMILIES = pytest.mark.parametrize("cell", ["tanh", "GRU", "NP", "vanilla"])
WRONG = {
    "one more column in W": lambda g: g | {"W": np.ones((len(g["W"]), 5))},
    "one fewer column in W": lambda g: g | {"W": g["W"][:, 1:]},
    "one more row in W": lambda g: g | {"W": np.ones((len(g["W"]) + 1, 4))},
    "one more column in R": lambda g: g | {"R": np.ones((len(g["R"]), 6))},
    "one fewer row in R": lambda g: g | {"R": g["R"][1:]},
    "a state for one sequence": lambda g: g | {"h": g["h"][:1]},
    "a state for three": lambda g: g | {"h": np.ones((3, 5))},
    "a state of six units": lambda g: g | {"h": np.ones((2, 6))},
    "a state without a batch": lambda g: g | {"h": g["h"][0]},
    "a longer bias": lambda g: g | {"b": np.ones(len(g["b"]) + 1)},
    "x without a batch": lambda g: g | {"x": g["x"][:, 0]},
}


@FAMILIES
@pytest.mark.parametrize("change", WRONG)
def test_wrong_shapes_are_refused_alike(on_numba, cell, change):
    found = both(call, cell, WRONG[change](operands(cell)))
    assert isinstance(found[0], type) and found[0] is found[1]


OTHER = {
    "no steps": lambda g: g | {"x": g["x"][:0]},
    "no sequences": lambda g: g | {"x": g["x"][:, :0]} | {k: g[k][:0] for k in "hc" if k in g},
    "no inputs": lambda g: g | {"x": g["x"][:, :, :0], "W": g["W"][:, :0]},
    "x of another precision": lambda g: g | {"x": g["x"].astype("float32")},
    "R of another precision": lambda g: g | {"R": g["R"].astype("float32")},
    "integers": lambda g: g | {"x": np.arange(24).reshape(3, 2, 4)},
    "booleans": lambda g: g | {"x": np.ones((3, 2, 4), bool)},
    "half precision": lambda g: {k: (a / 4).astype("float16") for k, a in g.items()},
    "big-endian": lambda g: g | {"x": g["x"].astype(">f8")},
    "one number as bias": lambda g: g | {"b": np.array(0.5)},
    "a bias for each sequence": lambda g: g | {"b": np.outer([1.0, 2.0], g["b"])},
}


@FAMILIES
@pytest.mark.parametrize("change", OTHER)
def test_rare_operands_are_answered_alike(on_numba, cell, change):
    assert_alike(both(call, cell, OTHER[change](operands(cell))))


@FAMILIES
@pytest.mark.parametrize(
    "mask",
    [
        *(np.ones(shape, bool) for shape in ((3, 1, 1), (3, 2), (2, 2, 1))),
        np.ones((3, 2, 1), int),
        np.zeros((3, 2, 1), bool),
        np.arange(30).reshape(3, 2, 5) % 7 > 0,
        np.array([1, 0, 1, 0, 0, 1]).reshape(3, 2, 1) > 0,  # sequences that go on after a gap
    ],
    ids=lambda mask: f"{mask.shape}-{mask.dtype}",
)
def test_masks_of_any_form_are_answered_alike(on_numba, cell, mask):
    assert_alike(both(call, cell, operands(cell), mask))


def test_peepholes_that_a_spec_does_not_have_get_no_gradient(on_numba):
    def run():
        given = operands("NP") | {"p": np.ones((3, 5))}
        leaves = [Tensor(a, requires_grad=True) for a in given.values()]
        return [g.data for g in grad(lstm_sequence(*leaves, spec=SPECS["NP"], mask=None)[0].sum(), leaves)]

    assert_alike(both(run))
    set_kernels("numba")
    assert not run()[-1].any()


# --- numbers that are none, and infinite ones ------------------------------------------------------------------------


@FAMILIES
@pytest.mark.parametrize("name", ["x", "h", "W", "R", "b"])
def test_not_a_number_goes_where_it_goes_with_numpy(on_numba, cell, name):
    given = operands(cell)
    given[name] = given[name].copy()
    given[name][(-1,) * given[name].ndim] = np.nan
    with np.errstate(invalid="ignore"):
        for mine, right in zip(*both(call, cell, given, np.ones((3, 2, 1), bool)), strict=True):
            np.testing.assert_allclose(mine, right, rtol=1e-9, atol=1e-12, equal_nan=True)
    assert np.isnan(mine).any()


@pytest.mark.parametrize("cell", ["tanh", "NP"])
@pytest.mark.parametrize("name", ["x", "h"])
@pytest.mark.parametrize("sign", [1, -1])
def test_an_infinite_operand_saturates_and_is_not_lost_in_the_padding(on_numba, cell, name, sign):
    given = operands(cell)
    given[name][0] = sign * np.inf if name == "h" else 0
    given["x"][0, 0, 0] = sign * np.inf

    def outputs():
        leaves = list(given.values())
        if cell == "NP":
            return lstm_sequence(*leaves, 0.0, spec=SPECS[cell], mask=None)
        return elman_sequence(*leaves)

    given["W"], given["R"] = np.abs(given["W"]), np.abs(given["R"])  # inf - inf would be NaN
    for mine, right in zip(reversed(both(outputs)[1]), reversed(both(outputs)[0]), strict=True):
        assert np.isfinite(right).all()
        np.testing.assert_allclose(mine, right, rtol=1e-9, atol=1e-12)


def test_an_infinite_input_saturates_a_gru(on_numba):
    x = np.ones((3, 2, 4))
    x[0, 0, 0] = np.inf  # its weights are 0 in the packed rows of R_n h + b_hn, where it must leave no trace
    leaves = x, np.zeros((2, 5)), np.ones((15, 4)), np.full((15, 5), 0.1), np.zeros(15), np.full(5, 0.3)
    wanted, found = both(gru_sequence, *leaves)
    for mine, right in zip(found, wanted, strict=True):
        assert np.isfinite(right).all()
        np.testing.assert_allclose(mine, right, rtol=1e-9)


@pytest.mark.parametrize("cell", ["tanh", "sigmoid", "relu", "GRU", "vanilla", "2000", "coupled blocks"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_saturated_units(on_numba, cell, dtype):
    case = Case(cell, "bias", "whole", 3, 2, 3, 3, "given", "both", "plain", dtype)
    case.leaves["b"] = np.where(case.leaves["b"] > 0, 200, -200).astype(dtype)
    with np.errstate(under="ignore"):
        wanted, found = both(case.gradients, case.fused)
    for mine, right in zip(found[0] + found[1], wanted[0] + wanted[1], strict=True):
        np.testing.assert_allclose(mine, right, rtol=1e-5 if dtype == "float32" else 1e-9, atol=1e-36)


def test_an_infinite_cotangent_ends_at_units_that_are_off(on_numba):
    x = Tensor(np.array([[[1.0], [2.0]]]), requires_grad=True)
    h, W, R = np.zeros((2, 3)), np.array([[1.0], [-1.0], [1.0]]), np.zeros((3, 3))
    output, _ = elman_sequence(x, h, W, R, 0.0, nonlinearity="relu")
    output.backward(np.array([[[1.0, np.inf, 1.0], [2.0, -np.inf, 0.0]]]))
    assert x.grad.tolist() == [[[2.0], [2.0]]]


# --- accuracy of the functions of a vector ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def on_vectors():
    """tanh and sigmoid of the compiled kernels, for whole arrays."""
    numba = pytest.importorskip("numba")
    from minigrad.compiled import functions, simd

    def over(f):
        load, store, lanes = simd.load, simd.store, simd.lanes

        @numba.njit
        def run(a, out):
            for k in range(0, len(a), lanes(a)):
                store(out, k, f(load(a, k)))

        def whole(a):
            padded, out = np.zeros(-(-a.size // 64) * 64, a.dtype), np.empty(-(-a.size // 64) * 64, a.dtype)
            padded[: a.size] = a
            run(padded, out)
            return out[: a.size]

        return whole

    return {"tanh": over(functions.tanh), "sigmoid": over(functions.sigmoid)}


def grid(dtype):
    tiny = np.finfo(dtype)
    edges = [0, tiny.smallest_subnormal, tiny.tiny, tiny.eps, 17.3, 18.8, 43.6, 86.9, 87, 87.1, 88.8, 707.9, 709, 746]
    far = np.geomspace(tiny.tiny, 1, 20001)
    half = np.concatenate([np.array([*edges, 1e4, tiny.max, np.inf]), far, np.linspace(0, 110, 40001)]).astype(dtype)
    return np.concatenate([half, -half])


# Measured: tanh 2.1e-7 and 3.9e-16; sigmoid 2.0e-7 and 8.6e-16 from -20 on, below that 3.5e-7 and 3.1e-15 (at -87).
@pytest.mark.parametrize("dtype, near, below", [("float32", 3e-7, 4e-7), ("float64", 1e-15, 3e-14)])
def test_vector_functions_are_precise_everywhere(on_vectors, dtype, near, below):
    a = grid(dtype)
    wide = a.astype(np.longdouble if dtype == "float64" else float)
    with np.errstate(over="ignore", under="ignore"):
        right = {"tanh": np.tanh(wide), "sigmoid": 1 / (1 + np.exp(-wide))}
    for name, f in on_vectors.items():
        y, exact = f(a), right[name]
        kept = np.ones(len(a), bool)
        if name == "sigmoid":  # below the limit e^-a is cut off, so that it stays finite
            kept = a >= (-87 if dtype == "float32" else -708)
            assert (y[~kept] <= np.exp(-87.0 if dtype == "float32" else -708.0) * 1.001).all() and (y >= 0).all()
        error = np.abs(y - exact)[kept] / np.maximum(np.abs(exact[kept]), np.finfo(dtype).tiny)
        assert error[a[kept] > -20].max() < near and error.max() < below
        assert np.abs(y).max() == 1 and y[a == np.inf][0] == 1
        assert np.isnan(f(np.array([np.nan], dtype))).all()
    tanh = on_vectors["tanh"]
    np.testing.assert_allclose(tanh(-a), -tanh(a), rtol=near)
    assert tanh(np.array([-np.inf], dtype))[0] == -1


def test_no_graph_is_recorded_and_nothing_kept_under_no_grad(on_numba):
    from minigrad.compiled import workspace

    workspace.release()
    net, x = nn.LSTM(8, 130, rng=0), np.ones((60, 4, 8), "float32")
    with no_grad():
        for _ in range(3):
            y = net(x)[0]
        lent = sum(a.nbytes for kept in workspace.spare.values() for a in kept)
    assert not y.requires_grad and 0 < lent == workspace.waiting < 4e6
    workspace.release()
