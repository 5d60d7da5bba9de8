"""Whole sequences on a GPU through CuPy: each step one product by cuBLAS and one kernel of our own, in cuda/*.cu.

The equations, and what is returned, are those of on_numpy.py. A kernel does all that a step does beside its product, so
that a step costs two launches; dW, dR, db and dx are single products and sums after the loop. The launches wait in the
stream in order, and nothing here waits for the GPU. What a forward function saves is memory of its own, for whichever
backward function runs: `hs` (T + 1, B, H) of an Elman cell, `a`, `hs`, `cs` of an LSTM, `a`, `hs`, `qs` of a GRU.
"""

# ruff: noqa: ANN001, ANN201 (the operands are the equations' letters; their shapes stand beside the references)

import functools
from collections.abc import Callable, Iterator

from minigrad.cuda_kernels import REALS
from minigrad.errors import DTypeError
from minigrad.recurrent.kernels import persistent
from minigrad.recurrent.kernels.cuda_source import source
from minigrad.recurrent.kernels.on_numpy import FUNCTIONS, flat, input_side, rows, weigh

FAMILIES = "elman", "lstm", "gru"
NUMBERS = {name: k for k, name in enumerate(FUNCTIONS)}  # the names of functions in common.cu
THREADS = 128  # of a block; small, so that the steps of small nets, too, are spread over many multiprocessors


def sources() -> Iterator[tuple[str, str, tuple]]:
    """Yield (name, code, options) of everything that is compiled here, for those who compile it without a GPU."""
    for family in FAMILIES:
        for real in REALS.values():
            yield f"{family} {real}", source(family), (f"-DREAL={real}",)


@functools.cache
def kernel(family: str, direction: str, dtype: str) -> Callable:
    """Return a kernel; it is compiled at its first launch, and kept on disk by CuPy."""
    import cupy

    module = cupy.RawModule(code=source(family), options=(f"-DREAL={REALS[dtype]}",))
    return module.get_function(f"{family}_{direction}")


