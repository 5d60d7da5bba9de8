"""Misconceptions about Elman networks."""

from misconceptions import Misconception


def count(result: str) -> str:
    return f"# EXERCISE 4.1\ndef count_parameters(I, H, O):\n    return {result}\n"


def step(result: str) -> str:
    return f"# EXERCISE 4.2\ndef step(x, h, W, R, b):\n    return {result}\n"


def stretches(result: str, starts: str = "rng.integers(1, len(stream) - length - 1, size=count)") -> str:
    return f"""\
# EXERCISE 4.3
def stretches(stream, length, count, rng):
    starts = {starts}
    at = starts + np.arange(length)[:, None]
    return {result}
"""


def gradients(result: str, slope: str = "(1 - h2**2)", back: str = "r * (1 - h1**2)") -> str:
    return f"""\
# EXERCISE 4.4
def gradients(w, r, b, x1, x2, d):
    h1 = np.tanh(w * x1 + b)
    h2 = np.tanh(w * x2 + r * h1 + b)
    delta2 = (h2 - d) * {slope}
    delta1 = delta2 * {back}
    return {result}
"""


def pieces(loop: str, result: str = "mg.concatenate(outputs)", stop: str = "len(x)") -> str:
    body = "\n".join(" " * 8 + line for line in loop.splitlines())
    return f"""\
# EXERCISE 4.5
def read_in_pieces(rnn, x, size):
    h, outputs = None, []
    for start in range(0, {stop}, size):
{body}
    return {result}
"""


READ = "output, h = rnn(x[start : start + size], h)\n"


def write(choose: str, feed: str, state: str = "h", rng: str = "rng") -> str:
    return f"""\
# EXERCISE 4.6
def write(net, first, steps, rng):
    x, h, letters, C = first, None, [], first.shape[-1]
    for _ in range(steps):
        logits, h = net(x, {state})
        p = mg.softmax(logits).data[0, 0]
        rng = {rng}
        k = {choose}
        x = Tensor(({feed}).reshape(1, 1, C))
        letters.append(int(k))
    return letters
"""


def experiment(chosen: str, seed: str = "seed", updates: int = 300) -> str:
    return f"""\
# EXERCISE 4.7
def xor_error(hidden, seed):
    rng = np.random.default_rng({seed})
    stream = tasks.temporal_xor(3000, rng)[:, None].astype(float)
    fresh = tasks.temporal_xor(3000, rng)[:, None].astype(float)
    net = Elman(1, hidden, rng)
    optimizer = optim.Adam(net.parameters(), lr=0.02)
    for _ in range({updates}):
        starts = rng.integers(len(stream) - 24, size=32)
        stretch = stream[starts + np.arange(25)[:, None]]
        error = mg.mse_loss(net(Tensor(stretch[:-1]))[0], stretch[1:])
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    with mg.no_grad():
        predicted = net(Tensor(fresh[:-1]))[0].data
    squared = ((predicted - fresh[1:]) ** 2)[:, 0]
    return squared[{chosen}].mean()


errors = {{H: [xor_error(H, seed) for seed in range(5)] for H in (1, 2, 8)}}
"""


