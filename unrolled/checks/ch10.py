"""Checks of the exercises on the forget gate. Each tries properties in turn, its hint on one mistake."""

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np

import minigrad as mg
from minigrad import Tensor, grad, nn, optim
from minigrad.recurrent.spec import CellSpec
from unrolled import tasks
from unrolled.checks import CheckFailed, check, close, passed
from unrolled.checks.training import reproduces, watch


def check_1(bias_for: Callable) -> None:
    """The bias for a half-life, for short and long ones."""
    for n in (1, 2, 10, 100, 2.5):
        f = 2 ** (-1 / n)
        right = -np.log(2 ** (1 / n) - 1)
        e = np.exp(-1 / n)
        mistakes = {
            "That is the gate f itself, 2^(-1/n); its bias is the number whose logistic function is f.": f,
            "The sign is reversed: a larger bias keeps the gate further open, and the half-life is longer.": -right,
            "That is the bias of a time constant, after which 1/e is left; after a half-life one half is left.": np.log(
                e / (1 - e)
            ),
            "ln f is the inverse of exp, not of the logistic function: solve sigma(b) = f.": np.log(f),
            "The gate loses 1/n of the state a step there; after n steps 1/e is left, not one half.": (
                np.log(n - 1) if n > 1 else np.inf
            ),
            "That is the half-life that a bias of n has; the question is the other way round.": np.log(2)
            / np.log1p(np.exp(-n)),
            "The approximation ln n - ln ln 2 holds for long half-lives only; solve for b exactly.": np.log(n)
            - np.log(np.log(2)),
        }
        close(
            bias_for(n), right, f"With your bias a state has not fallen to one half after {n} steps.", mistakes=mistakes
        )
    passed("10.1")


def check_2(left: Callable) -> None:
    """What is left of step k at step t, against the loop itself."""
    f = np.array([0.9, 0.5, 0.8, 0.0, 0.7, 0.6, 0.95])
    for gates, k, t in product((f + 0.01, f), range(1, 8), range(1, 8)):
        c = 0.0
        for s in range(1, t + 1):
            c = gates[s - 1] * c + (s == k)
        part = lambda a, b, gates=gates: float(np.prod(gates[max(a, 0) : b]))
        hint = f"Not right for k = {k} and t = {t}."
        if k > t:
            hint = "What is written after step t is not in c_t: the factor is 0."
        elif k == t:
            hint = "What is written at step t itself is in c_t with the factor 1: it has met no forget gate yet."
        mistakes = {}
        if k < t:
            mistakes = {
                "The gate of step k multiplies c_(k-1), not what is written at step k: begin with f_(k+1).": part(
                    k - 1, t
                ),
                "The last gate is missing: c_(t-1) is multiplied by f_t, which is f[t - 1].": part(k, t - 1),
                "Shifted by one: f_(k+1) is f[k], since f[0] is f_1.": part(k + 1, t + 1),
                "That is what is forgotten; the question is what is left.": float(np.prod(1 - gates[k:t])),
                "The gates change: multiply them all, no power of one of them.": gates[t - 1] ** (t - k),
                "The factors are multiplied, not added.": float(np.sum(gates[k:t])),
            }
        close(left(gates.copy(), k, t), c, hint, mistakes=mistakes)
    passed("10.2")


FAULTS = {
    "carry": "nothing goes back from step to step: dh_next and dc_next are never updated",
    "gate": "the derivative of the forget gate is f (1 - f), not sigma(f)",
    "slope": "the slope of z is taken at z instead of at its pre-activation: it is 1 - z**2",
    "late": "the states are those of step t: the forget gate multiplies c_(t-1), and R multiplies h_(t-1)",
    "late c": "the forget gate multiplies c_(t-1)",
    "late h": "R multiplies h_(t-1)",
}
MORE = {
    "no dc": "Only dh_next is carried: the cell has a second use, in c_(t+1), with the factor f_(t+1).",
    "no dh": "Only dc_next is carried: h_t has a use in the four pre-activations of the next step, da @ R.",
    "dc whole": "What goes back along the cell is dc * f: the next cell contains f times this one.",
    "dc through i": "Along the cell goes dc * f; the input gate is not on that way.",
    "R.T": "For rows, what goes back through R is da @ R, not da @ R.T.",
    "dc adds": "dc_next is dc * f alone; dc already contains what came from later steps.",
    "squash": "The slope of tanh at c is 1 - tanh(c)**2; cs holds c, not tanh(c).",
}


