"""Checks of the exercises on deep recurrent networks. Each tries properties in turn, its hint on one mistake."""

from collections.abc import Callable
from itertools import product
from math import comb

import numpy as np

from minigrad import Tensor, binary_cross_entropy_with_logits, grad, nn, tanh
from minigrad.errors import ShapeError
from unrolled.checks import CheckFailed, check, close, passed
from unrolled.checks.training import reproduces, watch


def check_1(count_weights: Callable) -> None:
    """The number of weights and biases, for several sizes."""
    for I, H, D, O in (3, 5, 4, 2), (1, 8, 1, 1), (7, 4, 2, 6), (2, 3, 5, 1):  # noqa: E741 (the book's symbols)
        right = H * (I + H + 1) + (D - 1) * H * (2 * H + 1) + O * (H + 1)
        mistakes = {
            "Only the first layer reads inputs of size I; the others read the H states of the layer below.": (
                D * H * (I + H + 1) + O * (H + 1)
            ),
            "The first layer reads the input, of size I, and not H states.": D * H * (2 * H + 1) + O * (H + 1),
            "Each upper layer has two square matrices: W, from the layer below, and R, from its own step before.": (
                H * (I + H + 1) + (D - 1) * H * (H + 1) + O * (H + 1)
            ),
            "The readout has weights as well: V and b_y.": right - O * (H + 1),
            "The biases count, too: H in every layer, and O in the readout.": right - D * H - O,
            "The bias of the readout, with O entries, is missing.": right - O,
            "Every layer has a bias of its own, with H entries.": right - (D - 1) * H,
            "There is one bias a layer. (PyTorch has two; only their sum matters.)": right + D * H,
            "The readout reads the top layer alone, so V has O x H entries.": right + (D - 1) * O * H,
        }
        sizes = f"I = {I}, H = {H}, D = {D}, O = {O}"
        close(count_weights(I, H, D, O), right, f"Wrong for {sizes}.", mistakes=mistakes)
    passed("7.1")


def check_2(count_paths: Callable) -> None:
    """Numbers of paths, where there are some and where there are none."""
    for l, m, k in product((1, 2, 4), (3, 5, 1), (5, 2, 1, 0)):  # noqa: E741 (the book's symbol)
        up = m - l
        if up < 0:
            continue
        right = comb(k + up, k)
        mistakes = {
            "A state has one path to itself: that of no moves.": 0 if k + up == 0 else -1,
            "That counts the moves of one path; asked is in how many orders they can come.": k + up if k + up else -1,
            "The moves may come in any order: choose which of the k + m - l go to the right, do not multiply.": (
                k * up if k * up else -1
            ),
            "That allows every move to be of either kind, and so ends in other cells as well: 2^(k + m - l).": (
                2 ** (k + up)
            ),
            "All orders of distinct moves are counted, but two moves to the right cannot be told apart.": (
                _factorial(k + up)
            ),
            "One move too many: from layer l to layer m there are m - l moves up.": comb(k + up + 1, k),
            "One move too few: from layer l to layer m there are m - l moves up, and k to the right.": (
                comb(max(k + up - 1, 0), k)
            ),
        }
        close(count_paths(l, m, k), right, f"Wrong from layer {l} to layer {m}, {k} steps on.", mistakes=mistakes)
    hints = {
        (2, 3, -1): "From a later step to an earlier one there is no path: for k < 0 the answer is 0.",
        (3, 1, 2): "From an upper layer to a lower one there is no path, however many steps later: the answer is 0.",
        (4, 1, 1): "From an upper layer to a lower one there is no path, however few steps later: the answer is 0.",
        (3, 1, -2): "There is no path down and back: the answer is 0.",
    }
    for (l, m, k), hint in hints.items():  # noqa: E741
        try:
            found = count_paths(l, m, k)
        except ValueError as error:
            raise CheckFailed(f"{hint} (The function raised: {error}.)") from None
        close(found, 0, hint)
    passed("7.2")


def _factorial(n: int) -> int:
    return int(np.prod(np.arange(1, n + 1), dtype=float))