MISCONCEPTIONS: list[Misconception] = [
    Misconception("4.1", "forgets the biases", count("H * I + H * H + O * H"), "biases"),
    Misconception("4.1", "forgets the recurrent weights", count("H * I + H + O * H + O"), "recurrent weights R"),
    Misconception("4.1", "two biases as in PyTorch", count("H * I + H * H + 2 * H + O * H + O"), "one bias"),
    Misconception("4.1", "forgets the output", count("H * I + H * H + H"), "V and b_y"),
    Misconception("4.1", "right for the chapter's net only", count("89"), "follow from the sizes"),
    Misconception("4.2", "R not transposed", step("mg.tanh(x @ W.T + h @ R + b)"), "h @ R.T"),
    Misconception("4.2", "copies the equation", step("mg.tanh(W @ x + R @ h + b)"), "x @ W.T in code"),
    Misconception("4.2", "no bias", step("mg.tanh(x @ W.T + h @ R.T)"), "bias"),
    Misconception("4.2", "logistic function", step("mg.sigmoid(x @ W.T + h @ R.T + b)"), "not the logistic"),
    Misconception(
        "4.2", "right values, state detached", step("mg.tanh(x @ W.T + h.detach() @ R.T + b)"), "no gradient reaches h"
    ),
    Misconception(
        "4.2",
        "right values, in NumPy",
        step("Tensor(np.tanh(x.data @ W.data.T + h.data @ R.data.T + b.data))"),
        "no gradient reaches the arguments",
    ),
    Misconception("4.3", "keeps the copy", stretches("stream[at], stream[at]"), "need only copy"),
    Misconception(
        "4.3", "the phase leaks", stretches("stream[at], stream[at + 1]", "3 * rng.integers(100, size=count)"), "secret"
    ),
    Misconception("4.3", "predicts the past", stretches("stream[at], stream[at - 1]"), "step before"),
    Misconception("4.3", "two steps ahead", stretches("stream[at], stream[at + 2]"), "comes next"),
    Misconception(
        "4.3", "right pairs, always the same", stretches("stream[at], stream[at + 1]", "np.arange(count)"), "with rng"
    ),
    Misconception("4.4", "stops at step 2", gradients("(delta2 * x2, delta2 * h1, delta2)"), "stopped at step 2"),
    Misconception(
        "4.4",
        "slope at the activated value",
        gradients(
            "(delta2 * x2 + delta1 * x1, delta2 * h1, delta2 + delta1)",
            "(1 - np.tanh(h2)**2)",
            "r * (1 - np.tanh(h1)**2)",
        ),
        "1 - h^2",
    ),
    Misconception(
        "4.4",
        "no slope at all",
        gradients("(delta2 * x2 + delta1 * x1, delta2 * h1, delta2 + delta1)", "1", "r"),
        "slope of tanh is missing",
    ),
    Misconception(
        "4.4",
        "path without r",
        gradients("(delta2 * x2 + delta1 * x1, delta2 * h1, delta2 + delta1)", back="(1 - h1**2)"),
        "leads through r",
    ),
    Misconception(
        "4.4", "b counted once", gradients("(delta2 * x2 + delta1 * x1, delta2 * h1, delta2)"), "dL/dw, dL/dr."
    ),
    Misconception(
        "4.4",
        "right numbers, wrong order",
        gradients("(delta2 * h1, delta2 * x2 + delta1 * x1, delta2 + delta1)"),
        "not in the order",
    ),
    Misconception(
        "4.5",
        "state forgotten at each piece",
        pieces("output, h = rnn(x[start : start + size])\noutputs.append(output)"),
        "starts from zeros",
    ),
    Misconception(
        "4.5",
        "last piece dropped",
        pieces(READ + "h = h.detach()\noutputs.append(output)", stop="len(x) - size + 1"),
        "last, shorter piece",
    ),
    Misconception(
        "4.5", "right values, graph never ends", pieces(READ + "outputs.append(output)"), "reaches across the pieces"
    ),
    Misconception(
        "4.5",
        "right values, outputs detached",
        pieces(READ + "h = h.detach()\noutputs.append(output.detach())"),
        "detach the state only",
    ),
    Misconception("4.6", "feeds the softmax back", write("rng.choice(C, p=p)", "p"), "probabilities are fed back"),
    Misconception("4.6", "always the most probable", write("p.argmax()", "np.eye(C)[k]"), "most probable letter"),
    Misconception("4.6", "state forgotten", write("rng.choice(C, p=p)", "np.eye(C)[k]", state="None"), "not handed on"),
    Misconception("4.6", "all letters alike", write("rng.choice(C)", "np.eye(C)[k]"), "p=softmax"),
    Misconception(
        "4.6",
        "right letters, own generator",
        write("rng.choice(C, p=p)", "np.eye(C)[k]", rng="np.random.default_rng()"),
        "nothing else",
    ),
    Misconception("4.7", "averages over all bits", experiment("slice(None)"), "predictable bits only"),
    Misconception("4.7", "phase off by one", experiment("np.arange(2999) % 3 == 2"), "bit k + 1"),
    Misconception(
        "4.7",
        "same seed every time",
        experiment("np.arange(1, 3000) % 3 == 2", seed="0", updates=3),
        "default_rng(seed)",
    ),
]
