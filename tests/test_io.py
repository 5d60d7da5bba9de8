"""io: checkpoints that come back whole or not at all, and weights to and from PyTorch."""

import os
import random
import stat
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import minigrad as mg
from minigrad import io, nn, optim
from minigrad.errors import DTypeError, MinigradError, ShapeError
from minigrad.io import CheckpointError, from_torch, load, save, to_torch


class Net(nn.Module):
    def __init__(self, seed=0, dtype=None, hidden=3):
        rng = np.random.default_rng(seed)
        self.embed = nn.Embedding(6, 4, rng=rng, dtype=dtype)
        self.drop = nn.Dropout(0.5, rng=rng)
        self.layers = [nn.RNN(4, hidden, rng=rng, dtype=dtype), nn.Dropout(0.2, rng=seed + 1)]
        self.out = nn.Linear(hidden, 6, rng=rng, dtype=dtype)
        self.scale = nn.Parameter(1.0, dtype)

    def forward(self, tokens):
        h, _ = self.layers[0](self.drop(self.embed(tokens)))
        return self.out(self.layers[1](h)) * self.scale


OPTIMIZERS = {
    "SGD": lambda params: optim.SGD(params, lr=0.1, momentum=0.9, nesterov=True),
    "RMSprop": lambda params: optim.RMSprop(params, lr=0.03),
    "Adam": lambda params: optim.Adam(params, lr=0.05, betas=(0.8, 0.99)),
    "AdamW": lambda params: optim.AdamW(params, lr=0.05, weight_decay=0.1),
}


def train(net, optimizer, count, seed):
    losses, rng = [], np.random.default_rng(seed)
    for _ in range(count):
        tokens = rng.integers(0, 6, 8)
        optimizer.zero_grad()
        loss = mg.cross_entropy(net(tokens[:-1]), tokens[1:])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def everything(net, optimizer):
    """All that a checkpoint restores, to compare."""
    arrays = {**net.state_dict(), **{f"optimizer {name}": x for name, x in optimizer.state_dict().items()}}
    return {name: (np.shape(x), np.asarray(x).tobytes()) for name, x in arrays.items()}, repr(net.rng_state())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


@pytest.fixture
def saved(path):
    net = Net()
    optimizer = OPTIMIZERS["Adam"](net.parameters())
    train(net, optimizer, 3, seed=1)
    save(path, net, optimizer, epoch=3)
    return path


# --- save and load ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_restored_run_goes_on_as_if_never_interrupted(path, kind, dtype):
    net = Net(dtype=dtype)
    optimizer = OPTIMIZERS[kind](net.parameters())
    train(net, optimizer, 3, seed=1)
    optimizer.lr *= 1 / 3  # a setting that a schedule has changed
    metadata = {"epoch": 3, "losses": [0.1, float("inf")], "note": "naïve ☂", "best": None, "by": {"a": [1, {}]}}
    save(path, net, optimizer, **metadata)
    right = train(net, optimizer, 4, seed=2)
    twin = Net(seed=7, dtype=dtype)
    other = OPTIMIZERS[kind](twin.parameters())
    assert load(path, twin, other) == metadata
    assert train(twin, other, 4, seed=2) == right
    assert everything(twin, other) == everything(net, optimizer)
    assert type(other.state_dict()["lr"]) is float


def test_weights_alone(path, saved):
    net = Net(seed=5)
    optimizer = OPTIMIZERS["SGD"](net.parameters())
    before = everything(net, optimizer)
    assert load(path, net) == {"epoch": 3}  # what the file holds of an optimiser is left out
    arrays = load_file(path)
    for name, x in net.state_dict().items():  # any reader of safetensors finds the weights by name
        np.testing.assert_array_equal(x, arrays[name])
    assert {k: v for k, v in everything(net, optimizer)[0].items() if "optimizer" in k} == {
        k: v for k, v in before[0].items() if "optimizer" in k
    }
    save(path, net)
    assert load(path, Net(seed=6)) == {}
    assert set(load_file(path)) == set(net.state_dict())


