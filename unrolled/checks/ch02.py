"""Checks of the exercises on arrays in the graph. Each tries properties in turn, its hint speaking to one mistake."""

import math
from collections.abc import Callable

import numpy as np

from minigrad import Tensor, grad, gradcheck
from minigrad.errors import GradcheckError, MinigradError
from unrolled.checks import CheckFailed, check, close, passed


def check_1(copies: Callable) -> None:
    """How often a broadcast operand is used, for several shapes."""
    for shape, result in (
        ((2, 1, 3), (7, 2, 4, 3)),  # first the case that tells the mistakes apart
        ((4,), (3, 4)),
        ((3, 1), (3, 4)),
        ((1,), (5, 2)),
        ((), (2, 3)),
        ((3, 4), (3, 4)),
        ((3, 1), (5, 3, 4)),
    ):
        lead = len(result) - len(shape)
        front = math.prod(result[:lead])
        right = math.prod(result) // math.prod(shape)
        mistakes = {
            "The axes put in front count, but those of length 1 that were stretched count, too.": front,
            "The stretched axes of length 1 count, but so do the axes that were put in front.": right // front,
            "That is the size of the result; each entry of the operand is used by a part of it only.": math.prod(
                result
            ),
            "That is the size of the operand, which is what the result has to be divided by.": math.prod(shape),
            "The cotangents of the copies are summed, not averaged, so the number is not always 1.": 1,
            "Counts of several axes multiply: a row copied 5 times in each of 7 blocks is copied 35 times.": (
                front + right // front
            ),
        }
        close(
            copies(shape, result), right, f"Wrong for {shape} in {result}.",
            mistakes={hint: value for hint, value in mistakes.items() if value != right},
        )  # fmt: skip
    passed("2.1")


def check_2(mean_rule: Callable) -> None:
    """The cotangent of a mean's operand: its shape, its factor, its places."""
    rng = np.random.default_rng(0)
    for shape, axis in ((3, 4), 0), ((3, 4), 1), ((3, 3), 0), ((3, 3), 1), ((2, 3, 4), -2), ((2, 3, 4), -1), ((5,), 0):
        y_shape = np.zeros(shape).mean(axis).shape
        g = rng.standard_normal(y_shape)
        before = g.copy()
        spread = np.ones(shape) * np.expand_dims(g, axis)
        right = spread / shape[axis]
        mistakes = {
            "The factor is missing: each entry counts in the mean with one over the number of entries.": spread,
            "Only the entries along the axis are averaged: divide by their number, not by the size of x.": (
                spread / math.prod(shape)
            ),
            "Divide by the length of the axis of x that was averaged, shape[axis].": spread / shape[0],
            "That is the length of an axis of g; the axis that was averaged is gone from it: shape[axis].": (
                spread / max(g.shape[:1], default=1)
            ),
            "A mean divides by the number of entries, so its rule divides, too.": spread * shape[axis],
            "That is the cotangent of one entry only: copy it along the axis, to the shape of x.": g / shape[axis],
            "The axis is still of length 1: copy along it, to the shape of x.": np.expand_dims(g, axis) / shape[axis],
        }
        if g.ndim and broadcasts(y_shape, shape):
            mistakes["The shape is right and the places are wrong: put the axis back before you copy."] = (
                np.broadcast_to(g, shape) / shape[axis]
            )
        hint = f"Wrong for x of shape {shape} and axis={axis}."
        try:
            found = mean_rule(g, shape, axis)
        except ValueError as error:
            raise CheckFailed(f"{hint} NumPy says: {error}. Put the axis back before you copy.") from None
        close(found, right, hint, mistakes=differing(mistakes, right))
        check((g == before).all(), "The rule wrote into g, which others may still need: return a new array.")
    passed("2.2")


def broadcasts(shape: tuple, to: tuple) -> bool:
    """Say whether an array of `shape` can be broadcast to the shape `to`."""
    return all(n in (1, m) for n, m in zip(shape[::-1], to[::-1], strict=False))


