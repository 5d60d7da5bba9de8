"""Misconceptions about programs on a GPU; most give the right numbers."""

from misconceptions import Misconception


def launches(result: str) -> str:
    return f"# EXERCISE 15.1\ndef launches(T, B, layers, directions):\n    return {result}\n"


def segments(result: str) -> str:
    return f"# EXERCISE 15.2\ndef segments(entries, itemsize, start):\n    return {result}\n"


def train(
    *,
    inputs: str = "x",
    targets: str = "d",
    before: str = "x, d = Tensor(x, device=device), Tensor(d, device=device)",
    keep: str = "loss.detach()",
    result: str = 'mg.stack(losses).to("cpu").tolist()',
) -> str:
    return f"""\
# EXERCISE 15.3
def train(net, x, d, updates, device):
    {before}
    losses = []
    for _ in range(updates):
        loss = mg.mse_loss(net({inputs}), {targets})
        net.zero_grad()
        loss.backward()
        for p in net.parameters():
            p.data = p.data - 0.1 * p.grad
        losses.append({keep})
    return {result}
"""


def break_even(body: str) -> str:
    return f"# EXERCISE 15.4\ndef break_even(H, tau, P, S, P_c):\n    {body}\n"


WORK = "2 * tau / (8 * H**2 * (1 / P_c - 1 / P))"


def thread(
    body: str = "after[k] = np.tanh(total)",
    *,
    guard: str = "if k >= B * H: return",
    place: str = "s, u = k // H, k % H",
    R: str = "R[u * H + j]",
    start: str = "a[s * H + u]",
) -> str:
    return f"""\
# EXERCISE 15.5
def elman_thread(k, B, H, a, R, before, after):
    {guard}
    {place}
    total = {start}
    for j in range(H):
        total = total + {R} * before[s * H + j]
    {body}
"""


ALL_OF_THE_SEQUENCE = """\
# EXERCISE 15.5
def elman_thread(k, B, H, a, R, before, after):
    if k >= B * H:
        return
    s = k // H
    own = slice(s * H, (s + 1) * H)
    after[own] = np.tanh(a[own] + R.reshape(H, H) @ before[own])
"""

ONE_THREAD_FOR_ALL = """\
# EXERCISE 15.5
def elman_thread(k, B, H, a, R, before, after):
    if k == 0:
        h = np.tanh(a.reshape(B, H) + before.reshape(B, H) @ R.reshape(H, H).T)
        after[:] = h.ravel()
"""


def add_up(order: str = "np.argsort(place)", add: str = "np.add.at(total, row[order], part[order])") -> str:
    return f"""\
# EXERCISE 15.6
def add_up(place, row, part, rows):
    order = {order}
    total = np.zeros(rows, "float32")
    {add}
    return total
"""


DOUBLE = """\
# EXERCISE 15.6
def add_up(place, row, part, rows):
    total = np.zeros(rows)
    np.add.at(total, row, part.astype("float64"))
    return total.astype("float32")
"""


def experiment(
    step: str = "np.tanh(a_t + tf32(R) @ tf32(coarse))", above: str = "median[gain] > 0.1", seed: str = "seed"
) -> str:
    return f"""\
# EXERCISE 15.7
def gap(gain, seed):
    R, a = setting(gain, {seed})
    fine = coarse = np.zeros(len(R), "float32")
    for a_t in a:
        before = fine
        fine = np.tanh(a_t + R @ fine)
        coarse = {step}
    return np.linalg.norm(fine - coarse)

median = {{gain: np.median([gap(gain, seed) for seed in range(10)]) for gain in GAINS}}
lost = [gain for gain in GAINS if {above}]
"""


