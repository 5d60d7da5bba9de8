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


class Series:
    """Data of another library: what NumPy makes of it, and a dtype that NumPy does not know."""

    dtype = "Int64Dtype()"

    def __init__(self, *values, dtype="int64"):
        self.values = np.array(values, dtype)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_unsigned_lengths(bidirectional):
    net, x = nn.GRU(2, 3, rng=0, bidirectional=bidirectional), np.ones((3, 2, 2), "float32")
    right = net(x, lengths=[3, 1])[0].data
    for lengths in (np.array([3, 1], "uint64"), Series(3, 1, dtype="uint64")):
        assert np.array_equal(net(x, lengths=lengths)[0].data, right)


@pytest.mark.parametrize("name", ["sum", "max", "min", "logsumexp"])
def test_a_reduction_of_one_number_over_its_axis_0(name):
    x = Tensor(3.0, requires_grad=True)
    getattr(mg, name)(x, axis=0).backward()
    assert x.grad == 1


def test_a_0d_tensor_is_not_iterable_for_numpy():
    assert not np.iterable(Tensor(1.0)) and np.iterable(Tensor([1.0]))
    with pytest.raises(DTypeError, match=r"nothing to iterate over; \.item"):
        iter(Tensor(1.0))


def test_tensors_where_python_wants_an_integer():
    t, i = Tensor([1.0, 5.0, 2.0]), Tensor(np.array([0, 1, 2]))
    assert int(t.argmax()) == 1 and [10, 20, 30][t.argmax()] == 20 and list(range(i[2])) == [0, 1]
    assert int(Tensor(2.7)) == 2
    with pytest.raises(TypeError, match=r"an index is an integer, this Tensor is float32; use int\(x\)"):
        [10, 20][Tensor(1.0)]


def test_membership_and_comparison_with_none():
    t = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert 2.0 in t and Tensor(2.0) in t and 5.0 not in t
    assert (t == None) is False and (t != None) is True  # noqa: E711
    assert (mg.Value(1.0) == None) is False  # noqa: E711


def test_a_negative_number_to_the_power_of_a_tensor():
    x = Tensor([2.0, 3.0], requires_grad=True)
    y = (-2.0) ** x
    y.sum().backward()
    assert y.tolist() == [4, -8] and np.isnan(x.grad).all()  # as in PyTorch


@pytest.mark.parametrize("data", [Series(1, 2), Series(1, 2, dtype=object)])
def test_data_of_other_libraries_as_operand_and_target(data):
    x = Tensor([1.0, 4.0])
    if data.values.dtype == object:
        for call in (lambda: x + data, lambda: mg.mse_loss(x, data)):
            with pytest.raises(DTypeError, match="a Tensor holds floats, integers or booleans, not object"):
                call()
    else:
        assert (x + data).tolist() == [2, 6] and mg.mse_loss(x, data).item() == 2
        assert mg.cross_entropy(Tensor(np.zeros((2, 3), "float32")), data).item() == pytest.approx(math.log(3))


@pytest.mark.parametrize("kind", ["Int64", "Float64", "category", "int64"])
def test_columns_of_pandas(kind):
    pandas = pytest.importorskip("pandas")
    column, x = pandas.Series([1, 2], dtype=kind), Tensor([1.0, 4.0])
    assert (x * column).tolist() == [1, 8] and mg.mse_loss(x, column).item() == 2


def test_cells_without_gates():
    spec = {"input_gate": False, "forget_gate": False, "output_gate": False}
    for biases in ((), ("gates",), ("cells", "gates")):
        lstm = nn.LSTM(2, 3, spec=mg.nn.rnn.CellSpec(**spec, biases=biases), rng=0)
        assert lstm(np.ones((4, 2, 2), "float32"))[0].shape == (4, 2, 3)
        assert (lstm.bias_l0 is None) is ("cells" not in biases)
    with pytest.raises(OptionError, match="gate_recurrence='all' feeds gates, and this cell has none"):
        mg.nn.rnn.CellSpec(**spec, gate_recurrence="all")


