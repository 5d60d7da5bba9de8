"""What compiled kernels share: threads among callers, memory among calls, machine code among processes."""

import itertools
import multiprocessing
import signal
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest

from minigrad import Tensor, grad, nn, no_grad, set_kernels, set_num_threads
from minigrad.compiled import threads, workspace
from minigrad.errors import OptionError

# --- threads.share ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, -1, 1.0, "2", None, True, np.int64(2)])
def test_a_number_of_threads_is_a_whole_number_of_at_least_one(n):
    before = threads.get_num_threads()
    with pytest.raises(OptionError, match="at least 1"):
        set_num_threads(n)
    assert threads.get_num_threads() == before


@pytest.mark.parametrize("items", [1, 2, 3, 7, 13, 1001])
@pytest.mark.parametrize("parts", [1, 2, 3, 5, 8])
def test_every_item_is_worked_on_once_by_threads_that_run_at_the_same_time(items, parts):
    seen, lock, who, met = np.zeros(items, int), threading.Lock(), set(), threading.Barrier(parts)

    def work(k):
        met.wait(20)
        first, last = threads.span(items, k, parts)
        assert 0 <= first <= last <= items
        with lock:
            seen[first:last] += 1
            who.add(threading.get_ident())

    threads.together(parts, work)
    assert (seen == 1).all() and len(who) == parts


def test_small_work_stays_on_one_thread(share_all, monkeypatch):
    assert threads.parts(1) == 3
    monkeypatch.undo()
    assert threads.parts(threads.WORTH) == 1


@pytest.mark.parametrize("failing", [[0], [1], [3], [0, 2], [1, 2]])
def test_an_error_in_one_part_arrives_when_all_parts_have_ended(failing):
    running, told, lock = [0], [], threading.Lock()

    def work(k):
        with lock:
            running[0] += 1
        time.sleep(0.02 if k in failing else 0.2 * (k > 0))
        with lock:
            running[0] -= 1
        if k in failing:
            raise ValueError(f"part {k}")

    with pytest.raises(ValueError, match="part"):
        threads.together(4, work, lambda: told.append(running[0]))
    assert running == [0] and len(told) == len(failing) and told[0] > 0
    threads.together(4, lambda k: None)  # and the threads still work


@pytest.fixture
def patience():
    """A test that waits for ever fails after twenty seconds."""

    def stop(*_):
        raise TimeoutError("the threads wait for each other for ever")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("B", [2, 9])
@pytest.mark.parametrize("who", ["the caller, before it began", "the caller", "a helper", "a helper, later"])
def test_when_one_thread_fails_the_others_do_not_wait_for_ever(on_numba, share_all, patience, monkeypatch, who, B):
    from minigrad.recurrent.kernels import panels

    main, caller = threading.main_thread(), who.startswith("the caller")
    net, x = nn.LSTM(3, 200, rng=0), np.ones((5, B, 3), "float32")
    right = net(x)[0].data

    step = "weigh" if who.endswith("later") else "pack"

    def fail(*args, real=getattr(panels, step)):  # noqa: B008
        if (threading.current_thread() is main) == caller:
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if who.endswith("began"):
            real = threads.together
            patch.setattr(threads, "together", lambda parts, f, **k: real(parts, lambda j: f(j) if j else fail(), **k))
        else:
            patch.setattr(panels, step, fail)
        net(x)
    np.testing.assert_array_equal(net(x)[0].data, right)


# --- several Python threads ------------------------------------------------------------------------------------------

NETS = {
    "LSTM": lambda: nn.LSTM(7, 65, peephole=True, rng=1),
    "GRU": lambda: nn.GRU(5, 130, num_layers=2, rng=2),
    "RNN": lambda: nn.RNN(16, 33, bidirectional=True, rng=3, dtype="float64"),
    "wide": lambda: nn.LSTM(3, 160, rng=4),
}


