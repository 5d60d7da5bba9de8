"""The threads that compiled kernels share their work among; NumPy's own products have threads of their own."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue

from minigrad.errors import OptionError

WORTH = 1e7  # multiply-adds below which waking another thread costs more than it saves

count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
tasks, helpers, in_line = SimpleQueue(), 0, threading.Lock()


def get_num_threads() -> int:
    """Return how many threads a compiled kernel may use: at first, one for each core that this process may run on."""
    return count


def set_num_threads(n: int) -> None:
    """Let compiled kernels use n threads at most. Their results do not depend on n.

    Raises OptionError for anything but a whole number of at least 1.
    """
    global count
    if type(n) is not int or n < 1:
        raise OptionError(f"set_num_threads: takes a whole number of at least 1, not {n!r}")
    count = n


def forget_helpers() -> None:
    """Start anew in a forked process, which inherits no threads."""
    global tasks, helpers, in_line
    tasks, helpers, in_line = SimpleQueue(), 0, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_helpers)


def help_out(tasks: SimpleQueue) -> None:
    """Do what stands in the queue, for ever: a daemon thread, so that no program waits for it at its end."""
    while True:
        done, function, k, give_up = tasks.get()
        try:
            function(k)
            done.set_result(None)
        except BaseException as error:
            give_up()
            done.set_exception(error)
        del done, function, give_up  # memory is not held until the next task


def parts(work: float) -> int:
    """Return how many threads should share some work, counted in multiply-adds."""
    return count if work > WORTH else 1


def span(items: int, k: int, parts: int) -> tuple[int, int]:
    """Return where the k-th of some equal parts of range(items) begins and ends."""
    return items * k // parts, items * (k + 1) // parts


def together(parts: int, function: Callable, give_up: Callable = lambda: None) -> None:
    """Call function(k) for k in range(parts), each on a thread of its own, all at the same time.

    An error in one of them calls give_up(), so that the others need not wait for it, and is raised when all have ended.
    """
    global helpers
    if parts == 1:
        return function(0)
    others = []
    try:
        with in_line:  # parts that wait for each other must stand in the queue side by side
            while helpers < parts - 1:
                threading.Thread(target=help_out, args=(tasks,), name="minigrad", daemon=True).start()
                helpers += 1
            for k in range(1, parts):
                others.append(Future())
                tasks.put((others[-1], function, k, give_up))
        function(0)
    except BaseException:  # Ctrl-C too, before all have begun
        give_up()
        raise
    finally:
        wait(others)
    for other in others:
        other.result()
