"""Checks of the exercises on peepholes. Each tries properties in turn, its hint speaking to one mistake."""

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np

from minigrad import Tensor, grad, sigmoid, tanh
from minigrad.errors import ShapeError
from minigrad.graph import Node
from unrolled import tasks
from unrolled.checks import CheckFailed, check, close, passed


def _raw(value: object) -> object:
    """Return the numbers of a node, and anything else as it is."""
    return value.data if isinstance(value, Node) else value


def check_1(count_parameters: Callable) -> None:
    """The number of parameters, for several sizes."""
    for I, H, O in (4, 6, 2), (7, 4, 6), (1, 1, 1):  # noqa: E741 (the book's symbols)
        cell = 4 * (H * I + H * H + H)
        readout = O * H + O
        right = cell + 3 * H + readout
        mistakes = {
            "The peepholes are missing: three gates look into the cell.": cell + readout,
            "A peephole is a vector, not a matrix: each gate sees its own cell only.": cell + 3 * H * H + readout,
            "Each peephole has one weight for each cell, H of them, not a single one.": cell + 3 + readout,
            "The candidate z is no gate and has no peephole: there are three.": cell + 4 * H + readout,
            "The output gate has a peephole, too: there are three.": cell + 2 * H + readout,
            "The readout has parameters as well: V and b_y.": cell + 3 * H,
            "A bias is missing: b_y, with O entries.": right - O,
            "The biases of the cell are missing: one for each of the four pre-activations.": right - 4 * H,
            "There is one bias for each pre-activation. (PyTorch has two; only their sum matters.)": right + 4 * H,
            "Weights are missing: the candidate z has W, R and b like the three gates.": right - (H * I + H * H + H),
        }
        close(count_parameters(I, H, O), right, f"Wrong for I = {I}, H = {H}, O = {O}.", mistakes=mistakes)
    passed("11.1")


def _step(x: Tensor, h: Tensor, c: Tensor, theta: Mapping, late: bool = False, outputs: bool = True) -> tuple:
    """One step; `late` lets the output gate see c_(t-1), without `outputs` h is not squashed."""
    a = {q: x @ theta["W_" + q].T + h @ theta["R_" + q].T + theta["b_" + q] for q in "ifzo"}
    i, f = (sigmoid(a[q] + theta["p_" + q] * c) for q in "if")
    new = f * c + i * tanh(a["z"])
    o = sigmoid(a["o"] + theta["p_o"] * (c if late else new))
    return o * (tanh(new) if outputs else new), new


def check_2(peephole_step: Callable) -> None:
    """One step: its values, then its gradients."""
    rng = np.random.default_rng(0)
    B, I, H = 2, 3, 4  # noqa: E741
    shapes = {"x": (B, I), "h": (B, H), "c": (B, H)}
    for q in "ifzo":
        shapes |= {"W_" + q: (H, I), "R_" + q: (H, H), "b_" + q: (H,)}
    shapes |= {"p_" + q: (H,) for q in "ifo"}
    given = {name: Tensor(rng.standard_normal(shape), "float64", requires_grad=True) for name, shape in shapes.items()}
    states = [given[name] for name in "xhc"]
    theta = {name: node for name, node in given.items() if name not in "xhc"}
    blank = lambda *names: theta | {name: Tensor(np.zeros(H)) for name in names}
    right = _step(*states, theta)
    wrong = {
        "The output gate sees c_(t-1). It is computed after c_t, and sees that.": _step(*states, theta, late=True),
        "None of the gates sees the cell: add p * c to their pre-activations.": _step(
            *states, blank("p_i", "p_f", "p_o")
        ),
        "The output gate has a peephole, too.": _step(*states, blank("p_o")),
        "The forget gate has a peephole, too.": _step(*states, blank("p_f")),
        "The input gate has a peephole, too.": _step(*states, blank("p_i")),
        "h_t is o_t * tanh(c_t): the cell is squashed on its way out.": _step(*states, theta, outputs=False),
    }
    try:
        found = peephole_step(*states, theta)
    except ShapeError as error:
        raise CheckFailed(
            f"{error}. A row is a sequence, so W x reads x @ W.T; a peephole is a vector, multiplied entry by entry."
        ) from None
    check(isinstance(found, tuple | list) and len(found) == 2, "Return two things, h_t and c_t.")
    h, c = found
    swapped = {"Return h_t first, then c_t.": [node.data for node in right[::-1]]}
    close(
        [h, c],
        [node.data for node in right],
        "Compare with equation (1), line by line; in which order are they computed?",
        mistakes=swapped | {hint: [node.data for node in pair] for hint, pair in wrong.items()},
    )
    check(
        isinstance(h, Tensor) and isinstance(c, Tensor) and h.requires_grad and c.requires_grad,
        "The values are right, but no gradient reaches the arguments: something left the graph, by .data or .detach().",
    )
    weights = [rng.standard_normal((B, H)) for _ in range(2)]
    loss = lambda pair: sum((node * w).sum() for node, w in zip(pair, weights, strict=True))
    full = grad(loss(right), list(given.values()))
    mine = grad(loss((h, c)), list(given.values()))
    for name, g, expected in zip(given, mine, full, strict=True):
        hint = f"The values are right, but the gradient that reaches {name} is not."
        if name in ("x", "c"):  # x comes first, and feels a cut at the output gate
            hint += " Is the cell detached in a peephole? That is the original's cut; here the full gradient is wanted."
        check(g is not None, hint)
        close(g, expected.data, hint)
    passed("11.2")