def differing(mistakes: dict, right: object) -> dict:
    """Leave out mistakes that give the right answer in this case."""
    return {
        hint: value
        for hint, value in mistakes.items()
        if np.shape(value) != np.shape(right) or not np.allclose(value, right)
    }


def check_3(rules: Callable) -> None:
    """The three cotangents of a layer, square and not."""
    rng = np.random.default_rng(0)
    for B, I, O in (3, 3, 3), (2, 3, 4), (1, 2, 5):  # noqa: E741 (the book's symbols)
        g, x, W = rng.standard_normal((B, O)), rng.standard_normal((B, I)), rng.standard_normal((O, I))
        size = f"B = {B}, I = {I}, O = {O}"
        try:
            found = rules(g, x, W)
        except ValueError as error:
            raise CheckFailed(f"At {size} NumPy says: {error}. Right at square shapes only?") from None
        check(isinstance(found, tuple | list) and len(found) == 3, "Return three arrays: for x, for W and for b.")
        right = {"x": g @ W, "W": g.T @ x, "b": g.sum(axis=0)}
        square = B == I == O
        mistakes = {
            "x": {
                "g @ W.T fits square shapes only. In the sum over j the factor is W_jq, as W has it: no transpose.": (
                    g @ W.T if square else 0.0
                ),
                "That is the cotangent of W; return them in the order x, W, b.": g.T @ x,
            },
            "W": {
                "The cotangent of W is transposed: W_pq meets x_iq and the output p, so the rows belong to g.": x.T @ g,
                "The sum over the batch is not averaged: where a loss averages, its mean is in g already.": (
                    g.T @ x / B if B > 1 else 0.0
                ),
                "The sum runs over the batch, the first index of both g and x: one of the two is transposed.": (
                    g @ x if square else 0.0
                ),
            },
            "b": {
                "b is added to every row, so its cotangent is the sum over the rows, not the mean.": g.mean(axis=0),
                "The cotangent of b has the shape of g: sum over the rows to which b was copied.": g,
                "b has one axis: leave out keepdims.": g.sum(axis=0, keepdims=True),
                "The sum for b runs over the batch, which is the first axis.": g.sum(axis=1),
            },
        }  # fmt: skip
        for (name, value), answer in zip(right.items(), found, strict=True):
            hint = (
                f"The cotangent of {name} is not right at {size}. "
                "In Y_ij = sum over k of x_ik W_jk + b_j, which Y contain the entry, and with what factor?"
            )
            close(answer, value, hint, mistakes=differing(mistakes[name], value))
    passed("2.3")


def leaky_sum(x: np.ndarray, keep: float) -> np.ndarray:
    """Return y_t = keep y_(t-1) + x_t."""
    y, last = np.zeros_like(x), 0.0
    for t, x_t in enumerate(x):
        last = keep * last + x_t
        y[t] = last
    return y


