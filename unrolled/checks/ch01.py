"""Checks of the exercises on derivatives. Each tries properties in turn, its hint speaking to one mistake."""

import math
import random
from collections.abc import Callable, Mapping

import numpy as np

from minigrad import Value, grad, tanh
from minigrad.errors import DomainError, DTypeError, GraphError
from unrolled.checks import CheckFailed, check, close, passed


def _list(found: object) -> list:
    check(found is not None, "The answer is None: does the function return its result?")
    check(hasattr(found, "__iter__"), f"The answer should be a list, and is a {type(found).__name__}.")
    return list(found)


def check_1(cotangents: dict) -> None:
    """Four numbers, the last line of the program first."""
    check(
        isinstance(cotangents, dict) and set(cotangents) - {"L"} == set("scba"),
        'Write a dict with four keys: {"s": ..., "c": ..., "b": ..., "a": ...}.',
    )
    mistakes = {
        "s": {"That is the value of s; its cotangent says how much L changes for each unit of s.": 36},
        "c": {
            "The sign is wrong: c is a * b, a negative number.": 12,
            "c is used twice, as both factors of c * c, and each use gives one part: add the two.": -6,
            "That is the value of c * c; its slope with respect to c is 2 c.": 36,
        },
        "b": {
            "The slope of a * b with respect to b is a; but multiply it by the cotangent of c.": 3,
            "The slope of a * b with respect to b is the other factor, a, not b.": 24,
            "b hands nothing on, but it receives: from c = a * b.": 0,
        },
        "a": {
            "a is used twice, and one part is missing: the one that comes through c = a * b.": 1,
            "a is used twice, and one part is missing: the one that comes directly from L = s + a.": 24,
            "The slope of a * b with respect to a is the other factor, b, not a.": -35,
            "The slope of a * b with respect to a is b; but multiply it by the cotangent of c.": -1,
        },
    }
    values = {"s": 1, "c": -12, "b": -36, "a": 25}
    for k, (name, right) in enumerate(values.items()):
        hint = f"{name} is wrong{'; ' + ', '.join(list(values)[:k]) + ' right' if k else ''}."
        close(cotangents[name], right, f"{hint} Multiply cotangent by slope for each use, and add.",
              mistakes=mistakes[name])  # fmt: skip
    passed("1.1")


def check_2(slopes: Callable) -> None:
    """Derivatives at several points, of functions that tell the usual mistakes apart."""
    points = [0.5, -1.0, 2.0, 2.0]
    for function, right in (
        (lambda x: x * x * x, [0.75, 3.0, 12.0, 12.0]),
        (lambda x: tanh(2 * x), [2 * (1 - math.tanh(2 * p) ** 2) for p in points]),
    ):
        try:
            found = slopes(function, points)
        except GraphError as error:
            raise CheckFailed(f"{error}. The formula has to be computed again at each point.") from None
        found = _list(found)
        check(
            not any(g is None for g in found),
            "One of the slopes is None: read x.grad after backward, and clear it before the next.",
        )
        mistakes = {
            "Each slope contains those before it: .grad is a sum over all uses; clear it, or take a new leaf.": (
                np.cumsum(right)
            ),
            "Every slope is the one at the first point: a graph keeps the numbers it was computed with, "
            "so the formula has to be computed again at each point.": [right[0]] * 4,
            "Every slope is the one at 0: the point has to get into the leaf.": [0.0] * 4,
            "That is the sum over all points; one slope for each is asked for.": np.sum(right),
            "The sums have been divided; what is needed is a fresh start at each point.": (
                np.cumsum(right) / [1, 2, 3, 4]
            ),
        }
        close(found, right, "Compare with x * x at 1, 2, 3: its slopes are 2, 4, 6.", mistakes=mistakes, rtol=1e-4)
        close(found, right, "Close, but not exact: use backward or grad in place of a difference.", rtol=1e-12, atol=0)
    passed("1.2")


class _Graph(dict):
    """A graph that counts how often someone asks what a node was made of."""

    asked = 0

    def __getitem__(self, name: object) -> object:
        self.asked += 1
        check(
            self.asked < 200_000,
            "Too many steps: it walks every path, and 50 doublings have 2 ** 50 of them, or it looks through the whole "
            "graph again for each node. Visit each node once.",
        )
        return list(super().__getitem__(name))

    def get(self, name: object, default: object = None) -> object:
        return self[name] if name in self else default