def _cell(x: np.ndarray, h: np.ndarray, c: np.ndarray, W: np.ndarray, R: np.ndarray, b: np.ndarray) -> tuple:
    """The states and activations of an LSTM with rows i, f, z, o."""
    sigma = lambda a: 1 / (1 + np.exp(-a))
    hs, cs, acts = [h], [c], []
    for x_t in x:
        a = np.split(x_t @ W.T + hs[-1] @ R.T + b, 4, axis=1)
        i, f, z, o = sigma(a[0]), sigma(a[1]), np.tanh(a[2]), sigma(a[3])
        cs.append(f * cs[-1] + i * z)
        hs.append(o * np.tanh(cs[-1]))
        acts.append((i, f, z, o))
    return np.array(hs), np.array(cs), np.array(acts)


def _backward(
    x: np.ndarray, own: np.ndarray, hs: np.ndarray, cs: np.ndarray, acts: np.ndarray, R: np.ndarray, faults: set
) -> list:
    """The gradients of exercise 10.3, with any of the faults."""
    dW = dR = db = 0.0
    dh_next, dc_next = np.zeros_like(hs[0]), np.zeros_like(cs[0])
    for t in range(len(x), 0, -1):
        i, f, z, o = acts[t - 1]
        squashed = np.tanh(cs[t])
        dh = own[t - 1] + dh_next
        dc = dh * o * (1 - (cs[t] if "squash" in faults else squashed) ** 2) + dc_next
        before = cs[t if {"late", "late c"} & faults else t - 1]
        slope_f = 1 / (1 + np.exp(-f)) if "gate" in faults else f * (1 - f)
        da = np.concatenate(
            [
                dc * z * i * (1 - i),
                dc * before * slope_f,
                dc * i * (1 - (np.tanh(z) if "slope" in faults else z) ** 2),
                dh * squashed * o * (1 - o),
            ],
            axis=1,
        )
        dW, db = dW + da.T @ x[t - 1], db + da.sum(axis=0)
        dR = dR + da.T @ hs[t if {"late", "late h"} & faults else t - 1]
        if "carry" not in faults:
            if "no dh" not in faults:
                dh_next = da @ R if "R.T" not in faults else np.zeros_like(dh)
            if "no dc" not in faults:
                factor = 1.0 if "dc whole" in faults else i if "dc through i" in faults else f
                dc_next = dc * factor + (dc_next if "dc adds" in faults else 0)
    return [dW, dR, db]


def _arrays(answer: object, count: int, what: str) -> list[np.ndarray]:
    check(isinstance(answer, tuple | list) and len(answer) == count, f"Return {what}.")
    check(not any(g is None for g in answer), "One of the results is None.")
    return [np.asarray(g.data if isinstance(g, Tensor) else g, float) for g in answer]


def _all_close(found: list, known: list) -> bool:
    return all(np.shape(a) == np.shape(b) and np.allclose(a, b) for a, b in zip(found, known, strict=True))


