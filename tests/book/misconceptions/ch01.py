"""Misconceptions about derivatives on a graph."""

from misconceptions import Misconception


def by_hand(s: int = 1, c: int = -12, b: int = -36, a: int = 25) -> str:
    return f'# EXERCISE 1.1\ncotangents = {{"s": {s}, "c": {c}, "b": {b}, "a": {a}}}\n'


def slopes(body: str, before: str = "") -> str:
    body = "\n".join(" " * 8 + line for line in body.splitlines())
    return f"""\
# EXERCISE 1.2
def slopes(function, points):
    found = []
    x = Value(points[0])
    {before}
    for point in points:
{body}
    return found
"""


def order(body: str) -> str:
    body = "\n".join(" " * 4 + line for line in body.splitlines())
    return f"# EXERCISE 1.3\ndef order(root, made_of):\n{body}\n"


ONCE = """\
found, agenda = [], [root]
while agenda:
    node = agenda.pop({})
    if node not in found:
        found.append(node)
        agenda += made_of[node]
return found"""

WAIT = """\
uses = dict.fromkeys(made_of, 0)
for operands in made_of.values():
    for operand in operands:
        uses[operand] += 1
found, agenda = [], [root]
while agenda:
    node = agenda.pop()
    found.append(node)
    for operand in made_of[node]:
        uses[operand] -= 1
        if not uses[operand]:
            agenda.append(operand)
return found"""

RECURSION = """\
found = []
def visit(node):
    if node not in found:
        for operand in made_of[node]:
            visit(operand)
        found.append(node)
visit(root)
return found{}"""

AGAIN = """\
found, left = [], [root]
for node in left:
    left += [operand for operand in dict.fromkeys(made_of[node]) if operand not in left]
while left:
    for node in reversed(left):
        if not any(node in made_of[user] for user in left):
            break
    found.append(node)
    left.remove(node)
return found"""

LAST_PATH = """\
found, agenda = [], [root]
while agenda:
    node = agenda.pop(0)
    if node in found:
        found.remove(node)
    found.append(node)
    agenda += made_of[node]
return found"""


def rules(div: str = "-g * y / b", cube: str = "3 * g * x * x", tanh: str = "g * (1 - y * y)") -> str:
    return f"""\
# EXERCISE 1.4
rules = {{
    "mul": (lambda g, y, a, b: g * b, lambda g, y, a, b: g * a),
    "div": (lambda g, y, a, b: g / b, lambda g, y, a, b: {div}),
    "cube": (lambda g, y, x: {cube},),
    "tanh": (lambda g, y, x: {tanh},),
}}
"""


def own(
    for_a: str = "g * mg.exp(a - y)",
    for_b: str = "g * mg.exp(b - y)",
    y: str = "max(a, b) + math.log1p(math.exp(-abs(a - b)))",
) -> str:
    return f"""\
# EXERCISE 1.5
@mg.op(lambda g, y, a, b: {for_a}, lambda g, y, a, b: {for_b})
def log_add_exp(a, b):
    return {y}
"""


def dual(
    mul: str = "self.dot * other.data + self.data * other.dot",
    tanh: str = "self.dot * (1 - y * y)",
    seed: str = "float(k == chosen)",
    result: str = "found",
) -> str:
    return f"""\
# EXERCISE 1.6
class Dual:
    def __init__(self, data, dot=0.0):
        self.data, self.dot = data, dot

    def __add__(self, other):
        return Dual(self.data + other.data, self.dot + other.dot)

    def __mul__(self, other):
        return Dual(self.data * other.data, {mul})

    def tanh(self):
        y = math.tanh(self.data)
        return Dual(y, {tanh})


def gradient(function, point):
    found = []
    for chosen in range(len(point)):
        duals = [Dual(x, {seed}) for k, x in enumerate(point)]
        found.append(function(*duals).dot)
    return {result}
"""


