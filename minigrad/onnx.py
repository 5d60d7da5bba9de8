"""ONNX files of recurrent networks, which onnxruntime and others run without minigrad."""

import os
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType

import numpy as np

from minigrad.errors import DeviceError, OptionError, ShapeError
from minigrad.io import MissingLibraryError, array, write
from minigrad.nn import GRU, LSTM, RNN, Dropout, Embedding, Linear, Module, Sequential
from minigrad.nn.rnn import Recurrent
from minigrad.ops import relu, sigmoid, tanh

OPSET, IR_VERSION = 17, 8  # of 2022, so that older runtimes read the file too
FUNCTIONS = {tanh: "Tanh", sigmoid: "Sigmoid", relu: "Relu"}
SQUASHINGS = {  # ONNX's name, alpha, beta
    "tanh": ("Tanh",),
    "identity": ("Affine", 1.0, 0.0),
    "4s-2": ("ScaledTanh", 2.0, 0.5),  # 4 s(a) - 2 = 2 tanh(a / 2)
    "2s-1": ("ScaledTanh", 1.0, 0.5),
}
OPEN = 100.0  # the bias of a gate that the cell lacks: its sigmoid is 1 in float32


def export_onnx(path: str | os.PathLike, *layers: Callable, lengths: bool = False) -> None:
    """Write layers that run one after the other into an ONNX file: Embedding, RNN, LSTM, GRU, Linear and functions.

    A recurrent layer hands on its output; the functions are tanh, sigmoid and relu; Sequentials are opened, Dropout is
    left out. Inputs and outputs of the model, float32, in the layers' layout, T and B free:

        input     (T, B, input_size), or (T, B) int64 where the first layer is an Embedding
        h_0, c_0  (layers x directions, B or 1, hidden_size), 0 if left out
        lengths   (B) int32, with `lengths=True`, as of nn.RNN
        output    (T, B, width of the last layer)
        h_n, c_n  (layers x directions, B, hidden_size)

    With several recurrent layers the states are numbered, 0.h_0, 1.h_0. (onnxruntime warns on loading that they are no
    constants; they are not meant to be.) Raises OptionError that names what ONNX cannot say, ShapeError for layers that
    do not fit, DeviceError for layers on a GPU, MissingLibraryError without the library onnx. Source: ONNX operators
    RNN-14, LSTM-14, GRU-14.
    """
    layers = [layer for layer in opened(layers) if not isinstance(layer, Dropout)]
    recurrent = check(layers)
    for device in {p.device for layer in layers if isinstance(layer, Module) for p in layer.parameters()} - {"cpu"}:
        raise DeviceError(f"export_onnx: the layers are on {device}; write them from the CPU, after net.to('cpu')")
    axes = ["B", "T"] if recurrent[0].batch_first else ["T", "B"]
    graph, x, number = Graph(), "input", 0
    sized = [widths(layer) for layer in layers if layer not in FUNCTIONS]
    tokens = isinstance(layers[0], Embedding)
    graph.inputs["input"] = (np.int64, axes) if tokens else (np.float32, [*axes, sized[0][0]])
    if lengths:
        graph.inputs["lengths"] = np.int32, ["B"]
    graph.outputs["output"] = np.float32, [*axes, sized[-1][1]]
    for layer in layers:
        if isinstance(layer, Embedding):
            x = graph.add("Gather", layer.weight, x)
        elif isinstance(layer, Linear):
            x = graph.add("MatMul", x, layer.weight.detach().T)
            x = x if layer.bias is None else graph.add("Add", x, layer.bias)
        elif isinstance(layer, Recurrent):
            x = add_recurrent(graph, layer, x, f"{number}." if len(recurrent) > 1 else "", "lengths" if lengths else "")
            number += 1
        else:
            x = graph.add(FUNCTIONS[layer], x)
    graph.add("Identity", x, names=["output"])
    write(path, graph.model().SerializeToString())


def opened(layers: Iterable[Callable]) -> Iterator[Callable]:
    """Yield the layers, those of a Sequential one by one."""
    for layer in layers:
        yield from opened(layer) if type(layer) is Sequential else [layer]


