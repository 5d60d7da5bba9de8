"""The operations of whole sequences with operands of every kind, for the tests that compare one way with another."""

from dataclasses import replace

import numpy as np

from minigrad import Tensor, grad
from minigrad.ops import broadcast_to
from minigrad.recurrent.elman import elman_sequence
from minigrad.recurrent.gru import gru_sequence
from minigrad.recurrent.lstm import lstm_sequence
from minigrad.recurrent.spec import CELLS, CellSpec

SPECS = {name: spec for name, spec in CELLS.items() if spec.gate_recurrence == "none"} | {
    "2000 uncut": replace(CELLS["2000"], truncate=False),
    "peephole uncut": replace(CELLS["peephole"], truncate=False, detach_peephole=False),
    "1997 gates": replace(CELLS["1997"], gate_recurrence="none", truncate=False),
    "blocks": CellSpec(block_size=2),
    "coupled blocks": CellSpec(coupled=True, block_size=3),
    "bare": CellSpec(input_gate=False, forget_gate=False, output_gate=False),
    "cut blocks": CellSpec(block_size=2, truncate=True),
    "cut coupled": replace(CELLS["CIFG"], truncate=True, detach_peephole=True),
}

# Every pair of values of any two columns stands in one row at least: a greedy covering list.
COVERING = [
    # cell, bias, lengths, T, B, I, blocks of cells, initial states, loss taken from, pre-activations, width
    ("tanh", "no bias", "whole", 2, 1, 3, 1, "weights", "outputs", "plain", "float32"),
    ("tanh", "bias", "lengths", 1, 2, 1, 3, "given", "last", "saturated", "float64"),
    ("tanh", "no bias", "whole", 5, 3, 2, 3, "zeros", "both", "saturated", "float64"),
    ("sigmoid", "no bias", "whole", 5, 3, 2, 1, "given", "last", "plain", "float32"),
    ("sigmoid", "bias", "lengths", 2, 1, 3, 3, "weights", "both", "saturated", "float64"),
    ("sigmoid", "no bias", "lengths", 1, 2, 1, 3, "zeros", "outputs", "saturated", "float32"),
    ("relu", "no bias", "lengths", 2, 1, 3, 1, "zeros", "last", "plain", "float64"),
    ("relu", "bias", "whole", 1, 2, 1, 3, "weights", "both", "saturated", "float32"),
    ("relu", "bias", "lengths", 5, 3, 2, 1, "given", "outputs", "saturated", "float32"),
    ("GRU", "no bias", "lengths", 5, 3, 2, 3, "zeros", "last", "saturated", "float32"),
    ("GRU", "bias", "whole", 1, 2, 1, 1, "given", "outputs", "plain", "float64"),
    ("GRU", "no bias", "whole", 2, 1, 3, 3, "weights", "both", "saturated", "float32"),
    ("vanilla", "bias", "lengths", 1, 2, 1, 3, "given", "last", "saturated", "float32"),
    ("vanilla", "no bias", "whole", 5, 3, 2, 1, "zeros", "outputs", "plain", "float64"),
    ("vanilla", "bias", "whole", 2, 1, 3, 3, "weights", "both", "plain", "float32"),
    ("NIG", "bias", "whole", 5, 3, 2, 1, "given", "both", "saturated", "float32"),
    ("NIG", "no bias", "lengths", 1, 2, 1, 3, "zeros", "outputs", "plain", "float64"),
    ("NIG", "no bias", "lengths", 2, 1, 3, 1, "weights", "last", "plain", "float32"),
    ("NFG", "bias", "whole", 2, 1, 3, 3, "weights", "outputs", "saturated", "float32"),
    ("NFG", "no bias", "lengths", 5, 3, 2, 1, "given", "both", "plain", "float64"),
    ("NFG", "bias", "lengths", 1, 2, 1, 1, "zeros", "last", "saturated", "float32"),
    ("NOG", "no bias", "whole", 1, 2, 1, 3, "weights", "both", "saturated", "float32"),
    ("NOG", "bias", "lengths", 5, 3, 2, 1, "zeros", "outputs", "plain", "float64"),
    ("NOG", "no bias", "lengths", 2, 1, 3, 1, "given", "last", "plain", "float64"),
    ("NIAF", "no bias", "lengths", 1, 2, 1, 1, "zeros", "last", "plain", "float64"),
    ("NIAF", "bias", "whole", 2, 1, 3, 3, "given", "both", "saturated", "float32"),
    ("NIAF", "bias", "lengths", 5, 3, 2, 1, "weights", "outputs", "saturated", "float32"),
    ("NOAF", "no bias", "whole", 2, 1, 3, 3, "given", "outputs", "saturated", "float32"),
    ("NOAF", "bias", "lengths", 5, 3, 2, 1, "zeros", "both", "plain", "float64"),
    ("NOAF", "bias", "lengths", 1, 2, 1, 3, "weights", "last", "saturated", "float32"),
    ("NP", "no bias", "lengths", 5, 3, 2, 1, "given", "both", "saturated", "float64"),
    ("NP", "bias", "whole", 1, 2, 1, 3, "weights", "last", "plain", "float32"),
    ("NP", "bias", "lengths", 2, 1, 3, 3, "zeros", "outputs", "saturated", "float64"),
    ("CIFG", "no bias", "whole", 2, 1, 3, 3, "weights", "outputs", "plain", "float64"),
    ("CIFG", "bias", "lengths", 1, 2, 1, 1, "zeros", "both", "saturated", "float32"),
    ("CIFG", "no bias", "lengths", 5, 3, 2, 1, "given", "last", "saturated", "float32"),
    ("2000 uncut", "bias", "whole", 5, 3, 2, 3, "given", "outputs", "saturated", "float32"),
    ("2000 uncut", "no bias", "lengths", 2, 1, 3, 1, "zeros", "last", "plain", "float64"),
    ("2000 uncut", "bias", "lengths", 1, 2, 1, 1, "weights", "both", "saturated", "float32"),
    ("peephole uncut", "bias", "whole", 5, 3, 2, 1, "weights", "both", "saturated", "float32"),
    ("peephole uncut", "no bias", "lengths", 1, 2, 1, 3, "given", "outputs", "plain", "float64"),
    ("peephole uncut", "no bias", "whole", 2, 1, 3, 3, "zeros", "last", "saturated", "float64"),
    ("1997 gates", "bias", "whole", 2, 1, 3, 3, "given", "outputs", "saturated", "float64"),
    ("1997 gates", "no bias", "lengths", 5, 3, 2, 1, "zeros", "both", "plain", "float32"),
    ("1997 gates", "no bias", "lengths", 1, 2, 1, 1, "weights", "last", "plain", "float64"),
    ("blocks", "bias", "lengths", 2, 1, 3, 1, "weights", "outputs", "saturated", "float32"),
    ("blocks", "bias", "whole", 5, 3, 2, 3, "given", "both", "plain", "float64"),
    ("blocks", "no bias", "lengths", 1, 2, 1, 1, "zeros", "last", "plain", "float32"),
    ("coupled blocks", "bias", "whole", 2, 1, 3, 1, "zeros", "both", "saturated", "float64"),
    ("coupled blocks", "no bias", "lengths", 5, 3, 2, 3, "given", "outputs", "plain", "float32"),
    ("coupled blocks", "bias", "lengths", 1, 2, 1, 3, "weights", "last", "saturated", "float32"),
    ("bare", "bias", "whole", 2, 1, 3, 3, "given", "both", "plain", "float32"),
    ("bare", "no bias", "lengths", 1, 2, 1, 1, "zeros", "last", "saturated", "float64"),
    ("bare", "no bias", "whole", 5, 3, 2, 3, "weights", "outputs", "saturated", "float32"),
    ("2000", "no bias", "whole", 5, 3, 2, 3, "weights", "last", "saturated", "float32"),
    ("2000", "bias", "lengths", 1, 2, 1, 1, "zeros", "outputs", "plain", "float64"),
    ("2000", "bias", "whole", 2, 1, 3, 3, "given", "both", "plain", "float32"),
    ("peephole", "no bias", "lengths", 1, 2, 1, 3, "given", "both", "saturated", "float64"),
    ("peephole", "bias", "whole", 5, 3, 2, 1, "zeros", "outputs", "plain", "float32"),
    ("peephole", "bias", "lengths", 2, 1, 3, 3, "weights", "last", "saturated", "float64"),
    ("cut blocks", "bias", "whole", 1, 2, 1, 3, "zeros", "outputs", "saturated", "float64"),
    ("cut blocks", "no bias", "lengths", 2, 1, 3, 1, "given", "both", "plain", "float32"),
    ("cut blocks", "no bias", "whole", 5, 3, 2, 3, "weights", "last", "plain", "float32"),
    ("cut coupled", "bias", "whole", 5, 3, 2, 1, "zeros", "both", "plain", "float32"),
    ("cut coupled", "no bias", "lengths", 1, 2, 1, 3, "weights", "outputs", "saturated", "float64"),
    ("cut coupled", "bias", "lengths", 2, 1, 3, 1, "given", "last", "plain", "float32"),
]  # fmt: skip
UNCUT = [row for row in COVERING if row[0] not in SPECS or not SPECS[row[0]].truncate]