def check_3(order: Callable) -> None:
    """Any order in which each node comes after all that is made of it, on small, wide, deep and branching graphs."""
    small = {"a": [], "b": ["a", "a"], "c": ["e", "b"], "e": ["b", "b"], "f": ["a"]}
    mirror = {"b": ["a", "a"], "c": ["b", "e"], "a": [], "e": ["b", "b"]}
    graphs = [("c", small), ("c", mirror), ("a", small)]
    rng = random.Random(0)
    for _ in range(20):  # node 29 is the root; names in an order that says nothing
        names = [f"n{k}" for k in range(30)]
        rng.shuffle(names)
        made_of = {names[k]: [names[j] for j in rng.choices(range(k), k=min(k, 2))] for k in range(30)}
        graphs.append((names[25], dict(rng.sample(sorted(made_of.items()), 30))))
    graphs.append(("50", {"0": []} | {str(k): [str(k - 1)] * 2 for k in range(50, 0, -1)}))
    graphs.append((10_000, {0: []} | {k: [k - 1] for k in range(1, 10_001)}))
    for root, made_of in graphs:
        _check_order(order, root, made_of)
    passed("1.3")


def _check_order(order: Callable, root: object, made_of: Mapping) -> None:
    try:
        found = order(root, _Graph({name: list(operands) for name, operands in made_of.items()}))
    except RecursionError:
        raise CheckFailed("Recursion is too deep on a chain of 10,000 nodes: use a loop with an agenda.") from None
    found = _list(found)
    needed, agenda = {root}, [root]
    while agenda:
        for operand in made_of[agenda.pop()]:
            if operand not in needed:
                needed.add(operand)
                agenda.append(operand)
    where = f" (order({root!r}, ...) gave {found})" if len(found) < 12 else ""
    check(len(set(found)) == len(found), f"A node stands there more than once; each is handled once.{where}")
    extra = set(found) - needed
    check(
        not extra, f"{min(extra, key=str) if extra else ''} is in the list, and the root does not depend on it.{where}"
    )
    check(root in found, f"The root is missing; it is handled, too, and first of all.{where}")
    missing = needed - set(found)
    check(
        not missing,
        f"{min(missing, key=str) if missing else ''} is missing. If it waits for a use by a node that does not matter, "
        f"it waits for ever: count only uses by nodes that matter.{where}",
    )
    place = {name: k for k, name in enumerate(found)}
    pairs = [(user, operand) for user in found for operand in made_of[user]]
    check(
        not pairs or any(place[user] < place[operand] for user, operand in pairs),
        f"That is the order of the forward computation, operands first; the sweep starts at the root.{where}",
    )
    for user, operand in pairs:
        check(
            place[user] < place[operand],
            f"{operand} comes before {user}, although {user} was computed from it: at that moment the cotangent of "
            f"{operand} is not complete.{where}",
        )


