"""Checks of the exercises on backpropagation through time. Each tries properties in turn, its hint on one mistake."""

from collections.abc import Callable
from itertools import product

import numpy as np

from minigrad import Tensor, Value, grad, nn, sigmoid, tanh
from minigrad.recurrent.elman import elman
from unrolled.checks import CheckFailed, check, close, passed
from unrolled.checks.training import reproduces, watch


def _kept(pairs: list, k1: int, way: str = "") -> list:
    """Which pairs (t, k) pieces of k1 keep, or what a mistake takes for it."""
    rules = {
        "": lambda t, k: k <= t and (t - 1) // k1 == (k - 1) // k1,
        "future": lambda t, k: (t - 1) // k1 == (k - 1) // k1,
        "wide": lambda t, k: t - k < k1,
        "all": lambda t, k: k <= t,
        "window": lambda t, k: 0 <= t - k < k1,
        "from 0": lambda t, k: k <= t and t // k1 == k // k1,
        "cut": lambda t, k: k <= t and (t - 1) // k1 != (k - 1) // k1,
        "last": lambda t, k: k <= t and (t - 1) // k1 == (k - 1) // k1 == 11 // k1,
    }
    return [rules[way](t, k) for t, k in pairs]


def check_1(kept: Callable) -> None:
    """Which terms pieces keep, for several sizes of piece."""
    pairs = [(t, k) for t in range(1, 13) for k in range(1, 13)]
    hints = {
        "future": "An error never reaches a later step: where k > t there is nothing to keep.",
        "wide": "An error never reaches a later step, and in pieces the reach ends where the piece starts.",
        "all": "Nothing is cut: an error must not reach the pieces before its own.",
        "window": "That is a sliding window, in which each error reaches back k1 steps. In pieces the reach ends where "
        "the piece starts, however close that is.",
        "from 0": "Steps are counted from 1, so the first piece ends with step k1; t // k1 changes one step too early.",
        "cut": "That keeps what the cut removes.",
        "last": "The last piece only: every piece has a backward pass of its own.",
    }
    check(kept(1, 1, 3) is not None, "The answer is None: does the function return its result?")
    for k1 in 3, 1, 4, 7:
        found = [bool(kept(t, k, k1)) for t, k in pairs]
        if found != _kept(pairs, k1):
            for way, hint in hints.items():
                check(found != _kept(pairs, k1, way), hint)
            (t, k), right = next(
                (p, right) for p, mine, right in zip(pairs, found, _kept(pairs, k1), strict=True) if mine != right
            )
            verdict = "is kept" if right else "is cut off"
            raise CheckFailed(f"With pieces of {k1} the term of error t = {t} and use k = {k} {verdict}.")
    passed("6.1")


def check_2(step_back: Callable) -> None:
    """One step of the recursion, with a matrix R that is not symmetric."""
    rng = np.random.default_rng(0)
    own, da_next = rng.standard_normal((2, 2, 4))
    h, R = np.tanh(rng.standard_normal((2, 4))), rng.standard_normal((4, 4))
    dh, slope = own + da_next @ R, 1 - h**2
    kept = [own.copy(), da_next.copy(), h.copy(), R.copy()]
    try:
        answer = step_back(own, da_next, h, R)
    except ValueError as error:
        raise CheckFailed(f"{error}. A row is a sequence, so R stands on the right of da_next.") from None
    check(
        all(np.array_equal(a, b) for a, b in zip(kept, (own, da_next, h, R), strict=True)),
        "The function writes into its arguments; in the loop that would spoil the other steps. Make new arrays.",
    )
    check(isinstance(answer, tuple | list) and len(answer) == 2, "Return two arrays: the cotangents of h_t and of a_t.")
    both = {
        "The past is reached with R.T on the left of a column, so with R on the right of a row: da_next @ R.": (
            own + da_next @ R.T
        ),
        "own is missing: the state is used in the output of its own step, too.": da_next @ R,
        "The next step is missing: the state is used there, too, through R.": own,
        "The two uses are added, not multiplied.": own * (da_next @ R),
        "da_next is a cotangent of a_(t+1) already: the slope is used once a step, in making da from dh.": (
            own + (da_next * slope) @ R
        ),
        "That is the cotangent of a_t: return that of h_t first.": dh * slope,
    }
    close(answer[0], dh, "The cotangent of h_t is not right: add up its two uses, as in (3).", mistakes=both)
    mistakes = {
        "The slope was taken at h_t: h is already tanh(a_t), so the slope at a_t is 1 - h**2.": dh
        * (1 - np.tanh(h) ** 2),
        "The slope of tanh is missing.": dh,
        "1 - h**2, not 1 - h: the square is missing.": dh * (1 - h),
        "h (1 - h) is the slope of the logistic function; here f is tanh.": dh * h * (1 - h),
        "da_t must be made from the whole dh_t; the part from the next step was left out.": own * slope,
    }
    close(answer[1], dh * slope, "The cotangent of a_t is not right: see (4).", mistakes=mistakes)
    passed("6.2")


