"""Checks of the exercises on why Elman networks are hard to train; each hint speaks to one mistake."""

from collections.abc import Callable
from unittest.mock import patch

import numpy as np

from minigrad import Tensor, grad, tanh
from unrolled import tasks
from unrolled.checks import CheckFailed, check, close, passed
from unrolled.checks.training import reproduces, watch


def check_1(certain_lag: Callable) -> None:
    """The lag that the bound guarantees, for matrices whose s_1, rho and Frobenius norm all differ."""
    rng = np.random.default_rng(0)
    square = rng.standard_normal((6, 6))
    unit = square / np.linalg.norm(square, 2)
    sheared = np.array([[0.6, 0.5], [0.0, 0.6]])  # s_1 is about 0.9, rho 0.6
    cases = (sheared, 1.0, 1e-3), (3 * unit, 0.25, 0.02), (0.8 * unit, 1.0, 0.013), (0.97 * unit, 1.0, 0.4)
    for R, slope, share in cases:
        s_1, rho = np.linalg.norm(R, 2), abs(np.linalg.eigvals(R)).max()

        def lag(factor: float, share: float = share, whole: Callable = np.ceil) -> float:
            return whole(np.log(share) / np.log(factor)) if 0 < factor < 1 else np.nan

        right = lag(slope * s_1)
        mistakes = {
            "That is the lag from the spectral radius, which speaks of the long run. At a given lag the norm is "
            "bounded by s_1, the largest singular value.": lag(slope * rho),
            "The slope is missing: each step multiplies the bound by slope * s_1.": lag(s_1),
            "np.linalg.norm(R) is the Frobenius norm, the root of the sum of all squares; s_1 is "
            "np.linalg.norm(R, 2).": lag(slope * np.linalg.norm(R)),
            "Rounded down: one lag earlier the bound is still above the share.": lag(slope * s_1, whole=np.floor),
            "A lag is a whole number: round up.": lag(slope * s_1, whole=float),
            "One too many: the bound of lag n is the factor to the power n.": right + 1,
            "The logarithms are upside down: it is log(share) / log(factor).": np.ceil(
                np.log(slope * s_1) / np.log(share)
            ),
        }
        answer = certain_lag(R, slope, share)
        hint = f"Wrong for s_1 = {s_1:.2f}, slope {slope:g} and share {share:g}."
        counts = "the slope counts, too." if s_1 >= 1 else "the weights count, too."
        check(answer is not None, f"{hint} slope * s_1 is below 1, so the bound does guarantee something: {counts}")
        close(answer, right, hint, mistakes=mistakes)
    for R, slope, why in (
        (1.5 * np.eye(3), 1.0, "The weights stand beside the slope: a slope of at most 1 bounds nothing by itself."),
        (
            np.array([[0.5, 4.0], [0.0, 0.5]]),
            1.0,
            "Its spectral radius is below 1, but that promises nothing at a lag.",
        ),
        (8 * np.eye(2), 0.25, "slope * s_1 is 2 there."),
        (np.eye(3), 1.0, "At exactly 1 the bound stays 1 at every lag."),
    ):
        try:
            with np.errstate(divide="ignore"):  # log(1) is 0
                answer = certain_lag(R, slope, 0.01)
        except (ValueError, OverflowError, ZeroDivisionError) as error:
            raise CheckFailed(f"Where slope * s_1 is 1 or more, return None; yours raises {error!r}.") from None
        check(answer is None, f"With slope * s_1 = {slope * np.linalg.norm(R, 2):.1f} return None. {why}")
    passed("8.1")


