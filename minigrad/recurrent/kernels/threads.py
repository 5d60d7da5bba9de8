"""The threads that compiled kernels share their work among; NumPy's own products have threads of their own."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from minigrad.errors import OptionError

WORTH = 2e6  # multiply-adds below which waking another thread costs more than it saves

count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
pool = None


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
    global pool
    pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_pool)


def share(function: Callable, items: int, work: float, *args: object) -> None:
    """Call function(*args, first, last) for parts of range(items), one part a thread; `work` counts multiply-adds."""
    global pool
    parts = min(count, items) if work > WORTH else 1
    if parts <= 1:
        return function(*args, 0, items)
    workers = pool = pool or ThreadPoolExecutor(count - 1, thread_name_prefix="minigrad")
    edges = [items * k // parts for k in range(parts + 1)]
    others = [workers.submit(function, *args, *ends) for ends in zip(edges[1:-1], edges[2:], strict=True)]
    try:
        function(*args, *edges[:2])
    finally:
        for other in others:
            other.result()
