"""Whole sequences on NumPy: the forward loop and backpropagation through time, as the equations say them.

Only the recurrent product is left inside the loops. W x_t is one product over all steps before the loop; dW, dR and dx
are one product each after it; slopes are taken at once for all. a_t are the pre-activations, da_t their cotangents;
`hs`, `cs` hold the states from h_0 to h_T. What a forward function saves is memory of its own: no output shares it.
"""

# ruff: noqa: ANN001, ANN201 (the operands are the equations' letters; their shapes stand beside the references)

import numpy as np

from minigrad.ops import unbroadcast


def logistic(a: np.ndarray) -> None:
    """Turn a into 1 / (1 + e ** -a) in place; the same numbers as ops.sigmoid."""
    a *= -1  # np.negative in place errs on float32 columns (NumPy 2.4.6)
    np.minimum(a, 88.0 if a.dtype == np.float32 else 709.0, out=a)  # beyond, e ** -a would overflow
    np.exp(a, out=a)
    a += 1
    np.reciprocal(a, out=a)


def half_tanh(a: np.ndarray, scale: int) -> None:
    """Turn a into scale (2 sigmoid(a) - 1) = scale tanh(a / 2) in place."""
    a *= 0.5
    np.tanh(a, out=a)
    a *= scale


# name -> (what turns an array into its activation in place, the slope from the activation y)
FUNCTIONS = {
    "tanh": (lambda a: np.tanh(a, out=a), lambda y: 1 - y * y),
    "sigmoid": (logistic, lambda y: y * (1 - y)),
    "relu": (lambda a: np.maximum(a, 0, out=a), lambda y: (y > 0).astype(y.dtype)),
    "identity": (lambda a: None, np.ones_like),
    "4s-2": (lambda a: half_tanh(a, 2), lambda y: 1 - y * y / 4),
    "2s-1": (lambda a: half_tanh(a, 1), lambda y: (1 - y * y) / 2),
}


def flat(a: np.ndarray) -> np.ndarray:
    """Return a (T, B, n) as one matrix (T B, n)."""
    return a.reshape(-1, a.shape[2])


def weigh(x: np.ndarray, W: np.ndarray, b: np.ndarray | float) -> np.ndarray:
    """Return W x_t + b of all steps (T, B, rows), in memory of its own."""
    a = (flat(x) @ W.T).reshape(*x.shape[:2], -1)
    a += b
    return a


def states(first: np.ndarray, T: int) -> np.ndarray:
    """Return room for the states from the first to the last (T + 1, B, H)."""
    room = np.empty((T + 1, *first.shape), first.dtype)
    room[0] = first
    return room


def stay(room: np.ndarray, t: int, mask: np.ndarray | None) -> None:
    """Let the state of step t be that of the step before where a sequence has ended."""
    if mask is not None:
        np.copyto(room[t + 1], room[t], where=~mask[t])


def selected(a: np.ndarray, mask: np.ndarray | None, otherwise: float = 0.0) -> np.ndarray:
    """Return a where the mask holds and `otherwise` elsewhere, as a new array where there is a mask."""
    return a if mask is None else np.where(mask, a, otherwise)