def _backward(x: np.ndarray, own: np.ndarray, hs: np.ndarray, R: np.ndarray, faults: tuple) -> list:
    """The gradients, with any of the three faults of exercise 6.3."""
    stuck, twice, late = faults
    dW, dR, db = np.zeros((len(R), x.shape[2])), np.zeros_like(R), np.zeros(len(R))
    back = np.zeros_like(hs[0])
    for t in range(len(x), 0, -1):
        h = np.tanh(hs[t]) if twice else hs[t]
        da = (own[t - 1] + back) * (1 - h**2)
        dW += da.T @ x[t - 1]
        dR += da.T @ hs[t if late else t - 1]
        db += da.sum(axis=0)
        back = back if stuck else da @ R
    return [dW, dR, db]


def check_3(gradients: Callable) -> None:
    """The backward pass against the engine; every combination of the three faults is known."""
    rng = np.random.default_rng(1)
    x, h_0, own = rng.standard_normal((6, 2, 3)), rng.standard_normal((2, 4)), rng.standard_normal((6, 2, 4))
    W, R, b = (rng.uniform(-1, 1, size) for size in ((4, 3), (4, 4), 4))
    nodes = [Tensor(v, "float64", requires_grad=True) for v in (W, R, b)]
    states, _ = elman(Tensor(x, "float64"), Tensor(h_0, "float64"), *nodes)
    right = [g.data for g in grad((states * own).sum(), nodes)]
    hs = np.concatenate([h_0[None], states.data])
    assert all(np.allclose(a, c) for a, c in zip(right, _backward(x, own, hs, R, (0, 0, 0)), strict=True))
    answer = gradients(x, own, hs, R)
    check(isinstance(answer, tuple | list) and len(answer) == 3, "Return three arrays: dL/dW, dL/dR and dL/db.")
    shapes = [np.shape(getattr(g, "data", g) if isinstance(g, Tensor) else g) for g in answer]
    check(
        shapes == [(4, 3), (4, 4), (4,)],
        f"For I = 3 and H = 4 the shapes are (4, 3), (4, 4) and (4,), not {', '.join(map(str, shapes))}.",
    )
    names = (
        "no error goes back from step to step: what is carried never changes",
        "the slope is taken at h_t instead of a_t, a tanh too many",
        "dR must use the state that R was multiplied with at step t, the one before",
    )
    arrays = [np.asarray(getattr(g, "data", g) if isinstance(g, Tensor) else g, float) for g in answer]
    for faults in product((0, 1), repeat=3):
        known = _backward(x, own, hs, R, faults)
        if any(faults) and all(np.allclose(a, c) for a, c in zip(arrays, known, strict=True)):
            left = "; ".join(name for name, fault in zip(names, faults, strict=True) if fault)
            raise CheckFailed(f"{sum(faults)} of the three left: {left}.")
    ways = {
        "What goes back through R is da @ R for rows, not da @ R.T.": lambda da, dh, back: da @ R.T,
        "What goes back through R is the cotangent of a_t, slope included: da @ R, not dh @ R.": (
            lambda da, dh, back: dh @ R
        ),
        "da contains all that later steps said: what goes back is da @ R alone, not added to what went before.": (
            lambda da, dh, back: back + da @ R
        ),
    }
    wrong = {hint: _backward_by(x, own, hs, way) for hint, way in ways.items()}
    for k, name in enumerate("WRb"):
        mistakes = {hint: found[k] for hint, found in wrong.items()}
        close(arrays[k], right[k], f"dL/d{name} is not right yet.", mistakes=mistakes)
    passed("6.3")


