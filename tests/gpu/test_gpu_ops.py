"""The table of operations on a GPU: values, gradients and dtypes are those of the CPU."""

import numpy as np
import pytest
from op_samples import SAMPLES, call

from minigrad import Tensor, cuda, errors, gradcheck, ops
from minigrad.nn import Embedding

ALL = [
    pytest.param(name, *sample, id=f"{name}-{k}") for name, found in SAMPLES.items() for k, sample in enumerate(found)
]
FIRST = [pytest.param(name, *found[0], id=name) for name, found in SAMPLES.items()]


def apply(name, xs, static):
    """Return the outputs of an operation as users reach it: indices are plain, except in what only the rules call."""
    if name == "getitem":
        return (xs[0][static["index"]],)
    if name == "scatter" and xs[0].device != "cpu" and isinstance(static["index"], np.ndarray):
        static = static | {"index": Tensor(static["index"], device="cuda").data}
    ys = call(name)(*xs, **static)
    return ys if isinstance(ys, tuple) else (ys,)


def results(name, operands, static, dtype, device):
    """Return the outputs of an operation, then the gradients of its floats, as arrays of the CPU."""
    floats = [x.dtype.kind == "f" for x in operands]
    xs = [
        Tensor(x.astype(dtype) if f else x, device=device, requires_grad=f)
        for x, f in zip(operands, floats, strict=True)
    ]
    ys = apply(name, xs, static)
    assert all(y.device == (static["device"] if name == "to" else xs[0].device) for y in ys)
    rng = np.random.default_rng(5)
    for y in ys:
        if y.requires_grad:
            y.backward(Tensor(rng.standard_normal(y.shape), y.dtype, device=y.device), retain_graph=True)
    for x in xs:
        assert x.grad is None or type(x.grad) is type(x.data)
    grads = [Tensor(x.grad) for x in xs if x.grad is not None]
    return [y.to("cpu").data for y in (*ys, *grads)]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "operands", "static"), ALL)
def test_values_and_gradients(gpu, name, operands, static, dtype):
    pairs = zip(*(results(name, operands, static, dtype, device) for device in ("cuda", "cpu")), strict=True)
    tolerance = {"rtol": 1e-11, "atol": 1e-13} if dtype == "float64" else {"rtol": 2e-5, "atol": 1e-6}
    for found, right in pairs:
        assert found.dtype == right.dtype and found.shape == right.shape
        np.testing.assert_allclose(found, right, **tolerance)


@pytest.mark.parametrize(("name", "operands", "static"), FIRST)
def test_gradients_equal_central_differences(gpu, name, operands, static):
    floats = [k for k, x in enumerate(operands) if x.dtype.kind == "f"]

    def function(*xs):
        full = [Tensor(x, device="cuda") for x in operands]
        for k, x in zip(floats, xs, strict=True):
            full[k] = x.to("cuda")
        return [y.to("cpu") for y in apply(name, full, static) if y.dtype.kind == "f"]

    gradcheck(function, [operands[k] for k in floats], order=2)


def test_indices_are_checked_where_cupy_would_wrap_them(gpu):
    x = Tensor(np.ones((3, 2)), device="cuda")
    for index in (np.array([0, 3]), Tensor(np.array([-4])), Tensor(np.array([5]), device="cuda").data):
        with pytest.raises(errors.OutOfRangeError):
            x[index.data if isinstance(index, Tensor) else index]
    with pytest.raises(errors.OutOfRangeError):
        Embedding(3, 2).to("cuda")(np.array([[0, 3]]))
    with pytest.raises(errors.ShapeError):
        ops.cross_entropy(x, np.array([0, 1, 2]))


def test_several_devices_do_not_mix(gpu):
    on_gpu, on_cpu = Tensor(np.ones(2), device="cuda"), Tensor(np.ones(2))
    with pytest.raises(errors.DeviceError, match="cuda:0 and cpu"):
        on_gpu + on_cpu
    with pytest.raises(errors.DeviceError, match="cuda:0 and cpu"):
        on_gpu * np.ones(2)
    if cuda.device_count() < 2:
        pytest.skip("needs two GPUs for the rest")
    other = Tensor(np.ones(2), device="cuda:1", requires_grad=True)
    with pytest.raises(errors.DeviceError, match="cuda:0 and cuda:1"):
        on_gpu + other
    (on_gpu + other.to("cuda:0") * 3).sum().backward()
    assert other.device == "cuda:1" and Tensor(other.grad).device == "cuda:1" and other.grad.tolist() == [3, 3]
    with pytest.raises(errors.DeviceError, match="cuda:7"):
        Tensor([1.0], device=f"cuda:{max(cuda.device_count(), 7)}")


def test_gradients_of_indexing_repeat_bit_for_bit_on_request(gpu, request):
    rng = np.random.default_rng(0)
    rows, g = rng.integers(0, 7, 20_000), np.float32(rng.standard_normal((20_000, 3)))

    def gradient():
        x = Tensor(np.zeros((7, 3), "float32"), device="cuda", requires_grad=True)
        x[rows].backward(Tensor(g, device="cuda"))
        return x.grad.get()

    request.addfinalizer(lambda: cuda.use_deterministic_algorithms(False))
    cuda.use_deterministic_algorithms(True)
    first, again = gradient(), gradient()
    np.testing.assert_array_equal(first, again)
    cuda.use_deterministic_algorithms(False)
    np.testing.assert_allclose(gradient(), first, rtol=1e-4, atol=1e-3)