def experiment(
    step: str = "STEPS.astype(dtype)", width: str = "x - step, 2 * step", seed: str = "seed", reduce: str = "np.median"
) -> str:
    return f"""\
# EXERCISE 1.7
def best_step(method, dtype, seed):
    x = np.random.default_rng({seed}).uniform(-1, 1, 200).astype(dtype)
    exact = 1 - np.tanh(x.astype("float64")) ** 2
    errors = []
    for step in {step}:
        below, width = ({width}) if method == "central" else (x, step)
        quotient = (np.tanh(x + step) - np.tanh(below)) / width
        errors.append({reduce}(abs(quotient - exact)))
    k = np.argmin(errors)
    return STEPS[k], errors[k]


best = {{
    (method, dtype): [best_step(method, dtype, seed) for seed in range(5)]
    for method in ("forward", "central")
    for dtype in ("float32", "float64")
}}
"""


MISCONCEPTIONS: list[Misconception] = [
    Misconception("1.1", "a factor used twice counts once", by_hand(c=-6, b=-18, a=13), "used twice, as both factors"),
    Misconception("1.1", "values in place of cotangents", by_hand(s=36), "value of s"),
    Misconception("1.1", "value of the square for its slope", by_hand(c=36), "value of c * c"),
    Misconception("1.1", "wrong sign", by_hand(c=12, b=36, a=-23), "sign is wrong"),
    Misconception("1.1", "forgets the direct use of a", by_hand(a=24), "directly from L"),
    Misconception("1.1", "forgets the use of a in the product", by_hand(a=1), "through c"),
    Misconception("1.1", "slopes in place of cotangents", by_hand(b=3, a=-1), "multiply it by the cotangent of c"),
    Misconception("1.1", "factors exchanged", by_hand(b=24, a=-35), "other factor, a"),
    Misconception(
        "1.2",
        "keeps the sum",
        slopes("x.data = float(point)\nfunction(x).backward()\nfound.append(x.grad)"),
        "contains those before it",
    ),
    Misconception(
        "1.2",
        "right at the first point, one graph for all",
        slopes(
            "x.grad = None\nx.data = float(point)\ny.backward(retain_graph=True)\nfound.append(x.grad)",
            "y = function(x)",
        ),
        "keeps the numbers it was computed with",
    ),
    Misconception(
        "1.2",
        "one graph, not retained",
        slopes("x.grad = None\nx.data = float(point)\ny.backward()\nfound.append(x.grad)", "y = function(x)"),
        "computed again at each point",
    ),
    Misconception(
        "1.2",
        "clears before it reads",
        slopes("x.data = float(point)\nfunction(x).backward()\nx.grad = None\nfound.append(x.grad)"),
        "read x.grad after backward",
    ),
    Misconception(
        "1.2",
        "forgets the point",
        slopes("x = Value(0)\nfunction(x).backward()\nfound.append(x.grad)"),
        "into the leaf",
    ),
    Misconception(
        "1.2",
        "right values, by a finite difference",
        slopes("found.append((function(point + 1e-6) - function(point - 1e-6)) / 2e-6)"),
        "Close, but not exact",
    ),
    Misconception("1.3", "breadth first, once", order(ONCE.format(0)), "is not complete"),
    Misconception("1.3", "depth first, once", order(ONCE.format("")), "is not complete"),
    Misconception("1.3", "waits for nodes that do not matter", order(WAIT), "waits for ever"),
    Misconception("1.3", "leaves out the root", order(RECURSION.format("[-2::-1]")), "root is missing"),
    Misconception("1.3", "right order, looks at every node again", order(AGAIN), "again for each node"),
    Misconception("1.3", "operands first", order(RECURSION.format("")), "order of the forward computation"),
    Misconception("1.3", "right order, recursive", order(RECURSION.format("[::-1]")), "too deep"),
    Misconception("1.3", "right order, walks every path", order(LAST_PATH), "walks every path"),
    Misconception("1.4", "keeps the square hidden", rules(div="-g * a / b"), "does not show at b = 1"),
    Misconception("1.4", "keeps 3 x", rules(cube="3 * g * x"), "agrees with it at 1"),
    Misconception("1.4", "right slope, no cotangent", rules(tanh="1 - y * y"), "g is missing"),
    Misconception("1.4", "slope at the activated value", rules(tanh="g * (1 - math.tanh(y)**2)"), "in place of x"),
    Misconception("1.4", "slope at the operand", rules(tanh="g * (1 - x * x)"), "not with the operand"),
    Misconception("1.5", "copies the formula", own(y="math.log(math.exp(a) + math.exp(b))"), "larger number out"),
    Misconception("1.5", "right values, no cotangent", own("mg.exp(a - y)", "mg.exp(b - y)"), "g is missing"),
    Misconception(
        "1.5", "right values, rules exchanged", own("g * mg.exp(b - y)", "g * mg.exp(a - y)"), "are exchanged"
    ),
    Misconception("1.5", "right values, no denominator", own("g * mg.exp(a)", "g * mg.exp(b)"), "divide by their sum"),
    Misconception(
        "1.5",
        "right values and gradients, rules for floats only",
        own("g * math.exp(a - y)", "g * math.exp(b - y)"),
        "mg.exp in place of math.exp",
    ),
    Misconception(
        "1.5",
        "right values and gradients, left the graph",
        own(
            "g * math.exp(getattr(a, 'data', a) - getattr(y, 'data', y))",
            "g * math.exp(getattr(b, 'data', b) - getattr(y, 'data', y))",
        ),
        "no .data",
    ),
    Misconception(
        "1.5",
        "rules overflow",
        own("g * mg.exp(a) / (mg.exp(a) + mg.exp(b))", "g * mg.exp(b) / (mg.exp(a) + mg.exp(b))"),
        "In a rule, too",
    ),
    Misconception("1.6", "right values, product of derivatives", dual(mul="self.dot * other.dot"), "not the product"),
    Misconception("1.6", "right values, half of the product rule", dual(mul="self.dot * other.data"), "one half"),
    Misconception("1.6", "right values, slope alone", dual(tanh="1 - y * y"), "slope alone"),
    Misconception("1.6", "all inputs chosen at once", dual(seed="1.0"), "sum of the derivatives"),
    Misconception("1.6", "none chosen", dual(seed="0.0"), "No input had a dot"),
    Misconception(
        "1.6",
        "reads the value",
        dual(result="[function(*map(Dual, point)).data] * len(point)"),
        "value of the function",
    ),
    Misconception(
        "1.6",
        "right gradient, by differences",
        dual(
            result="[(function(*(Dual(x + 1e-6 * (j == k)) for j, x in enumerate(point))).data"
            " - function(*(Dual(x - 1e-6 * (j == k)) for j, x in enumerate(point))).data)"
            " / 2e-6 for k in range(len(point))]"
        ),
        "Close, but not exact",
    ),
    Misconception("1.7", "a float64 step in float32", experiment(step="STEPS"), "convert it"),
    Misconception("1.7", "no central difference", experiment(width="x, step"), "longer best step"),
    Misconception("1.7", "central difference over one step", experiment(width="x - step, step"), "spans two steps"),
    Misconception("1.7", "same seed every time", experiment(seed="0"), "default_rng(seed)"),
    Misconception(
        "1.7", "no absolute value", experiment().replace("abs(quotient - exact)", "quotient - exact"), "absolute"
    ),
    Misconception("1.7", "number of the step", experiment().replace("STEPS[k], e", "k, e"), "one of the STEPS"),
    Misconception("1.7", "worst of the points", experiment(reduce="np.max"), "not the largest"),
    Misconception("1.7", "mean of the points", experiment(reduce="np.mean"), "that is the mean"),
    Misconception(
        "1.7",
        "root of the mean square",
        experiment().replace("np.median(abs(quotient - exact))", "np.sqrt(np.mean((quotient - exact) ** 2))"),
        "root of the mean square",
    ),
    Misconception(
        "1.7",
        "mean in one of four",
        experiment().replace("np.median(", "(np.mean if dtype == 'float64' and method == 'forward' else np.median)("),
        "forward float64: that is the mean",
    ),
    Misconception("1.7", "best of the points", experiment(reduce="np.min"), "too good"),
]
