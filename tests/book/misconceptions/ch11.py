"""Misconceptions about peepholes."""

from misconceptions import Misconception


def count(peepholes: str, readout: str = "O * H + O") -> str:
    return f"""\
# EXERCISE 11.1
def count_parameters(I, H, O):
    return 4 * (H * I + H * H + H) + {peepholes} + {readout}
"""


def step(
    o: str = 'a["o"] + theta["p_o"] * c', seen: str = "c", late: bool = False, result: str = "o * mg.tanh(c), c"
) -> str:
    cell, gate = 'c = f * c + i * mg.tanh(a["z"])', f"o = mg.sigmoid({o})"
    first, second = (gate, cell) if late else (cell, gate)
    return f"""\
# EXERCISE 11.2
def peephole_step(x, h, c, theta):
    a = {{
        q: x @ theta["W_" + q].T + h @ theta["R_" + q].T + theta["b_" + q]
        for q in "ifzo"
    }}
    i = mg.sigmoid(a["i"] + theta["p_i"] * {seen})
    f = mg.sigmoid(a["f"] + theta["p_f"] * {seen})
    {first}
    {second}
    return {result}
"""


def clock(level: str, k: str = "20 / z", sign: str = "", result: str = "-k, k * level, k, -k * level") -> str:
    return f"""\
# EXERCISE 11.3
def clock_weights(n, z):
    k = {sign}{k}
    level = {level}
    return {result}
"""


def back(
    dc: str = " + p_o * da_o", p_o: str = "c * da_o", old: str = "dc * f + p_i * da_i + p_f * da_f", extra: str = ""
) -> str:
    return f"""\
# EXERCISE 11.4
def back_step(dh, dc_next, acts, c_old, c, p_i, p_f, p_o):
    i, f, z, o = acts
    da_o = dh * np.tanh(c) * o * (1 - o)
    dc = dh * o * (1 - np.tanh(c) ** 2) + dc_next{dc}
    da_f = dc * c_old * f * (1 - f)
    da_i = dc * z * i * (1 - i)
    da_z = dc * i * (1 - z**2)
    found = {{"o": da_o, "f": da_f, "i": da_i, "z": da_z}}
    found |= {{"p_i": c_old * da_i, "p_f": c_old * da_f, "p_o": {p_o}}}
    return found | {{"c_old": {old}{extra}}}
"""


GROWING = '{"c": 10, "p_i": 0, "p_f": 1, "u_i": 0, "u_f": -10, "u_z": 0}'


def slope(result: str, growing: str = GROWING) -> str:
    return f"""\
# EXERCISE 11.5
def slope(c, p_i, p_f, u_i, u_f, u_z):
    i = 1 / (1 + np.exp(-(u_i + p_i * c)))
    f = 1 / (1 + np.exp(-(u_f + p_f * c)))
    z = np.tanh(u_z)
    return {result}


growing = {growing}
"""


RIGHT_SLOPE = "f + c * p_f * f * (1 - f) + z * p_i * i * (1 - i)"


def accepted(result: str) -> str:
    return f"""\
# EXERCISE 11.6
def accepted(says, legal):
    asked = legal.any(axis=-1)
    return {result}
"""


def experiment(seed: str = "seed", highest: str = "200", lowest: str = "1", longest: str = "longest") -> str:
    return f"""\
# EXERCISE 11.7
def reach(longest, seed):
    net = Reader(np.random.default_rng({seed}))
    inputs, _, legal, _ = tasks.anbn({lowest}, {longest})
    asked = legal.any(axis=-1)
    x, d = Tensor(inputs.astype(float)), legal[asked].astype(float)
    optimizer = optim.Adam(net.parameters(), lr=0.02)
    for _ in range(600):
        loss = mg.binary_cross_entropy_with_logits(net(x)[asked], d)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    inputs, _, legal, _ = tasks.anbn(1, {highest})
    logits = net(Tensor(inputs.astype(float))).data
    return accepted_up_to(logits, legal)


reaches = {{n: [reach(n, seed) for seed in range(5)] for n in (3, 10)}}
"""


