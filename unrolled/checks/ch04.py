"""Checks of the exercises on Elman networks. Each tries properties in turn, its hint speaking to one mistake."""

from collections.abc import Callable
from itertools import permutations

import numpy as np

from minigrad import Tensor, Value, grad, nn, tanh
from minigrad.errors import ShapeError
from unrolled.checks import CheckFailed, check, close, passed


def check_1(count_parameters: Callable) -> None:
    """The number of parameters, for several sizes."""
    for I, H, O in (3, 5, 2), (1, 8, 1), (7, 4, 6):  # noqa: E741 (the book's symbols)
        right = H * I + H * H + H + O * H + O
        mistakes = {
            "The biases are parameters, too: b has H entries and b_y has O.": right - H - O,
            "The output has parameters as well: V and b_y.": right - O * H - O,
            "One bias is missing: b_y, with O entries.": right - O,
            "One bias is missing: b, with H entries.": right - H,
            "The recurrent weights R are missing: they lead from every hidden unit to every hidden unit.": right
            - H * H,
            "There is one bias for the hidden state, b. (PyTorch has two; only their sum matters.)": right + H,
            "89 is the number for I = 1, H = 8, O = 1; here it has to follow from the sizes.": 89,
        }
        close(count_parameters(I, H, O), right, f"Wrong for I = {I}, H = {H}, O = {O}.", mistakes=mistakes)
    passed("4.1")


def check_2(step: Callable) -> None:
    """One step: its values, then its gradients."""
    rng = np.random.default_rng(0)
    shapes = {"x": (2, 3), "h": (2, 4), "W": (4, 3), "R": (4, 4), "b": (4,)}
    given = {name: Tensor(rng.standard_normal(shape), "float64", requires_grad=True) for name, shape in shapes.items()}
    x, h, W, R, b = (node.data for node in given.values())
    right = np.tanh(x @ W.T + h @ R.T + b)
    mistakes = {
        "h @ R has the right shape, but the equation's R h reads h @ R.T in code, where a state is a row.": (
            np.tanh(x @ W.T + h @ R + b)
        ),
        "The bias b is missing.": np.tanh(x @ W.T + h @ R.T),
        "The state h is missing: without it the network has no memory.": np.tanh(x @ W.T + b),
        "The non-linearity is tanh here, not the logistic function.": 1 / (1 + np.exp(-(x @ W.T + h @ R.T + b))),
        "That is the pre-activation; apply tanh to it.": x @ W.T + h @ R.T + b,
    }
    try:
        y = step(*given.values())
    except ShapeError as error:
        raise CheckFailed(f"{error}. A row is a sequence, so W x reads x @ W.T in code.") from None
    close(y, right, "Compare with tanh(W x + R h + b) for one sequence, by hand.", mistakes=mistakes)
    cut = "The values are right, but no gradient reaches {}: something left the graph, by .data or .detach()."
    check(isinstance(y, Tensor) and y.requires_grad, cut.format("the arguments"))
    weights = rng.standard_normal(y.shape)
    found = grad(y, list(given.values()), seed=weights)
    delta = weights * (1 - right**2)
    expected = {"x": delta @ W, "h": delta @ R, "W": delta.T @ x, "R": delta.T @ h, "b": delta.sum(axis=0)}
    for (name, value), g in zip(expected.items(), found, strict=True):
        check(g is not None, cut.format(name))
        close(g, value, f"The values are right, but the gradient that reaches {name} is not.")
    passed("4.2")


def check_3(stretches: Callable) -> None:
    """Inputs and targets of the prediction task."""
    stream = np.arange(500.0)[:, None]  # every element names its own place
    pair = stretches(stream, 7, 40, np.random.default_rng(0))
    check(isinstance(pair, tuple | list) and len(pair) == 2, "Return two arrays, the inputs and the targets.")
    inputs, targets = map(np.asarray, pair)
    for name, part in ("inputs", inputs), ("targets", targets):
        check(
            part.shape == (7, 40, 1), f"For length 7 and count 40 the {name} have shape {part.shape}, not (7, 40, 1)."
        )
    shift = targets - inputs
    check(
        not (shift == 0).all(),
        "Inputs and targets are the same bits: each target is the input of its own step, which the net need only copy.",
    )
    check(not (shift == -1).all(), "The targets are the inputs of the step before: that asks the net to remember.")
    check((shift == 1).all(), "The target of each step must be the input that comes next in the stream.")
    check((np.diff(inputs, axis=0) == 1).all(), "Along a stretch the inputs must follow each other as in the stream.")
    again = np.asarray(stretches(stream, 7, 40, np.random.default_rng(1))[0])
    check((inputs != again).any(), "Another generator gives the same stretches: draw their starts with rng.")
    starts = inputs[0, :, 0]
    check(len(set(starts)) > 20, "All stretches start at the same place: draw a start for each of them.")
    check(len(set(starts % 3)) == 3, "All stretches start at the same phase, which gives the secret away.")
    try:
        stretches(stream[:8], 7, 40, np.random.default_rng(0))
    except (ValueError, IndexError):
        raise CheckFailed("A stretch of 7 steps and the bit after it must fit into 8 bits.") from None
    passed("4.3")