def test_settings_by_position():
    x = Tensor([[1.0, 5.0, 2.0], [4.0, 0.0, 3.0]])
    assert mg.sum(x, 0).tolist() == [5, 5, 5] and mg.sum(x, 1, True).shape == (2, 1)
    assert mg.sum(x.data, 0).tolist() == [5, 5, 5]
    assert np.array_equal(mg.softmax(x, 0).data, mg.softmax(x, axis=0).data)
    assert mg.reshape(x, (3, 2)).shape == (3, 2) and mg.argmax(x, 1).tolist() == [1, 0]
    with pytest.raises(DTypeError):
        mg.sum(x, 0, True, 3)


def test_gather_in_the_order_of_pytorch_says_what_to_write():
    x, i = Tensor([[1.0, 2.0]]), np.array([[1]])
    assert mg.gather(x, i, 1).tolist() == [[2.0]]
    with pytest.raises(DTypeError, match=r"write gather\(x, indices, axis\)"):
        mg.gather(x, 1, i)


def test_joining_nothing_and_joining_numbers():
    for join in (mg.concatenate, mg.stack):
        with pytest.raises(ShapeError, match=f"{join.__name__}: there is nothing to join"):
            join([])
    assert mg.stack([1.0, 2.0]).tolist() == [1, 2] and mg.concatenate([[1.0], [2.0]]).tolist() == [1, 2]
    assert mg.stack([1.0, Tensor(2.0)]).tolist() == [1, 2]


def test_integers_to_negative_powers():
    i, j = Tensor(np.array([2, 4])), Tensor(np.array([-1, 1]))
    assert (i**-1).tolist() == [0.5, 0.25] and (2**j).tolist() == [0.5, 2]
    assert (i**j).tolist() == [0.5, 4] and (i**2).dtype == "int64"


def test_a_number_that_a_small_integer_cannot_hold():
    with pytest.raises(DTypeError, match=r"add: .*-3.*uint8; cast the Tensor first"):
        Tensor(np.array([5], "uint8")) + (-3)


def test_a_state_kept_across_batches_names_its_remedy():
    h = Tensor([1.0], requires_grad=True)
    y = h * 2
    y.sum().backward()
    with pytest.raises(GraphError, match=r"\.detach\(\) a state kept across batches"):
        (y * 2).sum().backward()


class BFloat16:
    """A tensor of PyTorch in bfloat16, of which NumPy knows nothing."""

    dtype = "torch.bfloat16"

    def __init__(self, data):
        self.data = data

    def float(self):
        return np.asarray(self.data, "float32")

    def numpy(self):
        raise TypeError("Got unsupported ScalarType BFloat16")


def test_a_checkpoint_in_bfloat16():
    from minigrad.io import from_torch

    lstm = nn.LSTM(2, 3, rng=0)
    state = {
        "weight_ih_l0": BFloat16(np.ones((12, 2))),
        "weight_hh_l0": BFloat16(np.ones((12, 3))),
        "bias_ih_l0": BFloat16(np.ones(12)),
        "bias_hh_l0": BFloat16(np.ones(12)),
    }
    lstm.load_state_dict(from_torch(state))
    assert lstm.bias_l0.tolist() == [2.0] * 12 and lstm.weight_hh_l0.dtype == "float32"
    ml_dtypes = pytest.importorskip("ml_dtypes")
    assert from_torch({"w": np.ones(2, ml_dtypes.bfloat16)})["w"].dtype == "float32"


def test_numpy_functions_where_no_gradient_can_be_lost():
    x, w = Tensor([3.0, math.nan, 1.0]), Tensor([1.0], requires_grad=True)
    assert np.isnan(x).tolist() == [False, True, False] and np.argsort(x).tolist() == [2, 0, 1]
    assert np.allclose(x, x, equal_nan=True) and np.round(Tensor([1.4]), 0).tolist() == [1]
    assert np.unique(Tensor([2, 1, 2])).tolist() == [1, 2] and np.zeros_like(x).tolist() == [0, 0, 0]
    assert np.add.reduce(Tensor([1.0, 2.0])) == 3 and np.column_stack([x, x]).shape == (3, 2)
    for call in (lambda: np.isnan(w), lambda: np.argsort(w), lambda: np.column_stack([x[:1], w])):
        with pytest.raises(DTypeError, match="no counterpart"):
            call()