def train(net, B=4, steps=4, T=30):
    """Some steps of gradient descent; returns the bytes of all gradients. The net's own parameters stay as they are."""
    dtype, rng = net.weight_ih_l0.dtype, np.random.default_rng(B)
    x, found = rng.standard_normal((T, B, net.input_size)).astype(dtype), []
    for _ in range(steps):
        output, _ = net(Tensor(x), lengths=[T] * (B - 1) + [T // 2])
        gradients = grad((output * output).mean(), list(net.parameters()))
        found += [g.data.tobytes() for g in gradients]
        x = (x + 0.1 * output.data.mean()).astype(dtype)  # one step depends on the step before
    return found


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("names", [("LSTM", "GRU"), ("wide", "wide"), ("LSTM", "GRU", "RNN", "wide")])
def test_python_threads_train_at_once_as_they_do_alone(on_numba, share_all, names, count):
    set_num_threads(count)
    same = NETS[names[0]]() if len(set(names)) == 1 else None
    nets = [same or NETS[name]() for name in names]
    alone = [train(net) for net in nets]
    found, start = [None] * len(nets), threading.Barrier(len(nets))

    def run(k):
        start.wait()
        found[k] = train(nets[k])

    others = [threading.Thread(target=run, args=(k,)) for k in range(len(nets))]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    assert found == alone


def test_the_number_of_threads_changes_while_another_trains(on_numba, share_all):
    net, ended, found = NETS["wide"](), threading.Event(), []
    alone = train(net)
    other = threading.Thread(target=lambda: found.extend(train(net, steps=4)) or ended.set())
    other.start()
    for n in itertools.cycle((1, 3, 2, 5)):
        set_num_threads(n)
        if ended.wait(1e-4) or not other.is_alive():
            break
    other.join(60)
    assert found == alone


SCRIPT = """
import threading, time
import numpy as np
from minigrad import nn, set_num_threads
from minigrad.compiled import threads
set_num_threads(3)
threads.WORTH = 0
net, x = nn.LSTM(3, 160, rng=0), np.ones((9, 4, 3), "float32")
kept = net(x)[0].sum()

def train():
    threading.main_thread().join()
    net(x)[0].sum().backward()
    print("trained")

threading.Thread(target=train).start()
"""


def test_a_thread_trains_on_when_the_main_one_has_ended(on_numba):
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("trained\n", "", 0)


# --- several processes -----------------------------------------------------------------------------------------------


def in_a_child(count):
    """What a process computes: its threads and memory are its own."""
    threads.WORTH = 0
    set_kernels("numba")
    set_num_threads(count)
    return [train(NETS["wide"](), steps=2) for _ in range(2)]


@pytest.mark.parametrize("busy", [False, True])
def test_a_forked_process_computes_on(on_numba, share_all, busy):
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system does not fork")
    alone, stop = train(NETS["wide"](), steps=2), threading.Event()

    def keep_training():
        while not stop.is_set():
            train(NETS["LSTM"](), steps=1)

    other = threading.Thread(target=keep_training)
    if busy:  # the process is divided while kernels run in it
        other.start()
    try:
        for _ in range(3 if busy else 1):
            with multiprocessing.get_context("fork").Pool(1) as pool:
                assert pool.apply_async(in_a_child, (3,)).get(60) == [alone, alone]
    finally:
        stop.set()
        if busy:
            other.join(60)
    assert train(NETS["wide"](), steps=2) == alone


@pytest.mark.slow
def test_a_pool_of_fresh_processes(on_numba, share_all):
    alone = train(NETS["wide"](), steps=2)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = [pool.apply_async(in_a_child, (n,)) for n in (1, 2)]
        assert [f.get(120) for f in found] == [[alone, alone]] * 2


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def empty(monkeypatch):
    """No memory waits to be used again."""
    workspace.release()
    yield workspace
    workspace.release()


SIZE = workspace.SMALL // 8 + 5


def place(a):
    return a.__array_interface__["data"][0]


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("shape", [(1,), (3, 5), (SIZE,), (SIZE, 3)])
def test_room_holds_what_was_asked_for_at_a_boundary(empty, shape, dtype):
    for _ in range(3):
        a = workspace.room(*shape, dtype=np.dtype(dtype))
        assert a.shape == (np.prod(shape),) and a.dtype == dtype and place(a) % 64 == 0 and a.flags.writeable
        a[...] = 1


def test_memory_comes_back_with_the_last_array_and_not_before(empty):
    a = workspace.room(SIZE, dtype=np.dtype(float))
    view, where = a[3:].reshape(-1, 2)[::2].view(np.int64), place(a)
    del a
    other = workspace.room(SIZE, dtype=np.dtype(float))
    assert workspace.waiting == 0 and not np.shares_memory(view, other)
    del view
    assert workspace.waiting >= 8 * SIZE
    again = workspace.room(SIZE, dtype=np.dtype(float))
    assert place(again) == where and workspace.waiting == 0 and not np.shares_memory(again, other)


def test_no_more_waits_than_the_cap_and_release_gives_it_back(empty, monkeypatch):
    monkeypatch.setattr(workspace, "MOST", 3 * 8 * SIZE)
    held = [workspace.room(SIZE, dtype=np.dtype(float)) for _ in range(5)]
    held.clear()
    assert 8 * SIZE < workspace.waiting <= 3 * 8 * SIZE
    assert workspace.waiting == sum(a.nbytes for a in itertools.chain(*workspace.spare.values()))
    workspace.release()
    assert workspace.waiting == 0 and not any(workspace.spare.values())


@pytest.mark.parametrize("name", NETS)
def test_each_backward_pass_finds_what_its_forward_pass_left(on_numba, share_all, empty, name):
    net, rng = NETS[name](), np.random.default_rng(0)
    dtype = net.weight_ih_l0.dtype
    xs = [Tensor(rng.standard_normal((40, 6, net.input_size)).astype(dtype), requires_grad=True) for _ in range(3)]
    leaves = list(net.parameters())
    gradients = lambda y, x: [g.data for g in grad((y * y).sum(), [x, *leaves])]
    alone = [gradients(net(x)[0], x) for x in xs]
    outputs = [net(x)[0] for x in xs]
    copies = [y.data.copy() for y in outputs]
    with no_grad():
        net(xs[0].data * 3)
    for k in (1, 0, 2):
        for a, b in zip(gradients(outputs[k], xs[k]), alone[k], strict=True):
            np.testing.assert_array_equal(a, b)
    for y, copy in zip(outputs, copies, strict=True):
        np.testing.assert_array_equal(y.data, copy)


@pytest.mark.parametrize("name", NETS)
def test_memory_stays_flat(on_numba, share_all, empty, name):
    net = NETS[name]()
    train(net, steps=2)
    tracemalloc.start()
    try:
        held = []
        for _ in range(6):
            train(net, steps=2)
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert max(held[2:]) - held[1] < 50_000


def test_nothing_is_said_when_a_program_ends_with_a_graph_alive(on_numba):
    lines = SCRIPT.split("def train")[0]
    ran = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, timeout=60)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("", "", 0)
