"""Whole sequences compiled by Numba: the cells of on_numpy.py for one vector of units, and the passes that run them.

A cell reads a row of a panel, the pre-activations of L units of one sequence, and writes the next state; its
derivative reads the cotangent of the state and writes those of the pre-activations. panels.py says how the rows lie,
and does the products before, between and after. The equations, and what they return, are those of on_numpy.py.
"""

# ruff: noqa: ANN001, ANN201 (compiled functions; the operands are the equations' letters)

import functools
from collections import namedtuple

import numpy as np

from minigrad.compiled.compiling import kernel
from minigrad.compiled.functions import sigmoid, tanh
from minigrad.compiled.simd import (
    BYTES,
    COLUMNS,
    constant,
    lanes,
    load,
    maximum,
    multiply_add,
    store,
    where_not_zero,
)  # fmt: skip
from minigrad.recurrent.kernels.panels import (
    Panels,
    backward,
    forward,
    inner,
    multiply,
    multiply3,
    padded,
    portion,
    rows_of_units,
    zeros,
)  # fmt: skip

# --- Elman -----------------------------------------------------------------------------------------------------------

NONLINEARITIES = "tanh", "sigmoid", "relu"
TANH, SIGMOID, RELU = range(3)


@inner
def elman_cell(f, a, at, states, before, after, j, ended):
    """h_t = f(a_t)."""
    (hs,), L = states, lanes(a)
    for c in range(0, COLUMNS * L, L):
        v = load(a, at + c)
        h = tanh(v) if f == TANH else sigmoid(v) if f == SIGMOID else maximum(v, 0.0)
        store(hs, after + c, load(hs, before + c) if ended else h)


@inner
def elman_cell_back(f, saved, da, at, ds, state, g, before, after, j, ended):
    """da_t = dh_t f'(a_t)."""
    (hs,), (dh,), L = saved, ds, lanes(da)
    for c in range(0, COLUMNS * L, L):
        h, d = load(hs, after + c), load(dh, state + c)
        if ended:
            store(da, at + c, constant(d, 0.0))
        else:
            d = d + load(g, before + c)
            how = 1.0 - h * h if f == TANH else h * (1.0 - h) if f == SIGMOID else constant(h, 1.0)
            nonzero = h if f == RELU else how
            store(da, at + c, where_not_zero(nonzero, d * how))
            store(dh, state + c, constant(d, 0.0))


elman_loop, elman_loop_back = forward(elman_cell, multiply, COLUMNS), backward(elman_cell_back, COLUMNS)


@kernel
def elman_steps(f, a, states, R, mask, T, B, H, units, barrier, parties, first, last):
    elman_loop(f, a, states, R, mask, T, B, H, units, barrier, parties, first, last)


@kernel
def elman_steps_back(f, saved, da, ds, g, R, mask, cut, T, B, H, units, barrier, parties, first, last):
    elman_loop_back(f, saved, da, ds, g, R, mask, cut, T, B, H, units, barrier, parties, first, last)


# --- LSTM ------------------------------------------------------------------------------------------------------------

# g and h of the LSTM are y = m tanh(k a), or the identity, for which m = 0 stands.
SQUASHINGS = {"tanh": (1.0, 1.0), "4s-2": (2.0, 0.5), "2s-1": (1.0, 0.5), "identity": (0.0, 0.0)}


@inner
def squash(a, how):
    m, k = how
    return tanh(a * k) * m if m != 0.0 else a


@inner
def slope(y, how):
    """The derivative of squash, from its value y."""
    m, k = how
    return k * m - y * y * (k / m) if m != 0.0 else y * 0.0 + 1.0


Cell = namedtuple("Cell", "i f o coupled peepholes detach g h")  # a CellSpec, as compiled functions read it


@inner
def four(array, at):
    """Return the four vectors of a panel's row."""
    L = lanes(array)
    return load(array, at), load(array, at + L), load(array, at + 2 * L), load(array, at + 3 * L)


@inner
def put(array, at, first, second, third, fourth):
    """Write the four vectors of a panel's row."""
    L = lanes(array)
    store(array, at, first)
    store(array, at + L, second)
    store(array, at + 2 * L, third)
    store(array, at + 3 * L, fourth)


