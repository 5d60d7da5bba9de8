"""The threads that compiled kernels share their work among; NumPy's own products have threads of their own."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from minigrad.errors import OptionError

WORTH = 1e7  # multiply-adds below which waking another thread costs more than it saves

count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
pool, queue = None, threading.Lock()


def get_num_threads() -> int:
    """Return how many threads a compiled kernel may use: at first, one for each core that this process may run on."""
    return count


def set_num_threads(n: int) -> None:
    """Let compiled kernels use n threads at most. Their results do not depend on n.

    Raises OptionError for anything but a whole number of at least 1.
    """
    global count, pool
    if type(n) is not int or n < 1:
        raise OptionError(f"set_num_threads: takes a whole number of at least 1, not {n!r}")
    count, pool = n, None


def forget_pool() -> None:
    """Start anew in a forked process, which inherits no threads."""
    global pool, queue
    pool, queue = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_pool)


def parts(work: float) -> int:
    """Return how many threads should share some work, counted in multiply-adds."""
    return count if work > WORTH else 1


def span(items: int, k: int, parts: int) -> tuple[int, int]:
    """Return where the k-th of some equal parts of range(items) begins and ends."""
    return items * k // parts, items * (k + 1) // parts


def together(parts: int, function: Callable) -> None:
    """Call function(k) for k in range(parts), each on a thread of its own, all at the same time."""
    global pool
    if parts == 1:
        return function(0)
    with queue:  # parts that wait for each other must stand in it side by side
        if pool is None or pool._max_workers < parts - 1:
            pool = ThreadPoolExecutor(parts - 1, thread_name_prefix="minigrad")
        others = [pool.submit(function, k) for k in range(1, parts)]
    try:
        function(0)
    finally:
        for other in others:
            other.result()
