"""Checks of the exercises on learning. Each tries properties in turn, its hint speaking to one mistake."""

from collections.abc import Callable

import numpy as np

import minigrad as mg
from minigrad import Tensor, grad, optim
from unrolled.checks import CheckFailed, check, close, passed


def check_1(first_loss: Callable) -> None:
    """The cross-entropy of equal probabilities, for several numbers of classes."""
    for classes in 10, 2, 18:
        right = np.log(classes)
        mistakes = {
            "That is in bits; with the natural logarithm it is in nats.": np.log2(classes),
            "That is with the logarithm to base 10; the loss takes the natural one.": np.log10(classes),
            "That is the probability given to the true class; the loss is minus its logarithm.": 1 / classes,
            "That is the share of wrong answers. The loss is minus the logarithm of the true class's probability.": (
                1 - 1 / classes
            ),
            "The sign: the logarithm of a probability is negative, and the loss is minus that.": -right,
            "All probabilities times their logarithms, or one over the classes: only the true class counts.": (
                right / classes
            ),
            "2.30 is the loss for ten classes; here it has to follow from their number.": np.log(10),
        }
        close(
            first_loss(classes),
            right,
            f"Wrong for {classes} classes: what is y_c, and its logarithm?",
            mistakes=mistakes,
            rtol=1e-3,
        )
    passed("3.1")


def _loss_and_gradient(u: np.ndarray, c: np.ndarray) -> tuple:
    shifted = u - u.max(axis=1, keepdims=True)
    log_y = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -log_y[np.arange(len(c)), c], (np.exp(log_y) - np.eye(u.shape[1])[c]) / len(c)


def check_2(cross_entropy: Callable) -> None:
    """Loss and gradient at harmless logits, then at huge ones."""
    rng = np.random.default_rng(0)
    u, c = rng.standard_normal((5, 4)), np.array([0, 3, 1, 1, 2])
    losses, gradient = _loss_and_gradient(u, c)
    pair = cross_entropy(u.copy(), c)
    check(isinstance(pair, tuple | list) and len(pair) == 2, "Return two things, the loss and its gradient.")
    mistakes = {
        "That is the loss of each row; return their mean.": losses,
        "That is the sum over the rows; the loss is their mean.": losses.sum(),
        "The sign: the loss is minus the logarithm.": -losses.mean(),
        "That is the mean over all B times O entries; only the true class of each row counts.": losses.sum() / u.size,
        "The largest logit was taken of each column, and so it does not cancel; take it of each row, axis=1.": (
            _loss_and_gradient(u - u.max(axis=0), c)[0].mean()
        ),
        "First the loss, then its gradient.": gradient,
    }
    close(pair[0], losses.mean(), "The loss is the mean of -log softmax(u)[c].", mistakes=mistakes)
    y, d = gradient * 5 + np.eye(4)[c], np.eye(4)[c]
    mistakes = {
        "The loss is right. It is a mean over B rows, so each row's y - d is divided by B.": y - d,
        "The loss is right. In the gradient the sign is reversed: it is y - d.": -gradient,
        "The loss is right. In the gradient the sign is reversed, and the division by B is missing.": d - y,
        "The loss is right. The gradient lacks the target: it is y - d, not y.": y / 5,
        "The loss is right. The gradient lacks the target, y - d, and the division by B.": y,
        "The loss is right. The gradient is divided by B times O; the loss is a mean over the B rows only.": gradient
        / 4,
        "The loss is right. That is the derivative by y; go on through the softmax, down to the logits.": -d / y / 5,
    }
    close(pair[1], gradient, "The loss is right, but not its gradient, (y - d) / B.", mistakes=mistakes)

    u = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -9990.0], [0.0, 1.0, 2.0]])
    c = np.array([0, 0, 1])
    wrong_and_sure = np.array([[60.0, 0.0, 0.0], [800.0, 0.0, 0.0]])
    for logits, classes in (u, c), (wrong_and_sure, np.array([1, 2])):
        losses, gradient = _loss_and_gradient(logits, classes)
        try:
            with np.errstate(over="raise", divide="raise", invalid="raise"):
                loss, slope = cross_entropy(logits.copy(), classes)
        except FloatingPointError as error:
            if "overflow" in str(error):
                raise CheckFailed(
                    "Right for small logits, but for 10,000 the exponential overflows: subtract the largest first."
                ) from None
            raise CheckFailed(
                f"Right for small logits; with large ones: {error}. Subtract the largest logit of each row, not of the "
                "whole array, and never take the logarithm of a probability, which may have been rounded to 0."
            ) from None
        check(
            not np.isnan(np.asarray(loss)).any() and np.isfinite(loss),
            "Right for small logits, but nan or inf for large ones.",
        )
        check(
            loss > 0.99 * losses.mean(),
            "Where the network is sure and wrong the loss is too small: a constant inside the logarithm, or a clipped "
            "probability, caps it. Use log sum exp(u - M) - (u_c - M).",
        )
        close(loss, losses.mean(), "Right for small logits, but not for large ones.")
        close(slope, gradient, "The loss is right, but for large logits the gradient is not.")
    passed("3.2")