def _clock(p_f: float, b_f: float, p_o: float, b_o: float, z: float, steps: int) -> np.ndarray:
    """The output gate of a clock at steps 1 to `steps`."""
    c, found = 0.0, np.zeros(steps)
    squash = lambda a: 0.5 * (1 + np.tanh(a / 2))
    for t in range(steps):
        c = squash(p_f * c + b_f) * c + z
        found[t] = squash(p_o * c + b_o)
    return found


def _late(strokes: np.ndarray, due: np.ndarray, opens: float, shuts: float, n: int, z: float) -> str:
    """Say why the strokes do not come when they are due; `opens` and `shuts` are the levels of o and f."""
    said = f"the first stroke is at step {strokes[0]}, not at {n}. " if len(strokes) else "it never strikes. "
    if z != 1 and np.isclose(opens, n - 0.5):
        return said + "The cell grows by z at each step, not by 1: the level is measured in steps of z."
    if not len(strokes) or strokes[0] != n:
        if not (n - 1.01) * z < opens < (n - 0.01) * z:
            return said + "The cell is at (n - 1) z before the stroke and at n z at it: put the level halfway between."
        return said + "The forget gate leaks, and the cell falls behind. Sharper gates leak less."
    if len(strokes) > 1 and strokes[1] == n + 1:
        return (
            "it strikes and goes on striking: the cell is not cleared after a stroke. The forget gate has to be shut "
            f"when it sees the cell of the stroke, {n * z:g}; its level is {shuts:.4g}."
        )
    if np.array_equal(strokes, due[: len(strokes)]):
        late = f"none comes at step {due[len(strokes)]}"
    else:
        shared = min(len(strokes), len(due))
        differ = np.append(np.flatnonzero(strokes[:shared] != due[:shared]), shared)[0]
        late = f"stroke {differ + 1} comes at step {strokes[differ]}, out of time"
    return (
        f"the first stroke is right, but {late}. The cell must be cleared by every stroke, and must not leak between "
        "them: sharper gates clear and hold it better."
    )


def check_3(clock_weights: Callable) -> None:
    """Strokes at n, 2 n, ... and nowhere else."""
    for n, z in product((10, 2, 3, 30), (1.0, 0.25, 0.01)):
        answer = clock_weights(n, z)
        check(np.shape(answer) == (4,), "Return four numbers: p_f, b_f, p_o, b_o.")
        p_f, b_f, p_o, b_o = (float(_raw(number)) for number in answer)
        where = f"n = {n}, z = {z:g}: "
        check(
            p_f < 0,
            where + "the forget gate has to shut when the cell is full, so it must fall as the cell grows: p_f < 0.",
        )
        check(p_o > 0, where + "the output gate has to open when the cell is full: p_o > 0.")
        o = _clock(p_f, b_f, p_o, b_o, z, 1000)
        strokes, due = np.flatnonzero(o > 0.5) + 1, np.arange(n, 1001, n)
        if not np.array_equal(strokes, due):
            raise CheckFailed(where + _late(strokes, due, -b_o / p_o, -b_f / p_f, n, z))
        right = np.zeros(1000, dtype=bool)
        right[due - 1] = True
        check(
            (o[right] > 0.9).all() and (o[~right] < 0.1).all(),
            where + f"the strokes come on time, but o_t is {o[right].min():.2f} at a stroke and up to "
            f"{o[~right].max():.2f} elsewhere. Put the level halfway between the cells of steps n - 1 and n, and let "
            "the gates switch more sharply.",
        )
    passed("11.3")


