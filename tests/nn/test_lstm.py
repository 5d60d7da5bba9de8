"""The LSTM layer: layouts, names, the forget gate's bias, states carried and learned, gradients, refusals."""

import numpy as np
import pytest

from minigrad import Tensor, gradcheck
from minigrad.errors import DTypeError, OptionError, ShapeError
from minigrad.nn import LSTM, Parameter
from minigrad.recurrent.spec import CELLS, CellSpec

T, B, I, H = 5, 3, 2, 4  # noqa: E741  (the sizes of the equations)
rng = np.random.default_rng(11)
X, H0, C0 = rng.standard_normal((T, B, I)), rng.standard_normal((1, B, H)), rng.standard_normal((1, B, H))


def layer(*args, **options):
    return LSTM(I, H, *args, rng=1, dtype="float64", **options)


def short(spec):
    return spec if isinstance(spec, str) else f"blocks of {spec.block_size}" if spec else "PyTorch's"


@pytest.mark.parametrize("spec", [None, *CELLS], ids=short)
def test_layouts_are_transposes_of_each_other(spec):
    whole, (h_n, c_n) = layer(spec=spec)(X, (H0, C0))
    assert whole.shape == (T, B, H) and h_n.shape == c_n.shape == (1, B, H)
    np.testing.assert_array_equal(whole.data[-1], h_n.data[0])
    batch_first, last = layer(spec=spec, batch_first=True)(X.swapaxes(0, 1), (H0, C0))  # states stay layers first
    np.testing.assert_allclose(batch_first.data, whole.data.swapaxes(0, 1), rtol=1e-12)
    np.testing.assert_allclose([s.data for s in last], [h_n.data, c_n.data], rtol=1e-12)
    for options in ({}, {"batch_first": True}):
        alone, (h_1, c_1) = layer(spec=spec, **options)(X[:, 1], (H0[:, 1], C0[:, 1]))
        assert alone.shape == (T, H) and h_1.shape == c_1.shape == (1, H)
        np.testing.assert_allclose(alone.data, whole.data[:, 1], rtol=1e-12)
        np.testing.assert_allclose(c_1.data, c_n.data[:, 1], rtol=1e-12)


def test_without_a_state_it_starts_at_zero():
    zero = np.zeros((1, B, H))
    (a, (h_a, c_a)), (b, (h_b, c_b)) = layer()(X), layer()(X, (zero, zero))
    for left, right in ((a, b), (h_a, h_b), (c_a, c_b)):
        np.testing.assert_array_equal(left.data, right.data)
    (alone, _), (given, _) = layer()(X[:, 0]), layer()(X[:, 0], (zero[:, 0], zero[:, 0]))
    np.testing.assert_array_equal(alone.data, given.data)


def test_without_a_bias():
    lstm, with_zero = layer(bias=False), layer()
    assert lstm.bias_l0 is None and list(lstm.state_dict()) == ["weight_ih_l0", "weight_hh_l0"]
    with_zero.load_state_dict(lstm.state_dict() | {"bias_l0": np.zeros(4 * H)})
    np.testing.assert_allclose(lstm(X)[0].data, with_zero(X)[0].data, rtol=1e-12)


def test_names_and_shapes_are_pytorchs_where_it_has_them():
    shapes = {name: p.shape for name, p in LSTM(I, H, 2, bidirectional=True).named_parameters()}
    assert list(shapes.items()) == [
        ("weight_ih_l0", (4 * H, I)), ("weight_hh_l0", (4 * H, H)), ("bias_l0", (4 * H,)),
        ("weight_ih_l0_reverse", (4 * H, I)), ("weight_hh_l0_reverse", (4 * H, H)), ("bias_l0_reverse", (4 * H,)),
        ("weight_ih_l1", (4 * H, 2 * H)), ("weight_hh_l1", (4 * H, H)), ("bias_l1", (4 * H,)),
        ("weight_ih_l1_reverse", (4 * H, 2 * H)), ("weight_hh_l1_reverse", (4 * H, H)), ("bias_l1_reverse", (4 * H,)),
    ]  # fmt: skip
    of = lambda spec: {name: p.shape for name, p in LSTM(I, H, spec=spec).named_parameters()}
    assert of("vanilla")["peephole_l0"] == (3, H)
    assert of("NFG") == {"weight_ih_l0": (3 * H, I), "weight_hh_l0": (3 * H, H), "bias_l0": (3 * H,),
                         "peephole_l0": (3, H)}  # fmt: skip
    assert of("FGR")["weight_gh_l0"] == (3 * H, 3 * H)
    blocks = of(CellSpec(forget_gate=False, block_size=2, gate_recurrence="all", biases={"gates"}))
    assert blocks == {"weight_ih_l0": (2 * H, I), "weight_hh_l0": (2 * H, H), "bias_l0": (H,),
                      "weight_gh_l0": (2 * H, H)}  # fmt: skip