def _run(x: np.ndarray, layers: list, way: str = "") -> np.ndarray:
    """Top states, or what a mistake makes of them."""
    h, tops = [np.zeros((x.shape[1], len(R))) for _, R, _ in layers], []
    for x_t in x:
        old, new = list(h), []
        for k, (W, R, b) in enumerate(layers):
            below = x_t if k == 0 else (old[k - 1] if way in ("late", "shifted") else new[k - 1])
            own = {"top": old[-1], "below": new[k - 1] if k else old[0], "none": 0 * old[k]}.get(way, old[k])
            a = below @ W.T + own @ (R if way == "transposed" else R.T) + (0 if way == "no bias" else b)
            new.append(a if way == "linear" else np.tanh(a))
        h = new
        tops.append(h[0] if way == "bottom" else h[-1])
    if way == "shifted":
        tops = tops[len(layers) - 1 :]
    if way == "one array":
        tops = tops[-1:] * len(x)
    return np.array(tops)


def check_3(run: Callable) -> None:
    """A stack, step by step, for one to four layers."""
    hints = {
        "late": "Every layer still reads what the layer below said one step before, so the answer comes D - 1 steps "
        "late. Compute the layers of a step one after the other, each from the new state of the one below.",
        "shifted": "Dropping the first outputs moves the answers to the right places, but D - 1 steps are missing at "
        "the end. Let each layer read the new state of the one below.",
        "top": "Each layer has a state of its own: R of layer l is multiplied with layer l's state of the step before, "
        "not with the top's.",
        "below": "R of layer l is multiplied with layer l's own state of the step before; here the new state of the "
        "layer below stands in its place.",
        "none": "The states do not get from step to step: keep those of all layers for the next round.",
        "one array": "All outputs are the last one: the state is overwritten in place, and tops holds one array many "
        "times. Make a new array in every step.",
        "bottom": "That is the bottom layer; the output is the state of the top one.",
        "no bias": "The biases b are missing.",
        "transposed": "A state is a row, so R h reads h @ R.T.",
        "linear": "Apply tanh in every layer.",
    }
    rng = np.random.default_rng(0)
    for D in (1, 2, 3, 4):
        layers = [[rng.uniform(-1, 1, size) for size in ((4, I), (4, 4), 4)] for I in (3, 4, 4, 4)[:D]]  # noqa: E741
        x = rng.standard_normal((6, 2, 3))
        right = _run(x, layers)
        kept = [x.copy(), *(w.copy() for layer in layers for w in layer)]
        mistakes = {hint: _run(x, layers, way) for way, hint in hints.items()}
        mistakes = {
            hint: wrong for hint, wrong in mistakes.items() if wrong.shape != right.shape or (wrong != right).any()
        }
        try:
            answer = run(x, layers)
        except (ValueError, ShapeError) as error:
            raise CheckFailed(f"{error}. With {D} layers and inputs of size 3 the shapes do not fit.") from None
        close(answer, right, f"Wrong with {D} layers.", mistakes=mistakes)
        same = all(
            np.array_equal(a, b) for a, b in zip(kept, [x, *(w for layer in layers for w in layer)], strict=True)
        )
        check(same, "The function writes into its arguments; make new arrays.")
    passed("7.3")


def check_4(features: Callable) -> None:
    """The states of all layers, sequence by sequence, then their gradient."""
    for D, B, H in (2, 4, 3), (3, 2, 5), (2, 2, 2):
        numbers = np.arange(D * B * H, dtype=float).reshape(D, B, H)
        h_n = Tensor(numbers, requires_grad=True)
        right = np.concatenate(list(numbers), axis=1)
        mistakes = {
            "reshape alone cuts the layers' rows at other places: a row still mixes sequences. The axis of the "
            "sequences must come first before the other two are joined.": numbers.reshape(B, D * H),
            "Each row has the states of its own sequence, but the top layer comes first.": np.concatenate(
                list(numbers[::-1]), axis=1
            ),
            "Each row has the right numbers, but unit by unit; wanted is layer by layer.": (
                numbers.transpose(1, 2, 0).reshape(B, D * H)
            ),
            "That is the top layer alone; wanted are the states of all layers.": numbers[-1],
            "The layers are added up; they should stand side by side.": numbers.sum(axis=0),
            "Turning all axes round mixes layers and units: the sequences go first, then layers, then units.": (
                numbers.transpose(2, 1, 0).reshape(B, D * H)
            ),
            "The layers stand below each other; join them side by side, along the axis of the units.": (
                numbers.reshape(D * B, H)
            ),
        }
        mistakes = {k: v for k, v in mistakes.items() if v.shape != right.shape or (v != right).any()}
        answer = features(h_n)
        close(answer, right, "Row i must hold the states of sequence i, the bottom layer's first.", mistakes=mistakes)
        cut = "The values are right, but no gradient gets through: keep to Tensors, without .data and np functions."
        check(isinstance(answer, Tensor) and answer.requires_grad, cut)
        seed = np.random.default_rng(0).standard_normal(right.shape)
        found = grad(answer, h_n, seed=seed).data
        wanted = seed.reshape(B, D, H).transpose(1, 0, 2)
        close(found, wanted, "The values are right, but the gradient is not.")
    passed("7.4")


