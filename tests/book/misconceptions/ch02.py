"""Misconceptions about arrays in the graph."""

from misconceptions import Misconception


def copies(result: str) -> str:
    return f"# EXERCISE 2.1\ndef copies(shape, result):\n    lead = len(result) - len(shape)\n    return {result}\n"


def mean_rule(result: str) -> str:
    return f"# EXERCISE 2.2\ndef mean_rule(g, shape, axis):\n    return {result}\n"


def rules(x: str = "g @ W", W: str = "g.T @ x", b: str = "g.sum(axis=0)") -> str:
    return f"# EXERCISE 2.3\ndef rules(g, x, W):\n    return {x}, {W}, {b}\n"


def leaky(step: str, order: str = "reversed(range(len(g)))", result: str = "bar_x") -> str:
    body = "\n".join(" " * 8 + line for line in step.splitlines())
    return f"""\
# EXERCISE 2.4
def leaky_rule(g, keep):
    bar_x, later = np.zeros_like(g), 0.0
    for t in {order}:
{body}
    return {result}
"""


def check(
    g: str = "rng.standard_normal(y.shape)",
    rise: str = "(g * rise).sum()",
    result: str = "abs(found - numeric).max()",
    move: str = "above, below = x.copy(), x.copy()",
) -> str:
    return f"""\
# EXERCISE 2.5
def largest_error(forward, rule, x, rng, eps=1e-5):
    y = forward(x)
    g = {g}
    found = rule(g, y, x)
    numeric = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        {move}
        above[at] += eps
        below[at] -= eps
        rise = forward(above) - forward(below)
        numeric[at] = {rise} / (2 * eps)
    return {result}
"""


def share(result: str, first: str = "") -> str:
    return f"""\
# EXERCISE 2.6
def share_rule(g, y, x):
    {first}
    total = mg.sum(x, axis=-1, keepdims=True)
    return {result}


@mg.op(share_rule)
def share(x):
    return x / x.sum(axis=-1, keepdims=True)
"""


def curvature(result: str = "curvature", length: str = "np.linalg.norm(v)", rounds: int = 300) -> str:
    return f"""\
# EXERCISE 2.7
def largest_curvature(loss, w, rng):
    v = rng.standard_normal(w.shape)
    for _ in range({rounds}):
        v = v / {length}
        leaf = Tensor(w, requires_grad=True)
        product = mg.hvp(loss(leaf), leaf, v).data
        curvature, v = v @ product, product
    return {result}


last = {{}}
"""


def descent(limit: str = "2 / k", sign: str = "-", updates: int = 200) -> str:
    return curvature().replace(
        "last = {}",
        f"""\
def descend(loss, w, step):
    for _ in range({updates}):
        leaf = Tensor(w, requires_grad=True)
        w = w {sign} step * mg.grad(loss(leaf), leaf).data
    return loss(Tensor(w)).item()


k = largest_curvature(loss, np.zeros(4), np.random.default_rng(0))
last = {{c: descend(loss, np.zeros(4), c * {limit}) for c in (0.5, 0.95, 1.05)}}
""",
    )


GRADIENT = """\
# EXERCISE 2.7
def largest_curvature(loss, w, rng):
    leaf = Tensor(w, requires_grad=True)
    return np.linalg.norm(mg.grad(loss(leaf), leaf).data)


last = {}
"""

SMALLEST = """\
# EXERCISE 2.7
def largest_curvature(loss, w, rng):
    rows = []
    for v in np.eye(len(w)):
        leaf = Tensor(w, requires_grad=True)
        rows.append(mg.hvp(loss(leaf), leaf, v).data)
    return np.linalg.eigvalsh(rows)[0]


last = {}
"""