MISCONCEPTIONS = [
    Misconception("15.1", "no product before", launches("layers * directions * 2 * T"), "The product of the inputs"),
    Misconception("15.1", "one product a step", launches("layers * directions * 3 * T"), "in one product before"),
    Misconception("15.1", "directions at once", launches("layers * (1 + 2 * T)"), "Two directions are two programs"),
    Misconception("15.1", "the batch", launches("B * layers * directions * (1 + 2 * T)"), "The batch is in the rows"),
    Misconception("15.1", "three gates", launches("layers * directions * (1 + 6 * T)"), "three blocks of rows"),
    Misconception("15.2", "entries for bytes", segments("len(np.unique((start + entries) // 32))"), "made of bytes"),
    Misconception("15.2", "no start", segments("len(np.unique(entries * itemsize // 32))"), "`start` belongs"),
    Misconception(
        "15.2", "from first to last",
        segments("np.ptp((start + entries * itemsize) // 32) + 1"), "Only segments in which something is read",
    ),
    Misconception("15.2", "128 bytes", segments("len(np.unique((start + entries * itemsize) // 128))"), "has 32 bytes"),
    Misconception("15.2", "how much, not where", segments("math.ceil(32 * itemsize / 32)"), "look at the addresses"),
    Misconception("15.3", "item in the loop", train(keep="loss.item()", result="losses"), "fetched one by one"),
    Misconception(
        "15.3", "one by one at the end", train(result="[l.item() for l in losses]"), "fetched one by one"
    ),
    Misconception("15.3", "inputs and targets travel", train(before="pass"), "x and d travel each time"),
    Misconception(
        "15.3", "the targets travel", train(before="x = Tensor(x, device=device)"), "one of x and d still travels"
    ),
    Misconception("15.3", "only the last loss", train(result="losses[-1].item()"), "One number came back"),
    Misconception("15.3", "left there", train(result="losses"), "still on the GPU"),
    Misconception(
        "15.4", "one launch",
        break_even(
            "B = P_c * (tau + 16 * H**2 / S) / (8 * H**2)\n"
            "    if B <= 2 * P / S: return B\n"
            "    return math.inf if P <= P_c else tau / (8 * H**2 * (1 / P_c - 1 / P))"
        ),
        "A step has two launches",
    ),
    Misconception(
        "15.4", "always waits for memory", break_even("return P_c * (2 * tau + 16 * H**2 / S) / (8 * H**2)"),
        "no longer waits for its memory",
    ),
    Misconception(
        "15.4", "never waits for memory", break_even(f"return math.inf if P <= P_c else {WORK}"),
        "not for its arithmetic",
    ),
    Misconception(
        "15.4", "a sum for the maximum",
        break_even("return (2 * tau + 16 * H**2 / S) / (8 * H**2 * (1 / P_c - 1 / P)) if P > P_c else math.inf"),
        "takes the larger one",
    ),
    Misconception(
        "15.4", "a negative batch",
        break_even(
            "B = P_c * (2 * tau + 16 * H**2 / S) / (8 * H**2)\n"
            f"    return B if B <= 2 * P / S else {WORK} if P != P_c else math.inf"
        ),
        "the GPU never catches up",
    ),
    Misconception("15.5", "no guard", thread(guard="pass"), "The last block is seldom full"),
    Misconception("15.5", "all of the sequence", ALL_OF_THE_SEQUENCE, "The values are right, but 50 threads write"),
    Misconception("15.5", "one thread for all", ONE_THREAD_FOR_ALL, "a thread has one unit of one sequence"),
    Misconception(
        "15.5", "scattered", thread("after[s * H + u] = np.tanh(total)", place="s, u = k % B, k // B"),
        "neighbouring threads have units far apart",
    ),
    Misconception("15.5", "R transposed", thread(R="R[j * H + u]"), "R is transposed"),
    Misconception("15.5", "in place", thread("before[k] = np.tanh(total)"), "may still need the old numbers"),
    Misconception("15.5", "adds up in after", thread("after[k] += np.tanh(total)"), "reads from `after` what"),
    Misconception("15.5", "two axes", thread("after[s, u] = np.tanh(total)"), "Memory is flat"),
    Misconception("15.6", "as they come", add_up("np.arange(len(row))"), "not the same in every order of arrival"),
    Misconception(
        "15.6", "sorted by row alone", add_up('np.argsort(row, kind="stable")'), "may still stand in order of arrival"
    ),
    Misconception("15.6", "double precision", DOUBLE, "only makes differences rarer"),
    Misconception("15.6", "one part a row", add_up(add="total[row[order]] += part[order]"), "forgets the others"),
    Misconception("15.7", "R alone", experiment("np.tanh(a_t + tf32(R) @ coarse)"), "Only R is rounded"),
    Misconception("15.7", "the state", experiment("tf32(np.tanh(a_t + tf32(R) @ coarse))"), "The state itself"),
    Misconception("15.7", "the product", experiment("np.tanh(a_t + tf32(R @ coarse))"), "The result of the product"),
    Misconception(
        "15.7", "one past for both", experiment("np.tanh(a_t + tf32(R) @ tf32(before))"), "start from the same state"
    ),
    Misconception("15.7", "every gain above 1", experiment(above="gain > 1"), "A gain above 1 is not enough"),
    Misconception("15.7", "one seed", experiment(seed="0"), "All seeds give the same"),
]  # fmt: skip
