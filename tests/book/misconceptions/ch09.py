"""Misconceptions about the memory cell of 1997."""

from misconceptions import Misconception


def by_hand(z: str = "[1, 0, 0, 0]", i: str = "[0, 30, 0, -15]", o: str = "[0, 0, 30, -15]") -> str:
    return f"# EXERCISE 9.1\nz = {z}\ni = {i}\no = {o}\n"


def count(units: str = "cells + gates", gates: str = "2 * blocks", read: str = "units", rest: str = "") -> str:
    return f"""\
# EXERCISE 9.2
def count(blocks, size, inputs, outputs):
    cells, gates = blocks * size, {gates}
    units = {units}
    return units * (inputs + {read}) + gates + outputs * cells{rest}
"""


def arrives(result: str) -> str:
    return f"""\
# EXERCISE 9.3
def arrives(c, o, k, t):
    slope = 1 - np.tanh(c) ** 2
    return {result}
"""


def bias(
    c: str = "np.tanh(cs[t])",
    i: str = "i",
    carried: str = "dc",
    back: str = "own[t - 1]",
    read: str = "np.tanh(cs[t])",
) -> str:
    return f"""\
# EXERCISE 9.4
def bias_gradient(x, own, W, R, b):
    hs, cs, acts = forward(x, W, R, b)
    db, dc_next, da = np.zeros_like(b), np.zeros_like(hs[0]), np.zeros((x.shape[1], len(b)))
    for t in range(len(x), 0, -1):
        i, z, o = acts[t - 1]
        dh = {back}
        dc = dh * o * (1 - {c} ** 2) + dc_next
        di = dc * z * {i} * (1 - {i})
        dz = dc * i * (1 - z**2)
        do = dh * {read} * o * (1 - o)
        da = np.concatenate([di, dz, do], axis=1)
        db += da.sum(axis=0)
        dc_next = {carried}
    return db
"""


def forwards(p: str = "p + z * i * (1 - i) * v", q: str = "q + i * (1 - z**2) * v", slope: str = "1 - np.tanh(c) ** 2",
             error: str = "h - d_t", v: str = "h") -> str:  # fmt: skip
    return f"""\
# EXERCISE 9.5
def forward_gradient(x, d, w_i, w_z, w_o):
    h = c = 0.0
    p, q, di, dz, do = (np.zeros_like(w_i) for _ in range(5))
    for x_t, d_t in zip(x, d):
        v = np.concatenate([x_t, [{v}, 1.0]])
        i, z, o = sigmoid(w_i @ v), np.tanh(w_z @ v), sigmoid(w_o @ v)
        c = c + i * z
        h = o * np.tanh(c)
        p = {p}
        q = {q}
        slope = o * ({slope})
        di = di + ({error}) * slope * p
        dz = dz + ({error}) * slope * q
        do = do + ({error}) * np.tanh(c) * o * (1 - o) * v
    return di, dz, do
"""


def cut(h: str = "h.detach()", c: str = "c", out: str = "mg.sigmoid(a_o) * mg.tanh(c)") -> str:
    return f"""\
# EXERCISE 9.6
def cut_step(x, h, c, W, R, b):
    a_i, a_z, a_o = mg.split(x @ W.T + {h} @ R.T + b, 3, axis=1)
    c = {c} + mg.sigmoid(a_i) * mg.tanh(a_z)
    return {out}, c
"""


def guessing(size: str = "10", right: str = "right.max() == 1 or right.min() == 0", first: str = "1", state: str = "h",
             seed: str = "seed", most: int = 2000) -> str:  # fmt: skip
    return f"""\
# EXERCISE 9.7
def draws(lag, seed):
    rng = np.random.default_rng({seed})
    x, bit = tasks.delayed_recall(200, rng, lag=lag)
    for guess in range({first}, {most}):
        W, R = rng.uniform(-{size}, {size}, (2, 2, 2))
        b = rng.uniform(-{size}, {size}, 2)
        h = np.zeros((200, 2))
        for x_t in x:
            h = np.tanh(x_t @ W.T + {state} @ R.T + b)
        right = ((h > 0) == bit[:, None]).mean(axis=0)
        if {right}:
            return guess
    return {most}


found = {{lag: [draws(lag, s) for s in range(10)] for lag in (5, 20, 80)}}
"""