def check_3(gradients: Callable) -> None:
    """The backward pass against the engine; every combination of the four faults is known."""
    rng = np.random.default_rng(1)
    x, own = rng.standard_normal((6, 2, 3)), rng.standard_normal((6, 2, 4))
    h_0, c_0 = rng.uniform(-1, 1, (2, 2, 4))
    W, R, b = (rng.uniform(-1, 1, size) for size in ((16, 3), (16, 4), 16))
    lstm = nn.LSTM(3, 4, dtype="float64")
    leaves = [nn.Parameter(v) for v in (W, R, b)]
    lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_l0 = leaves
    start = Tensor(h_0[None], "float64"), Tensor(c_0[None], "float64")
    h, _ = lstm(Tensor(x, "float64"), start)
    right = [g.data for g in grad((h * own).sum(), leaves)]
    states = _cell(x, h_0, c_0, W, R, b)
    assert _all_close(_backward(x, own, *states, R, set()), right)
    kept = [a.copy() for a in states]
    answer = gradients(x.copy(), own.copy(), *states, R)
    check(
        all(np.array_equal(a, c) for a, c in zip(states, kept, strict=True)),
        "The function writes into hs, cs or acts; make new arrays.",
    )
    found = _arrays(answer, 3, "three arrays: dL/dW, dL/dR and dL/db")
    shapes = [g.shape for g in found]
    check(
        shapes == [(16, 3), (16, 4), (16,)],
        f"For I = 3 and H = 4 the shapes are (16, 3), (16, 4) and (16,), not {', '.join(map(str, shapes))}.",
    )
    if _all_close(found, right):
        return passed("10.3")
    four = [("", "carry"), ("", "gate"), ("", "slope"), ("", "late", "late c", "late h")]
    for combination in product(*four):
        faults = set(combination) - {""}
        if faults and _all_close(found, _backward(x, own, *states, R, faults)):
            raise CheckFailed(
                f"{len(faults)} of the four left: {'; '.join(FAULTS[fault] for fault in sorted(faults))}."
            )
    for fault, hint in MORE.items():
        if _all_close(found, _backward(x, own, *states, R, {fault})):
            raise CheckFailed(hint)
    blocks = [slice(4 * k, 4 * k + 4) for k in range(4)]
    wrong = [
        row for row, block in zip("ifzo", blocks, strict=True) if not np.allclose(found[2][block], right[2][block])
    ]
    where = f"the rows of {', '.join(wrong)} are wrong in dL/db" if wrong else "dL/db is right, dL/dW or dL/dR is not"
    raise CheckFailed(f"Not right yet: {where}. Go through equations (6) to (10) one by one.")


def check_4(step: Callable) -> None:
    """The step with PyTorch's rows, against the library's layer."""
    rng = np.random.default_rng(0)
    H, x, (h, c) = 3, rng.standard_normal((2, 2)), rng.uniform(-1, 1, (2, 2, 3))
    w_ih, w_hh, b_ih, b_hh = (rng.uniform(-1, 1, size) for size in ((4 * H, 2), (4 * H, H), 4 * H, 4 * H))
    sigma = lambda a: 1 / (1 + np.exp(-a))

    def by(order: str, bias: np.ndarray) -> tuple:
        a = dict(zip(order, np.split(x @ w_ih.T + h @ w_hh.T + bias, 4, axis=1), strict=True))
        new = sigma(a["f"]) * c + sigma(a["i"]) * np.tanh(a["g"])
        return sigma(a["o"]) * np.tanh(new), new

    both = b_ih + b_hh
    right = by("ifgo", both)
    found = _arrays(step(x, h, c, w_ih, w_hh, b_ih, b_hh), 2, "two arrays: h_t and c_t")
    if _all_close(found, right):
        return passed("10.4")
    known = {
        "The second bias is missing: what counts is the sum of the two.": by("ifgo", b_ih),
        "The first bias is missing: what counts is the sum of the two.": by("ifgo", b_hh),
        "The order is right now for g and o, but input and forget gate are still exchanged: i comes first.": by(
            "figo", both
        ),
        "The order is right for i and f; the third block is g and the fourth o.": by("ifog", both),
        "Both biases are there; now the order of the rows: i, f, g, o.": by("fiog", both),
        "The rows are those of i, f, g, o, and both biases count.": by("fiog", b_ih),
        "Input and forget gate are still exchanged, and the second bias is missing.": by("figo", b_ih),
        "Right numbers in the other order: return h_t first, then c_t.": right[::-1],
    }
    for hint, value in known.items():
        if _all_close(found, list(value)):
            raise CheckFailed(hint)
    close(found[1], right[1], "c_t is not right: f times the old cell plus i times the candidate.")
    close(found[0], right[0], "c_t is right, h_t is not: o times tanh(c_t).")


