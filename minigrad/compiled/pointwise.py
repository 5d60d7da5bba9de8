"""Passes over whole arrays, compiled: the optimisers' updates, sums of squares, and rows added where indices say."""

# ruff: noqa: ANN001, ANN201 (compiled functions over flat arrays)

import functools

import numpy as np
from numba import njit

from minigrad import updates
from minigrad.compiled import threads
from minigrad.compiled.compiling import OPTIONS, kernel
from minigrad.compiled.simd import BYTES, lanes, load, store

descend, sgd, nesterov, rmsprop, adam = (
    njit(**OPTIONS)(getattr(updates, name)) for name in ("descend", "sgd", "nesterov", "rmsprop", "adam")
)
SGD, NESTEROV, RMSPROP = range(3)

# Updates make new arrays, so the last vector may lie over the one before it: both write the same numbers there.


@kernel
def update_plain(old, new, s, first, last):
    """Descend without running means."""
    (p, g), (new_p,) = old, new
    for k in range(first, last):
        at = min(k * lanes(p), len(p) - lanes(p))
        (p_k,) = descend(load(p, at), load(g, at), s[0], s[1])
        store(new_p, at, p_k)


@kernel
def update_one(rule, old, new, s, first, last):
    """Descend with one running mean."""
    (p, g, m), (new_p, new_m) = old, new
    for k in range(first, last):
        at = min(k * lanes(p), len(p) - lanes(p))
        p_k, g_k, m_k = load(p, at), load(g, at), load(m, at)
        if rule == SGD:
            p_k, m_k = sgd(p_k, g_k, m_k, s[0], s[1], s[2])
        elif rule == NESTEROV:
            p_k, m_k = nesterov(p_k, g_k, m_k, s[0], s[1], s[2])
        else:
            p_k, m_k = rmsprop(p_k, g_k, m_k, s[0], s[1], s[2], s[3])
        store(new_p, at, p_k)
        store(new_m, at, m_k)


@kernel
def update_two(old, new, s, first, last):
    """Descend with two running means."""
    (p, g, m, v), (new_p, new_m, new_v) = old, new
    for k in range(first, last):
        at = min(k * lanes(p), len(p) - lanes(p))
        p_k, m_k, v_k = adam(
            load(p, at), load(g, at), load(m, at), load(v, at),
            s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8],
        )  # fmt: skip
        store(new_p, at, p_k)
        store(new_m, at, m_k)
        store(new_v, at, v_k)


def update(rule, arrays, numbers):
    """Return rule(*arrays, *numbers), computed in one pass over arrays of one shape and dtype."""
    p = arrays[0]
    old = tuple(a.reshape(-1) for a in arrays)
    new = tuple(np.empty_like(a) for a in old if a is not old[1])
    s = np.array(numbers, p.dtype)
    vectors = -(-p.size * p.itemsize // BYTES)
    run, which = {
        updates.descend: (update_plain, ()),
        updates.sgd: (update_one, (SGD,)),
        updates.nesterov: (update_one, (NESTEROV,)),
        updates.rmsprop: (update_one, (RMSPROP,)),
        updates.adam: (update_two, ()),
    }[rule]
    parts = threads.parts(10 * p.size)
    threads.together(parts, lambda k: run(*which, old, new, s, *threads.span(vectors, k, parts)))
    return tuple(a.reshape(p.shape) for a in new)


@functools.partial(kernel, fastmath={"reassoc"})  # several sums side by side, whose order is free
def sum_of_squares(a):
    """Return the sum of the squares of a flat array, in double precision."""
    total = 0.0
    for k in range(len(a)):
        x = np.float64(a[k])
        total += x * x
    return total


@kernel
def add_rows(buffer, rows, g):
    """Add row k of g to the row of the buffer (V, D) that rows[k] names, in their order."""
    for k in range(len(rows)):
        for d in range(buffer.shape[1]):
            buffer[rows[k], d] += g[k, d]
