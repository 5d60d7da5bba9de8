"""Whole sequences compiled by Numba: the loops of on_numpy.py, laid out for the registers and caches of a processor.

The equations are those of on_numpy.py. What differs is where the numbers lie. The units of a layer are cut into panels:
L units (a vector) with four rows each, i, f, z, o of an LSTM or r, u, q, n of a GRU; of an Elman net, 4 L units. The
pre-activations `a` and their cotangents `da` are stored [panel][t, b][4 L], so that the product which fills a panel's
rows leaves them in the first cache for the gates that read them next, and weights are packed once in the same order
[panel][column][4 L]. Padding units have weights 0 and stay 0. Threads share the sequences of the batch inside the loop
over time and the panels or steps outside of it: no sum is ever split, so the numbers do not depend on their number.
"""

# ruff: noqa: ANN001, ANN201, ANN202 (compiled functions; the operands are the equations' letters)

import functools
from collections import namedtuple

import numpy as np
from numba import njit
from numba.extending import overload

from minigrad.compiled import threads
from minigrad.compiled.barrier import wait
from minigrad.compiled.compiling import kernel
from minigrad.compiled.simd import (
    BYTES,
    COLUMNS,
    ROWS,
    constant,
    lanes,
    load,
    maximum,
    minimum,
    multiply_add,
    power_of_two,
    product,
    store,
    where_not_zero,
)  # fmt: skip
from minigrad.compiled.workspace import room
from minigrad.ops import unbroadcast

inner = njit(nogil=True)  # compiled into the kernels that call it


# --- functions of a vector -------------------------------------------------------------------------------------------

LOG2_E, LN_2 = 1.4426950408889634, 0.6931471805599453
SERIES = {  # of (e^r - 1) / r, the highest power first, for |r| <= ln 2 / 2: 1 / k! down to 1 / 1!
    bits: tuple(1 / np.prod(np.arange(1.0, k + 1)) for k in range(terms, 0, -1)) for bits, terms in ((32, 7), (64, 13))
}
ROUND = {32: 1.5 * 2**23, 64: 1.5 * 2**52}  # added to a number, it pushes the digits after the point out


def exponential(a):
    """Return s and q with e^a = s + s q for |a| <= 87: s = 2^n, and q = e^r - 1 to full precision even where small."""
    raise NotImplementedError("for compiled functions alone")


@overload(exponential)
def exponential_compiled(a):
    """Cut a into n ln 2 + r."""
    bits = a.dtype.bitwidth
    shift, series = ROUND[bits], SERIES[bits]

    def compiled(a):
        shifted = multiply_add(a, LOG2_E, shift)
        r = multiply_add(shifted - shift, -LN_2, a)
        q = r * 0.0
        for coefficient in series:
            q = multiply_add(q, r, coefficient)
        return power_of_two(shifted), q * r

    return compiled


@inner
def sigmoid(a):
    s, q = exponential(minimum(maximum(0.0 - a, -87.0), 87.0))
    return 1.0 / (1.0 + (s + s * q))


@inner
def tanh(a):
    s, q = exponential(minimum(maximum(2.0 * a, -80.0), 80.0))
    m = multiply_add(s, q, s - 1.0)  # e^(2a) - 1
    return m / (m + 2.0)


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


# --- products --------------------------------------------------------------------------------------------------------


def strip(columns):
    """Return the function that writes init + A W for `columns` vectors of a panel; operands as product takes them."""

    @inner
    def run(rows, out, init, a, w):
        at = 0
        while at < rows:
            left = rows - at
            o = (out[0], out[1] + at * out[2], out[2])
            i = (init[0], init[1] + at * init[2], init[2])
            x = (a[0], a[1] + at * a[2], *a[2:])
            if left >= ROWS:
                product(ROWS, columns, o, i, x, w)
                at += ROWS
            elif left >= 4:
                product(4, columns, o, i, x, w)
                at += 4
            elif left >= 2:
                product(2, columns, o, i, x, w)
                at += 2
            else:
                product(1, columns, o, i, x, w)
                at += 1

    return run


multiply1, multiply2, multiply3, multiply = strip(1), strip(2), strip(3), strip(4)


@kernel
def pack(W, order, packed, first, last):
    """Lay the weights (rows, n) out for the product with them, W x: packed [panel][n][4 L], for panels first to last.

    `order` names the row of W that each of the packed rows is, -1 where there is none.
    """
    n, wide = W.shape[1], COLUMNS * lanes(packed)
    for panel in range(first, last):
        for c in range(wide):
            row = order[panel * wide + c]
            for k in range(n):
                packed[(panel * n + k) * wide + c] = W[row, k] if row >= 0 else 0.0


