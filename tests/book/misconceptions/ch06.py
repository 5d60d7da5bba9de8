"""Misconceptions about backpropagation through time."""

from misconceptions import Misconception


def kept(result: str) -> str:
    return f"# EXERCISE 6.1\ndef kept(t, k, k1):\n    return {result}\n"


def back(dh: str = "own + da_next @ R", da: str = "dh * (1 - h**2)") -> str:
    return f"# EXERCISE 6.2\ndef step_back(own, da_next, h, R):\n    dh = {dh}\n    return dh, {da}\n"


def gradients(state: str = "hs[t - 1]", slope: str = "hs[t] ** 2", carried: str = "da @ R") -> str:
    return f"""\
# EXERCISE 6.3
def gradients(x, own, hs, R):
    H = len(R)
    dW, dR, db = np.zeros((H, x.shape[2])), np.zeros((H, H)), np.zeros(H)
    dh_next = np.zeros_like(hs[0])
    for t in range(len(x), 0, -1):
        dh = own[t - 1] + dh_next
        da = dh * (1 - {slope})
        dW += da.T @ x[t - 1]
        dR += da.T @ {state}
        db += da.sum(axis=0)
        dh_next = {carried}
    return dW, dR, db
"""


def jacobian(step: str, order: str = "range(k + 1, t + 1)") -> str:
    return f"""\
# EXERCISE 6.4
def jacobian(hs, R, k, t):
    J = np.eye(len(R))
    for s in {order}:
        J = {step}
    return J
"""


def leaky(
    leak: str = " + (1 - leak) * dh", factor: str = "leak * ", slope: str = "cs", kept: str = "cs[t]-hs[t-1]"
) -> str:
    return f"""\
# EXERCISE 6.5
def leaky_gradients(x, h_0, own, W, R, b, leak):
    hs, cs = [h_0], [None]
    for x_t in x:
        cs.append(np.tanh(x_t @ W.T + hs[-1] @ R.T + b))
        hs.append((1 - leak) * hs[-1] + leak * cs[-1])
    dW, dR, db, dleak = np.zeros_like(W), np.zeros_like(R), 0 * b, 0.0
    dh = da = np.zeros_like(h_0)
    for t in range(len(x), 0, -1):
        dh = own[t - 1] + da @ R{leak}
        da = dh * {factor}(1 - {slope}[t] ** 2)
        dW += da.T @ x[t - 1]
        dR += da.T @ hs[t - 1]
        db += da.sum(axis=0)
        dleak += (dh * ({kept})).sum()
    return dW, dR, db, dleak
"""


def forwards(p: str = "x_t + r * p", q: str = "before + r * q", slope: str = "(1 - h**2)") -> str:
    return f"""\
# EXERCISE 6.6
def forward_gradient(x, d, w, r):
    h = p = q = dw = dr = 0.0
    for x_t, d_t in zip(x, d):
        before, h = h, np.tanh(w * x_t + r * h)
        p = {slope} * ({p})
        q = {slope} * ({q})
        dw += (h - d_t) * p
        dr += (h - d_t) * q
    return dw, dr
"""


ERRORS = {  # as the solution finds them, so that a wrong function need not be trained for all
    1: [0.24, 0.25, 0.02, 0.25, 0.06, 0.24, 0.25, 0.1],
    3: [0.25, 0.24, 0.25, 0.23, 0.25, 0.25, 0.24, 0.25],
    4: [0.01, 0.02, 0.01, 0.03, 0.02, 0.01, 0.02, 0.01],
    24: [0.001, 0.002, 0.001, 0.003, 0.002, 0.001, 0.002, 0.001],
}


def experiment(
    carry: str = "h",
    cut: str = "h = h.detach()",
    steps: str = "[3:]",
    updates: int = 200,
    lr: float = 0.02,
    loss: str = "mg.mse_loss(mg.concatenate(outputs), d)",
    rng: str = "np.random.default_rng(seed)",
    errors: object = ERRORS,
) -> str:
    return f"""\
# EXERCISE 6.7
def echo_error(window, seed):
    rng = {rng}
    net = Net(rng)
    params = list(net.parameters())
    optimizer = optim.Adam(params, lr={lr})
    for _ in range({updates}):
        x, d = echo(3, 24, 16, rng)
        h, outputs = None, []
        for start in range(0, 24, window):
            y, h = net(Tensor(x[start : start + window]), {carry})
            {cut}
            outputs.append(y)
        loss = {loss}
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x, d = echo(3, 24, 200, rng)
    with mg.no_grad():
        y, _ = net(Tensor(x))
    return ((y.data - d){steps} ** 2).mean()


errors = {errors}
"""


ONE_A_PIECE = (
    """\
# EXERCISE 6.7
def echo_error(window, seed):
    rng = np.random.default_rng(seed)
    net = Net(rng)
    optimizer = optim.Adam(net.parameters(), lr=0.02)
    for _ in range(200):
        x, d = echo(3, 24, 16, rng)
        h = None
        for start in range(0, 24, window):
            y, h = net(Tensor(x[start : start + window]), h)
            h = h.detach()
            loss = mg.mse_loss(y, d[start : start + window])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    x, d = echo(3, 24, 200, rng)
    with mg.no_grad():
        y, _ = net(Tensor(x))
    return ((y.data - d)[3:] ** 2).mean()


errors = """
    + f"{ERRORS}\n"
)