def outputs_of(hs: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Return h_1 to h_T, 0 where a sequence has ended, in memory of their own."""
    return hs[1:].copy() if mask is None else np.where(mask, hs[1:], 0.0)


def cotangents(gs: tuple, outputs: tuple, mask: np.ndarray | None) -> list:
    """Return the cotangents of the outputs and of the last states; 0 for those that the loss does not use."""
    g, *last = (np.zeros_like(y) if g is None else g for g, y in zip(gs, outputs, strict=True))
    return [selected(g, mask), *last]


def input_side(da: np.ndarray, x: np.ndarray, W: np.ndarray, b: np.ndarray, needs: tuple) -> tuple:
    """Return dx, dW and db from the cotangents of W x_t + b, each where needed."""
    return (
        (flat(da) @ W).reshape(x.shape) if needs[0] else None,
        flat(da).T @ flat(x) if needs[1] else None,
        unbroadcast(da, b.shape) if needs[2] else None,
    )


# --- Elman -----------------------------------------------------------------------------------------------------------


def elman_forward(x, h, W, R, b, nonlinearity, mask):
    """h_t = f(W x_t + R h_(t-1) + b)."""
    a, hs = weigh(x, W, b), states(h, len(x))
    f, _ = FUNCTIONS[nonlinearity]
    for t in range(len(x)):
        np.matmul(hs[t], R.T, out=hs[t + 1])
        hs[t + 1] += a[t]
        f(hs[t + 1])
        stay(hs, t, mask)
    return (outputs_of(hs, mask), hs[-1].copy()), hs


def elman_backward(gs, outputs, saved, operands, needs, *, nonlinearity, mask):
    """da_t = dh_t f'(a_t), dh_(t-1) = R' da_t + what the loss says."""
    x, _, W, R, b = operands
    hs = saved
    g, dh = cotangents(gs, outputs, mask)
    slope = selected(FUNCTIONS[nonlinearity][1](hs[1:]), mask)
    passes, da = slope != 0, np.zeros_like(slope)  # selects: an infinite cotangent times 0 would be NaN
    for t in reversed(range(len(x))):
        dh = dh + g[t]
        np.multiply(dh, slope[t], out=da[t], where=passes[t])
        dh = da[t] @ R if mask is None else np.where(mask[t], da[t] @ R, dh)
    dx, dW, db = input_side(da, x, W, b, (needs[0], needs[2], needs[4]))
    return dx, dh, dW, flat(da).T @ flat(hs[:-1]) if needs[3] else None, db


# --- LSTM ------------------------------------------------------------------------------------------------------------


def rows(a: np.ndarray, spec: object, H: int) -> dict[str, np.ndarray]:
    """Return the blocks of a (T, B, rows) by letter, as views; a gate left out is 1 at all times (T, 1, 1)."""
    found, start = dict.fromkeys("ifo", np.ones((len(a), 1, 1), a.dtype)), 0
    for row in spec.rows:
        size = H if row == "z" else H // spec.block_size
        found[row] = a[..., start : start + size]
        start += size
    return found


def wide(gate: np.ndarray, cells: int) -> np.ndarray:
    """Return a gate (..., blocks) as the cells see it that share it, to be broadcast where there is one block."""
    return gate if cells == 1 or gate.shape[-1] == 1 else np.repeat(gate, cells, axis=-1)


def lstm_forward(x, h, c, W, R, b, p, spec, mask):
    """c_t = f c_(t-1) + i z, h_t = o h(c_t); i, f, z, o take the place of their pre-activations in a."""
    T, (B, H) = len(x), c.shape
    a, hs, cs, squashed = weigh(x, W, b), states(h, T), states(c, T), np.empty((T, B, H), c.dtype)
    act = rows(a, spec, H)
    g, out = FUNCTIONS[spec.input_squashing][0], FUNCTIONS[spec.output_squashing][0]
    S, early = spec.block_size, a[..., : spec.rows.index("z") * (H // spec.block_size)]  # i and f, side by side
    seen = {gate: p[k] for k, gate in enumerate("ifo") if gate in spec.gates} if spec.peepholes else {}
    for t in range(T):
        a[t] += hs[t] @ R.T
        for gate in "if":
            if gate in seen:
                act[gate][t] += seen[gate] * cs[t]
        logistic(early[t])
        g(act["z"][t])
        i = wide(act["i"][t], S)
        f = 1 - i if spec.coupled else wide(act["f"][t], S)
        np.add(f * cs[t], i * act["z"][t], out=cs[t + 1])
        if spec.output_gate:
            if "o" in seen:
                act["o"][t] += seen["o"] * cs[t + 1]
            logistic(act["o"][t])
        squashed[t] = cs[t + 1]
        out(squashed[t])
        np.multiply(wide(act["o"][t], S), squashed[t], out=hs[t + 1])
        stay(hs, t, mask)
        stay(cs, t, mask)
    return (outputs_of(hs, mask), hs[-1].copy(), cs[-1].copy()), (a, hs, cs, squashed)


def lstm_backward(gs, outputs, saved, operands, needs, *, spec, mask):
    """Backpropagation through time; with `truncate` nothing goes back through R, with `detach_peephole` through p."""
    x, _, _, W, R, b, p = operands
    a, hs, cs, squashed = saved
    (T, B, H), S = squashed.shape, spec.block_size
    g, dh, dc = cotangents(gs, outputs, mask)
    act = rows(a, spec, H)
    z, i, f, o = act["z"], *(wide(act[gate], S) for gate in "ifo")
    f = 1 - i if spec.coupled else f
    slope = lambda gate: gate * (1 - gate)
    # What a cotangent of c_t (for o: of h_t) is multiplied with on its way to each pre-activation.
    ways = {
        "i": (z - cs[:-1] if spec.coupled else z) * slope(i),
        "f": cs[:-1] * slope(f),
        "z": i * FUNCTIONS[spec.input_squashing][1](z),
        "o": squashed * slope(o),
    }
    ways = {row: selected(ways[row], mask) for row in spec.rows}
    into_c = selected(o * FUNCTIONS[spec.output_squashing][1](squashed), mask)
    f = selected(f, mask, 1.0)  # where a sequence has ended the state stays
    narrow = lambda d: d if S == 1 else d.reshape(B, -1, S).sum(axis=2)  # the cells of a block share their gates
    da = np.empty_like(a)
    d = rows(da, spec, H)
    seen = {gate: p[k] for k, gate in enumerate("ifo") if gate in spec.gates} if spec.peepholes else {}
    back = {} if spec.detach_peephole else seen
    for t in reversed(range(T)):
        dh = dh + g[t]
        dc = dc + dh * into_c[t]
        if spec.output_gate:
            d["o"][t] = narrow(dh * ways["o"][t])
            if "o" in back:
                dc += back["o"] * d["o"][t]
        d["z"][t] = dc * ways["z"][t]
        into = dc
        dc = dc * f[t]
        for gate in "if":
            if gate in spec.rows:
                d[gate][t] = narrow(into * ways[gate][t])
                if gate in back:
                    dc += back[gate] * d[gate][t]
        through = np.zeros_like(dh) if spec.truncate else da[t] @ R
        dh = through if mask is None else np.where(mask[t], through, dh)
    dx, dW, db = input_side(da, x, W, b, (needs[0], needs[3], needs[5]))
    dR = flat(da).T @ flat(hs[:-1]) if needs[4] else None
    dp = None
    if needs[6]:
        dp = np.zeros_like(p)
        for k, gate in enumerate("ifo"):
            if gate in seen:
                dp[k] = np.einsum("tbh,tbh->h", d[gate], cs[1:] if gate == "o" else cs[:-1])
    return dx, dh, dc, dW, dR, db, dp


# --- GRU -------------------------------------------------------------------------------------------------------------


def gru_forward(x, h, W, R, b, b_hn, mask):
    """h_t = u h_(t-1) + (1 - u) n, n = tanh(W_n x_t + b_n + r q), q = R_n h_(t-1) + b_hn; a becomes r, u, n."""
    T, (B, H) = len(x), h.shape
    a, hs, qs = weigh(x, W, b), states(h, T), np.empty((T, B, H), h.dtype)
    gates, r, u, n = a[..., : 2 * H], *np.split(a, 3, axis=2)
    for t in range(T):
        fed = hs[t] @ R.T
        gates[t] += fed[:, : 2 * H]
        logistic(gates[t])
        np.add(fed[:, 2 * H :], b_hn, out=qs[t])
        n[t] += r[t] * qs[t]
        np.tanh(n[t], out=n[t])
        np.add(u[t] * hs[t], (1 - u[t]) * n[t], out=hs[t + 1])
        stay(hs, t, mask)
    return (outputs_of(hs, mask), hs[-1].copy()), (a, hs, qs)


def gru_backward(gs, outputs, saved, operands, needs, *, mask):
    """Backpropagation through time; the cotangents dn and dq of the candidate's two sides differ by the reset gate."""
    x, _, W, R, b, b_hn = operands
    a, hs, qs = saved
    g, dh = cotangents(gs, outputs, mask)
    r, u, n = np.split(a, 3, axis=2)
    into_n = selected((1 - u) * (1 - n * n), mask)
    into_u = selected((hs[:-1] - n) * u * (1 - u), mask)
    into_r = qs * r * (1 - r)
    u = selected(u, mask, 1.0)  # where a sequence has ended the state stays
    da, dn = np.empty_like(a), np.empty_like(qs)  # da is what goes back through R
    dr, du, dq = np.split(da, 3, axis=2)
    for t in reversed(range(len(x))):
        dh = dh + g[t]
        np.multiply(dh, into_n[t], out=dn[t])
        np.multiply(dh, into_u[t], out=du[t])
        np.multiply(dn[t], into_r[t], out=dr[t])
        np.multiply(dn[t], r[t], out=dq[t])
        dh = dh * u[t] + da[t] @ R
    dR = flat(da).T @ flat(hs[:-1]) if needs[3] else None
    db_hn = unbroadcast(dq, b_hn.shape) if needs[5] else None
    dq[...] = dn  # and now what goes back through W
    dx, dW, db = input_side(da, x, W, b, (needs[0], needs[2], needs[4]))
    return dx, dh, dW, dR, db, db_hn