def check_3(loss: Callable, floor: Callable) -> None:
    """The loss with one softmax, its gradient, and the floor that two of them have."""
    rng = np.random.default_rng(0)
    c = rng.integers(10, size=6)
    u = Tensor(3 * rng.standard_normal((6, 10)), "float64", requires_grad=True)
    right = mg.cross_entropy(u, c)
    twice = mg.cross_entropy(mg.softmax(u), c)
    found = loss(u, c)
    mistakes = {
        "The softmax is still taken twice: mg.cross_entropy takes logits, and has the softmax in it.": twice,
        "The loss is the mean over the images, not the sum.": right * 6,
        "That is minus the mean probability of the true class; its logarithm is missing.": (
            -np.mean(mg.softmax(u).data[np.arange(6), c])
        ),
        "That is three softmaxes. mg.cross_entropy takes logits.": mg.cross_entropy(mg.softmax(mg.softmax(u)), c),
    }
    close(found, right, "Compare with the mean of -log softmax(u)[c].", mistakes=mistakes)
    cut = "The value is right, but no gradient reaches the logits: something left the graph, by .data or NumPy."
    check(isinstance(found, Tensor) and found.requires_grad, cut)
    slope = grad(found, u)
    check(slope is not None, cut)
    close(slope, grad(right, u), "The value is right, but the gradient that reaches the logits is not.", rtol=1e-4)
    for classes in 10, 2, 18:
        right = np.log(np.e + classes - 1) - 1
        mistakes = {
            "0 is what a right cross-entropy can approach. The friend's takes a softmax of numbers between 0 and 1.": 0,
            "That is the loss of equal probabilities; the friend's can do better.": np.log(classes),
            "The loss is -log(e / (e + ...)): the logarithm of the numerator, 1, is still to be subtracted.": right + 1,
            "The other classes, each with e^0 = 1, are one fewer than all classes.": np.log(np.e + classes) - 1,
            "The sign: the loss is minus the logarithm.": -right,
            "1.46 is the floor for ten classes; here it has to follow from their number.": np.log(np.e + 9) - 1,
            "That is a probability; the loss is minus its logarithm.": np.e / (np.e + classes - 1),
        }
        hint = f"The loss is right. floor is wrong for {classes} classes: put (1, 0, ..., 0) through a softmax."
        close(floor(classes), right, hint, mistakes=mistakes, rtol=2e-3)
    passed("3.3")