class Case:
    """A fused operation with its operands: `leaves` are those to differentiate by, `run` gives what the loss sees."""

    def __init__(self, cell, bias, lengths, T, B, I, blocks, states, loss, scale, dtype="float64"):  # noqa: E741
        rng, spec = np.random.default_rng(3), SPECS.get(cell)
        normal = lambda *shape: rng.standard_normal(shape).astype(dtype)
        ends = {"lengths": 1 + 2 * np.arange(B) % T, "late": T - 2 * np.arange(B) % T}  # those of "late" begin with T
        mask = np.arange(T)[:, None, None] < ends[lengths][:, None] if lengths in ends else None
        self.static, self.loss, self.states = {"mask": mask}, loss, states
        H = blocks * (spec.block_size if spec else 1)
        if spec:
            self.fused, self.names = lstm_sequence, ["x", "h", "c", "W", "R", "b", "p"]
            self.static["spec"], n = spec, len(spec.gates) * blocks + H
        elif cell == "GRU":
            self.fused, self.names, n = gru_sequence, ["x", "h", "W", "R", "b", "b_hn"], 3 * H
        else:
            self.fused, self.names, n = elman_sequence, ["x", "h", "W", "R", "b"], H
            self.static["nonlinearity"] = cell
        self.composed, self.zeros = self.fused.op.reference, np.zeros((B, H), dtype)
        shapes = {
            "x": (T, B, I),
            "h": (B, H),
            "c": (B, H),
            "W": (n, I),
            "R": (n, H),
            "b": (n,),
            "p": (3, H),
            "b_hn": (H,),
        }
        left_out = {"b", "b_hn"} if bias == "no bias" else set()
        left_out |= {"p"} if spec and not spec.peepholes else set()
        left_out |= {"h", "c"} if states != "given" else set()
        self.leaves = {name: normal(*shapes[name]) for name in self.names if name not in left_out}
        if scale == "saturated":
            self.leaves["x"] *= 20
        if scale == "wide":  # many units: weights small enough that errors do not grow from step to step
            for name, size in (("W", I), ("R", 4 * H)):
                self.leaves[name] /= np.sqrt(size, dtype=dtype)

    def run(self, function, *leaves):
        given = dict(zip(self.leaves, leaves, strict=True))
        if self.states == "zeros":
            given |= {"h": self.zeros, "c": self.zeros}
        if self.states == "weights":  # what the layer's parameters also decide
            given["h"] = broadcast_to(given["R"][-1] * 0.5, shape=self.zeros.shape)
            given["c"] = given["h"] * given["W"].sum()
        found = function(*(given.get(name, 0.0) for name in self.names), **self.static)
        return {"outputs": found[:1], "last": found[1:], "both": found}[self.loss]

    def gradients(self, function):
        leaves = [Tensor(x, requires_grad=True) for x in self.leaves.values()]
        found, rng = self.run(function, *leaves), np.random.default_rng(4)
        total = sum((y * rng.standard_normal(y.shape)).sum() for y in found)
        gradients = grad(total, leaves)
        return [y.data for y in found], [
            0 * x.data if g is None else g.data for x, g in zip(leaves, gradients, strict=True)
        ]
