"""Checks of the exercises on recurrent networks as filters."""

from collections.abc import Callable

import numpy as np

from unrolled.checks import CheckFailed, check, close, passed


def check_1(pole: Callable) -> None:
    """The pole of a half-life."""
    for n in 1, 5, 20:
        mistakes = {
            "That is the pole of a time constant: after that many steps 1/e is left, not one half.": np.exp(-1 / n),
            "That is 1 - r, the weight of the input: the pole is the weight of the old state.": 1 - 0.5 ** (1 / n),
            "1 - 1/n is the pole of a time constant, and only nearly; set r^n = 1/2 and solve for r.": 1 - 1 / n,
            "That is nearly right for long half-lives only; set r^n = 1/2 and solve for r.": 1 - np.log(2) / n,
            "r^n = 1/2 gives r = (1/2)^(1/n), not (1/2)^n.": 0.5**n,
            "That is ln r; the pole is e to that power.": -np.log(2) / n,
            "Forgetting takes away a share of what is left, not equal pieces: set r^n = 1/2.": 1 - 0.5 / n,
        }
        mistakes = {hint: value for hint, value in mistakes.items() if n > 1 or value != 0.5}
        close(pole(n), 0.5 ** (1 / n), f"Wrong for a half-life of {n}: r^{n} should be 1/2.", mistakes=mistakes)
    passed("5.1")


def check_2(resonator: Callable) -> None:
    """Period and half-life of a matrix."""
    for period, half_life in (12, 30), (5, 3), (8.5, 100):
        R = np.asarray(resonator(period, half_life))
        check(R.shape == (2, 2), f"R should have the shape (2, 2), not {R.shape}.")
        check(
            R.dtype.kind != "c" or not R.imag.any(),
            "R is complex, and the weights of a network are real: a real matrix may have complex eigenvalues.",
        )
        R = R.real.astype(float)
        check(np.isfinite(R).all(), "R contains a NaN or an infinity.")
        found = max(np.linalg.eigvals(R), key=lambda pole: pole.imag)
        radius, angle = 0.5 ** (1 / half_life), 2 * np.pi / period
        asked = f"Asked for period {period} and half-life {half_life}"
        check(
            abs(found.imag) > 1e-9,
            f"{asked}, but the eigenvalues are real: such a network does not swing.",
        )
        check(
            not np.isclose(abs(found), 1) and abs(found) < 1,
            f"{asked}, but the eigenvalues have modulus {abs(found):.3f}: a swing that is to fade needs less than 1.",
        )
        check(
            not np.isclose(abs(found), np.exp(-1 / half_life)),
            f"{asked}, but in that time the swing falls to 1/e: this is a time constant.",
        )
        check(
            not np.isclose(abs(found), radius**2),
            f"{asked}, but it fades twice as fast: the determinant is the square of the modulus.",
        )
        check(
            not np.isclose(abs(found) ** 2, radius),
            f"{asked}, but it fades half as fast: the modulus of the pair is the square root of the determinant.",
        )
        check(
            not np.isclose(abs(found) ** period, radius),
            f"{asked}, but it takes that many periods to lose one half: the half-life is in steps.",
        )
        check(
            not np.isclose(abs(found), np.hypot(radius * np.cos(angle), np.sin(angle))),
            f"{asked}: the modulus multiplies the whole rotation, the entries beside the diagonal too.",
        )
        for hint, wrong in {
            "half a turn in a period: a full turn is 2 pi.": angle / 2,
            "1 / period as angle: a full turn is 2 pi radians.": 1 / period,
            "an angle in degrees, where NumPy wants radians.": abs(
                np.angle(np.exp(2j * np.pi * (180 / np.pi) / period))
            ),
        }.items():
            check(not np.isclose(np.angle(found), wrong), f"{asked}, but the pair makes {hint}")
        check(np.isclose(abs(found), radius), f"{asked}: |lambda| should be {radius:.4f} and is {abs(found):.4f}.")
        check(
            np.isclose(np.angle(found), angle),
            f"{asked}: the angle of the pair should be {angle:.4f} radians and is {np.angle(found):.4f}.",
        )
    passed("5.2")


