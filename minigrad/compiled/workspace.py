"""Memory that kernels work in, used again: the first touch of fresh memory costs as much as a small product."""

import math
from collections import defaultdict

import numpy as np

SMALL, MOST = 2**16, 2**29  # bytes: below SMALL an allocation is cheap; no more than MOST wait to be used again
PAGE = 2**12
spare: dict[int, list[np.ndarray]] = defaultdict(list)
waiting = 0


class Lent:
    """The owner of a piece of memory: when the last array in it is gone, the memory waits for the next of its size."""

    def __init__(self, memory: np.ndarray):
        self.memory, self.__array_interface__ = memory, memory.__array_interface__

    def __del__(self) -> None:
        global waiting
        if waiting + self.memory.nbytes <= MOST:
            waiting += self.memory.nbytes
            spare[self.memory.nbytes].append(self.memory)


def room(*shape: int, dtype: np.dtype, boundary: int = 64) -> np.ndarray:
    """Return a flat array for that many numbers, of unknown values, that begins at a register's boundary."""
    global waiting
    size = math.prod(shape) * dtype.itemsize
    need = size + boundary
    if need < SMALL:
        memory = np.empty(need, np.uint8)
    else:
        need = -(-need // PAGE) * PAGE  # so that calls of nearly one size share their memory
        try:
            memory = spare[need].pop()
            waiting -= need
        except IndexError:
            memory = np.empty(need, np.uint8)
        memory = np.asarray(Lent(memory))
    start = -memory.__array_interface__["data"][0] % boundary
    return memory[start : start + size].view(dtype)


def release() -> None:
    """Give the memory that waits back to the system."""
    global waiting
    waiting = 0
    spare.clear()