def check_4(back_step: Callable) -> None:
    """One step of the backward pass, against the engine."""
    rng = np.random.default_rng(1)
    H = 3
    leaves = {q: rng.standard_normal(H) for q in ("i", "f", "z", "o", "c_old", "p_i", "p_f", "p_o")}
    dh, dc_next = rng.standard_normal((2, H))
    nodes = {name: Tensor(value, "float64", requires_grad=True) for name, value in leaves.items()}
    old = nodes["c_old"]
    i, f = (sigmoid(nodes[q] + nodes["p_" + q] * old) for q in "if")
    z = tanh(nodes["z"])
    c = f * old + i * z
    o = sigmoid(nodes["o"] + nodes["p_o"] * c)
    loss = (o * tanh(c) * dh).sum() + (c * dc_next).sum()
    names = ("o", "f", "i", "z", "p_i", "p_f", "p_o", "c_old")
    right = dict(zip(names, (g.data for g in grad(loss, [nodes[n] for n in names])), strict=True))
    acts = tuple(gate.data for gate in (i, f, z, o))
    peepholes = [leaves["p_" + q] for q in "ifo"]
    found = back_step(dh, dc_next, acts, leaves["c_old"], c.data, *peepholes)
    check(isinstance(found, Mapping), "Return a dict, as the friend's program does.")
    check(set(names) <= set(found), f"The dict lacks {', '.join(n for n in names if n not in found)}.")
    found = {name: np.asarray(_raw(found[name]), float) for name in names}
    same = lambda name, value: found[name].shape == np.shape(value) and np.allclose(found[name], value)
    ok = [name for name in names if same(name, right[name])]
    if len(ok) == len(names):
        return passed("11.4")
    i, f, z, o = acts
    check("o" in ok, "The cotangent of a^o is wrong: it was right in the friend's program.")
    da_o = right["o"]
    dc = dh * o * (1 - np.tanh(c.data) ** 2) + dc_next
    check(
        not same("z", dc * i * (1 - z**2)),
        "dc lacks what comes back through the peephole of the output gate. The output gate sees c_t, so p_o * da_o "
        "belongs to dc, before f, i and z use it.",
    )
    check(
        not same("c_old", right["c_old"] + leaves["p_o"] * da_o),
        "dc is right now, but p_o * da_o still goes to c_(t-1) as well: the output gate does not see c_(t-1).",
    )
    check(
        not same("p_o", leaves["c_old"] * da_o),
        "The peephole weight of the output gate is multiplied with c_t going forward, so its gradient is c_t * da_o.",
    )
    check(
        not same("c_old", (dc + leaves["p_o"] * da_o) * f),
        "Input and forget gate see c_(t-1): p_i * da_i and p_f * da_f belong to c_old. "
        "Without them it is the original's cut.",
    )
    raise CheckFailed(f"Right: {', '.join(ok)}. Wrong: {', '.join(name for name in names if name not in ok)}.")


def check_5(slope: Callable, growing: Mapping) -> None:
    """The slope of the loop against central differences, and a case in which it is large."""
    squash = lambda a: 1 / (1 + np.exp(-a))

    def step(c: float, p_i: float, p_f: float, u_i: float, u_f: float, u_z: float) -> float:
        return squash(u_f + p_f * c) * c + squash(u_i + p_i * c) * np.tanh(u_z)

    def exact(case: Mapping) -> float:
        above, below = (step(**case | {"c": case["c"] + e}) for e in (1e-5, -1e-5))
        return (above - below) / 2e-5

    rng = np.random.default_rng(0)
    names = ("c", "p_i", "p_f", "u_i", "u_f", "u_z")
    for numbers in rng.uniform(-2, 2, (5, 6)):
        case = dict(zip(names, numbers.tolist(), strict=True))
        c, p_i, p_f, u_i, u_f, u_z = numbers
        i, f, z = squash(u_i + p_i * c), squash(u_f + p_f * c), np.tanh(u_z)
        through_f, through_i = p_f * f * (1 - f), p_i * i * (1 - i)
        mistakes = {
            "That is f_t alone, what the original keeps. f_t and i_t depend on the cell, too.": f,
            "What comes through the input gate is missing: i_t sees c_(t-1).": f + c * through_f,
            "What comes through the forget gate is missing: f_t sees c_(t-1).": f + z * through_i,
            "f_t stands in front of c_(t-1): by the product rule its derivative is multiplied by c_(t-1).": (
                f + through_f + z * through_i
            ),
            "i_t is multiplied by z_t, so its derivative is, too.": f + c * through_f + through_i,
            "The product rule has two terms: f_t itself is missing.": c * through_f + z * through_i,
            "The inner derivatives are missing: p_f and p_i.": f + c * f * (1 - f) + z * i * (1 - i),
            "The slope of sigma is missing: sigma' = sigma (1 - sigma).": f + c * p_f + z * p_i,
        }
        close(
            slope(*numbers), exact(case), "It differs from central differences.", mistakes=mistakes, rtol=1e-6,
            atol=1e-8,
        )  # fmt: skip
    check(
        isinstance(growing, Mapping) and set(growing) == set(names),
        f"`growing` must be a dict with the keys {', '.join(names)}.",
    )
    try:
        case = {name: float(_raw(value)) for name, value in growing.items()}
    except (TypeError, ValueError):
        raise CheckFailed("The values in `growing` must be numbers.") from None
    r = exact(case)
    check(
        r > 2,
        f"With the numbers in `growing` the slope is {r:.2f}, not above 2. The largest term is c p_f f (1 - f): make "
        "c p_f large, and choose u_f so that f is near one half.",
    )
    passed("11.5")


