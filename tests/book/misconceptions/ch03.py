"""Misconceptions about losses, optimisers and first weights."""

from misconceptions import Misconception


def first(result: str) -> str:
    return f"# EXERCISE 3.1\ndef first_loss(classes):\n    return {result}\n"


def entropy(
    gradient: str = "(y - d) / len(c)",
    loss: str = "(np.log(total[:, 0]) - u[rows, c]).mean()",
    top: str = "u.max(axis=1, keepdims=True)",
) -> str:
    return f"""\
# EXERCISE 3.2
def cross_entropy(u, c):
    rows = np.arange(len(c))
    d = np.eye(u.shape[1])[c]
    u = u - {top}
    total = np.exp(u).sum(axis=1, keepdims=True)
    y = np.exp(u) / total
    loss = {loss}
    return loss, {gradient}
"""


def softmaxes(loss: str = "mg.cross_entropy(u, c)", floor: str = "np.log(np.e + classes - 1) - 1") -> str:
    return f"""\
# EXERCISE 3.3
def loss(u, c):
    return {loss}


def floor(classes):
    return {floor}
"""


def layers(
    result: str = "a_bar.T @ x, a_bar.sum(axis=0), u_bar.T @ h, u_bar.sum(axis=0)",
    slope: str = "(1 - h**2)",
    start: str = "(y - d) / len(x)",
) -> str:
    return f"""\
# EXERCISE 3.4
def gradients(x, d, W, b, V, b_y):
    h = np.tanh(x @ W.T + b)
    u = h @ V.T + b_y
    y = np.exp(u - u.max(axis=1, keepdims=True))
    y = y / y.sum(axis=1, keepdims=True)
    u_bar = {start}
    a_bar = u_bar @ V * {slope}
    return {result}
"""


def rate(result: str) -> str:
    return f"# EXERCISE 3.5\ndef largest_rate(eigenvalues, mu):\n    return {result}\n"


def adam(correct: str, result: str = "m_hat / (np.sqrt(v_hat) + eps)", count: str = "self.n += 1") -> str:
    body = "\n".join(" " * 8 + line for line in correct.splitlines())
    return f"""\
# EXERCISE 3.6
class Adam:
    def __init__(self, shape):
        self.n, self.m, self.v = 0, np.zeros(shape), np.zeros(shape)

    def update(self, g, beta1=0.9, beta2=0.999, eps=1e-8):
        {count}
        self.m = beta1 * self.m + (1 - beta1) * g
        self.v = beta2 * self.v + (1 - beta2) * g**2
{body}
        return {result}
"""


CORRECTED = "m_hat = self.m / (1 - beta1**self.n)\nv_hat = self.v / (1 - beta2**self.n)"


def experiment(
    scale: str = "gain / np.sqrt(inputs)",
    target: str = "layer.weight.data",
    seed: str = "seed",
    part: str = "validation",
    score: str = "(u.argmax(axis=1) == {part}[1]).mean()",
    optimizer: str = "optim.SGD(net.parameters(), lr=0.1)",
    used: str = "layers[:-1]",
    middle: int = 5,
    updates: int = 300,  # 3 where the check speaks before it asks what was learnt
) -> str:
    return f"""\
# EXERCISE 3.7
def deep_accuracy(gain, seed):
    rng = np.random.default_rng({seed})
    layers, sizes = [], [(64, 32)] + {middle} * [(32, 32)] + [(32, 10)]
    for inputs, outputs in sizes:
        layer = nn.Linear(inputs, outputs, rng=rng)
        {target} = {scale} * rng.standard_normal((outputs, inputs))
        layer.bias.data = np.zeros(outputs)
        layers += [layer, mg.tanh]
    net = nn.Sequential(*{used})
    optimizer = {optimizer}
    x, c = training
    for _ in range({updates}):
        rows = rng.integers(len(c), size=32)
        optimizer.zero_grad()
        mg.cross_entropy(net(Tensor(x[rows])), c[rows]).backward()
        optimizer.step()
    with mg.no_grad():
        u = net(Tensor({part}[0])).data
    return {score.format(part=part)}


shares = {{gain: [deep_accuracy(gain, seed) for seed in range(5)] for gain in (0.2, 1.0, 5.0)}}
"""