MISCONCEPTIONS: list[Misconception] = [
    Misconception("6.1", "a window that slides", kept("k <= t < k + k1"), "sliding window"),
    Misconception("6.1", "errors reach the future", kept("(t - 1) // k1 == (k - 1) // k1"), "never reaches a later"),
    Misconception("6.1", "counts from 0", kept("k <= t and t // k1 == k // k1"), "counted from 1"),
    Misconception("6.1", "what the cut removes", kept("k <= t and (t - 1) // k1 != (k - 1) // k1"), "removes"),
    Misconception("6.2", "R transposed once too often", back("own + da_next @ R.T"), "da_next @ R"),
    Misconception("6.2", "copies the equation", back("own + R.T @ da_next"), "on the right of da_next"),
    Misconception("6.2", "forgets the own output", back("da_next @ R"), "own is missing"),
    Misconception("6.2", "forgets the next step", back("own"), "next step is missing"),
    Misconception("6.2", "slope at the activated value", back(da="dh * (1 - np.tanh(h)**2)"), "already tanh"),
    Misconception("6.2", "no slope", back(da="dh"), "slope of tanh is missing"),
    Misconception("6.2", "the slope on the way, too", back("own + (da_next * (1 - h**2)) @ R"), "already: the slope"),
    Misconception(
        "6.2",
        "writes into own",
        back("own\n    dh += da_next @ R"),
        "writes into its arguments",
    ),
    Misconception("6.3", "nothing goes back", gradients(carried="dh_next"), "no error goes back"),
    Misconception("6.3", "slope at the activated value", gradients(slope="np.tanh(hs[t]) ** 2"), "tanh too many"),
    Misconception("6.3", "state of the same step", gradients(state="hs[t]"), "the one before"),
    Misconception("6.3", "two left", gradients(state="hs[t]", carried="dh_next"), "2 of the three"),
    Misconception("6.3", "back through R transposed", gradients(carried="da @ R.T"), "not da @ R.T"),
    Misconception("6.3", "carries dh", gradients(carried="dh @ R"), "not dh @ R"),
    Misconception("6.3", "adds up what goes back", gradients(carried="dh_next + da @ R"), "da @ R alone"),
    Misconception("6.4", "power inside the product", jacobian("J @ np.linalg.matrix_power(R, t - k)"), "(t - k)^2"),
    Misconception("6.4", "power of R", jacobian("R @ J"), "slopes are missing"),
    Misconception(
        "6.4", "right factors, wrong order", jacobian("J @ ((1 - hs[s] ** 2)[:, None] * R)"), "order is reversed"
    ),
    Misconception(
        "6.4", "slope of the state before", jacobian("(1 - hs[s - 1] ** 2)[:, None] * R @ J"), "state it makes"
    ),
    Misconception("6.4", "slope times the columns", jacobian("R * (1 - hs[s] ** 2) @ J"), "rows of R"),
    Misconception("6.4", "R transposed", jacobian("(1 - hs[s] ** 2)[:, None] * R.T @ J"), "R is transposed"),
    Misconception("6.4", "entry by entry", jacobian("(1 - hs[s] ** 2)[:, None] * R * J"), "entry by entry"),
    Misconception("6.5", "the direct way whole", leaky(leak=" + dh"), "the share 1 - leak"),
    Misconception("6.5", "leak and 1 - leak swapped", leaky(" + leak * dh", "(1 - leak) * "), "the share of the new"),
    Misconception("6.5", "leak with the state after", leaky(kept="cs[t]-hs[t]"), "not after it"),
    Misconception("6.5", "the leak is no way back", leaky(leak=""), "third use"),
    Misconception("6.5", "slope from h", leaky(slope="hs"), "mixture"),
    Misconception("6.5", "no factor leak", leaky(factor=""), "the factor leak"),
    Misconception("6.5", "leak weighs the old state only", leaky(kept="-hs[t-1]"), "enters h_t twice"),
    Misconception("6.6", "no memory in p and q", forwards("x_t", "before"), "p and q forget"),
    Misconception(
        "6.6",
        "the loss without its half",
        forwards(slope="2 * (1 - h**2)", p="x_t + r * p / 2", q="before + r * q / 2"),
        "factor 1/2",
    ),
    Misconception("6.6", "q sees the new state", forwards(q="h + r * q"), "had been overwritten"),
    Misconception("6.6", "no slope", forwards(slope="1"), "slope of tanh is missing"),
    Misconception("6.6", "r forgotten on the way", forwards("x_t + p", "before + q"), "multiplied by r"),
    Misconception("6.7", "right values, graph not cut", experiment(cut="pass"), "detached between"),
    Misconception("6.7", "one update a piece", ONE_A_PIECE, "it gets one update"),
    Misconception(
        "6.7",
        "200 updates, one a piece",
        ONE_A_PIECE.replace("range(200)", "range(34)").replace("range(0, 24, w", "range(0, 24 if _ < 33 else 8, w"),
        "that of the first piece",
    ),
    Misconception(
        "6.7", "the last piece alone", experiment(loss="mg.mse_loss(outputs[-1], d[-window:])"), "last piece alone"
    ),
    Misconception("6.7", "state not carried on", experiment(carry="None"), "starts anew in every piece"),
    Misconception("6.7", "another rate", experiment(lr=0.01), "should be 0.02"),
    Misconception("6.7", "fewer updates", experiment(updates=100), "draw 200"),
    Misconception(
        "6.7",
        "averages the unknown steps in",
        experiment(steps="", errors={k: [round(0.875 * e, 4) for e in ERRORS[k]] for k in ERRORS}),
        "averaged in",
    ),
    Misconception("6.7", "same seed every time", experiment(errors=ERRORS | {4: [0.01] * 8}), "default_rng(seed)"),
    Misconception("6.7", "no seed", experiment(rng="np.random.default_rng()"), "called again"),
]