def check_4(gradients: Callable) -> None:
    """Hand-derived gradients of two steps, against the engine and central differences."""
    rng = np.random.default_rng(0)
    for w, r, b, x1, x2, d in rng.uniform(-1.5, 1.5, (5, 6)):

        def loss(w, r, b, x1=x1, x2=x2, d=d, tanh=np.tanh):  # noqa: ANN001, ANN202
            return 0.5 * (tanh(w * x2 + r * tanh(w * x1 + b) + b) - d) ** 2

        nodes = [Value(w), Value(r), Value(b)]
        right = [g.data for g in grad(loss(*nodes, tanh=tanh), nodes)]
        steps = 1e-6 * np.eye(3)
        numeric = [(loss(*np.add([w, r, b], e)) - loss(*np.subtract([w, r, b], e))) / 2e-6 for e in steps]
        assert np.allclose(right, numeric, rtol=1e-6, atol=1e-8)

        h1 = np.tanh(w * x1 + b)
        h2 = np.tanh(w * x2 + r * h1 + b)
        cut = (h2 - d) * (1 - h2**2)
        twice = (h2 - d) * (1 - np.tanh(h2) ** 2)
        twice1 = twice * r * (1 - np.tanh(h1) ** 2)
        linear = h2 - d
        mistakes = {
            "You stopped at step 2. w and b act at step 1 as well, and their effect reaches L through h1.": (
                cut * x2, cut * h1, cut
            ),
            "tanh' was taken at h instead of a: it is 1 - h^2, since h is already the tanh.": (
                twice * x2 + twice1 * x1, twice * h1, twice + twice1
            ),
            "The slope of tanh is missing: each passage through tanh multiplies by 1 - h^2.": (
                linear * x2 + linear * r * x1, linear * h1, linear + linear * r
            ),
            "The path from step 2 to step 1 leads through r: delta_1 contains the factor r.": (
                cut * x2 + cut * (1 - h1**2) * x1, cut * h1, cut + cut * (1 - h1**2)
            ),
            "All signs are reversed: with L = (h2 - d)^2 / 2 the derivative starts with h2 - d.": [-g for g in right],
        }  # fmt: skip
        answer = gradients(w, r, b, x1, x2, d)
        check(np.shape(answer) == (3,), "Return three numbers: dL/dw, dL/dr, dL/db.")
        mistakes["The three are right, but not in the order dL/dw, dL/dr, dL/db."] = next(
            (other for other in permutations(right) if other != tuple(right) and np.allclose(answer, other)), None
        )
        ok = [name for name, a, b in zip(("dL/dw", "dL/dr", "dL/db"), answer, right, strict=True) if np.isclose(a, b)]
        hint = f"Right: {', '.join(ok) or 'none of the three'}. A parameter collects one term for each step it acts in."
        close(answer, right, hint, mistakes=mistakes)
    passed("4.4")


def check_5(read_in_pieces: Callable) -> None:
    """Pieces give the values of one run, and the graph ends where a piece starts."""
    rng = np.random.default_rng(0)
    rnn = nn.RNN(2, 3, rng=rng, dtype="float64")
    x = Tensor(rng.standard_normal((10, 2, 2)), requires_grad=True)
    whole = rnn(x)[0].data
    fresh = [rnn(x[start : start + 4])[0].data for start in (0, 4, 8)]
    mistakes = {
        "Each piece starts from zeros: hand the state h of one piece to the next.": np.concatenate(fresh),
        "The last, shorter piece is missing.": whole[:8],
    }
    states = read_in_pieces(rnn, x, 4)
    check(not isinstance(states, tuple), "It returned several things; return the states of all steps only.")
    close(states, whole, "The states must be those of one long run.", mistakes=mistakes)
    check(isinstance(states, Tensor), "Return a Tensor: mg.concatenate keeps the graph within the pieces.")
    check(
        states.requires_grad,
        "The values are right, but training is no longer possible: detach the state only, not the output.",
    )
    g = grad(states[9].sum(), x)
    check(g is not None and g.data[9].any(), "Within a piece the graph must stay whole, from input to state.")
    check(g.data[8].any(), "Within a piece the graph must stay whole, from one step to the next.")
    check(
        not g.data[:8].any(),
        "The values are right, but the graph still reaches across the pieces: detach the state between them.",
    )
    passed("4.5")