MISCONCEPTIONS: list[Misconception] = [
    Misconception("3.1", "in bits", first("np.log2(classes)"), "in bits"),
    Misconception("3.1", "the probability itself", first("1 / classes"), "minus its logarithm"),
    Misconception("3.1", "the share of errors", first("1 - 1 / classes"), "share of wrong answers"),
    Misconception("3.1", "right for ten classes only", first("2.303"), "follow from their number"),
    Misconception("3.1", "forgets the minus", first("np.log(1 / classes)"), "sign"),
    Misconception("3.2", "overflows", entropy(top="0"), "subtract the largest first"),
    Misconception("3.2", "the maximum of each column", entropy(top="u.max(axis=0)"), "of each column"),
    Misconception("3.2", "one maximum for all rows", entropy(top="u.max()"), "of each row"),
    Misconception("3.2", "a constant in the logarithm", entropy(loss="-np.log(y[rows, c] + 1e-12).mean()"), "caps it"),
    Misconception("3.2", "logarithm of a probability", entropy(loss="-np.log(y[rows, c]).mean()"), "rounded to 0"),
    Misconception("3.2", "sum over the batch", entropy(loss="(np.log(total[:, 0]) - u[rows, c]).sum()"), "their mean"),
    Misconception("3.2", "right loss, gradient of the sum", entropy("y - d"), "divided by B"),
    Misconception("3.2", "right loss, gradient reversed", entropy("(d - y) / len(c)"), "sign is reversed"),
    Misconception("3.2", "right loss, no target in the gradient", entropy("y / len(c)"), "lacks the target"),
    Misconception("3.2", "right loss, stops at the probabilities", entropy("-d / y / len(c)"), "through the softmax"),
    Misconception("3.3", "keeps both softmaxes", softmaxes("mg.cross_entropy(mg.softmax(u), c)"), "still taken twice"),
    Misconception(
        "3.3", "right value, outside the graph", softmaxes("mg.cross_entropy(Tensor(u.data), c)"), "no gradient reaches"
    ),
    Misconception(
        "3.3",
        "no logarithm",
        softmaxes("-mg.softmax(u)[np.arange(len(c)), c].mean()"),
        "its logarithm is missing",
    ),
    Misconception("3.3", "the floor of the right loss", softmaxes(floor="0"), "a right cross-entropy"),
    Misconception("3.3", "the number, not the formula", softmaxes(floor="1.4612"), "follow from their number"),
    Misconception("3.3", "one class too many", softmaxes(floor="np.log(np.e + classes) - 1"), "one fewer"),
    Misconception("3.4", "sum instead of mean", layers(start="y - d"), "lacks the factor 1 / B"),
    Misconception(
        "3.4", "right h, slope at the activated value", layers(slope="(1 - np.tanh(h)**2)"), "already the tanh"
    ),
    Misconception(
        "3.4",
        "divided by B twice",
        layers("a_bar.T @ x / 6, a_bar.mean(axis=0), u_bar.T @ h / 6, u_bar.mean(axis=0)"),
        "twice",
    ),
    Misconception("3.4", "no slope", layers(slope="1"), "slope of tanh is missing"),
    Misconception(
        "3.4",
        "biases averaged",
        layers("a_bar.T @ x, a_bar.mean(axis=0), u_bar.T @ h, u_bar.mean(axis=0)"),
        "sum over the batch",
    ),
    Misconception("3.4", "biases not summed", layers("a_bar.T @ x, a_bar, u_bar.T @ h, u_bar"), "Sum over the batch"),
    Misconception(
        "3.4",
        "weights transposed",
        layers("x.T @ a_bar, a_bar.sum(axis=0), h.T @ u_bar, u_bar.sum(axis=0)"),
        "It is transposed",
    ),
    Misconception(
        "3.4",
        "right numbers, wrong order",
        layers("u_bar.T @ h, u_bar.sum(axis=0), a_bar.T @ x, a_bar.sum(axis=0)"),
        "not in the order",
    ),
    Misconception("3.5", "ignores momentum", rate("2 / max(eigenvalues)"), "without momentum"),
    Misconception("3.5", "steps add up everywhere", rate("2 * (1 - mu) / max(eigenvalues)"), "natural guess"),
    Misconception("3.5", "the flattest direction", rate("2 * (1 + mu) / min(eigenvalues)"), "flattest"),
    Misconception(
        "3.5", "as long as roots are complex", rate("(1 + np.sqrt(mu))**2 / max(eigenvalues)"), "stop being complex"
    ),
    Misconception("3.5", "an arbitrary number", rate("10.0"), "runs away"),
    Misconception(
        "3.6",
        "stores the correction",
        adam(
            "self.m = self.m / (1 - beta1**self.n)\nself.v = self.v / (1 - beta2**self.n)",
            "self.m / (np.sqrt(self.v) + eps)",
        ),
        "are still stored",
    ),
    Misconception("3.6", "eps under the root", adam(CORRECTED, "m_hat / np.sqrt(v_hat + eps)"), "not under it"),
    Misconception("3.6", "drops the correction", adam("", "self.m / (np.sqrt(self.v) + eps)"), "no correction at all"),
    Misconception(
        "3.6",
        "corrects the mean only",
        adam("m_hat = self.m / (1 - beta1**self.n)", "m_hat / (np.sqrt(self.v) + eps)"),
        "v is not",
    ),
    Misconception(
        "3.6",
        "right first step, count stays at one",
        adam(CORRECTED, count="self.n = 1"),
        "first step is right",
    ),
    Misconception("3.6", "counts from zero", adam(CORRECTED + "\nself.n += 1", count="pass"), "self.n counted"),
    Misconception("3.7", "variance for deviation", experiment("gain / inputs"), "not by the number itself"),
    Misconception("3.7", "forgets the inputs", experiment("gain"), "root of the number of inputs"),
    Misconception("3.7", "new weights left outside", experiment(target="weight", updates=3), "makes no difference"),
    Misconception("3.7", "same seed every time", experiment(seed="0", updates=3), "default_rng(seed)"),
    Misconception("3.7", "opens the test set", experiment(part="test", updates=3), "stays closed"),
    Misconception("3.7", "scores on the training set", experiment(part="training", updates=3), "training set"),
    Misconception(
        "3.7", "counts instead of shares", experiment(score="(u.argmax(axis=1) == {part}[1]).sum()", updates=3), "share"
    ),
    Misconception("3.7", "a tanh on the readout", experiment(used="layers"), "no tanh after the readout"),
    Misconception("3.7", "five hidden layers", experiment(middle=4), "learns too well"),
    Misconception("3.7", "another optimiser", experiment(optimizer="optim.Adam(net.parameters())"), "plain SGD"),
]