def check_4(rules: dict) -> None:
    """Six rules, at random operands and with random cotangents."""
    names = {"mul": 2, "div": 2, "cube": 1, "tanh": 1}
    check(
        isinstance(rules, dict) and set(rules) == set(names), f"rules must be a dict with the keys {', '.join(names)}."
    )
    table = {name: row if isinstance(row, tuple | list) else (row,) for name, row in rules.items()}
    for name, count in names.items():
        check(len(table[name]) == count, f"{name} needs {count} rule{'s'[: count - 1]}, one for each operand.")
    rng = np.random.default_rng(0)
    for _ in range(5):
        g, a, b = rng.uniform(0.3, 2, 3) * rng.choice([-1, 1], 3)
        g, a, b = float(g), float(a), float(b)
        t = math.tanh(a)
        rows = [
            ("mul", 0, a * b, (a, b), g * b, {"The slope with respect to the first factor is the second.": g * a}),
            ("mul", 1, a * b, (a, b), g * a, {"The slope with respect to the second factor is the first.": g * b}),
            ("div", 0, a / b, (a, b), g / b, {}),
            (
                "div", 1, a / b, (a, b), -g * a / b**2,
                {
                    "The slope with respect to b is -a / b^2, with a square that does not show at b = 1.": -g * a / b,
                    "The sign is wrong: a / b falls when b grows (both positive).": g * a / b**2,
                    "A factor too many: y is a / b already, so -y / b is the slope.": -g * a / b**3,
                    "The numerator is missing: it is a, or y in place of a / b.": -g / b**2,
                },
            ),
            (
                "cube", 0, a**3, (a,), 3 * g * a**2,
                {
                    "The slope of x^3 is 3 x^2; 3 x agrees with it at 1.": 3 * g * a,
                    "The slope of x^3 is 3 x^2, not 3 x^3: the exponent goes down by one.": 3 * g * a**3,
                },
            ),
            (
                "tanh", 0, t, (a,), g * (1 - t * t),
                {
                    "tanh' was taken at y in place of x: y is the tanh already, so the slope is 1 - y * y.": (
                        g * (1 - math.tanh(t) ** 2)
                    ),
                    "The slope is 1 - y * y with the result y, not with the operand x.": g * (1 - a * a),
                },
            ),
        ]  # fmt: skip
        for name, k, y, operands, right, mistakes in rows:
            where = f"{name}, rule {k + 1}: " if names[name] == 2 else f"{name}: "
            mistakes = {where + hint: value for hint, value in mistakes.items()}
            mistakes[
                where + "g is missing. The rule gives the slope alone, which is right only where the cotangent is 1."
            ] = right / g
            try:
                part = table[name][k](g, y, *operands)
            except TypeError as error:
                call = "g, y, a, b" if names[name] == 2 else "g, y, x"
                raise CheckFailed(f"{where}it is called as rule({call}) with numbers ({error}).") from None
            close(
                part, right, where + "not g times the slope. Compare with a central "
                "difference at operands other than 1.", mistakes=mistakes,
            )  # fmt: skip
    passed("1.4")


def check_5(log_add_exp: Callable) -> None:
    """Values, first derivatives with a cotangent, second derivatives; near 0 and at 1000."""
    check(hasattr(log_add_exp, "op"), "This is a plain function: declare it with @mg.op(rule_for_a, rule_for_b).")
    check(len(log_add_exp.op.rules) == 2, "There are two operands, so @mg.op needs two rules.")
    pairs = [(0.3, -0.5), (2.0, 1.0), (-1.0, 1.5), (1000.0, 999.0), (-1000.0, -1001.0), (3.0, 900.0)]
    for p, q in pairs:
        try:
            y = log_add_exp(Value(p), Value(q))
        except DomainError as error:
            raise CheckFailed(f"{error}. Take the larger number out of the logarithm.") from None
        except DTypeError as error:
            raise CheckFailed(
                f"{error}. In the forward computation a and b are floats, and the result must be one: use math."
            ) from None
        right = float(np.logaddexp(p, q))
        close(y, right, f"The value at a = {p:g}, b = {q:g} is wrong.", mistakes={
            "That is the larger of a and b; the correction ln(1 + e^-|a-b|) is missing.": max(p, q)})  # fmt: skip
        _check_slopes(log_add_exp, p, q, right)
    passed("1.5")


def _check_slopes(log_add_exp: Callable, p: float, q: float, y: float) -> None:
    at = f"at a = {p:g}, b = {q:g}"
    slope = [math.exp(p - y), math.exp(q - y)]
    curve = slope[0] * slope[1]
    a, b = Value(p), Value(q)
    large = abs(p) > 100 or abs(q) > 100
    try:
        found = grad(log_add_exp(a, b), [a, b], seed=3.0)
    except DomainError as error:
        raise CheckFailed(
            f"{error}. In a rule, too, an exponential can be too large; e^(a - y) never is, since y is at least a."
        ) from None
    except DTypeError as error:
        raise CheckFailed(f"{error}. A rule is called as rule(g, y, a, b); with floats it returns a float.") from None
    mistakes = {
        "g is missing in the rules: a rule gives g times the slope.": slope,
        "The two rules are exchanged: the larger operand gets the larger share.": [3 * slope[1], 3 * slope[0]],
    }
    if not large:
        mistakes["That is e^a and e^b; divide by their sum, which is e^y."] = [3 * math.exp(p), 3 * math.exp(q)]
    close(found, [3 * s for s in slope], f"The value is right, but not the derivatives {at}.", mistakes=mistakes)
    again = "The first derivatives are right, but they cannot be differentiated: a rule must work on nodes. "
    use = "Use mg.exp in place of math.exp, and no .data."
    a, b = Value(p), Value(q)
    try:
        first = grad(log_add_exp(a, b), [a, b], create_graph=True)
        second = [grad(g, [a, b], retain_graph=True) for g in first]
    except (DTypeError, GraphError, TypeError, AttributeError) as error:
        raise CheckFailed(f"{again}{use} ({error})") from None
    second = [[0.0 if g is None else g.data for g in row] for row in second]
    expected = [[curve, -curve], [-curve, curve]]
    hint = f"{again}{use}" if not np.any(second) and curve > 1e-6 else f"The second derivatives {at} are wrong. {use}"
    close(second, expected, hint)


