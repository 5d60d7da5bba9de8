"""CellSpec and the cells of the papers, each beside its equations written out again, and the truncated gradients."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from minigrad import Tensor, grad
from minigrad.errors import GraphError, OptionError
from minigrad.nn import LSTM, Linear
from minigrad.recurrent.spec import CELLS, CellSpec, cell_spec

T, B, I, H = 5, 3, 2, 4  # noqa: E741  (the sizes of the equations)
EIGHT = ("NIG", "NFG", "NOG", "NIAF", "NOAF", "NP", "CIFG", "FGR")


def weight_count(*modules):
    return sum(p.size for module in modules for p in module.parameters())


# --- the value -------------------------------------------------------------------------------------------------------


def test_the_presets():
    assert set(CELLS) == {"1997", "2000", "peephole", "vanilla", *EIGHT}
    assert len(set(CELLS.values())) == len(CELLS)  # hashable, and no two alike
    assert CELLS["vanilla"] == CellSpec(peepholes=True) and CELLS["NP"] == CellSpec()
    assert {name: spec.rows for name, spec in CELLS.items()} == {
        "1997": "izo", "2000": "ifzo", "peephole": "ifzo", "vanilla": "ifzo",
        "NIG": "fzo", "NFG": "izo", "NOG": "ifz", "NIAF": "ifzo", "NOAF": "ifzo", "NP": "ifzo", "CIFG": "izo",
        "FGR": "ifzo",
    }  # fmt: skip
    for name in EIGHT:  # each is the vanilla cell but for one thing
        fields = vars(CELLS[name]).items() - vars(CELLS["vanilla"]).items()
        assert len(fields) == 1, name
    assert {name for name, spec in CELLS.items() if spec.truncate} == {"1997", "2000", "peephole"}
    assert {name for name, spec in CELLS.items() if spec.detach_peephole} == {"peephole"}


def test_a_spec_is_found_by_name_and_passes_as_it_is():
    spec = CellSpec(block_size=3)
    assert cell_spec(spec) is spec and cell_spec("2000") is CELLS["2000"]
    with pytest.raises(OptionError, match="there is no cell '1998'; there are: 1997, 2000, peephole"):
        cell_spec("1998")
    with pytest.raises(OptionError, match="no cell 'gru'"):
        LSTM(I, H, spec="gru")


def test_a_spec_is_frozen_hashable_and_replaced():
    spec = CellSpec(biases={"gates"})  # any set will do
    assert spec == CellSpec(biases=frozenset({"gates"})) and {spec: 1}[CellSpec(biases=["gates"])] == 1
    with pytest.raises(FrozenInstanceError):
        spec.coupled = True
    wider = replace(spec, block_size=2)
    assert wider.block_size == 2 and wider.biases == spec.biases and spec.block_size == 1
    with pytest.raises(OptionError, match="block_size"):
        replace(spec, block_size=0)


REFUSED = {
    "input_squashing is one of tanh, identity, 4s-2, 2s-1, not 'relu'": {"input_squashing": "relu"},
    "output_squashing is one of tanh, identity, 4s-2, 2s-1, not None": {"output_squashing": None},
    "gate_recurrence is one of none, gates, all, not 'some'": {"gate_recurrence": "some"},
    r"biases holds 'gates', 'cells' or both, not \('outputs',\)": {"biases": {"outputs"}},
    "coupled gates, f = 1 - i, need an input gate and a forget gate": {"coupled": True, "forget_gate": False},
    "coupled gates.* need an input gate": {"coupled": True, "input_gate": False},
    "block_size is at least 1, not -1": {"block_size": -1},
    "peepholes in blocks .* block_size must be 1": {"peepholes": True, "block_size": 2},
    "detach_peephole .* needs peepholes": {"detach_peephole": True},
}


@pytest.mark.parametrize("text", REFUSED)
def test_refusals(text):
    with pytest.raises(OptionError, match=f"CellSpec: {text}"):
        CellSpec(**REFUSED[text])


# --- the published numbers of weights --------------------------------------------------------------------------------

# Hochreiter & Schmidhuber 1997: units x (inputs + units) + biases + output weights, units = cells + gates. Gates feed
# gates and candidate; the outputs see the cells alone, and have biases in experiments 4 to 6 only.
COUNTS_1997 = {  # blocks, size, inputs, outputs, biases in the cell, biases of the outputs, weights
    "1, four blocks": (4, 1, 7, 7, {"gates"}, False, 264),
    "1, three blocks": (3, 2, 7, 7, {"gates"}, False, 276),
    "3": (3, 1, 1, 1, {"gates", "cells"}, False, 102),
    "4 and 5": (2, 2, 2, 1, {"gates", "cells"}, True, 93),
    "6a": (2, 2, 8, 4, {"gates", "cells"}, True, 156),
    "6b": (3, 2, 8, 8, {"gates", "cells"}, True, 308),
}


@pytest.mark.parametrize("experiment", COUNTS_1997)
def test_the_weights_of_the_experiments_of_1997(experiment):
    blocks, size, inputs, outputs, biases, output_biases, right = COUNTS_1997[experiment]
    spec = replace(CELLS["1997"], block_size=size, biases=biases)
    cell = LSTM(inputs, blocks * size, spec=spec)
    assert weight_count(cell, Linear(blocks * size, outputs, bias=output_biases)) == right
    output, _ = cell(np.ones((2, 1, inputs), "float32"))
    assert output.shape == (2, 1, blocks * size)


def test_the_weights_of_gers_2000():
    # 4 blocks of 2 cells, biases in gates and outputs, none in the cells; the outputs see cells and inputs (shortcut).
    cell = LSTM(7, 8, spec=replace(CELLS["2000"], block_size=2))
    assert weight_count(cell, Linear(8 + 7, 7)) == 424


def test_the_weights_of_gers_2002():
    # 1 input, 1 cell; biases in gates and output, none in the cell; the output sees cell and input (shortcut).
    output = Linear(1 + 1, 1)
    assert weight_count(LSTM(1, 1, spec="peephole"), output) == 17
    without = replace(CELLS["peephole"], peepholes=False, detach_peephole=False)
    assert weight_count(LSTM(1, 1, spec=without), output) == 14


# --- the equations, written out again --------------------------------------------------------------------------------


def s(a):
    return 1 / (1 + np.exp(-a))


def g(a):  # 1997, equation 5
    return 4 * s(a) - 2


def h(a):  # 1997, equation 4
    return 2 * s(a) - 1


class Weights:
    """A layer's weights by gate, as the papers write them: W["i"], R["i"], b["i"], p["i"]; G["i"] weighs the gates."""

    def __init__(self, lstm):
        spec, at, of_b, of_g = lstm.spec, 0, 0, 0
        get = lambda name: getattr(getattr(lstm, name, None), "data", None)
        W, R, b, p, G = (get(f"{n}_l0") for n in ("weight_ih", "weight_hh", "bias", "peephole", "weight_gh"))
        self.W, self.R, self.b, self.p, self.G = {}, {}, {}, {}, {}
        for k in spec.rows:
            n = lstm.hidden_size // (1 if k == "z" else spec.block_size)
            self.W[k], self.R[k], self.b[k] = W[at : at + n], R[at : at + n], np.zeros(n)
            if b is not None and ("cells" if k == "z" else "gates") in spec.biases:
                self.b[k] = b[of_b : of_b + n]
                of_b += n
            if spec.gate_recurrence == "all" or (spec.gate_recurrence == "gates" and k != "z"):
                self.G[k] = G[of_g : of_g + n]
                of_g += n
            at += n
        assert at == len(W) and (b is None or of_b == len(b)) and (G is None or of_g == len(G))
        if p is not None:
            self.p = dict(zip("ifo", p, strict=True))

    def a(self, k, x, y, gates=None):
        fed = self.G[k] @ gates if k in self.G else 0
        return self.W[k] @ x + self.R[k] @ y + self.b[k] + fed