@inner
def lstm_cell(how, a, at, states, before, after, j, ended):
    """c_t = f c_(t-1) + i z, h_t = o h(c_t); i, f, z, o take the place of their pre-activations in a."""
    (cell, p), (hs, cs) = how, states
    c, (i, f, z, o) = load(cs, before), four(a, at)
    if cell.peepholes:
        i = multiply_add(load(p[0], j), c, i)
        f = multiply_add(load(p[1], j), c, f)
    i = sigmoid(i) if cell.i else constant(i, 1.0)
    f = 1.0 - i if cell.coupled else sigmoid(f) if cell.f else constant(f, 1.0)
    z = squash(z, cell.g)
    new = multiply_add(f, c, i * z)
    if cell.peepholes:
        o = multiply_add(load(p[2], j), new, o)
    o = sigmoid(o) if cell.o else constant(o, 1.0)
    put(a, at, i, f, z, o)
    store(cs, after, c if ended else new)
    store(hs, after, load(hs, before) if ended else o * squash(new, cell.h))


@inner
def lstm_cell_back(how, saved, da, at, ds, state, g, before, after, j, ended):
    """do_t from dh_t, then dc_t, then di_t, df_t, dz_t from dc_t; what c_(t-1) gets stays in dc."""
    (cell, p), (a, _, cs), (dh, dc) = how, saved, ds
    zero = constant(load(dh, state), 0.0)
    if ended:
        put(da, at, zero, zero, zero, zero)
        return
    i, f, z, o = four(a, at)
    past, y = load(cs, before), squash(load(cs, after), cell.h)
    d = load(dh, state) + load(g, before)
    d_o = d * y * o * (1.0 - o)
    d_c = multiply_add(d * o, slope(y, cell.h), load(dc, state))
    if cell.peepholes and not cell.detach:
        d_c = multiply_add(load(p[2], j), d_o, d_c)
    d_i = d_c * (z - past if cell.coupled else z) * i * (1.0 - i)
    d_f = d_c * past * f * (1.0 - f) if cell.f else zero
    d_z = d_c * i * slope(z, cell.g)
    put(da, at, d_i, d_f, d_z, d_o)
    d_c = d_c * f
    if cell.peepholes and not cell.detach:
        d_c = multiply_add(load(p[0], j), d_i, multiply_add(load(p[1], j), d_f, d_c))
    store(dc, state, d_c)
    store(dh, state, zero)


lstm_loop, lstm_loop_back = forward(lstm_cell, multiply, 1), backward(lstm_cell_back, 1)


@kernel
def lstm_steps(how, a, states, R, mask, T, B, H, units, barrier, parties, first, last):
    lstm_loop(how, a, states, R, mask, T, B, H, units, barrier, parties, first, last)


@kernel
def lstm_steps_back(how, saved, da, ds, g, R, mask, cut, T, B, H, units, barrier, parties, first, last):
    lstm_loop_back(how, saved, da, ds, g, R, mask, cut, T, B, H, units, barrier, parties, first, last)


@kernel
def peephole_sums(da, cs, dp, T, B, H, first, last):
    """dp_i, dp_f = sum of da_t c_(t-1), dp_o = sum of da_t c_t, by panel."""
    L = lanes(da)
    for panel in range(first, last):
        j = panel * L
        p_i, p_f, p_o = load(dp, j), load(dp, H + j), load(dp, 2 * H + j)
        for step in range(T * B):
            d_i, d_f, _, d_o = four(da, (panel * T * B + step) * COLUMNS * L)
            past, c = load(cs, step * H + j), load(cs, (step + B) * H + j)
            p_i, p_f, p_o = multiply_add(d_i, past, p_i), multiply_add(d_f, past, p_f), multiply_add(d_o, c, p_o)
        store(dp, j, p_i)
        store(dp, H + j, p_f)
        store(dp, 2 * H + j, p_o)


# --- GRU -------------------------------------------------------------------------------------------------------------


@inner
def gru_cell(how, a, at, states, before, after, j, ended):
    """h_t = u h_(t-1) + (1 - u) n, n = tanh(a_n + r q), q = R_n h_(t-1) + b_hn; r, u, n take their place in a."""
    (hs,) = states
    h, (r, u, q, n) = load(hs, before), four(a, at)
    r, u = sigmoid(r), sigmoid(u)
    n = tanh(multiply_add(r, q, n))
    put(a, at, r, u, q, n)
    store(hs, after, h if ended else multiply_add(u, h, (1.0 - u) * n))