def check_6(Dual: type, gradient: Callable) -> None:
    """Each operation on Duals, then gradients by as many runs as there are inputs."""
    v, w = Dual(0.7, 2.0), Dual(-1.5, 0.3)
    t = math.tanh(0.7)
    for name, result, data, dot, mistakes in (
        ("v + w", lambda: v + w, -0.8, 2.3, {"v + w: the dots add as the numbers do.": 0.6}),
        (
            "v * w", lambda: v * w, -1.05, 2.0 * -1.5 + 0.7 * 0.3,
            {
                "v * w: the derivative of a product is not the product of the derivatives.": 0.6,
                "v * w: one half of the product rule is missing; w may depend on the chosen input, too.": 2.0 * -1.5,
                "v * w: one half of the product rule is missing; v depends on the chosen input, too.": 0.7 * 0.3,
                "v * w: the factors are exchanged: the dot of v goes with the data of w.": 2.0 * 0.7 + 0.3 * -1.5,
            },
        ),
        (
            "v.tanh()", lambda: v.tanh(), t, 2.0 * (1 - t * t),
            {
                "v.tanh(): the slope alone; multiply it by the dot that comes in.": 1 - t * t,
                "v.tanh(): the slope is 1 - y * y with y = tanh(v), not tanh of that again.": (
                    2.0 * (1 - math.tanh(t) ** 2)
                ),
                "v.tanh(): the slope is 1 - y * y with the result y, not with the operand.": 2.0 * (1 - 0.7**2),
                "v.tanh(): the dot passes through a slope; it does not stay as it is.": 2.0,
                "v.tanh(): the derivative is not the tanh of the dot.": math.tanh(2.0),
            },
        ),
    ):  # fmt: skip
        y = result()
        check(isinstance(y, Dual), f"{name} should be a Dual, and is a {type(y).__name__}.")
        close(y.data, data, f"{name}: the number itself is wrong.")
        close(y.dot, dot, f"{name}: the number is right, the dot is not.", mistakes=mistakes)
    runs = []

    def function(x: object, y: object, z: object) -> object:
        runs.append((x, y, z))
        check(all(isinstance(v, Dual) for v in (x, y, z)), "gradient must call the function with Duals.")
        return (x * y + z).tanh() * x

    point = [0.5, -0.4, 0.3]
    x, y, z = map(Value, point)
    right = [g.data for g in grad(tanh(x * y + z) * x, [x, y, z])]
    found = gradient(function, point)
    mistakes = {
        "All inputs had dot 1, which gives the sum of the derivatives: only the chosen one has dot 1.": [sum(right)]
        * 3,
        "No input had a dot: the chosen one must have dot 1.": [0.0] * 3,
        "That is the sum of the derivatives; return one for each input.": sum(right),
        "The list is in reverse.": right[::-1],
        "That is the value of the function; the derivative is the dot of the result.": [
            math.tanh(point[0] * point[1] + point[2]) * point[0]
        ]
        * 3,
    }
    close(found, right, "The operations are right, the gradient is not: one run an input.", mistakes=mistakes)
    close(found, right, "Close, but not exact: read the dot of the result.", rtol=1e-12, atol=0)
    check(len(runs) == 3, f"The function has three inputs and was run {len(runs)} times.")
    close(gradient(lambda x: x * x, [3.0]), [6.0], "A function of one input has a list of one derivative.")
    passed("1.6")


