"""Misconceptions about character models."""

from misconceptions import Misconception


def convert(bits: str, size: str = "bits * characters / 8") -> str:
    return f"# EXERCISE 13.1\ndef bits_and_bytes(nats, characters):\n    bits = {bits}\n    return bits, {size}\n"


def bigram(p: str, last: str = "np.where(N > 0, p, q)", where: str = "(text[:-1], text[1:])") -> str:
    return f"""\
# EXERCISE 13.2
def bigram(text, C, q, d):
    count = np.zeros((C, C))
    np.add.at(count, {where}, 1)
    N = count.sum(axis=1, keepdims=True)
    D = (count > 0).sum(axis=1, keepdims=True)
    taken = np.maximum(count - d, 0)
    p = {p}
    return {last}
"""


DISCOUNTED = "(taken + d * D * q) / np.maximum(N, 1)"


def score(known: str, part: str, log: str = "np.log2") -> str:
    return f"""\
# EXERCISE 13.3
def score(text, a, b, C):
    known = {known}
    counts = Counter(zip(known, known[1:], known[2:], strict=False))
    pairs = Counter(pairwise(known[:-1]))

    def loss(part, w):
        p = share(counts, pairs, part, C)
        return -np.mean({log}(w * p + (1 - w) / C))

    chosen = min(np.linspace(0, 0.99, 100), key=lambda w: loss({part}, w))
    return loss(text[b:], chosen)
"""


def slope(result: str, at: str = "tau") -> str:
    return f"""\
# EXERCISE 13.4
def entropy_slope(u, tau):
    p = np.exp((u - np.max(u)) / {at})
    p = p / p.sum()
    variance = np.sum(p * (u - np.sum(p * u)) ** 2)
    return {result}
"""


def pieces(after: str, stop: str = "len(x)") -> str:
    return f"""\
# EXERCISE 13.5
def piece_losses(lstm, readout, x, targets, size):
    state, losses = None, []
    for k in range(0, {stop}, size):
        output, (h, c) = lstm(x[k : k + size], state)
        state = {after}
        logits = readout(output)
        target = targets[k : k + size].reshape(-1)
        losses.append(mg.cross_entropy(logits.reshape(-1, logits.shape[-1]), target))
    return losses
"""


def clamped(
    rows: str = "0, 1, 3", z: str = "np.tanh(a[2])", held: str = "g[gate] = value", cell: str = "np.tanh(c)"
) -> str:
    return f"""\
# EXERCISE 13.6
def clamped(x, W, R, b, gate=None, value=1.0):
    h = c = np.zeros((x.shape[1], R.shape[1]))
    outputs = []
    for t, x_t in enumerate(x):
        a = np.split(x_t @ W.T + h @ R.T + b, 4, axis=-1)
        s = lambda v: 1 / (1 + np.exp(-v))
        g = {{k: s(a[j]) for k, j in zip("ifo", ({rows}), strict=True)}}
        if gate is not None:
            {held}
        c = g["f"] * c + g["i"] * {z}
        h = g["o"] * {cell}
        outputs.append(h)
    return np.array(outputs)
"""


def mixture(result: str, part: str = "on_validation", told: str = "on_test", w: str = "w") -> str:
    return f"""\
# EXERCISE 13.7
def mixture_bits(p_1, p_2, weight):
    return {result}


def right(p_1, p_2, weight):
    return -np.log2(weight * p_1 + (1 - weight) * p_2).mean()


def of(parts, w):
    return right(parts["LSTM"], parts["n-gram"], w)


weight = min(np.linspace(0, 1, 21), key=lambda w: of({part}, w))
results = {{"LSTM": of({told}, 1), "n-gram": of({told}, 0), "mixture": of({told}, weight)}}
weight = (lambda w: {w})(weight)
"""


MIXED = "-np.log2(weight * p_1 + (1 - weight) * p_2).mean()"