def hochreiter_schmidhuber_1997(w, x, y, c, gates, size):
    i, o = s(w.a("i", x, y, gates)), s(w.a("o", x, y, gates))
    c = c + np.repeat(i, size) * g(w.a("z", x, y, gates))
    return np.repeat(o, size) * h(c), c, np.concatenate([i, o])


def gers_2000(w, x, y, c, gates, size):
    i, f, o = (np.repeat(s(w.a(k, x, y)), size) for k in "ifo")
    c = f * c + i * g(w.a("z", x, y))
    return o * h(c), c, None


def gers_2002(w, x, y, c, gates, size):
    i, f = s(w.a("i", x, y) + w.p["i"] * c), s(w.a("f", x, y) + w.p["f"] * c)
    c = f * c + i * w.a("z", x, y)
    return s(w.a("o", x, y) + w.p["o"] * c) * c, c, None


def graves_2005(w, x, y, c, gates, size):
    i, f = s(w.a("i", x, y) + w.p["i"] * c), s(w.a("f", x, y) + w.p["f"] * c)
    c = f * c + i * np.tanh(w.a("z", x, y))
    return s(w.a("o", x, y) + w.p["o"] * c) * np.tanh(c), c, None


def no_input_gate(w, x, y, c, gates, size):
    c = s(w.a("f", x, y) + w.p["f"] * c) * c + np.tanh(w.a("z", x, y))
    return s(w.a("o", x, y) + w.p["o"] * c) * np.tanh(c), c, None