def check_4(gradients: Callable) -> None:
    """Hand-derived gradients of two layers, against the engine and central differences."""
    rng = np.random.default_rng(0)
    B, I, H, O = 6, 4, 5, 3  # noqa: E741 (the book's symbols)
    names = ("W", "b", "V", "b_y")
    shapes = {"W": (H, I), "b": (H,), "V": (O, H), "b_y": (O,)}
    x, c = rng.standard_normal((B, I)), rng.integers(O, size=B)
    d = np.eye(O)[c]
    given = [rng.standard_normal(shapes[name]) for name in names]

    def loss(W: object, b: object, V: object, b_y: object) -> Tensor:
        return mg.cross_entropy(mg.tanh(Tensor(x) @ W.T + b) @ V.T + b_y, c)

    nodes = [Tensor(p, requires_grad=True) for p in given]
    right = [g.data for g in grad(loss(*nodes), nodes)]
    for k in range(4):
        at = tuple(0 for _ in given[k].shape)
        moved = []
        for step in 1e-6, -1e-6:
            other = [p.copy() for p in given]
            other[k][at] += step
            moved.append(loss(*map(Tensor, other)).item())
        assert np.isclose((moved[0] - moved[1]) / 2e-6, right[k][at], rtol=1e-5, atol=1e-8)

    W, b, V, b_y = given
    h = np.tanh(x @ W.T + b)
    y = mg.softmax(h @ V.T + b_y)
    u_bar = (y - d) / B

    def parts(u_bar: np.ndarray, slope: object, total: Callable = np.sum) -> np.ndarray:
        a_bar = u_bar @ V * slope
        return np.concatenate([(a_bar.T @ x).ravel(), total(a_bar, 0), (u_bar.T @ h).ravel(), total(u_bar, 0)])

    flat = np.concatenate([g.ravel() for g in right])
    assert np.allclose(flat, parts(u_bar, 1 - h**2))
    mistakes = {
        "The loss is a mean over the batch: everything lacks the factor 1 / B.": flat * B,
        "It is divided by B twice: with (y - d) / B at the start the sums over the batch are the means.": flat / B,
        "All signs are reversed: it starts with y - d.": -flat,
        "All signs are reversed, and the factor 1 / B is missing.": -flat * B,
        "tanh' was taken at h instead of a: it is 1 - h^2, since h is already the tanh.": parts(
            u_bar, 1 - np.tanh(h) ** 2
        ),
        "tanh' was taken at h instead of a: it is 1 - h^2. And the factor 1 / B is missing.": parts(
            B * u_bar, 1 - np.tanh(h) ** 2
        ),
        "The slope of tanh is missing: on its way back through tanh the gradient is multiplied by 1 - h^2.": parts(
            u_bar, 1
        ),
        "The slope of tanh is missing, 1 - h^2, and so is the factor 1 / B.": parts(B * u_bar, 1),
        "A bias acts in every row: its gradient is the sum over the batch. (The mean's 1 / B is already in y - d.)": (
            parts(u_bar, 1 - h**2, np.mean)
        ),
        "y - d is the gradient at u already: the slope of the softmax is in it.": parts(u_bar * y * (1 - y), 1 - h**2),
        "The slope of tanh is 1 - h^2, with h squared.": parts(u_bar, 1 - h),
    }
    answer = gradients(x, d, *given)
    check(isinstance(answer, tuple | list) and len(answer) == 4, "Return four arrays: dL/dW, dL/db, dL/dV, dL/db_y.")
    answer = [np.asarray(getattr(g, "data", g) if isinstance(g, Tensor) else g, float) for g in answer]
    found = [g.shape for g in answer]
    if sorted(found) == sorted(shapes.values()) and found != list(shapes.values()):
        raise CheckFailed("The shapes are right, but not in the order dL/dW, dL/db, dL/dV, dL/db_y.")
    for name, g in zip(names, answer, strict=True):
        hint = f"dL/d{name} has shape {g.shape}, and {name} has {shapes[name]}."
        if g.shape == shapes[name][::-1] and g.ndim == 2:
            hint += " It is transposed: a weight's gradient has the cotangent of the outputs first, u_bar.T @ h."
        elif g.shape[:1] == (B,):
            hint += " Sum over the batch: the bias acts in every row."
        check(g.shape == shapes[name], hint)
    ok = [name for name, g, r in zip(names, answer, right, strict=True) if np.allclose(g, r)]
    hint = f"Right: {', '.join('dL/d' + name for name in ok) or 'none of the four'}. Go back one step at a time."
    close(np.concatenate([g.ravel() for g in answer]), flat, hint, mistakes=mistakes)
    passed("3.4")