def _backward_by(x: np.ndarray, own: np.ndarray, hs: np.ndarray, way: Callable) -> list:
    """The gradients with another way to what goes back, made from da, dh and what came from the step after."""
    back, found = np.zeros_like(hs[0]), [0.0, 0.0, 0.0]
    for t in range(len(x), 0, -1):
        dh = own[t - 1] + back
        da = dh * (1 - hs[t] ** 2)
        back = way(da, dh, back)
        parts = da.T @ x[t - 1], da.T @ hs[t - 1], da.sum(axis=0)
        found = [total + part for total, part in zip(found, parts, strict=True)]
    return found


def _entrywise(factors: list) -> np.ndarray:
    """The product that comes out with * in place of @, from the identity."""
    J = np.eye(3)
    for factor in factors:
        J = factor * J
    return J


def check_4(jacobian: Callable) -> None:
    """The product of Jacobians against the engine, for steps far apart and for none."""
    rng = np.random.default_rng(0)
    R, b = rng.uniform(-1, 1, (3, 3)), rng.uniform(-1, 1, 3)
    hs = [rng.standard_normal(3)]
    for _ in range(6):
        hs.append(np.tanh(R @ hs[-1] + b))
    hs = np.array(hs)
    step = [(1 - h**2)[:, None] * R for h in hs]  # step[s] leads from s - 1 to s
    power = np.linalg.matrix_power

    def chain(factors: list) -> np.ndarray:
        return np.linalg.multi_dot([np.eye(3), np.eye(3), *factors])

    for k, t in (1, 3), (0, 4), (2, 3), (1, 6), (3, 3):
        h = start = Tensor(hs[k][None], "float64", requires_grad=True)
        for _ in range(k, t):
            h = tanh(h @ R.T + b)
        right = np.concatenate([grad(h, start, seed=row[None], retain_graph=True).data for row in np.eye(3)])
        steps = range(k + 1, t + 1)
        mistakes = {
            "The power is still inside the product: R appears (t - k)^2 times instead of t - k times.": power(
                R, (t - k) ** 2
            ),
            "The power is still inside the product; it counts the steps once more.": chain(
                [(1 - hs[s] ** 2)[:, None] * power(R, t - k) for s in reversed(steps)]
            ),
            "The slopes are missing: that is R^(t - k), right only where every slope is 1.": power(R, t - k),
            "The order is reversed: the latest step stands on the left.": chain([step[s] for s in steps]),
            "The slope multiplies the rows of R, those of the unit that is entered, not its columns.": chain(
                [R * (1 - hs[s] ** 2) for s in reversed(steps)]
            ),
            "The slope of step s is that of the state it makes, h_s, not of the state it starts from.": chain(
                [(1 - hs[s - 1] ** 2)[:, None] * R for s in reversed(steps)]
            ),
            "One factor too many: the first step after k is k + 1.": chain(
                [step[s] for s in range(t, k - 1, -1)] if k else [power(R, 99)]
            ),
            "R is transposed: entry (i, j) of one step is the slope of unit i times R[i, j].": chain(
                [(1 - hs[s] ** 2)[:, None] * R.T for s in reversed(steps)]
            ),
            "The factors are matrices, to be multiplied with @, not entry by entry.": _entrywise(
                [step[s] for s in steps]
            ),
            "The transpose of the right matrix: row i belongs to entry i of h_t.": right.T,
            "The slope was taken at h instead of a: it is 1 - h^2.": chain(
                [(1 - np.tanh(hs[s]) ** 2)[:, None] * R for s in reversed(steps)]
            ),
        }
        hint = f"Wrong from step {k} to step {t}."
        if t == k:
            hint = "From a step to itself there is no factor: the derivative is the identity."
        close(jacobian(hs, R, k, t), right, hint, mistakes=mistakes)
    passed("6.4")