def check_3(response: Callable) -> None:
    """The frequency response of random networks."""
    rng = np.random.default_rng(0)
    omega = np.array([0.0, 0.3, 1.0, 2.0, 3.1])
    for H in 1, 3, 5:
        R, W, V = rng.uniform(-0.5, 0.5, (H, H)), rng.standard_normal((H, 1)), rng.standard_normal((1, H))
        z = np.exp(1j * omega)
        right = np.array([(V @ np.linalg.solve(np.eye(H) - R / point, W)).item() for point in z])
        mistakes = {
            "Right gains, wrong phases: V (zE - R)^-1 W is the response with one more delay, z^-1 G(z).": right / z,
            "Right gains, wrong phases: all angles have the wrong sign. With z = e^(j omega), it is "
            "z^-1 = e^(-j omega) that multiplies R.": right.conj(),
            "Those are the gains only: return the complex numbers, whose angles are the phases.": abs(right),
            "Only the real part is left: return complex numbers.": right.real,
            "At frequency omega z is e^(j omega), on the unit circle, not omega itself.": [
                (V @ np.linalg.pinv(np.eye(H) - w * R) @ W).item() for w in omega
            ],
            "e^omega is real and leaves the unit circle: the j is missing from e^(j omega).": [
                (V @ np.linalg.pinv(np.eye(H) - np.exp(-w) * R) @ W).item() for w in omega
            ],
            "omega is in radians per step already: no 2 pi before it.": [
                (V @ np.linalg.solve(np.eye(H) - np.exp(-2j * np.pi * w) * R, W)).item() for w in omega
            ],
            "1 / M inverts the entries of a matrix one by one; np.linalg.inv(M) inverts the matrix.": [
                (V @ (1 / (np.eye(H) - R / point)) @ W).item() for point in z
            ],
            "1 - R / z subtracts from ones everywhere; the identity matrix E is np.eye(H).": [
                (V @ np.linalg.pinv(1 - R / point) @ W).item() for point in z
            ],
            "V W alone is what passes at once; R is missing.": np.full(5, (V @ W).item()),
        }
        answer = response(R, W, V, omega)
        check(answer is not None, "The answer is None: does the function return its result?")
        size = np.size(answer)
        check(size == 5, f"For five frequencies there should be five numbers, not {size}.")
        close(np.ravel(answer), right, "Compare with the formula for H = 1 by hand.", mistakes=mistakes)
    passed("5.3")


def _matrices() -> list[tuple[np.ndarray, bool]]:
    """Matrices with what becomes of their powers."""
    c, s = np.cos(2.0), np.sin(2.0)
    rotation = np.array([[c, -s], [s, c]])
    shear = np.array([[0.5, 2.0], [0.0, 0.5]])
    return [
        (np.diag([0.5, 0.9]), False),
        (np.diag([0.5, 1.1]), True),
        (np.diag([0.5, -1.1]), True),
        (1.05 * rotation, True),
        (0.95 * rotation, False),
        (shear, False),
        (np.array([[0.1, 0.5, 50.0], [0.0, 0.2, 0.5], [0.0, 0.0, 0.3]]), False),
        (np.full((5, 5), 0.22), True),
        (np.diag([1.2, 0.1]), True),
        (np.diag([3.0, 0.5]), True),
        (np.array([[0.0, 0.6], [0.6, 0.0]]), False),
        (np.array([[-0.2, 3.0], [-0.1, -0.2]]), False),
    ]