def check_4(leaky_rule: Callable) -> None:
    """The transpose of the leaky sum, against central differences."""
    rng = np.random.default_rng(0)
    for shape, keep in ((6,), 0.7), ((5, 2), -0.4), ((1,), 0.5), ((4,), 1.0), ((6,), 1.3):
        x, g = rng.standard_normal((2, *shape))
        numeric, eps = np.zeros(shape), 1e-4
        for at in np.ndindex(shape):
            step = np.zeros(shape)
            step[at] = eps
            numeric[at] = (g * (leaky_sum(x + step, keep) - leaky_sum(x - step, keep))).sum() / (2 * eps)
        right = leaky_sum(g[::-1], keep)[::-1]
        assert np.allclose(right, numeric, rtol=0, atol=1e-8)
        after = np.concatenate([g[1:], np.zeros((1, *shape[1:]))])
        mistakes = {
            "That runs forward. x_t acts on y_t and on all that come later, so its cotangent comes from later steps.": (
                leaky_sum(g, keep)
            ),
            "The right direction, but nothing leaks: what comes back from a step later is multiplied by alpha.": (
                leaky_sum(g[::-1], 1.0)[::-1]
            ),
            "x_t acts on later steps as well, through y_t: those cotangents come back, too.": g,
            "Only the next step comes back. The one after it depends on x_t, too, with alpha squared, and so on.": (
                g + keep * after
            ),
            "The power of alpha counts the steps between, t - s; you took the power t.": np.array(
                [sum(keep**t * g[t] for t in range(s, len(g))) for s in range(len(g))]
            ),
            "The right numbers in reverse order: you went from the last step to the first, so turn the list round.": (
                right[::-1]
            ),
            "The new number enters with the factor 1, not 1 - alpha: y_t = alpha y_(t-1) + x_t.": (1 - keep) * right,
            "One alpha too many: x_t enters y_t itself with the factor 1.": keep * right,
            "What comes from outside, g[t], is missing: you return only what comes back from later steps.": right - g,
        }
        given = g.copy()
        found = leaky_rule(g, keep)
        untouched = (g == given).all()
        close(found, right, f"Wrong for g of shape {shape} and alpha = {keep}.", mistakes=differing(mistakes, right))
        check(untouched, "The values are right, but the rule wrote into g, which others may still need.")
    passed("2.4")


def check_5(largest_error: Callable) -> None:
    """A check of rules: it passes right ones, and finds planted mistakes."""
    rng = np.random.default_rng(0)
    vector, matrix = rng.uniform(0.5, 2.0, 5), rng.uniform(0.5, 2.0, (3, 3))
    right = {
        "tanh": (np.tanh, lambda g, y, x: g * (1 - y**2)),
        "the cube": (lambda x: x**3, lambda g, y, x: 3 * g * x**2),
        "the reversal": (lambda x: x[::-1].copy(), lambda g, y, x: g[::-1]),
        "the running sum": (lambda x: x.cumsum(0), lambda g, y, x: g[::-1].cumsum(0)[::-1]),
        "the mean of columns": (lambda x: x.mean(0, keepdims=True), lambda g, y, x: np.ones_like(x) * g / len(x)),
    }

    def error(pair: tuple, x: np.ndarray, seed: int = 0) -> float:
        found = largest_error(*pair, x, np.random.default_rng(seed))
        check(not isinstance(found, bool | np.bool_), "Return the largest error itself, not the verdict on it.")
        close(np.shape(found), (), "Return one number, the largest error.")
        return float(found)

    for name, pair in right.items():
        for x in vector, matrix:
            before = x.copy()
            found = error(pair, x)
            check((x == before).all(), "Your check has changed x: move the entries of a copy.")
            check(
                not 1e-6 < abs(found) < 1e-4,
                f"The right rule of {name} is off by {found:.1g}: as much as a difference to one side only leaves. "
                "Take the central one, from x - eps to x + eps.",
            )
            check(
                abs(found) < 1e-6,
                f"The right rule of {name} is reported with an error of {found:.2g}. The rule and the differences "
                "must use the same cotangent: weigh the rise of y with g before you sum it.",
            )
    cube = (lambda x: x**3, lambda g, y, x: g * x**2)
    for seed in range(6):
        found = error(cube, vector[:1], seed)
        check(found > 0, "An error below zero is an error, too: take the absolute value before the largest.")
    for x in vector, matrix:
        found = error(cube, x)
        check(found > 1e-3, "The rule g x**2 of x**3 passes, though a factor 3 is missing.")
    permuted = {
        "x[::-1] with the rule g": ((lambda x: x[::-1].copy(), lambda g, y, x: g), vector),
        "x.T with the rule g": ((lambda x: x.T.copy(), lambda g, y, x: g), matrix),
    }
    for name, (pair, x) in permuted.items():
        check(
            max(error(pair, x, seed) for seed in range(3)) > 1e-3,
            f"{name} still passes. A cotangent whose entries are all alike cannot see where they stand: "
            "draw one number for each entry of y.",
        )
    last = (lambda x: x * x, lambda g, y, x: np.concatenate([2 * g[:-1] * x[:-1], g[-1:] * x[-1:]]))
    check(error(last, vector) > 1e-3, "A rule that is wrong at the last entry only passes: compare all entries.")
    drawn = []
    found = error((cube[0], lambda g, y, x: drawn.append(g.copy()) or g * x**2), vector)
    errors = abs(2 * drawn[-1] * vector**2)
    check(not np.isclose(found, errors.mean()), "That is the mean of the errors; return the largest.")
    check(not np.isclose(found, errors.sum()), "That is the sum of the errors; return the largest.")
    largest = max(abs(2 * g * vector**2).max() for g in drawn)  # one cotangent, or several
    check(
        np.isclose(found, largest, rtol=1e-3),
        f"Where rule and difference are {largest:.3g} apart, {found:.3g} is returned: take the largest absolute "
        "difference, divided by nothing.",
    )
    check(error(cube, vector, 1) == error(cube, vector, 1), "The same rng gives another result: draw with rng alone.")
    check(error(cube, vector, 1) != error(cube, vector, 2), "Another rng gives the same result: draw g with rng.")
    passed("2.5")


