"""Stacked and bidirectional layers and batches of different lengths, for RNN, LSTM and GRU alike."""

import numpy as np
import pytest

from minigrad import Tensor, gradcheck
from minigrad.errors import OptionError, ShapeError
from minigrad.nn import GRU, LSTM, RNN
from minigrad.recurrent.spec import CellSpec

T, B, I, H = 5, 3, 2, 4  # noqa: E741  (the sizes of the equations)
LENGTHS = [2, 5, 3]
X = np.random.default_rng(11).standard_normal((T, B, I))
PAST = np.arange(T)[:, None] >= LENGTHS  # (T, B), true past the end of a sequence
KINDS = {
    "RNN": RNN,
    "LSTM": LSTM,
    "LSTM vanilla": lambda *args, **options: LSTM(*args, spec="vanilla", **options),
    "LSTM FGR": lambda *args, **options: LSTM(*args, spec="FGR", **options),
    "LSTM 1997": lambda *args, **options: LSTM(*args, spec="1997", **options),
    "LSTM blocks": lambda *args, **options: LSTM(*args, spec=CellSpec(block_size=2), **options),
    "GRU": GRU,
}
of_every_kind = pytest.mark.parametrize("kind", KINDS)
of_both_ways = pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])


def layer(kind, *args, **options):
    return KINDS[kind](I, H, *args, rng=1, dtype="float64", **options)


def states_for(kind, net, batch=B):
    """Return states of random numbers as the layer takes them."""
    rng = np.random.default_rng(7)
    states = [Tensor(rng.standard_normal((len(net.directions()), batch, H)), requires_grad=True) for _ in net.states]
    return states[0] if len(states) == 1 else tuple(states)


def parts(state):
    return list(state) if isinstance(state, tuple) else [state]


def pick(state, b):
    found = tuple(Tensor(s.data[:, b : b + 1]) for s in parts(state))
    return found if len(found) > 1 else found[0]


@of_every_kind
def test_a_stack_is_its_layers_one_upon_the_other(kind):
    both = layer(kind, 2)
    first, second = KINDS[kind](I, H, dtype="float64"), KINDS[kind](H, H, dtype="float64")
    for k, one in enumerate((first, second)):
        one.load_state_dict({n.replace(f"l{k}", "l0"): a for n, a in both.state_dict().items() if f"_l{k}" in n})
    output, last = both(X)
    middle, last_0 = first(X)
    top, last_1 = second(middle)
    np.testing.assert_allclose(output.data, top.data, rtol=1e-12)
    for s, s_0, s_1 in zip(parts(last), parts(last_0), parts(last_1), strict=True):
        np.testing.assert_allclose(s.data, np.concatenate([s_0.data, s_1.data]), rtol=1e-12)


@of_every_kind
def test_the_backward_direction_is_the_sequence_turned_round(kind):
    net = layer(kind, bidirectional=True)
    one = KINDS[kind](I, H, dtype="float64")
    one.load_state_dict({n.removesuffix("_reverse"): a for n, a in net.state_dict().items() if "_reverse" in n})
    state = states_for(kind, net)
    output, last = net(X, state)
    before = tuple(Tensor(s.data[1:]) for s in parts(state))
    turned, end = one(X[::-1].copy(), before if len(before) > 1 else before[0])
    np.testing.assert_allclose(output.data[..., H:], turned.data[::-1], rtol=1e-12)
    for s, s_1 in zip(parts(last), parts(end), strict=True):
        np.testing.assert_allclose(s.data[1:], s_1.data, rtol=1e-12)


@of_every_kind
@of_both_ways
def test_shapes_of_a_stack_in_every_layout(kind, bidirectional):
    ways = 1 + bidirectional
    for batch_first in (False, True):
        net = layer(kind, 3, bidirectional=bidirectional, batch_first=batch_first)
        output, last = net(X.swapaxes(0, 1) if batch_first else X)
        assert output.shape == ((B, T, ways * H) if batch_first else (T, B, ways * H))
        assert all(s.shape == (3 * ways, B, H) for s in parts(last))
        output, last = net(X[:, 0])
        assert output.shape == (T, ways * H) and all(s.shape == (3 * ways, H) for s in parts(last))


# --- lengths ---------------------------------------------------------------------------------------------------------


