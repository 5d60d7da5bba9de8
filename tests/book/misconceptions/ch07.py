"""Misconceptions about deep recurrent networks."""

from misconceptions import Misconception


def weights(result: str) -> str:
    return f"# EXERCISE 7.1\ndef count_weights(I, H, D, O):\n    return {result}\n"


def paths(result: str, guard: str = "k < 0 or m < l") -> str:
    return f"# EXERCISE 7.2\ndef count_paths(l, m, k):\n    if {guard}:\n        return 0\n    return {result}\n"


def run(
    below: str = "below", own: str = "h[l]", result: str = "tops", order: str = "enumerate(layers)", top: str = "h[-1]"
) -> str:
    return f"""\
# EXERCISE 7.3
def run(x, layers):
    h = [np.zeros((x.shape[1], len(R))) for _, R, _ in layers]
    tops = []
    for x_t in x:
        below, old = x_t, list(h)
        for l, (W, R, b) in {order}:
            h[l] = below = np.tanh({below} @ W.T + {own} @ R.T + b)
        tops.append({top})
    return np.array({result})
"""


def features(result: str) -> str:
    return f"# EXERCISE 7.4\ndef features(h_n):\n    D, B, H = h_n.shape\n    return {result}\n"


def gradients(
    down: str = "da2 @ W2",
    readout: str = "du[t - 1] @ V1",
    time: str = "da1 @ R1",
    slope: str = "h1[t]",
    state: str = "h1[t]",
    before: str = "h1[t - 1]",
) -> str:
    return f"""\
# EXERCISE 7.5
def gradients(x, h1, h2, du, R1, V1, W2, R2, V2):
    H, I = len(R1), x.shape[2]
    dW1, dR1 = np.zeros((H, I)), np.zeros((H, H))
    dW2, dR2 = np.zeros((H, H)), np.zeros((H, H))
    da1 = da2 = np.zeros_like(h1[0])
    for t in range(len(x), 0, -1):
        late = da2
        da2 = (du[t - 1] @ V2 + da2 @ R2) * (1 - h2[t] ** 2)
        da1 = ({readout} + {down} + {time}) * (1 - {slope} ** 2)
        dW1 += da1.T @ x[t - 1]
        dR1 += da1.T @ {before}
        dW2 += da2.T @ {state}
        dR2 += da2.T @ h2[t - 1]
    return dW1, dR1, dW2, dR2
"""


def turns(result: str) -> str:
    return f"# EXERCISE 7.6\ndef turns(D, T):\n    return {result}\n"


ERRORS = {  # like those of the solution, so that a wrong function need not be trained for all
    kind: [share / 7000 for share in shares]
    for kind, shares in {
        "both": [40, 60, 90, 120, 30, 50, 70, 80],
        "lower": [30, 20, 60, 70, 10, 40, 90, 80],
        "straight": [90, 70, 60, 100, 140, 50, 120, 80],
        "upper": [700, 900, 640, 800, 1000, 720, 840, 960],
    }.items()
}


def experiment(
    seed: str = "seed",
    bend: str = "x if kind == 'straight' else mg.tanh(x)",
    lower: str = '("both", "lower", "straight")',
    upper: str = '("both", "upper")',
    trained: str = "layers",
    lr: float = 0.01,
    updates: int = 200,
    clip: str = "optim.clip_grad_norm_(params, 1.0)",
    errors: object = None,
) -> str:
    return f"""\
# EXERCISE 7.7
def rule_error(kind, seed):
    rng = np.random.default_rng({seed})
    recurrent = kind in {lower}, kind in {upper}
    H = 18 if kind == "both" else 22
    layers = [(nn.RNN if yes else nn.Linear)(I, H, rng=rng) for yes, I in zip(recurrent, (1, H))]
    layers.append(nn.Linear(H, 1, rng=rng))

    def logits(x):
        x = Tensor(x)
        for yes, layer in zip(recurrent, layers[:2]):
            x = layer(x)[0] if yes else layer(x)
            x = x if yes else {bend}
        return layers[2](x)[-14:]

    params = [p for layer in {trained} for p in layer.parameters()]
    optimizer = optim.Adam(params, lr={lr})
    for _ in range({updates}):
        x, d = batch(32, rng)
        loss = mg.binary_cross_entropy_with_logits(logits(x), d)
        optimizer.zero_grad()
        loss.backward()
        {clip}
        optimizer.step()
    x, d = batch(500, rng)
    with mg.no_grad():
        return ((logits(x).data > 0) != d).mean()


errors = {errors or ERRORS}
"""