def check_6(share: Callable) -> None:
    """The rule of `share`: its gradient, then the derivative of that."""
    rng = np.random.default_rng(0)
    rule = getattr(getattr(share, "op", None), "rules", (None,))[0]
    check(rule is not None, "Keep `@mg.op(share_rule)` above `share`, so that the engine uses your rule.")
    for shape in (3, 4), (3, 3), (2, 3, 4):
        x, g = rng.uniform(0.5, 2.0, shape), rng.standard_normal(shape)
        total = x.sum(axis=-1, keepdims=True)
        y = x / total
        inner = (g * y).sum(axis=-1, keepdims=True)
        node = Tensor(x, requires_grad=True)
        result = share(node)
        close(result, y, "The result of share is not right: leave the function as it was given.")
        mistakes = {
            "The sum depends on x, too: you treat it as a constant.": g / total,
            "That is the path through the sum only; the numerator is missing.": -inner / total * np.ones(shape),
            "The path through the sum has the sign of 1 / s differentiated: minus.": (g + inner) / total,
            "The weights of the sum over j are g_pj y_pj; y_pj cannot be taken out of it.": (
                (g - y * g.sum(axis=-1, keepdims=True)) / total
            ),
            "Each row has a sum of its own: sum along the last axis only.": (g - (g * y).sum()) / total,
            "Only the diagonal: y_pj with another j depends on x_pq as well, through the sum.": g * (1 - y) / total,
            "The factor 1 / s is missing.": g - inner,
            "A factor 1 / s too many: y has one in it already.": (g - inner) / total**2,
            "In the path through the sum 1 / s, differentiated, gives 1 / s^2; yours has 1 / s.": g / total - inner,
        }
        try:
            found = grad(result, node, seed=g)
        except MinigradError as error:
            raise CheckFailed(f"{error} Remember keepdims=True, so that the sums can be broadcast.") from None
        close(found, (g - inner) / total, f"The cotangent of x is not right at shape {shape}.", mistakes=mistakes)
    again = (
        "The gradient is right, but the derivative of the gradient is not: something leaves the graph. "
        "Use only operators and mg.sum on g, y and x."
    )
    try:
        gradcheck(share, [rng.uniform(0.5, 2.0, (2, 3))], order=2)
    except (MinigradError, GradcheckError, AttributeError, TypeError, ValueError):
        raise CheckFailed(again) from None
    passed("2.6")