def no_forget_gate(w, x, y, c, gates, size):
    c = c + s(w.a("i", x, y) + w.p["i"] * c) * np.tanh(w.a("z", x, y))
    return s(w.a("o", x, y) + w.p["o"] * c) * np.tanh(c), c, None


def no_output_gate(w, x, y, c, gates, size):
    i, f = s(w.a("i", x, y) + w.p["i"] * c), s(w.a("f", x, y) + w.p["f"] * c)
    c = f * c + i * np.tanh(w.a("z", x, y))
    return np.tanh(c), c, None


def no_input_activation(w, x, y, c, gates, size):
    i, f = s(w.a("i", x, y) + w.p["i"] * c), s(w.a("f", x, y) + w.p["f"] * c)
    c = f * c + i * w.a("z", x, y)
    return s(w.a("o", x, y) + w.p["o"] * c) * np.tanh(c), c, None


def no_output_activation(w, x, y, c, gates, size):
    i, f = s(w.a("i", x, y) + w.p["i"] * c), s(w.a("f", x, y) + w.p["f"] * c)
    c = f * c + i * np.tanh(w.a("z", x, y))
    return s(w.a("o", x, y) + w.p["o"] * c) * c, c, None


def no_peepholes(w, x, y, c, gates, size):
    c = s(w.a("f", x, y)) * c + s(w.a("i", x, y)) * np.tanh(w.a("z", x, y))
    return s(w.a("o", x, y)) * np.tanh(c), c, None


def coupled_gates(w, x, y, c, gates, size):
    i = s(w.a("i", x, y) + w.p["i"] * c)
    c = (1 - i) * c + i * np.tanh(w.a("z", x, y))
    return s(w.a("o", x, y) + w.p["o"] * c) * np.tanh(c), c, None


def full_gate_recurrence(w, x, y, c, gates, size):
    i = s(w.a("i", x, y, gates) + w.p["i"] * c)
    f = s(w.a("f", x, y, gates) + w.p["f"] * c)
    c = f * c + i * np.tanh(w.a("z", x, y))
    o = s(w.a("o", x, y, gates) + w.p["o"] * c)
    return o * np.tanh(c), c, np.concatenate([i, f, o])


CELLS_BY_HAND = {
    "1997": hochreiter_schmidhuber_1997, "2000": gers_2000, "peephole": gers_2002, "vanilla": graves_2005,
    "NIG": no_input_gate, "NFG": no_forget_gate, "NOG": no_output_gate, "NIAF": no_input_activation,
    "NOAF": no_output_activation, "NP": no_peepholes, "CIFG": coupled_gates, "FGR": full_gate_recurrence,
}  # fmt: skip
BLOCKS = {name: replace(CELLS[name], block_size=2) for name in ("1997", "2000")}
BY_HAND = [(name, CELLS[name]) for name in CELLS] + list(BLOCKS.items())
BY_HAND += [("NP", CellSpec(biases={"cells"})), ("NP", CellSpec(biases=()))]
names = [f"{name}, blocks of {spec.block_size}, biases {sorted(spec.biases)}" for name, spec in BY_HAND]


def layer(spec, hidden=H):
    lstm = LSTM(I, hidden, spec=spec, rng=1, dtype="float64")
    for p in lstm.parameters():
        p.data = 1.5 * p.data
    return lstm


def sequences(hidden=H, batch=B, seed=2):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((T, batch, I)), *rng.standard_normal((2, batch, hidden))