def check_4(explodes: Callable) -> None:
    """Verdicts on matrices that other criteria get wrong."""
    cases = [R for R, _ in _matrices()]
    try:
        found = [explodes(R.copy()) for R in cases]
    except TypeError as error:
        raise CheckFailed(
            f"{error}. Eigenvalues may be complex, and complex numbers cannot be compared: take their modulus first."
        ) from None
    for verdict in found:
        check(isinstance(verdict, bool | np.bool_), f"Return True or False, not {verdict!r}.")
    right = [verdict for _, verdict in _matrices()]
    wrong = {
        "That is still s_1 > 1. It says that R can lengthen some vector once, not that R^k grows; look at the shear.": (
            lambda R: np.linalg.norm(R, 2)
        ),
        "A large norm says what one step can do, not what R^k does.": np.linalg.norm,
        "Large entries do not make R^k grow, nor do small ones prevent it.": lambda R: abs(R).max(),
        "A norm by rows or columns bounds one step; it does not decide about R^k.": lambda R: abs(R).sum(axis=1).max(),
        "The largest real part overlooks eigenvalues that are negative or complex: it is the modulus that counts.": (
            lambda R: np.linalg.eigvals(R).real.max()
        ),
        "The determinant is the product of all eigenvalues; a single one outside the circle is enough.": (
            lambda R: abs(np.linalg.det(R))
        ),
        "All eigenvalues must lie inside for R^k to fade; you ask the smallest, or all at once.": (
            lambda R: abs(np.linalg.eigvals(R)).min()
        ),
        "eigvalsh and eigh are for symmetric matrices; R is none.": lambda R: abs(np.linalg.eigvalsh(R)).max(),
    }
    for hint, measure in wrong.items():
        check(list(found) != [bool(measure(R) > 1) for R in cases], hint)
    check(list(found) != [not verdict for verdict in right], "All verdicts are reversed.")
    for R, verdict, answer in zip(cases, right, found, strict=True):
        said, is_so = ("explodes" if v else "fades" for v in (answer, verdict))
        largest = np.round(np.linalg.eigvals(R), 2)
        check(answer == verdict, f"A matrix with eigenvalues {largest} {is_so}; the function says that it {said}.")
    check(
        not explodes(np.eye(2)),
        "With R = E no state changes at all; an eigenvalue on the unit circle is no exponential growth.",
    )
    passed("5.4")


def _system_impulse(A: np.ndarray, B: np.ndarray, C: np.ndarray, D: np.ndarray, steps: int) -> list:
    return [D, *(C @ np.linalg.matrix_power(A, k) @ B for k in range(steps - 1))]


def check_5(elman_form: Callable) -> None:
    """The impulse response of the network, for systems of several shapes."""
    rng = np.random.default_rng(0)
    for n, inputs, outputs, singular in (2, 1, 1, False), (3, 1, 1, True), (3, 2, 2, False), (4, 3, 2, True):
        A = 0.6 * rng.standard_normal((n, n)) / np.sqrt(n)
        if singular:
            A[:, 0] = 0
        B, C, D = (rng.standard_normal(shape) for shape in ((n, inputs), (outputs, n), (outputs, inputs)))
        what = f"{n} states, {inputs} inputs, {outputs} outputs" + ", A without inverse" * singular
        try:
            answer = elman_form(A.copy(), B.copy(), C.copy(), D.copy())
        except np.linalg.LinAlgError:
            raise CheckFailed("A need not have an inverse: find a network that does without it.") from None
        check(isinstance(answer, tuple | list) and len(answer) == 3, "Return three matrices: R, W, V.")
        R, W, V = (np.atleast_2d(np.asarray(getattr(part, "data", part), float)) for part in answer)
        H = len(R)
        check(R.shape == (H, H), f"R should be square; its shape is {R.shape}.")
        check(W.shape == (H, inputs), f"With {what}, W should have the shape {(H, inputs)}, not {W.shape}.")
        check(V.shape == (outputs, H), f"With {what}, V should have the shape {(outputs, H)}, not {V.shape}.")
        found = [V @ np.linalg.matrix_power(R, k) @ W for k in range(8)]
        right = _system_impulse(A, B, C, D, 8)
        early = [C @ np.linalg.matrix_power(A, k) @ B for k in range(8)]
        late = [np.zeros_like(D), *right[:7]]
        mistakes = {
            "The outputs come one step early, and D is lost: y_t = C s_t needs the state before x_t has entered it.": (
                early
            ),
            "The response to later steps is right, but x_t does not reach y_t at once: D is missing.": (
                [0 * D, *right[1:]]
            ),
            "All outputs come one step late: h_t must hold x_t itself, not x_(t-1).": late,
            "The later response is right, but V W is not D: what x_t adds to y_t at once must be D and no more.": (
                [found[0], *right[1:]]
            ),
            "What comes one step late is added to what comes early: x_t enters s_t in W, and again through R.": (
                [D + C @ B, *(C @ np.linalg.matrix_power(A, k) @ (A + np.eye(n)) @ B for k in range(7))]
            ),
        }
        mistakes["The state in h_t is one step ahead: y_t needs s_t, which x_t has not entered yet."] = [
            D + C @ B,
            *early[1:],
        ]
        mistakes["V W = D is right, and what follows comes one step early: C reads s_t itself, without another A."] = [
            D,
            *early[1:],
        ]
        mistakes["The input adds up in the state: the new x_t must take the place of x_(t-1)."] = [
            D + sum(early[:k]) for k in range(8)
        ]
        hint = f"With {what}: V W should be D, and V R^k W should be C A^(k-1) B."
        close(found, right, hint, mistakes=mistakes)
    passed("5.5")


