"""Misconceptions about why Elman networks are hard to train."""

from misconceptions import Misconception


def lag(factor: str = "slope * np.linalg.norm(R, 2)", result: str = "int(np.ceil(n))", none: bool = True) -> str:
    return f"""\
# EXERCISE 8.1
def certain_lag(R, slope, share):
    factor = {factor}
    if {none} and factor >= 1:
        return None
    n = np.log(share) / np.log(factor)
    return {result}
"""


def clip(norm: str = "np.sqrt(sum((g**2).sum() for g in gradients))", new: str = "g * min(1.0, limit / norm)") -> str:
    return f"""\
# EXERCISE 8.2
def clipped(gradients, limit):
    norm = {norm}
    return [{new} for g in gradients]
"""


IN_PLACE = """\
# EXERCISE 8.2
def clipped(gradients, limit):
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    for g in gradients:
        g *= min(1.0, limit / norm)
    return gradients
"""


def norms(
    step: str = "J @ ((1 - h**2)[:, None] * R)", states: str = "hs[:0:-1]", norm: str = "np.linalg.norm(J, 2)"
) -> str:
    return f"""\
# EXERCISE 8.3
def norms(R, hs):
    J, found = np.eye(len(R)), []
    for h in {states}:
        found.append({norm})
        J = {step}
    return [*found, {norm}]
"""


BOUND = """\
# EXERCISE 8.3
def norms(R, hs):
    found = [1.0]
    for h in hs[:0:-1]:
        found.append(found[-1] * np.linalg.norm((1 - h**2)[:, None] * R, 2))
    return found
"""


def peak(n: str = "max(1, int(np.ceil(lam / (1 - lam))))", height: str = "n * c * lam ** (n - 1)") -> str:
    return f"# EXERCISE 8.4\ndef peak(lam, c):\n    n = {n}\n    return n, {height}\n"


def limits(root: str = "np.sqrt(1 - 4 / r)", u: str = "np.log(h / (1 - h)) - r * h", result: str = "u[0], u[1]") -> str:
    return f"""\
# EXERCISE 8.5
def limits(r):
    root = {root}
    h = np.array([1 + root, 1 - root]) / 2
    u = {u}
    return {result}
"""


TANH = """\
# EXERCISE 8.5
def limits(r):
    h_c = np.sqrt(1 - 1 / r)
    u_c = r * h_c - np.arctanh(h_c)
    return -u_c, u_c
"""


def regulariser(
    back: str = "(bars * (1 - hs[1:] ** 2)) @ R", total: str = "((ratio - 1) ** 2).sum()", axis: str = "axis=1"
) -> str:
    return f"""\
# EXERCISE 8.6
def regulariser(R, hs, bars):
    back = {back}
    ratio = np.linalg.norm(back, {axis}) / np.linalg.norm(bars, {axis})
    return {total}
"""


TABLE = {  # like the solution's, so that a wrong function need not be trained for all
    0.5: [0.5, 0.52, 0.49, 0.55, 0.51, 0.5],
    1.0: [1.0, 1.0, 0.998, 1.0, 0.996, 1.0],
    3.0: [0.9, 0.52, 0.95, 0.8, 0.6, 0.98],
}
ERRORS = {gain: [round(1 - share, 3) for share in TABLE[gain]] for gain in TABLE}


def experiment(
    gain: str = "gain",
    seed: str = "seed",
    lag: int = 20,
    right: str = "==",
    updates: int = 250,
    noise: str = ", noise=1.0",
    R: str = "",
    clip: str = "optim.clip_grad_norm_(params, 1.0)",
    table: object = None,
    lr: float = 0.003,
) -> str:
    return f"""\
# EXERCISE 8.7
def recall(gain, seed):
    rng = np.random.default_rng({seed})
    rnn, readout = nn.RNN(2, 20, rng=rng), nn.Linear(20, 2, rng=rng)
    rnn.weight_hh_l0.data = {R or f"nn.init.orthogonal((20, 20), rng, gain={gain})"}
    params = [*rnn.parameters(), *readout.parameters()]
    optimizer = optim.Adam(params, lr={lr})

    def logits(x):
        return readout(rnn(Tensor(x.astype(float)))[1][0])

    for _ in range({updates}):
        x, bit = tasks.delayed_recall(32, rng, lag={lag}{noise})
        loss = mg.cross_entropy(logits(x), bit)
        optimizer.zero_grad()
        loss.backward()
        {clip}
        optimizer.step()
    x, bit = tasks.delayed_recall(500, rng, lag={lag}{noise})
    return (logits(x).data.argmax(axis=1) {right} bit).mean()


table = {table or TABLE}
"""


