"""The LSTM cell in all its variants: one readable step that a CellSpec shapes."""

from minigrad.backend import zeros
from minigrad.errors import OptionError
from minigrad.op import cut, op
from minigrad.ops import broadcast_to, concatenate, sigmoid, stack, unstack, where
from minigrad.recurrent import kernels
from minigrad.recurrent.spec import SQUASHINGS, CellSpec
from minigrad.tensor import Tensor


def split_rows(a: Tensor, spec: CellSpec, hidden: int) -> dict[str, Tensor]:
    """Return the pre-activations (B, rows) of gates and candidate by letter."""
    found, start = {}, 0
    for row in spec.rows:
        size = hidden if row == "z" else hidden // spec.block_size
        found[row] = a[:, start : start + size]
        start += size
    return found


def lstm_step(
    weighed: Tensor, h: Tensor, c: Tensor, gates: Tensor | None, R: Tensor, G: Tensor | None, p: Tensor | None,
    spec: CellSpec,
) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
    """Return h_t, c_t (B, H each) and the gates (B, number of gates), which only a gate recurrence needs again.

    `weighed` (B, rows) is W x_t + b; R (rows, H) weighs h_(t-1), G the gates of the step before, p (3, H) holds the
    peepholes of i, f, o. Rows stand in the order i, f, z, o, each only where the spec has it.
    """
    if spec.truncate:
        h, gates = cut(h), gates if gates is None else cut(gates)
    seen = cut(c) if spec.detach_peephole else c  # what the peepholes see
    a = weighed + h @ R.T
    if spec.gate_recurrence == "all":
        a = a + gates @ G.T
    a = split_rows(a, spec, c.shape[1])
    if spec.gate_recurrence == "gates":
        fed = (gates @ G.T).reshape(len(c), len(spec.gates), -1)
        for k, gate in enumerate(spec.gates):
            a[gate] = a[gate] + fed[:, k]
    act = {}
    for k, gate in enumerate("if"):
        if gate in spec.gates:
            act[gate] = sigmoid(a[gate] + p[k] * seen if spec.peepholes else a[gate])
    wide = lambda gate: repeat(act[gate], spec.block_size) if gate in act else 1.0
    z = SQUASHINGS[spec.input_squashing](a["z"])
    forget = 1 - wide("i") if spec.coupled else wide("f")
    c = forget * c + wide("i") * z
    if spec.output_gate:
        seen = cut(c) if spec.detach_peephole else c
        act["o"] = sigmoid(a["o"] + p[2] * seen if spec.peepholes else a["o"])
    h = wide("o") * SQUASHINGS[spec.output_squashing](c)
    gates = concatenate([act[gate] for gate in spec.gates], axis=1) if spec.gate_recurrence != "none" else None
    return h, c, gates


def repeat(gate: Tensor, cells: int) -> Tensor:
    """Return a gate (B, blocks) as seen by the cells (B, blocks x cells) that share it."""
    if cells == 1:
        return gate
    B, blocks = gate.shape
    return broadcast_to(gate.reshape(B, blocks, 1), shape=(B, blocks, cells)).reshape(B, blocks * cells)


def lstm(
    x: Tensor, h: Tensor, c: Tensor, W: Tensor, R: Tensor, b: Tensor | float, p: Tensor | None, G: Tensor | None,
    spec: CellSpec, mask: object = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Return all outputs (T, B, H), then h and c (B, H) after the last step, for x (T, B, I), from h and c (B, H).

    `mask` (T, B, 1), booleans, is false where a sequence of the batch has ended: there states stay and outputs are 0.
    """
    blocks = len(spec.gates) * (c.shape[1] // spec.block_size)
    gates = Tensor.make(zeros((len(c), blocks), c.data)) if spec.gate_recurrence != "none" else None
    outputs = []
    for t, weighed in enumerate(unstack(x @ W.T + b)):
        h_new, c_new, gates = lstm_step(weighed, h, c, gates, R, G, p, spec)  # gates past an end reach nothing
        h = h_new if mask is None else where(mask[t], h_new, h)
        c = c_new if mask is None else where(mask[t], c_new, c)
        outputs.append(h_new if mask is None else where(mask[t], h_new, 0.0))
    return stack(outputs), h, c


@op(joint=kernels.backward("lstm"), reference=lambda *operands, spec, mask: lstm(*operands, None, spec, mask))
def lstm_sequence(
    x: Tensor, h: Tensor, c: Tensor, W: Tensor, R: Tensor, b: Tensor | float, p: Tensor | float, *,
    spec: CellSpec, mask: object = None,
) -> tuple:  # fmt: skip
    """Return what lstm does, in one operation; a missing bias is 0, and so are missing peepholes.

    For every spec without a gate recurrence.
    """
    if spec.gate_recurrence != "none":
        raise OptionError(f"lstm_sequence: gates that feed gates ({spec.gate_recurrence!r}) are left to lstm")
    return kernels.forward("lstm", (x, h, c, W, R, b, p), spec, mask)