def steps(family: str, direction: str, x: object, threads: int, *fixed: object) -> Callable:
    """Return what launches a kernel for one step: the arguments that change come first, then those of all steps.

    Whole arrays and t are handed over, and the kernel finds step t in them: a slice would cost Python as much as a
    launch.
    """
    run, grid, block = kernel(family, direction, x.dtype.name), (-(-threads // THREADS),), (THREADS,)
    return lambda *changing: run(grid, block, (*changing, *fixed))


# --- operands --------------------------------------------------------------------------------------------------------


def check(family: str, *operands: object) -> None:
    """Refuse operands of several dtypes: the kernels read memory as they are told, and convert nothing."""
    found = {x.dtype.name for x in operands if hasattr(x, "dtype")}
    if len(found) > 1 or not found <= set(REALS):
        raise DTypeError(
            f"{family}_sequence: on a GPU all operands are float32 or all float64, not {' and '.join(sorted(found))}; "
            "convert them with .astype"
        )


def plain(a, dtype=None):
    """Return an array as kernels read it, on the GPU and without gaps; None stays None, a null pointer to them."""
    import cupy

    return None if a is None else cupy.ascontiguousarray(cupy.asarray(a), dtype)


def vector(b, like):
    """Return a bias with a number for each unit of `like` (B, H); None for the 0.0 of one left out."""
    import cupy

    if not hasattr(b, "shape"):
        return cupy.full(like.shape[1], b, like.dtype) if b else None
    return plain(cupy.broadcast_to(cupy.asarray(b), like.shape[1:]))


def room(x, H):
    """Return room for a number of every unit at every step (T, B, H)."""
    import cupy

    return cupy.empty((*x.shape[:2], H), x.dtype)


def states(first, T):
    """Return room for the states from the first to the last (T + 1, B, H)."""
    import cupy

    found = cupy.empty((T + 1, *first.shape), first.dtype)
    found[0] = first
    return found


def own(d, like):
    """Return the cotangent of a last state as memory to be written into; 0 where the loss does not use it."""
    import cupy

    return cupy.zeros_like(like) if d is None else cupy.array(d, like.dtype, order="C")


def total(dh, stays, like):
    """Return the cotangent of h_0: what came back through R, and what did not."""
    import cupy

    if dh is None:
        return cupy.zeros_like(like) if stays is None else stays
    return dh if stays is None else dh + stays


# --- Elman -----------------------------------------------------------------------------------------------------------


def elman_forward(x, h, W, R, b, nonlinearity, mask):
    """h_t = f(W x_t + R h_(t-1) + b)."""
    import cupy

    check("elman", x, h, W, R, b)
    (B, H), a, hs, y = h.shape, weigh(x, W, b), states(h, len(x)), room(x, len(R))
    if whole := persistent.ready("forward", persistent.elman(nonlinearity), R, y):
        whole(plain(R), None, plain(mask), None, a, hs, None, y)
    else:
        step = steps("elman", "forward", x, B * H, B, H, NUMBERS[nonlinearity], plain(mask), a, hs, y)
        at, R = list(hs), R.T
        for t in range(len(x)):
            cupy.dot(at[t], R, out=at[t + 1])
            step(t)
    return (y, hs[-1].copy()), hs


def elman_backward(gs, outputs, saved, operands, needs, *, nonlinearity, mask):
    """da_t = dh_t f'(a_t), dh_(t-1) = R' da_t + what the loss says."""
    import cupy

    (x, h, W, R, b), hs = operands, saved
    (B, H), f, da = h.shape, NUMBERS[nonlinearity], room(x, len(R))
    g, dh = (plain(d, x.dtype) for d in gs)
    if whole := persistent.ready("backward", persistent.elman(nonlinearity), R, da):
        dh, stays = own(dh, hs[0]), None
        whole(plain(R), None, plain(mask), None, None, hs[1:], g, dh, None, da, None)
    else:
        through, stays = cupy.empty_like(hs[0]), None if mask is None else cupy.zeros_like(hs[0])
        step = steps("elman", "backward", x, B * H, B, H, f, plain(mask), hs, g, stays, da)
        for t, da_t in reversed(list(enumerate(da))):
            step(t, dh)
            dh = cupy.dot(da_t, R, out=through)
    dx, dW, db = input_side(da, x, W, b, (needs[0], needs[2], needs[4]))
    return dx, total(dh, stays, hs[0]), dW, flat(da).T @ flat(hs[:-1]) if needs[3] else None, db


# --- LSTM ------------------------------------------------------------------------------------------------------------


def cell(spec, H: int) -> tuple:
    """Return a cell as the kernels read it: S, rows, where i, f, z, o begin (-1: left out), coupled, g, h."""
    at, start = dict.fromkeys("ifzo", -1), 0
    for row in spec.rows:
        at[row], start = start, start + (H if row == "z" else H // spec.block_size)
    squashings = NUMBERS[spec.input_squashing], NUMBERS[spec.output_squashing]
    return spec.block_size, start, *at.values(), int(spec.coupled), *squashings


def lstm_forward(x, h, c, W, R, b, p, spec, mask):
    """c_t = f c_(t-1) + i z, h_t = o h(c_t); i, f, z, o take the place of their pre-activations in a."""
    import cupy

    check("lstm", x, h, c, W, R, b, p)
    (B, H), a, hs, cs, y = c.shape, weigh(x, W, b), states(h, len(x)), states(c, len(x)), room(x, c.shape[1])
    p = plain(p) if spec.peepholes else None
    if whole := persistent.ready("forward", persistent.lstm(spec, spec.peepholes), R, y):
        whole(plain(R), p, plain(mask), cs[0], a, hs, cs[1:], y)
    else:
        fed, threads = cupy.empty_like(a[0]), B * H // spec.block_size
        step = steps("lstm", "forward", x, threads, B, H, *cell(spec, H), p, plain(mask), fed, a, hs, cs, y)
        R = R.T
        for t, h_before in enumerate(hs[:-1]):
            cupy.dot(h_before, R, out=fed)
            step(t)
    return (y, hs[-1].copy(), cs[-1].copy()), (a, hs, cs)


def lstm_backward(gs, outputs, saved, operands, needs, *, spec, mask):
    """Backpropagation through time; with `truncate` nothing goes back through R, with `detach_peephole` through p."""
    import cupy

    (x, _, c, W, R, b, p), (a, hs, cs) = operands, saved
    (B, H), da = c.shape, cupy.empty_like(a)
    g, dh, dc = plain(gs[0], x.dtype), plain(gs[1], x.dtype), own(gs[2], cs[0])
    back = plain(p) if spec.peepholes and not spec.detach_peephole else None
    if whole := persistent.ready("backward", persistent.lstm(spec, back is not None), R, cs[1:]):
        dh, stays = own(dh, hs[0]), None
        whole(plain(R), back, plain(mask), a, cs[:-1], cs[1:], g, dh, dc, da, None)
    else:
        through, stays = cupy.empty_like(hs[0]), None if mask is None else cupy.zeros_like(hs[0])
        threads = B * H // spec.block_size
        step = steps("lstm", "backward", x, threads, B, H, *cell(spec, H), back, plain(mask), a, cs, g, stays, dc, da)
        for t, da_t in reversed(list(enumerate(da))):
            step(t, dh)
            dh = None if spec.truncate else cupy.dot(da_t, R, out=through)
    dx, dW, db = input_side(da, x, W, b, (needs[0], needs[3], needs[5]))
    dR = flat(da).T @ flat(hs[:-1]) if needs[4] else None
    dp = None
    if needs[6]:
        dp, d = cupy.zeros_like(p), rows(da, spec, H)
        for k, gate in enumerate("ifo"):
            if spec.peepholes and gate in spec.gates:
                dp[k] = (d[gate] * (cs[1:] if gate == "o" else cs[:-1])).sum(axis=(0, 1))
    return dx, total(dh, stays, hs[0]), dc, dW, dR, db, dp


# --- GRU -------------------------------------------------------------------------------------------------------------


def gru_forward(x, h, W, R, b, b_hn, mask):
    """h_t = u h_(t-1) + (1 - u) n, n = tanh(W_n x_t + b_n + r q), q = R_n h_(t-1) + b_hn; a becomes r, u, n."""
    import cupy

    check("gru", x, h, W, R, b, b_hn)
    (B, H), a, hs, qs, y = h.shape, weigh(x, W, b), states(h, len(x)), room(x, h.shape[1]), room(x, h.shape[1])
    if whole := persistent.ready("forward", persistent.gru(), R, y):
        whole(plain(R), vector(b_hn, h), plain(mask), None, a, hs, qs, y)
    else:
        fed = cupy.empty_like(a[0])
        step = steps("gru", "forward", x, B * H, B, H, vector(b_hn, h), plain(mask), fed, a, hs, qs, y)
        R = R.T
        for t, h_before in enumerate(hs[:-1]):
            cupy.dot(h_before, R, out=fed)
            step(t)
    return (y, hs[-1].copy()), (a, hs, qs)


def gru_backward(gs, outputs, saved, operands, needs, *, mask):
    """Backpropagation through time; the cotangents dn and dq of the candidate's two sides differ by the reset gate."""
    import cupy

    (x, h, W, R, b, b_hn), (a, hs, qs) = operands, saved
    (B, H), da, dn = h.shape, cupy.empty_like(a), cupy.empty_like(qs)
    g, dh = (plain(d, x.dtype) for d in gs)
    if whole := persistent.ready("backward", persistent.gru(), R, dn):
        dh, stays = own(dh, hs[0]), None
        whole(plain(R), None, plain(mask), a, hs[:-1], qs, g, dh, None, da, dn)
    else:
        through, stays = cupy.empty_like(hs[0]), cupy.zeros_like(hs[0])
        step = steps("gru", "backward", x, B * H, B, H, plain(mask), a, hs, qs, g, stays, da, dn)
        for t, da_t in reversed(list(enumerate(da))):
            step(t, dh)
            dh = cupy.dot(da_t, R, out=through)
    dR, dq = flat(da).T @ flat(hs[:-1]) if needs[3] else None, da[..., 2 * H :]
    db_hn = (dq.sum(axis=(0, 1)) if b_hn.shape else dq.sum()) if needs[5] else None
    dq[...] = dn  # and now what goes back through W
    dx, dW, db = input_side(da, x, W, b, (needs[0], needs[2], needs[4]))
    return dx, total(dh, stays, hs[0]), dW, dR, db, db_hn
