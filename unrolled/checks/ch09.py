"""Checks of the exercises on the memory cell. Each tries properties in turn, its hint on one mistake."""

from collections.abc import Callable
from itertools import islice, product

import numpy as np

from minigrad import Tensor, grad, sigmoid, split, tanh
from unrolled import tasks
from unrolled.checks import CheckFailed, check, close, passed


def _logistic(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def _remember(steps: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (steps, 64, 3) of number, store and recall, and what the cell should put out (steps, 64)."""
    x, d, n = np.zeros((steps, 64, 3)), np.zeros((steps, 64)), np.arange(64)
    x[..., 0] = rng.uniform(-1, 1, (steps, 64))
    store = rng.integers(steps // 2, size=64)
    recall = rng.integers(steps // 2, steps, size=64)
    x[store, n, 1] = x[recall, n, 2] = 1
    d[recall, n] = x[store, n, 0]
    return x, d


def check_1(z: object, i: object, o: object) -> None:
    """Weights set by hand: what each unit does with and without its flag, then whole sequences."""
    units = {}
    for name, given in {"z": z, "i": i, "o": o}.items():
        unit = np.asarray(getattr(given, "data", given) if isinstance(given, Tensor) else given, float)
        check(unit.shape == (4,), f"{name} must be four numbers: three weights, then the bias.")
        check(np.isfinite(unit).all(), f"{name} holds something that is not a finite number.")
        units[name] = unit
    z, i, o = units["z"], units["i"], units["o"]
    _, store, recall = np.eye(3)
    of = lambda unit, x: float(_logistic(unit[:3] @ x + unit[3]))
    check(
        of(i, store) > of(i, 0 * store) or of(i, recall) <= of(i, 0 * recall),
        "The input gate opens at the recall flag, the third entry; it should open at the store flag, the second.",
    )
    check(of(i, store) > of(i, 0 * store), "The input gate does not open at the store flag: look at its second weight.")
    check(
        of(o, recall) > of(o, 0 * recall) or of(o, store) <= of(o, 0 * store),
        "The output gate opens at the store flag, the second entry; it should open at the recall flag, the third.",
    )
    check(
        of(o, recall) > of(o, 0 * recall), "The output gate does not open at the recall flag: look at its third weight."
    )
    check(
        of(i, 0 * store) < 0.1,
        "Without a flag the input gate is not closed: sigma(0) is 1/2. A negative bias closes it.",
    )
    check(
        of(o, 0 * store) < 0.1,
        "Without a flag the output gate is not closed: sigma(0) is 1/2. A negative bias closes it.",
    )
    check(
        abs(z[1]) < 0.01 and abs(z[3]) < 0.01,
        "The candidate should be the number alone: a weight on the store flag, or a bias, is stored with it.",
    )
    check(z[0] > 0, "The cell should store the number itself; yours has the wrong sign, or none of it.")
    check(
        of(o, recall) > 0.99,
        f"The output gate opens only to {of(o, recall):.0%} at its flag: the flag's weight has to overcome the bias.",
    )
    for steps, worst in (10, False), (100, False), (100, True):
        x, d = _remember(steps, np.random.default_rng(steps))
        if worst:  # all numbers the largest there is
            x[..., 0] = 1
            d[d != 0] = 1
        a_z, a_i, a_o = (x @ unit[:3] + unit[3] for unit in (z, i, o))
        h = _logistic(a_o) * np.cumsum(_logistic(a_i) * a_z, axis=0)
        off = abs(h - d).max()
        check(
            off < 0.01 or of(i, 0 * store) < 5e-5,
            f"Off by up to {off:.2f} in sequences of {steps} steps: each closed step still lets in "
            f"{of(i, 0 * store):.2%} of its number, and that can add up. Close the input gate more firmly.",
        )
        check(
            off < 0.01 or of(i, store) > 0.99,
            f"Off by up to {off:.2f}: the input gate lets in only {of(i, store):.0%} at the flag. "
            "The flag's weight has to overcome the bias.",
        )
        check(off < 0.01, f"Off by up to {off:.2f} in sequences of {steps} steps. How far is each gate open, and when?")
    passed("9.1")


def _count(
    blocks: int, size: int, inputs: int, outputs: int, *, gates: int = 2, apart: bool = False, fed: bool = True,
    cell_bias: bool = False, gate_bias: bool = True, output_bias: bool = False, read: str = "cells",
) -> int:  # fmt: skip
    """The number of weights of exercise 9.2, or what a mistake takes for it."""
    cells, gates = blocks * size, gates * blocks * (size if apart else 1)
    units = cells + gates
    found = units * (inputs + (units if fed else cells)) + gates * gate_bias + cells * cell_bias
    return found + outputs * ({"cells": cells, "units": units, "": 0}[read] + output_bias)


def check_2(count: Callable) -> None:
    """The numbers of weights, for several networks."""
    ways = {
        "Gates feed gates: every gate and cell reads the gates of the step before, too.": {"fed": False},
        "The cells of a block share its two gates: there are 2 * blocks gates, not two a cell.": {"apart": True},
        "Only the gates have biases, not the cells.": {"cell_bias": True},
        "The biases of the gates are missing.": {"gate_bias": False},
        "The output units have no biases here.": {"output_bias": True},
        "The weights from the cells to the outputs are missing.": {"read": ""},
        "The output units read the cells, not the gates.": {"read": "units"},
        "In 1997 a block has two gates; the forget gate came later.": {"gates": 3},
    }
    for net in (4, 1, 7, 7), (3, 2, 7, 7), (2, 3, 5, 1):
        mistakes = {hint: _count(*net, **way) for hint, way in ways.items()}
        blocks, size, inputs, outputs = net
        hint = f"Not the number for {blocks} blocks of {size}, {inputs} inputs and {outputs} outputs."
        close(count(*net), _count(*net), hint, mistakes=mistakes)
    passed("9.2")


def check_3(arrives: Callable) -> None:
    """The derivative along the carousel, against the engine, for near and far steps and for k after t."""
    rng = np.random.default_rng(0)
    c, o = rng.standard_normal((9, 3)).cumsum(axis=0), rng.uniform(0.1, 0.9, (9, 3))
    slope = 1 - np.tanh(c) ** 2
    for k, t in (3, 5), (1, 8), (4, 4), (2, 3), (6, 2):
        start = Tensor(c[k], "float64", requires_grad=True)
        h = o[t] * tanh(start + (c[t] - c[k]))
        right = grad(h.sum(), start).data if k <= t else np.zeros(3)
        mistakes = {
            "A cell does not change an output that came before it: for k > t the derivative is 0.": o[t] * slope[t],
            "The slope of tanh is that at c_t, where the error enters, not at c_k.": o[t] * slope[k],
            "The output gate that counts is that of step t, through which h_t was read.": o[k] * slope[t],
            "On the carousel there is no factor per step: gate and slope count once, at step t.": np.prod(
                [o[s] * slope[s] for s in range(k, t + 1)], axis=0
            ),
            "Along the carousel there is no slope; count the factors from c_k to c_t again: each is 1.": np.prod(
                [o[t] * slope[s] for s in range(k, t + 1)], axis=0
            ),
            "The slope of the output's tanh is missing.": o[t],
            "The output gate is missing.": slope[t],
            "That is the slope for a c that had been squashed already: it is 1 - tanh(c)^2.": o[t] * (1 - c[t] ** 2),
            "Return one number for each of the H entries, not their sum.": (o[t] * slope[t]).sum(),
        }
        hint = "For k = t there is no step on the way, but the way out of the cell remains." if k == t else ""
        answer = arrives(c, o, k, t)
        if k > t and np.ndim(answer) == 0 and answer == 0:
            answer = right
        close(answer, right, f"Wrong for k = {k}, t = {t}. {hint}".strip(), mistakes=mistakes)
    passed("9.3")


def _forward(x: np.ndarray, W: np.ndarray, R: np.ndarray, b: np.ndarray) -> tuple:
    h = c = np.zeros((x.shape[1], R.shape[1]))
    cs, acts = [c], []
    for x_t in x:
        a_i, a_z, a_o = np.split(x_t @ W.T + h @ R.T + b, 3, axis=1)
        i, z, o = _logistic(a_i), np.tanh(a_z), _logistic(a_o)
        c = c + i * z
        h = o * np.tanh(c)
        cs.append(c)
        acts.append((i, z, o))
    return cs, acts


def _bias_gradient(x: np.ndarray, own: np.ndarray, weights: tuple, faults: tuple, way: str = "") -> np.ndarray:
    """The gradient of b along the carousel, with any of the three faults of exercise 9.4, or another mistake."""
    off, unsquashed, twice = faults
    cs, acts = _forward(x, *weights)
    db, dc_next, da = 0.0, 0.0, None
    for t in range(len(x), 0, -1):
        i, z, o = acts[t - 1]
        dh = own[t - 1] + (da @ weights[1] if way == "through R" and da is not None else 0)
        dc = dh * o * (1 - (cs[t] if unsquashed else np.tanh(cs[t])) ** 2) + dc_next
        s = _logistic(i) if twice else i
        do = dh * (cs[t] if way == "o by c" else np.tanh(cs[t])) * o * (1 - o)
        dz = dc * i * (1 if way == "no slope of z" else 1 - z**2)
        da = np.concatenate([dc * z * s * (1 - s), dz, do], axis=1)
        db = db + da.sum(axis=0)
        carried = {"i on the way": dc * i, "adds": dc_next + dc, "dh": dh}.get(way, dc)
        dc_next = 0.0 if off else carried
    return db


def check_4(bias_gradient: Callable) -> None:
    """The backward pass against the engine; every combination of the three faults is known."""
    rng = np.random.default_rng(3)
    x, own = rng.standard_normal((6, 2, 3)), rng.standard_normal((6, 2, 4))
    weights = tuple(rng.uniform(-1, 1, size) for size in ((12, 3), (12, 4), 12))
    W, R, b = (Tensor(p, "float64", requires_grad=True) for p in weights)
    h = c = Tensor(np.zeros((2, 4)), "float64")
    L = 0.0
    for x_t, own_t in zip(x, own, strict=True):
        a_i, a_z, a_o = split(x_t @ W.T + h.detach() @ R.T + b, 3, axis=1)
        c = c + sigmoid(a_i) * tanh(a_z)
        h = sigmoid(a_o) * tanh(c)
        L = L + (h * own_t).sum()
    right = grad(L, b).data
    assert np.allclose(right, _bias_gradient(x, own, weights, (0, 0, 0)))
    answer = bias_gradient(x, own, *weights)
    check(answer is not None, "The answer is None: does the function return its result?")
    check(np.shape(answer) == (12,), f"The answer has shape {np.shape(answer)}, and b has shape (12,).")
    names = (
        "dc_next never changes, so the error leaves the carousel after one step",
        "1 - c^2 is the slope only of something squashed already; c_t is what tanh is applied to",
        "i is the logistic function of something already: its slope is i (1 - i)",
    )
    answer = np.asarray(answer, float)
    for faults in product((0, 1), repeat=3):
        if any(faults) and np.allclose(answer, _bias_gradient(x, own, weights, faults)):
            left = "; ".join(name for name, fault in zip(names, faults, strict=True) if fault)
            raise CheckFailed(f"{sum(faults)} of the three left: {left}.")
    ways = {
        "i on the way": "The weight from c_t to c_(t+1) is 1, not the input gate: carry dc itself.",
        "adds": "dc holds what all later steps said: carry dc alone, not dc added to what was carried.",
        "dh": "What goes round is the cotangent of the cell, dc, not that of the output.",
        "through R": "With the cut no error goes back through R: dh is own[t - 1] alone.",
        "o by c": "o_t multiplies tanh(c_t), not c_t.",
        "no slope of z": "The slope of the candidate's tanh, 1 - z^2, is missing.",
    }
    mistakes = {hint: _bias_gradient(x, own, weights, (0, 0, 0), way) for way, hint in ways.items()}
    mistakes["The sign is reversed."] = -right
    close(answer, right, "Not the gradient yet: compare each line with (3) and (4).", mistakes=mistakes)
    passed("9.4")


def _forwards(x: np.ndarray, d: np.ndarray, weights: tuple, way: str = "") -> list:
    """The three gradients of exercise 9.5, right with way "" and otherwise with the mistake of that name."""
    w_i, w_z, w_o = weights
    h = c = 0.0
    p, q = np.zeros_like(w_i), np.zeros_like(w_z)
    found = [np.zeros_like(w) for w in weights]
    for n, (x_t, d_t) in enumerate(zip(x, d, strict=True)):
        v = np.concatenate([x_t, [0.0 if way == "no h" else h, 1.0]])
        i, z, o = _logistic(w_i @ v), np.tanh(w_z @ v), _logistic(w_o @ v)
        before = (p, q)
        c = c + i * z
        h = o * np.tanh(c)
        keep = {"forgets": 0.0, "gate": i}.get(way, 1.0)
        p = keep * p + z * (1 if way == "no slope" else i * (1 - i)) * v
        q = keep * q + i * (1 if way == "no slope" else 1 - z**2) * v
        if way == "late":
            use = before
        elif way == "swapped":
            use = (q, p)
        else:
            use = (p, q)
        slope = o * (1 if way == "no tanh" else 1 - np.tanh(c) ** 2)
        error = h - d_t
        if way == "last" and n < len(d) - 1:
            error = 0.0
        if way == "2":
            error = 2 * error
        new = [error * slope * use[0], error * slope * use[1]]
        new.append(error * (c if way == "o by c" else np.tanh(c)) * o * (1 - o) * v)
        found = [total + part for total, part in zip(found, new, strict=True)]
    return found


def _full(x: np.ndarray, d: np.ndarray, nodes: list) -> list:
    """The three gradients of exercise 9.5 without the cut."""
    c, h, L = Tensor(0.0, "float64"), Tensor(0.0, "float64"), 0.0
    for x_t, d_t in zip(x, d, strict=True):
        i, z, o = (n[: len(x_t)] @ x_t + n[-2] * h + n[-1] for n in nodes)
        c = c + sigmoid(i) * tanh(z)
        h = sigmoid(o) * tanh(c)
        L = L + (h - d_t) ** 2 / 2
    return [g.data for g in grad(L, nodes)]


def check_5(forward_gradient: Callable) -> None:
    """The truncated gradient of one cell, on streams that are read once, against the engine."""
    rng = np.random.default_rng(0)
    hints = {
        "forgets": "The past is lost: c_t contains c_(t-1) with weight 1, so p_(t-1) and q_(t-1) are added.",
        "gate": "On the carousel the weight is 1, not the input gate: p_(t-1) and q_(t-1) are added as they are.",
        "late": "c_t depends on the weights as used at step t, too: bring p and q up to date before you use them.",
        "no slope": "The slopes of i and z are missing: i (1 - i) and 1 - z^2.",
        "no tanh": "The slope of the output's tanh, at c_t, is missing.",
        "o by c": "o_t multiplies tanh(c_t), not c_t.",
        "last": "Every step has an error, and all of them count; that is the last one alone.",
        "2": "Twice the right numbers: with the factor 1/2 in the loss its slope is h - d.",
        "swapped": "p and q are exchanged: p belongs to w_i.",
        "full": "That is the full gradient. With the cut, h_(t-1) in v_t is treated as a constant.",
        "no h": "v_t contains h_(t-1): it is a constant for the derivative, but not 0.",
    }
    for T, inputs in (6, 2), (1, 2), (12, 3):
        x, d = rng.uniform(-2, 2, (T, inputs)), rng.uniform(-1, 1, T)
        weights = tuple(rng.uniform(-1.5, 1.5, (3, inputs + 2)))
        nodes = [Tensor(w, "float64", requires_grad=True) for w in weights]
        c, h, L = Tensor(0.0, "float64"), 0.0, 0.0
        for x_t, d_t in zip(x, d, strict=True):
            v = np.concatenate([x_t, [h, 1.0]])
            i, z, o = sigmoid(nodes[0] @ v), tanh(nodes[1] @ v), sigmoid(nodes[2] @ v)
            c = c + i * z
            y = o * tanh(c)
            h, L = y.item(), L + (y - d_t) ** 2 / 2
        right = [g.data for g in grad(L, nodes)]
        full = _full(x, d, nodes)
        assert all(np.allclose(a, b) for a, b in zip(right, _forwards(x, d, weights), strict=True))
        try:
            answer = forward_gradient(iter(x), iter(d.tolist()), *(w.copy() for w in weights))
        except TypeError as error:
            if "iterator" in str(error) or "generator" in str(error):
                raise CheckFailed(f"x and d are streams ({error}): go through both once, with zip.") from None
            raise
        check(
            isinstance(answer, tuple | list | np.ndarray) and len(answer) == 3,
            "Return three arrays: dL/dw_i, dL/dw_z and dL/dw_o.",
        )
        for k, name in enumerate(("w_i", "w_z", "w_o")):
            mistakes = {}
            for way, hint in hints.items():
                wrong = full[k] if way == "full" else _forwards(x, d, weights, way)[k]
                if not np.allclose(wrong, right[k]):
                    mistakes[hint] = wrong
            question = "It needs no memory: o acts at its own step." if k == 2 else "Check the recursion."
            close(answer[k], right[k], f"dL/d{name} is not right for {T} steps. {question}", mistakes=mistakes)
    passed("9.5")


def check_6(cut_step: Callable) -> None:
    """The step with the cut: values first, then which gradients pass."""
    rng = np.random.default_rng(1)
    x, own = rng.standard_normal((7, 2, 3)), rng.standard_normal((7, 2, 4))
    nodes = [Tensor(rng.uniform(-1, 1, s), "float64", requires_grad=True) for s in ((12, 3), (12, 4), 12)]

    def run(step: Callable) -> tuple[list, Tensor]:
        h = c = Tensor(np.zeros((2, 4)), "float64")
        values, L = [], 0.0
        for x_t, own_t in zip(x, own, strict=True):
            answer = step(Tensor(x_t, "float64"), h, c, *nodes)
            check(isinstance(answer, tuple | list) and len(answer) == 2, "Return two Tensors: h_t and c_t.")
            h, c = answer
            check(
                isinstance(h, Tensor) and isinstance(c, Tensor),
                "h_t and c_t must be Tensors, made with mg's functions, or no error can pass through them.",
            )
            values.append([h.data, c.data])
            L = L + (h * own_t).sum()
        return values, L

    def variant(cut_h: bool, cut_c: bool, cut_out: bool = False, cut_product: bool = False) -> Callable:
        def step(x: Tensor, h: Tensor, c: Tensor, W: Tensor, R: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
            h, c = h.detach() if cut_h else h, c.detach() if cut_c else c
            fed = (h @ R.T).detach() if cut_product else h @ R.T
            a_i, a_z, a_o = split(x @ W.T + fed + b, 3, axis=1)
            c = c + sigmoid(a_i) * tanh(a_z)
            h = sigmoid(a_o) * tanh(c.detach() if cut_out else c)
            return h, c

        return step

    values, L = run(variant(True, False))
    right = [g.data for g in grad(L, nodes)]
    mine, mine_L = run(cut_step)
    close(mine, values, "The values have changed: the cut is for the gradient alone. Compare with equation (1).")
    check(
        mine_L.requires_grad,
        "No error reaches the weights any more. Is h_t detached on its way out, where the loss reads it, or all that "
        "gates and candidate are made of? Detach h_(t-1) alone, on its way in.",
    )
    hints = {
        "Nothing is cut: h_(t-1) must be detached where it enters gates and candidate.": (False, False),
        "The carousel is cut: c must never be detached, it is the error's only way back.": (True, True),
        "The wrong one is cut: the error goes through h and cannot pass along c.": (False, True),
        "The cell is detached on its way to the output: then no error enters the carousel.": (True, False, True),
        "R learns nothing: detach h_(t-1), not its product with R. The weights themselves are trained.": (False,) * 3
        + (True,),
    }
    found = [np.zeros_like(n.data) if g is None else g.data for n, g in _gradients(mine_L, nodes)]
    for hint, cuts in hints.items():
        wrong = [np.zeros_like(n.data) if g is None else g.data for n, g in _gradients(run(variant(*cuts))[1], nodes)]
        check(not all(np.allclose(a, b) for a, b in zip(found, wrong, strict=True)), hint)
    for name, a, b in zip("WRb", found, right, strict=True):
        close(a, b, f"The values are right, the gradient of {name} is not that of the truncation.")
    passed("9.6")


def _gradients(L: Tensor, nodes: list) -> list:
    """Each node with its gradient, None where the loss does not depend on it."""
    for node in nodes:
        node.grad = None
    L.backward()
    found = [(node, None if node.grad is None else Tensor(node.grad, "float64")) for node in nodes]
    for node in nodes:
        node.grad = None
    return found


def _draws(lag: int, seed: int, told: float, way: str = "") -> bool:
    """Whether exercise 9.7, or a mistake of it, takes as many guesses as we are told."""
    rng = np.random.default_rng(seed)
    x, bit = tasks.delayed_recall(200, rng, lag=lag)
    a, b_sign = (0 if way == "positive" else -10), (0 if way == "no bias" else 1)
    for guess in range(1, int(told) + 1):
        W, R = rng.uniform(a, 10, (2, 2, 2))
        b = b_sign * rng.uniform(a, 10, 2)
        for some in 10, 200:  # most guesses fail on the first ten
            h = np.zeros((some, 2))
            for x_t in x[:, :some]:
                h = np.tanh(x_t @ W.T + h @ (R if way == "transposed" else R.T) + b)
            right = ((h > 0) == bit[:some, None]).mean(axis=0)[: 1 if way == "first unit" else 2]
            solved = right.max() == 1 or (right.min() == 0 and way != "one sign")
            if not solved:
                break
        if solved:
            return guess == told
    return False


def check_7(found: dict) -> None:
    """Numbers of guesses for three lags and ten seeds."""
    check(isinstance(found, dict) and set(found) == {5, 20, 80}, "found must have the keys 5, 20 and 80.")
    for lag, counts in found.items():
        check(np.shape(counts) == (10,), f"found[{lag}] must be a list of ten numbers, one for each seed.")
        table = np.asarray(counts, float)
        check(
            (table >= 1).all(),
            f"found[{lag}] holds a number below 1: the successful guess counts, too.",
        )
        check((table == np.round(table)).all(), f"found[{lag}] holds numbers of guesses, which are whole.")

    def agrees(way: str) -> bool:
        """Whether 27 of the 30 agree, since rounding may tip one; four that do not are enough to know."""
        wrong = (not _draws(lag, seed, a, way) for lag, counts in found.items() for seed, a in enumerate(counts))
        return len(list(islice(filter(None, wrong), 4))) < 4

    if agrees(""):
        passed("9.7")
        return
    hints = {
        "one sign": "A unit counts, too, that tells the bit by the opposite sign: one that is wrong on all 200.",
        "first unit": "Either unit may tell the bit, not the first alone.",
        "transposed": "R has a row for each unit: with sequences in rows the product is h @ R.T.",
        "positive": "Your weights are all positive: they are uniform on [-10, 10].",
        "no bias": "The bias is missing.",
    }
    for way, hint in hints.items():
        check(not agrees(way), hint)
    medians = {lag: np.median(found[lag]) for lag in (5, 20, 80)}
    total = sum(sum(counts) for counts in found.values())
    check(
        max(medians.values()) < 60,
        "Far too many guesses. Are the weights uniform on [-10, 10], the state h carried from step to step, "
        "and do units count that tell the bit by the opposite sign?",
    )
    for lag, counts in found.items():
        check(len(set(counts)) > 1, f"All runs in found[{lag}] agree: use default_rng(seed).")
    check(
        total > 110,  # with other draws about 230, give or take 45
        "Too few guesses are needed: a net counts only if *all* 200 sequences are right, by one and the same unit.",
    )
    check(
        total < 450,
        "Too many guesses are needed. Does a unit count, too, that tells the bit by the opposite sign?",
    )
    raise CheckFailed(
        "Not the numbers that these seeds give. Draw the sequences once, then for each guess W, R and b, in this "
        "order, from the same generator; h_0 is 0, and a unit counts if its sign is right, or wrong, on all 200."
    )
