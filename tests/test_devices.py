"""Devices: what moves and what does not, what is refused, and how often the host waits; on the stand-in for CuPy."""

import builtins
import operator
import pickle
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, cuda, nn, optim
from minigrad.errors import DeviceError, NonFiniteError, OutOfRangeError, ShapeError
from unrolled.standin import cupy as standin


@pytest.fixture
def gpu():
    with standin.installed() as found:
        yield found
    cuda.use_deterministic_algorithms(False)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


# --- where there is none ---------------------------------------------------------------------------------------------


def refused(device="cuda"):
    with pytest.raises(DeviceError) as error:
        Tensor([1.0]).to(device)
    return str(error.value)


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # as if it were not installed
    assert not cuda.is_available() and cuda.device_count() == 0
    assert 'pip install "unrolled[cuda13]"' in refused()
    with pytest.raises(DeviceError, match="CuPy is not installed"):
        nn.Linear(1, 1).to("cuda:1")


def test_a_package_that_cannot_be_imported_says_why(monkeypatch):
    real = builtins.__import__

    def broken(name, *rest):
        if name == "cupy":
            raise ImportError("libcublas.so.13: cannot open shared object file")
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(builtins, "__import__", broken)
    assert "cannot be imported: libcublas.so.13" in refused()


@pytest.mark.parametrize(
    ("driver", "fault", "words"),
    [
        (0, "InsufficientDriver", "no NVIDIA driver is"),
        (12040, "InsufficientDriver", "for CUDA 12.4"),
        (13000, "NoDevice", "sees no GPU"),
        (13000, None, "sees no GPU"),
    ],
)
def test_the_driver_and_the_device_are_asked_too(gpu, monkeypatch, driver, fault, words):
    def counted():
        if fault:
            raise gpu.CUDARuntimeError(f"cudaError{fault}: ...")
        return 0

    monkeypatch.setattr(gpu.runtime, "getDeviceCount", counted)
    monkeypatch.setattr(gpu.runtime, "driverGetVersion", lambda: driver)
    assert not cuda.is_available() and words in refused()


def test_names(gpu):
    assert Tensor([1.0], device="cuda").device == "cuda:0"
    assert Tensor([1.0], device="cuda:1").device == "cuda:1"
    assert Tensor([1.0], device="cuda").device == "cuda:0"  # whichever was in use last
    for name in ("cuda:2", "cuda:9"):
        assert "there are 2" in refused(name)
    for name in ("gpu", "cuda:", "cuda:-1", "CUDA", 0, "cuda:0 "):
        assert "'cpu', 'cuda', 'cuda:0'" in refused(name)


# --- what moves ------------------------------------------------------------------------------------------------------


def test_there_and_back(gpu):
    x = Tensor(normal(2, 3), requires_grad=True)
    y = x.to("cuda")
    assert y.device == "cuda:0" and y.to("cuda:0") is y and isinstance(y.data, gpu.ndarray)
    (y * y).sum().backward()
    np.testing.assert_array_equal(x.grad, 2 * x.data)  # the cotangent came back
    with pytest.raises(DeviceError, match=r"\.to\('cpu'\)\.numpy\(\)"):
        y.detach().numpy()
    np.testing.assert_array_equal(y.to("cpu").detach().numpy(), x.data)
    with pytest.raises(DeviceError):
        np.asarray(y.detach())
    assert "device='cuda:0'" in repr(y) and y.sum().item() == pytest.approx(x.data.sum(), rel=1e-5)


def test_a_tensor_keeps_the_device_of_its_data(gpu):
    x = Tensor([1.0, 2.0], device="cuda:1")
    assert Tensor(x).device == Tensor(x.data).device == "cuda:1" and Tensor(x, device="cpu").device == "cpu"
    with gpu.Device(1):
        x.data[0] = 5.0
        assert Tensor(x.data).tolist() == [5.0, 2.0]
        copy = Tensor(x.data)
        x.data[0] = 7.0
        assert copy.tolist() == [5.0, 2.0]


