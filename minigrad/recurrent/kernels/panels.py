"""Panels: how the numbers of a recurrent layer lie so that a processor is fast with them, and the passes over them.

The units of a layer are cut into panels: L units (a vector) with four rows each, i, f, z, o of an LSTM or r, u, q, n of
a GRU; of an Elman net, 4 L units. The pre-activations `a` and their cotangents `da` are stored [panel][t, b][4 L], so
that the product which fills a panel's rows leaves them in the first cache for the gates that read them next, and
weights are packed once in the same order, [panel][column][4 L]. Padding units have weights 0 and stay 0.

A pass is shared among threads, which meet where one needs what the others have made: the products before and after the
loop over time by steps and panels, the loop itself by the sequences of the batch, or by units where those are few. No
sum is ever split, so results do not depend on the number of threads, to the last bit.
"""

# ruff: noqa: ANN001, ANN201, ANN202 (compiled functions; the operands are the equations' letters)

import functools

import numpy as np
from numba import njit

from minigrad.compiled import threads
from minigrad.compiled.barrier import GIVE_UP, wait
from minigrad.compiled.compiling import OPTIONS, kernel
from minigrad.compiled.simd import BYTES, COLUMNS, ROWS, lanes, load, product, store, turn
from minigrad.compiled.threads import span
from minigrad.compiled.workspace import room
from minigrad.ops import unbroadcast

inner = functools.partial(njit, **OPTIONS)  # compiled into the kernels that call it


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


@inner
def stand_together(order, at, L):
    """Whether L packed rows from `at` on are L rows one after the other."""
    for k in range(L):
        if order[at + k] < 0 or order[at + k] != order[at] + k:
            return False
    return True


