"""Misconceptions about recurrent networks as filters."""

from misconceptions import Misconception


def pole(result: str) -> str:
    return f"# EXERCISE 5.1\ndef pole(half_life):\n    return {result}\n"


def resonator(radius: str = "0.5 ** (1 / half_life)", angle: str = "2 * np.pi / period", result: str = "") -> str:
    result = result or "radius * np.array([[c, -s], [s, c]])"
    return f"""\
# EXERCISE 5.2
def resonator(period, half_life):
    radius, angle = {radius}, {angle}
    c, s = np.cos(angle), np.sin(angle)
    return {result}
"""


def response(result: str) -> str:
    return f"""\
# EXERCISE 5.3
def response(R, W, V, omega):
    E, values = np.eye(len(R)), []
    for w in omega:
        z = np.exp(1j * w)
        values.append(({result}).item())
    return np.array(values)
"""


def explodes(result: str) -> str:
    return f"# EXERCISE 5.4\ndef explodes(R):\n    return {result}\n"


def elman_form(R: str, W: str, V: str) -> str:
    return f"""\
# EXERCISE 5.5
def elman_form(A, B, C, D):
    n, m = B.shape
    zeros, E = np.zeros((m, n + m)), np.eye(m)
    return {R}, {W}, {V}
"""


BLOCK, LAST, BOTH = "np.block([[A, B], [zeros]])", "np.vstack([np.zeros((n, m)), E])", "np.hstack([C, D])"


def poles(slopes: str, steps: int = 1000) -> str:
    return f"""\
# EXERCISE 5.6
def poles(R, W, b, x):
    h = np.zeros(len(R))
    for _ in range({steps}):
        h = np.tanh(W @ x + R @ h + b)
    return np.linalg.eigvals(np.diag({slopes}) @ R)
"""


def experiment(
    dh: str = "h + r * dh - x_t",
    step: str = "np.clip(gradient, -bound, bound)",
    gradient: str = "gradient",
    plain: str = "np.inf",
    start: str = "r",
) -> str:
    return f"""\
# EXERCISE 5.7
def loss_and_gradient(r, x, target):
    h = dh = loss = gradient = 0.0
    for x_t, target_t in zip(x, target, strict=True):
        dh = {dh}
        h = r * h + (1 - r) * x_t
        loss += (h - target_t) ** 2 / len(x)
        gradient += 2 * (h - target_t) * dh / len(x)
    return float(loss), float({gradient})


def train(r, bound):
    for _ in range(300):
        if abs(r) > 10:
            break
        _, gradient = loss_and_gradient(r, inputs, targets)
        r -= 0.1 * {step}
    return r


found = {{
    "plain": [train({start}, {plain}) for r in STARTS],
    "clipped": [train({start}, 1.0) for r in STARTS],
}}
"""


CLIPS_R = experiment(step="gradient").replace("    return r\n", "        r = np.clip(r, -bound, bound)\n    return r\n")