def check_2(clipped: Callable) -> None:
    """Clipping by the common norm: direction, length, short gradients, arguments left alone."""
    rng = np.random.default_rng(0)
    given = [rng.standard_normal((3, 2)), 5 * rng.standard_normal((4, 4)), rng.standard_normal(4)]
    before = [g.copy() for g in given]
    norms = [np.linalg.norm(g) for g in given]
    norm, limit = np.sqrt(np.sum(np.square(norms))), 1.5
    flat = np.concatenate([g.ravel() for g in given])

    def answer(gradients: list, limit: float) -> np.ndarray:
        found = clipped(gradients, limit)
        check(found is not None, "The answer is None: does the function return its result?")
        found = [np.asarray(getattr(g, "data", g) if isinstance(g, Tensor) else g, float) for g in found]
        shapes = [g.shape for g in found]
        check(shapes == [g.shape for g in gradients], f"The shapes must stay; yours are {shapes}.")
        return np.concatenate([g.ravel() for g in found])

    mistakes = {
        "Each array was clipped by itself, which turns the gradient. The norm is that of all of them together.": (
            np.concatenate([g.ravel() * min(1, limit / n) for g, n in zip(given, norms, strict=True)])
        ),
        "Each entry was clipped, which turns the gradient. Scale all by one factor.": np.clip(flat, -limit, limit),
        "The norms were added; the common norm is the root of the sum of the squares.": flat * limit / sum(norms),
        "That takes the largest norm of one array; the common norm is the root of the sum of all squares.": (
            flat * limit / max(norms)
        ),
        "That takes the largest entry for the norm.": flat * limit / abs(flat).max(),
        "The root is missing: the norm is the root of the sum of the squares.": flat * limit / norm**2,
        "The squared norm ends at the limit, and the norm should.": flat * np.sqrt(limit) / norm,
        "The norm ends at 1 and not at the limit.": flat / norm,
        "Nothing was clipped, although the norm exceeds the limit.": flat,
        "That multiplies by norm / limit, and so stretches.": flat * norm / limit,
    }
    close(answer(given, limit), flat * limit / norm, "The norm should end at the limit.", mistakes=mistakes)
    check(
        all(np.array_equal(a, c) for a, c in zip(given, before, strict=True)),
        "The arrays that came in were changed: make new ones, g * factor and not g *= factor.",
    )
    close(
        answer(given, 100.0),
        flat,
        "A gradient within the limit stays as it is.",
        mistakes={"A short gradient was stretched to the limit: the factor is at most 1.": flat * 100 / norm},
    )
    passed("8.2")


def _steps(R: np.ndarray, hs: np.ndarray) -> list[np.ndarray]:
    """The Jacobians of steps 1 to T."""
    return [(1 - h**2)[:, None] * R for h in hs[1:]]


def _products(factors: list, R: np.ndarray) -> list[float]:
    """Norms of the products of none, one, two, ... of the factors, each new one on the right."""
    J, found = np.eye(len(R)), [1.0]
    for factor in factors:
        J = J @ factor
        found.append(np.linalg.norm(J, 2))
    return found


def check_3(norms: Callable) -> None:
    """The norms against the engine's Jacobian, on a net whose slopes differ from step to step."""
    rng = np.random.default_rng(2)
    R, b = rng.standard_normal((3, 3)), rng.standard_normal((7, 3))
    states = [Tensor(0.3 * rng.standard_normal((1, 3)), "float64", requires_grad=True)]
    for b_t in b:
        states.append(tanh(states[-1] @ R.T + b_t))
    hs = np.array([h.data[0] for h in states])
    rows = [grad(states[-1], states, seed=row[None], retain_graph=True) for row in np.eye(3)]
    right = [np.linalg.norm(np.array([row[t].data[0] for row in rows]), 2) for t in range(7, -1, -1)]
    steps = _steps(R, hs)
    assert np.allclose(_products(steps[::-1], R), right)
    power = np.linalg.matrix_power
    slope = [1 - h**2 for h in hs]

    def wrongly_ordered() -> list[float]:
        J, found = np.eye(3), [1.0]
        for step in steps[::-1]:
            J = step @ J
            found.append(np.linalg.norm(J, 2))
        return found

    def of_product(measure: Callable) -> list[float]:
        J, found = np.eye(3), [measure(np.eye(3))]
        for step in steps[::-1]:
            J = J @ step
            found.append(measure(J))
        return found

    twice = [(1 - np.tanh(h) ** 2)[:, None] * R for h in hs[:0:-1]]
    mistakes = {
        "The slopes are still missing: that is the norm of R^n, whatever the states.": [
            np.linalg.norm(power(R, n), 2) for n in range(8)
        ],
        "The order is reversed: going back, each new Jacobian belongs on the right of the product so far.": (
            wrongly_ordered()
        ),
        "That goes forward from h_0. Entry n belongs to the derivative of h_T, the last state, by h_(T-n).": [
            np.linalg.norm(J, 2) for J in _forward(steps)
        ],
        "The norms of the steps were multiplied. That is a bound; the norm of the product is smaller.": np.cumprod(
            [1.0] + [np.linalg.norm(step, 2) for step in steps[::-1]]
        ),
        "The slope was taken at h instead of a: h is a tanh already, so it is 1 - h^2.": _products(twice, R),
        "The slope of a step is that of the state it makes, h_t, not of the state it starts from.": _products(
            [s[:, None] * R for s in slope[-2::-1]], R
        ),
        "The slope multiplies the rows of R, one row for each unit that is entered, not its columns.": _products(
            [R * s for s in slope[:0:-1]], R
        ),
        "np.linalg.norm without the 2 is the Frobenius norm; the norm here is the largest singular value.": of_product(
            np.linalg.norm
        ),
        "Those are spectral radii of the products; the norm is the largest singular value.": of_product(
            lambda J: abs(np.linalg.eigvals(J)).max()
        ),
        "The entry for n = 0 is missing: the derivative of h_T by itself is the identity, of norm 1.": right[1:],
        "The right numbers from back to front: entry 0 belongs to h_T itself.": right[::-1],
        "One factor too many: from h_T to itself there is none.": [*right[1:], np.linalg.norm(power(R, 99), 2)],
    }
    found = norms(R, hs)
    check(found is not None, "The answer is None: does the function return its result?")
    close(list(found), right, "Not the norms of the products.", mistakes=mistakes)
    still = np.zeros((5, 3))
    close(list(norms(R, still)), [np.linalg.norm(power(R, n), 2) for n in range(5)], "At states of 0 it is R^n.")
    passed("8.3")