MISCONCEPTIONS: list[Misconception] = [
    Misconception("7.1", "every layer reads the input", weights("D * H * (I + H + 1) + O * (H + 1)"), "Only the first"),
    Misconception("7.1", "the input is a layer", weights("D * H * (2 * H + 1) + O * (H + 1)"), "reads the input"),
    Misconception(
        "7.1",
        "upper layers without recurrence",
        weights("H * (I + H + 1) + (D - 1) * H * (H + 1) + O * (H + 1)"),
        "two square matrices",
    ),
    Misconception(
        "7.1",
        "two biases",
        weights("H * (I + H + 2) + (D - 1) * H * (2 * H + 2) + O * (H + 1)"),
        "one bias a layer",
    ),
    Misconception(
        "7.1",
        "all layers are read",
        weights("H * (I + H + 1) + (D - 1) * H * (2 * H + 1) + O * (D * H + 1)"),
        "top layer alone",
    ),
    Misconception("7.1", "no readout", weights("H * (I + H + 1) + (D - 1) * H * (2 * H + 1)"), "readout has weights"),
    Misconception("7.2", "the length of a path", paths("k + m - l"), "moves of one path"),
    Misconception("7.2", "a product", paths("k * (m - l)"), "do not multiply"),
    Misconception("7.2", "every move either way", paths("2 ** (k + m - l)"), "either kind"),
    Misconception("7.2", "one move too many", paths("math.comb(k + m - l + 1, k)"), "One move too many"),
    Misconception("7.2", "back in time", paths("math.comb(abs(k) + m - l, abs(k))", "m < l"), "earlier one"),
    Misconception("7.2", "down the stack", paths("math.comb(k + abs(m - l), k)", "k < 0"), "lower one"),
    Misconception(
        "7.2", "down one layer is caught, more are not", paths("math.comb(k + m - l, k)", "k < 0"), "lower one"
    ),
    Misconception("7.3", "still late", run("(x_t if l == 0 else old[l - 1])"), "D - 1 steps late"),
    Misconception(
        "7.3",
        "top first",
        run("(x_t if l == 0 else h[l - 1])", order="reversed(list(enumerate(layers)))"),
        "D - 1 steps late",
    ),
    Misconception(
        "7.3",
        "shifts the answers",
        run("(x_t if l == 0 else old[l - 1])", result="tops[len(layers) - 1 :]"),
        "missing at the end",
    ),
    Misconception("7.3", "one state for all", run(own="old[-1]"), "a state of its own"),
    Misconception("7.3", "the layer below twice", run(own="(below if l else h[0])"), "stands in its place"),
    Misconception("7.3", "one array, overwritten", run().replace("h[l] = below =", "h[l][:] = below ="), "in place"),
    Misconception("7.3", "the bottom layer", run(top="h[0]"), "bottom layer"),
    Misconception("7.4", "reshape alone", features("h_n.reshape(B, D * H)"), "still mixes sequences"),
    Misconception(
        "7.4",
        "right values, no gradient",
        features("Tensor(h_n.data.transpose(1, 0, 2).reshape(B, D * H))"),
        "no gradient gets through",
    ),
    Misconception(
        "7.4",
        "right values as an array",
        features("np.concatenate(list(h_n.data), axis=1)"),
        "no gradient gets through",
    ),
    Misconception("7.4", "unit by unit", features("h_n.transpose(1, 2, 0).reshape(B, D * H)"), "unit by unit"),
    Misconception("7.4", "top layer alone", features("h_n[-1]"), "top layer alone"),
    Misconception(
        "7.4", "top layer first", features("mg.concatenate([*h_n][::-1], axis=1)"), "the top layer comes first"
    ),
    Misconception("7.5", "no way down", gradients(down="0"), "layer above is missing"),
    Misconception("7.5", "no readout of layer 1", gradients(readout="0"), "own part of the readout"),
    Misconception("7.5", "no time in layer 1", gradients(time="0"), "next step of its own layer"),
    Misconception("7.5", "a step late on the way down", gradients(down="late @ W2"), "same step"),
    Misconception("7.5", "W2 with the state before", gradients(state="h1[t - 1]"), "h1 of the same step"),
    Misconception("7.5", "slope at the activated value", gradients(slope="np.tanh(h1[t])"), "not right"),
    Misconception("7.5", "R1 with the state of the step", gradients(before="h1[t]"), "step before"),
    Misconception(
        "7.6", "step by step", turns("[[(l, t) for l in range(1, D + 1)] for t in range(1, T + 1)]"), "in the same turn"
    ),
    Misconception(
        "7.6",
        "layer by layer",
        turns("[[(l, t) for t in range(1, T + 1)] for l in range(1, D + 1)]"),
        "in the same turn",
    ),
    Misconception(
        "7.6",
        "one by one",
        turns("[[(l, t)] for l in range(1, D + 1) for t in range(1, T + 1)]"),
        "a turn for every cell",
    ),
    Misconception(
        "7.6",
        "counts from 0",
        turns("[[(l, s - l) for l in range(D) if 0 <= s - l < T] for s in range(D + T - 1)]"),
        "counted from 1",
    ),
    Misconception(
        "7.6",
        "step first",
        turns("[[(s - l, l) for l in range(1, D + 1) if 1 <= s - l <= T] for s in range(2, D + T + 1)]"),
        "the layer first",
    ),
    Misconception(
        "7.7", "one seed for all", experiment(seed="0", errors=ERRORS | {"both": [0.01] * 8}), "default_rng(seed)"
    ),
    Misconception(
        "7.7",
        "no upper layer in the straight net",
        experiment().replace(
            "            x = layer(x)[0] if yes else layer(x)\n",
            "            if kind == 'straight' and layer is layers[1]:\n                continue\n"
            "            x = layer(x)[0] if yes else layer(x)\n",
        ),
        "get no gradient",
    ),
    Misconception("7.7", "a bend in the straight layer", experiment(bend="mg.tanh(x)"), "without the tanh"),
    Misconception(
        "7.7",
        "names swapped",
        experiment(lower='("both", "upper", "straight")', upper='("both", "lower")'),
        "swapped",
    ),
    Misconception("7.7", "trains the readout alone", experiment(trained="layers[2:]"), "given to Adam"),
    Misconception("7.7", "no clipping", experiment(clip="pass"), "not clipped"),
    Misconception(
        "7.7",
        "gradients not cleared",
        experiment().replace("        optimizer.zero_grad()\n", ""),
        "added to that of the update before",
    ),
    Misconception("7.7", "another rate", experiment(lr=0.02), "should be 0.01"),
    Misconception("7.7", "more updates", experiment(updates=300), "there should be 200"),
    Misconception("7.7", "a bend nowhere", experiment(bend="x"), 'without it the net is "straight"'),
    Misconception(
        "7.7",
        "a bend in the upper layer alone",
        experiment(bend="x if kind != 'lower' else mg.tanh(x)"),
        'In "upper" the lower layer has a tanh',
    ),
    Misconception(
        "7.7",
        "logits instead of bits",
        experiment(errors=ERRORS | {"both": [0.0312, 0.02, 0.03, 0.01, 0, 0, 0, 0]}),
        "a whole number",
    ),
    Misconception("7.7", "other numbers in the table", experiment(), "called again"),
]