def test_nothing_moves_by_itself(gpu):
    x, there = Tensor(normal(2, 3)), Tensor(normal(2, 3), device="cuda")
    for call in (
        lambda: x + there,
        lambda: there @ x.T,
        lambda: there * normal(2, 3),
        lambda: normal(2, 3) + there,
        lambda: mg.where(np.ones((2, 3), bool), there, 0.0),
        lambda: mg.concatenate([there, x]),
        lambda: [1.0, 2.0, 3.0] * there,
        lambda: mg.mse_loss(there, x),
        lambda: (there * there.requires_grad_()).backward(x),
    ):
        with pytest.raises(DeviceError) as error:
            call()
        assert "cpu" in str(error.value) and "cuda:0" in str(error.value) and ".to(" in str(error.value)
    for call in (
        lambda: nn.Linear(3, 2).to("cuda")(x),
        lambda: nn.Linear(3, 2)(there),
        lambda: nn.LSTM(3, 2).to("cuda")(x),
        lambda: nn.LSTM(3, 2).to("cuda")(there.reshape(2, 1, 3), (Tensor(normal(1, 1, 2)), Tensor(normal(1, 1, 2)))),
        lambda: mg.embedding(Tensor(np.array([0])), there),
        lambda: mg.cross_entropy(there, Tensor(np.array([0, 1]))),
        lambda: there[Tensor(np.array([0]))],
        lambda: x[Tensor(np.array([0]), device="cuda")],
        lambda: Tensor([1.0], device="cuda") + Tensor([1.0], device="cuda:1"),
    ):
        with pytest.raises(DeviceError, match=r"cuda:0.*(cpu|cuda:1)|cpu.*cuda:0"):
            call()


def test_numbers_are_on_every_device(gpu):
    there = Tensor(normal(3), device="cuda")
    gpu.counts.clear()
    for y in (2 * there + 1, there / 2.0, 1 - there, there**2, mg.maximum(there, 0.0), mg.where(there > 0, there, 0.0)):
        assert y.device == "cuda:0" and y.dtype == np.float32
    assert (there * np.float64(2)).dtype == np.float32  # NumPy's scalars are weak here, too
    assert gpu.counts["to_host"] == gpu.counts["to_device"] == 0


def test_plain_data_follows_where_a_layer_a_loss_or_an_index_takes_it(gpu):
    net = nn.LSTM(3, 4, rng=0).to("cuda")
    output, (h, c) = net(normal(5, 2, 3))
    assert {output.device, h.device, c.device} == {"cuda:0"}
    assert net(normal(5, 2, 3), (normal(1, 2, 4), normal(1, 2, 4)))[0].device == "cuda:0"
    logits = Tensor(normal(4, 3), device="cuda")
    assert mg.cross_entropy(logits, np.array([0, 1, 2, 0])).device == "cuda:0"
    assert mg.cross_entropy(logits, [0, 1, 2, 0]).device == "cuda:0"
    assert mg.mse_loss(logits, normal(4, 3)).dtype == np.float32
    assert mg.mse_loss(logits, normal(4, 3).tolist()).dtype == np.float32
    assert mg.binary_cross_entropy_with_logits(logits, np.ones((4, 3))).device == "cuda:0"
    assert nn.Embedding(5, 2).to("cuda")(np.array([[1, 4]])).shape == (1, 2, 2)
    assert logits[np.array([0, 2])].shape == logits[[0, 2]].shape == (2, 3)


# --- bounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["cpu", "cuda"])
def test_indices_outside_are_refused_and_not_wrapped_round(gpu, where):
    table = Tensor(normal(4, 3), device="cuda")
    outside = np.array([0, 4]) if where == "cpu" else Tensor(np.array([0, 4]), device="cuda")
    with pytest.raises(OutOfRangeError, match=r"\[4\] among the indices, which lie in 0 to 3"):
        mg.embedding(outside, table)
    for call in (lambda: table[outside], lambda: table[:, outside], lambda: table[..., outside]):
        with pytest.raises(OutOfRangeError, match="among the indices"):
            call()
    with pytest.raises(OutOfRangeError):
        mg.gather(table, outside.reshape(2, 1), axis=0) if where == "cpu" else mg.gather(table.T, outside.reshape(1, 2))
    with pytest.raises(ShapeError, match="classes 0 to 2"):
        mg.cross_entropy(table, np.array([0, 1, 2, 3]))
    with pytest.raises(OutOfRangeError):
        table[7]
    assert table[[-1, -4]].tolist() == [table.tolist()[3], table.tolist()[0]]
    assert table[np.array([True, False, True, False])].shape == (2, 3)


# --- gradients of indexing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "index", [np.array([2, 0, 2, 2]), (np.array([1, 1, 3]), np.array([0, 0, 2])), (slice(None), np.array([1, 1]))]
)
def test_what_is_read_several_times_is_added_several_times(gpu, compiler, index, dtype, deterministic):
    cuda.use_deterministic_algorithms(deterministic)
    x = normal(4, 3).astype(dtype)
    weights = np.random.default_rng(1).standard_normal(x[index].shape).astype(dtype)
    found = []
    for device in ("cpu", "cuda"):
        leaf = Tensor(x, device=device, requires_grad=True)
        (leaf[index] * Tensor(weights, device=device)).sum().backward()
        found.append(Tensor(leaf.grad, device="cpu").data)
    np.testing.assert_allclose(*found, rtol=1e-6 if dtype == "float32" else 1e-14)


