"""Misconceptions about the forget gate."""

from misconceptions import Misconception


def bias(result: str) -> str:
    return f"# EXERCISE 10.1\ndef bias_for(n):\n    return {result}\n"


def left(result: str) -> str:
    return f"# EXERCISE 10.2\ndef left(f, k, t):\n    return {result}\n"


def lstm(
    carry: str = "dh_next, dc_next = da @ R, dc * f", gate: str = "f * (1 - f)", slope: str = "z", before: str = "t - 1"
) -> str:
    return f"""\
# EXERCISE 10.3
def gradients(x, own, hs, cs, acts, R):
    dW, dR, db = 0.0, 0.0, 0.0
    dh_next, dc_next = np.zeros_like(hs[0]), np.zeros_like(cs[0])
    for t in range(len(x), 0, -1):
        i, f, z, o = acts[t - 1]
        dh = own[t - 1] + dh_next
        dc = dh * o * (1 - np.tanh(cs[t]) ** 2) + dc_next
        da_o = dh * np.tanh(cs[t]) * o * (1 - o)
        da_f = dc * cs[{before}] * {gate}
        da_i = dc * z * i * (1 - i)
        da_z = dc * i * (1 - {slope} ** 2)
        da = np.concatenate([da_i, da_f, da_z, da_o], axis=1)
        dW = dW + da.T @ x[t - 1]
        dR = dR + da.T @ hs[{before}]
        db = db + da.sum(axis=0)
        {carry}
    return dW, dR, db
"""


def step(order: str = "a_i, a_f, a_g, a_o", bias: str = "bias_ih + bias_hh", result: str = "h, c") -> str:
    return f"""\
# EXERCISE 10.4
def step(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    a = x @ weight_ih.T + h @ weight_hh.T + {bias}
    {order} = np.split(a, 4, axis=1)
    c = sigma(a_f) * c + sigma(a_i) * np.tanh(a_g)
    h = sigma(a_o) * np.tanh(c)
    return {result}
"""


def coupled(pull: str = "z - cs[t - 1]", carry: str = "da @ R, dc * (1 - i)", slope: str = "hs[t]") -> str:
    return f"""\
# EXERCISE 10.5
def coupled_gradients(x, own, hs, cs, acts, R):
    dW, dR, db = 0.0, 0.0, 0.0
    dh_next, dc_next = np.zeros_like(hs[0]), np.zeros_like(cs[0])
    for t in range(len(x), 0, -1):
        i, z = acts[t - 1]
        dh = own[t - 1] + dh_next
        dc = dh * (1 - {slope} ** 2) + dc_next
        da_i = dc * ({pull}) * i * (1 - i)
        da_z = dc * i * (1 - z**2)
        da = np.concatenate([da_i, da_z], axis=1)
        dW = dW + da.T @ x[t - 1]
        dR = dR + da.T @ hs[t - 1]
        db = db + da.sum(axis=0)
        dh_next, dc_next = {carry}
    return dW, dR, db, dc_next
"""


def windows(state: str, output: str = "output") -> str:
    return f"""\
# EXERCISE 10.6
def read_windows(lstm, x, window):
    outputs, state = [], None
    for t in range(0, len(x), window):
        output, (h, c) = lstm(x[t : t + window], state)
        state = {state}
        outputs.append({output})
    return mg.concatenate(outputs)
"""


SHARES = """{
    1: [0.5, 0.49, 0.51, 0.5, 0.52, 0.48],
    7: [0.9, 1, 0.95, 0.8, 0.85, 1],
    2000: [recalled(2000, seed) for seed in range(6)],
}"""


def experiment(
    result: str = "right[1:].mean()",
    loss: str = "mg.cross_entropy(net(x, due).reshape(-1, 2), bits.reshape(-1))",
    clip: str = "optim.clip_grad_norm_(net.parameters(), 1.0)",
    lr: float = 0.01,
    updates: int = 150,
    shares: str = SHARES,
) -> str:
    return f"""\
# EXERCISE 10.7
def recalled(half, seed):
    rng = np.random.default_rng(seed)
    net = Recaller(-np.log(2 ** (1 / half) - 1), rng)
    optimizer = optim.Adam(net.parameters(), lr={lr})
    for _ in range({updates}):
        x, bits, due = three_recalls(16, rng)
        loss = {loss}
        optimizer.zero_grad()
        loss.backward()
        {clip}
        optimizer.step()
    x, bits, due = three_recalls(300, rng)
    with mg.no_grad():
        right = net(x, due).data.argmax(axis=-1) == bits
    return {result}


shares = {shares}
"""


def shares(one: str, seven: str, long: str) -> str:
    return experiment(shares=f"{{1: {one}, 7: {seven}, 2000: {long}}}")


CHANCE, GOOD, FAIR = (
    "[0.5, 0.49, 0.51, 0.5, 0.52, 0.48]",
    "[0.9, 1, 0.95, 0.8, 0.85, 1]",
    "[0.6, 0.5, 0.7, 0.55, 0.5, 0.6]",
)
LIKELY = f"{{1: {CHANCE}, 7: {GOOD}, 2000: {FAIR}}}"