MISCONCEPTIONS: list[Misconception] = [
    Misconception("8.1", "the spectral radius", lag("slope * abs(np.linalg.eigvals(R)).max()"), "long run"),
    Misconception("8.1", "the slope forgotten", lag("np.linalg.norm(R, 2)"), "the slope counts"),
    Misconception("8.1", "Frobenius norm", lag("slope * np.linalg.norm(R)"), "Frobenius"),
    Misconception("8.1", "the weights forgotten", lag("slope"), "the weights count"),
    Misconception("8.1", "rounds down", lag(result="int(n)"), "Rounded down"),
    Misconception("8.1", "no rounding", lag(result="n"), "whole number"),
    Misconception("8.1", "a number at exactly 1", lag().replace(">= 1", "> 1"), "return None"),
    Misconception("8.1", "a number for every matrix", lag(none=False), "return None"),
    Misconception("8.2", "each array by itself", clip(new="g * min(1.0, limit / np.linalg.norm(g))"), "by itself"),
    Misconception("8.2", "each entry", clip(new="np.clip(g, -limit, limit)"), "Each entry"),
    Misconception("8.2", "right where the norm is large", clip(new="g * limit / norm"), "was stretched"),
    Misconception("8.2", "adds norms", clip("sum(np.linalg.norm(g) for g in gradients)"), "norms were added"),
    Misconception("8.2", "largest norm", clip("max(np.linalg.norm(g) for g in gradients)"), "largest norm"),
    Misconception("8.2", "no root", clip("sum((g**2).sum() for g in gradients)"), "root is missing"),
    Misconception("8.2", "right values, arguments changed", IN_PLACE, "came in were changed"),
    Misconception("8.3", "no slopes", norms("J @ R"), "slopes are still missing"),
    Misconception("8.3", "right factors, wrong order", norms("((1 - h**2)[:, None] * R) @ J"), "order is reversed"),
    Misconception(
        "8.3", "forward from the start", norms("((1 - h**2)[:, None] * R) @ J", "hs[1:]"), "forward from h_0"
    ),
    Misconception("8.3", "product of norms", BOUND, "That is a bound"),
    Misconception("8.3", "tanh twice", norms("J @ ((1 - np.tanh(h)**2)[:, None] * R)"), "tanh already"),
    Misconception("8.3", "slope of the state before", norms(states="hs[-2::-1]"), "state it makes"),
    Misconception("8.3", "slope times the columns", norms("J @ (R * (1 - h**2))"), "rows of R"),
    Misconception("8.3", "Frobenius norm", norms(norm="np.linalg.norm(J)"), "Frobenius"),
    Misconception("8.3", "eigenvalues", norms(norm="abs(np.linalg.eigvals(J)).max()"), "spectral radii"),
    Misconception("8.4", "no whole number", peak("lam / (1 - lam)"), "no whole number"),
    Misconception("8.4", "the continuous maximum", peak("-1 / np.log(lam)"), "derivative by n"),
    Misconception("8.4", "rounds the continuous maximum", peak("max(1, round(-1 / np.log(lam)))"), "nearly always"),
    Misconception("8.4", "rounds down", peak("max(1, int(lam / (1 - lam)))"), "Rounded down"),
    Misconception("8.4", "power n", peak(height="n * c * lam**n"), "n - 1, not n"),
    Misconception("8.4", "a single path", peak(height="c * lam ** (n - 1)"), "sum of n equal terms"),
    Misconception(
        "8.4", "the bound", peak(height="np.linalg.norm([[lam, c], [0, lam]], 2) ** n"), "far above what happens"
    ),
    Misconception("8.5", "formulas of tanh", TANH, "limits of the tanh unit"),
    Misconception("8.5", "the states", limits(result="h[1], h[0]"), "not the inputs u"),
    Misconception("8.5", "right numbers, other order", limits(result="u[1], u[0]"), "other order"),
    Misconception("8.5", "sign", limits(u="r * h - np.log(h / (1 - h))"), "sign is turned"),
    Misconception("8.5", "a single push", limits(u="-r * h"), "is missing: u is that"),
    Misconception("8.6", "not transposed", regulariser("(bars @ R.T) * (1 - hs[1:] ** 2)"), "J h_bar"),
    Misconception("8.6", "no slopes", regulariser("bars @ R"), "slopes are missing"),
    Misconception("8.6", "slope of the state before", regulariser("(bars * (1 - hs[:-1] ** 2)) @ R"), "hs[1:]"),
    Misconception("8.6", "slope after R", regulariser("(bars @ R) * (1 - hs[1:] ** 2)"), "comes first"),
    Misconception("8.6", "a ratio of 0", regulariser(total="(ratio**2).sum()"), "ratio of 1"),
    Misconception("8.6", "mean", regulariser(total="((ratio - 1) ** 2).mean()"), "not their mean"),
    Misconception("8.6", "all steps together", regulariser(axis="axis=None"), "each step has its own"),
    Misconception("8.7", "gain not used", experiment("1.0"), "is the gain used"),
    Misconception("8.7", "same seed every time", experiment(table=TABLE | {3.0: [0.9] * 6}), "default_rng(seed)"),
    Misconception("8.7", "short lag", experiment(lag=3), "the lag 20"),
    Misconception("8.7", "the task's own noise", experiment(noise=""), "it should be 1"),
    Misconception("8.7", "error rate", experiment(right="!=", table=ERRORS), "shares of wrong answers"),
    Misconception("8.7", "no clipping", experiment(clip="pass"), "not clipped"),
    Misconception(
        "8.7",
        "a new optimiser for each batch",
        experiment().replace(
            "optimizer.zero_grad()", "optimizer = optim.Adam(params, lr=0.003); optimizer.zero_grad()"
        ),
        "made anew in the loop",
    ),
    Misconception("8.7", "another rate", experiment(lr=0.01), "should be 0.003"),
    Misconception("8.7", "twice the updates", experiment(updates=500), "there should be 250"),
    Misconception(
        "8.7", "scaled, not orthogonal", experiment(R="gain * rnn.weight_hh_l0.data"), "times an orthogonal matrix"
    ),
    Misconception("8.7", "another generator", experiment(seed=""), "called again"),
]