def test_a_fixed_order_is_that_of_the_positions(gpu, compiler):
    cuda.use_deterministic_algorithms(True)
    tokens = np.random.default_rng(2).integers(0, 3, 500)
    g = normal(500, 2, seed=3)
    table = Tensor(normal(3, 2), device="cuda", requires_grad=True)
    (mg.embedding(tokens, table) * Tensor(g, device="cuda")).sum().backward()
    right = np.zeros((3, 2), "float32")
    for token, row in zip(tokens, g, strict=True):  # one after the other
        right[token] += row
    np.testing.assert_array_equal(table.grad.get(), right)


# --- training --------------------------------------------------------------------------------------------------------

OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, 0.1),
    "momentum": lambda p: optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    "RMSprop": lambda p: optim.RMSprop(p, 0.01),
    "Adam": lambda p: optim.Adam(p, 0.01),
    "AdamW": lambda p: optim.AdamW(p, 0.01),
}


def train(net, optimizer, steps=5, seed=4):
    """Train on a batch drawn at every step; the same script whatever the device."""
    rng, losses = np.random.default_rng(seed), []
    for _ in range(steps):
        x, targets = rng.standard_normal((6, 4, 3)).astype("float32"), rng.integers(0, 2, (6, 4))
        output, _ = net[0](x)
        loss = mg.cross_entropy(net[1](output), targets)
        optimizer.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def network(device):
    net = nn.Sequential(nn.LSTM(3, 5, num_layers=2, dropout=0.2, rng=0), nn.Linear(5, 2, rng=1))
    return net.to(device)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_same_script_gives_the_same_curve(gpu, compiler, name):
    curves = []
    for device in ("cpu", "cuda"):
        net = network(device)
        curves.append(train(net, OPTIMIZERS[name](net.parameters())))
    np.testing.assert_allclose(*curves, rtol=2e-5)
    assert all(p.device == "cuda:0" and isinstance(p.grad, gpu.ndarray) for p in net.parameters())


def test_a_step_waits_for_four_numbers_and_sends_the_batch(gpu, compiler):
    net = nn.Sequential(nn.LSTM(3, 5, rng=0), nn.Linear(5, 2, rng=1)).to("cuda")
    optimizer = optim.Adam(net.parameters())
    train(net, optimizer, 1)
    gpu.counts.clear()
    train(net, optimizer, 1)
    # the check of the targets, the norm for clipping, the check for NaN, the loss; the inputs and the targets
    assert (gpu.counts["to_host"], gpu.counts["to_device"]) == (4, 2)


def test_a_step_of_an_optimiser_is_a_launch_a_parameter(gpu, compiler):
    net = nn.Linear(3, 2, rng=0).to("cuda")
    net(normal(4, 3)).sum().backward()
    optimizer = optim.Adam(net.parameters())
    optimizer.step()
    gpu.counts.clear()
    optimizer.step()
    assert gpu.counts["kernel"] == 2 and gpu.counts["to_device"] == 0


def test_an_optimiser_made_before_the_move_goes_on(gpu, compiler):
    losses = []
    for device in ("cpu", "cuda"):
        net = network("cpu")
        optimizer = optim.Adam(net.parameters(), 0.01)
        train(net, optimizer, 2)
        losses.append(train(net.to(device), optimizer, 3))
    np.testing.assert_allclose(*losses, rtol=2e-5)


def test_nan_and_its_place_are_found(gpu, compiler):
    net = nn.Linear(3, 2, rng=0).to("cuda")
    optimizer = optim.SGD(net.parameters(), 0.1)
    for p in net.parameters():
        p.grad = p.data * 0.0
    net.bias.grad = net.bias.grad + float("nan")
    with pytest.raises(NonFiniteError, match="parameter 1"):
        optimizer.step()
    with pytest.raises(NonFiniteError, match="holds a NaN"):
        optim.clip_grad_value_(net.parameters(), 1.0)
    with pytest.raises(NonFiniteError, match="the norm of the gradients is nan"):
        optim.clip_grad_norm_(net.parameters(), 1.0)
    with mg.detect_anomaly(), pytest.raises(NonFiniteError, match="log of shapes"):
        mg.log(Tensor([-1.0], device="cuda"))
    net.zero_grad()
    net(normal(4, 3)).sum().backward()
    optim.clip_grad_value_(net.parameters(), 0.01)
    assert float(max(gpu.abs(p.grad).max() for p in net.parameters())) == pytest.approx(0.01)