def test_the_same_seed_gives_the_same_weights():
    a, b, fresh = LSTM(I, H, rng=3), LSTM(I, H, rng=np.random.default_rng(3)), LSTM(I, H)
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    assert np.abs(a.weight_hh_l0.data).max() <= 1 / np.sqrt(H)
    assert not np.array_equal(a.weight_hh_l0.data, fresh.weight_hh_l0.data)


def test_peephole_is_the_vanilla_cell_and_no_spec_is_pytorchs():
    np.testing.assert_array_equal(layer(peephole=True)(X)[0].data, layer(spec="vanilla")(X)[0].data)
    np.testing.assert_array_equal(layer()(X)[0].data, layer(spec="NP")(X)[0].data)
    assert layer(spec=CELLS["CIFG"]).spec is CELLS["CIFG"]


@pytest.mark.parametrize("spec", [None, "2000", "FGR", CellSpec(block_size=2)], ids=short)
def test_the_forget_gates_bias_at_first(spec):
    for forget_bias in (1.0, -2.5):
        lstm = LSTM(I, H, 2, bidirectional=True, spec=spec, forget_bias=forget_bias, rng=1)
        gates = H // lstm.spec.block_size  # rows i, f, ...
        for _, suffix in lstm.directions():
            b = getattr(lstm, "bias" + suffix).data
            assert (b[gates : 2 * gates] == forget_bias).all() and b.dtype == np.float32
            assert (np.abs(np.delete(b, np.s_[gates : 2 * gates])) <= 1 / np.sqrt(H)).all()
    assert LSTM(I, H).forget_bias == 1
    for without in ("1997", "NFG", "CIFG"):  # no forget gate with weights of its own
        assert np.abs(LSTM(I, H, spec=without).bias_l0.data).max() <= 1 / np.sqrt(H)


@pytest.mark.parametrize("spec", [None, "vanilla", "2000", "CIFG"])
def test_a_state_carried_across_chunks_is_one_long_run(spec):
    lstm = layer(2, spec=spec)
    state = (np.repeat(H0, 2, axis=0), np.repeat(C0, 2, axis=0))
    whole, last = lstm(X, state)
    pieces = []
    for chunk in (X[:2], X[2:3], X[3:]):
        output, state = lstm(chunk, state)
        state = tuple(s.detach() for s in state)
        pieces.append(output.data)
    np.testing.assert_allclose(np.concatenate(pieces), whole.data, rtol=1e-12)
    np.testing.assert_allclose([s.data for s in state], [s.data for s in last], rtol=1e-12)
    # without detach the gradient, too, is that of the long run
    _, state = lstm(X[:2])
    lstm(X[2:], state)[0].sum().backward()
    through = [p.grad for p in lstm.parameters()]
    lstm.zero_grad()
    lstm(X)[0][2:].sum().backward()
    for g, p in zip(through, lstm.parameters(), strict=True):
        np.testing.assert_allclose(g, p.grad, rtol=1e-9, atol=1e-12)


def test_a_detached_state_ends_the_gradient():
    lstm, x = layer(), Tensor(X, requires_grad=True)
    _, (h, c) = lstm(x[:3])
    lstm(x[3:], (h.detach(), c.detach()))[0].sum().backward()
    assert not x.grad[:3].any() and x.grad[3:].all()


def test_learnable_states_of_batch_1_serve_the_whole_batch():
    lstm = layer(bidirectional=True)
    h_0, c_0 = (Parameter(rng.standard_normal((2, 1, H)), "float64") for _ in range(2))
    repeated = [Tensor(np.repeat(p.data, B, axis=1), requires_grad=True) for p in (h_0, c_0)]
    one, many = lstm(X, (h_0, c_0)), lstm(X, tuple(repeated))
    np.testing.assert_array_equal(one[0].data, many[0].data)
    (one[0] ** 2).sum().backward()
    (many[0] ** 2).sum().backward()
    for p, q in zip((h_0, c_0), repeated, strict=True):
        assert p.grad.shape == (2, 1, H)
        np.testing.assert_allclose(p.grad, q.grad.sum(axis=1, keepdims=True), rtol=1e-10)