@pytest.mark.parametrize(("name", "spec"), BY_HAND, ids=names)
def test_every_cell_is_its_equations(name, spec):
    lstm, (x, y_0, c_0) = layer(spec), sequences()
    w, step = Weights(lstm), CELLS_BY_HAND[name]
    output, (h_n, c_n) = lstm(x, (y_0[None], c_0[None]))
    for b in range(B):
        y, c = y_0[b], c_0[b]
        gates = np.zeros(sum(len(w.W[k]) for k in spec.gates))
        for t in range(T):
            y, c, gates = step(w, x[t, b], y, c, gates, spec.block_size)
            np.testing.assert_allclose(output.data[t, b], y, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(h_n.data[0, b], y, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(c_n.data[0, b], c, rtol=1e-12, atol=1e-12)


# --- gradients that are cut ------------------------------------------------------------------------------------------

SLOPES = {  # of the squashings, at a
    "4s-2": lambda a: 4 * s(a) * (1 - s(a)),
    "2s-1": lambda a: 2 * s(a) * (1 - s(a)),
    "identity": np.ones_like,
}
SQUASH = {"4s-2": g, "2s-1": h, "identity": lambda a: a}


def truncated_rtrl(lstm, x, y, c, D):
    """The learning rule of 1997 and of its successors, forwards in time; D (T, H) is dE/dy_t.

    What a weight has done to the cell so far, dc/dw, is carried along: dc_t/dw = f dc_(t-1)/dw + the effect at t, where
    effects through the recurrent part of the net input are taken to be zero. Returns the gradients by gate and weight.
    """
    spec, w, n = lstm.spec, Weights(lstm), lstm.spec.block_size
    of = {k: np.arange(H) // (1 if k == "z" else n) for k in spec.rows}  # the row of gate k that serves each cell
    gates = np.zeros(sum(len(w.W[k]) for k in spec.gates))
    found = {(k, what): 0 for k in spec.rows for what in "WRbGp"}
    trace = dict.fromkeys(found, 0)
    dc_0, dcdc = np.zeros(H), np.ones(H)
    for t in range(T):
        # (cells, weights of a row): what each row's weights multiply, seen from the cells
        source = {
            "W": np.tile(x[t], (H, 1)),
            "R": np.tile(y, (H, 1)),
            "b": np.ones((H, 1)),
            "G": np.tile(gates, (H, 1)),
        }
        a = {k: w.a(k, x[t], y, gates)[of[k]] + (w.p[k] * c if k in w.p and k != "o" else 0) for k in spec.rows}
        i, z = s(a["i"]), SQUASH[spec.input_squashing](a["z"])
        f = s(a["f"]) if "f" in a else np.ones(H)
        effect = {
            "i": z * i * (1 - i),
            "z": i * SLOPES[spec.input_squashing](a["z"]),
            "f": c * f * (1 - f),
        }
        for k, what in trace:
            if k != "o":
                v = source[what] if what != "p" else c[:, None]
                trace[k, what] = f[:, None] * trace[k, what] + effect[k][:, None] * v
        c, dcdc = f * c + i * z, f * dcdc
        a["o"] = a["o"] + (w.p["o"] * c if "o" in w.p else 0)
        o, squashed = s(a["o"]), SQUASH[spec.output_squashing](c)
        to_c = D[t] * o * SLOPES[spec.output_squashing](c)
        for k, what in found:
            if k == "o":
                v = source[what] if what != "p" else c[:, None]
                found[k, what] = found[k, what] + (D[t] * squashed * o * (1 - o))[:, None] * v
            else:
                found[k, what] = found[k, what] + to_c[:, None] * trace[k, what]
        dc_0 = dc_0 + to_c * dcdc
        y = o * squashed
        if spec.gate_recurrence == "all":
            gates = np.concatenate([i[::n], o[::n]])
    # the rows of a block gather what its cells have to say
    for (k, what), value in found.items():
        rows = np.zeros((of[k][-1] + 1, value.shape[1]))
        np.add.at(rows, of[k], value)
        found[k, what] = rows
    return found, dc_0


TRUNCATED = {"1997": CELLS["1997"], "2000": CELLS["2000"], "peephole": CELLS["peephole"]} | {
    f"{name}, blocks of 2": replace(spec, biases={"gates", "cells"}) for name, spec in BLOCKS.items()
}


@pytest.mark.parametrize("name", TRUNCATED)
def test_the_truncated_gradient_is_the_published_rule(name):
    spec = TRUNCATED[name]
    lstm, (x, y_0, c_0) = layer(spec), sequences(batch=1)
    D = np.random.default_rng(5).standard_normal((T, H))
    y, c = (Tensor(a[None], requires_grad=True) for a in (y_0, c_0))
    (lstm(x, (y, c))[0] * D[:, None]).sum().backward()
    by_hand, dc_0 = truncated_rtrl(lstm, x[:, 0], y_0[0], c_0[0], D)
    gathered = lambda what, rows=spec.rows: np.concatenate([by_hand[k, what] for k in rows])
    right = {
        "weight_ih_l0": gathered("W"),
        "weight_hh_l0": gathered("R"),
        "bias_l0": gathered("b", [k for k in spec.rows if lstm.biased(k)])[:, 0],
        "weight_gh_l0": gathered("G"),
        "peephole_l0": np.stack([by_hand[k, "p"][:, 0] for k in spec.gates]),
    }
    for key, p in lstm.named_parameters():
        np.testing.assert_allclose(p.grad, right[key], rtol=1e-10, atol=1e-12, err_msg=key)
    np.testing.assert_allclose(c.grad[0, 0], dc_0, rtol=1e-10)
    assert y.grad is None or not y.grad.any()  # y_0 enters through the recurrent part alone


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "detach_peephole"])
def test_backpropagation_through_the_vanilla_cell_with_and_without_its_peepholes(cut):
    """The backward equations of Greff et al. 2017; with detach_peephole no error leaves c through a peephole."""
    spec = replace(CELLS["vanilla"], detach_peephole=cut)
    lstm, (x, y_0, c_0) = layer(spec), sequences(batch=1)
    D = np.random.default_rng(5).standard_normal((T, H))
    y, c = (Tensor(a[None], requires_grad=True) for a in (y_0, c_0))
    (lstm(x, (y, c))[0] * D[:, None]).sum().backward()

    w, ys, cs, acts = Weights(lstm), [y_0[0]], [c_0[0]], []
    for t in range(T):
        a = {k: w.a(k, x[t, 0], ys[t]) for k in "ifzo"}
        i, f = (s(a[k] + w.p[k] * cs[t]) for k in "if")
        cs.append(f * cs[t] + i * np.tanh(a["z"]))
        acts.append({"i": i, "f": f, "z": np.tanh(a["z"]), "o": s(a["o"] + w.p["o"] * cs[-1])})
        ys.append(acts[-1]["o"] * np.tanh(cs[-1]))
    keep = 0 if cut else 1
    dW, dR, db, dp = ({k: 0 for k in "ifzo"} for _ in range(4))
    after, dc, f_after = dict.fromkeys("ifzo", np.zeros(H)), np.zeros(H), np.zeros(H)
    for t in reversed(range(T)):
        i, f, z, o = (acts[t][k] for k in "ifzo")
        dy = D[t] + sum(w.R[k].T @ after[k] for k in "ifzo")
        do = dy * np.tanh(cs[t + 1]) * o * (1 - o)
        dc = dy * o * (1 - np.tanh(cs[t + 1]) ** 2) + dc * f_after
        dc = dc + keep * (w.p["o"] * do + w.p["i"] * after["i"] + w.p["f"] * after["f"])
        after = {"i": dc * z * i * (1 - i), "f": dc * cs[t] * f * (1 - f), "z": dc * i * (1 - z**2), "o": do}
        f_after = f
        for k in "ifzo":
            dW[k], dR[k] = dW[k] + np.outer(after[k], x[t, 0]), dR[k] + np.outer(after[k], ys[t])
            db[k], dp[k] = db[k] + after[k], dp[k] + after[k] * cs[t + (k == "o")]
    right = {
        "weight_ih_l0": np.concatenate([dW[k] for k in "ifzo"]),
        "weight_hh_l0": np.concatenate([dR[k] for k in "ifzo"]),
        "bias_l0": np.concatenate([db[k] for k in "ifzo"]),
        "peephole_l0": np.stack([dp[k] for k in "ifo"]),
    }
    for key, p in lstm.named_parameters():
        np.testing.assert_allclose(p.grad, right[key], rtol=1e-10, atol=1e-12, err_msg=key)
    dc_0 = dc * f_after + keep * (w.p["i"] * after["i"] + w.p["f"] * after["f"])
    np.testing.assert_allclose(c.grad[0, 0], dc_0, rtol=1e-10)
    np.testing.assert_allclose(y.grad[0, 0], sum(w.R[k].T @ after[k] for k in "ifzo"), rtol=1e-10)


@pytest.mark.parametrize(
    "spec",
    ["1997", "2000", "peephole", CellSpec(truncate=True), CellSpec(peepholes=True, detach_peephole=True)],
    ids=str,
)
def test_a_cut_gradient_has_no_derivative(spec):
    lstm, (x, y_0, c_0) = layer(spec), sequences()
    loss = (lstm(x, (y_0[None], c_0[None]))[0] ** 2).sum()
    assert grad(loss, lstm.weight_ih_l0, retain_graph=True).shape == lstm.weight_ih_l0.shape
    with pytest.raises(GraphError, match="truncated gradient"):
        grad(loss, lstm.weight_ih_l0, create_graph=True)


def test_whole_gradients_have_derivatives():
    lstm, (x, y_0, c_0) = layer("vanilla"), sequences()
    loss = (lstm(x, (y_0[None], c_0[None]))[0] ** 2).sum()
    first = grad(loss, lstm.weight_ih_l0, create_graph=True)
    assert grad((first**2).sum(), lstm.weight_hh_l0).data.any()