def _two_layers(
    x: np.ndarray,
    h1: np.ndarray,
    h2: np.ndarray,
    du: np.ndarray,
    R1: np.ndarray,
    V1: np.ndarray,
    W2: np.ndarray,
    R2: np.ndarray,
    V2: np.ndarray,
    way: str = "",
) -> list:
    """The gradients of exercise 7.5, right with way "" and otherwise with the mistake of that name."""
    da1 = da2 = np.zeros_like(h1[0])
    found = [np.zeros((len(R1), x.shape[2])), *(np.zeros_like(R1) for _ in range(3))]
    for t in range(len(x), 0, -1):
        above = da2
        slope1, slope2 = (1 - (np.tanh(h[t]) if way == "slope" else h[t]) ** 2 for h in (h1, h2))
        da2 = (du[t - 1] @ V2 + (0 if way == "no time" else da2 @ (R2.T if way == "R transposed" else R2))) * slope2
        dh1 = du[t - 1] @ V1 * (way != "no V1") + (above if way == "late" else da2) @ W2 * (way != "no W2")
        dh1 = dh1 + da1 @ (R1.T if way == "R transposed" else R1) * (way not in ("no R1", "no time"))
        da1 = dh1 * slope1
        late = t if way == "R late" else t - 1
        parts = (
            da1.T @ x[t - 1],
            da1.T @ h1[late],
            da2.T @ h1[t - 1 if way == "W2 early" else t],
            da2.T @ h2[late],
        )
        found = [total + part for total, part in zip(found, parts, strict=True)]
    return found


def check_5(gradients: Callable) -> None:
    """Two layers that are both read, against the engine and central differences."""
    rng = np.random.default_rng(1)
    x, du = rng.standard_normal((5, 2, 3)), rng.standard_normal((5, 2, 2))
    sizes = {"W1": (4, 3), "R1": (4, 4), "W2": (4, 4), "R2": (4, 4)}
    leaves = [rng.uniform(-1, 1, size) for size in sizes.values()]
    V1, V2 = rng.uniform(-1, 1, (2, 2, 4))

    def forward(W1: object, R1: object, W2: object, R2: object) -> tuple:
        """The loss, and the states from h_0 on."""
        h1s, h2s, L = [np.zeros((2, 4))], [np.zeros((2, 4))], 0.0
        for x_t, du_t in zip(x, du, strict=True):
            h1s.append(tanh(x_t @ W1.T + h1s[-1] @ R1.T))
            h2s.append(tanh(h1s[-1] @ W2.T + h2s[-1] @ R2.T))
            L = L + ((h1s[-1] @ V1.T + h2s[-1] @ V2.T) * du_t).sum()
        return L, h1s, h2s

    nodes = [Tensor(v, "float64", requires_grad=True) for v in leaves]
    right = [g.data for g in grad(forward(*nodes)[0], nodes)]
    _, h1, h2 = forward(*leaves)
    h1, h2 = np.array(h1), np.array(h2)
    _, R1, W2, R2 = leaves
    given = (x, h1, h2, du, R1, V1, W2, R2, V2)
    for k, v in enumerate(leaves):
        e = np.zeros_like(v)
        e[1, 2] = 1e-5
        above, below = (forward(*leaves[:k], v + s * e, *leaves[k + 1 :])[0] for s in (1, -1))
        assert np.isclose((above - below) / 2e-5, right[k][1, 2], rtol=1e-5, atol=1e-8)
    assert all(np.allclose(a, c) for a, c in zip(_two_layers(*given), right, strict=True))
    hints = {
        "no V1": "h1 has three uses, and its own part of the readout is missing: du[t - 1] @ V1.",
        "no W2": "h1 has three uses, and the layer above is missing: what comes down through W2.",
        "no R1": "h1 has three uses, and the next step of its own layer is missing: what comes back through R1.",
        "no time": "Nothing goes back in time: carry the cotangents of both pre-activations to the step before.",
        "late": "Layer 2 reads h1 of the same step, so da2 of step t comes down to step t: compute it first.",
        "R transposed": "A row goes back through R by da @ R, without the transpose.",
        "W2 early": "W2 is multiplied with h1 of the same step, h1[t].",
        "R late": "R1 and R2 are multiplied with the states of the step before, h1[t - 1] and h2[t - 1].",
        "slope": "h1 and h2 are already tanh(a), so the slopes are 1 - h**2, without another tanh.",
    }
    try:
        answer = gradients(*(v.copy() for v in given))
    except ValueError as error:
        raise CheckFailed(f"{error}. Rows are sequences: a cotangent goes back through a matrix by da @ W.") from None
    check(isinstance(answer, tuple | list) and len(answer) == 4, "Return four arrays: dL/dW1, dL/dR1, dL/dW2, dL/dR2.")
    wrong = {hint: _two_layers(*given, way) for way, hint in hints.items()}
    for hint, those in wrong.items():
        same = [np.shape(a) == np.shape(b) and np.allclose(a, b) for a, b in zip(answer, those, strict=True)]
        check(not all(same), hint)
    for k, name in enumerate(("W1", "R1", "W2", "R2")):
        mistakes = {hint: those[k] for hint, those in wrong.items() if not np.allclose(those[k], right[k])}
        close(answer[k], right[k], f"dL/d{name} is not right. Which uses does each state have?", mistakes=mistakes)
    passed("7.5")