@of_every_kind
@of_both_ways
def test_every_sequence_of_a_padded_batch_is_as_if_it_were_alone(kind, bidirectional):
    net = layer(kind, 2, bidirectional=bidirectional)
    state = states_for(kind, net)
    output, last = net(X, state, lengths=LENGTHS)
    assert not output.data[PAST].any()  # past the end: zero
    for b, length in enumerate(LENGTHS):
        alone, end = net(X[:length, b : b + 1], pick(state, b))
        np.testing.assert_allclose(output.data[:length, b], alone.data[:, 0], rtol=1e-10)
        for s, s_1 in zip(parts(last), parts(end), strict=True):  # the last valid step
            np.testing.assert_allclose(s.data[:, b], s_1.data[:, 0], rtol=1e-10)


@of_every_kind
@of_both_ways
def test_gradients_of_a_padded_batch_are_those_of_its_sequences(kind, bidirectional):
    net = layer(kind, 2, bidirectional=bidirectional)
    x, state = Tensor(X, requires_grad=True), states_for(kind, net)
    weight = np.random.default_rng(5).standard_normal((T, B, H * (1 + bidirectional)))

    def loss(output, last, weight):
        return (output * weight).sum() + sum((s**2).sum() for s in parts(last))

    loss(*net(x, state, lengths=LENGTHS), weight).backward()
    assert not x.grad[PAST].any() and x.grad[~PAST].all()
    found = [p.grad for p in net.parameters()]
    net.zero_grad()
    for b, length in enumerate(LENGTHS):
        x_b = Tensor(X[:length, b : b + 1], requires_grad=True)
        loss(*net(x_b, pick(state, b)), weight[:length, b : b + 1]).backward()
        np.testing.assert_allclose(x.grad[:length, b], x_b.grad[:, 0], rtol=1e-9, atol=1e-12)
    for g, (name, p) in zip(found, net.named_parameters(), strict=True):
        np.testing.assert_allclose(g, p.grad, rtol=1e-9, atol=1e-12, err_msg=name)


@of_every_kind
@of_both_ways
@pytest.mark.parametrize("batch_first", [False, True], ids=["time first", "batch first"])
def test_what_fills_the_padding_changes_nothing(kind, bidirectional, batch_first):
    net = layer(kind, 2, bidirectional=bidirectional, batch_first=batch_first)
    to = (lambda a: a.swapaxes(0, 1)) if batch_first else (lambda a: a)
    results = []
    for filler in (0.0, 1e3, np.nan, -np.inf):
        x = Tensor(to(np.where(PAST[..., None], filler, X)), requires_grad=True)
        net.zero_grad()
        output, last = net(x, lengths=np.array(LENGTHS))
        ((output**2).sum() + sum(s.sum() for s in parts(last))).backward()
        assert not to(x.grad)[PAST].any()
        results.append([output.data, *(s.data for s in parts(last)), x.grad, *(p.grad for p in net.parameters())])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@of_every_kind
def test_full_lengths_are_no_lengths(kind):
    net = layer(kind, 2, bidirectional=True)
    (a, last_a), (b, last_b) = net(X), net(X, lengths=[T] * B)
    for left, right in zip((a, *parts(last_a)), (b, *parts(last_b)), strict=True):
        np.testing.assert_allclose(left.data, right.data, rtol=1e-12)
    assert net(X[:, 0], lengths=[3])[0].shape == (T, 2 * H)  # without a batch, one length
    assert not net(X[:, 0], lengths=[3])[0].data[3:].any()


@of_every_kind
@pytest.mark.parametrize(
    "lengths",
    [[2, 5], [2, 5, 3, 1], [0, 5, 3], [2, 6, 3], [-1, 5, 3], [2.0, 5.0, 3.0], 3, [[2, 5, 3]], [True, True, True], []],
    ids=str,
)
def test_lengths_that_do_not_fit(kind, lengths):
    name = kind.partition(" ")[0]
    with pytest.raises(ShapeError, match=f"{name}: lengths are 3 integers from 1 to 5, one a sequence; got") as error:
        layer(kind)(X, lengths=lengths)
    assert str(lengths) in str(error.value)


# --- dropout ---------------------------------------------------------------------------------------------------------


