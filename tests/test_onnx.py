"""export_onnx: onnxruntime computes from the file what minigrad computes, in every variant that ONNX can say."""

import os
import subprocess
import sys
from dataclasses import replace
from itertools import product

import numpy as np
import onnx
import onnxruntime
import pytest

from minigrad import no_grad, ops
from minigrad.errors import OptionError, ShapeError
from minigrad.nn import GRU, LSTM, RNN, Dropout, Embedding, Linear, Module, Sequential
from minigrad.onnx import export_onnx
from minigrad.recurrent.spec import CELLS, CellSpec

T, B, I, H = 6, 3, 3, 4  # noqa: E741  (the sizes of the equations)
LENGTHS = [4, 6, 1]
KINDS = {
    "tanh": lambda *a, **k: RNN(*a, nonlinearity="tanh", **k),
    "relu": lambda *a, **k: RNN(*a, nonlinearity="relu", **k),
    "sigmoid": lambda *a, **k: RNN(*a, nonlinearity="sigmoid", **k),
    "LSTM": LSTM,
    "peepholes": lambda *a, **k: LSTM(*a, peephole=True, **k),
    "GRU": GRU,
}
SAYABLE = {name: spec for name, spec in CELLS.items() if spec.gate_recurrence == "none"} | {
    "1997, gates apart": replace(CELLS["1997"], gate_recurrence="none"),
    "blocks": CellSpec(block_size=2, biases={"cells"}),
    "coupled blocks": CellSpec(block_size=2, coupled=True, output_gate=False),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.onnx"


def session(path):
    """Load a model that the checker accepts, shapes included."""
    onnx.checker.check_model(onnx.load(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options)


def noisy(net, seed=1):
    """Give a net weights, and biases, that none of its parts is lost in."""
    rng = np.random.default_rng(seed)
    for p in net.parameters():
        p.data = rng.normal(0, 0.7, p.shape).astype(p.dtype)
    return net


def states(layer, batch=B, seed=2):
    rng = np.random.default_rng(seed)
    rows = len(layer.directions())
    return {f"{s}_0": rng.standard_normal((rows, batch, layer.hidden_size)).astype("f") for s in layer.states}


def run(layer, x, before=None, lengths=None):
    """Return minigrad's output and last states."""
    before = tuple(before.values()) if before else None
    with no_grad():
        output, last = layer(x, before[0] if before and len(before) == 1 else before, lengths)
    return [y.data for y in (output, *(last if isinstance(last, tuple) else [last]))]


def same(theirs, ours, tolerance=1e-5):
    assert len(theirs) == len(ours)
    for a, b in zip(theirs, ours, strict=True):
        assert a.shape == b.shape and a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def inputs(layer, T=T, B=B, seed=3):
    shape = (B, T, layer.input_size) if layer.batch_first else (T, B, layer.input_size)
    return np.random.default_rng(seed).standard_normal(shape).astype("f")


@pytest.mark.parametrize(("bidirectional", "batch_first"), list(product([False, True], repeat=2)))
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_and_last_states(path, kind, layers, bidirectional, batch_first):
    layer = noisy(KINDS[kind](I, H, layers, bidirectional=bidirectional, batch_first=batch_first))
    export_onnx(path, layer)
    model, x, before = session(path), inputs(layer), states(layer)
    names = [f"{s}_n" for s in layer.states]
    assert [y.name for y in model.get_outputs()] == ["output", *names]
    same(model.run(None, {"input": x}), run(layer, x))
    same(model.run(None, {"input": x} | before), run(layer, x, before))
    one = states(layer, batch=1)  # one state for the whole batch
    same(model.run(None, {"input": x} | one), run(layer, x, one))
    for sizes in ((1, 1), (9, 2)):  # T and B are free
        same(model.run(None, {"input": inputs(layer, *sizes)}), run(layer, inputs(layer, *sizes)))


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_lengths(path, kind, batch_first):
    layer = noisy(KINDS[kind](I, H, 2, bidirectional=True, batch_first=batch_first))
    export_onnx(path, layer, lengths=True)
    x, before = inputs(layer), states(layer)
    theirs = session(path).run(None, {"input": x, "lengths": np.array(LENGTHS, "i4")} | before)
    same(theirs, run(layer, x, before, LENGTHS))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", SAYABLE)
def test_every_cell_without_gate_recurrence(path, name, bidirectional):
    layer = noisy(LSTM(I, H, 2, spec=SAYABLE[name], bidirectional=bidirectional))
    export_onnx(path, layer)
    x, before = inputs(layer), states(layer)
    same(session(path).run(None, {"input": x} | before), run(layer, x, before))


def test_a_gate_that_is_left_out_stays_open_over_a_long_sequence(path):
    layer = LSTM(I, H, spec="NFG", rng=0)
    export_onnx(path, layer)
    x = 0.01 * inputs(layer, T=500)
    same(session(path).run(None, {"input": x}), run(layer, x), 1e-4)  # c sums 500 steps


@pytest.mark.parametrize("name", ["NIG", "NFG", "NOG"])
def test_a_gate_that_is_left_out_stays_open_however_large_the_cell(path, name):
    layer = noisy(LSTM(I, H, spec=name))
    export_onnx(path, layer)
    x, before = inputs(layer), states(layer)
    before["c_0"] *= 500  # what the peephole of such a gate would see
    same(session(path).run(None, {"input": x} | before), run(layer, x, before))


@pytest.mark.parametrize("kind", KINDS)
def test_layers_without_bias(path, kind):
    layer = noisy(KINDS[kind](I, H, bias=False))
    export_onnx(path, layer)
    same(session(path).run(None, {"input": inputs(layer)}), run(layer, inputs(layer)))


@pytest.mark.parametrize("batch_first", [False, True])
def test_embedding_recurrent_layer_and_linear(path, batch_first):
    embed, out = Embedding(7, I, rng=0), Linear(2 * H, 5, rng=0)
    rnn = noisy(LSTM(I, H, 2, bidirectional=True, dropout=0.5, batch_first=batch_first))
    export_onnx(path, Sequential(embed, Dropout(0.5)), rnn, ops.tanh, Dropout(0.5), out)
    ids = np.random.default_rng(0).integers(0, 7, (B, T) if batch_first else (T, B))
    output, *last = run(rnn.eval(), embed(ids).data)
    with no_grad():
        output = out(ops.tanh(output)).data
    same(session(path).run(None, {"input": ids}), [output, *last])


def test_several_recurrent_layers_number_their_states(path):
    one, between, two = noisy(GRU(I, H)), noisy(Linear(H, 2, bias=False)), noisy(RNN(2, 5, 2))
    export_onnx(path, ops.relu, one, between, ops.sigmoid, two)
    model, x = session(path), inputs(one)
    assert [y.name for y in model.get_inputs()] == ["input"]
    assert [y.name for y in model.get_overridable_initializers()] == ["0.h_0", "1.h_0"]
    assert [y.name for y in model.get_outputs()] == ["output", "0.h_n", "1.h_n"]
    with no_grad():
        a, h = one(ops.relu(x), states(one)["h_0"])
        b, last = two(ops.sigmoid(between(a)), states(two)["h_0"])
    feed = {"input": x, "0.h_0": states(one)["h_0"], "1.h_0": states(two)["h_0"]}
    same(model.run(None, feed), [b.data, h.data, last.data])


def test_one_layer_in_two_places(path):
    layer = noisy(RNN(H, H))
    export_onnx(path, layer, layer)
    first, h = run(layer, inputs(layer))
    second, last = run(layer, first)
    same(session(path).run(None, {"input": inputs(layer)}), [second, h, last])


def test_wide_weights_are_written_as_float32(path):
    layer = noisy(GRU(I, H, dtype="float64"))
    export_onnx(path, layer)
    x = inputs(layer)
    same(session(path).run(None, {"input": x}), [y.astype("f") for y in run(layer, x.astype("d"))])


def test_the_model_and_its_random_generators_are_left_as_they_are(path):
    layer = LSTM(I, H, 2, dropout=0.5, rng=0)
    before, weights = repr(layer.rng_state()), {name: x.copy() for name, x in layer.state_dict().items()}
    export_onnx(path, layer)
    assert layer.training and repr(layer.rng_state()) == before
    for name, x in layer.state_dict().items():
        np.testing.assert_array_equal(x, weights[name])


class Net(Module):
    pass


class MyRNN(RNN):
    pass


@pytest.mark.parametrize(
    ("layers", "error", "words"),
    [
        ([LSTM(I, H, spec="1997")], OptionError, ["no gate recurrence", "'all'", 'gate_recurrence="none"']),
        ([LSTM(I, H, spec="FGR")], OptionError, ["no gate recurrence", "'gates'", "FGR"]),
        ([Net()], OptionError, ["Net is unknown", "net.embed, net.rnn, net.out"]),
        ([[RNN(I, H)]], OptionError, ["is unknown", "export_onnx(path, net.embed"]),
        ([MyRNN(I, H)], OptionError, ["MyRNN is unknown"]),  # it may compute something else
        ([RNN(I, H), ops.exp], OptionError, ["exp is unknown"]),
        ([RNN(I, H), Embedding(4, 4)], OptionError, ["Embedding", "first layer"]),
        ([Linear(I, H)], OptionError, ["at least one RNN, LSTM or GRU"]),
        ([], OptionError, ["at least one RNN, LSTM or GRU"]),
        ([RNN(I, H), RNN(H, H, batch_first=True)], OptionError, ["same batch_first"]),
        ([RNN(I, H), ops.tanh, Linear(5, 2)], ShapeError, ["Linear takes inputs of width 5", "gives 4"]),
        ([Embedding(9, 2), GRU(I, H)], ShapeError, ["GRU takes inputs of width 3", "gives 2"]),
    ],
)
def test_what_onnx_cannot_say_is_refused_by_name(path, layers, error, words):
    with pytest.raises(error, match="export_onnx") as caught:
        export_onnx(path, *layers)
    for word in words:
        assert word in str(caught.value)
    assert not path.exists()


def test_a_write_that_fails_leaves_the_old_file(path, monkeypatch):
    export_onnx(path, RNN(I, H))
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        export_onnx(path, GRU(I, H))
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


def test_the_library_is_imported_when_it_is_needed():
    script = """
import sys
sys.modules["onnx"] = None  # as if not installed
import minigrad.onnx
from minigrad import io, nn
try:
    minigrad.onnx.export_onnx("nowhere", nn.RNN(2, 2))
except io.MissingLibraryError as error:
    assert "pip install onnx" in str(error), error
else:
    raise AssertionError
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