@pytest.mark.parametrize(
    "spec", [None, "1997", "2000", "peephole", "vanilla", "FGR", CellSpec(block_size=2)], ids=short
)
@pytest.mark.parametrize("lengths", [None, [2, 5, 3]], ids=["full", "lengths"])
def test_float32_stays_float32(spec, lengths):
    lstm = LSTM(I, H, 2, bidirectional=True, spec=spec, rng=0)
    x = Tensor(X.astype("float32"), requires_grad=True)
    output, (h_n, c_n) = lstm(x, lengths=lengths)
    assert output.dtype == h_n.dtype == c_n.dtype == np.float32
    (output.sum() + c_n.sum()).backward()
    assert all(p.dtype == p.grad.dtype == np.float32 for p in (x, *lstm.parameters()))


WHOLE = [name for name, spec in CELLS.items() if not spec.truncate]  # a cut gradient is no derivative
VARIANTS = [*WHOLE, CellSpec(block_size=2, gate_recurrence="all", biases={"gates"})]
VARIANTS += [CellSpec(input_squashing="4s-2", output_squashing="2s-1", biases=())]


@pytest.mark.parametrize("spec", VARIANTS, ids=short)
def test_gradients_equal_central_differences(spec):
    lstm = LSTM(2, 2, spec=spec, rng=1, dtype="float64")
    names = list(lstm.state_dict())

    def function(x, h_0, c_0, *weights):
        vars(lstm).update(zip(names, weights, strict=True))
        output, (h_n, c_n) = lstm(x, (h_0, c_0))
        return output, h_n, c_n

    gradcheck(function, [X[:3, :2], H0[:, :2, :2], C0[:, :2, :2], *lstm.parameters()])


def test_second_derivatives_equal_central_differences():
    lstm = LSTM(1, 2, peephole=True, rng=1, dtype="float64")

    def function(x, h_0, weight_hh, peephole):
        vars(lstm).update(weight_hh_l0=weight_hh, peephole_l0=peephole)
        output, (_, c_n) = lstm(x, (h_0, h_0 * weight_hh[:2, 0]))  # an initial state that depends on the weights
        return output, c_n

    gradcheck(function, [X[:2, :1, :1], H0[:, :1, :2], lstm.weight_hh_l0, lstm.peephole_l0], order=2)


def test_refusals_of_the_constructor():
    with pytest.raises(OptionError, match=r"LSTM: peephole=True .* say it in the spec \(peepholes=True\)"):
        LSTM(I, H, spec="vanilla", peephole=True)
    with pytest.raises(OptionError, match="LSTM: blocks of 3 cells do not make up hidden_size=4"):
        LSTM(I, H, spec=CellSpec(block_size=3))
    with pytest.raises(OptionError, match=r"LSTM: dropout=0\.5 acts between layers, so it needs num_layers above 1"):
        LSTM(I, H, dropout=0.5)
    with pytest.raises(OptionError, match="there is no cell 'best'"):
        LSTM(I, H, spec="best")
    with pytest.raises(OptionError, match="LSTM: sizes are at least 1, not input_size=2, hidden_size=0, num_layers=1"):
        LSTM(I, 0)


@pytest.mark.parametrize(
    "state", [H0, Tensor(H0), (H0,), (H0, C0, C0), {"h": H0, "c": C0}], ids=lambda s: type(s).__name__
)
def test_a_state_that_is_no_pair(state):
    with pytest.raises(DTypeError, match="LSTM: the state is h_0, c_0, as a tuple"):
        layer()(X, state)


def test_states_that_do_not_fit():
    lstm = layer()
    with pytest.raises(ShapeError, match=r"LSTM: c_0 has shape \(1, 2, 4\), for this input it must be \(1, 3, 4\)"):
        lstm(X, (H0, C0[:, :2]))
    with pytest.raises(ShapeError, match=r"LSTM: h_0 has shape \(2, 3, 4\), for this input it must be \(1, 3, 4\)"):
        lstm(X, (np.repeat(H0, 2, axis=0), C0))
    with pytest.raises(ShapeError, match=r"LSTM: h_0: .* its last axis must be 4"):
        lstm(X, (H0[..., :3], C0))
    with pytest.raises(DTypeError, match="LSTM: c_0: the input is float32, the weights are float64; cast"):
        lstm(X, (H0, C0.astype("float32")))


def test_inputs_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"LSTM: the input has shape \(5, 3, 3\), its last axis must be 2"):
        layer()(np.ones((T, B, I + 1)))
    with pytest.raises(ShapeError, match=r"LSTM: the input has shape \(0, 3, 2\).*nothing empty"):
        layer()(np.ones((0, B, I)))
    with pytest.raises(DTypeError, match="LSTM: the input is float32, the weights are float64; cast"):
        layer()(X.astype("float32"))
    with pytest.raises(DTypeError, match=r"LSTM: the input is a tuple.* pass on the output"):
        layer()(layer()(X))