@of_every_kind
def test_dropout_is_between_layers_in_training_alone_and_seeded(kind):
    plain, net = layer(kind, 2), layer(kind, 2, dropout=0.5)
    for p, q in zip(plain.parameters(), net.parameters(), strict=True):  # a setting that changes no weight
        np.testing.assert_array_equal(p.data, q.data)
    a, b, again = net(X)[0].data, net(X)[0].data, layer(kind, 2, dropout=0.5)(X)[0].data
    np.testing.assert_array_equal(a, again)
    assert not np.array_equal(a, b)  # every call draws anew
    state = net.rng_state()
    c = net(X)[0].data
    net.load_rng_state(state)
    np.testing.assert_array_equal(c, net(X)[0].data)
    np.testing.assert_array_equal(net.eval()(X)[0].data, plain(X)[0].data)
    assert not np.array_equal(net.train()(X)[0].data, plain(X)[0].data)


@of_every_kind
def test_dropout_acts_on_the_outputs_of_every_layer_but_the_last(kind):
    plain, net = layer(kind, 2), layer(kind, 2, dropout=0.5)
    (output, last), (_, last_plain) = net(X), plain(X)
    # the first layer's state is made before any dropout, the last layer's outputs are not thinned
    for s, s_plain in zip(parts(last), parts(last_plain), strict=True):
        np.testing.assert_allclose(s.data[0], s_plain.data[0], rtol=1e-12)
    assert output.data.all()
    np.testing.assert_array_equal(output.data[-1], parts(last)[0].data[1])


@of_every_kind
def test_dropout_with_one_layer(kind):
    with pytest.raises(OptionError, match=r"dropout=0\.3 acts between layers, so it needs num_layers above 1"):
        layer(kind, dropout=0.3)
    with pytest.raises(OptionError, match="Dropout: p must be at least 0 and below 1, not 1"):
        layer(kind, 2, dropout=1.0)


# --- gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("lengths", [None, [1, 3]], ids=["full", "lengths"])
@pytest.mark.parametrize("kind", [k for k in KINDS if k != "LSTM 1997"])  # a cut gradient is no derivative
def test_gradients_equal_central_differences(kind, lengths):
    net = KINDS[kind](1, 2, 2, bidirectional=True, rng=1, dtype="float64")
    names = [n for n in net.state_dict() if "_l1" in n or "bias" not in n]

    def function(x, *given):
        states, weights = given[: len(net.states)], given[len(net.states) :]
        vars(net).update(zip(names, weights, strict=True))
        output, last = net(x, states if len(states) > 1 else states[0], lengths=lengths)
        return output, *parts(last)

    states = [s.data[:4, :2, :2] for s in parts(states_for(kind, layer(kind, 2, bidirectional=True)))]
    gradcheck(function, [X[:3, :2, :1], *states, *(getattr(net, name) for name in names)])


@of_every_kind
def test_two_forward_passes_before_one_backward(kind):
    net = layer(kind, 2, bidirectional=True)
    first, second = X, X[::-1] * 2
    alone = []
    for x in (first, second):
        net.zero_grad()
        (net(x.copy())[0] ** 2).sum().backward()
        alone.append([p.grad for p in net.parameters()])
    net.zero_grad()
    a, b = net(first.copy())[0], net(second.copy())[0]
    kept = a.data.copy()
    ((a**2).sum() + (b**2).sum()).backward()
    np.testing.assert_array_equal(a.data, kept)  # what was returned is not overwritten
    for p, g_1, g_2 in zip(net.parameters(), *alone, strict=True):
        np.testing.assert_allclose(p.grad, g_1 + g_2, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("LSTM FGR", "LSTM 1997")])  # made of single operations
def test_writing_into_what_was_returned_changes_no_gradient(kind, lengths):
    """A kernel keeps memory of its own, which no output shares."""
    net, weight, found = layer(kind), np.random.default_rng(5).standard_normal((T, B, H)), []
    for write in (False, True):
        net.zero_grad()
        output, last = net(X, lengths=lengths)
        total = (output * weight).sum() + sum(s.sum() for s in parts(last))
        for result in (output, *parts(last)) if write else ():
            result.data[...] = 7
        total.backward()
        found.append([p.grad for p in net.parameters()])
    for g, g_written in zip(*found, strict=True):
        np.testing.assert_array_equal(g, g_written)