def check_6(turns: Callable) -> None:
    """A schedule: complete, allowed, and as short as possible."""
    for D, T in (3, 4), (1, 5), (4, 1), (2, 6), (5, 3):
        answer = turns(D, T)
        check(answer is not None, "The answer is None: does the function return its result?")
        schedule = [[tuple(int(n) for n in cell) for cell in turn] for turn in answer]
        cells = [cell for turn in schedule for cell in turn]
        wanted = set(product(range(1, D + 1), range(1, T + 1)))
        size = f"With D = {D} and T = {T}"
        flipped = {(step, layer) for layer, step in wanted}
        check(
            set(cells) != flipped or flipped == wanted,
            "A cell is (l, t): the layer first, then the step.",
        )
        extra = sorted(set(cells) - wanted)
        check(
            not extra,
            f"{size} there is no cell {extra[0] if extra else ''}: layers and steps are counted from 1, to D and to T.",
        )
        missing = sorted(wanted - set(cells))
        check(not missing, f"{size} cell {missing[0] if missing else ''} is never computed.")
        check(len(cells) == len(wanted), f"{size} some cell is computed twice.")
        done: set = set()
        for number, turn in enumerate(schedule, 1):
            for l, t in turn:  # noqa: E741 (the book's symbol)
                for need in (l - 1, t), (l, t - 1):
                    ready = min(need) < 1 or need in done
                    why = "is in the same turn" if need in turn else "has not been computed yet"
                    check(ready, f"{size} turn {number} has cell {(l, t)}, which needs cell {need}, and that {why}.")
            done |= set(turn)
        full = [turn for turn in schedule if turn]
        check(len(full) == len(schedule), f"{size} there is an empty turn.")
        check(
            len(schedule) != len(wanted) or min(D, T) == 1,
            f"{size} you take a turn for every cell. Which cells need nothing of each other?",
        )
        check(
            len(schedule) == D + T - 1,
            f"{size} you take {len(schedule)} turns, and fewer will do: a cell may be computed as soon as the one "
            "below and the one before are there.",
        )
    passed("7.6")