def _forward(steps: list) -> list[np.ndarray]:
    """Derivatives of h_0, h_1, ..., h_T by h_0."""
    found = [np.eye(len(steps[0]))]
    for step in steps:
        found.append(step @ found[-1])
    return found


def check_4(peak: Callable) -> None:
    """The highest corner against powers of the matrix."""
    for lam, c in (0.93, 2.0), (0.87, 0.5), (0.3, 1.5), (0.965, 1.0), (0.55, 3.0), (0.51, 2.0):
        R, power, corners = np.array([[lam, c], [0.0, lam]]), np.eye(2), []
        for _ in range(400):
            power = power @ R
            corners.append(power[0, 1])
        n = int(np.argmax(corners)) + 1
        answer = peak(lam, c)
        check(np.shape(answer) == (2,), "Return two numbers: the lag and the height.")
        where = f"With lambda = {lam} and c = {c}"
        ends = lam / (1 - lam)
        for wrong, hint in (
            (ends, "lambda / (1 - lambda) is no whole number: the climb ends at the first lag that is not below it."),
            (-1 / np.log(lam), "That is where the derivative by n vanishes; n is a whole number beside it."),
            (
                np.round(-1 / np.log(lam)),
                "The whole number nearest to where the derivative by n vanishes is nearly always right, and here it is "
                "not: the corner still grows there.",
            ),
            (np.floor(ends), "Rounded down: at that lag the corner still grows by a factor above 1."),
            (n + 1, "One lag too late: by then the corner has begun to fall."),
            (0, "At n = 0 the power is the identity, and its corner is 0."),
            (1, "The corner grows from n to n + 1 as long as lambda (n + 1) / n exceeds 1."),
        ):
            check(answer[0] == n or not np.isclose(answer[0], wrong), f"{where}: {hint}")
        close(answer[0], n, f"{where} the lag is wrong.")
        mistakes = {
            "The corner of R^n holds lambda to the power n - 1, not n.": n * c * lam**n,
            "The factor n is missing: the corner is a sum of n equal terms.": c * lam ** (n - 1),
            "c is missing.": n * lam ** (n - 1),
            "That is the norm of the whole power; the corner alone was asked for.": np.linalg.norm(
                np.linalg.matrix_power(R, n), 2
            ),
            "That is the bound s_1^n, far above what happens.": np.linalg.norm(R, 2) ** n,
        }
        close(answer[1], corners[n - 1], f"{where} the lag is right and the height is not.", mistakes=mistakes)
    passed("8.4")