def _coupled(
    x: np.ndarray, own: np.ndarray, hs: np.ndarray, cs: np.ndarray, acts: np.ndarray, R: np.ndarray, way: str
) -> list:
    """The gradients of the coupled cell, with the mistake of that name."""
    dW = dR = db = 0.0
    dh_next, dc_next = np.zeros_like(hs[0]), np.zeros_like(cs[0])
    for t in range(len(x), 0, -1):
        i, z = acts[t - 1]
        dh = own[t - 1] + dh_next
        dc = dh * (1 - (np.tanh(hs[t]) if way == "slope" else hs[t]) ** 2) + dc_next
        pull = {"new only": z, "late": z - cs[t], "sum": z + cs[t - 1]}.get(way, z - cs[t - 1])
        da = np.concatenate([dc * pull * i * (1 - i), dc * i * (1 - z**2)], axis=1)
        dW, db = dW + da.T @ x[t - 1], db + da.sum(axis=0)
        dR = dR + da.T @ hs[t if way == "late h" else t - 1]
        dh_next = 0 if way == "no dh" else da @ R
        dc_next = dc * {"whole": 1.0, "swapped": i, "no dc": 0.0}.get(way, 1 - i)
    return [dW, dR, db, dc if way == "c_1" else dc_next]


def check_5(coupled_gradients: Callable) -> None:
    """The coupled cell against the engine and, for c_0, central differences."""
    rng = np.random.default_rng(2)
    x, own = rng.standard_normal((5, 2, 3)), rng.standard_normal((5, 2, 4))
    h_0, c_0 = rng.uniform(-1, 1, (2, 2, 4))
    W, R, b = (rng.uniform(-1, 1, size) for size in ((8, 3), (8, 4), 8))
    lstm = nn.LSTM(3, 4, spec=CellSpec(coupled=True, output_gate=False), dtype="float64")
    leaves = [nn.Parameter(v) for v in (W, R, b, c_0[None])]
    lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_l0 = leaves[:3]
    h, _ = lstm(Tensor(x, "float64"), (Tensor(h_0[None], "float64"), leaves[3]))
    right = [g.data for g in grad((h * own).sum(), leaves)]
    right[3] = right[3][0]
    sigma = lambda a: 1 / (1 + np.exp(-a))
    hs, cs, acts = [h_0], [c_0], []
    for x_t in x:
        a_i, a_z = np.split(x_t @ W.T + hs[-1] @ R.T + b, 2, axis=1)
        acts.append((sigma(a_i), np.tanh(a_z)))
        cs.append((1 - acts[-1][0]) * cs[-1] + acts[-1][0] * acts[-1][1])
        hs.append(np.tanh(cs[-1]))
    states = np.array(hs), np.array(cs), np.array(acts)
    assert _all_close(_coupled(x, own, *states, R, ""), right)
    found = _arrays(
        coupled_gradients(x.copy(), own.copy(), *states, R), 4, "four arrays: dL/dW, dL/dR, dL/db and dL/dc_0"
    )
    hints = {
        "new only": "i_t is used twice in c_t: with the factor z_t, and through 1 - i_t with the factor -c_(t-1).",
        "late": "The old state that i_t takes from is c_(t-1), not c_t.",
        "sum": "1 - i_t contains i_t with a minus: the factor of i_t is z_t - c_(t-1).",
        "whole": "On its way into c_(t+1) the cell meets the factor 1 - i_(t+1).",
        "swapped": "The old state is multiplied by 1 - i, the candidate by i.",
        "no dc": "c_t has a second use, in c_(t+1).",
        "no dh": "h_t has a second use, in the pre-activations of the next step, through R.",
        "slope": "h_t is already tanh(c_t), so the slope there is 1 - h_t**2.",
        "late h": "At step t the matrix R is multiplied with h_(t-1).",
        "c_1": "The last one is dL/dc_1; c_0 enters c_1 with the factor 1 - i_1.",
    }
    if _all_close(found, right):
        return passed("10.5")
    for way, hint in hints.items():
        if _all_close(found, _coupled(x, own, *states, R, way)):
            raise CheckFailed(hint)
    for name, mine, true in zip(("dL/dW", "dL/dR", "dL/db", "dL/dc_0"), found, right, strict=True):
        close(mine, true, f"{name} is not right. List the uses of c_t, of i_t and of z_t.")