def _rule_gradient(kind: str, seed: int, lower: Callable = tanh, upper: Callable = tanh) -> tuple:
    """The first gradient of exercise 7.7, with a function of its own in each layer that is not recurrent."""
    rng = np.random.default_rng(seed)
    H = 18 if kind == "both" else 22
    makers = (nn.Linear if kind == "upper" else nn.RNN), (nn.RNN if kind in ("both", "upper") else nn.Linear)
    first, second = (make(size, H, rng=rng, dtype="float64") for make, size in zip(makers, (1, H), strict=True))
    readout = nn.Linear(H, 1, rng=rng, dtype="float64")
    x = d = rng.integers(0, 2, (20, 32, 1))
    for _ in range(3):
        padded = np.concatenate([np.zeros_like(d[:2]), d])
        d = padded[:-2] ^ (padded[1:-1] | padded[2:])
    h = Tensor(2.0 * x - 1)
    for layer, bend in (first, lower), (second, upper):
        h = layer(h)[0] if isinstance(layer, nn.RNN) else bend(layer(h))
    loss = binary_cross_entropy_with_logits(readout(h)[-14:], d[6:].astype(float))
    return grad(loss, [p for layer in (first, second, readout) for p in layer.parameters()])


def check_7(errors: dict, rule_error: Callable) -> None:
    """One run of each net watched, then the errors of four nets on rule 30, eight seeds each."""
    kinds = ("both", "lower", "straight", "upper")
    check(isinstance(errors, dict) and set(errors) == set(kinds), f"errors must have the keys {', '.join(kinds)}.")
    for kind in kinds:
        check(np.shape(errors[kind]) == (8,), f"errors[{kind!r}] must be a list of eight numbers, one for each seed.")
    table = {kind: np.asarray(errors[kind], float) for kind in kinds}
    for kind, e in table.items():
        check(
            np.isfinite(e).all() and (e >= 0).all() and (e <= 1).all(),
            f"errors[{kind!r}] should hold shares of wrong bits, between 0 and 1.",
        )
        check(len(set(e.tolist())) > 1, f"All runs in errors[{kind!r}] agree exactly: use default_rng(seed).")
        bits = 7000 * e
        check(
            np.allclose(bits, np.round(bits), atol=1e-3),
            f"errors[{kind!r}]: a share of 500 x 14 bits is a whole number of them divided by 7,000. Count every bit "
            "of the 14 steps as right or wrong, over 500 fresh sequences.",
        )
    identity = lambda a: a
    swapped = {"lower": "upper", "upper": "lower"}
    again = {}
    for kind in kinds:
        training, again[kind] = watch(rule_error, kind, 0)
        right = _rule_gradient(kind, 0, upper=identity if kind == "straight" else tanh)
        mistakes = {}
        if kind in swapped:
            hint = f'This is not "{kind}": are the names swapped? In "lower" the lower layer is recurrent.'
            mistakes[hint] = _rule_gradient(swapped[kind], 0)
        if kind == "upper":
            mistakes['In "upper" the lower layer has a tanh, too.'] = _rule_gradient(kind, 0, lower=identity)
        if kind == "lower":
            mistakes['In "lower" the upper layer has a tanh; without it the net is "straight".'] = _rule_gradient(
                kind, 0, upper=identity
            )
        if kind == "straight":
            mistakes['"straight" is the net without the tanh.'] = _rule_gradient(kind, 0)
        training.tell(right, mistakes)
        try:
            training.check(200, 0.01, sum(g.data.size for g in right))
        except CheckFailed as failed:
            raise CheckFailed(f'The net "{kind}": {failed}') from None
    medians = {kind: np.median(e) for kind, e in table.items()}
    check(
        max(medians.values()) < 0.45,
        "One of the nets is at chance, 0.5. Are all parameters trained, and is a logit above 0 read as a 1?",
    )
    check(
        medians["lower"] < 0.03 or medians["upper"] > 0.03,
        '"upper" comes out better than "lower": are the two names swapped? In "lower" the lower layer is recurrent.',
    )
    check(
        medians["upper"] > 0.02,
        'The net "upper" learns more than its single recurrent layer lets it: is the lower layer without recurrence?',
    )
    check(
        medians["lower"] < 0.045,
        'The net "lower" should do well: a recurrent layer of 22 units, 22 more with a tanh, and the readout.',
    )
    check(
        (table["straight"] != table["lower"]).any(),
        '"straight" and "lower" agree exactly, seed by seed: "straight" is the net without the tanh.',
    )
    check(
        medians["straight"] < 0.045,
        'The net "straight" should come near "lower": its layer of 22 units has no tanh, but it is there.',
    )
    check(medians["both"] < 0.04, 'The net "both" should learn the rule nearly: two recurrent layers of 18 units.')
    for kind, result in again.items():
        reproduces(result, table[kind][0], f'rule_error("{kind}", 0)', f'errors["{kind}"][0]')
    passed("7.7")