MISCONCEPTIONS: list[Misconception] = [
    Misconception("11.1", "no peepholes", count("0"), "peepholes are missing"),
    Misconception("11.1", "peepholes are matrices", count("3 * H * H"), "vector, not a matrix"),
    Misconception("11.1", "the candidate peeps", count("4 * H"), "no gate"),
    Misconception("11.1", "one number a gate", count("3"), "for each cell"),
    Misconception("11.1", "forgets the readout", count("3 * H", "0"), "V and b_y"),
    Misconception("11.2", "output gate sees the old cell", step(late=True), "sees c_(t-1)"),
    Misconception("11.2", "output gate sees nothing", step(o='a["o"]'), "output gate has a peephole"),
    Misconception("11.2", "cell not squashed", step(result="o * c, c"), "squashed on its way out"),
    Misconception("11.2", "c before h", step(result="c, o * mg.tanh(c)"), "h_t first"),
    Misconception("11.2", "right values, the original's cut", step(seen="c.detach()"), "original's cut"),
    Misconception(
        "11.2", "right values, cut at the output gate", step(o='a["o"] + theta["p_o"] * c.detach()'), "original's cut"
    ),
    Misconception("11.3", "counts in ones", clock("n - 0.5", k="20"), "grows by z"),
    Misconception("11.3", "level at the stroke itself", clock("n * z"), "halfway"),
    Misconception("11.3", "level half a step too high", clock("(n + 0.5) * z"), "first stroke is at step 11"),
    Misconception("11.3", "as sharp for every z", clock("(n - 0.5) * z", k="40"), "out of time"),
    Misconception("11.3", "signs exchanged", clock("(n - 0.5) * z", sign="-"), "p_f < 0"),
    Misconception("11.3", "gates that do not switch sharply", clock("(n - 0.5) * z", k="1 / z"), "Sharper gates"),
    Misconception(
        "11.3",
        "the forget gate switches a step late",
        clock("(n - 0.5) * z", result="-k, k * (level + z), k, -k * level"),
        "not cleared",
    ),
    Misconception(
        "11.4",
        "the friend's program",
        back(dc="", p_o="c_old * da_o", extra=" + p_o * da_o"),
        "p_o * da_o belongs to dc",
    ),
    Misconception("11.4", "in both places", back(extra=" + p_o * da_o"), "does not see c_(t-1)"),
    Misconception("11.4", "right except the weight's gradient", back(p_o="c_old * da_o"), "c_t * da_o"),
    Misconception("11.4", "the original's cut", back(dc=""), "p_o * da_o belongs to dc"),
    Misconception("11.4", "half the cut", back(old="dc * f"), "original's cut"),
    Misconception("11.5", "the original's slope", slope("f"), "what the original keeps"),
    Misconception("11.5", "no product rule", slope("f + p_f * f * (1 - f) + z * p_i * i * (1 - i)"), "product rule"),
    Misconception("11.5", "forgets the input gate", slope("f + c * p_f * f * (1 - f)"), "input gate is missing"),
    Misconception("11.5", "no inner derivative", slope("f + c * f * (1 - f) + z * i * (1 - i)"), "inner derivatives"),
    Misconception(
        "11.5",
        "right derivative, a saturated gate for an example",
        slope(RIGHT_SLOPE, GROWING.replace("-10", "10")),
        "near one half",
    ),
    Misconception(
        "11.6",
        "names more than is legal",
        accepted("((says | ~legal).all(axis=-1) | ~asked).all(axis=0)"),
        "anything may come",
    ),
    Misconception("11.6", "names nothing illegal", accepted("(legal | ~says).all(axis=(0, 2))"), "after the end"),
    Misconception(
        "11.6", "subset is enough", accepted("((legal | ~says).all(axis=-1) | ~asked).all(axis=0)"), "nothing at all"
    ),
    Misconception("11.6", "looks past the end", accepted("(says == legal).all(axis=(0, 2))"), "after the end"),
    Misconception(
        "11.6",
        "one verdict for all",
        accepted("((says == legal).all(axis=-1) | ~asked).all()"),
        "one verdict for each string",
    ),
    Misconception(
        "11.6",
        "the start symbol is not judged",
        accepted("((says == legal)[..., 1:].all(axis=-1) | ~asked).all(axis=0)"),
        "One wrong symbol",
    ),
    Misconception(
        "11.6",
        "the first step is not judged",
        accepted("((says == legal).all(axis=-1) | ~asked)[1:].all(axis=0)"),
        "One wrong symbol",
    ),
    Misconception("11.7", "tested on what was trained", experiment(highest="longest"), "longer strings"),
    Misconception("11.7", "same seed every time", experiment(seed="1"), "default_rng(seed)"),
    Misconception("11.7", "only the longest string", experiment(lowest="longest"), "strings"),
]