def check_6(read_windows: Callable) -> None:
    """Outputs as of one reading; gradients as of windows that are cut apart."""
    rng = np.random.default_rng(0)
    lstm = nn.LSTM(2, 3, rng=0, dtype="float64")
    x = rng.standard_normal((11, 2, 2))
    own = rng.standard_normal((11, 2, 3))
    whole = lstm(Tensor(x, "float64"))[0].data

    def reference(cut_h: bool, cut_c: bool) -> np.ndarray:
        outputs, state = [], None
        for t in range(0, 11, 4):
            output, (h, c) = lstm(Tensor(x[t : t + 4], "float64"), state)
            state = h.detach() if cut_h else h, c.detach() if cut_c else c
            outputs.append(output)
        return grad((mg.concatenate(outputs) * own).sum(), [lstm.weight_hh_l0])[0].data

    answer = read_windows(lstm, Tensor(x, "float64"), 4)
    check(isinstance(answer, Tensor), "Return one Tensor: mg.concatenate joins the outputs of the windows.")
    check(
        answer.shape == whole.shape,
        f"The outputs have shape {answer.shape} and should have {whole.shape}: every step, the last window's too.",
    )
    cleared = np.concatenate([lstm(Tensor(x[t : t + 4], "float64"))[0].data for t in range(0, 11, 4)])
    mistakes = {"Every window starts from zero: hand the states of the last window on.": cleared}
    close(answer, whole, "The numbers are not those of one reading: hand both states on, in order.", mistakes=mistakes)
    check(answer.requires_grad, "The outputs are detached, so nothing can learn: cut the states, not the outputs.")
    found = grad((answer * own).sum(), [lstm.weight_hh_l0])[0]
    check(found is not None, "No gradient reaches the weights: cut the states, not the outputs.")
    mistakes = {
        "The numbers are right, but errors still cross: detach both states between windows.": reference(False, False),
        "Errors still cross along the cell: detach c as well.": reference(True, False),
        "Errors still cross through h: detach h as well.": reference(False, True),
    }
    close(found, reference(True, True), "The outputs are right, the gradient is not.", mistakes=mistakes)
    passed("10.6")