def test_checkpoints_travel_between_devices(gpu, compiler, tmp_path):
    from minigrad import io

    there, here = network("cuda"), network("cpu")
    optimizer = optim.Adam(there.parameters(), 0.01)
    train(there, optimizer, 2)
    io.save(tmp_path / "run.safetensors", there, optimizer)
    again = optim.Adam(here.parameters(), 0.01)
    io.load(tmp_path / "run.safetensors", here, again)
    np.testing.assert_allclose(train(there, optimizer, 2), train(here, again, 2), rtol=2e-5)
    third = network("cuda")
    third.load_state_dict(here.state_dict())
    assert {p.device for p in third.parameters()} == {"cuda:0"}


def test_what_looks_at_weights_from_outside(gpu, compiler, tmp_path):
    import matplotlib

    matplotlib.use("Agg")
    from minigrad import draw, io, onnx
    from minigrad.recurrent.bptt import checkpointed, truncated

    there, here = nn.LSTM(3, 4, rng=0).to("cuda"), nn.LSTM(3, 4, rng=0)
    for name, x in io.to_torch(there.state_dict()).items():
        np.testing.assert_array_equal(x, io.to_torch(dict(here.named_parameters()))[name])
    with pytest.raises(DeviceError, match=r"cuda:0.*\.to\('cpu'\)"):
        onnx.export_onnx(tmp_path / "net.onnx", there)
    x = Tensor([2.0], device="cuda", requires_grad=True)
    draw.graph((x * 3 + 1).tanh().sum())
    assert mg.hvp((x**3).sum(), x, [1.0]).tolist() == [12.0] and mg.hvp((x**3).sum(), x, np.ones(1)).device == "cuda:0"
    found = []
    for net in (there, here):
        sequence, start = Tensor(normal(9, 2, 3), device=net.weight_ih_l0.device), [None, None]
        start = tuple(Tensor(np.zeros((1, 2, 4), "float32"), device=sequence.device) for _ in range(2))
        output, _ = checkpointed(net, sequence, start)
        (output * output).sum().backward()
        for _, output, _ in truncated(net, sequence, 3, 3, start):
            (output * output).sum().backward()
        found.append([Tensor(p.grad, device="cpu").data for p in net.parameters()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_pickled_leaves_stay_numbers(gpu):
    x = Tensor(normal(3), device="cuda", requires_grad=True)
    y = pickle.loads(pickle.dumps(x))
    assert y.device == "cuda:0" and y.tolist() == x.tolist() and y.requires_grad


def test_fit_runs_as_it_is(gpu, compiler):
    from minigrad.train import fit

    curves = []
    for device in ("cpu", "cuda"):
        net = nn.Sequential(nn.GRU(2, 4, rng=0), nn.Linear(4, 1, rng=1)).to(device)
        history = fit(
            net,
            lambda x, y, net=net: mg.mse_loss(net[1](net[0](x)[0]), y),
            lambda rng: (rng.standard_normal((5, 3, 2)).astype("float32"), rng.standard_normal((5, 3, 1))),
            optim.Adam(net.parameters()),
            6,
            rng=0,
            progress=False,
        )
        curves.append(history.loss)
    np.testing.assert_allclose(*curves, rtol=2e-5)


# --- several GPUs ----------------------------------------------------------------------------------------------------


def test_a_model_over_two_gpus(gpu, compiler):
    """Whose turn it is changes forward and back; each operation runs where its operands are."""
    found = []
    for first, second in (("cpu", "cpu"), ("cuda:0", "cuda:1")):
        a, b = nn.LSTM(3, 4, rng=0).to(first), nn.Linear(4, 2, rng=1).to(second)
        optimizer = optim.Adam([*a.parameters(), *b.parameters()], 0.01)
        for _ in range(2):
            output, _ = a(normal(5, 2, 3))
            extra = (output * output).mean()
            loss = (b(output.to(second)) ** 2).mean() + extra.to(second)
            optimizer.zero_grad()
            loss.backward()
            optim.clip_grad_norm_(optimizer.params, 1.0)
            optimizer.step()
        found.append([Tensor(p.data, device="cpu").data for p in optimizer.params])
        assert {p.device for p in a.parameters()} == {first} and {p.device for p in b.parameters()} == {second}
    for x, y in zip(*found, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("order", [1, -1])
def test_gradients_add_up_where_they_lie(gpu, order):
    """Whose turn it was last says nothing of where a sweep begins, and where the uses of a node are summed."""
    w = Tensor(normal(2, 3), device="cuda:0", requires_grad=True)
    h = w * 2.0
    uses = (lambda: (h.T.to("cuda:1") * 3.0).sum().to("cuda:0"), lambda: (h * h).sum())
    first, second = (use() for use in uses[::order])
    loss = first + second
    Tensor([0.0], device="cuda:1") + 1.0
    loss.backward()
    np.testing.assert_allclose(w.grad.get(), 6 + 8 * normal(2, 3), rtol=1e-6)


def test_a_gradient_is_kept_beside_its_leaf(gpu):
    a, b = (Tensor([3.0], device=device, requires_grad=True) for device in ("cuda:0", "cuda:1"))
    ((a * 2.0).to("cuda:1") + b).backward()  # the first product is the last that the sweep comes to
    assert [(p.grad.tolist(), Tensor(p.grad).device) for p in (a, b)] == [([2.0], "cuda:0"), ([1.0], "cuda:1")]


def test_clipping_leaves_gradients_where_they_are(gpu):
    a, b = (Tensor([3.0], device=device, requires_grad=True) for device in ("cuda:0", "cuda:1"))
    for clip in (lambda: optim.clip_grad_norm_([a, b], 1.0), lambda: optim.clip_grad_value_([a, b], 0.1)):
        for p in (a, b):
            p.grad = None
            (p * p).backward()
        clip()
        assert [Tensor(p.grad).device for p in (a, b)] == ["cuda:0", "cuda:1"] and a.grad.item() < 1


def test_what_lies_in_another_order_goes_to_another_gpu(gpu):
    x = Tensor(normal(2, 3, 4), device="cuda:0")
    for view in (x.transpose(1, 0, 2), x[:, ::2], x[:, :, 1]):
        np.testing.assert_array_equal(view.to("cuda:1").to("cpu").data, view.to("cpu").data)


# --- where CuPy differs from NumPy -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_parameter_without_axes_keeps_none(gpu, compiler, name):
    found = []
    for device in ("cpu", "cuda"):
        scale = nn.Parameter(2.0)
        scale.data = Tensor(scale.data, device=device).data
        optimizer = OPTIMIZERS[name]([scale])
        for _ in range(3):
            optimizer.zero_grad()
            (scale * scale).backward()
            optimizer.step()
        assert scale.shape == ()
        found.append(scale.item())
    assert found[0] == pytest.approx(found[1], rel=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_fixed_order_whatever_the_order_of_the_axes(gpu, compiler, order, dtype):
    cuda.use_deterministic_algorithms(True)
    rows, g = np.array([2, 0, 2, 2, 250], dtype), normal(5, 3)
    x = Tensor(normal(300, 3), device="cuda", requires_grad=True)
    x.data = gpu.array(x.data, order=order)
    x[Tensor(rows, device="cuda")].backward(Tensor(g, device="cuda"))
    right = np.zeros((300, 3), "float32")
    np.add.at(right, rows, g)
    np.testing.assert_allclose(x.grad.get(), right, rtol=1e-6)


def test_parts_end_where_the_array_does(gpu):
    for device in ("cpu", "cuda"):
        x = Tensor(normal(5), device=device)
        assert [len(part) for part in mg.split(x, [-9, -2, 7])] == [0, 3, 2, 0]


def test_numbers_as_conditions_and_booleans_as_indices(gpu):
    for device in ("cpu", "cuda"):
        x = Tensor(normal(2, 3), device=device)
        assert mg.where(True, x, 0.0).tolist() == x.tolist() and mg.where(0, x, 1.0).tolist() == [[1.0] * 3] * 2
        assert x[True].shape == (1, 2, 3) and x[:, None, False].shape == (2, 1, 0, 3)
        assert x[x > 0].tolist() == normal(2, 3)[normal(2, 3) > 0].tolist() and x[:, x[0] > 0].shape[0] == 2


@pytest.mark.parametrize("name", "add sub mul truediv pow matmul eq ne lt le gt ge".split())
def test_an_array_beside_a_tensor_leaves_the_operation_to_it(gpu, name):
    x = Tensor(normal(3), device="cuda")
    assert type(getattr(operator, name)(x.data, x)) is Tensor


def test_a_checkpoint_of_another_dtype_is_refused(gpu, tmp_path):
    from minigrad import io

    io.save(tmp_path / "wide.safetensors", nn.Linear(2, 1, dtype="float64"))
    for device in ("cpu", "cuda"):
        with pytest.raises(io.CheckpointError, match="is float64, not float32"):
            io.load(tmp_path / "wide.safetensors", nn.Linear(2, 1).to(device))