def _leaky(
    x: np.ndarray, h_0: np.ndarray, own: np.ndarray, W: np.ndarray, R: np.ndarray, b: np.ndarray, leak: float, way: str
) -> list:
    """The gradients of the leaky net, right with way "" and otherwise with the mistake of that name."""
    hs, cs = [h_0], [h_0]
    for x_t in x:
        cs.append(np.tanh(x_t @ W.T + hs[-1] @ R.T + b))
        hs.append((1 - leak) * hs[-1] + leak * cs[-1])
    dW, dR, db, dleak = np.zeros_like(W), np.zeros_like(R), np.zeros_like(b), 0.0
    dh = da = np.zeros_like(h_0)
    for t in range(len(x), 0, -1):
        share = {"no leak": 0, "whole": 1, "swapped": leak}.get(way, 1 - leak)
        dh = own[t - 1] + da @ R + share * dh
        slope = 1 - (hs[t] if way == "slope at h" else cs[t]) ** 2
        da = dh * slope * {"no factor": 1, "swapped": 1 - leak}.get(way, leak)
        dW, dR, db = dW + da.T @ x[t - 1], dR + da.T @ hs[t - 1], db + da.sum(axis=0)
        kept = {
            "leak: old state only": -hs[t - 1],
            "leak: new part only": cs[t],
            "leak: late": cs[t] - hs[t],
        }
        dleak += (dh * kept.get(way, cs[t] - hs[t - 1])).sum()
    return [dW, dR, db, dleak]


def check_5(leaky_gradients: Callable) -> None:
    """The leaky net's gradients, against the engine and central differences."""
    rng = np.random.default_rng(2)
    x, h_0, own = rng.standard_normal((5, 2, 3)), rng.standard_normal((2, 4)), rng.standard_normal((5, 2, 4))
    W, R, b, leak = *(rng.uniform(-1, 1, size) for size in ((4, 3), (4, 4), 4)), 0.3
    nodes = [Tensor(v, "float64", requires_grad=True) for v in (W, R, b, leak)]

    def loss(W: Tensor, R: Tensor, b: Tensor, leak: Tensor) -> Tensor:
        h, L = Tensor(h_0, "float64"), 0.0
        for x_t, own_t in zip(x, own, strict=True):
            h = (1 - leak) * h + leak * tanh(x_t @ W.T + h @ R.T + b)
            L = L + (h * own_t).sum()
        return L

    right = [g.data for g in grad(loss(*nodes), nodes)]
    above, below = (loss(*map(Tensor, (W, R, b, leak + e))).item() for e in (1e-5, -1e-5))
    assert np.isclose((above - below) / 2e-5, right[3], rtol=1e-6)
    assert all(np.allclose(a, c) for a, c in zip(_leaky(x, h_0, own, W, R, b, leak, ""), right, strict=True))
    answer = leaky_gradients(x, h_0, own, W, R, b, leak)
    check(
        isinstance(answer, tuple | list) and len(answer) == 4, "Return four things: dL/dW, dL/dR, dL/db and dL/dleak."
    )
    hints = {
        "no leak": "The state has a third use: h_(t+1) contains (1 - leak) * h_t directly, beside what goes through R.",
        "whole": "On the direct way h_(t+1) contains only the share 1 - leak of h_t: dh is multiplied with it.",
        "swapped": "leak is the share of the new, tanh(a_t); 1 - leak is what is kept of h_(t-1).",
        "slope at h": "1 - h^2 is the slope only where h = tanh(a). Here h is a mixture: keep tanh(a_t) and use that.",
        "no factor": "a_t enters h_t with the factor leak, which its cotangent must contain.",
        "leak: old state only": "leak enters h_t twice, with tanh(a_t) and, through 1 - leak, with -h_(t-1).",
        "leak: new part only": "leak enters h_t twice, with tanh(a_t) and, through 1 - leak, with -h_(t-1).",
        "leak: late": "leak enters h_t with tanh(a_t) and with -h_(t-1), the state before the step, not after it.",
    }
    wrong = {way: _leaky(x, h_0, own, W, R, b, leak, way) for way in hints}
    for k, name in enumerate(("dL/dW", "dL/dR", "dL/db", "dL/dleak")):
        mistakes = {}
        for way, hint in hints.items():
            mistakes.setdefault(hint, wrong[way][k])
            if not np.allclose(wrong[way][k], right[k]) and np.shape(answer[k]) == np.shape(right[k]):
                check(not np.allclose(answer[k], wrong[way][k]), hint)
        question = "Where does leak stand in h_t?" if k == 3 else "Which uses has a state, and are all of them in dh?"
        close(answer[k], right[k], f"{name} is not right. {question}")
    passed("6.5")