MISCONCEPTIONS: list[Misconception] = [
    Misconception("2.1", "axes in front only", copies("math.prod(result[:lead])"), "stretched count, too"),
    Misconception(
        "2.1",
        "stretched axes only",
        copies("math.prod(m for n, m in zip(shape, result[lead:]) if n == 1)"),
        "so do the axes that were put in front",
    ),
    Misconception("2.1", "size of the result", copies("math.prod(result)"), "by a part of it only"),
    Misconception("2.1", "averages the copies", copies("1"), "not averaged"),
    Misconception(
        "2.1",
        "adds the axes",
        copies("math.prod(result[:lead]) + math.prod(m for n, m in zip(shape, result[lead:]) if n == 1)"),
        "multiply",
    ),
    Misconception(
        "2.2", "no factor", mean_rule("np.ones(shape) * np.expand_dims(g, axis)"), "one over the number of entries"
    ),
    Misconception(
        "2.2",
        "divides by the size of x",
        mean_rule("np.ones(shape) * np.expand_dims(g, axis) / math.prod(shape)"),
        "not by the size of x",
    ),
    Misconception(
        "2.2",
        "divides by the first axis",
        mean_rule("np.ones(shape) * np.expand_dims(g, axis) / shape[0]"),
        "the axis of x that was averaged",
    ),
    Misconception(
        "2.2", "multiplies", mean_rule("np.ones(shape) * np.expand_dims(g, axis) * shape[axis]"), "divides, too"
    ),
    Misconception(
        "2.2", "measures g", mean_rule("np.ones(shape) * np.expand_dims(g, axis) / len(g)"), "length of an axis of g"
    ),
    Misconception("2.2", "does not copy", mean_rule("g / shape[axis]"), "copy it along the axis"),
    Misconception(
        "2.2", "keeps the axis short", mean_rule("np.expand_dims(g, axis) / shape[axis]"), "still of length 1"
    ),
    Misconception(
        "2.2", "copies along the wrong axis", mean_rule("np.broadcast_to(g, shape) / shape[axis]"), "Put the axis back"
    ),
    Misconception(
        "2.2",
        "right shape, wrong places in the square case",
        mean_rule(
            "np.broadcast_to(g, shape) / shape[axis] if shape == (3, 3) "
            "else np.ones(shape) * np.expand_dims(g, axis) / shape[axis]"
        ),
        "the places are wrong",
    ),
    Misconception("2.3", "x as in the friend's", rules(x="g @ W.T"), "no transpose"),
    Misconception("2.3", "right arrays, wrong order", rules(x="g.T @ x", W="g @ W"), "in the order x, W, b"),
    Misconception("2.3", "right numbers for W, transposed", rules(W="x.T @ g"), "cotangent of W is transposed"),
    Misconception("2.3", "mean for W", rules(W="g.T @ x / len(x)"), "not averaged"),
    Misconception("2.3", "no transpose for W", rules(W="g @ x"), "one of the two is transposed"),
    Misconception("2.3", "mean for b", rules(b="g.mean(axis=0)"), "not the mean"),
    Misconception("2.3", "b not summed", rules(b="g"), "sum over the rows"),
    Misconception(
        "2.3", "right numbers for b, two axes", rules(b="g.sum(axis=0, keepdims=True)"), "leave out keepdims"
    ),
    Misconception("2.3", "sums b over the outputs", rules(b="g.sum(axis=1)"), "first axis"),
    Misconception(
        "2.4", "runs forward", leaky("later = g[t] + keep * later\nbar_x[t] = later", "range(len(g))"), "runs forward"
    ),
    Misconception("2.4", "nothing leaks", leaky("later = g[t] + later\nbar_x[t] = later"), "nothing leaks"),
    Misconception("2.4", "own step only", leaky("bar_x[t] = g[t]"), "x_t acts on later steps"),
    Misconception(
        "2.4",
        "next step only",
        leaky("bar_x[t] = g[t] + (keep * g[t + 1] if t + 1 < len(g) else 0)"),
        "Only the next step",
    ),
    Misconception(
        "2.4",
        "right numbers, last step first",
        leaky("later = g[t] + keep * later\nbar_x[t] = later", result="bar_x[::-1]"),
        "in reverse order",
    ),
    Misconception(
        "2.4",
        "takes the mean that leaks for the sum",
        leaky("later = (1 - keep) * g[t] + keep * later\nbar_x[t] = later"),
        "not 1 - alpha",
    ),
    Misconception(
        "2.4", "an alpha too many", leaky("later = keep * (g[t] + later)\nbar_x[t] = later"), "One alpha too many"
    ),
    Misconception(
        "2.4",
        "right values, in place",
        leaky("g[t] = g[t] + keep * later\nlater = g[t].copy()", result="g"),
        "wrote into g",
    ),
    Misconception("2.5", "all ones", check(g="np.ones(y.shape)"), "entries are all alike"),
    Misconception(
        "2.5", "one random number for all", check(g="rng.standard_normal() * np.ones(y.shape)"), "entries are all alike"
    ),
    Misconception("2.5", "no absolute value", check(result="(found - numeric).max()"), "below zero"),
    Misconception("2.5", "random for the rule only", check(rise="rise.sum()"), "the same cotangent"),
    Misconception("2.5", "moves x itself", check(move="above, below = x, x.copy()"), "changed x"),
    Misconception(
        "2.5",
        "right errors, own generator",
        check(g="np.random.default_rng().standard_normal(y.shape)"),
        "draw with rng alone",
    ),
    Misconception(
        "2.5",
        "forward difference",
        check(move="above, below = x.copy(), x.copy(); below[at] += eps; above[at] += eps"),
        "to one side only",
    ),
    Misconception(
        "2.5", "mean in place of the largest", check(result="abs(found - numeric).mean()"), "mean of the errors"
    ),
    Misconception(
        "2.5", "sum in place of the largest", check(result="abs(found - numeric).sum()"), "sum of the errors"
    ),
    Misconception(
        "2.5",
        "relative error",
        check(result="(abs(found - numeric) / (1e-12 + abs(found) + abs(numeric))).max()"),
        "divided by nothing",
    ),
    Misconception("2.5", "a verdict", check(result="abs(found - numeric).max() < 1e-6"), "not the verdict"),
    Misconception("2.5", "compares sums", check(result="abs((found - numeric).sum())"), "entries are all alike"),
    Misconception("2.6", "diagonal only", share("g * (1 - y) / total"), "Only the diagonal"),
    Misconception("2.6", "sum taken as constant", share("g / total"), "treat it as a constant"),
    Misconception(
        "2.6", "wrong sign", share("(g + mg.sum(g * y, axis=-1, keepdims=True)) / total"), "differentiated: minus"
    ),
    Misconception(
        "2.6", "y out of the sum", share("(g - y * mg.sum(g, axis=-1, keepdims=True)) / total"), "cannot be taken out"
    ),
    Misconception(
        "2.6", "a factor too many", share("(g - mg.sum(g * y, axis=-1, keepdims=True)) / total**2"), "too many"
    ),
    Misconception(
        "2.6", "a factor too few", share("g / total - mg.sum(g * y, axis=-1, keepdims=True)"), "yours has 1 / s"
    ),
    Misconception("2.6", "sum over all rows", share("(g - mg.sum(g * y)) / total"), "a sum of its own"),
    Misconception("2.6", "axis lost", share("(g - mg.sum(g * y, axis=-1)) / total"), "keepdims=True"),
    Misconception(
        "2.6",
        "right gradient, leaves the graph",
        share(
            "(g - mg.sum(g * y, axis=-1, keepdims=True)) / total",
            "y = y.detach() if isinstance(y, Tensor) else y",
        ),
        "something leaves the graph",
    ),
    Misconception("2.7", "never normalises", curvature(length="1.0"), "divide v by its length"),
    Misconception("2.7", "returns the limit", curvature(result="2 / curvature"), "return the curvature"),
    Misconception("2.7", "measures the gradient", GRADIENT, "length of the gradient"),
    Misconception("2.7", "smallest eigenvalue", SMALLEST, "the smallest curvature"),
    Misconception("2.7", "too few rounds", curvature(rounds=2), "until v has turned"),
    Misconception("2.7", "right curvature, half the limit", descent(limit="1 / k"), "not 1"),
    Misconception("2.7", "right curvature, one step", descent(updates=1), "after one step"),
    Misconception("2.7", "right curvature, steps uphill", descent(sign="+"), "subtract it"),
]
