"""Copies, pickles, worker processes and threads: a copy is its own, and differentiates as the original does."""

import copy
import multiprocessing
import pickle
import sys
import threading
import time

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, Value, grad, nn, optim
from minigrad.errors import GraphError
from minigrad.nn import Parameter

DUPLICATES = {
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    **{f"pickle {k}": lambda x, k=k: pickle.loads(pickle.dumps(x, k)) for k in range(pickle.HIGHEST_PROTOCOL + 1)},
}
duplicates = pytest.mark.parametrize("duplicate", DUPLICATES.values(), ids=DUPLICATES)
DEEP = {name: f for name, f in DUPLICATES.items() if name != "copy"}
deep = pytest.mark.parametrize("duplicate", DEEP.values(), ids=DEEP)


def make_net():
    rng = np.random.default_rng(0)
    return nn.Sequential(nn.Embedding(5, 3, rng=rng), nn.Dropout(0.3, rng=rng), nn.Linear(3, 4, rng=rng), mg.tanh)


TOKENS = np.array([0, 3, 1, 3])


# --- leaves ----------------------------------------------------------------------------------------------------------


@duplicates
@pytest.mark.parametrize("make", [
    lambda: Tensor([1.0, 2.0], requires_grad=True), lambda: Tensor(np.arange(3)), lambda: Parameter([[1.0], [2.0]]),
    lambda: Tensor(np.ones((2, 2))[:, ::-1]), lambda: Value(2.0), lambda: Value(2.0, requires_grad=False),
])  # fmt: skip
def test_a_copied_leaf_is_the_same_but_another(duplicate, make):
    x = make()
    twin = duplicate(x)
    assert type(twin) is type(x) and twin is not x and twin.tick != x.tick and twin.requires_grad == x.requires_grad
    np.testing.assert_array_equal(twin.data, x.data)
    if x.requires_grad:
        (twin * twin * 1.5).backward() if isinstance(x, Value) else (twin * twin * 1.5).sum().backward()
        assert x.grad is None
        np.testing.assert_array_equal(twin.grad, 3 * np.asarray(x.data))


@duplicates
def test_a_gradient_goes_along_and_is_its_own(duplicate):
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    twin = duplicate(x)
    assert twin.grad.tolist() == [2, 4]
    (twin * 1.0).sum().backward()
    assert twin.grad.tolist() == [3, 5] and x.grad.tolist() == [2, 4]


@deep
def test_deep_copies_share_no_memory(duplicate):
    x = Tensor([1.0, 2.0], requires_grad=True)
    x.sum().backward()
    twin = duplicate(x)
    assert not np.shares_memory(twin.data, x.data) and not np.shares_memory(twin.grad, x.grad)


@duplicates
def test_a_copy_takes_its_place_in_time(duplicate):
    # A tick carried over from a longer-lived process would put the leaf after what is computed from it.
    for _ in range(50):
        x = duplicate(Tensor([3.0], requires_grad=True))
        first, second = x * 2, x * 5
        y = (first * second * x).sum()
        assert x.tick < first.tick < second.tick < y.tick
        y.backward()
        assert x.grad.tolist() == [3 * 10 * 9.0]


@duplicates
@pytest.mark.parametrize("make", [
    lambda: Tensor([1.0], requires_grad=True) * 2, lambda: next(iter(Parameter([1.0, 2.0]))), lambda: Value(2.0) + 1,
    lambda: swept(Tensor([1.0], requires_grad=True)),
])  # fmt: skip
def test_a_result_in_a_graph_is_refused(duplicate, make):
    y = make()
    with pytest.raises(GraphError, match=r"neither copied nor pickled; use \.detach\(\) first"):
        duplicate(y)
    with pytest.raises(GraphError, match="neither copied nor pickled"):
        duplicate({"kept": [y]}) if duplicate is not copy.copy else duplicate(y)
    np.testing.assert_array_equal(duplicate(y.detach()).data, y.data)


def swept(x):
    y = x * 2
    y.sum().backward()
    return y


# --- modules and optimisers ------------------------------------------------------------------------------------------