MISCONCEPTIONS: list[Misconception] = [
    Misconception("5.1", "time constant", pole("np.exp(-1 / half_life)"), "1/e is left"),
    Misconception("5.1", "weight of the input", pole("1 - 0.5 ** (1 / half_life)"), "weight of the old state"),
    Misconception("5.1", "one minus one over n", pole("1 - 1 / half_life"), "only nearly"),
    Misconception("5.1", "right for long half-lives only", pole("1 - np.log(2) / half_life"), "long half-lives only"),
    Misconception("5.2", "half the angle", resonator(angle="np.pi / period"), "half a turn"),
    Misconception("5.2", "angle in degrees", resonator(angle="360 / period"), "in degrees"),
    Misconception("5.2", "frequency for angle", resonator(angle="1 / period"), "2 pi radians"),
    Misconception("5.2", "time constant", resonator(radius="np.exp(-1 / half_life)"), "time constant"),
    Misconception("5.2", "never fades", resonator(radius="1"), "needs less than 1"),
    Misconception(
        "5.2",
        "complex weights",
        resonator(result="radius * np.diag([np.exp(1j * angle), np.exp(-1j * angle)])"),
        "weights of a network are real",
    ),
    Misconception(
        "5.2",
        "companion matrix, modulus not squared",
        resonator(result="np.array([[2 * radius**0.5 * c, -radius], [1, 0]])"),
        "half as fast",
    ),
    Misconception(
        "5.3", "right gains, one delay more", response("V @ np.linalg.solve(z * E - R, W)"), "one more delay"
    ),
    Misconception("5.3", "right gains, sign of the phase", response("V @ np.linalg.solve(E - z * R, W)"), "wrong sign"),
    Misconception("5.3", "gains only", response("abs(V @ np.linalg.solve(E - R / z, W))"), "gains only"),
    Misconception("5.3", "z is the frequency", response("V @ np.linalg.solve(E - w * R, W)"), "on the unit circle"),
    Misconception("5.3", "one for the identity", response("V @ np.linalg.pinv(1 - R / z) @ W"), "np.eye"),
    Misconception("5.3", "frequency in turns", response("V @ np.linalg.solve(E - z**-(2 * np.pi) * R, W)"), "no 2 pi"),
    Misconception("5.3", "j is missing", response("V @ np.linalg.solve(E - np.exp(-w) * R, W)"), "j is missing"),
    Misconception("5.4", "keeps the singular value", explodes("bool(np.linalg.svd(R)[1][0] > 1)"), "still s_1"),
    Misconception("5.4", "real part", explodes("np.linalg.eigvals(R).real.max() > 1"), "largest real part"),
    Misconception("5.4", "determinant", explodes("abs(np.linalg.det(R)) > 1"), "product of all eigenvalues"),
    Misconception("5.4", "largest entry", explodes("abs(R).max() > 1"), "Large entries"),
    Misconception(
        "5.4", "compares complex numbers", explodes("max(np.linalg.eigvals(R).tolist()) > 1"), "modulus first"
    ),
    Misconception("5.4", "circle counted as outside", explodes("abs(np.linalg.eigvals(R)).max() >= 1"), "R = E"),
    Misconception("5.4", "all outside", explodes("abs(np.linalg.eigvals(R)).min() > 1"), "smallest"),
    Misconception("5.5", "the three matrices as they are", elman_form("A", "B", "C"), "one step early"),
    Misconception("5.5", "forgets D", elman_form(BLOCK, LAST, "np.hstack([C, 0 * D])"), "D is missing"),
    Misconception("5.5", "needs an inverse", elman_form("A", "B", "C @ np.linalg.inv(A)"), "V W is not D"),
    Misconception("5.5", "right numbers, transposed", elman_form(BLOCK, LAST + ".T", BOTH), "W should have the shape"),
    Misconception(
        "5.5",
        "the input enters twice",
        elman_form(BLOCK, "np.vstack([B, E])", BOTH),
        "again through R",
    ),
    Misconception(
        "5.5",
        "inputs add up",
        elman_form("np.block([[A, B], [np.zeros((m, n)), E]])", LAST, BOTH),
        "take the place",
    ),
    Misconception(
        "5.5",
        "the new state in place of the old",
        elman_form("np.block([[A, 0 * B], [zeros]])", "np.vstack([B, E])", BOTH),
        "one step ahead",
    ),
    Misconception("5.6", "right rest, slope at the activated value", poles("1 - np.tanh(h)**2"), "activated value"),
    Misconception("5.6", "poles of R", poles("np.ones(3)"), "eigenvalues of R"),
    Misconception("5.6", "slope without the state", poles("1 - np.tanh(W @ x + b)**2"), "resting point is missing"),
    Misconception("5.6", "slope of the logistic function", poles("h * (1 - h)"), "slope of the logistic"),
    Misconception("5.6", "one minus h, squared", poles("(1 - h)**2"), "(1 - h)^2"),
    Misconception("5.6", "rest without input", poles("1 - rest(R, W, b, 0 * x)**2"), "at zero input"),
    Misconception("5.7", "right loss, past taken for constant", experiment(dh="h - x_t"), "h_(t-1) for a constant"),
    Misconception("5.7", "right loss, r acts once", experiment(dh="h + r * dh"), "r acts twice"),
    Misconception("5.7", "right loss, uphill", experiment(gradient="-gradient"), "wrong sign"),
    Misconception("5.7", "clips both", experiment(plain="1.0"), "clipped as well"),
    Misconception("5.7", "clips neither", experiment(step="gradient"), "same as"),
    Misconception("5.7", "clips r", CLIPS_R, "Clip the gradient, not r"),
    Misconception("5.7", "one start for all", experiment(start="0.0"), "from every start"),
]
