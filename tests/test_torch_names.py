"""Names and settings of PyTorch: the same here, or an error that says what to write; the book's page says no less."""

import math
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, nn, optim
from minigrad.errors import OptionError, ShapeError
from minigrad.torch_names import MODULE, NN, TENSOR

PAGE = (Path(__file__).parents[1] / "book/coming-from-pytorch.md").read_text("utf8")
# what 136 public scripts with recurrent networks use
PORTED = {
    "a Tensor": "view unsqueeze cpu float numel contiguous topk permute repeat long pow masked_fill flatten clone bmm "
    "expand all",
    "minigrad": "save zeros manual_seed cat load randn ones from_numpy multinomial arange tensor",
    "minigrad.nn": "functional utils ReLU NLLLoss ModuleList LogSoftmax LayerNorm Tanh Sigmoid LSTMCell GRUCell",
}
OWNERS = {"a Tensor": (Tensor([1.0]), TENSOR), "minigrad": (mg, MODULE), "minigrad.nn": (nn, NN)}


@pytest.mark.parametrize(("owner", "name"), [(owner, name) for owner in PORTED for name in PORTED[owner].split()])
def test_a_name_of_a_ported_script_is_there_or_says_what_to_write(owner, name):
    thing, table = OWNERS[owner]
    assert hasattr(thing, name) != (name in table)
    if name in table:
        with pytest.raises(
            AttributeError, match=re.escape(f"{owner} has no '{name}'; write {table[name]}".replace("`", ""))
        ):
            getattr(thing, name)


@pytest.mark.parametrize("owner", OWNERS)
def test_no_name_with_a_remedy_is_there_and_others_get_none(owner):
    thing, table = OWNERS[owner]
    assert [name for name in table if hasattr(thing, name)] == []
    with pytest.raises(AttributeError, match=f"{owner} has no 'no_such_name'$"):
        thing.no_such_name  # noqa: B018


def test_both_names_of_an_axis():
    x = Tensor(np.arange(24.0).reshape(2, 3, 4), requires_grad=True)
    for name in ("sum", "mean", "max", "min", "logsumexp"):
        for call in (getattr(x, name), lambda name=name, **how: getattr(mg, name)(x, **how)):
            assert np.array_equal(call(dim=1, keepdim=True).data, getattr(x, name)(axis=1, keepdims=True).data)
    for name in ("softmax", "log_softmax", "argmax"):
        assert np.array_equal(getattr(x, name)(dim=1).data, getattr(x, name)(axis=1).data)
    assert mg.cumsum(x, dim=1).shape == x.shape
    x.sum(dim=(0, 2)).sum().backward()
    assert (x.grad == 1).all()


def test_pytorchs_names_of_shapes():
    x = Tensor(np.arange(24.0).reshape(2, 3, 4))
    assert x.view(6, 4).shape == x.view((6, 4)).shape == (6, 4) and x.view(-1).shape == (24,)
    assert x.permute(2, 0, 1).shape == (4, 2, 3) and x.unsqueeze(1).shape == (2, 1, 3, 4)
    assert x.unsqueeze(-1).shape == (2, 3, 4, 1) and mg.cat([x, x], dim=-1).shape == (2, 3, 8)
    assert x.flatten().shape == (24,) and x.flatten(1).shape == (2, 12) and x.flatten(0, 1).shape == (6, 4)
    assert Tensor(1.0).flatten().shape == (1,)
    assert mg.tensor([1.0, 2.0], requires_grad=True).requires_grad and mg.tensor.Tensor is Tensor


def test_activations_and_a_list_of_layers():
    x = Tensor([-1.0, 0.5])
    for layer, function in ((nn.ReLU(), mg.relu), (nn.Tanh(), mg.tanh), (nn.Sigmoid(), mg.sigmoid)):
        assert np.array_equal(layer(x).data, function(x).data)
    layers = nn.ModuleList([nn.Linear(2, 3, rng=0)]).append(nn.Tanh()).append(nn.Linear(3, 1, rng=0))
    assert list(dict(layers.named_parameters())) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert len(layers) == 3 and isinstance(layers[1], nn.Tanh)
    for layer in layers:
        x = layer(x)
    assert x.shape == (1,)


