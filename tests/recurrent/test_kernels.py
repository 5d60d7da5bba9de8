"""Whole-sequence operations: fused = composed = central differences = the truncated rules worked out forwards."""

import numpy as np
import pytest
from cases import COVERING, SPECS, UNCUT, Case

from minigrad import Tensor, grad, gradcheck, nn, no_grad
from minigrad.errors import GraphError, OptionError
from minigrad.nn import rnn as layers
from minigrad.recurrent.elman import elman_sequence
from minigrad.recurrent.gru import gru_sequence
from minigrad.recurrent.lstm import lstm_sequence
from minigrad.recurrent.spec import CELLS, CellSpec

pytestmark = pytest.mark.usefixtures("kernels")  # each test once for NumPy's kernels and once for the compiled ones


@pytest.mark.parametrize("row", COVERING, ids=lambda row: "-".join(map(str, row)))
def test_fused_is_composed(row):
    case = Case(*row)
    tolerance = {"rtol": 1e-9, "atol": 1e-11} if row[-1] == "float64" else {"rtol": 2e-3, "atol": 2e-4}
    for mine, right in zip(case.gradients(case.fused), case.gradients(case.composed), strict=True):
        for a, b in zip(mine, right, strict=True):
            assert a.dtype == b.dtype == row[-1] and a.shape == b.shape
            np.testing.assert_allclose(a, b, **tolerance)


