"""Misconceptions about the family of cells."""

from misconceptions import Misconception


def specs(
    a: str = "CellSpec(coupled=True)",
    b: str = "CellSpec(coupled=True, output_gate=False, output_squashing='identity')",
    c: str = "CellSpec(peepholes=True, forget_gate=False, output_squashing='identity')",
) -> str:
    return f'# EXERCISE 12.1\ncells = {{"a": {a}, "b": {b}, "c": {c}}}\n'


def gates(result: str) -> str:
    return f"# EXERCISE 12.2\ndef gates_for(w):\n    w = np.asarray(w, float)\n    return {result}\n"


def rows(result: str) -> str:
    return f"""\
# EXERCISE 12.3
def convert_rows(rows):
    u, r, n = np.split(rows, 3)
    return {result}
"""


def mgu(
    da_n: str = "dh * f * (1 - n**2)",
    df: str = "dh * (n - before) + dq * before",
    dR_n: str = "da_n.T @ (f * before)",
    back: str = "dh * (1 - f) + dq * f + da_f @ R[:H]",
) -> str:
    return f"""\
# EXERCISE 12.4
def mgu_gradients(x, own, h_0, W, R, b):
    H = R.shape[1]
    hs, fs, ns = mgu_forward(x, h_0, W, R, b)
    dW, dR, db = np.zeros_like(W), np.zeros_like(R), np.zeros_like(b)
    back = np.zeros_like(h_0)
    for t in range(len(x), 0, -1):
        before, f, n = hs[t - 1], fs[t - 1], ns[t - 1]
        dh = own[t - 1] + back
        da_n = {da_n}
        dq = da_n @ R[H:]
        df = {df}
        da_f = df * f * (1 - f)
        da = np.concatenate([da_f, da_n], axis=1)
        dW += da.T @ x[t - 1]
        dR[:H] += da_f.T @ before
        dR[H:] += {dR_n}
        db += da.sum(axis=0)
        back = {back}
    return dW, dR, db
"""


def summary(*lines: str) -> str:
    return "# EXERCISE 12.5\ndef summary(layer, x, lengths):\n" + "".join(f"    {line}\n" for line in lines)


TOLD = "output, (h_n, c_n) = layer(x, lengths=lengths)"


def reads(
    steps: str = "range(1, len(x))",
    compare: str = "(np.array(net(other))[:step] != plain[:step]).any()",
    other: str = "np.array(x)",
) -> str:
    return f"""\
# EXERCISE 12.6
def reads_future(net, x):
    plain = np.array(net(x))
    for step in {steps}:
        other = {other}
        other[step] += 1
        if {compare}:
            return True
    return False
"""


ERRORS = {  # like those of the solution, so that a wrong function need not be trained for all
    ("GRU", 0.005): [0.003, 0.004, 0.0035, 0.005, 0.0042, 0.0031, 0.0038, 0.0044],
    ("LSTM", 0.005): [0.0045, 0.005, 0.0055, 0.004, 0.0062, 0.0048, 0.0058, 0.0064],
    ("GRU", 0.045): [0.003, 0.009, 0.0025, 0.007, 0.0016, 0.0061, 0.0048, 0.0034],
    ("LSTM", 0.045): [0.0015, 0.001, 0.0022, 0.0018, 0.0012, 0.0028, 0.0026, 0.0013],
}


def experiment(
    layer: str = "layer",
    rate: str = "rate",
    seed: str = "seed",
    updates: int = 400,
    pairs: str = "[g > x for g in a for x in b]",
    steps: str = "",
    result: str = "np.mean((net(x).data - d) ** 2)",
    clip: str = "optim.clip_grad_norm_(params, 1.0)",
    errors: object = None,
) -> str:
    return f"""\
# EXERCISE 12.7
def stream_error(layer, rate, seed):
    rng = np.random.default_rng({seed})
    net = Net({layer}, rng)
    params = list(net{steps}.parameters())
    optimizer = optim.Adam(params, lr={rate})
    for _ in range({updates}):
        x, d = streams(16, rng)
        loss = mg.mse_loss(net(x), d)
        optimizer.zero_grad()
        loss.backward()
        {clip}
        optimizer.step()
    x, d = streams(400, np.random.default_rng(99))
    with mg.no_grad():
        return {result}


errors = {errors or ERRORS}
pairs = {{}}
for rate in (0.005, 0.045):
    a, b = errors["GRU", rate], errors["LSTM", rate]
    pairs[rate] = sum({pairs})
"""