def _least(method: str, dtype: str, seed: int, reduce: Callable) -> float:
    """The least error of exercise 1.7, over the points reduced in one way or another."""
    x = np.random.default_rng(seed).uniform(-1, 1, 200).astype(dtype)
    exact = 1 - np.tanh(x.astype("float64")) ** 2
    errors = []
    for step in (10.0 ** np.arange(-1, -13, -0.5)).astype(dtype):
        below, width = (x - step, 2 * step) if method == "central" else (x, step)
        errors.append(reduce(abs((np.tanh(x + step) - np.tanh(below)) / width - exact)))
    return min(errors)


def check_7(best: dict) -> None:
    """Best steps and errors of two methods in two precisions, five seeds each."""
    keys = [(method, dtype) for method in ("forward", "central") for dtype in ("float32", "float64")]
    check(
        isinstance(best, dict) and set(best) == set(keys),
        f"best must have these four keys: {', '.join(map(str, keys))}.",
    )
    table = {}
    for key in keys:
        check(
            np.shape(best[key]) == (5, 2), f"best[{key}] must be a list of five pairs (step, error), one for each seed."
        )
        table[key] = np.asarray(best[key], float)
        check(
            np.isfinite(table[key]).all() and (table[key] >= 0).all(),
            f"best[{key}] holds a negative number or none. An error below zero is an error, too: take absolute values.",
        )
        check(
            np.isin(np.round(2 * np.log10(table[key][:, 0] + 1e-99), 3), np.arange(-25, -1)).all(),
            f"best[{key}]: the first of each pair should be one of the STEPS.",
        )
    steps = {key: np.median(pairs[:, 0]) for key, pairs in table.items()}
    errors = {key: np.median(pairs[:, 1]) for key, pairs in table.items()}
    for key, error in errors.items():
        check(
            error < 0.05,
            f"{' '.join(key)}: the best error is {error:.1g}, so the quotient is no derivative. Compare it with "
            "1 - tanh(x) ** 2 and take the step of the least error; and the central difference spans two steps: divide "
            "by 2 * step.",
        )
    for method in "forward", "central":
        key = method, "float32"
        check(
            errors[key] > 100 * errors[method, "float64"] or errors[key] == 0,
            f"{method}: float32 is as exact as float64. A float64 step makes the whole quotient float64: convert it.",
        )
    for dtype in "float32", "float64":
        check(
            steps["forward", dtype] < steps["central", dtype],
            f"{dtype}: the central difference has the longer best step, since its error falls like the step squared.",
        )
    expected = {
        ("forward", "float32"): (3e-4, 8e-5),
        ("forward", "float64"): (1e-8, 3e-9),
        ("central", "float32"): (3e-3, 3e-6),
        ("central", "float64"): (3e-6, 3e-12),
    }
    for key, (step, error) in expected.items():
        name = " ".join(key)
        check(
            step / 11 < steps[key] < 11 * step,
            f"{name}: a best step of {steps[key]:.0e} is far from what the bound says. Is the error taken against "
            "the exact derivative, 1 - tanh(x) ** 2, and in absolute value?",
        )
        check(
            error / 5 < errors[key],
            f"{name}: an error of {errors[key]:.0e} is too good: take the median of the absolute errors over the "
            "points, not the best.",
        )
        check(
            errors[key] < 3.5 * error,
            f"{name}: an error of {errors[key]:.0e} is too large. Compare with the exact derivative at the point after "
            "its conversion to the dtype, computed in float64; and take the median, not the largest.",
        )
        check(len(set(table[key][:, 1].tolist())) > 1, f"{name}: all five errors agree exactly: use default_rng(seed).")
        ways = {
            "the median": np.median,
            "the mean": np.mean,
            "the root of the mean square": lambda e: np.sqrt(np.mean(e**2)),
        }
        agree = {  # the order of multiplications moves an error by a percent, another way of averaging by ten and more
            way: sum(np.isclose(table[key][s, 1], _least(*key, s, reduce), rtol=0.03, atol=0) for s in range(5))
            for way, reduce in ways.items()
        }
        way = max(agree, key=agree.get)  # the median where two agree as often
        check(
            way == "the median" or agree[way] < 4,
            f"{name}: that is {way} of the errors, which a few bad points can rule. Take the median over the points.",
        )
    passed("1.7")