def check_6(forward_gradient: Callable) -> None:
    """RTRL of one unit, on streams that are read once."""
    rng = np.random.default_rng(0)
    for T in 6, 2, 9:
        x, d = rng.uniform(-1.5, 1.5, (2, T))
        w, r = rng.uniform(0.4, 1.4, 2)
        nodes = [Value(w), Value(r)]
        h, L = 0.0, 0.0
        for x_t, d_t in zip(x.tolist(), d.tolist(), strict=True):
            h = tanh(nodes[0] * x_t + nodes[1] * h)
            L = L + 0.5 * (h - d_t) ** 2
        right = [g.data for g in grad(L, nodes)]
        mistakes = {
            "p and q forget: w and r act on h_(t-1), too, so r * p_(t-1) and r * q_(t-1) belong in the bracket.": (
                _rtrl(x, d, w, r, carry=0.0)
            ),
            "q_t contains the state before the step, h_(t-1); at that point h had been overwritten.": _rtrl(
                x, d, w, r, late=True
            ),
            "The slope of tanh is missing.": _rtrl(x, d, w, r, slope=lambda h: 1.0),
            "The slope was taken at h instead of a: it is 1 - h^2.": _rtrl(
                x, d, w, r, slope=lambda h: 1 - np.tanh(h) ** 2
            ),
            "The old p and q must be multiplied by r on their way through the step.": _rtrl(x, d, w, r, carry=1.0),
            "Every step has an error, and all of them count; that is the last one alone.": _rtrl(x, d, w, r, last=True),
            "The right numbers in the other order: dL/dw first.": right[::-1],
            "Twice the right numbers: with the factor 1/2 in the loss its slope is h - d.": [2 * g for g in right],
        }
        try:
            answer = forward_gradient(iter(x.tolist()), iter(d.tolist()), float(w), float(r))
        except (TypeError, IndexError) as error:
            if "iterator" in str(error) or "0-d array" in str(error):
                raise CheckFailed(
                    f"x and d are streams ({error}): go through both once, side by side, with zip."
                ) from None
            raise
        check(np.shape(answer) == (2,), "Return two numbers: dL/dw and dL/dr.")
        close(
            answer,
            right,
            f"Not the gradient of {T} steps. Check the recursion of p, then that of q.",
            mistakes=mistakes,
        )
    passed("6.6")


def _rtrl(
    x: np.ndarray,
    d: np.ndarray,
    w: float,
    r: float,
    carry: float | None = None,
    slope: Callable = lambda h: 1 - h**2,
    late: bool = False,
    last: bool = False,
) -> list:
    """The recursion of exercise 6.6, or one of its mistakes."""
    h = p = q = dw = dr = 0.0
    carry = r if carry is None else carry
    for t, (x_t, d_t) in enumerate(zip(x, d, strict=True)):
        before, h = h, np.tanh(w * x_t + r * h)
        p, q = slope(h) * (x_t + carry * p), slope(h) * ((h if late else before) + carry * q)
        if not last or t == len(x) - 1:
            dw, dr = dw + (h - d_t) * p, dr + (h - d_t) * q
    return [dw, dr]