MISCONCEPTIONS: list[Misconception] = [
    Misconception("9.1", "input gate open at all times", by_hand(i="[0, 30, 0, 0]"), "input gate is not closed"),
    Misconception("9.1", "output gate open at all times", by_hand(o="[0, 0, 30, 0]"), "output gate is not closed"),
    Misconception(
        "9.1", "gates exchanged", by_hand(i="[0, 0, 30, -15]", o="[0, 30, 0, -15]"), "store flag, the second"
    ),
    Misconception("9.1", "stores the flag", by_hand(z="[1, 1, 0, 0]"), "the number alone"),
    Misconception("9.1", "leaks a little at each step", by_hand(i="[0, 10, 0, -5]"), "can add up"),
    Misconception("9.1", "the other bias wins", by_hand(o="[0, 0, 5, -5]"), "has to overcome"),
    Misconception("9.1", "the bias wins", by_hand(i="[0, 15, 0, -15]"), "overcome the bias"),
    Misconception("9.1", "drifts if all numbers are large", by_hand(i="[0, 16, 0, -8]"), "more firmly"),
    Misconception("9.2", "gates feed nothing but cells", count(read="cells"), "Gates feed gates"),
    Misconception("9.2", "two gates a cell", count(gates="2 * blocks * size"), "share its two gates"),
    Misconception("9.2", "biases of the cells", count(rest=" + cells"), "not the cells"),
    Misconception("9.2", "a forget gate", count(gates="3 * blocks"), "came later"),
    Misconception(
        "9.3",
        "a factor a step",
        arrives("np.prod([o[s] * slope[s] for s in range(k, t + 1)], axis=0)"),
        "no factor per step",
    ),
    Misconception("9.3", "slope at the earlier cell", arrives("o[t] * slope[k]"), "not at c_k"),
    Misconception("9.3", "the future acts on the past", arrives("o[t] * slope[t]"), "came before it"),
    Misconception("9.3", "c as if squashed", arrives("o[t] * (1 - c[t] ** 2) * (k <= t)"), "squashed already"),
    Misconception("9.4", "off the carousel", bias(carried="dc_next"), "leaves the carousel"),
    Misconception("9.4", "slope of c", bias(c="cs[t]"), "what tanh is applied to"),
    Misconception("9.4", "sigmoid twice", bias(i="sigmoid(i)"), "of something already"),
    Misconception("9.4", "two left", bias(c="cs[t]", i="sigmoid(i)"), "2 of the three"),
    Misconception("9.4", "the input gate on the loop", bias(carried="dc * i"), "not the input gate"),
    Misconception("9.4", "adds up what is carried", bias(carried="dc_next + dc"), "carry dc alone"),
    Misconception("9.4", "the full gradient", bias(back="own[t - 1] + da @ R"), "through R"),
    Misconception("9.4", "output gate times c", bias(read="cs[t]"), "not c_t"),
    Misconception("9.5", "no memory", forwards("z * i * (1 - i) * v", "i * (1 - z**2) * v"), "The past is lost"),
    Misconception(
        "9.5",
        "the input gate on the loop",
        forwards("i * p + z * i * (1 - i) * v", "i * q + i * (1 - z**2) * v"),
        "not the input gate",
    ),
    Misconception("9.5", "no slopes", forwards("p + z * v", "q + i * v"), "slopes of i and z"),
    Misconception("9.5", "factor 2", forwards(error="2 * (h - d_t)"), "Twice"),
    Misconception("9.5", "nothing fed back", forwards(v="0.0"), "but not 0"),
    Misconception(
        "9.5",
        "the full gradient",
        """\
# EXERCISE 9.5
def forward_gradient(x, d, w_i, w_z, w_o):
    nodes = [Tensor(w, requires_grad=True) for w in (w_i, w_z, w_o)]
    c, h, L = Tensor(0.0), Tensor(0.0), 0.0
    for x_t, d_t in zip(x, d):
        i, z, o = (n[:-2] @ x_t + n[-2] * h + n[-1] for n in nodes)
        c = c + mg.sigmoid(i) * mg.tanh(z)
        h = mg.sigmoid(o) * mg.tanh(c)
        L = L + (h - d_t) ** 2 / 2
    return [g.data for g in mg.grad(L, nodes)]
""",
        "full gradient",
    ),
    Misconception("9.6", "cuts the carousel, right values", cut(c="c.detach()"), "c must never be detached"),
    Misconception("9.6", "cuts nothing, right values", cut(h="h"), "Nothing is cut"),
    Misconception("9.6", "cuts the carousel instead", cut(h="h", c="c.detach()"), "The wrong one"),
    Misconception("9.6", "detaches the output", cut(out="(mg.sigmoid(a_o) * mg.tanh(c)).detach()"), "on its way out"),
    Misconception(
        "9.6", "detaches the product with R", cut().replace("h.detach() @ R.T", "(h @ R.T).detach()"), "R learns"
    ),
    Misconception("9.6", "drops the input", cut(h="(0 * h.detach())"), "values have changed"),
    Misconception("9.7", "better than chance is enough", guessing(right="right.max() > 0.5"), "all"),
    Misconception("9.7", "weak weights", guessing(size="0.5", most=100), "uniform on [-10, 10]"),
    Misconception("9.7", "no state", guessing(state="0 * h", most=100), "carried from step to step"),
    Misconception("9.7", "counts from 0", guessing(first="0"), "counts, too"),
    Misconception(
        "9.7", "the opposite sign does not count", guessing(right="right.max() == 1"), "by the opposite sign"
    ),
    Misconception("9.7", "one of the two units", guessing(right="right[0] in (0, 1)"), "Either unit"),
    Misconception("9.7", "nine of ten are enough", guessing(right="abs(right - 0.5).max() > 0.4"), "on all 200"),
    Misconception("9.7", "positive weights", guessing().replace("-10", "0"), "all positive"),
    Misconception("9.7", "one seed", guessing(seed="0"), "use default_rng(seed)"),
]
