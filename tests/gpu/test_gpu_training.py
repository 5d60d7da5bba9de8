"""Training on a GPU: the same script as on the CPU, the same curve, nothing copied in secret, no memory that grows."""

import gc

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, cuda, nn, optim


class Tagger(nn.Module):
    """Embedding, dropout-free LSTM, a score for every class at every step."""

    def __init__(self, dtype):
        self.embed = nn.Embedding(11, 6, rng=0, dtype=dtype)
        self.lstm = nn.LSTM(6, 8, peephole=True, rng=1, dtype=dtype)
        self.read = nn.Linear(8, 5, rng=2, dtype=dtype)

    def forward(self, tokens, lengths=None):
        return self.read(self.lstm(self.embed(tokens), lengths=lengths)[0])


def curve(device, steps, dtype="float64"):
    """Return the losses of a training run, as a script has them."""
    model, rng = Tagger(dtype).to(device), np.random.default_rng(3)
    adam = optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(steps):
        tokens = rng.integers(0, 11, (9, 4))
        loss = mg.cross_entropy(model(tokens, lengths=[9, 7, 9, 2]), tokens % 5)
        adam.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        losses.append(loss.item())
    return losses


def test_the_training_curve_is_the_cpus(gpu, kernels):
    steps = gpu.enough(300, 20)
    found, right = curve("cuda", steps), curve("cpu", steps)
    np.testing.assert_allclose(found, right, rtol=1e-6)
    assert right[-1] < right[0]


def test_a_checkpoint_goes_from_one_device_to_the_other(gpu):
    model, other = Tagger("float32").to("cuda"), Tagger("float32")
    for p in other.parameters():
        p.data = p.data * 0
    other.load_state_dict(model.state_dict())
    model.to("cpu")
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert a.device == b.device == "cpu"
        np.testing.assert_array_equal(a.data, b.data)


def regression():
    """Return a net's forward and backward pass, and its optimiser's step; the data are on the GPU from the start."""
    rng, net = np.random.default_rng(0), nn.LSTM(5, 8, rng=0).to("cuda")
    x, y = (Tensor(rng.standard_normal((8, 4, n)), "float32", device="cuda") for n in (5, 8))
    adam = optim.Adam(net.parameters())

    def gradients():
        adam.zero_grad()
        mg.mse_loss(net(x)[0], y).backward()

    return gradients, adam.step


SPIN = r"""
extern "C" __global__ void spin(long long ns) {
  long long start, now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(start));
  do asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now)); while (now - start < ns);
}
"""


def test_nothing_is_copied_and_nothing_waits(gpu, kernels):
    gradients, step = regression()
    for _ in range(3):
        gradients()
        step()
    with gpu.transfers() as found:
        gradients()
    assert not found.total(), found
    if gpu.real:  # a pass that waits for the GPU returns only when what was begun before it is over
        spin, over = gpu.cupy.RawKernel(SPIN, "spin"), gpu.cupy.cuda.Event()
        spin((1,), (1,), (np.int64(0),))
        gpu.cupy.cuda.Device().synchronize()
        spin((1,), (1,), (np.int64(3e9),))
        over.record()
        gradients()
        assert not over.done, "the pass waited for the GPU"
        over.synchronize()


def test_what_a_training_step_does_ask_for(gpu):
    """Two copies for a batch, and three answers: are all targets classes, how long is the gradient, is it finite."""
    model = Tagger("float32").to("cuda")
    adam = optim.Adam(model.parameters())
    tokens, targets = np.random.default_rng(0).integers(0, 5, (2, 9, 4))

    def step():
        adam.zero_grad()
        mg.cross_entropy(model(tokens), targets).backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()

    step()
    with gpu.transfers() as found:
        step()
    assert found["to_device"] == 2 and found["to_host"] <= 3, found


def test_memory_does_not_grow(gpu, kernels):
    gradients, step = regression()
    pool = gpu.cupy.get_default_memory_pool()
    gc.disable()
    try:
        for k in range(5 + gpu.enough(1000, 20)):
            gradients()
            step()
            if k == 4:
                before = pool.used_bytes()
        assert pool.used_bytes() == before
    finally:
        gc.enable()


@pytest.mark.parametrize("layer", [nn.RNN, nn.GRU, nn.LSTM])
def test_the_layers_need_no_other_call(gpu, layer):
    net = layer(3, 4, num_layers=2, bidirectional=True, dropout=0.0, rng=0, dtype="float64")
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    right = net(x)[0].data
    found = net.to("cuda")(x)[0]
    assert found.device == cuda_name() and all(p.device == found.device for p in net.parameters())
    np.testing.assert_allclose(found.to("cpu").data, right, rtol=1e-12)


def cuda_name():
    return f"cuda:{cuda.loaded().cuda.Device().id}"