def _settles(eigenvalue: float, lr: float, mu: float) -> bool:
    """Whether momentum from 1 comes down, in one direction of a bowl."""
    theta, m = 1.0, 0.0
    for _ in range(4000):
        m = mu * m + eigenvalue * theta
        theta -= lr * m
        if abs(theta) > 1e6:
            return False
    return abs(theta) < 1


def check_5(largest_rate: Callable) -> None:
    """The limit of the learning rate, against simulated bowls."""
    for eigenvalues, mu in ((1.0, 25.0), 0.5), ((4.0, 0.5, 10.0), 0.9), ((3.0,), 0.0), ((2.0, 7.0), 0.25):
        bowl = np.array(eigenvalues)
        low, high = bowl.min(), bowl.max()
        right = 2 * (1 + mu) / high
        assert all(_settles(e, 0.99 * right, mu) for e in eigenvalues)
        assert not all(_settles(e, 1.01 * right, mu) for e in eigenvalues)
        mistakes = {
            "That is the limit without momentum. Which real root leaves [-1, 1] first, and at which end?": 2 / high,
            "A natural guess, and wrong: steps add up to 1 / (1 - mu) only where the gradient keeps its sign. Along "
            "the steepest direction it alternates. Insert r = -1 into the quadratic equation.": 2 * (1 - mu) / high,
            "The flattest direction does not set the limit, the steepest does.": 2 * (1 + mu) / low,
            "That is where the roots stop being complex. They are real beyond it, but still inside -1 to 1: go on.": (
                (1 + np.sqrt(mu)) ** 2 / high
            ),
            "Insert r = -1 once more: 1 + (1 + mu - lr lambda) + mu = 0 has 1 + mu in it twice.": (1 + mu) / high,
            "That is the best rate without momentum; asked for is the largest with it.": 2 / (low + high),
            "At r = 1 the polynomial is lr lambda, never 0: roots leave through the other end, r = -1.": 0.0,
        }
        with np.errstate(all="ignore"):
            answer = largest_rate(bowl, mu)
        check(answer is not None, "The answer is None: does the function return its result?")
        check(
            np.ndim(answer) == 0, "Return one number: the rate is the same in all directions, and has to suit them all."
        )
        value = float(answer)
        settles = all(_settles(e, 0.99 * value, mu) for e in eigenvalues) if np.isfinite(value) and value > 0 else False
        seen = "is stable just below it, and also well above" if settles else "runs away already below it"
        hint = f"Eigenvalues {eigenvalues}, mu = {mu}: with your limit the simulated bowl {seen}."
        close(answer, right, hint, mistakes=mistakes)
    passed("3.5")


def check_6(Adam: type) -> None:
    """Adam against the library's, over many updates."""
    rng = np.random.default_rng(0)
    gradients = rng.standard_normal((60, 3)) + 0.5
    p = Tensor(np.zeros(3), "float64", requires_grad=True)
    reference = optim.Adam([p], lr=1.0)
    right, plain, only_m, stored, no_root = [], [], [], [], []
    m = v = m_kept = v_kept = np.zeros(3)
    for n, g in enumerate(gradients, 1):
        before, p.grad = p.data, g.copy()
        reference.step()
        right.append(before - p.data)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        plain.append(m / (np.sqrt(v) + 1e-8))
        only_m.append(m / (1 - 0.9**n) / (np.sqrt(v) + 1e-8))
        no_root.append(m / (1 - 0.9**n) / (v / (1 - 0.999**n) + 1e-8))
        m_kept = (0.9 * m_kept + 0.1 * g) / (1 - 0.9**n)
        v_kept = (0.999 * v_kept + 0.001 * g**2) / (1 - 0.999**n)
        stored.append(m_kept / (np.sqrt(v_kept) + 1e-8))
    mistakes = {
        "The corrected means are still stored, and corrected again at the next update. Keep m and v as they are, and "
        "use corrected copies of them.": stored,
        "Now there is no correction at all, and the first steps are too long: correct a copy, and keep m and v.": (
            plain
        ),
        "m is corrected, but v is not: it starts from zero, too.": only_m,
        "The root is missing: v is a mean of squares, and the step is divided by the root of it.": no_root,
    }
    ours, other = Adam(3), Adam(3)
    steps = []
    for k, g in enumerate(gradients):
        with np.errstate(all="ignore"):
            step = ours.update(g.copy())
        check(step is not None, "update returns nothing; it should return the step.")
        check(
            np.isfinite(np.asarray(step, float)).all(),
            f"Update {k + 1} gives a nan or an infinity: is self.n counted before the division by 1 - beta**n?",
        )
        steps.append(np.array(step, float))
    hint = "The first step is right, but later ones are not. " if np.allclose(steps[0], right[0]) else ""
    hint += "Compare with the three formulas of the chapter, update by update."
    close(steps, right, hint, mistakes=mistakes)
    close(other.update(gradients[0]), right[0], "Two instances disturb each other: keep n, m and v in self.")
    check(np.all(Adam(3).update(np.full(3, 1e-4)) > 0.9), "eps is added to the root, not under it.")
    passed("3.6")


