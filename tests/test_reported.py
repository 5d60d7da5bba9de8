"""Faults that public reports and other engines' tests brought out, each with the right value."""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, nn, optim
from minigrad.errors import DTypeError, GraphError, OptionError, ShapeError

inf = math.inf
SMALL = ("bool", "int8", "uint8", "int16", "uint16")
REAL = ("exp", "log", "expm1", "log1p", "sqrt", "tanh", "sin", "cos", "sigmoid", "softplus")

# --- numbers that were silently wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", SMALL)
@pytest.mark.parametrize("name", REAL)
def test_functions_of_small_integers_are_not_computed_in_half_precision(name, dtype):
    x = np.array([1, 1] if dtype == "bool" else [5, 12], dtype)
    function, right = getattr(mg, name), getattr(mg, name)(x.astype(float))
    assert function(Tensor(x)).data == pytest.approx(right, rel=2e-7)  # one rounding to float32
    assert function(x) == pytest.approx(right, rel=1e-15)


def test_exp_of_bytes():
    assert Tensor(np.array([5, 12], "uint8")).exp().tolist() == pytest.approx([148.4132, 162754.8], rel=1e-6)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_the_squared_error_of_bytes_does_not_wrap(dtype):
    x, y = np.array([0, 100], dtype), np.array([20, 120], dtype)
    assert mg.mse_loss(Tensor(x), y).item() == mg.mse_loss(x, y) == 400


@pytest.mark.parametrize(
    ("x", "right", "gradient"),
    [
        ([-inf, -inf], -inf, [0, 0]),
        ([inf, 0.0], inf, [1, 0]),
        ([inf, inf], inf, [0.5, 0.5]),
        ([inf, -inf], inf, [1, 0]),
        ([1000.0, inf], inf, [0, 1]),
        ([0.0, -inf], 0.0, [1, 0]),
    ],
)
def test_logsumexp_of_infinities(x, right, gradient):
    x = Tensor([x, [0.0, 0.0]], requires_grad=True)
    y = mg.logsumexp(x, axis=1)
    assert y.tolist() == pytest.approx([right, math.log(2)])
    y.backward(np.ones(2))
    assert x.grad.tolist() == [pytest.approx(gradient), [0.5, 0.5]]


def test_logsumexp_of_infinities_has_a_second_derivative():
    x = Tensor([[-inf, -inf], [1.0, 2.0]], requires_grad=True)
    g = mg.grad(mg.logsumexp(x, axis=1).sum(), x, create_graph=True)
    second = mg.grad((g * g).sum(), x)
    p = 1 / (1 + math.e)
    assert second.data == pytest.approx(np.array([[0, 0], [1, -1]]) * 2 * (2 * p - 1) * p * (1 - p), abs=1e-6)


def test_a_forward_pass_in_log_space():
    """A hidden Markov model whose second state cannot be left or entered: all weight stays in the first."""
    step, emission = mg.Tensor([[0.0, -inf], [-inf, -inf]]), math.log(0.5)
    log_alpha = Tensor([0.0, -inf])
    for _ in range(3):
        log_alpha = mg.logsumexp(log_alpha.reshape(2, 1) + step, axis=0) + emission
    assert log_alpha.tolist() == pytest.approx([3 * emission, -inf])


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow", "maximum", "equal", "exp", "sum", "matmul"])
def test_lists_are_refused_where_there_is_no_tensor(name):
    operands = [[1.0, 2.0]] if name in ("exp", "sum") else [[1.0, 2.0], [3.0, 4.0]]
    with pytest.raises(DTypeError, match=f"{name}: takes Tensors, arrays and numbers, not a list"):
        getattr(mg, name)(*operands)


def test_the_gradient_of_a_power_of_zero():
    x = Tensor([-1.0, 0.0, 2.0], requires_grad=True)
    with np.errstate(divide="ignore"):  # 0 ** -1
        (0.0**x).sum().backward()
    assert x.grad.tolist() == [-inf, 0, 0]


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_relu_leaves_integers_as_they_are(dtype):
    x = np.array([0, 200 if dtype == "uint8" else 16777217], dtype)
    y = mg.relu(Tensor(x))
    assert y.dtype == dtype and y.tolist() == x.tolist()


@pytest.mark.parametrize("clip", [optim.clip_grad_norm_, optim.clip_grad_value_])
def test_clipping_what_a_generator_has_given_away_already(clip):
    net = nn.Linear(2, 1, rng=0)
    parameters = net.parameters()
    net(Tensor([3.0, 4.0])).sum().backward()
    clip(parameters, 1.0)
    with pytest.raises(OptionError, match=r"no parameters.*net\.parameters\(\)"):
        clip(parameters, 1.0)


def test_no_grad_holds_at_every_step_of_a_generator_and_not_between():
    w = Tensor(2.0, requires_grad=True)
    given, closed = [], []

    @mg.no_grad()
    def steps():
        try:
            given.append((yield w * 1))
            try:
                yield w * 2
            except ValueError:
                yield w * 3
            yield w * 4
        finally:
            closed.append((w * 5).requires_grad)

    running = steps()
    assert not next(running).requires_grad and (w * 1).requires_grad
    assert not running.send("given").requires_grad and given == ["given"]
    assert not running.throw(ValueError).requires_grad and (w * 1).requires_grad
    running.close()
    assert closed == [False] and steps.__name__ == "steps"
    assert [y.requires_grad for y in mg.no_grad()(lambda: [w * 1])()] == [False]