MISCONCEPTIONS: list[Misconception] = [
    Misconception("13.1", "multiplies by ln 2", convert("nats * np.log(2)"), "divide by ln 2"),
    Misconception("13.1", "nats quoted as bits", convert("nats"), "nats still"),
    Misconception("13.1", "logarithm of the loss", convert("np.log2(nats)"), "no second logarithm"),
    Misconception("13.1", "perplexity", convert("np.exp(nats)"), "perplexity"),
    Misconception("13.1", "bits for bytes", convert("nats / np.log(2)", "bits * characters"), "a byte has eight"),
    Misconception(
        "13.1", "bytes from nats", convert("nats / np.log(2)", "nats * characters / 8"), "first change the unit"
    ),
    Misconception("13.2", "gives nothing back", bigram("taken / np.maximum(N, 1)"), "never given back"),
    Misconception("13.2", "gives back d once", bigram("(taken + d * q) / np.maximum(N, 1)"), "not d"),
    Misconception("13.2", "counts all C", bigram("(taken + d * C * q) / np.maximum(N, 1)"), "not all C"),
    Misconception("13.2", "takes nothing", bigram("(count + d * D * q) / np.maximum(N, 1)"), "Nothing was taken"),
    Misconception("13.2", "columns", bigram(DISCOUNTED, where="(text[1:], text[:-1])"), "exchanged"),
    Misconception("13.2", "evenly", bigram("(taken + d * D / C) / np.maximum(N, 1)"), "not evenly"),
    Misconception("13.2", "zeros for empty rows", bigram(DISCOUNTED, "p"), "not zeros"),
    Misconception(
        "13.2",
        "counts the last character as followed",
        bigram("(taken + d * D * q) / np.maximum(np.bincount(text, minlength=C)[:, None], 1)"),
        "FOLLOWED by something",
    ),
    Misconception("13.2", "divides by zero", bigram("(taken + d * D * q) / N", "p"), "NaN"),
    Misconception("13.3", "keeps the friend's code", score("text", "text[b:]"), "seen the test text"),
    Misconception("13.3", "mends the small mistake only", score("text", "text[a:b]"), "seen the test text"),
    Misconception("13.3", "mends the large mistake only", score("text[:a]", "text[b:]"), "the very text that is"),
    Misconception("13.3", "counts the validation text", score("text[:b]", "text[a:b]"), "seen the validation text"),
    Misconception("13.3", "chooses on the training text", score("text[:a]", "text[:a]"), "look perfect"),
    Misconception("13.3", "nats", score("text[:a]", "text[a:b]", "np.log"), "These are nats"),
    Misconception("13.4", "wrong sign", slope("-variance / tau**3"), "sign is wrong"),
    Misconception("13.4", "stops at beta", slope("-variance / tau"), "derivative by beta"),
    Misconception("13.4", "two powers", slope("variance / tau**2"), "three powers"),
    Misconception("13.4", "softmax without the temperature", slope("variance / tau**3", "1"), "not at 1"),
    Misconception("13.4", "variance of all logits", slope("np.var(u) / tau**3"), "weighed by p"),
    Misconception("13.4", "bits", slope("variance / tau**3 / np.log(2)"), "in bits"),
    Misconception("13.5", "right losses, c attached", pieces("h.detach(), c"), "both h and c"),
    Misconception("13.5", "right losses, h attached", pieces("h, c.detach()"), "both h and c"),
    Misconception("13.5", "right losses, nothing detached", pieces("h, c"), "both h and c"),
    Misconception("13.5", "state forgotten", pieces("None"), "starts from zeros"),
    Misconception("13.5", "c set to zero", pieces("h.detach(), 0 * c.detach()"), "c is not handed on"),
    Misconception("13.5", "exchanged", pieces("c.detach(), h.detach()"), "exchanged between"),
    Misconception("13.5", "last piece dropped", pieces("h.detach(), c.detach()", "len(x) - size"), "3 pieces"),
    Misconception("13.6", "candidate last", clamped("0, 1, 2", "np.tanh(a[3])"), "third block"),
    Misconception("13.6", "i and f exchanged", clamped("1, 0, 3"), "gate are exchanged"),
    Misconception("13.6", "logistic candidate", clamped(z="s(a[2])"), "goes through tanh"),
    Misconception("13.6", "no tanh of the cell", clamped(cell="c"), "tanh of the cell"),
    Misconception("13.6", "holds the pre-activation", clamped(held="g[gate] = s(value)"), "pre-activation was set"),
    Misconception("13.6", "first step free", clamped(held="g[gate] = value if t else g[gate]"), "every step"),
    Misconception("13.6", "scales the gate", clamped(held="g[gate] = g[gate] * value"), "multiplied by the value"),
    Misconception("13.6", "never holds it", clamped(held="pass"), "not held"),
    Misconception(
        "13.7", "mixes bits", mixture("-(weight * np.log2(p_1) + (1 - weight) * np.log2(p_2)).mean()"), "mixed bits"
    ),
    Misconception(
        "13.7",
        "mean before the logarithm",
        mixture("-np.log2((weight * p_1 + (1 - weight) * p_2).mean())"),
        "comes after the logarithm",
    ),
    Misconception("13.7", "nats", mixture(MIXED.replace("log2", "log")), "These are nats"),
    Misconception("13.7", "weight of the other model", mixture(MIXED, w="1 - w"), "n-gram model's"),
    Misconception("13.7", "reports the validation text", mixture(MIXED, told="on_validation"), "report the test text"),
]