def widths(layer: Module) -> tuple[int, int]:
    """Return the last axis of a layer's input, 0 for an Embedding's, and of its output."""
    if isinstance(layer, Recurrent):
        return layer.input_size, layer.hidden_size * (1 + layer.bidirectional)
    return (0, layer.weight.shape[1]) if isinstance(layer, Embedding) else layer.weight.shape[::-1]


def check(layers: list[Callable]) -> list[Recurrent]:
    """Refuse what the file could not say; return the recurrent layers."""
    width = None
    for k, layer in enumerate(layers):
        if callable(layer) and layer in FUNCTIONS:  # a list would not be hashable
            continue
        name = type(layer).__name__ if isinstance(layer, Module) else getattr(layer, "__name__", repr(layer))
        if type(layer) not in (RNN, LSTM, GRU, Linear, Embedding):
            raise OptionError(
                f"export_onnx: {name} is unknown; give the layers themselves in the order in which they run, "
                "as in export_onnx(path, net.embed, net.rnn, net.out)"
            )
        if isinstance(layer, Embedding) and k:
            raise OptionError("export_onnx: an Embedding takes integers, so that it can only be the first layer")
        if isinstance(layer, LSTM) and layer.spec.gate_recurrence != "none":
            raise OptionError(
                f"export_onnx: an LSTM of ONNX has no gate recurrence ({layer.spec.gate_recurrence!r} here, as in the "
                'cells "1997" and "FGR"); use a CellSpec with gate_recurrence="none"'
            )
        wanted, after = widths(layer)
        if width not in (None, wanted):
            raise ShapeError(f"export_onnx: {name} takes inputs of width {wanted}, the layer before gives {width}")
        width = after
    recurrent = [layer for layer in layers if isinstance(layer, Recurrent)]
    if len({layer.batch_first for layer in recurrent}) != 1:
        raise OptionError("export_onnx: give at least one RNN, LSTM or GRU, and all with the same batch_first")
    return recurrent


# --- one layer -------------------------------------------------------------------------------------------------------


def add_recurrent(graph: "Graph", layer: Recurrent, x: str, prefix: str, lengths: str) -> str:
    """Add the nodes of a recurrent layer, its states as inputs and outputs; return the name of its output."""
    kind, H, ways = type(layer).__name__, layer.hidden_size, 1 + layer.bidirectional
    rows = len(layer.directions())
    if layer.batch_first:
        x = graph.add("Transpose", x, perm=[1, 0, 2])
    B = graph.add("Shape", x, start=1, end=2)
    shape = graph.add("Concat", np.ones(1, np.int64), B, np.ones(1, np.int64), axis=0)
    before, after = [], [[] for _ in layer.states]
    for s in layer.states:
        name = f"{prefix}{s}_0"
        graph.inputs[name] = np.float32, [rows, "B or 1", H]
        graph.weights[name] = np.zeros((rows, 1, H), np.float32)  # what an input has as a weight is its default
        graph.outputs[f"{prefix}{s}_n"] = np.float32, [rows, "B", H]
        names = [f"{name}_l{k}" for k in range(layer.num_layers)]
        graph.add("Split", graph.add("Expand", name, shape), names=names, axis=0)
        before.append(names)
    for k in range(layer.num_layers):
        per_way = [blocks(layer, suffix) for j, suffix in layer.directions() if j == k]
        W, R, B, *P = (np.stack(parts) for parts in zip(*per_way, strict=True))
        names = [f"{prefix}{s}_l{k}" for s in ("output", *layer.states)]
        states = [names[k] for names in before]
        options = {"hidden_size": H, "direction": "bidirectional" if ways == 2 else "forward", **attributes(layer)}
        graph.add(kind, x, W, R, B, lengths, *states, *P, names=names, **options)
        for found, name in zip(after, names[1:], strict=True):
            found.append(name)
        x = graph.add("Transpose", names[0], perm=[0, 2, 1, 3])  # (T, ways, B, H)
        x = graph.add("Reshape", x, np.array([0, 0, ways * H]))
    for s, found in zip(layer.states, after, strict=True):
        graph.add("Concat", *found, names=[f"{prefix}{s}_n"], axis=0)
    return graph.add("Transpose", x, perm=[1, 0, 2]) if layer.batch_first else x