@deep
def test_a_copied_net_goes_on_as_the_original_does_and_apart(duplicate):
    net = make_net()
    optimizer = optim.Adam(net.parameters(), lr=0.1)
    train(net, optimizer)
    twin, other = duplicate((net, optimizer))  # together: the optimiser moves the copied net
    kept = {name: x.copy() for name, x in net.state_dict().items()}
    losses = [train(twin, other) for _ in range(3)]
    for name, x in net.state_dict().items():
        np.testing.assert_array_equal(x, kept[name])  # the original has not moved
        assert not np.array_equal(twin.state_dict()[name], x)
    assert [train(net, optimizer) for _ in range(3)] == losses  # dropout's generator went along
    alone = duplicate(optimizer)
    assert not set(alone.params) & set(optimizer.params)


def train(net, optimizer):
    optimizer.zero_grad()
    loss = (net(TOKENS) ** 2).mean()
    loss.backward()
    optimizer.step()
    return loss.item()


@deep
def test_shared_parameters_stay_shared(duplicate):
    net = nn.Sequential(nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=1))
    net[1].weight = net[0].weight
    twin = duplicate(net)
    assert twin[1].weight is twin[0].weight is not net[0].weight
    assert len(list(twin.parameters())) == 3


@deep
def test_a_mode_goes_along(duplicate):
    assert not duplicate(make_net().eval())[1].training and duplicate(make_net())[1].training


# --- a worker process ------------------------------------------------------------------------------------------------


def gradients(net):
    """Gradients of a net, and of a leaf made before it, as the first thing that a fresh process does."""
    loss = (net.eval()(TOKENS) ** 2).sum()
    second = [g if g is None else g.data for g in grad((loss * loss), list(net.parameters()), create_graph=True)]
    loss.backward()
    return [p.grad for p in net.parameters()], second, net.train()(TOKENS).data


def test_gradients_in_a_worker_process():
    net = make_net()
    for _ in range(1000):
        Tensor(0.0)  # this process's clock is far ahead of the worker's
    net.load_state_dict(net.state_dict())
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply_async(gradients, (net,)).get(timeout=120)
        parameters = pool.apply_async(copy.copy, (list(net.parameters()),)).get(timeout=120)
    here = gradients(net)
    for mine, theirs in zip(here, there, strict=True):
        for x, y in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(x, y)
    assert all(type(p) is Parameter and p.requires_grad for p in parameters)  # and back again
    sum((p * p).sum() for p in parameters).backward()
    for p in parameters:
        np.testing.assert_array_equal(p.grad, 2 * p.data)


# --- threads ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def hectic():
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def run(*targets):
    errors = []

    def guarded(target):
        try:
            target()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors


def test_two_threads_train_two_nets(hectic):
    def training(found, k):
        net = nn.RNN(2, 4, rng=k)
        optimizer = optim.RMSprop(net.parameters(), lr=0.01)
        x = np.random.default_rng(k).standard_normal((6, 2)).astype("float32")
        for _ in range(30):
            optimizer.zero_grad()
            (net(x)[0] ** 2).mean().backward()
            optim.clip_grad_norm_(net.parameters(), 0.5)
            optimizer.step()
        found[k] = net.state_dict()

    alone, together = {}, {}
    for k in range(3):
        training(alone, k)
    run(*(lambda k=k: training(together, k) for k in range(3)))
    for k in range(3):
        for name, x in alone[k].items():
            np.testing.assert_array_equal(x, together[k][name])


def test_threads_sweep_one_batch_each_to_shared_leaves(hectic):
    net, rng = nn.Linear(3, 2, rng=0, dtype="float64"), np.random.default_rng(0)
    batches = rng.integers(-3, 4, (4, 25, 5, 3)).astype("float64")  # integers: sums are exact in every order
    for p in net.parameters():
        p.data = np.round(p.data * 4)

    def work(share):
        for x in share:
            (net(x) ** 2).sum().backward()

    for share in batches:
        work(share)
    right = [p.grad for p in net.parameters()]
    net.zero_grad()
    run(*(lambda share=share: work(share) for share in batches))
    for p, g in zip(net.parameters(), right, strict=True):
        np.testing.assert_array_equal(p.grad, g)


def test_no_gradient_is_lost_between_reading_and_writing():
    class Slow(Parameter):
        __slots__ = ()

        def own(self, cotangent, owned):  # called after the sum with the old gradient, before the new one is set
            time.sleep(0.01)
            return super().own(cotangent, owned)

    x = Slow([1.0])
    run(*[(x * float(k)).sum().backward for k in range(1, 5)])
    assert x.grad.tolist() == [10]


def test_a_graph_may_be_swept_in_another_thread():
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    run(y.backward)
    assert x.grad.tolist() == [2, 4]