MISCONCEPTIONS: list[Misconception] = [
    Misconception("12.1", "CIFG is not today's cell coupled", specs(a='CELLS["CIFG"]'), "It has peepholes"),
    Misconception("12.1", "default", specs(a="CellSpec()"), "Nothing is coupled"),
    Misconception("12.1", "tanh left", specs(b="CellSpec(coupled=True, output_gate=False)"), "still there"),
    Misconception(
        "12.1",
        "activation function taken for the gate",
        specs(c="CellSpec(peepholes=True, forget_gate=False, output_gate=False)"),
        "not the gate",
    ),
    Misconception(
        "12.1",
        "not vanilla",
        specs(c="CellSpec(forget_gate=False, output_squashing='identity')"),
        "vanilla cell has peepholes",
    ),
    Misconception("12.2", "the gates are the shares", gates("w"), "takes away"),
    Misconception("12.2", "normalised", gates("w / w.cumsum()"), "may be less"),
    Misconception("12.2", "what came before", gates("w / (1 - w.cumsum() + w)"), "after k, not before"),
    Misconception(
        "12.2",
        "equation (2) the way it stands",
        gates("np.array([w[k] * np.prod(1 - w[k + 1:]) for k in range(len(w))])"),
        "the way back",
    ),
    Misconception("12.2", "step k counted as later", gates("w / (1 - w[::-1].cumsum()[::-1])"), "no part of"),
    Misconception("12.3", "order only", rows("np.concatenate([r, u, n])"), "order is right and the meaning"),
    Misconception("12.3", "sign only", rows("np.concatenate([-u, r, n])"), "order is still theirs"),
    Misconception("12.3", "1 - weight", rows("np.concatenate([r, 1 - u, n])"), "is not the weight of"),
    Misconception("12.3", "both gates", rows("np.concatenate([-r, -u, n])"), "Both gates"),
    Misconception("12.3", "all of it", rows("-np.concatenate([r, u, n])"), "All rows"),
    Misconception("12.4", "conventions swapped", mgu(da_n="dh * (1 - f) * (1 - n**2)"), "The engine disagrees"),
    Misconception(
        "12.4",
        "conventions swapped throughout",
        mgu(da_n="dh * (1 - f) * (1 - n**2)", back="dh * f + dq * f + da_f @ R[:H]"),
        "exchanged",
    ),
    Misconception("12.4", "the gate's third place", mgu(df="dh * (n - before)"), "third place"),
    Misconception("12.4", "right values, R_n with the bare state", mgu(dR_n="da_n.T @ before"), "stands in its"),
    Misconception("12.4", "sign of the mixture", mgu(df="dh * (before - n) + dq * before"), "not h_(t-1) - n_t"),
    Misconception("12.4", "ungated", mgu(back="dh * (1 - f) + dq + da_f @ R[:H]"), "passes f_t"),
    Misconception("12.4", "no direct way", mgu(back="dq * f + da_f @ R[:H]"), "directly"),
    Misconception("12.4", "the gate reads no state", mgu(back="dh * (1 - f) + dq * f"), "through R_f"),
    Misconception("12.5", "the last row", summary(TOLD, "return output[-1]"), "one input only"),
    Misconception(
        "12.5",
        "every end is its own",
        summary(TOLD, "return output[np.array(lengths) - 1, np.arange(len(lengths))]"),
        "backward direction has read one",
    ),
    Misconception(
        "12.5",
        "lengths forgotten",
        summary("_, (h_n, _) = layer(x)", "return mg.concatenate([h_n[0], h_n[1]], axis=1)"),
        "lengths were not given",
    ),
    Misconception(
        "12.5", "a reshape", summary(TOLD, "return h_n.reshape(len(lengths), -1)"), "keeps the order in memory"
    ),
    Misconception(
        "12.5", "backward first", summary(TOLD, "return mg.concatenate([h_n[1], h_n[0]], axis=1)"), "forward first"
    ),
    Misconception("12.5", "the cells", summary(TOLD, "return mg.concatenate(list(c_n), axis=1)"), "is the cell"),
    Misconception("12.6", "one step is enough", reads("[len(x) // 2]"), "Every step has to be changed"),
    Misconception("12.6", "the first step only", reads("[0]"), "reads the future, and was not caught"),
    Misconception(
        "12.6",
        "its own step, too",
        reads(compare="(np.array(net(other))[:step + 1] != plain[:step + 1]).any()"),
        "and was accused",
    ),
    Misconception(
        "12.6",
        "only the step before",
        reads(compare="(np.array(net(other))[step - 1] != plain[step - 1]).any()"),
        "Look at all outputs before",
    ),
    Misconception(
        "12.6",
        "only the first output",
        reads(compare="(np.array(net(other))[0] != plain[0]).any()"),
        "not at the first alone",
    ),
    Misconception(
        "12.6",
        "signed differences",
        reads(compare="np.mean((np.array(net(other)) - plain)[:step]) != 0"),
        "must not cancel",
    ),
    Misconception("12.6", "not a copy", reads(other="x"), "work on a copy"),
    Misconception("12.7", "one cell for both", experiment(layer="nn.LSTM"), "is `layer` used"),
    Misconception("12.7", "one rate for both", experiment(rate="0.015"), "should be 0.045"),
    Misconception(
        "12.7",
        "one table for both",
        experiment(errors=ERRORS | {("GRU", 0.045): ERRORS["LSTM", 0.045]}),
        "have the same errors",
    ),
    Misconception(
        "12.7",
        "one rate in the table",
        experiment(errors=ERRORS | {("GRU", 0.005): ERRORS["GRU", 0.045]}),
        "same errors at both rates",
    ),
    Misconception("12.7", "no clipping", experiment(clip="pass"), "not clipped"),
    Misconception(
        "12.7",
        "every array clipped alone",
        experiment(clip="[optim.clip_grad_norm_(p, 1.0) for p in params]"),
        "all of it together",
    ),
    Misconception("12.7", "another optimiser", experiment().replace("optim.Adam", "optim.SGD"), "should be Adam"),
    Misconception("12.7", "fewer updates", experiment(updates=300), "there should be 400"),
    Misconception(
        "12.7", "same seed every time", experiment(errors=ERRORS | {("GRU", 0.045): [0.003] * 8}), "default_rng(seed)"
    ),
    Misconception("12.7", "no seed", experiment(seed=""), "called again"),
    Misconception("12.7", "seed by seed", experiment(pairs="[g > x for g, x in zip(a, b)]"), "eight pairs"),
    Misconception(
        "12.7", "the other way round", experiment(pairs="[g < x for g in a for x in b]"), "LSTM has the larger"
    ),
    Misconception(
        "12.7",
        "a root",
        experiment(
            result="np.sqrt(np.mean((net(x).data - d) ** 2))",
            errors={k: [e**0.5 for e in v] for k, v in ERRORS.items()},
        ),
        "with no root",
    ),
    Misconception("12.7", "readout alone trained", experiment(steps=".readout"), "given to Adam"),
]