MISCONCEPTIONS = [
    Misconception("10.1", "the gate", bias("2 ** (-1 / n)"), "That is the gate f itself"),
    Misconception("10.1", "sign", bias("np.log(2 ** (1 / n) - 1)"), "The sign is reversed"),
    Misconception("10.1", "time constant", bias("-np.log(np.exp(1 / n) - 1)"), "bias of a time constant"),
    Misconception("10.1", "ln for logit", bias("np.log(2 ** (-1 / n))"), "not of the logistic function"),
    Misconception("10.1", "1/n a step", bias("np.log(n - 1) if n > 1 else 0.0"), "not one half"),
    Misconception("10.1", "the other way", bias("np.log(2) / np.log1p(np.exp(-n))"), "the other way round"),
    Misconception("10.1", "large n only", bias("np.log(n / np.log(2))"), "holds for long half-lives only"),
    Misconception("10.2", "own gate", left("np.prod(f[k - 1 : t]) if k < t else float(k == t)"), "begin with f_(k+1)"),
    Misconception("10.2", "last gate", left("np.prod(f[k : t - 1]) if k < t else float(k == t)"), "The last gate"),
    Misconception("10.2", "shifted", left("np.prod(f[k + 1 : t + 1]) if k < t else float(k == t)"), "Shifted by one"),
    Misconception("10.2", "the future", left("np.prod(f[k:t])"), "What is written after step t"),
    Misconception("10.2", "own step", left("np.prod(f[k:t]) if k < t else 0.0"), "no forget gate yet"),
    Misconception("10.2", "power", left("f[t - 1] ** (t - k) if k <= t else 0.0"), "no power of one of them"),
    Misconception(
        "10.3", "as printed", lstm("pass", "sigma(f)", "np.tanh(z)", "t"), "4 of the four left: nothing goes back"
    ),
    Misconception("10.3", "carry and gate right", lstm(slope="np.tanh(z)", before="t"), "2 of the four left"),
    Misconception("10.3", "sigma(f)", lstm(gate="sigma(f)"), "1 of the four left: the derivative of the forget gate"),
    Misconception("10.3", "only h", lstm(carry="dh_next = da @ R"), "Only dh_next is carried"),
    Misconception("10.3", "whole dc", lstm(carry="dh_next, dc_next = da @ R, dc"), "is dc * f: the next cell"),
    Misconception("10.3", "only c", lstm(carry="dc_next = dc * f; dh_next = 0 * dh"), "Only dc_next is carried"),
    Misconception("10.4", "i and f", step("a_f, a_i, a_g, a_o"), "input and forget gate are still exchanged"),
    Misconception("10.4", "g and o", step("a_i, a_f, a_o, a_g"), "the third block is g"),
    Misconception("10.4", "one bias", step(bias="bias_ih"), "The second bias is missing"),
    Misconception("10.4", "other bias", step(bias="bias_hh"), "The first bias is missing"),
    Misconception("10.4", "c first", step(result="c, h"), "return h_t first"),
    Misconception("10.5", "one use of i", coupled("z"), "i_t is used twice"),
    Misconception("10.5", "late c", coupled("z - cs[t]"), "is c_(t-1), not c_t"),
    Misconception("10.5", "carousel", coupled(carry="da @ R, dc"), "the factor 1 - i_(t+1)"),
    Misconception("10.5", "c_1 for c_0", coupled().replace("db, dc_next\n", "db, dc\n"), "The last one is dL/dc_1"),
    Misconception("10.5", "slope at h", coupled(slope="np.tanh(hs[t])"), "already tanh(c_t)"),
    Misconception("10.6", "cleared", windows("None"), "Every window starts from zero"),
    Misconception("10.6", "not cut", windows("(h, c)"), "detach both states"),
    Misconception("10.6", "only h cut", windows("(h.detach(), c)"), "detach c as well"),
    Misconception("10.6", "only c cut", windows("(h, c.detach())"), "detach h as well"),
    Misconception(
        "10.6", "outputs cut", windows("(h.detach(), c.detach())", "output.detach()"), "cut the states, not the outputs"
    ),
    Misconception("10.7", "long is best", shares(CHANCE, FAIR, GOOD), "The long half-life came out best"),
    Misconception("10.7", "all three recalls", experiment("right.mean()"), "The first recall is counted, too"),
    Misconception("10.7", "first recall", experiment("right[0].mean()"), "That is the first recall"),
    Misconception("10.7", "last recall", experiment("right[2].mean()"), "That is the third recall alone"),
    Misconception("10.7", "bias not used", shares(GOOD, GOOD, FAIR), "Did the bias reach the net"),
    Misconception("10.7", "one seed", shares("[0.5] * 6", GOOD, FAIR), "is the seed used"),
    Misconception(
        "10.7",
        "trained on the last recall",
        experiment(loss="mg.cross_entropy(net(x, due)[-1], bits[-1])", shares=LIKELY),
        "The last recall alone is in the loss",
    ),
    Misconception(
        "10.7",
        "trained on what is tested",
        experiment(loss="mg.cross_entropy(net(x, due)[1:].reshape(-1, 2), bits[1:].reshape(-1))", shares=LIKELY),
        "first recall is left out of the loss",
    ),
    Misconception(
        "10.7",
        "the bias of a time constant",
        experiment(shares=LIKELY).replace("-np.log(2 **", "-np.log(np.e **"),
        "does not start from eight biases",
    ),
    Misconception("10.7", "no clipping", experiment(clip="pass", shares=LIKELY), "not clipped"),
    Misconception("10.7", "another rate", experiment(lr=0.003, shares=LIKELY), "should be 0.01"),
    Misconception("10.7", "more updates", experiment(updates=300, shares=LIKELY), "there should be 150"),
    Misconception("10.7", "other numbers in the table", experiment(shares=LIKELY), "called again"),
]
