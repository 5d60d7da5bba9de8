"""Forward passes beside onnxruntime, whose RNN, LSTM (with peepholes) and GRU no one here wrote."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from minigrad import Tensor, nn, no_grad
from minigrad.nn import GRU, LSTM, RNN

T, B, I, H = 6, 3, 3, 4  # noqa: E741  (the sizes of the equations)
LENGTHS = [4, 6, 1]


def rows(a, order):
    """Reorder blocks of H rows: `order` names where each of ONNX's blocks stands with us."""
    return np.concatenate([a[H * k : H * (k + 1)] for k in order])


# ONNX's LSTM has i, o, f, c (ours i, f, g, o), its peepholes i, o, f (ours i, f, o), its GRU z, r, h (ours r, z, n).
ORDER = {"RNN": [0], "LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2]}


def weights(layer, suffix):
    """Return ONNX's W, R, B and P for one direction."""
    kind = type(layer).__name__
    W, R, b, b_hn, p = (
        getattr(getattr(layer, name + suffix, None), "data", None)
        for name in ("weight_ih", "weight_hh", "bias", "bias_hn", "peephole")
    )
    order = ORDER[kind]
    recurrent = np.zeros_like(b)  # ONNX has two biases, as PyTorch does
    if kind == "GRU":
        recurrent[2 * H :] = b_hn
    found = {"W": rows(W, order), "R": rows(R, order), "B": np.concatenate([rows(b, order), rows(recurrent, order)])}
    if p is not None:
        found["P"] = p[[0, 2, 1]].ravel()
    return found


def onnx(layer, x, states, lengths):
    """Return Y, Y_h (and Y_c) from a model of one node."""
    kind, ways = type(layer).__name__, 1 + layer.bidirectional
    per_way = [weights(layer, suffix) for _, suffix in layer.directions()]
    feed = {"X": x} | {name: np.stack([way[name] for way in per_way]) for name in per_way[0]}
    feed |= dict(zip(("initial_h", "initial_c"), states, strict=False))
    if lengths is not None:
        feed["sequence_lens"] = np.array(lengths, np.int32)
    names = ["X", "W", "R", "B", "sequence_lens", "initial_h", *(["initial_c", "P"] if kind == "LSTM" else [])]
    outputs = ["Y", "Y_h", *(["Y_c"] if kind == "LSTM" else [])]
    options = {"hidden_size": H, "direction": "bidirectional" if ways == 2 else "forward"}
    if kind == "GRU":
        options["linear_before_reset"] = 1
    if kind == "RNN":
        options["activations"] = [layer.nonlinearity.capitalize()] * ways
    node = helper.make_node(kind, [name if name in feed else "" for name in names], outputs, **options)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for k, a in feed.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    Y, *last = session.run(None, feed)
    return [Y.transpose(0, 2, 1, 3).reshape(len(x), x.shape[1], -1), *last]  # ours: both directions side by side


LAYERS = {
    "RNN tanh": lambda **options: RNN(I, H, **options),
    "RNN relu": lambda **options: RNN(I, H, nonlinearity="relu", **options),
    "RNN sigmoid": lambda **options: RNN(I, H, nonlinearity="sigmoid", **options),
    "LSTM": lambda **options: LSTM(I, H, **options),
    "LSTM with peepholes": lambda **options: LSTM(I, H, peephole=True, **options),
    "GRU": lambda **options: GRU(I, H, **options),
}


@pytest.mark.parametrize("given", [False, True], ids=["zero state", "given state"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("kind", LAYERS)
def test_outputs_and_last_states_are_onnxruntimes(kind, bidirectional, lengths, given):
    rng = np.random.default_rng(3)
    layer = LAYERS[kind](bidirectional=bidirectional, rng=1)
    for p in layer.parameters():  # far from small, so that squashings and peepholes show
        p.data = (2 * p.data).astype(np.float32)
    count = 2 if kind.startswith("LSTM") else 1
    x = rng.standard_normal((T, B, I)).astype(np.float32)
    states = [rng.standard_normal((1 + bidirectional, B, H)).astype(np.float32) for _ in range(count)] * given
    before = None if not given else tuple(Tensor(s) for s in states) if count == 2 else Tensor(states[0])
    with no_grad():
        output, last = layer(x, before, lengths=lengths)
    ours = [output, *(last if count == 2 else [last])]
    for mine, theirs in zip(ours, onnx(layer, x, states, lengths), strict=True):
        assert mine.dtype == theirs.dtype == np.float32
        np.testing.assert_allclose(mine.data, theirs, rtol=1e-5, atol=1e-5)


def test_peepholes_and_order_matter():
    """What the parity above would not see if weights were lost on the way: each part changes onnxruntime's result."""
    layer = nn.LSTM(I, H, peephole=True, rng=1)
    x = np.random.default_rng(0).standard_normal((T, B, I)).astype(np.float32)
    before = onnx(layer, x, [], None)[0]
    for p in layer.parameters():
        kept, p.data = p.data, p.data + np.float32(0.5)
        assert np.abs(onnx(layer, x, [], None)[0] - before).max() > 1e-3
        p.data = kept