def check_5(limits: Callable) -> None:
    """The two limits: by formula, and by letting the unit run on both sides of each."""
    for r in (6.0, 10.0, 4.5):
        root = np.sqrt(1 - 4 / r)
        upper, lower = (1 + root) / 2, (1 - root) / 2

        def at(h: float, r: float = r) -> float:
            return np.log(h / (1 - h)) - r * h

        right = np.array([at(upper), at(lower)])
        inwards = np.array([0.01, -0.01])
        assert _rests(r, right + inwards) == [2, 2] and _rests(r, right - inwards) == [1, 1]
        h_c = np.sqrt(1 - 1 / r)
        u_c = r * h_c - np.arctanh(h_c)
        mistakes = {
            "The right limits in the other order: the lower one first.": right[::-1],
            "Those are the limits of the tanh unit. The inverse of the logistic function is ln(h / (1 - h)), and its "
            "slope is h (1 - h).": [-u_c, u_c],
            "Those are the states h at the limits, not the inputs u.": [lower, upper],
            "The right states; which input belongs to them? Solve h = sigma(r h + u) for u.": [upper, lower],
            "The sign is turned round: u = ln(h / (1 - h)) - r h.": -right,
            "ln(h / (1 - h)) is missing: u is that, less r h.": [-r * upper, -r * lower],
            "- r h is missing: h = sigma(r h + u), so r h + u = ln(h / (1 - h)).": [
                np.log(upper / lower),
                np.log(lower / upper),
            ],
            "The condition is that the Jacobian r h (1 - h) is 1, with r.": [np.nan, np.nan],
            "The limits are not symmetric about 0: sigma is symmetric about a half, so they are about -r / 2.": [
                -(right[1] - right[0]) / 2,
                (right[1] - right[0]) / 2,
            ],
        }
        close(limits(r), right, f"Wrong for r = {r:g}.", mistakes=mistakes, rtol=1e-4, atol=1e-5)
    passed("8.5")


def _rests(r: float, inputs: np.ndarray) -> list[int]:
    """How many different resting states are reached from 0 and from 1 at each input."""
    found = []
    for u in inputs:
        h = np.array([0.0, 1.0])
        for _ in range(2000):
            h = 1 / (1 + np.exp(-r * h - u))
        found.append(1 + int(abs(h[1] - h[0]) > 1e-3))
    return found


def check_6(regulariser: Callable) -> None:
    """The regulariser against the engine's own cotangents, and at a place where it is 0."""
    rng = np.random.default_rng(0)
    R = rng.standard_normal((4, 4))
    hs, bars = np.tanh(rng.standard_normal((6, 4))), rng.standard_normal((5, 4))
    slope = 1 - hs**2

    def value(back: np.ndarray, bars: np.ndarray = bars) -> float:
        ratio = np.linalg.norm(back, axis=1) / np.linalg.norm(bars, axis=1)
        return ((ratio - 1) ** 2).sum()

    right_back = (bars * slope[1:]) @ R
    ratio = np.linalg.norm(right_back, axis=1) / np.linalg.norm(bars, axis=1)
    for k, back in enumerate(right_back):  # the engine's product of the transposed Jacobian and the cotangent
        h = Tensor(np.zeros((1, 4)), "float64", requires_grad=True)
        a = np.arctanh(hs[k + 1])
        assert np.allclose(grad(tanh(h @ R.T + a), h, seed=bars[k][None]).data[0], back)
    right = ((ratio - 1) ** 2).sum()
    mistakes = {
        "That is J h_bar. On the way back the Jacobian is transposed: for rows, (bar * slope) @ R.": value(
            (bars @ R.T) * slope[1:]
        ),
        "The transpose of R twice: for rows the way back is @ R, not @ R.T.": value((bars * slope[1:]) @ R.T),
        "The slope of step t is that of h_t, so of hs[1:]; hs[:-1] are the states before.": value(
            (bars * slope[:-1]) @ R
        ),
        "The slopes are missing.": value(bars @ R),
        "The slope comes first on the way back: bar * slope, then @ R.": value((bars @ R) * slope[1:]),
        "The slope was taken at h instead of a: it is 1 - h^2.": value((bars * (1 - np.tanh(hs[1:]) ** 2)) @ R),
        "The - 1 is missing: the term asks for a ratio of 1, not of 0.": (ratio**2).sum(),
        "The square is missing.": (ratio - 1).sum(),
        "That squares the ratio before 1 is taken off; ratios of norms, not of squared norms.": (
            ((ratio**2 - 1) ** 2).sum()
        ),
        "A sum over the steps was asked for, not their mean.": right / 5,
        "That is the norm of the whole product J_t, the worst direction; the ratio is that of h_bar.": sum(
            (np.linalg.norm(s[:, None] * R, 2) - 1) ** 2 for s in slope[1:]
        ),
        "That is one ratio of all steps together; each step has its own.": (
            (np.linalg.norm(right_back) / np.linalg.norm(bars) - 1) ** 2
        ),
    }
    close(regulariser(R, hs, bars), right, "Not the sum over the steps.", mistakes=mistakes)
    Q = np.linalg.qr(R)[0]
    close(regulariser(Q, np.zeros((6, 4)), bars), 0.0, "An orthogonal R at states of 0 should pay nothing.")
    passed("8.6")


