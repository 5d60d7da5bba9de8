"""The stand-in for CuPy promises nothing that CuPy does not have: names and parameters, held to those of CuPy 14.

cupy_14.json has them; where CuPy is installed, with or without a GPU, `pytest -m gpu` holds that file to the package,
and `python tests/test_standin.py` writes it anew.
"""

import inspect
import json
import operator
from pathlib import Path

import pytest

from minigrad import Tensor
from unrolled.standin import cupy as standin

STORED = Path(__file__).parent / "cupy_14.json"
OURS = {"DEVICES", "FLAGS", "Device", "Event", "counts", "cuda", "host", "installed", "order", "runtime"}  # not CuPy's


@pytest.fixture(scope="module")
def cupy():
    """The real package; importing it needs no driver."""
    return pytest.importorskip("cupy", exc_type=ImportError)


def offered():
    """Yield (dotted name, what the stand-in has there) for all that it offers."""
    places = {
        "": {name: x for name, x in vars(standin).items() if name not in OURS and not inspect.ismodule(x)},
        "cuda.": vars(standin.cuda),
        "cuda.runtime.": vars(standin.runtime),
    }
    places["cuda.runtime."] |= {"CUDARuntimeError": places[""].pop("CUDARuntimeError")}
    classes = {"ndarray.": standin.ndarray, "RawModule.": standin.RawModule, "RawKernel.": standin.RawKernel}
    classes |= {"cuda.Device.": standin.Device, "cuda.Event.": standin.Event}
    places |= {place: vars(kind) for place, kind in classes.items()} | {"add.": {"at": standin.add.at}}
    for place, names in places.items():
        for name, x in names.items():
            if not name.startswith("_") or (callable(x) and name.startswith("__") and name != "__init__"):
                yield place + name, x


def parameters(function):
    """Return the names of a function's parameters; CuPy's compiled ones have them in the docstring's first line."""
    try:
        found = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        line = function.__doc__.strip().splitlines()[0].replace("()", "").replace("\\", "")
        inside = line.partition("(")[2].rpartition(")")[0]
        found = [part.split("=")[0].split()[-1].lstrip("*") for part in inside.split(",") if part]
    return [name for name in found if name not in ("self", "/", "")]


def theirs(cupy):
    """Return, for every name that the stand-in offers, what CuPy's own takes: parameters, "ufunc", or None."""
    found = {}
    for name, mine in offered():
        x = cupy
        for part in name.split("."):
            x = getattr(x, part)
        plain = name in ("ndarray", "cuda.runtime.CUDARuntimeError") or "__" in name or not callable(mine)
        found[name] = None if plain else "ufunc" if isinstance(x, cupy.ufunc) else parameters(x)
    return found


@pytest.mark.parametrize(("name", "mine"), [pytest.param(*entry, id=entry[0]) for entry in offered()])
def test_it_is_there_and_takes_the_same(name, mine):
    taken = json.loads(STORED.read_text("utf8"))["takes"][name]
    if taken is None:
        return
    if taken == "ufunc":
        assert set(getattr(mine, "keywords", ())) <= {"out", "dtype"}
    elif not hasattr(mine, "keywords"):
        names = parameters(mine)
        assert names == [p for p in taken if p in names], taken
    else:
        assert set(mine.keywords) <= {*taken, *(["constant_values"] if name == "pad" else [])}
        if "." not in name and name != "matmul":  # by position, all but the array itself, as far as minigrad goes
            try:
                of_numpy = parameters(mine.numpy)
            except AttributeError:  # NumPy's own compiled ones have no such line
                return
            assert all(a == b for a, b in zip(taken[1:3], of_numpy[1:3], strict=False))


@pytest.mark.gpu
def test_the_stored_names_are_those_of_the_installed_package(cupy):
    assert json.loads(STORED.read_text("utf8"))["takes"] == theirs(cupy)


@pytest.mark.gpu
@pytest.mark.parametrize("name", "add sub mul truediv pow matmul eq ne lt le gt ge".split())
def test_cupy_leaves_operations_to_the_tensor(cupy, monkeypatch, name):
    """As the stand-in's operators do; the array need not lie on a GPU for that."""
    monkeypatch.setattr(Tensor, "__array_ufunc__", lambda self, ufunc, method, *inputs: inputs)
    array, tensor = cupy.ndarray(_no_init=True), Tensor([1.0])
    assert getattr(operator, name)(array, tensor) == (array, tensor)


if __name__ == "__main__":
    import cupy

    STORED.write_text(json.dumps({"version": cupy.__version__, "takes": theirs(cupy)}, indent=1) + "\n", "utf8")