@inner
def gru_cell_back(how, saved, da, at, ds, state, g, before, after, j, ended):
    """The cotangents of n's two sides, dn and dq, differ by the reset gate."""
    (a, hs), (dh,) = saved, ds
    d = load(dh, state)
    if ended:
        zero = constant(d, 0.0)
        put(da, at, zero, zero, zero, zero)
        return
    d = d + load(g, before)
    r, u, q, n = four(a, at)
    d_n = d * (1.0 - u) * (1.0 - n * n)
    d_u = d * (load(hs, before) - n) * u * (1.0 - u)
    put(da, at, d_n * q * r * (1.0 - r), d_u, d_n * r, d_n)
    store(dh, state, d * u)


gru_loop, gru_loop_back = forward(gru_cell, multiply3, 1), backward(gru_cell_back, 1)


@kernel
def gru_steps(b_hn, a, states, R, mask, T, B, H, units, barrier, parties, first, last):
    """q begins at b_hn: set here and not by the product before, in which 0 times an infinite x would make it NaN."""
    L = lanes(a)
    low, high, start, stop = portion(parties, first, last, B, H, COLUMNS * L)
    for j in range(start, stop, L):
        for t in range(T):
            for b in range(low, high):
                store(a, (((j // L * T + t) * B + b) * COLUMNS + 2) * L, load(b_hn, j))
    gru_loop((), a, states, R, mask, T, B, H, units, barrier, parties, first, last)


@kernel
def gru_steps_back(how, saved, da, ds, g, R, mask, cut, T, B, H, units, barrier, parties, first, last):
    gru_loop_back(how, saved, da, ds, g, R, mask, cut, T, B, H, units, barrier, parties, first, last)


# --- the contract of on_numpy.py -------------------------------------------------------------------------------------


@functools.cache
def elman_order(H, L):
    """A panel holds 4 L units."""
    return rows_of_units(H, COLUMNS * L, 0)


def elman_panels(x, H):
    order = elman_order(H, BYTES // x.itemsize)
    return Panels(x, H, order, order, len(order))


def elman_forward(x, h, W, R, b, nonlinearity, mask):
    """h_t = f(W x_t + R h_(t-1) + b)."""
    layer, f = elman_panels(x, len(R)), NONLINEARITIES.index(nonlinearity)
    hs = layer.states(h)
    layer.forward(elman_steps, f, x, W, R, layer.vector(b, layer.inputs, layer.H), (hs,), mask)
    return layer.outputs(hs, mask), hs


def elman_backward(gs, outputs, saved, operands, needs, *, nonlinearity, mask):
    """da_t = dh_t f'(a_t), dh_(t-1) = R' da_t + what the loss says."""
    (x, _, W, R, b), hs = operands, saved
    layer, f = elman_panels(x, len(R)), NONLINEARITIES.index(nonlinearity)
    g, dh = layer.cotangent(gs[0], layer.T), layer.cotangent(gs[1]).copy()
    needs = needs[0], needs[2], needs[3], needs[4]
    _, dx, dW, dR, total = layer.backward(elman_steps_back, f, (hs,), hs, g, (dh,), x, W, R, mask, needs)
    db = layer.unvector(total, layer.inputs, b) if needs[3] else None
    return dx, layer.last(dh), dW, dR, db


@functools.cache
def lstm_order(spec, H, L):
    """Gates that cells share stand in the rows of all their cells; those left out stand nowhere."""
    units, start, order = rows_of_units(H, L, 0), 0, {}
    for row in spec.rows:
        size = H if row == "z" else H // spec.block_size
        order[row] = np.where(units < 0, -1, start + units // (H // size))
        start += size
    return np.stack([order.get(row, np.full(len(units), -1)).reshape(-1, L) for row in "ifzo"], axis=1).ravel()


@functools.cache
def lstm_cell_of(spec):
    has = lambda gate: gate in spec.gates
    return Cell(
        has("i"), has("f"), has("o"), spec.coupled, spec.peepholes, spec.detach_peephole,
        SQUASHINGS[spec.input_squashing], SQUASHINGS[spec.output_squashing],
    )  # fmt: skip


def lstm_panels(x, c, p, spec):
    """Return the layout, and what the cell needs: its spec, and the peepholes of i, f, o, 0 where there are none."""
    order = lstm_order(spec, c.shape[1], BYTES // x.itemsize)
    layer = Panels(x, c.shape[1], order, order, len(order) // COLUMNS, shared=spec.block_size > 1)
    peepholes = zeros(3, layer.width, dtype=x.dtype).reshape(3, -1)
    if spec.peepholes:
        peepholes[:, : layer.H] = p * np.array([[gate in spec.gates] for gate in "ifo"])
    return layer, (lstm_cell_of(spec), tuple(peepholes))


def lstm_forward(x, h, c, W, R, b, p, spec, mask):
    """c_t = f c_(t-1) + i z, h_t = o h(c_t)."""
    layer, how = lstm_panels(x, c, p, spec)
    hs, cs = layer.states(h), layer.states(c)
    a = layer.forward(lstm_steps, how, x, W, R, layer.vector(b, layer.inputs, len(W)), (hs, cs), mask)
    return (*layer.outputs(hs, mask), layer.last(cs)), (a, hs, cs)


def lstm_backward(gs, outputs, saved, operands, needs, *, spec, mask):
    """Backpropagation through time; with `truncate` nothing goes back through R, with `detach_peephole` through p."""
    (x, _, c, W, R, b, p), (_, hs, cs) = operands, saved
    layer, how = lstm_panels(x, c, p, spec)
    g, (dh, dc) = layer.cotangent(gs[0], layer.T), (layer.cotangent(d).copy() for d in gs[1:])
    wanted = needs[0], needs[3], needs[4], needs[5]
    da, dx, dW, dR, total = layer.backward(
        lstm_steps_back, how, saved, hs, g, (dh, dc), x, W, R, mask, wanted, cut=spec.truncate
    )
    db = layer.unvector(total, layer.inputs, b) if needs[5] else None
    dp = np.zeros_like(p) if needs[6] else None
    if needs[6] and spec.peepholes:
        dp = zeros(3, layer.width, dtype=x.dtype)
        peephole_sums(da, cs, dp, layer.T, layer.B, layer.width, 0, layer.panels)
        dp = dp.reshape(3, -1)[:, : layer.H] * np.array([[gate in spec.gates] for gate in "ifo"], x.dtype)
    return dx, layer.last(dh), layer.last(dc), dW, dR, db, dp


@functools.cache
def gru_orders(H, L):
    """Panels hold r, u, q, n: the candidate's rows of W and b make n, that of R makes q, which begins at b_hn."""
    return (
        rows_of_units(H, L, 0, H, None, 2 * H),
        rows_of_units(H, L, 0, H, 2 * H, None),
        rows_of_units(H, L, None, None, 0, None),
    )


def gru_panels(x, H):
    inputs, recurrent, shift = gru_orders(H, BYTES // x.itemsize)
    return Panels(x, H, inputs, recurrent, len(inputs) // COLUMNS), shift


def gru_forward(x, h, W, R, b, b_hn, mask):
    """h_t = u h_(t-1) + (1 - u) n, n = tanh(W_n x_t + b_n + r q), q = R_n h_(t-1) + b_hn."""
    H = h.shape[1]
    layer, _ = gru_panels(x, H)
    hs, b_hn = layer.states(h), padded(np.broadcast_to(b_hn, (H,)).astype(x.dtype), layer.width)
    a = layer.forward(gru_steps, b_hn, x, W, R, layer.vector(b, layer.inputs, 3 * H), (hs,), mask)
    return layer.outputs(hs, mask), (a, hs)


def gru_backward(gs, outputs, saved, operands, needs, *, mask):
    """Backpropagation through time."""
    (x, h, W, R, b, b_hn), (_, hs) = operands, saved
    layer, shift = gru_panels(x, h.shape[1])
    g, dh = layer.cotangent(gs[0], layer.T), layer.cotangent(gs[1]).copy()
    wanted = needs[0], needs[2], needs[3], needs[4] or needs[5]
    _, dx, dW, dR, total = layer.backward(gru_steps_back, (), saved, hs, g, (dh,), x, W, R, mask, wanted)
    db = layer.unvector(total, layer.inputs, b) if needs[4] else None
    db_hn = layer.unvector(total, shift, b_hn) if needs[5] else None
    return dx, layer.last(dh), dW, dR, db, db_hn