def test_no_grad_on_an_async_function_is_refused():
    with pytest.raises(GraphError, match="step is async; write `with no_grad"):

        @mg.no_grad()
        async def step():
            pass


def test_no_grad_on_a_function_that_calls_itself():
    w = Tensor(2.0, requires_grad=True)

    @mg.no_grad()
    def power(n):
        return w if n == 1 else w * power(n - 1)

    assert not power(3).requires_grad and (w * w).requires_grad


@pytest.mark.parametrize("kind", ["array", "tensor", "leaf"])
def test_a_parameter_is_not_replaced_by_what_does_not_learn(kind):
    net = nn.RNN(2, 3, rng=0)
    new = np.zeros((3, 3), "float32")
    new = {"array": new, "tensor": Tensor(new), "leaf": Tensor(new, requires_grad=True)}[kind]
    with pytest.raises(GraphError, match=r"RNN.weight_hh_l0 is a parameter.*\.data = .*nn\.Parameter"):
        net.weight_hh_l0 = new
    assert len(list(net.parameters())) == 3
    net.weight_hh_l0 = nn.Parameter(np.zeros((3, 3)))  # these may
    net.weight_hh_l0 = net.weight_hh_l0 * 0.5  # weight drop: a node of the graph
    net.bias_l0 = None


@pytest.mark.parametrize("operator", ["+", "-", "*", "/", "**", "@"])
def test_an_assignment_that_would_train_nothing_is_refused(operator):
    names = {"p": nn.Parameter(np.eye(2)), "np": np}
    with pytest.raises(GraphError, match=r"would train nothing.*p\.data = p\.data"), mg.no_grad():
        exec(f"p {operator}= {'np.eye(2)' if operator == '@' else 0.5}", names)
    exec("q = p * 1; q -= 0.5; total = 0.0; total += p", names)  # what makes a new node stays allowed
    assert names["q"].requires_grad and names["total"].requires_grad


@pytest.mark.parametrize("make", [optim.Adam, optim.AdamW, optim.RMSprop, optim.SGD])
@pytest.mark.parametrize("g", [0.0, 1e-4, 300.0])
def test_optimisers_of_half_precision_compute_in_single(make, g):
    half = nn.Parameter(np.array([1.0, -2.0]), "float16")
    single = nn.Parameter(np.array([1.0, -2.0]), "float32")
    for p in (half, single):
        optimizer = make([p], lr=0.125)
        for _ in range(3):
            p.grad = np.full(2, np.float16(g), p.dtype)
            optimizer.step()
    assert half.dtype == "float16"
    assert half.data == pytest.approx(single.data, rel=3e-3, abs=3e-3)  # three roundings to 11 bits
    assert all(x.dtype == "float32" for name in optimizer.running for x in getattr(optimizer, name) if np.ndim(x))


def masked():
    return np.ma.masked_array([1.0, 2.0], [False, True])


@pytest.mark.parametrize(
    "use",
    [
        lambda: Tensor(masked()),
        lambda: Tensor([1.0, 2.0]) + masked(),
        lambda: mg.mse_loss(Tensor([1.0, 2.0]), masked()),
        lambda: mg.cross_entropy(Tensor([[1.0, 2.0]] * 2), masked().astype(int)),
        lambda: nn.RNN(1, 1, rng=0)(np.ones((2, 2, 1), "float32"), lengths=masked().astype(int)),
        lambda: nn.Embedding(3, 2, rng=0)(masked().astype(int)),
        lambda: Tensor([1.0, 2.0, 3.0])[masked().astype(int)],
        lambda: mg.gather(Tensor([1.0, 2.0, 3.0]), masked().astype(int)),
        lambda: nn.Linear(2, 1, rng=0)(masked()),
        lambda: mg.exp(masked()),
    ],
)
def test_masked_arrays_are_refused_by_name(use):
    with pytest.raises(DTypeError, match=r"masked array.*\.filled"):
        use()


class Tied(nn.Module):
    def __init__(self):
        self.embed, self.read = nn.Embedding(3, 2, rng=0), nn.Linear(2, 3, rng=0)
        self.read.weight = self.embed.weight


def test_tied_weights_take_one_value():
    net = Tied()
    state = {name: x + 1 for name, x in net.state_dict().items()}
    net.load_state_dict(state)
    before = net.embed.weight.data
    state["read.weight"] = state["read.weight"] + 1
    with pytest.raises(ShapeError, match=r"embed\.weight and read\.weight are one parameter.*differ"):
        net.load_state_dict(state)
    assert net.embed.weight.data is before


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.var(0, True),
        lambda x: x.std(0, True),
        lambda x: mg.var(x, 0, True),
        lambda x: optim.SGD([x], 0.1, 0.9, 0.5),
        lambda x: nn.Embedding(3, 2, 0),
    ],
    ids=["var", "std", "mg.var", "SGD", "Embedding"],
)
def test_what_pytorch_means_otherwise_is_not_taken_by_position(call):
    with pytest.raises(TypeError):
        call(Tensor([1.0, 2.0], requires_grad=True))


# --- errors where there is an answer ---------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e200, 1e-200, 1e-320])
def test_clipping_by_a_norm_whose_square_overflows_or_vanishes(scale):
    p = nn.Parameter(np.zeros(2), "float64")
    p.grad = np.array([3.0, 4.0]) * scale
    assert optim.clip_grad_norm_([p], scale) == pytest.approx(5 * scale)
    assert p.grad == pytest.approx(np.array([0.6, 0.8]) * scale, rel=1e-3, abs=0)