@kernel
def pack_transposed(W, order, packed, first, last):
    """Lay the weights (rows, n) out for the product with W': packed [panel of n][row as in order][4 L]."""
    n, wide = W.shape[1], COLUMNS * lanes(packed)
    for panel in range(first, last):
        here = min(wide, n - panel * wide)
        for j in range(len(order)):
            at, row = (panel * len(order) + j) * wide, order[j]
            for c in range(wide):
                packed[at + c] = W[row, panel * wide + c] if row >= 0 and c < here else 0.0


@kernel
def weigh(x, n, W, b, a, steps, first, last):
    """Write W x + b of the steps from first to last into all panels of a."""
    wide = COLUMNS * lanes(a)
    for panel in range(len(b) // wide):
        multiply(
            last - first,
            (a, (panel * steps + first) * wide, wide), (b, panel * wide, 0),
            (x, first * n, n, 1, 1, 0, n), (W, panel * n * wide, wide),
        )  # fmt: skip


@inner
def back(da, steps, panels, W, out, init, start, stop, rows):
    """Write init + da W for the columns from start to stop; `da` is (array, where its rows begin in each panel)."""
    L = lanes(da[0])
    wide = COLUMNS * L
    a = (da[0], da[1], wide, 1, panels, steps * wide, wide)
    for column in range(start, stop, wide):
        here, first = (out[0], out[1] + column, out[2]), (init[0], init[1] + column, init[2])
        w, columns = (W, column * panels * wide, wide), (stop - column) // L
        if columns >= 4:
            multiply(rows, here, first, a, w)
        elif columns == 3:
            multiply3(rows, here, first, a, w)
        elif columns == 2:
            multiply2(rows, here, first, a, w)
        else:
            multiply1(rows, here, first, a, w)


@kernel
def back_to_inputs(da, steps, panels, W, dx, width, first, last):
    """Write W' da of the steps from first to last into dx (steps, width), all of them after the loop."""
    at, nothing = first * COLUMNS * lanes(da), np.zeros(width, da.dtype)
    back((da, at), steps, panels, W, (dx, first * width, width), (nothing, 0, 0), 0, width, last - first)


CHUNK = 128  # steps whose da of one panel stay in the first cache


@kernel
def outer_products(da, steps, v, n, row, dW, first, last):
    """Sum the outer products of v_t (n, in rows of length `row`) and da_t into dW [panel][n][4 L], by panel."""
    wide = COLUMNS * lanes(da)
    for start in range(0, steps, CHUNK):
        count = min(CHUNK, steps - start)
        for panel in range(first, last):
            here = (dW, panel * n * wide, wide)
            multiply(n, here, here, (v, start * row, 1, row, 1, 0, count), (da, (panel * steps + start) * wide, wide))


@kernel
def sums(da, steps, db, first, last):
    """Sum da over all steps into db [panel][4 L]."""
    L = lanes(da)
    for vector in range(first * COLUMNS, last * COLUMNS):
        panel, c = vector // COLUMNS, vector % COLUMNS * L
        total = load(db, vector * L)
        for step in range(steps):
            total = total + load(da, (panel * steps + step) * COLUMNS * L + c)
        store(db, vector * L, total)


# --- through time ----------------------------------------------------------------------------------------------------


@inner
def portion(parties, first, last, B, H, wide):
    """Return a thread's sequences and units: a part of the batch, or of the units if `parties` wait for each other."""
    if parties == 1:
        return first, last, 0, H
    return 0, B, first * wide, min(last * wide, H)


def forward(cell, multiply, vectors):
    """Return the loop over all steps of a cell, whose panels hold `vectors` vectors of units.

    The product fills the rows of a panel with pre-activations, and `cell` turns each row into the next state. `states`
    begins with h; H counts the padding too.
    """

    @inner
    def run(how, a, states, R, mask, T, B, H, barrier, parties, first, last):
        L, hs = lanes(a), states[0]
        wide, size = COLUMNS * L, vectors * L
        low, high, start, stop = portion(parties, first, last, B, H, wide)
        for t in range(T):
            for j in range(start, stop, size):
                at = ((j // size * T + t) * B + low) * wide
                here = (a, at, wide)
                multiply(
                    high - low, here, here, (hs, (t * B + low) * H, H, 1, 1, 0, H), (R, j // size * H * wide, wide)
                )
                for b in range(low, high):
                    step = t * B + b
                    cell(how, a, at, states, step * H + j, (step + B) * H + j, j, len(mask) and not mask[step])
                    at += wide
            wait(barrier, parties)

    return run


def backward(cell_back, vectors):
    """Return the loop over all steps of a cell's derivative, the last step first.

    `ds` holds the cotangents of the state, h's first. `cell_back` leaves there what goes straight to the state before;
    what goes through R is added after it, unless it is cut.
    """

    @inner
    def run(how, saved, da, ds, g, R, mask, cut, T, B, H, barrier, parties, first, last):
        L, dh = lanes(da), ds[0]
        wide, size = COLUMNS * L, vectors * L
        low, high, start, stop = portion(parties, first, last, B, H, wide)
        for t in range(T - 1, -1, -1):
            for j in range(start, stop, size):
                at = ((j // size * T + t) * B + low) * wide
                for b in range(low, high):
                    step = t * B + b
                    ended = len(mask) and not mask[step]
                    cell_back(how, saved, da, at, ds, b * H + j, g, step * H + j, (step + B) * H + j, j, ended)
                    at += wide
            wait(barrier, parties)
            if not cut:
                place = (dh, low * H, H)
                back((da, (t * B + low) * wide), T * B, H // size, R, place, place, start, stop, high - low)

    return run


# --- Elman -----------------------------------------------------------------------------------------------------------

TANH, SIGMOID, RELU = 0, 1, 2


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
def elman_steps(f, a, states, R, mask, T, B, H, barrier, parties, first, last):
    elman_loop(f, a, states, R, mask, T, B, H, barrier, parties, first, last)


@kernel
def elman_steps_back(f, saved, da, ds, g, R, mask, cut, T, B, H, barrier, parties, first, last):
    elman_loop_back(f, saved, da, ds, g, R, mask, cut, T, B, H, barrier, parties, first, last)


# --- LSTM ------------------------------------------------------------------------------------------------------------

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
def lstm_steps(how, a, states, R, mask, T, B, H, barrier, parties, first, last):
    lstm_loop(how, a, states, R, mask, T, B, H, barrier, parties, first, last)


@kernel
def lstm_steps_back(how, saved, da, ds, g, R, mask, cut, T, B, H, barrier, parties, first, last):
    lstm_loop_back(how, saved, da, ds, g, R, mask, cut, T, B, H, barrier, parties, first, last)


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
def gru_steps(how, a, states, R, mask, T, B, H, barrier, parties, first, last):
    gru_loop(how, a, states, R, mask, T, B, H, barrier, parties, first, last)


@kernel
def gru_steps_back(how, saved, da, ds, g, R, mask, cut, T, B, H, barrier, parties, first, last):
    gru_loop_back(how, saved, da, ds, g, R, mask, cut, T, B, H, barrier, parties, first, last)


# --- from arrays to panels and back ----------------------------------------------------------------------------------


def zeros(*shape, dtype):
    """Return room filled with 0."""
    a = room(*shape, dtype=dtype)
    a[...] = 0
    return a


def padded(a, width):
    """Return the flat numbers of a, its last axis filled up with zeros to `width`."""
    if a.shape[-1] == width:
        return np.ascontiguousarray(a).reshape(-1)
    wider = zeros(*a.shape[:-1], width, dtype=a.dtype)
    wider.reshape(*a.shape[:-1], width)[..., : a.shape[-1]] = a
    return wider


def share(kernel, items, work, *args):
    """Let threads share the items; `work` counts multiply-adds."""
    threads.share(kernel, items, threads.parts(items, work), *args)


def flat(a):
    """Return the numbers of a in their order."""
    return np.ascontiguousarray(a).reshape(-1)


def ends(mask):
    """Return the mask, flat, or an empty array for none."""
    return np.empty(0, bool) if mask is None else flat(mask)


FEW, MANY = 4, 128  # up to FEW sequences of at least MANY units, threads share the units


class Layout:
    """How the numbers of one call lie: T steps of B sequences, n inputs, H units padded to `width`."""

    def __init__(self, x, H, inputs, recurrent, width):
        self.T, self.B, self.n = x.shape
        self.H, self.width, self.dtype, self.steps = H, width, x.dtype, self.T * self.B
        self.L = BYTES // x.dtype.itemsize
        self.wide = COLUMNS * self.L
        self.inputs, self.recurrent = inputs, recurrent  # the row of W and of R that each packed row is
        self.panels = len(inputs) // self.wide

    @property
    def size(self):
        return self.T, self.B, self.width

    def run(self, steps, *args):
        """Run the loop over time: threads share the batch, or the units where sequences are few and weights many."""
        work = self.steps * len(self.inputs) * self.width
        by_units = self.B <= FEW and self.width >= MANY
        items = -(-self.width // self.wide) if by_units else self.B
        parts = threads.parts(items, work)
        parties = parts if by_units else 1
        barrier = np.zeros(1, np.int64)
        items = items if parties > 1 else self.B  # a single party counts sequences
        threads.share(steps, items, parts, *args, self.T, self.B, self.width, barrier, parties)

    def packed(self, W, order):
        out = room(len(order), W.shape[1], dtype=self.dtype)
        share(pack, self.panels, out.size, np.ascontiguousarray(W), order, out)
        return out

    def transposed(self, W, order):
        panels = -(-W.shape[1] // self.wide)
        out = room(panels, len(order), self.wide, dtype=self.dtype)
        share(pack_transposed, panels, out.size, np.ascontiguousarray(W), order, out)
        return out

    def vector(self, b, order, rows):
        """Return a bias in the order of the panels."""
        b = np.broadcast_to(b, (rows,))
        return np.where(order >= 0, b[order], 0).astype(self.dtype)

    def states(self, first):
        """Return room for the states from the first to the last, flat (T + 1, B, width)."""
        hs = room(self.T + 1, self.B, self.width, dtype=self.dtype)
        hs[: self.B * self.width] = padded(first, self.width)
        return hs

    def weighed(self, x, W, b):
        """Return W x_t + b of all steps, in panels."""
        a = room(self.panels, self.steps, self.wide, dtype=self.dtype)
        W = self.packed(W, self.inputs)
        share(weigh, self.steps, a.size * self.n, flat(x), self.n, W, b, a, self.steps)
        return a

    def plain(self, state):
        """Return a state or states without padding, in memory of their own."""
        return state.reshape(-1, self.B, self.width)[..., : self.H].copy()

    def outputs(self, hs, mask):
        """Return h_1 to h_T, 0 where a sequence has ended, and h_T."""
        ys = self.plain(hs[self.B * self.width :])
        last = ys[-1].copy()
        if mask is not None:
            ys[~np.broadcast_to(mask, ys.shape)] = 0
        return ys, last

    def cotangents(self, gs):
        """Return the cotangents of outputs and last states with padding; those of the states in memory of their own."""
        g, *last = gs
        g = zeros(self.T, self.B, self.width, dtype=self.dtype) if g is None else padded(g, self.width)
        copies = [zeros(self.B, self.width, dtype=self.dtype) for _ in last]
        for copy, d in zip(copies, last, strict=True):
            if d is not None:
                copy[...] = padded(d, self.width)
        return g, *copies

    def outer(self, da, v, n, row, order, rows):
        """Return the sum over all steps of da_t v_t'."""
        packed = zeros(self.panels, n, self.wide, dtype=self.dtype)
        share(outer_products, self.panels, da.size * n, da, self.steps, v, n, row, packed)
        dW = np.zeros((rows, n), self.dtype)
        share(unpack, n, packed.size, packed, order, dW)
        return dW

    def summed(self, da, order, like):
        """Return the sum of da over all steps, for a bias of the form of `like`."""
        packed = zeros(self.panels, self.wide, dtype=self.dtype)
        share(sums, self.panels, da.size, da, self.steps, packed)
        db = np.zeros(max(order) + 1, self.dtype)
        np.add.at(db, order[order >= 0], packed[order >= 0])
        return unbroadcast(db, np.shape(like))

    def input_side(self, da, x, W, b, needs):
        """Return dx, dW and db, each where needed."""
        dx = None
        if needs[0]:
            width = -(-self.n // self.L) * self.L
            dx = (
                np.empty(self.steps * width, self.dtype)
                if width == self.n
                else room(self.steps, width, dtype=self.dtype)
            )
            back_W = self.transposed(W, self.inputs)
            share(back_to_inputs, self.steps, da.size * self.n, da, self.steps, self.panels, back_W, dx, width)
            dx = dx.reshape(self.T, self.B, width)[..., : self.n]
            dx = dx if width == self.n else dx.copy()
        dW = self.outer(da, flat(x), self.n, self.n, self.inputs, len(W)) if needs[1] else None
        return dx, dW, self.summed(da, self.inputs, b) if needs[2] else None


@kernel
def unpack(packed, order, W, first, last):
    """Add packed weights [panel][n][4 L] to W (rows, n) for the columns from first to last; gates may be shared."""
    n, wide = W.shape[1], COLUMNS * lanes(packed)
    for j in range(len(order)):
        row = order[j]
        if row >= 0:
            at = j // wide * n * wide + j % wide
            for k in range(first, last):
                W[row, k] += packed[at + k * wide]


def rows_of_units(H, L, *starts):
    """Return the row of each packed row: unit u of kind k stands in row starts[k] + u, or nowhere if that is None."""
    units = np.arange(-(-H // L) * L).reshape(-1, L)
    kinds = [np.full(units.shape, -1) if start is None else np.where(units < H, start + units, -1) for start in starts]
    return np.stack(kinds, axis=1).ravel()


# --- the contract of on_numpy.py -------------------------------------------------------------------------------------


@functools.cache
def elman_order(H, L):
    """A panel holds 4 L units."""
    return rows_of_units(H, COLUMNS * L, 0)


def elman_layout(x, H):
    order = elman_order(H, BYTES // x.dtype.itemsize)
    return Layout(x, H, order, order, len(order))


def elman_forward(x, h, W, R, b, nonlinearity, mask):
    """h_t = f(W x_t + R h_(t-1) + b)."""
    f, lay = ("tanh", "sigmoid", "relu").index(nonlinearity), elman_layout(x, len(R))
    a, hs = lay.weighed(x, W, lay.vector(b, lay.inputs, lay.H)), lay.states(h)
    packed = lay.packed(padded(R, lay.width).reshape(len(R), -1), lay.recurrent)
    lay.run(elman_steps, f, a, (hs,), packed, ends(mask))
    return lay.outputs(hs, mask), hs


def elman_backward(gs, outputs, saved, operands, needs, *, nonlinearity, mask):
    """da_t = dh_t f'(a_t), dh_(t-1) = R' da_t + what the loss says."""
    (x, _, W, R, b), hs = operands, saved
    f, lay = ("tanh", "sigmoid", "relu").index(nonlinearity), elman_layout(x, len(R))
    g, dh = lay.cotangents(gs)
    da = room(lay.panels, lay.steps, lay.wide, dtype=lay.dtype)
    back_R = lay.transposed(R, lay.recurrent)
    lay.run(elman_steps_back, f, (hs,), da, (dh,), g, back_R, ends(mask), False)
    dx, dW, db = lay.input_side(da, x, W, b, (needs[0], needs[2], needs[4]))
    dR = lay.outer(da, hs, lay.H, lay.width, lay.recurrent, lay.H) if needs[3] else None
    return dx, lay.plain(dh)[0], dW, dR, db


@functools.cache
def lstm_order(spec, H, L):
    """Gates that cells share stand in the rows of all their cells; those left out stand nowhere."""
    start, order = 0, {}
    for row in spec.rows:
        size = H if row == "z" else H // spec.block_size
        order[row] = rows_of_units(H, L, 0)
        order[row] = np.where(order[row] < 0, -1, start + order[row] // (H // size))
        start += size
    missing = np.full(-(-H // L) * L, -1)
    return np.stack([order.get(row, missing).reshape(-1, L) for row in "ifzo"], axis=1).ravel()


def lstm_layout(x, c, spec):
    order = lstm_order(spec, c.shape[1], BYTES // x.dtype.itemsize)
    lay = Layout(x, c.shape[1], order, order, len(order) // COLUMNS)
    has = lambda gate: gate in spec.gates
    cell = Cell(
        has("i"), has("f"), has("o"), spec.coupled, spec.peepholes, spec.detach_peephole,
        SQUASHINGS[spec.input_squashing], SQUASHINGS[spec.output_squashing],
    )  # fmt: skip
    return lay, cell


def lstm_peepholes(p, spec, lay):
    """Return the peepholes of i, f, o (3 width), 0 for gates that have none."""
    has = np.array([[spec.peepholes and gate in spec.gates] for gate in "ifo"])
    return tuple(
        padded(np.where(has, p, 0).astype(lay.dtype) + np.zeros((3, lay.H), lay.dtype), lay.width).reshape(3, -1)
    )


def lstm_forward(x, h, c, W, R, b, p, spec, mask):
    """c_t = f c_(t-1) + i z, h_t = o h(c_t)."""
    lay, cell = lstm_layout(x, c, spec)
    a, hs, cs = lay.weighed(x, W, lay.vector(b, lay.inputs, len(W))), lay.states(h), lay.states(c)
    packed = lay.packed(padded(R, lay.width).reshape(len(R), -1), lay.recurrent)
    peepholes = lstm_peepholes(p, spec, lay)
    lay.run(lstm_steps, (cell, peepholes), a, (hs, cs), packed, ends(mask))
    return (*lay.outputs(hs, mask), lay.plain(cs[-lay.B * lay.width :])[0]), (a, hs, cs)


def lstm_backward(gs, outputs, saved, operands, needs, *, spec, mask):
    """Backpropagation through time; with `truncate` nothing goes back through R, with `detach_peephole` through p."""
    (x, _, c, W, R, b, p), (_, hs, cs) = operands, saved
    lay, cell = lstm_layout(x, c, spec)
    g, dh, dc = lay.cotangents(gs)
    da = room(lay.panels, lay.steps, lay.wide, dtype=lay.dtype)
    back_R, peepholes = lay.transposed(R, lay.recurrent), lstm_peepholes(p, spec, lay)
    lay.run(lstm_steps_back, (cell, peepholes), saved, da, (dh, dc), g, back_R, ends(mask), spec.truncate)
    dx, dW, db = lay.input_side(da, x, W, b, (needs[0], needs[3], needs[5]))
    dR = lay.outer(da, hs, lay.H, lay.width, lay.recurrent, len(R)) if needs[4] else None
    dp = None
    if needs[6]:
        dp = zeros(3, lay.width, dtype=lay.dtype)
        share(peephole_sums, lay.panels, da.size, da, cs, dp, *lay.size)
        has = np.array([[spec.peepholes and gate in spec.gates] for gate in "ifo"])
        dp = np.where(has, dp.reshape(3, -1)[:, : lay.H], 0).astype(lay.dtype)
    return dx, lay.plain(dh)[0], lay.plain(dc)[0], dW, dR, db, dp


@functools.cache
def gru_orders(H, L):
    """Panels hold r, u, q, n: the candidate's row of W makes n, that of R makes q."""
    return rows_of_units(H, L, 0, H, None, 2 * H), rows_of_units(H, L, 0, H, 2 * H, None)


def gru_layout(x, H):
    inputs, recurrent = gru_orders(H, BYTES // x.dtype.itemsize)
    return Layout(x, H, inputs, recurrent, len(inputs) // COLUMNS)


def gru_forward(x, h, W, R, b, b_hn, mask):
    """h_t = u h_(t-1) + (1 - u) n, n = tanh(W_n x_t + b_n + r q), q = R_n h_(t-1) + b_hn."""
    H = h.shape[1]
    lay = gru_layout(x, H)
    shift = np.where(lay.inputs < 0, lay.recurrent - 2 * H, -1)  # q begins at b_hn
    bias = lay.vector(b, lay.inputs, 3 * H) + lay.vector(b_hn, np.maximum(shift, -1), H)
    a, hs = lay.weighed(x, W, bias), lay.states(h)
    packed = lay.packed(padded(R, lay.width).reshape(len(R), -1), lay.recurrent)
    lay.run(gru_steps, (), a, (hs,), packed, ends(mask))
    return lay.outputs(hs, mask), (a, hs)


def gru_backward(gs, outputs, saved, operands, needs, *, mask):
    """Backpropagation through time."""
    (x, h, W, R, b, b_hn), (_, hs) = operands, saved
    H = h.shape[1]
    lay = gru_layout(x, H)
    g, dh = lay.cotangents(gs)
    da = room(lay.panels, lay.steps, lay.wide, dtype=lay.dtype)
    back_R = lay.transposed(R, lay.recurrent)
    lay.run(gru_steps_back, (), saved, da, (dh,), g, back_R, ends(mask), False)
    dx, dW, db = lay.input_side(da, x, W, b, (needs[0], needs[2], needs[4]))
    dR = lay.outer(da, hs, lay.H, lay.width, lay.recurrent, len(R)) if needs[3] else None
    shift = np.where(lay.inputs < 0, lay.recurrent - 2 * H, -1)
    db_hn = lay.summed(da, np.maximum(shift, -1), b_hn) if needs[5] else None
    return dx, lay.plain(dh)[0], dW, dR, db, db_hn
