"""Checks of the exercises on the family of cells. Each tries properties in turn, its hint on one mistake."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np

from minigrad import Tensor, grad, nn, sigmoid, tanh
from minigrad.recurrent.spec import CELLS, CellSpec
from unrolled.checks import CheckFailed, check, close, passed
from unrolled.checks.training import reproduces, watch


def check_1(cells: dict) -> None:
    """Three specs, and the near misses of each."""
    check(isinstance(cells, dict) and set(cells) == {"a", "b", "c"}, 'cells is a dict with the keys "a", "b" and "c".')
    for key, spec in cells.items():
        check(isinstance(spec, CellSpec), f'cells["{key}"] should be a CellSpec, and is a {type(spec).__name__}.')
    peep = "It has peepholes: that is made from the vanilla cell. Start from CellSpec(), today's default."
    right = {
        "a": CellSpec(coupled=True),
        "b": CellSpec(coupled=True, output_gate=False, output_squashing="identity"),
        "c": replace(CELLS["vanilla"], forget_gate=False, output_squashing="identity"),
    }
    near = {
        "a": {"Nothing is coupled: f = 1 - i is said by one field.": CellSpec()},
        "b": {
            "The output gate is gone, and the tanh that it multiplied is still there.": CellSpec(
                coupled=True, output_gate=False
            ),
            "The output gate is still there; taking away the squashing does not take away the gate.": CellSpec(
                coupled=True, output_squashing="identity"
            ),
            "The gates must be coupled: one share is kept, the rest is new.": CellSpec(
                output_gate=False, output_squashing="identity"
            ),
        },
        "c": {
            "The vanilla cell has peepholes, and the two changes leave them in place.": CellSpec(
                forget_gate=False, output_squashing="identity"
            ),
            "The output activation function is the tanh, not the gate: the output gate stays.": replace(
                CELLS["vanilla"], forget_gate=False, output_gate=False
            ),
            "The output has lost both gate and tanh; only its activation function goes.": replace(
                CELLS["vanilla"], forget_gate=False, output_gate=False, output_squashing="identity"
            ),
            "It is the activation function at the output that goes, not the one at the input.": replace(
                CELLS["vanilla"], forget_gate=False, input_squashing="identity"
            ),
            "Only one of the two changes was made.": CELLS["NFG"],
            "Only the output was changed: the forget gate goes, too.": CELLS["NOAF"],
        },
    }
    for key, spec in cells.items():
        if spec != right[key]:
            for hint, known in near[key].items():
                check(spec != known, f"({key}) {hint}")
            check(key == "c" or not spec.peepholes, f"({key}) {peep}")
            names = [name for name in vars(right[key]) if getattr(spec, name) != getattr(right[key], name)]
            raise CheckFailed(f"({key}) Look again at: {', '.join(names)}.")
    passed("12.1")


def check_2(gates_for: Callable) -> None:
    """Shares that add up to 1, and others that do not; the gates are run forwards to see what they give."""
    rng = np.random.default_rng(0)
    cases = [np.array([0.3]), np.array([0.2, 0.3]), np.full(6, 1 / 8), rng.uniform(0.02, 0.18, 5), np.full(10, 0.1)]
    cases.append(rng.dirichlet(np.ones(7)))
    for w in cases:
        later = w[::-1].cumsum()[::-1] - w
        before = w.cumsum() - w
        right = w / (1 - later)
        given = w.copy()
        answer = gates_for(w)
        check(np.array_equal(w, given), "The function writes into its argument; make a new array.")
        mistakes = {
            "The gates are not the shares: what comes later takes away from what was there.": w,
            "Divided by the sum up to k: that supposes that all shares add up to 1, so that nothing of the zero at the "
            "start is left. Here their sum may be less.": w / w.cumsum(),
            "Those are the shares that gates w would give: you went the way of equation (2), and the exercise asks for "
            "the way back.": w * np.append(np.cumprod(1 - w[:0:-1])[::-1], 1.0),
            "What dims the share of step k comes after k, not before it.": w / (1 - before),
            "Step k itself is no part of what comes later.": w / np.maximum(1 - later - w, 1e-300),
            "The right numbers in the wrong order: the gate of step 1 first.": right[::-1],
        }
        known = {hint: value for hint, value in mistakes.items() if not np.allclose(value, right)}
        close(answer, right, f"With these gates the shares are not {w.round(3).tolist()}.", mistakes=known, rtol=1e-6)
    passed("12.2")


def _logistic(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def check_3(convert_rows: Callable) -> None:
    """Weights in the order u, r, n with the other convention, to those of nn.GRU."""
    rng = np.random.default_rng(1)
    for H, columns in ((4, (3,)), (2, (2,)), (3, ())):
        rows = rng.uniform(-1, 1, (3 * H, *columns))
        u, r, n = np.split(rows, 3)
        given = rows.copy()
        answer = convert_rows(rows)
        check(np.array_equal(rows, given), "The function writes into its argument: another library still needs it.")
        stack = lambda *parts: np.concatenate(parts)
        close(
            answer,
            stack(r, -u, n),
            "Not the rows that nn.GRU expects: r, u, n, with its own meaning of u.",
            mistakes={
                "The order is right and the meaning is not: their u weighs the new, the u of nn.GRU the old.": stack(
                    r, u, n
                ),
                "The order is still theirs: nn.GRU wants reset, update, candidate.": rows,
                "The sign is right, the order is still theirs: nn.GRU wants reset, update, candidate.": stack(-u, r, n),
                "Both gates have changed their sign; only the update gate has another meaning.": stack(-r, -u, n),
                "The reset gate has changed its sign; it is the update gate that has another meaning.": stack(-r, u, n),
                "All rows have changed their sign; the candidate and the reset gate mean the same in both.": -stack(
                    r, u, n
                ),
                "1 - weight is not the weight of 1 - gate: 1 - sigma(a) = sigma(-a).": stack(r, 1 - u, n),
                "Update and candidate have changed places: the share is mixed up with what is shared.": stack(r, n, u),
            },
        )
    passed("12.3")


def _mgu(
    x: np.ndarray, own: np.ndarray, h_0: np.ndarray, W: np.ndarray, R: np.ndarray, b: np.ndarray, way: str
) -> list:
    """The backward pass of exercise 12.4, or one of its mistakes."""
    H = len(h_0[0])
    hs, fs, ns = [h_0], [], []
    for x_t in x:
        h, a = hs[-1], x_t @ W.T + b
        f = _logistic(a[:, :H] + h @ R[:H].T)
        n = np.tanh(a[:, H:] + (f * h) @ R[H:].T)
        hs.append((1 - f) * h + f * n)
        fs.append(f)
        ns.append(n)
    dW, dR, db, back = np.zeros_like(W), np.zeros_like(R), np.zeros_like(b), np.zeros_like(h_0)
    for t in range(len(x), 0, -1):
        before, f, n = hs[t - 1], fs[t - 1], ns[t - 1]
        dh = own[t - 1] + back
        da_n = dh * ((1 - f) if way == "swapped" else f) * (1 - n**2)
        dq = da_n @ R[H:]
        mixed = {"sign": before - n, "new only": n}.get(way, n - before)
        da_f = (dh * mixed + (0 if way == "no gate path" else dq * before)) * f * (1 - f)
        da = np.concatenate([da_f, da_n], axis=1)
        dW, db = dW + da.T @ x[t - 1], db + da.sum(axis=0)
        dR[:H] += da_f.T @ before
        dR[H:] += da_n.T @ (before if way == "state" else f * before)
        direct = {"whole": dh, "no direct": 0.0, "swapped": dh * f}.get(way, dh * (1 - f))
        back = direct + (dq if way == "ungated" else dq * f) + (0 if way == "no R_f" else da_f @ R[:H])
        back = 0 * back if way == "one step" else back
    return [dW, dR, db]


def check_4(mgu_gradients: Callable) -> None:
    """The gradients of the minimal gated unit, against the engine."""
    rng = np.random.default_rng(2)
    x, own, h_0 = rng.standard_normal((6, 2, 3)), rng.standard_normal((6, 2, 4)), rng.standard_normal((2, 4))
    W, R, b = (rng.uniform(-1, 1, size) for size in ((8, 3), (8, 4), 8))
    nodes = [Tensor(v, "float64", requires_grad=True) for v in (W, R, b)]
    h, L = Tensor(h_0, "float64"), 0.0
    for x_t, own_t in zip(x, own, strict=True):
        a = x_t @ nodes[0].T + nodes[2]
        f = sigmoid(a[:, :4] + h @ nodes[1][:4].T)
        h = (1 - f) * h + f * tanh(a[:, 4:] + (f * h) @ nodes[1][4:].T)
        L = L + (h * own_t).sum()
    right = [g.data for g in grad(L, nodes)]
    assert all(np.allclose(a, c) for a, c in zip(_mgu(x, own, h_0, W, R, b, ""), right, strict=True))
    answer = mgu_gradients(x.copy(), own.copy(), h_0.copy(), W.copy(), R.copy(), b.copy())
    check(isinstance(answer, tuple | list) and len(answer) == 3, "Return three arrays: dL/dW, dL/dR and dL/db.")
    hints = {
        "swapped": "f_t weighs the new, 1 - f_t the old: the two factors are exchanged.",
        "sign": "f_t enters h_t with the factor n_t - h_(t-1), not h_(t-1) - n_t.",
        "new only": "f_t stands in h_t twice: with n_t, and through 1 - f_t with -h_(t-1).",
        "no gate path": "f_t has a third place, in the product f_t * h_(t-1) that the candidate reads.",
        "whole": "On the direct way h_t holds only the share 1 - f_t of h_(t-1).",
        "no direct": "h_(t-1) is in h_t directly, with the factor 1 - f_t; that way back is missing.",
        "ungated": "The candidate reads f_t * h_(t-1), so on its way back to h_(t-1) the error passes f_t.",
        "no R_f": "h_(t-1) is used in the gate, too, through R_f.",
        "one step": "No error goes back from step to step.",
        "state": "R_n is multiplied with f_t * h_(t-1), not with h_(t-1): that stands in its gradient.",
    }
    arrays = [np.asarray(getattr(g, "data", g) if isinstance(g, Tensor) else g) for g in answer]
    for way, hint in hints.items():
        known = _mgu(x, own, h_0, W, R, b, way)
        same = all(np.shape(a) == c.shape and np.allclose(a, c) for a, c in zip(arrays, known, strict=True))
        check(not same, hint)
    for k, name in enumerate(("dL/dW", "dL/dR", "dL/db")):
        close(
            answer[k],
            right[k],
            f"{name} is not right. Which places has f_t, and which has h_(t-1)? The engine disagrees by more than "
            "rounding.",
        )
    passed("12.4")


def check_5(summary: Callable) -> None:
    """What both directions know after the whole sequence, with and without padding."""
    rng = np.random.default_rng(3)
    for hidden, lengths in ((3, [6, 6]), (2, [6, 4, 1]), (4, [3, 6])):
        layer = nn.LSTM(2, hidden, bidirectional=True, rng=rng, dtype="float64")
        x = rng.standard_normal((6, len(lengths), 2))
        x[np.arange(6)[:, None] >= np.array(lengths)] = 0
        output, (h_n, _) = layer(Tensor(x, "float64"), lengths=lengths)
        ends, out = (np.array(lengths) - 1, np.arange(len(lengths))), output.data
        last, first, own_end = out[-1], out[0], out[ends]
        forward, backward = h_n.data
        mixed = h_n.data.reshape(len(lengths), -1)
        h_whole = layer(Tensor(x, "float64"))[1][0]
        mistakes = {
            "The last row of output: there the backward direction has read one input only, and past the end of a "
            "sequence there are zeros.": last,
            "The forward half has read one input only: it has read everything at the last step, the backward direction "
            "at the first.": first,
            "Each sequence's own last step is right for the forward half; the backward direction has read one input "
            "there.": own_end,
            "The halves are exchanged: forward first.": np.concatenate([backward, forward], axis=1),
            "The lengths were not given to the layer, so it has read the zeros after the end, too.": np.concatenate(
                list(h_whole.data), axis=1
            ),
            "For a sequence that is shorter than the batch, output[-1] is zero: the forward half ends at its own last "
            "step.": np.concatenate([last[:, :hidden], backward], axis=1),
            "That is h_n as it comes, (2, B, H): put the two directions side by side, (B, 2H).": h_n.data,
            "A reshape keeps the order in memory and mixes sequences: put the directions side by side.": mixed,
            "The two halves were added; side by side they are 2H numbers.": forward + backward,
            "That is the cell, not the output: h_n is the first of the two states.": np.concatenate(
                list(layer(Tensor(x, "float64"), lengths=lengths)[1][1].data), axis=1
            ),
        }
        right = np.concatenate([forward, backward], axis=1)
        known = {hint: v for hint, v in mistakes.items() if v.shape != right.shape or not np.allclose(v, right)}
        close(
            summary(layer, Tensor(x, "float64"), lengths),
            right,
            "Not the states of the two directions after the whole sequence.",
            mistakes=known,
        )
    passed("12.5")


def _layer(bidirectional: bool) -> Callable:
    lstm = nn.LSTM(2, 3, bidirectional=bidirectional, rng=0, dtype="float64")
    return lambda x: lstm(Tensor(np.asarray(x), "float64"))[0].data


def _shifted(x: np.ndarray, by: int) -> np.ndarray:
    """Return x moved by so many steps: positive brings the past, negative the future."""
    out = np.zeros_like(x)
    if by > 0:
        out[by:] = x[:-by]
    else:
        out[:by] = x[-by:]
    return out


def check_6(reads_future: Callable) -> None:
    """Black boxes that read the future in several ways, and others that do not."""
    T = 7
    x = np.random.default_rng(4).standard_normal((T, 2, 2))
    x[4, 1, 0] = 5.0  # the largest, so that a change to anything smaller shows
    causal = {
        "an LSTM that reads forwards": _layer(False),
        "the input itself, its own step included": lambda x: np.tanh(x),
        "a delay of two steps": lambda x: _shifted(x, 2),
        "a running mean of the past": lambda x: np.cumsum(x, axis=0) / np.arange(1, len(x) + 1)[:, None, None],
        "an answer that is always the same": lambda x: np.ones((len(x), 2, 1)),
        "a sum over the batch at each step": lambda x: x.sum(axis=(1, 2), keepdims=True),
    }
    last = lambda x: np.concatenate([x[:1] + 1e-3 * x[-1:], x[1:]])
    gate = lambda x: np.where(_shifted(x, -1) > 0, 1.0, 0.0) * 1e-3 * _shifted(x, -1) + x
    one_output = lambda x: np.concatenate([x[:3], x[3:4] + x[4:5].sum(axis=0), x[4:]])
    leaks = {
        "a bidirectional LSTM": _layer(True),
        "a net that looks one step ahead": lambda x: x + _shifted(x, -1),
        "a net that looks three steps ahead, and no nearer": lambda x: x + 0.1 * _shifted(x, -3),
        "a net whose first output knows the last input": last,
        "a program that subtracts the mean of the whole series first": lambda x: np.tanh(
            x - x.mean(axis=0, keepdims=True)
        ),
        "a program that divides by the largest number of the whole series": lambda x: x / abs(x).max(),
        "a faint leak": gate,
        "a net that sees the future of the last channel of the last sequence": lambda x: np.concatenate(
            [x[:1, :, :1] + _shifted(x, -4)[:1, 1:, 1:], x[1:, :, :1]]
        ),
        "a net of which only the output at step 4 looks ahead": one_output,
        "a net that answers with the next input and with its negative": lambda x: np.concatenate(
            [_shifted(x, -1), -_shifted(x, -1)], axis=2
        )[..., [0, 2, 1, 3]],
    }
    kept = x.copy()
    for verdict, (name, net) in ((v, item) for v, nets in ((False, causal), (True, leaks)) for item in nets.items()):
        answer = reads_future(net, x)
        check(answer is not None, "The answer is None: does the function return its result?")
        check(
            np.ndim(answer) == 0 and answer in (True, False),
            f"Return True or False, not {answer!r:.40}.",
        )
        check(np.array_equal(x, kept), "The function has changed x itself: work on a copy.")
        if bool(answer) != verdict:
            told = "reads the future, and was not caught" if verdict else "does not read the future, and was accused"
            why = {
                "a net that looks one step ahead": " Look at all outputs before the changed step, up to the one just "
                "before it.",
                "a net that looks three steps ahead, and no nearer": " Look at all outputs before the changed step.",
                "a net whose first output knows the last input": " Every step has to be changed, the last one, too.",
                "a net of which only the output at step 4 looks ahead": " Look at all outputs before the changed step, "
                "not at the first alone.",
                "a net that answers with the next input and with its negative": " Changes of opposite signs must not "
                "cancel: ask whether any output differs.",
                "a faint leak": " A net that does not read the future gives the same numbers.",
                "the input itself, its own step included": " Only outputs before the changed step count.",
            }
            raise CheckFailed(f"This one {told}: {name}.{why.get(name, '')}")
    passed("12.6")


def check_7(errors: dict, pairs: dict, stream_error: Callable) -> None:
    """Two runs watched, errors of two cells at two rates, eight seeds, and how many pairs the GRU loses."""
    keys = set(product(("GRU", "LSTM"), (0.005, 0.045)))
    check(isinstance(errors, dict) and set(errors) == keys, f"errors must have the keys {sorted(keys)}.")
    for key, of_seeds in errors.items():
        check(np.shape(of_seeds) == (8,), f"errors[{key}] must be a list of eight numbers, one for each seed.")
        e = np.asarray(of_seeds, float)
        check(np.isfinite(e).all() and (e >= 0).all(), f"The errors in errors[{key}] are not all finite and >= 0.")
        check(len(set(e.tolist())) > 1, f"All runs in errors[{key}] agree exactly: use default_rng(seed).")
    layers = {"GRU": nn.GRU, "LSTM": nn.LSTM}
    counts = {
        k: sum(p.data.size for m in (v(2, 8), nn.Linear(8, 1)) for p in m.parameters()) for k, v in layers.items()
    }
    again = {}
    for (name, count), other in zip(counts.items(), reversed(counts.values()), strict=True):
        training, again[name] = watch(stream_error, layers[name], 0.045, 0)
        trained = sum(w.size for w in training.weights)
        check(trained != other, f"stream_error(nn.{name}, ...) trains the other cell: is `layer` used?")
        try:
            training.check(400, 0.045, count)
        except CheckFailed as failed:
            raise CheckFailed(f"stream_error(nn.{name}, 0.045, 0): {failed}") from None
    table = {key: np.median(np.asarray(errors[key], float)) for key in keys}
    check(
        max(table.values()) < 0.03,
        "Saying 0 costs 0.45, and your nets are not far enough below it: are all parameters trained, for 400 updates? "
        "Is the error a mean of squares, with no root?",
    )
    for rate in (0.005, 0.045):
        same = np.allclose(errors["GRU", rate], errors["LSTM", rate])
        check(not same, f"GRU and LSTM have the same errors at the rate {rate}: is `layer` used?")
    for name in ("GRU", "LSTM"):
        check(
            not np.allclose(errors[name, 0.005], errors[name, 0.045]),
            f"{name} has the same errors at both rates: is `rate` used?",
        )
    check(isinstance(pairs, dict) and set(pairs) == {0.005, 0.045}, "pairs is a dict with the keys 0.005 and 0.045.")
    for rate, count in pairs.items():
        gru, lstm = (np.asarray(errors[name, rate], float) for name in ("GRU", "LSTM"))
        right = int((gru[:, None] > lstm).sum())
        mistakes = {
            "Those are eight pairs, seed by seed: set every GRU against every LSTM.": int((gru > lstm).sum()),
            "Those are the pairs in which the LSTM has the larger error.": int((gru[:, None] < lstm).sum()),
            "That is a share; count the pairs.": right / 64,
        }
        known = {hint: value for hint, value in mistakes.items() if value != right}
        close(count, right, f"At the rate {rate} the number of pairs does not fit your errors.", mistakes=known)
    for name, result in again.items():
        reproduces(result, errors[name, 0.045][0], f"stream_error(nn.{name}, 0.045, 0)", f'errors["{name}", 0.045][0]')
    passed("12.7")