def check_7(shares: dict) -> None:
    """Accuracies of a deep network for three sizes of the first weights, five seeds each."""
    gains = {0.2, 1.0, 5.0}
    check(isinstance(shares, dict) and set(shares) == gains, "shares must have the keys 0.2, 1.0 and 5.0.")
    for gain, of_seeds in shares.items():
        check(np.shape(of_seeds) == (5,), f"shares[{gain}] must be a list of five numbers, one for each seed.")
    table = {gain: np.asarray(shares[gain], float) for gain in sorted(gains)}
    every = np.concatenate(list(table.values()))
    check(np.isfinite(every).all() and (every >= 0).all(), "An accuracy is a number between 0 and 1.")
    check((every <= 1).all(), "An accuracy is a share between 0 and 1, not a percentage or a count.")

    def counts(images: int) -> bool:
        return np.allclose(every * images, np.round(every * images), rtol=0, atol=1e-6)

    check(
        counts(400) or not counts(397),
        "These are shares of 397 images: that is the test set, which stays closed. Compare on the validation set.",
    )
    check(
        counts(400) or not counts(1000),
        "These are shares of 1,000 images: that is the training set. Compare on the validation set.",
    )
    check(counts(400), "The validation set has 400 images; these are not shares of 400.")
    check(len(set(table[1.0].tolist())) > 1, "All runs in shares[1.0] agree exactly: use default_rng(seed).")
    check(
        not np.allclose(table[0.2], table[5.0]),
        "The gain makes no difference: are the new weights in the layers? Assign to layer.weight.data.",
    )
    hint = "the root of the number of inputs?"
    if table[5.0].mean() > table[1.0].mean():
        hint = "the root of the number of inputs, and not by the number itself?"
    hint += " (And are there 300 updates of SGD at rate 0.1?)"
    check(table[1.0].mean() > 0.7, f"Gain 1 hardly learns. Is each weight matrix divided by {hint}")
    check(
        table[0.2].mean() < 0.2,
        "Gain 0.2 learns, although the signal dies out: is it six hidden layers, plain SGD with rate 0.1, 300 updates?",
    )
    check(
        table[1.0].min() > 0.8,
        "With gain 1 every run should end above 0.85: 300 updates of SGD with rate 0.1, batches of 32.",
    )
    check(
        table[5.0].mean() < table[1.0].mean() - 0.1,
        "Gain 5 learns as well as gain 1: is there a tanh after every hidden layer?",
    )
    # Means over five seeds, by experiment: gain 5 has 0.43 +- 0.06 and gain 1 has 0.93 +- 0.01. A tanh on the readout
    # makes that 0.21 +- 0.04 and 0.90 +- 0.01. With five hidden layers gain 5 has 0.66 +- 0.04.
    check(
        table[5.0].mean() > 0.29 or table[1.0].mean() > 0.92,
        "Gains 1 and 5 learn too little: there is no tanh after the readout, since logits may be any numbers; and "
        "there are six hidden layers.",
    )
    check(table[5.0].mean() < 0.6, "Gain 5 learns too well: is it six hidden layers, and tanh after each?")
    passed("3.7")