@pytest.mark.parametrize("generator", ["PCG64", "MT19937", "Philox", "SFC64"])
def test_every_kind_of_generator_goes_along(path, generator):
    def noisy(seed):
        return nn.Dropout(0.5, rng=np.random.Generator(getattr(np.random, generator)(seed)))

    one, two, x = noisy(1), noisy(2), np.ones(50, "float32")
    one(x)
    save(path, one)
    load(path, two)
    np.testing.assert_array_equal(one(x).data, two(x).data)


def test_arrays_are_stored_by_value_whatever_their_layout(path):
    layer = nn.Linear(3, 2)
    layer.weight.data = np.arange(6, dtype="float32").reshape(3, 2).T
    layer.bias.data = np.array([1, 2], ">f4")
    save(path, layer)
    other = nn.Linear(3, 2)
    load(path, other)
    np.testing.assert_array_equal(other.weight.data, [[0, 2, 4], [1, 3, 5]])
    np.testing.assert_array_equal(other.bias.data, [1, 2])
    load(path, layer)


def test_weights_under_two_names_stay_one(path):
    def tied():
        net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        net[1].weight = net[0].weight
        return net

    one, two = tied(), tied()
    save(path, one, optim.Adam(one.parameters()))
    load(path, two, optim.Adam(two.parameters()))
    assert two[0].weight is two[1].weight
    np.testing.assert_array_equal(one[0].weight.data, two[0].weight.data)


def test_metadata_takes_numpys_numbers_and_refuses_what_json_does_not_hold(path):
    net = nn.Linear(2, 2)
    save(path, net, loss=np.float32(0.5), step=np.int64(3), curve=np.arange(2.0), shape=(1, 2))
    assert load(path, net) == {"loss": 0.5, "step": 3, "curve": [0.0, 1.0], "shape": [1, 2]}
    before = path.read_bytes()
    circle = []
    circle.append(circle)
    for wrong in (object(), {1, 2}, 1j, circle):
        with pytest.raises(DTypeError, match="metadata"):
            save(path, net, wrong=wrong)
    assert path.read_bytes() == before


# --- files that do not fit -------------------------------------------------------------------------------------------


def refused(path, net, optimizer, *words):
    before = everything(net, optimizer)
    with pytest.raises(CheckpointError) as error:
        load(path, net, optimizer)
    assert isinstance(error.value, MinigradError)
    for word in (str(path), *words):
        assert word in str(error.value)
    assert everything(net, optimizer) == before


@pytest.fixture
def target():
    net = Net(seed=3)
    return net, OPTIMIZERS["Adam"](net.parameters())


def test_no_bit_of_a_file_can_change_unnoticed(saved, target):
    whole, draw = saved.read_bytes(), random.Random(0)
    for k in range(len(whole)):
        damaged = bytearray(whole)
        damaged[k] ^= 1 << draw.randrange(8)
        saved.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"damaged|no checkpoint"):
            load(saved, *target)
    saved.write_bytes(damaged)
    refused(saved, *target, "damaged", "take an older copy")


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_truncated_file(saved, target, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    refused(saved, *target, "is damaged, or no safetensors file", "take an older copy")


def test_a_foreign_file(path, target):
    path.write_text("a text of some length, and nothing else")
    refused(path, *target, "no safetensors file")
    save_file({"weight": np.ones(2)}, path)
    refused(path, *target, "no checkpoint that this minigrad wrote", "from_torch")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=path.name):
        load(path, *target)


def test_another_model_or_optimizer(saved, target):
    net, optimizer = target
    refused(saved, Net(seed=3), OPTIMIZERS["AdamW"](net.parameters()), "holds Adam, not AdamW")
    larger = Net(hidden=4)
    refused(saved, larger, OPTIMIZERS["Adam"](larger.parameters()), "weight_hh_l0 has shape (3, 3), not (4, 4)")
    wide = Net(dtype="float64")
    refused(saved, wide, OPTIMIZERS["Adam"](wide.parameters()), "out.bias is float32, not float64", "Build the model")
    net.more = nn.Parameter(1.0)
    del net.scale
    refused(saved, net, optimizer, "missing more; unexpected scale")
    other = Net()
    refused(saved, other, optim.Adam([other.scale]), "unexpected mean.1", "mean.0 has shape (6, 4), not ()")
    quiet = Net()
    quiet.drop = None
    refused(saved, quiet, OPTIMIZERS["Adam"](quiet.parameters()), "unexpected drop.rng")
    quiet.drop = nn.Dropout(rng=np.random.Generator(np.random.MT19937(1)))
    refused(saved, quiet, OPTIMIZERS["Adam"](quiet.parameters()), "drop.rng", "MT19937")