class _Recorder:
    """Stands in for a net: gives fixed probabilities and remembers what it was given."""

    def __init__(self, p: list[float]):
        self.logits, self.inputs, self.states = np.log(p), [], []

    def __call__(self, x: Tensor, h: object = None) -> tuple[Tensor, Tensor]:
        self.inputs.append(np.array(getattr(x, "data", x)))
        self.states.append(None if h is None else float(h.data.ravel()[0]))
        return Tensor(self.logits.reshape(1, 1, -1)), Tensor(np.full((1, 1, 1), float(len(self.states))))


def check_6(write: Callable) -> None:
    """Sampling, feeding back what was sampled, carrying the state."""
    p = np.array([0.6, 0.3, 0.1])
    first = Tensor(np.eye(3)[1].reshape(1, 1, 3))
    net = _Recorder(p)
    letters = np.asarray(write(net, first, 600, np.random.default_rng(0)))
    check(letters.shape == (600,), f"Asked for 600 letters, it returned an array of shape {letters.shape}.")
    check(
        np.isin(letters, range(3)).all() and letters.dtype.kind in "iu",
        "Letters are integers from 0 to C - 1.",
    )
    check(600 <= len(net.inputs) <= 601, f"The net was called {len(net.inputs)} times for 600 letters.")
    given = np.array([x.ravel() for x in net.inputs])
    check((given[0] == [0, 1, 0]).all(), "The first input must be `first`.")
    check(
        ((given == 0) | (given == 1)).all(),
        "The probabilities are fed back. The net has only seen one-hot vectors: feed back the letter that was drawn.",
    )
    check(
        net.states[1:] == list(range(1, len(net.states))),
        "The state is not handed on: each call must get the h that the call before returned.",
    )
    check(
        (given[1:].argmax(axis=1) == letters[: len(given) - 1]).all(),
        "The letter that is fed back is not the letter that was written down.",
    )
    share = np.bincount(letters, minlength=3) / 600
    check(share.max() < 1, "Always the most probable letter: draw it by the probabilities instead, with rng.choice.")
    check(
        (abs(share - p) < 0.1).all(),
        f"Letters of probability {p} came with frequency {share.round(2)}: draw them with p=softmax(logits).",
    )
    again = write(_Recorder(p), first, 600, np.random.default_rng(0))
    check(
        np.array_equal(again, letters), "The same generator gives another text: draw with `rng`, and with nothing else."
    )
    passed("4.6")


def check_7(errors: dict) -> None:
    """Errors at the predictable bits, for three sizes and five seeds."""
    check(isinstance(errors, dict) and set(errors) == {1, 2, 8}, "errors must have the keys 1, 2 and 8.")
    for hidden, of_seeds in errors.items():
        check(np.shape(of_seeds) == (5,), f"errors[{hidden}] must be a list of five numbers, one for each seed.")
    table = {hidden: np.asarray(errors[hidden], float) for hidden in (1, 2, 8)}
    for hidden, e in table.items():
        check(
            np.isfinite(e).all() and (e >= 0).all(), f"The errors in errors[{hidden}] are not all finite and above 0."
        )
        check(len(set(e.tolist())) > 1, f"All runs in errors[{hidden}] agree exactly: use default_rng(seed).")
    check(table[1].mean() < 0.35, "Above chance: is that the root of the mean squared error?")
    best = table[8].mean()
    check(
        not 0.14 < best < 0.21,
        "Eight units end near 0.17, the best possible mean over all bits: average over the predictable bits only.",
    )
    check(
        best < 0.21,
        "Eight units end near chance, 0.25. Are the bits you average over the predictable ones? "
        "Entry k of the prediction belongs to bit k + 1.",
    )
    check(table[8].max() < 0.125, "With eight units every run should end below half of chance; train a little longer.")
    check(
        table[1].min() > 0.1,
        "One unit below half of chance is too good to be true: does the net see the bit that it is to predict?",
    )
    check(table[2].mean() < 0.22, "Two units have learnt nothing: they should end clearly below chance, 0.25.")
    passed("4.7")