def _rest(R: np.ndarray, W: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    h = np.zeros(len(R))
    for _ in range(3000):
        h = np.tanh(W @ x + R @ h + b)
    return h


def check_6(poles: Callable) -> None:
    """Poles about resting points of random nets."""
    for seed in 4, 2, 0:
        rng = np.random.default_rng(seed)
        R, W = rng.uniform(-1, 1, (3, 3)) + 0.5 * np.eye(3), rng.uniform(-1, 1, (3, 2))
        b, x = rng.uniform(-0.5, 0.5, 3), rng.uniform(0, 1, 2)
        h = _rest(R, W, b, x)
        assert np.allclose(np.tanh(W @ x + R @ h + b), h)
        a = W @ x + R @ h + b

        def at(slopes: np.ndarray, R: np.ndarray = R) -> np.ndarray:
            # A polynomial names its roots without an order.
            return np.poly(np.linalg.eigvals(np.diag(slopes) @ R))

        answer = poles(R.copy(), W.copy(), b.copy(), x.copy())
        check(answer is not None, "The answer is None: does the function return its result?")
        answer = np.asarray(answer)
        check(answer.shape == (3,), f"A net of three units has three poles; the shape is {answer.shape}.")
        logistic = 1 / (1 + np.exp(-a))
        mistakes = {
            "The slope is still taken at the activated value: h is tanh(a) already, so tanh'(a) = 1 - h^2.": at(
                1 - np.tanh(h) ** 2
            ),
            "tanh'(a) is 1 - h^2; you have 1 - h.": at(1 - h),
            "tanh'(a) is 1 - h^2; you have (1 - h)^2.": at((1 - h) ** 2),
            "That is the resting point at zero input: the input x shifts it.": at(1 - _rest(R, W, b, 0 * x) ** 2),
            "Those are the moduli: return the poles themselves, which may be negative or complex.": np.poly(
                abs(np.linalg.eigvals(np.diag(1 - h**2) @ R))
            ),
            "Those are the eigenvalues of R, right only near h = 0: multiply R by the slopes at the resting point.": at(
                np.ones(3)
            ),
            "The slopes of this f belong to the logistic function: tanh' = 1 - h^2.": at(logistic * (1 - logistic)),
            "With h for h'(a): h (1 - h) is the slope of the logistic function; that of tanh is 1 - h^2.": at(
                h * (1 - h)
            ),
            "The slopes are taken where the state is 0: the resting point is missing from a = W x + R h + b.": at(
                1 - np.tanh(W @ x + b) ** 2
            ),
            "The slopes are those at zero input and zero state: take them at the resting point.": at(
                1 - np.tanh(b) ** 2
            ),
            "1 - tanh(a)^2 with a = W x + R h, without the bias b.": at(1 - np.tanh(W @ x + R @ h) ** 2),
            "That is the right matrix divided by the slopes: multiply.": at(1 / (1 - h**2)),
        }
        close(
            np.poly(answer),
            at(1 - h**2),
            "Compare with how a small disturbance of the resting state fades.",
            mistakes=mistakes,
            rtol=1e-4,
        )
    passed("5.6")


def _one_pole(r: float, x: np.ndarray, target: np.ndarray) -> tuple[float, dict[str, float]]:
    """Return the loss, and its derivative taken rightly and in the ways that go wrong."""
    n = len(x)
    h = loss = 0.0
    total = dict.fromkeys(("right", "constant past", "no input", "last step"), 0.0)
    full = through = 0.0
    for x_t, target_t in zip(x, target, strict=True):
        direct = h - x_t
        full = direct + r * full
        through = h + r * through
        h = r * h + (1 - r) * x_t
        e = h - target_t
        loss += e * e / n
        total["right"] += 2 * e * full / n
        total["constant past"] += 2 * e * direct / n
        total["no input"] += 2 * e * through / n
        total["last step"] = 2 * e * full
    return loss, total


def check_7(loss_and_gradient: Callable, train: Callable, found: dict, inputs: np.ndarray, targets: np.ndarray) -> None:
    """The gradient through time, and what descent makes of it."""
    rng = np.random.default_rng(1)
    for r in 0.3, 0.8, -0.5:
        x, target = rng.standard_normal((2, 12))
        loss, ways = _one_pole(r, x, target)
        right = ways["right"]
        numeric = (_one_pole(r + 1e-6, x, target)[0] - _one_pole(r - 1e-6, x, target)[0]) / 2e-6
        assert np.isclose(right, numeric)
        answer = loss_and_gradient(r, x, target)
        check(isinstance(answer, tuple | list) and len(answer) == 2, "Return two numbers, the loss and its derivative.")
        value, gradient = (float(np.asarray(getattr(part, "data", part)).item()) for part in answer)
        mistakes = {"That is the sum of the squares: divide by the number of steps.": loss * 12}
        mistakes["That is half of the mean squared error."] = loss / 2
        close(value, loss, "The loss is not the mean squared error of h_t, from h_0 = 0.", mistakes=mistakes)
        mistakes = {
            "The loss is right, but the gradient takes h_(t-1) for a constant: it depends on r, too. "
            "(If you used .detach() or .data on the state, that is why.)": ways["constant past"],
            "The loss is right, but r acts twice, in r h and in (1 - r) x: -x_t is missing from the derivative.": (
                ways["no input"]
            ),
            "The loss is right, but the gradient is that of the last step: add up all steps.": ways["last step"],
            "The loss is right, but the gradient is that of the sum: divide it by the number of steps.": right * 12,
            "The loss is right, but the gradient has the wrong sign.": -right,
            "The loss is right, but the gradient lacks the factor 2 of the square.": right / 2,
        }
        close(gradient, right, "The loss is right, the gradient is not: try a central difference.", mistakes=mistakes)
    check(
        isinstance(found, dict) and set(found) == {"plain", "clipped"}, 'found must have the keys "plain", "clipped".'
    )
    for name, ends in found.items():
        check(np.shape(ends) == (5,), f'found["{name}"] must be a list of five numbers, one for each start.')
    plain, clipped = (np.array([float(r) for r in found[name]]) for name in ("plain", "clipped"))
    check(np.isfinite([plain, clipped]).all(), "found holds a NaN or an infinity: stop as soon as |r| > 10.")
    starts = np.array([-0.9, 0.0, 0.5, 1.05, 1.2])
    check(not np.allclose(clipped, starts), 'found["clipped"] holds the starts: does train return the new r?')
    close(
        plain[1:3],
        [0.9, 0.9],
        "Without clipping, the starts 0 and 0.5 should end at the teacher's 0.9; are they trained on inputs, targets?",
        rtol=0.02,
    )
    check(
        not (abs(plain[[0, 3, 4]] - 0.9) < 0.02).any(),
        'found["plain"] arrives from every start. Was its gradient clipped as well?',
    )
    check(
        (abs(clipped - plain) > 0.1).any(),
        'found["clipped"] is the same as found["plain"]: clip the gradient, between -1 and 1, before the step.',
    )
    close(
        clipped,
        np.full(5, 0.9),
        "With the gradient clipped to lie between -1 and 1, 300 updates at the rate 0.1 should bring all five starts "
        "to the teacher's 0.9. Clip the gradient, not r.",
        rtol=0.02,
    )
    slow = float(train(-0.9, 0.001))
    check(
        abs(slow + 0.87) < 1e-6,
        f"train(-0.9, 0.001) returns {slow:.3f}. With the gradient clipped to 0.001, 300 updates at the rate 0.1 lead "
        "from -0.9 to -0.87 and no further. Clip the gradient, not r.",
    )
    passed("5.7")