def test_a_file_without_the_optimizer(path, target):
    save(path, target[0])
    refused(path, *target, "holds no optimiser, not Adam", "for the weights alone")


def test_an_optimizers_dtype_and_settings_are_checked_before_anything_changes(path):
    net, other = Net(), Net(seed=4)
    optimizer = OPTIMIZERS["Adam"](net.parameters())
    optimizer.mean[0] = optimizer.mean[0].astype("float64")
    save(path, net, optimizer)
    refused(path, other, OPTIMIZERS["Adam"](other.parameters()), "mean.0 is float64, not float32")
    optimizer = OPTIMIZERS["Adam"](net.parameters())
    optimizer.lr = float("nan")  # refused last, when the generators have their new states
    save(path, net, optimizer)
    refused(path, other, OPTIMIZERS["Adam"](other.parameters()), "lr must be")


# --- one step ---------------------------------------------------------------------------------------------------------

SAVER = """
import sys
import numpy as np
from minigrad import nn
from minigrad.io import save
net = nn.Linear(1000, 1000)
for k in range(int(sys.argv[2]), 10**6):
    net.weight.data = np.full((1000, 1000), k, "float32")
    save(sys.argv[1], net, k=k)
    print(k, flush=True)
"""


def test_a_process_killed_while_it_saves_leaves_a_whole_file(path):
    net, k, draw = nn.Linear(1000, 1000), -1, random.Random(0)
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", SAVER, path, str(k + 1)], stdout=subprocess.PIPE)
        first = process.stdout.readline()
        time.sleep(draw.uniform(0, 0.05))
        process.kill()
        reported = [first, *process.communicate()[0].splitlines()]
        k = load(path, net)["k"]
        assert k >= int(reported[-1]) and (net.weight.data == k).all()


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(saved, monkeypatch, step):
    before = saved.read_bytes()

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        save(saved, Net(seed=2))
    assert saved.read_bytes() == before and os.listdir(saved.parent) == [saved.name]


def test_the_content_is_on_the_disk_before_it_takes_the_name(path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def note(*args, name=name, real=real):
            partial = next(file for file in path.parent.iterdir() if file != path)
            calls.append((name, partial.stat().st_size))
            return real(*args)

        monkeypatch.setattr(os, name, note)
    save(path, Net())
    size = path.stat().st_size
    assert calls == [("fsync", size), ("replace", size)]


@pytest.mark.skipif(os.name != "posix", reason="links and modes are POSIX's")
def test_links_are_followed_and_others_may_read(path, monkeypatch):
    link = path.with_name("latest")
    link.symlink_to(path)
    save(link, nn.Linear(2, 2), k=1)
    assert link.is_symlink() and load(path, nn.Linear(2, 2)) == {"k": 1}
    usual = path.with_name("usual")
    usual.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)