def test_layer_norm():
    norm, x = nn.LayerNorm((3, 4), dtype="float64"), np.random.default_rng(0).normal(2, 3, (5, 3, 4))
    y = norm(Tensor(x)).data
    assert y.mean(axis=(1, 2)) == pytest.approx(np.zeros(5), abs=1e-12)
    assert y.var(axis=(1, 2)) == pytest.approx(1 / (1 + 1e-5 / x.var(axis=(1, 2))))
    mg.gradcheck(lambda x, w, b: (vars(norm).update(weight=w, bias=b), norm(x))[1], [x[:1], norm.weight, norm.bias])
    with pytest.raises(ShapeError, match=r"its last axes must be \(3, 4\)"):
        norm(Tensor(x.transpose(0, 2, 1)))
    with pytest.raises(OptionError):
        nn.LayerNorm(0)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_reductions_of_losses(reduction):
    rng = np.random.default_rng(0)
    x, t = Tensor(rng.standard_normal((2, 3, 4))), rng.integers(4, size=(2, 3))
    reduce = {"mean": np.mean, "sum": np.sum, "none": lambda each: each}[reduction]
    p = np.exp(x.data) / np.exp(x.data).sum(axis=-1, keepdims=True)
    each = -np.log(np.take_along_axis(p, t[..., None], axis=-1))[..., 0]
    assert nn.CrossEntropyLoss(reduction=reduction)(x, t).data == pytest.approx(reduce(each))
    y = rng.random((2, 3, 4))
    assert nn.MSELoss(reduction=reduction)(x, y).data == pytest.approx(reduce((x.data - y) ** 2))
    q = 1 / (1 + np.exp(-x.data))
    each = -(y * np.log(q) + (1 - y) * np.log(1 - q))
    assert nn.BCEWithLogitsLoss(reduction=reduction)(x, y).data == pytest.approx(reduce(each))
    with pytest.raises(OptionError, match="reduction is 'mean', 'sum' or 'none', not 'batchmean'"):
        nn.MSELoss(reduction="batchmean")


def test_targets_that_do_not_count():
    x = Tensor(np.random.default_rng(0).standard_normal((4, 3)), requires_grad=True)
    t = np.array([0, -100, 2, -100])
    loss = nn.CrossEntropyLoss(ignore_index=-100)
    assert loss(x, t).item() == pytest.approx(mg.cross_entropy(x[[0, 2]], t[[0, 2]]).item())
    loss(x, t).backward()
    assert (x.grad[[1, 3]] == 0).all() and (x.grad[[0, 2]] != 0).any()
    each = nn.CrossEntropyLoss(reduction="none", ignore_index=-100)(x, t)
    assert each.data[[1, 3]].tolist() == [0, 0] and each.data.sum() == pytest.approx(2 * loss(x, t).item())
    with pytest.raises(OptionError, match="every target is ignore_index=-100"):
        loss(x, np.full(4, -100))


def test_a_row_of_padding_is_zero_and_does_not_learn():
    layer = nn.Embedding(5, 3, padding_idx=0, rng=0)
    y = layer(Tensor(np.array([[0, 1], [2, 0]])))
    assert (y.data[0, 0] == 0).all() and (y.data[0, 1] != 0).any()
    y.sum().backward()
    assert layer.weight.grad[:3].tolist() == [[0] * 3, [1] * 3, [1] * 3]
    with pytest.raises(OptionError, match="padding_idx=5 lies outside 0 to 4"):
        nn.Embedding(5, 3, padding_idx=5)


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_examples_of_the_page_run_and_print_what_they_say():
    names = {}
    for source in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        printed = StringIO()
        with redirect_stdout(printed):
            exec(source, names)
        assert printed.getvalue().splitlines() == re.findall(r"print\(.*\)  # (.*)", source)


@pytest.mark.parametrize(("prefix", "table"), [("x.", TENSOR), ("torch.", MODULE), ("nn.", NN)])
def test_the_page_has_every_name_with_its_remedy(prefix, table):
    part = PAGE.split("<!-- names -->")[1]
    rows = dict(re.findall(rf"^\| `{re.escape(prefix)}(\w+)` \| (.*) \|$", part, re.MULTILINE))
    assert rows == table


def test_the_other_meanings_that_the_page_names():
    x = Tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    assert x.std().item() == pytest.approx(np.std(x.data)) and x.var(ddof=1).item() == pytest.approx(3.5)
    assert len(mg.split(x, 3)) == 3 and [len(p) for p in mg.split(x, range(2, 3, 2))] == [2, 1]
    assert isinstance(x.max(axis=0), Tensor) and mg.equal(x, x).shape == (3, 2)
    assert isinstance(mg.grad(x.sum(), x), Tensor) and isinstance(mg.grad(x.sum(), [x]), tuple)
    assert mg.cross_entropy(Tensor(np.zeros((2, 5, 3))), np.zeros((2, 5), int)).item() == pytest.approx(math.log(3))
    assert mg.tensor([1, 2]).dtype == "float32" and mg.tensor(np.array([1, 2])).dtype == "int64"
    for call in (lambda: optim.SGD([x], 0.1, 0.9, 0.5), lambda: nn.Embedding(3, 2, 0)):
        with pytest.raises(TypeError):
            call()