def check_6(accepted: Callable) -> None:
    """The set must be right at each step, and only there."""
    _, _, legal, lengths = tasks.anbn(1, 6)
    count = len(lengths)

    def run(says: np.ndarray, hint: str, expected: np.ndarray | bool) -> None:
        found = accepted(says.copy(), legal.copy())
        found = np.asarray(_raw(found))
        check(
            found.shape == (count,),
            f"For {count} strings it returns an array of shape {found.shape}: one verdict for each string is wanted.",
        )
        close(found.astype(bool), np.broadcast_to(expected, (count,)), hint)

    after = ~legal.any(axis=-1, keepdims=True)
    run(legal, "A net that says exactly what is legal must be accepted on every string.", True)
    run(
        legal | after,
        "What a net says after the end of a string does not matter; here a right net is rejected for it.",
        True,
    )
    run(np.ones_like(legal), "A net that says 'anything may come' at every step is still accepted.", False)
    run(np.zeros_like(legal), "A net that says nothing at all must be rejected: it names no legal symbol.", False)
    few = legal.copy()
    few[..., 1] &= ~legal[..., 2]  # after an a it names b, and not a
    run(
        few,
        "After an a both a and b are legal. A net that names only one of the two must be rejected: all legal symbols "
        "are wanted.",
        np.zeros(count, bool),
    )
    early = legal.copy()
    early[..., 3] |= legal[..., 2] & ~legal[..., 1]  # at every b: it may be the end
    run(
        early,
        "A net that says at each b 'the end may come' names a symbol that is not legal, and must be rejected, unless "
        "the string has only one b.",
        lengths == 3,
    )
    one = legal.copy()
    one[2, 3] = ~one[2, 3]
    run(one, "One wrong step in one string: that string must be rejected, and no other.", np.arange(count) != 3)
    for at in np.ndindex(int(lengths[3]), legal.shape[-1]):
        one = legal.copy()
        one[at[0], 3, at[1]] ^= True
        run(
            one,
            f"One wrong symbol, column {at[1]} at step {at[0]}, must be enough to reject a string. Every step before "
            "the end counts, and every symbol, the start too.",
            np.arange(count) != 3,
        )
    passed("11.6")


def check_7(reaches: Mapping) -> None:
    """Reaches after training on short and on longer strings, five seeds each."""
    check(isinstance(reaches, Mapping) and set(reaches) == {3, 10}, "reaches must have the keys 3 and 10.")
    for longest, found in reaches.items():
        check(np.shape(found) == (5,), f"reaches[{longest}] must be a list of five numbers, one for each seed.")
    table = {longest: np.asarray([float(r) for r in found]) for longest, found in reaches.items()}
    for longest, found in table.items():
        check(
            (found == found.round()).all() and (found >= 0).all() and (found <= 200).all(),
            f"A reach is a whole number from 0 to 200, the last that is tested; not so in reaches[{longest}].",
        )
        check(
            np.median(found) >= longest,
            f"Most nets in reaches[{longest}] do not even accept the strings they were trained on. Do they train on "
            "all n from 1 on, for 1,000 updates, and does the loss leave out the steps after the end?",
        )
        check(
            found.max() > longest,
            f"No run in reaches[{longest}] gets beyond {longest}. Are the nets tested on longer strings than those "
            "they were trained on?",
        )
        check(
            len(set(found.tolist())) > 1,
            f"All runs in reaches[{longest}] agree: use default_rng(seed).",
        )
    check(
        table[10].mean() > table[3].mean(),
        "Nets that saw strings up to 3 count further than nets that saw strings up to 10: are the two lists swapped?",
    )
    passed("11.7")