def test_the_library_is_imported_when_it_is_needed():
    script = """
import sys
sys.modules["safetensors"] = sys.modules["torch"] = None  # as if not installed
from minigrad import io, nn
try:
    io.save("nowhere", nn.Linear(2, 2))
except io.MissingLibraryError as error:
    assert isinstance(error, ImportError) and "pip install safetensors" in str(error), error
else:
    raise AssertionError
io.from_torch(io.to_torch(nn.RNN(2, 3).state_dict()))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


# --- PyTorch ---------------------------------------------------------------------------------------------------------


def torch_layer(gates, inputs, hidden, prefix="", layers=1, directions=1, bias=True, seed=0, wrap=np.asarray):
    """A state_dict as torch.nn.RNN (1 gate), GRU (3) or LSTM (4) has it, in its order."""
    rng, state = np.random.default_rng(seed), {}
    for k in range(layers):
        for suffix in ("", "_reverse")[:directions]:
            width, rows = hidden * directions if k else inputs, gates * hidden
            shapes = {"weight_ih": (rows, width), "weight_hh": (rows, hidden), "bias_ih": (rows,), "bias_hh": (rows,)}
            for name, shape in shapes.items():
                if bias or "bias" not in name:
                    state[f"{prefix}{name}_l{k}{suffix}"] = wrap(rng.standard_normal(shape).astype("float32"))
    return state


class FakeTensor:
    """What of torch.Tensor the conversion may use, in its order: numpy() refuses a tensor that requires a gradient."""

    def __init__(self, x, attached=True, device="cuda"):
        self.x, self.attached, self.device = x, attached, device

    def detach(self):
        return FakeTensor(self.x, False, self.device)

    def cpu(self):
        return FakeTensor(self.x, self.attached, "cpu")

    def numpy(self):
        assert not self.attached and self.device == "cpu"
        return self.x


def same(a, b):
    assert list(a) == list(b)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], strict=True, err_msg=name)


@pytest.mark.parametrize("wrap", [np.asarray, FakeTensor, mg.Tensor], ids=lambda wrap: wrap.__name__)
def test_two_biases_become_one(wrap):
    state = torch_layer(4, 2, 3, "encoder.rnn.", layers=2, directions=2)
    state |= {"out.weight": np.ones((2, 3), "float32"), "out.bias": np.ones(2, "float32"), "n": np.array(3)}
    ours = from_torch({name: wrap(x) for name, x in state.items()})
    assert len(ours) == 4 * 3 + 3
    for place in ("l0", "l0_reverse", "l1", "l1_reverse"):
        for name in ("encoder.rnn.weight_ih_", "encoder.rnn.weight_hh_"):
            np.testing.assert_array_equal(ours[name + place], state[name + place])
        b_ih, b_hh = state[f"encoder.rnn.bias_ih_{place}"], state[f"encoder.rnn.bias_hh_{place}"]
        np.testing.assert_array_equal(ours[f"encoder.rnn.bias_{place}"], b_ih + b_hh, strict=True)
    same({k: ours[k] for k in ("out.weight", "out.bias", "n")}, {k: state[k] for k in ("out.weight", "out.bias", "n")})
    assert not any(np.shares_memory(x, y) for x in ours.values() for y in state.values())


def test_the_candidates_bias_of_a_gru_stays_apart():
    state = torch_layer(3, 2, 2)
    ours = from_torch(state)
    assert list(ours) == ["weight_ih_l0", "weight_hh_l0", "bias_l0", "bias_hn_l0"]
    b_ih, b_hh = state["bias_ih_l0"], state["bias_hh_l0"]
    np.testing.assert_array_equal(ours["bias_l0"], [*(b_ih + b_hh)[:4], *b_ih[4:]])
    np.testing.assert_array_equal(ours["bias_hn_l0"], b_hh[4:])
    # The whole step, as PyTorch's documentation has it, with either set of biases.
    x, h = np.array([0.3, -1.0]), np.array([0.2, 0.7])

    def gru(W, R, b_ih, b_hh):
        (r, z, n), (hr, hz, hn) = np.split(W @ x + b_ih, 3), np.split(R @ h + b_hh, 3)
        r, z = 1 / (1 + np.exp(-r - hr)), 1 / (1 + np.exp(-z - hz))
        return (1 - z) * np.tanh(n + r * hn) + z * h

    np.testing.assert_allclose(gru(*to_torch(ours).values()), gru(*state.values()), rtol=1e-6)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("gates", [1, 3, 4])
def test_there_and_back(gates, bias):
    ours = from_torch(torch_layer(gates, 2, 3, "a.", layers=3, directions=2, bias=bias))
    theirs = to_torch(ours)
    example = torch_layer(gates, 2, 3, "a.", layers=3, directions=2, bias=bias)
    assert {k: x.shape for k, x in theirs.items()} == {k: x.shape for k, x in example.items()}
    assert list(theirs) == list(example)
    same(from_torch(theirs), ours)
    for name, x in theirs.items():
        if "bias_hh" in name:
            assert not x[: 2 * len(x) // 3 if gates == 3 else None].any()


@pytest.mark.parametrize("bias", [True, False])
def test_an_rnn_computes_the_same_from_both(bias):
    state = torch_layer(1, 2, 3, bias=bias)
    layer, x = nn.RNN(2, 3, bias=bias), np.random.default_rng(1).standard_normal((5, 2)).astype("float32")
    layer.load_state_dict(from_torch(state))
    for weights in (state, to_torch(layer.state_dict())):
        W, R, *biases = weights.values()
        h = np.zeros(3)
        for x_t, y_t in zip(x, layer(x)[0].data, strict=True):
            h = np.tanh(W @ x_t + R @ h + sum(biases))
            np.testing.assert_allclose(y_t, h, rtol=1e-5, atol=1e-6)


def without(state, name):
    return {k: x for k, x in state.items() if k != name}


GRU = from_torch(torch_layer(3, 2, 2))


@pytest.mark.parametrize(
    "convert, state, words",
    [
        (to_torch, {"rnn.peephole_l1_reverse": np.ones((3, 2))}, ["rnn.peephole_l1_reverse", "peepholes", "lacks"]),
        (from_torch, {"weight_hr_l0": np.ones((2, 3))}, ["weight_hr_l0", "proj_size"]),
        (from_torch, without(torch_layer(4, 2, 2), "bias_hh_l0"), ["bias_ih_l0 needs bias_hh_l0"]),
        (from_torch, without(torch_layer(4, 2, 2), "bias_ih_l0"), ["bias_hh_l0 needs bias_ih_l0"]),
        (from_torch, without(torch_layer(4, 2, 2), "weight_hh_l0"), ["bias_ih_l0 needs weight_hh_l0"]),
        (from_torch, torch_layer(2, 2, 2), ["weight_hh_l0 has shape (4, 2)", "LSTM (4 H, H)"]),
        (from_torch, torch_layer(4, 2, 2) | {"bias_ih_l0": np.ones(1)}, ["bias_ih_l0 (1,)"]),
        (from_torch, torch_layer(4, 2, 2) | {"bias_hh_l0": np.ones(1)}, ["bias_hh_l0 (1,)"]),
        (to_torch, without(GRU, "bias_hn_l0"), ["bias_l0 needs bias_hn_l0"]),  # an LSTM with coupled gates
        (to_torch, without(GRU, "bias_l0"), ["bias_hn_l0 needs bias_l0"]),
        (to_torch, without(GRU, "weight_hh_l0"), ["bias_l0 needs weight_hh_l0"]),
        (to_torch, GRU | {"bias_hn_l0": np.ones(1)}, ["bias_hn_l0 has shape (1,), not (2,)"]),
    ],
)
def test_what_has_no_counterpart_is_named(convert, state, words):
    with pytest.raises(ShapeError) as error:
        convert(state)
    for word in (convert.__name__, *words):
        assert word in str(error.value)


def test_a_file_of_pytorchs_weights_is_read_as_the_error_says(path):
    save_file(torch_layer(1, 2, 3), path)
    layer = nn.RNN(2, 3)
    with pytest.raises(CheckpointError) as error:
        load(path, layer)
    advice = str(error.value).split(": ")[-1]
    import safetensors.numpy

    eval(advice, {"module": layer, "from_torch": from_torch, "safetensors": safetensors, "path": path})
    np.testing.assert_array_equal(layer.weight_ih_l0.data, torch_layer(1, 2, 3)["weight_ih_l0"])


def test_the_record_is_one_line_of_json(saved):
    import json

    with safe_open(saved, framework="numpy") as file:
        record = json.loads(file.metadata()[io.KEY])
    assert record["optimizer"] == "Adam" and record["metadata"] == {"epoch": 3}
