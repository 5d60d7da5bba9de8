"""The threads that compiled kernels share their work among; NumPy's own products have threads of their own."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from minigrad.errors import OptionError

WORTH = 2e6  # multiply-adds below which waking another thread costs more than it saves

count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
pool, together = None, threading.Lock()


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
    global pool, together
    pool, together = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_pool)


def parts(items: int, work: float) -> int:
    """Return into how many parts to divide some items whose work is counted in multiply-adds."""
    return max(1, min(count, items)) if work > WORTH else 1


def share(function: Callable, items: int, parts: int, *args: object) -> None:
    """Call function(*args, first, last) for that many parts of range(items), each on a thread of its own."""
    global pool
    if parts == 1:
        return function(*args, 0, items)
    edges = [items * k // parts for k in range(parts + 1)]
    with together:  # parts that wait for each other must stand in the queue side by side
        if pool is None or pool._max_workers < parts - 1:
            pool = ThreadPoolExecutor(parts - 1, thread_name_prefix="minigrad")
        others = [pool.submit(function, *args, *ends) for ends in pairwise(edges[1:])]
    try:
        function(*args, *edges[:2])
    finally:
        for other in others:
            other.result()