def least_squares() -> tuple[np.ndarray, np.ndarray]:
    """Return 50 rows of 4 features that depend on each other, and 50 targets."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 4)) @ (np.eye(4) + 0.5 * rng.standard_normal((4, 4)))
    return X, X @ rng.standard_normal(4) + 0.1 * rng.standard_normal(50)


def check_7(largest_curvature: Callable, last: dict) -> None:
    """The largest curvature of known quadratics; which steps survive."""
    rng = np.random.default_rng(0)
    for sizes in (5.0, 3.0, 1.0, 0.2), (0.3, 0.1), (40.0, 10.0, 30.0):
        Q, _ = np.linalg.qr(rng.standard_normal((len(sizes), len(sizes))))
        H = Q * sizes @ Q.T
        at = rng.standard_normal(len(sizes))

        def quadratic(w: Tensor, H: np.ndarray = H) -> Tensor:
            return 0.5 * (w * (Tensor(H) @ w)).sum()

        with np.errstate(all="ignore"):
            found = largest_curvature(quadratic, at.copy(), np.random.default_rng(1))
        check(found is not None, "The answer is None: does the function return its result?")
        check(
            np.all(np.isfinite(np.asarray(getattr(found, "data", found), float))),
            "Numbers overflow: divide v by its length in every round.",
        )
        top = max(sizes)
        mistakes = {
            "That is the limit of the step, 2 / curvature; return the curvature.": 2 / top,
            "That is the smallest curvature; the power iteration finds the largest.": min(sizes),
            "That is the mean curvature; repeat the product, so that the largest wins.": np.mean(sizes),
            "That is the sum of all curvatures, the trace.": sum(sizes),
            "That is the length of the gradient, not of a product with the Hessian.": np.linalg.norm(H @ at),
            "That is the square of the largest curvature: one product too many.": top**2,
        }
        hint = (
            f"The Hessian has the eigenvalues {sizes}. Repeat the product until v has turned to the largest, "
            "and measure with a v of length 1."
        )
        close(found, top, hint, mistakes=mistakes, rtol=1e-3)
    check(isinstance(last, dict) and set(last) == {0.5, 0.95, 1.05}, "last must have the keys 0.5, 0.95 and 1.05.")
    check(
        all(np.shape(getattr(value, "data", value)) == () for value in last.values()), "last holds one loss for each."
    )
    values = {c: float(getattr(value, "data", value)) for c, value in last.items()}
    X, d = least_squares()
    H = X.T @ X / len(d)
    step = 2 / np.linalg.eigvalsh(H)[-1]

    def after(c: float, updates: int) -> float:
        w = np.zeros(4)
        for _ in range(updates):
            w = w - c * step * (H @ w - X.T @ d / len(d))
        return 0.5 * np.mean((X @ w - d) ** 2)

    for c, value in values.items():
        right, start = after(c, 200), after(c, 0)
        mistakes = {
            f"last[{c}] is the loss at the start: each step has to change w.": start,
            f"last[{c}] is the loss after one step; take 200.": after(c, 1),
            f"last[{c}] belongs to half the step: the limit is 2 over the largest curvature, not 1.": after(c / 2, 200),
            f"last[{c}] belongs to a step of twice the length: the limit is 2 over the largest curvature.": (
                after(2 * c, 200)
            ),
            f"last[{c}] has grown since you step along the gradient: subtract it.": after(-c, 200),
        }
        check(np.isfinite(value) and value > 0, f"last[{c}] is {value}, not a loss. The step is c * 2 / curvature.")
        # On a logarithmic scale: above the limit a tiny error in the curvature grows with the loss.
        mistakes = {hint: np.log10(wrong) for hint, wrong in mistakes.items()}
        hint = f"last[{c}] is not the loss after 200 steps from w = 0."
        close(np.log10(value), np.log10(right), hint, mistakes=mistakes, rtol=0, atol=1.0 if c > 1 else 1e-3)
    passed("2.7")