def attributes(layer: Recurrent) -> dict[str, object]:
    """Return the options of ONNX's operator that depend on the kind of cell."""
    ways = 1 + layer.bidirectional
    if isinstance(layer, GRU):
        return {"linear_before_reset": 1}
    if isinstance(layer, RNN):
        return {"activations": [layer.nonlinearity.capitalize()] * ways}
    spec = layer.spec
    acts = [("Sigmoid",), SQUASHINGS[spec.input_squashing], SQUASHINGS[spec.output_squashing]] * ways
    scaled = [act for act in acts if len(act) == 3]  # only these consume numbers, in their order
    numbers = {"activation_alpha": [act[1] for act in scaled], "activation_beta": [act[2] for act in scaled]}
    return {"activations": [act[0] for act in acts], "input_forget": int(spec.coupled)} | (numbers if scaled else {})


def blocks(layer: Recurrent, suffix: str) -> list[np.ndarray]:
    """Return W (n H, I), R (n H, H), B (2 n H), and P (3 H) with peepholes, of one direction, in ONNX's order."""
    H = layer.hidden_size
    W, R = array(layer.of("weight_ih", suffix)), array(layer.of("weight_hh", suffix))
    if isinstance(layer, LSTM):
        order, sizes, b = "iofz", layer.sizes(), layer.bias_of_rows(suffix)
    else:
        order, ours = ("zrn", "rzn") if isinstance(layer, GRU) else ("h", "h")
        sizes, b = dict.fromkeys(ours, H), layer.of("bias", suffix)

    def sort(a: np.ndarray, lacking: float = 0.0) -> np.ndarray:
        parts = dict(zip(sizes, np.split(a, np.cumsum([*sizes.values()])[:-1]), strict=True))
        lacking = np.full((H, *a.shape[1:]), lacking)
        # cells in a block share the rows of a gate
        return np.concatenate([np.repeat(p, H // len(p), axis=0) for p in (parts.get(r, lacking) for r in order)])

    b = sort(np.broadcast_to(array(b), len(W)), OPEN)
    b_hh = np.zeros_like(b)
    if isinstance(layer, GRU):
        b_hh[2 * H :] = array(layer.of("bias_hn", suffix))
    found = [sort(W), sort(R), np.concatenate([b, b_hh])]
    if isinstance(layer, LSTM) and layer.spec.peepholes:
        i, f, o = (p * (gate in sizes) for gate, p in zip("ifo", array(layer.of("peephole", suffix)), strict=True))
        found.append(np.concatenate([i, o, f]))
    return found


# --- the file --------------------------------------------------------------------------------------------------------


def library() -> ModuleType:
    try:
        import onnx
    except ImportError as error:
        raise MissingLibraryError("export_onnx needs the library onnx: pip install onnx") from error
    return onnx


class Graph:
    """A graph that grows node by node: inputs and outputs are {name: (dtype, shape)}, weights {name: array}."""

    def __init__(self):
        self.nodes, self.weights, self.inputs, self.outputs = [], {}, {}, {}

    def add(self, op: str, *inputs: object, names: Iterable[str] | None = None, **attributes: object) -> str:
        """Add a node whose inputs are names, or arrays; return the name of its first output."""
        node, taken = f"{op}_{len(self.nodes)}", []
        for k, x in enumerate(inputs):
            if not isinstance(x, str):
                x, name = array(x), f"{node}_{k}"
                self.weights[name] = x.astype(np.float32) if x.dtype.kind == "f" else x
                x = name
            taken.append(x)
        names = list(names or [f"{node}_out"])
        self.nodes.append(library().helper.make_node(op, taken, names, node, **attributes))
        return names[0]

    def model(self) -> object:
        """Return the model, as the library holds it."""
        onnx = library()
        described = [
            [
                onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
                for name, (dtype, shape) in values.items()
            ]
            for values in (self.inputs, self.outputs)
        ]
        weights = [onnx.numpy_helper.from_array(x, name) for name, x in self.weights.items()]
        graph = onnx.helper.make_graph(self.nodes, "minigrad", *described, weights)
        opsets = [onnx.helper.make_opsetid("", OPSET)]
        return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="minigrad")