def _recalls(half: float, seed: int) -> np.ndarray:
    """Shares right in each of the three recalls of exercise 10.7, trained as its statement says."""
    rng = np.random.default_rng(seed)
    lstm = nn.LSTM(2, 8, forget_bias=-np.log(2 ** (1 / half) - 1), rng=rng, dtype="float64")
    readout = nn.Linear(8, 2, rng=rng, dtype="float64")
    params = [*lstm.parameters(), *readout.parameters()]
    optimizer = optim.Adam(params, lr=0.01)

    def run(count: int) -> tuple:
        parts = [tasks.delayed_recall(count, rng, lag=20) for _ in range(3)]
        x = np.concatenate([x for x, _ in parts])
        h, _ = lstm(Tensor(x, "float64"))
        return readout(h[22 * np.arange(1, 4) - 1]), np.array([bits for _, bits in parts])

    for _ in range(150):
        y, bits = run(16)
        loss = mg.cross_entropy(y.reshape(-1, 2), bits.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(params, 1.0)
        optimizer.step()
    with mg.no_grad():
        y, bits = run(300)
    return (y.data.argmax(axis=-1) == bits).mean(axis=1)


def _recall_gradient(seed: int, recalls: slice) -> tuple:
    """The first gradient of exercise 10.7 at a half-life of 7, from some of the recalls."""
    rng = np.random.default_rng(seed)
    lstm = nn.LSTM(2, 8, forget_bias=-np.log(2 ** (1 / 7) - 1), rng=rng, dtype="float64")
    readout = nn.Linear(8, 2, rng=rng, dtype="float64")
    parts = [tasks.delayed_recall(16, rng, lag=20) for _ in range(3)]
    h, _ = lstm(Tensor(np.concatenate([x for x, _ in parts]), "float64"))
    y, bits = readout(h[22 * np.arange(1, 4) - 1])[recalls], np.array([bits for _, bits in parts])[recalls]
    return grad(mg.cross_entropy(y.reshape(-1, 2), bits.reshape(-1)), [*lstm.parameters(), *readout.parameters()])


def check_7(shares: Mapping, recalled: Callable) -> None:
    """One run watched, then six shares for each of three half-lives, with what any working experiment shows."""
    check(isinstance(shares, Mapping), "shares is a dict: a half-life, and the list of its six results.")
    check(set(shares) == {1, 7, 2000}, "The keys of shares are the half-lives 1, 7 and 2000.")
    found = {}
    for half, values in shares.items():
        values = np.asarray(values, dtype=float)
        check(values.shape == (6,), f"There should be one number for each of six seeds; {half} has {values.shape}.")
        check(((values >= 0) & (values <= 1)).all(), "A share of right bits lies between 0 and 1.")
        check(len(set(values.round(9))) > 1, f"All results of {half} are equal: is the seed used?")
        found[half] = values
    training, again = watch(recalled, 7, 0)
    bias = -np.log(2 ** (1 / 7) - 1)
    equal = sum(np.isclose(w, bias, rtol=1e-4).sum() for w in training.weights)
    check(
        equal >= 8 or not training.weights,
        f"At a half-life of 7 training does not start from eight biases of {bias:.2f}. Did the bias reach the net, and "
        "is it -ln(2^(1/n) - 1)?",
    )
    alone = "alone is in the loss: train on the cross-entropy of all three."
    training.tell(
        _recall_gradient(0, slice(None)),
        {
            f"The last recall {alone}": _recall_gradient(0, slice(2, 3)),
            f"The first recall {alone}": _recall_gradient(0, slice(1)),
            "The first recall is left out of the loss. It is left out of the result alone: train on all three.": (
                _recall_gradient(0, slice(1, 3))
            ),
        },
    )
    training.check(150, 0.01, sum(g.data.size for g in _recall_gradient(0, slice(None))))
    recalls = np.array([_recalls(2000, seed) for seed in range(3)])
    others = {
        "The first recall is counted, too; it needs no forgetting. Return the share in the second and third.": (
            recalls.mean(axis=1)
        ),
        "That is the first recall, which needs no forgetting. Return the share in the second and third.": recalls[:, 0],
        "That is the second recall alone; the third counts as well.": recalls[:, 1],
        "That is the third recall alone; the second counts as well.": recalls[:, 2],
    }
    for hint, values in others.items():
        check(not np.allclose(found[2000][:3], values, rtol=0, atol=1e-9), hint)
    check(
        found[1].mean() < 0.65,
        "With a half-life of one step the bit cannot be there after 20. Did the bias reach the net, with the right "
        "sign, and is the first recall left out?",
    )
    check(
        found[7].mean() > found[2000].mean(),
        "The long half-life came out best. Only the second and third recall count: the first needs no forgetting.",
    )
    check(
        found[7].mean() > 0.65, "With a half-life of 7 most nets learn; were there 150 updates at learning rate 0.01?"
    )
    reproduces(again, found[7][0], "recalled(7, 0)", "shares[7][0]")
    passed("10.7")