@pytest.mark.parametrize("row", UNCUT, ids=lambda row: "-".join(map(str, row)))
def test_gradients_equal_central_differences(row):
    case = Case(*row[:-1])
    gradcheck(lambda *leaves: case.run(case.fused, *leaves), case.leaves.values(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", ["outputs", "both"])
@pytest.mark.parametrize("cell", ["tanh", "GRU", "vanilla", "CIFG", "blocks", "1997 gates"])
def test_second_derivatives_with_an_initial_state_made_of_the_weights(cell, loss):
    lengths = "lengths" if loss == "both" else "whole"
    case = Case(cell, "bias", lengths, 2, 2, 1, 1, "weights", loss, "plain")
    leaves = [Tensor(x, requires_grad=True) for x in case.leaves.values()]
    total = sum((y * y).sum() for y in case.run(case.fused, *leaves))
    again = grad(total, leaves, create_graph=True)  # through the reference: the state's share must not count twice
    for g, right in zip(again, grad(total, leaves), strict=True):
        np.testing.assert_allclose(g.data, right.data, rtol=1e-9, atol=1e-12)
    gradcheck(lambda *leaves: case.run(case.fused, *leaves), case.leaves.values(), order=2, rtol=1e-4, atol=1e-6)


# --- cut gradients ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("states", ["zeros", "given"])
@pytest.mark.parametrize("cell", ["2000", "peephole", "cut blocks", "cut coupled"])
def test_a_cut_gradient_is_not_differentiated_again(cell, states):
    case = Case(cell, "bias", "whole", 3, 2, 1, 1, states, "both", "plain")
    for function in (case.fused, case.composed):
        leaves = [Tensor(x, requires_grad=True) for x in case.leaves.values()]
        with pytest.raises(GraphError, match="truncated"):
            grad(case.run(function, *leaves)[0].sum(), leaves, create_graph=True)


def truncated(spec, x, h, c, W, R, b, p, e, e_c):
    """The rule of Gers, Schmidhuber & Cummins 2000, worked out forwards: S holds the partials dc_t/dw of each cell.

    A row of weights sees v = [x_t, h_(t-1), 1] and, through its peephole, one entry more; h_(t-1) and what the
    peepholes see count as constants. e (T, B, H) weighs the outputs, e_c (B, H) the last cell state.
    """
    s = lambda a: 1 / (1 + np.exp(-a))
    ds = lambda a: s(a) * (1 - s(a))
    g, dg, out, dout = {
        "2000": (lambda a: 4 * s(a) - 2, lambda a: 4 * ds(a), lambda a: 2 * s(a) - 1, lambda a: 2 * ds(a)),
        "peephole": (lambda a: a, np.ones_like, lambda a: a, np.ones_like),
    }[spec]
    H, S, total = len(c[0]), {row: 0.0 for row in "ifz"}, {row: 0.0 for row in "ifzo"}
    weights = dict(zip("ifzo", np.split(np.concatenate([W, R, b[:, None]], axis=1), 4), strict=True))
    sees = lambda v, c: np.concatenate([np.repeat(v[:, None], H, axis=1), c[..., None]], axis=2)  # (B, H, K + 1)
    for x_t, e_t in zip(x, e, strict=True):
        v = np.concatenate([x_t, h, np.ones((len(x_t), 1))], axis=1)
        a = {row: v @ w.T for row, w in weights.items()}
        a["i"], a["f"] = a["i"] + p[0] * c, a["f"] + p[1] * c
        V, i, f = sees(v, c), s(a["i"]), s(a["f"])
        local = {"i": ds(a["i"]) * g(a["z"]), "f": ds(a["f"]) * c, "z": i * dg(a["z"])}
        S = {row: f[..., None] * S[row] + local[row][..., None] * V for row in S}
        c = f * c + i * g(a["z"])
        a["o"] = a["o"] + p[2] * c
        h = s(a["o"]) * out(c)
        for row in S:
            total[row] = total[row] + ((e_t * s(a["o"]) * dout(c))[..., None] * S[row]).sum(axis=0)
        total["o"] = total["o"] + ((e_t * ds(a["o"]) * out(c))[..., None] * sees(v, c)).sum(axis=0)
    for row in S:
        total[row] = total[row] + (e_c[..., None] * S[row]).sum(axis=0)
    stacked = np.concatenate([total[row] for row in "ifzo"])
    I = W.shape[1]  # noqa: E741
    dp = np.stack([total[row][:, -1] for row in "ifo"])
    return stacked[:, :I], stacked[:, I : I + H], stacked[:, -2], dp


@pytest.mark.parametrize("spec", ["2000", "peephole"])
def test_the_truncated_rules(spec):
    case = Case("peephole", "bias", "whole", 4, 2, 3, 2, "given", "both", "plain")  # the operands of both
    x, h, c, W, R, b, p = (Tensor(a, requires_grad=True) for a in case.leaves.values())
    rng = np.random.default_rng(6)
    e, e_c = rng.standard_normal((4, 2, 2)), rng.standard_normal((2, 2))
    p = p if spec == "peephole" else Tensor(np.zeros((3, 2)))
    output, _, c_n = lstm_sequence(x, h, c, W, R, b, p, spec=CELLS[spec])
    leaves = [W, R, b, p] if spec == "peephole" else [W, R, b]
    found = grad((output * e).sum() + (c_n * e_c).sum(), leaves)
    right = truncated(spec, *(a.data for a in (x, h, c, W, R, b, p)), e, e_c)
    for g, wanted in zip(found, right, strict=False):
        np.testing.assert_allclose(g.data, wanted, rtol=1e-9, atol=1e-12)


# --- memory ----------------------------------------------------------------------------------------------------------

THREE = pytest.mark.parametrize("cell", ["tanh", "GRU", "vanilla"])


def leaves_of(cell, lengths="whole"):
    case = Case(cell, "bias", lengths, 4, 2, 3, 3, "given", "both", "plain")
    return case, [Tensor(x, requires_grad=True) for x in case.leaves.values()]


def loss(outputs):
    return sum((y * y).sum() for y in outputs)


@THREE
def test_two_forwards_before_one_backward(cell):
    case, leaves = leaves_of(cell)
    alone = [g.data for x in (1.0, 0.5) for g in grad(loss(case.run(case.fused, leaves[0] * x, *leaves[1:])), leaves)]
    both = loss(case.run(case.fused, leaves[0] * 1.0, *leaves[1:])) + loss(
        case.run(case.fused, leaves[0] * 0.5, *leaves[1:])
    )
    for k, g in enumerate(grad(both, leaves)):
        np.testing.assert_allclose(g.data, alone[k] + alone[len(leaves) + k], rtol=1e-12)


def arrays_in(saved):
    """All arrays that a forward pass kept, however deep."""
    if isinstance(saved, tuple | list):
        return [a for part in saved for a in arrays_in(part)]
    return [saved] if isinstance(saved, np.ndarray) else []


@THREE
@pytest.mark.parametrize("lengths", ["whole", "lengths"])
def test_backward_twice_and_nothing_shared_with_the_outputs(cell, lengths):
    case, leaves = leaves_of(cell, lengths)
    outputs = case.run(case.fused, *leaves)
    y = loss(outputs)
    first = [g.data.copy() for g in grad(y, leaves, retain_graph=True)]
    for g, right in zip(grad(y, leaves, retain_graph=True), first, strict=True):
        np.testing.assert_array_equal(g.data, right)
    seeds = [2 * out.data for out in outputs]
    record = outputs[0].record[1][0].record
    saved = arrays_in(record[4])
    assert len(saved) >= 1 + (cell != "tanh")
    for out in outputs:
        assert not any(np.shares_memory(out.data, other.data) for other in outputs if other is not out)
        assert not any(np.shares_memory(out.data, work) for work in (*saved, *(x.data for x in leaves)))
        out.data[...] = np.nan  # what a caller does to its own copy is not the business of the backward pass
    for g, right in zip(
        grad(sum((o * s).sum() for o, s in zip(outputs, seeds, strict=True)), leaves), first, strict=True
    ):
        np.testing.assert_array_equal(g.data, right)


@THREE
def test_neither_operands_nor_cotangents_are_written_into(cell):
    case, leaves = leaves_of(cell)
    before = [x.data.copy() for x in leaves]
    outputs = case.run(case.fused, *leaves)
    seeds = [np.ones(out.shape) for out in outputs]
    for x in [*leaves, *outputs]:
        x.data.flags.writeable = False
    for seed in seeds:
        seed.flags.writeable = False
    for out, seed in zip(outputs, seeds, strict=True):
        out.backward(seed, retain_graph=True)
    for x, right in zip(leaves, before, strict=True):
        np.testing.assert_array_equal(x.data, right)


@THREE
def test_arrays_in_arrays_out_and_no_graph_under_no_grad(cell):
    case, leaves = leaves_of(cell)
    raw = case.run(case.fused, *case.leaves.values())
    with no_grad():
        plain = case.run(case.fused, *leaves)
    for a, y, right in zip(raw, plain, case.run(case.composed, *leaves), strict=True):
        assert type(a) is np.ndarray and y.record is None and not y.requires_grad
        np.testing.assert_allclose(a, right.data, rtol=1e-12)
        np.testing.assert_array_equal(a, y.data)


@THREE
def test_one_operand_alone(cell):
    case, leaves = leaves_of(cell, "lengths")
    every = [g.data for g in grad(loss(case.run(case.fused, *leaves)), leaves)]
    for k, right in enumerate(every):
        given = [x if j == k else x.data for j, x in enumerate(leaves)]
        np.testing.assert_allclose(grad(loss(case.run(case.fused, *given)), leaves[k]).data, right, rtol=1e-12)


def test_an_infinite_cotangent_passes_where_relu_does_and_nowhere_else():
    h = Tensor([[1.0, -1.0]], requires_grad=True)
    output, _ = elman_sequence(np.zeros((1, 1, 1)), h, np.ones((2, 1)), np.eye(2), 0.0, nonlinearity="relu")
    with np.errstate(invalid="ignore"):
        output.backward(np.array([[[1.0, np.inf]]]))
    assert output.data.tolist() == [[[1, 0]]] and h.grad.tolist() == [[1, 0]]


# --- through the layers ----------------------------------------------------------------------------------------------


def both_ways(monkeypatch, make, x, **call):
    """Return outputs and gradients of a layer with the fused operations, then with the composed ones."""
    found = []
    for fused in (True, False):
        if not fused:
            for f in (elman_sequence, gru_sequence, lstm_sequence):
                monkeypatch.setattr(layers, f.__name__, f.op.reference)
        net, x.grad = make(), None
        output, state = net(x, **call)
        ys = [output, *(state if isinstance(state, tuple) else [state])]
        loss(ys).backward()
        found.append([*(y.data for y in ys), x.grad, *(p.grad for p in net.parameters())])
    return found


@pytest.mark.parametrize("lengths", [None, [5, 1, 3]])
@pytest.mark.parametrize("cell", ["tanh", "sigmoid", "relu", "GRU", *SPECS])
def test_stacked_layers_in_both_directions(monkeypatch, cell, lengths):
    spec = SPECS.get(cell)
    options = {"num_layers": 2, "bidirectional": True, "rng": 5, "dtype": "float64"}
    kind, special = (
        (nn.LSTM, {"spec": spec}) if spec else (nn.GRU, {}) if cell == "GRU" else (nn.RNN, {"nonlinearity": cell})
    )
    H = 2 * spec.block_size if spec else 3
    x = Tensor(np.random.default_rng(8).standard_normal((5, 3, 2)), requires_grad=True)
    for a, b in zip(*both_ways(monkeypatch, lambda: kind(2, H, **options, **special), x, lengths=lengths), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_the_layers_run_in_one_operation_where_the_spec_allows(monkeypatch):
    x = Tensor(np.ones((3, 1, 2), "float32"))
    for net in (nn.RNN(2, 4), nn.GRU(2, 4), *(nn.LSTM(2, 4, spec=spec) for spec in CELLS)):
        whole = getattr(net, "spec", CellSpec()).gate_recurrence == "none"
        output = net(x)[0]
        assert (output.record[0].name == "pick") == whole
    with pytest.raises(OptionError, match="'gates'"):
        lstm_sequence(*(np.ones((1, 1, 1)),) * 7, spec=CELLS["FGR"])