@kernel
def pack(W, columns, order, packed, n, first, last):
    """Lay flat weights (rows, columns) out for the product W x: packed [panel][n][4 L], zeros where n exceeds columns.

    `order` names the row of W that each of the packed rows is, -1 where there is none.
    """
    L = lanes(packed)
    wide = COLUMNS * L
    for c in range(first * wide, last * wide, L):
        row, at = order[c], (c // wide * n) * wide + c % wide
        whole = columns // L * L if stand_together(order, c, L) else 0  # the rest number by number
        for k in range(0, whole, L):
            turn(W, row * columns + k, columns, packed, at + k * wide, wide)
        for j in range(L):
            row = order[c + j]
            for k in range(whole, n):
                packed[at + k * wide + j] = W[row * columns + k] if row >= 0 and k < columns else 0.0


@kernel
def unpack(packed, order, W, n, shared, first, last):
    """Write packed weights [panel][n][4 L] to rows first to last of flat W (rows, n); add where cells share rows."""
    L = lanes(packed)
    wide = COLUMNS * L
    for c in range(0, len(order), L):
        row, at = order[c], (c // wide * n) * wide + c % wide
        whole = n // L * L if stand_together(order, c, L) and first <= row and row + L <= last else 0
        for k in range(0, whole, L):
            turn(packed, at + k * wide, wide, W, row * n + k, n)
        for j in range(L):
            row = order[c + j]
            if first <= row < last:
                for k in range(whole, n):
                    W[row * n + k] = packed[at + k * wide + j] + (W[row * n + k] if shared else 0.0)


@kernel
def pack_transposed(W, n, order, packed, first, last):
    """Lay flat weights (rows, n) out for the product with W': packed [panel of n][row as in order][4 L]."""
    L = lanes(packed)
    wide = COLUMNS * L
    for panel in range(first, last):
        for j in range(len(order)):
            at, row = (panel * len(order) + j) * wide, order[j]
            for c in range(0, wide, L):
                column = panel * wide + c
                if row >= 0 and column + L <= n:
                    store(packed, at + c, load(W, row * n + column))
                else:
                    for k in range(L):
                        packed[at + c + k] = W[row * n + column + k] if row >= 0 and column + k < n else 0.0


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
def multiply_up_to(columns, rows, out, init, a, w):
    """Write init + A W for as many vectors of a panel as there are, up to 4."""
    if columns >= 4:
        multiply(rows, out, init, a, w)
    elif columns == 3:
        multiply3(rows, out, init, a, w)
    elif columns == 2:
        multiply2(rows, out, init, a, w)
    else:
        multiply1(rows, out, init, a, w)


@inner
def back(da, at, steps, panels, W, dh, begin, width, start, stop, rows):
    """Add da W to the columns from start to stop of dh; `at` and `begin` are where the rows begin in each."""
    wide = COLUMNS * lanes(da)
    for column in range(start, stop, wide):
        here, w = (dh, begin + column, width), (W, column * panels * wide, wide)
        a = (da, at, wide, 1, panels, steps * wide, wide)
        multiply_up_to((stop - column) // lanes(da), rows, here, here, a, w)


FEW_PANELS = 4  # whose part of W stays in the second cache while all steps pass by


@kernel
def back_to_inputs(da, steps, panels, W, nothing, dx, width, first, last):
    """Write W' da of the steps from first to last into dx (steps, width), all of them after the loop.

    A few panels at a time.
    """
    wide = COLUMNS * lanes(da)
    for start in range(0, panels, FEW_PANELS):
        count = min(FEW_PANELS, panels - start)
        a = (da, (start * steps + first) * wide, wide, 1, count, steps * wide, wide)
        for column in range(0, width, wide):
            out = (dx, first * width + column, width)
            init = out if start else (nothing, column, 0)
            w = (W, (column * panels + start * wide) * wide, wide)
            multiply_up_to((width - column) // lanes(da), last - first, out, init, a, w)


CHUNK = 128  # steps whose da of one panel stay in the first cache


@kernel
def outer_products(da, steps, v, n, row, nothing, dW, first, last):
    """Sum the outer products of v_t (n, in rows of length `row`) and da_t into dW [panel][n][4 L], by panel."""
    wide = COLUMNS * lanes(da)
    for start in range(0, steps, CHUNK):
        count = min(CHUNK, steps - start)
        for panel in range(first, last):
            here = (dW, panel * n * wide, wide)
            init = here if start else (nothing, 0, 0)
            multiply(n, here, init, (v, start * row, 1, row, 1, 0, count), (da, (panel * steps + start) * wide, wide))


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


@kernel
def meet(barrier, parties):
    """Wait for the other threads of a pass."""
    wait(barrier, parties)


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
    begins with h; H counts the padding too, `units` does not.
    """

    @inner
    def run(how, a, states, R, mask, T, B, H, units, barrier, parties, first, last):
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
                    for k in range(max(j, units), j + size):  # weight 0 times an infinite number is not 0
                        hs[(step + B) * H + k] = 0.0
                    at += wide
            wait(barrier, parties)

    return run


def backward(cell_back, vectors):
    """Return the loop over all steps of a cell's derivative, the last step first.

    `ds` holds the cotangents of the state, h's first. `cell_back` leaves there what goes straight to the state before;
    what goes through R is added after it, unless it is cut.
    """

    @inner
    def run(how, saved, da, ds, g, R, mask, cut, T, B, H, units, barrier, parties, first, last):
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
                    for k in range(max(j, units) - j, size):
                        for row in range(at + k, at + wide, size):
                            da[row] = 0.0
                    at += wide
            wait(barrier, parties)
            if not cut:
                back(da, (t * B + low) * wide, T * B, H // size, R, dh, low * H, H, start, stop, high - low)

    return run


# --- a pass ----------------------------------------------------------------------------------------------------------


def zeros(*shape, dtype):
    """Return room filled with 0."""
    a = room(*shape, dtype=dtype)
    a[...] = 0
    return a


def flat(a):
    """Return the numbers of a in their order."""
    return settled(a).reshape(-1)


def settled(a):
    """Return a with its numbers side by side, and writable: for read-only arrays Numba would compile all anew."""
    return np.require(a, requirements="CW")


def padded(a, width):
    """Return the flat numbers of a, its last axis filled up with zeros to `width`."""
    if a.shape[-1] == width:
        return flat(a)
    wider = zeros(*a.shape[:-1], width, dtype=a.dtype)
    wider.reshape(*a.shape[:-1], width)[..., : a.shape[-1]] = a
    return wider


def ends(mask):
    """Return the mask, flat, or an empty array for none."""
    return np.empty(0, bool) if mask is None else flat(mask)


def rows_of_units(H, L, *starts):
    """Return the row of each packed row: unit u of kind k stands in row starts[k] + u, or nowhere if that is None."""
    units = np.arange(-(-H // L) * L).reshape(-1, L)
    kinds = [np.full(units.shape, -1) if start is None else np.where(units < H, start + units, -1) for start in starts]
    return np.stack(kinds, axis=1).ravel()


FEW, MANY = 4, 128  # up to FEW sequences of at least MANY units, threads share the units


class Panels:
    """How the numbers of one call lie, x (T, B, n) and H units padded to `width`; and its two passes.

    `inputs` and `recurrent` say which row of W and of R each of the packed rows is, -1 for none; `shared` that some row
    is several.
    """

    def __init__(self, x, H, inputs, recurrent, width, shared=False):
        self.T, self.B, self.n = x.shape
        self.H, self.width, self.dtype, self.steps = H, width, x.dtype, self.T * self.B
        self.inputs, self.recurrent, self.shared = inputs, recurrent, shared
        self.L = BYTES // x.itemsize
        self.wide = COLUMNS * self.L
        self.panels = len(inputs) // self.wide
        self.parts = threads.parts(self.steps * len(inputs) * (self.n + width))
        self.by_units = self.parts > 1 and (self.B < self.parts or (self.B <= FEW and width >= MANY))

    # --- arrays as panels want them, and back

    def room(self, *shape):
        return room(*shape, dtype=self.dtype)

    def vector(self, b, order, rows):
        """Return a bias (rows) in the order of the panels."""
        return np.append(np.broadcast_to(b, (rows,)), 0)[order].astype(self.dtype)  # -1 names the 0

    def unvector(self, total, order, like):
        """Return the sum of the packed rows that each row of a bias stands in, in the form of `like`."""
        db = np.zeros(order.max() + 2, self.dtype)
        np.add.at(db, order, total)
        return unbroadcast(db[:-1], np.shape(like))

    def states(self, first):
        """Return room for the states from the first to the last, flat (T + 1, B, width)."""
        hs = self.room(self.T + 1, self.B, self.width)
        hs[: self.B * self.width] = padded(first, self.width)
        return hs

    def plain(self, states):
        """Return states (..., B, H) without padding, in memory of their own."""
        return states.reshape(-1, self.B, self.width)[..., : self.H].copy()

    def last(self, states):
        """Return the last of the states."""
        return self.plain(states[-self.B * self.width :])[0]

    def outputs(self, hs, mask):
        """Return h_1 to h_T, 0 where a sequence has ended, and h_T."""
        ys = self.plain(hs[self.B * self.width :])
        if mask is not None:
            ys[~np.broadcast_to(mask, ys.shape)] = 0
        return ys, self.last(hs)

    def cotangent(self, g, steps=1):
        """Return the cotangent (steps, B, H) of outputs or of a last state, padded; zeros where the loss lacks it."""
        return zeros(steps, self.B, self.width, dtype=self.dtype) if g is None else padded(g, self.width)

    # --- the passes

    def share(self, work):
        """Call work(k, wait) for every part of a pass, each on a thread; wait() returns when all have called it."""
        self.barrier = barrier = np.zeros(1, np.int64)
        part = lambda k: work(k, lambda: meet(barrier, self.parts))
        threads.together(self.parts, part, give_up=lambda: barrier.fill(GIVE_UP))

    def loop(self, k):
        """Return the last arguments of a loop over time: its sizes, and which sequences or units are part k's."""
        sizes = self.T, self.B, self.width, self.H, self.barrier
        if self.by_units:
            return *sizes, self.parts, *span(-(-self.width // self.wide), k, self.parts)
        return *sizes, 1, *span(self.B, k, self.parts)

    def forward(self, steps, how, x, W, R, b, states, mask):
        """Run a layer over all steps, which fills the states; return the gates, for the pass back."""
        rows, a = len(self.inputs), self.room(self.panels, self.steps, self.wide)
        packed_W, packed_R = self.room(rows, self.n), self.room(rows, self.width)
        x, W, R, mask = flat(x), flat(W), flat(R), ends(mask)

        def work(k, wait):
            mine = span(self.panels, k, self.parts)
            pack(W, self.n, self.inputs, packed_W, self.n, *mine)
            pack(R, self.H, self.recurrent, packed_R, self.width, *mine)
            wait()
            weigh(x, self.n, packed_W, b, a, self.steps, *span(self.steps, k, self.parts))
            wait()
            steps(how, a, states, packed_R, mask, *self.loop(k))

        self.share(work)
        return a

    def backward(self, steps_back, how, saved, hs, g, ds, x, W, R, mask, needs, cut=False):
        """Run a layer back over all steps; return da in panels, and dx, dW, dR and the sum of da, each where needed.

        `ds` holds the cotangents of the last states, which become those of the first.
        """
        rows, da = len(self.inputs), self.room(self.panels, self.steps, self.wide)
        across = lambda size: -(-size // self.wide)
        back_W, back_R = (self.room(across(size), rows, self.wide) for size in (self.n, self.width))
        x_width = -(-self.n // self.L) * self.L
        nothing, dx = zeros(max(x_width, self.wide), dtype=self.dtype), None
        if needs[0]:
            dx = np.empty(x.size, self.dtype) if x_width == self.n else self.room(self.steps, x_width)
        packed_dW = self.room(rows, self.n) if needs[1] else None
        packed_dR = self.room(rows, self.H) if needs[2] else None
        new = np.zeros if self.shared else np.empty
        dW, dR = (new(w.shape, self.dtype) if need else None for w, need in ((W, needs[1]), (R, needs[2])))
        total = zeros(rows, dtype=self.dtype) if needs[3] else None
        x, W, R, mask = flat(x), flat(W), flat(R), ends(mask)

        def work(k, wait):
            mine = lambda items: span(items, k, self.parts)
            panels = mine(self.panels)
            pack_transposed(R, self.H, self.recurrent, back_R, *mine(across(self.width)))
            if needs[0]:
                pack_transposed(W, self.n, self.inputs, back_W, *mine(across(self.n)))
            wait()
            steps_back(how, saved, da, ds, g, back_R, mask, cut, *self.loop(k))
            wait()
            if needs[0]:
                back_to_inputs(da, self.steps, self.panels, back_W, nothing, dx, x_width, *mine(self.steps))
            if needs[1]:
                outer_products(da, self.steps, x, self.n, self.n, nothing, packed_dW, *panels)
            if needs[2]:
                outer_products(da, self.steps, hs, self.H, self.width, nothing, packed_dR, *panels)
            if needs[3]:
                sums(da, self.steps, total, *panels)
            wait()
            if needs[1]:
                unpack(packed_dW, self.inputs, dW.reshape(-1), self.n, self.shared, *mine(len(dW)))
            if needs[2]:
                unpack(packed_dR, self.recurrent, dR.reshape(-1), self.H, self.shared, *mine(len(dR)))

        self.share(work)
        if needs[0]:
            dx = dx.reshape(self.T, self.B, x_width)
            dx = dx if x_width == self.n else dx[..., : self.n].copy()
        return da, dx, dW, dR, total