def _watch_recall(recall: Callable) -> float:
    """Watch one run of exercise 8.7 at gain 3; return its result."""
    with patch.object(tasks, "delayed_recall", wraps=tasks.delayed_recall) as drawn:
        training, again = watch(recall, 3.0, 0)
    for call in drawn.call_args_list:
        task = {"lag": 10, "noise": 0.2} | call.kwargs
        check(task["lag"] == 20, f"A batch has the lag {task['lag']}; it should be the lag 20.")
        check(task["noise"] == 1, f"A batch has noise of {task['noise']}; it should be 1.")
    for R in training.weights:
        if R.shape == (20, 20):
            product = R @ R.T
            check(
                not np.allclose(product, np.eye(20), atol=1e-3),
                "Two gains start alike, with R = Q: is the gain used, and set before training?",
            )
            check(
                np.allclose(product, 9 * np.eye(20), atol=1e-2),
                "At gain 3 training does not start from R = 3 Q with an orthogonal Q. Is R scaled as a whole, g times "
                "an orthogonal matrix, and set before training?",
            )
    training.check(250, 0.003, 502)
    return again


def check_7(table: dict, recall: Callable) -> None:
    """One run watched, then the accuracies for three gains and six seeds."""
    gains = (0.5, 1.0, 3.0)
    check(isinstance(table, dict) and set(table) == set(gains), "table must have the keys 0.5, 1.0 and 3.0.")
    for gain in gains:
        check(np.shape(table[gain]) == (6,), f"table[{gain}] must be a list of six numbers, one for each seed.")
    found = {gain: np.asarray(table[gain], float) for gain in gains}
    for gain, accuracy in found.items():
        inside = np.isfinite(accuracy).all() and (accuracy >= 0).all() and (accuracy <= 1).all()
        check(inside, f"table[{gain}] holds no accuracies: they lie between 0 and 1.")
        check(
            np.allclose(500 * accuracy, np.round(500 * accuracy), atol=1e-3),
            f"table[{gain}]: an accuracy on 500 sequences is a whole number of them divided by 500.",
        )
        if gain != 1.0:
            check(
                len(set(accuracy.tolist())) > 1 or accuracy[0] == 1,
                f"All runs in table[{gain}] agree exactly: draw weights and data from default_rng(seed).",
            )
    again = _watch_recall(recall)
    same = [accuracy for gain, accuracy in found.items() if gain != 1.0 and np.array_equal(accuracy, found[1.0])]
    check(
        all((accuracy == 1).all() for accuracy in same),
        "Two gains gave exactly the same accuracies: is the gain used, and set before training?",
    )
    check(
        np.median(found[0.5]) > 0.4,
        "At gain 0.5 chance is 0.5, and yours is below it: is the accuracy the share of right answers?",
    )
    check(
        np.median(found[0.5]) < 0.7,
        "A gain of 0.5 should not learn a lag of 20. Is R = g Q before training, and the lag 20 with noise 1?",
    )
    check(
        np.median(found[1.0]) > 0.05,
        "Those are the shares of wrong answers: at gain 1 they are near 0. Return the share of right ones.",
    )
    check(
        np.median(found[1.0]) > 0.95,
        "A gain of 1 should learn it. Are all parameters trained, for 250 updates, and is the last state read?",
    )
    check(
        found[3.0].min() < 0.99,
        "A gain of 3 should be less reliable than 1. Is R scaled as a whole, g times an orthogonal matrix?",
    )
    reproduces(again, found[3.0][0], "recall(3.0, 0)", "table[3.0][0]")
    passed("8.7")