def _echo_gradient(window: int, seed: int, pieces: slice, cut: bool = True, carry: bool = True) -> tuple:
    """The first gradient of exercise 6.7, from some of the pieces."""
    rng = np.random.default_rng(seed)
    Q, _ = np.linalg.qr(rng.standard_normal((16, 16)))
    rnn = nn.RNN(1, 16, rng=rng, dtype="float64")
    rnn.weight_hh_l0.data = Q
    readout = nn.Linear(16, 1, rng=rng, dtype="float64")
    x = rng.integers(0, 2, (24, 16, 1)).astype(float)
    d = np.concatenate([np.full((3, 16, 1), 0.5), x[:-3]])
    h, losses = None, []
    for start in range(0, 24, window):
        states, h = rnn(Tensor(x[start : start + window]), h if carry else None)
        losses.append(((sigmoid(readout(states)) - d[start : start + window]) ** 2).mean())
        h = h.detach() if cut else h
    return grad(sum(losses[pieces]), [*rnn.parameters(), *readout.parameters()])


def check_7(errors: dict, echo_error: Callable) -> None:
    """One run watched, then the errors of the echo for four windows and eight seeds."""
    check(isinstance(errors, dict) and set(errors) == {1, 3, 4, 24}, "errors must have the keys 1, 3, 4 and 24.")
    for window, of_seeds in errors.items():
        check(np.shape(of_seeds) == (8,), f"errors[{window}] must be a list of eight numbers, one for each seed.")
    table = {window: np.asarray(errors[window], float) for window in errors}
    for window, e in table.items():
        check(np.isfinite(e).all() and (e >= 0).all(), f"The errors in errors[{window}] are not all finite and >= 0.")
        check(len(set(e.tolist())) > 1, f"All runs in errors[{window}] agree exactly: use default_rng(seed).")
    training, again = watch(echo_error, 4, 0)
    training.check(
        200,
        0.02,
        305,
        clip=None,
        too_many="However many pieces a batch has, it gets one update: join their outputs, or add up their gradients, "
        "and step when the whole batch has been read.",
        too_few="An update belongs to one batch; draw 200 of them.",
    )
    every = slice(None)
    training.tell(
        _echo_gradient(4, 0, every),
        {
            "The gradient is not cut: is the state detached between the pieces?": _echo_gradient(
                4, 0, every, cut=False
            ),
            "The state starts anew in every piece: let it, detached, go on into the next piece.": (
                _echo_gradient(4, 0, every, carry=False)
            ),
            "The last piece alone is in the loss; all pieces of the sequence count.": _echo_gradient(4, 0, slice(5, 6)),
            "The first update is that of the first piece; all pieces count, in one update a batch.": _echo_gradient(
                4, 0, slice(1)
            ),
        },
    )
    check(
        np.median(table[24]) < 0.03,
        "With 24 steps nothing is cut, and the net should learn the echo. Are all parameters trained, for 200 updates?",
    )
    check(
        np.median(table[3]) > 0.1,
        "Pieces of 3 have learnt a lag of 3, which no gradient reaches: is the state detached between the pieces?",
    )
    check(
        np.median(table[4]) < 0.08,
        "Pieces of 4 should learn a lag of 3. Does the state, detached, go on into the next piece, "
        "and do all pieces of the sequence count in the loss?",
    )
    check(
        table[3].max() > 0.23,
        "Chance is 0.25 at the steps whose target is known, and most runs with pieces of 3 end there. Yours lie lower: "
        "were the first three steps, with the target 0.5, averaged in?",
    )
    reproduces(again, table[4][0], "echo_error(4, 0)", "errors[4][0]")
    passed("6.7")
