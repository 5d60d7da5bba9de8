"""Checks of the exercises on character models. Each tries properties in turn, its hint speaking to one mistake."""

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np

import minigrad as mg
from minigrad import Tensor, grad, nn
from unrolled.checks import CheckFailed, check, close, passed


def check_1(bits_and_bytes: Callable) -> None:
    """Bits per character and bytes of a text, from nats."""
    for nats, characters in (1.2, 1000), (np.log(68), 680_738), (0.5, 16):
        answer = bits_and_bytes(nats, characters)
        check(answer is not None, "The answer is None: does the function return its result?")
        check(np.shape(answer) == (2,), "Return two numbers: bits per character, and bytes.")
        bits = nats / np.log(2)
        mistakes = {
            "A nat is more than a bit, so the number of bits is the larger one: divide by ln 2.": nats * np.log(2),
            "These are nats still: the cross-entropy of the engine uses the natural logarithm.": nats,
            "The loss is a logarithm already: change its base, and take no second logarithm.": np.log2(nats),
            "That is the perplexity, not bits: the loss is to be changed in its unit only.": np.exp(nats),
        }
        close(answer[0], bits, "ln 2 nats are one bit.", mistakes=mistakes)
        mistakes = {
            "That is the number of bits; a byte has eight of them.": bits * characters,
            "Every character costs that much: multiply by the number of characters.": bits / 8,
            "The bytes were computed from nats; first change the unit.": nats * characters / 8,
            "A byte has eight bits, so there are fewer bytes than bits.": bits * characters * 8,
            "Do not round: the number of bytes need not be whole here.": bits * characters // 8,
        }
        close(answer[1], bits * characters / 8, "The text takes bits times characters, in bytes.", mistakes=mistakes)
    passed("13.1")


def _bigram(text: np.ndarray, C: int, q: np.ndarray, d: float, way: str = "") -> np.ndarray:
    """Return the discounted bigram model, or what a mistake makes of it."""
    count = np.zeros((C, C))
    np.add.at(count, (text[:-1], text[1:]), 1)
    if way == "columns":
        count = count.T
    N, D = count.sum(axis=1, keepdims=True), (count > 0).sum(axis=1, keepdims=True)
    if way == "last":
        N = np.bincount(text, minlength=C)[:, None]
    freed = {"none": 0, "one": d, "all": d * C, "share": d}.get(way, d * D)
    kept = count if way == "kept" else np.maximum(count - d, 0)
    p = (kept + freed * (1 / C if way == "uniform" else q)) / np.maximum(N, 1)
    if way == "share":
        p = np.maximum(count - d, 0) / np.maximum(N, 1) + d * D * q
    return np.where(N > 0, p, 0 if way == "empty" else q)


def check_2(bigram: Callable) -> None:
    """The discounted bigram: its rows, its sums, its empty rows."""
    rng = np.random.default_rng(0)
    hints = {
        "none": "What the discount takes is never given back, so the rows sum to less than one: "
        "the second term is missing.",
        "one": "d is taken from each of the D(s) counts, so d D(s) is given back, not d: the rows do not sum to one.",
        "all": "D(s) counts the different characters that did follow s, not all C.",
        "kept": "Nothing was taken: the discount d comes off every count that is not zero.",
        "columns": "Rows and columns are exchanged: row s holds what follows s.",
        "uniform": "What is freed goes out in the proportions of q, not evenly.",
        "empty": "A character that nothing followed gets the row q, not zeros.",
        "share": "The whole numerator is divided by N(s), what is given back included.",
        "last": "N(s) counts how often s was FOLLOWED by something; nothing follows the text's last character.",
    }
    for C, length, d in (5, 60, 0.8), (9, 40, 0.5), (4, 50, 0.7):
        text = rng.integers(C - 1, size=length)
        if C > 4:
            text[-1] = C - 1  # this character occurs once, at the end: nothing follows it; else it never occurs
        text.flags.writeable = False
        q = rng.dirichlet(np.ones(C))
        right = _bigram(text, C, q, d)
        with np.errstate(all="ignore"):
            p = bigram(text, C, q, d)
        check(p is not None, "The answer is None: does the function return its result?")
        p = np.asarray(getattr(p, "data", p) if isinstance(p, Tensor) else p)
        check(p.shape == (C, C), f"The result has shape {p.shape}; it is a matrix, a row for each character s.")
        check(
            not np.isnan(p).any(),
            "There is a NaN: a character that nothing followed has N(s) = 0. Its row is q.",
        )
        mistakes = {hint: _bigram(text, C, q, d, way) for way, hint in hints.items()}
        sums = p.sum(axis=1)
        hint = f"The rows sum to {sums.min():.3f} to {sums.max():.3f}; each should be one."
        if np.allclose(sums, 1):
            hint = "Every row sums to one, as it should, but the entries are not those of the formula."
        close(p, right, hint, mistakes=mistakes)
    passed("13.2")


def _trigram(text: list, a: int, b: int, C: int, share: Callable, way: str = "") -> float:
    """Return the score of exercise 13.3, or what a mistake makes of it."""
    known = text if way == "all" else text[:b] if way in ("validation", "both") else text[:a]
    if way == "test":
        known = text[b:]
    counts = Counter(zip(known, known[1:], known[2:], strict=False))
    pairs = Counter(pairwise(known[:-1]))
    weights = np.linspace(0, 0.99, 100)
    chosen_on = text[b:] if way in ("chosen", "both") else text[:a] if way == "train" else text[a:b]
    loss = lambda part, w: -np.mean(np.log2(w * share(counts, pairs, part, C) + (1 - w) / C))
    return loss(text[b:], min(weights, key=lambda w: loss(chosen_on, w)))


def check_3(score: Callable, share: Callable) -> None:
    """An honest score: on noise, then on a text with structure."""
    rng = np.random.default_rng(1)
    noise = rng.integers(12, size=900).tolist()
    jumps = rng.dirichlet(np.full(6, 0.3), size=6)
    chain = [0]
    while len(chain) < 900:
        chain.append(int(rng.choice(6, p=jumps[chain[-1]])))
    hints = {
        "all": "The counts have seen the test text, as the friend's have: count on text[:a] only. And on which part is "
        "the weight chosen?",
        "test": "The counts come from the test text itself.",
        "both": "The counts have seen the validation text, and the weight was chosen on the test text.",
        "validation": "The counts have seen the validation text, on which the weight is chosen, so it trusts them too "
        "much. Count on text[:a] only.",
        "chosen": "The weight was chosen on the very text that is measured. Choose it on text[a:b].",
        "train": "The weight was chosen on the text that was counted, where the trigrams look perfect. "
        "Choose it on text[a:b].",
    }
    for name, text, C in ("noise", noise, 12), ("chain", chain, 6):
        right = _trigram(text, 600, 750, C, share)
        mistakes = {hint: _trigram(text, 600, 750, C, share, way) for way, hint in hints.items()}
        mistakes["These are nats: use the logarithm to base 2."] = right * np.log(2)
        answer = score(list(text), 600, 750, C)
        hint = (
            f"On a text made by {'chance' if name == 'noise' else 'a chain of pairs'} the score should be {right:.3f}."
        )
        # Two mistakes may give one number; a wrong answer gets the first that fits.
        close(answer, right, hint, mistakes=mistakes, rtol=1e-9)
    passed("13.3")


def check_4(entropy_slope: Callable) -> None:
    """The derivative of the entropy by the temperature, against central differences."""
    rng = np.random.default_rng(0)

    def softmax(u: np.ndarray, tau: float) -> np.ndarray:
        p = np.exp((u - u.max()) / tau)
        return p / p.sum()

    def entropy(u: np.ndarray, tau: float) -> float:
        p = softmax(u, tau)
        return -(p * np.log(p)).sum()

    for size, tau in (5, 0.7), (8, 1.6), (3, 0.9):
        u = 2 * rng.standard_normal(size) + 1
        p, p1 = softmax(u, tau), softmax(u, 1.0)
        variance = (p * (u - p @ u) ** 2).sum()
        right = variance / tau**3
        assert np.isclose(right, (entropy(u, tau + 1e-5) - entropy(u, tau - 1e-5)) / 2e-5, rtol=1e-5)
        mistakes = {
            "The sign is wrong: a higher temperature spreads the probabilities, so the entropy rises.": -right,
            "That is the derivative by beta = 1/tau. The chain rule adds the factor -1/tau^2.": -variance / tau,
            "The factor of the chain rule is -1/tau^2, and beta itself is 1/tau: three powers of tau in all.": (
                variance / tau**2
            ),
            "One factor is missing: dS/dbeta is -beta times the variance, and beta is 1/tau.": variance / tau,
            "That is the variance alone.": variance,
            "dbeta/dtau is -1/tau^2, and dS/dbeta is -beta times the variance: two signs, and a factor beta.": (
                -variance / tau**2
            ),
            "The variance is taken under p at the temperature tau, not at 1.": (
                (p1 * (u - p1 @ u) ** 2).sum() / tau**3
            ),
            "The variance is weighed by p: np.var takes all logits alike.": np.var(u) / tau**3,
            "The slope is in nats here, and this is in bits.": right / np.log(2),
            "That is the variance of u / tau under p; its square brings two powers of tau, and one more is needed.": (
                variance / tau**2
            ),
        }
        close(entropy_slope(u, tau), right, "Compare with central differences of S.", mistakes=mistakes)
    value = entropy_slope(np.array([1000.0, 999.0, 0.0]), 1.0)
    check(
        np.isfinite(float(np.asarray(value))),
        "Right, but logits of 1000 overflow: subtract the largest logit before the exponential.",
    )
    passed("13.4")


def check_5(piece_losses: Callable) -> None:
    """Values of one long run, and gradients that end where the piece begins, on both states."""
    rng = np.random.default_rng(0)
    lstm = nn.LSTM(3, 4, 2, rng=rng, dtype="float64")
    readout = nn.Linear(4, 5, rng=rng, dtype="float64")
    x = Tensor(rng.standard_normal((10, 2, 3)), requires_grad=True)
    targets = rng.integers(5, size=(10, 2))
    starts = 0, 4, 8

    def losses(states: Callable) -> list[float]:
        found, state = [], None
        for k in starts:
            output, after = lstm(x[k : k + 4], state)
            state = states(after)
            found.append(mg.cross_entropy(readout(output).reshape(-1, 5), targets[k : k + 4].reshape(-1)).item())
        return found

    right = losses(lambda s: s)
    zeros = lambda s: Tensor(np.zeros(s.shape))
    answer = piece_losses(lstm, readout, x, targets, 4)
    check(answer is not None, "The answer is None: does the function return its result?")
    check(
        isinstance(answer, list | tuple) or np.ndim(getattr(answer, "data", answer)) > 0,
        "Return a list of losses, one for each piece, and not their sum.",
    )
    answer = list(answer)
    check(
        len(answer) == 3, f"10 steps in pieces of 4 are 3 pieces, the last of 2 steps; there are {len(answer)} losses."
    )
    check(all(isinstance(loss, Tensor) and loss.requires_grad for loss in answer),
          "The losses must be Tensors with a graph behind them: without it, nothing can be trained.")  # fmt: skip
    mistakes = {
        "Each piece starts from zeros: hand on both states, h and c.": losses(lambda s: None),
        "c is not handed on: the memory of the cells begins anew in each piece.": losses(lambda s: (s[0], zeros(s[1]))),
        "h is not handed on: each piece begins with outputs of zero.": losses(lambda s: (zeros(s[0]), s[1])),
        "h and c are exchanged between the pieces: the state is the tuple (h, c).": losses(lambda s: (s[1], s[0])),
    }
    close(answer, right, "The losses must be those of one long run, piece by piece.", mistakes=mistakes)
    for k, loss in reversed(list(zip(starts, answer, strict=True))):  # a graph that goes on holds those before it
        g = grad(loss, x)
        check(g is not None and g.data[k : k + 4].any(), "No gradient reaches the inputs of a loss's own piece.")
        check(
            g.data[k : min(k + 4, 10)].any(axis=(1, 2)).all(),
            "Within a piece the graph must stay whole, from the last step to the first.",
        )
        if k and g.data[:k].any():
            raise CheckFailed(
                "The losses are right, but a gradient still goes back into the piece before: an LSTM hands on two "
                "states, and both h and c have to be detached."
            )
    passed("13.5")


def _clamped(
    x: np.ndarray, W: np.ndarray, R: np.ndarray, b: np.ndarray, gate: str | None, value: float, way: str = ""
) -> np.ndarray:
    """Return the outputs of a layer with a gate held, or what a mistake makes of them."""
    sigma = lambda a: 1 / (1 + np.exp(-a))
    rows = {"order": "ifoz", "keras": "ifzo"}.get(way, "ifzo")
    if way == "if":
        rows = "fizo"
    h = c = np.zeros((x.shape[1], R.shape[1]))
    outputs = []
    for t, x_t in enumerate(x):
        before = 0 * h if way == "memoryless" else h
        a = dict(zip(rows, np.split(x_t @ W.T + before @ R.T + b, 4, axis=-1), strict=True))
        if way == "inside" and gate:
            a[gate] = np.full_like(a[gate], value)
        g = {k: sigma(a[k]) for k in "ifo"}
        if gate and way not in ("inside", "never") and not (way == "late" and t == 0):
            g[gate] = np.full_like(g[gate], value)
        if way == "scaled" and gate:
            g[gate] = sigma(a[gate]) * value
        z = sigma(a["z"]) if way == "sigma" else np.tanh(a["z"])
        c = g["f"] * c + g["i"] * z
        h = g["o"] * (c if way == "linear" else np.tanh(c))
        outputs.append(c if way == "cells" else h)
    return np.array(outputs)


def check_6(clamped: Callable) -> None:
    """A free run, then every gate held at several values."""
    rng = np.random.default_rng(0)
    T, B, I, H = 6, 2, 3, 4  # noqa: E741 (the book's symbol)
    x = rng.standard_normal((T, B, I))
    W, R, b = rng.standard_normal((4 * H, I)), rng.standard_normal((4 * H, H)), rng.standard_normal(4 * H)
    for array in (x, W, R, b):
        array.flags.writeable = False
    hints = {
        "order": "The rows stand in the order i, f, z, o: the candidate is the third block, not the last.",
        "if": "Input and forget gate are exchanged: the rows stand in the order i, f, z, o.",
        "sigma": "The candidate z goes through tanh; only the three gates go through the logistic function.",
        "linear": "h_t = o_t tanh(c_t): the tanh of the cell is missing.",
        "cells": "These are the cells c_t; the outputs are h_t = o_t tanh(c_t).",
        "memoryless": "R h_(t-1) is missing: the layer does not hear its own outputs.",
        "inside": "The pre-activation was set, so the gate is held at sigma(value), not at value.",
        "late": "At the first step the gate is still free: hold it at every step.",
        "scaled": "The gate is multiplied by the value; hold it AT the value.",
        "never": "The gate is not held: the answer is that of the free run.",
    }
    for gate, value in (None, 1.0), ("f", 0.6), ("f", 1.0), ("f", 0.0), ("i", 1.0), ("o", 1.0), ("o", 0.3), ("i", 0.25):
        right = _clamped(x, W, R, b, gate, value)
        mistakes = {hint: _clamped(x, W, R, b, gate, value, way) for way, hint in hints.items()}
        answer = clamped(x, W, R, b) if gate is None else clamped(x, W, R, b, gate, value)
        where = "In a free run" if gate is None else f"With {gate} held at {value:g}"
        close(answer, right, f"{where} the outputs are not right.", mistakes=mistakes)
    passed("13.6")


def check_7(mixture_bits: Callable, weight: float, results: Mapping, on_validation: Mapping, on_test: Mapping) -> None:
    """What is mixed, on which part the weight was chosen, and what came out."""
    rng = np.random.default_rng(0)
    p, q = rng.uniform(0.01, 1, (2, 500))
    for w in 0.3, 0.8, 0.0, 1.0:
        right = -np.log2(w * p + (1 - w) * q).mean()
        mistakes = {
            "These are the mixed bits of the two models. Mix the probabilities, then take the logarithm.": (
                -(w * np.log2(p) + (1 - w) * np.log2(q)).mean()
            ),
            "The weight is on the wrong side: p_1 gets `weight`.": -np.log2((1 - w) * p + w * q).mean(),
            "These are nats: use the logarithm to base 2.": right * np.log(2),
            "Bits are positive: the sign is missing.": -right,
            "The mean comes after the logarithm: every character has a cost of its own.": (
                -np.log2((w * p + (1 - w) * q).mean())
            ),
        }
        close(mixture_bits(p, q, w), right, f"Wrong at weight {w}.", mistakes=mistakes)

    def best(parts: Mapping) -> float:
        losses = {w: -np.log2(w * parts["LSTM"] + (1 - w) * parts["n-gram"]).mean() for w in np.linspace(0, 1, 21)}
        return min(losses, key=losses.get)

    weight = float(np.asarray(weight))
    check(0 <= weight <= 1, f"A weight lies between 0 and 1; this one is {weight:g}.")
    chosen = best(on_validation)
    if not np.isclose(weight, chosen, atol=1e-9):
        check(
            not np.isclose(weight, 1 - chosen, atol=1e-9) or np.isclose(chosen, 0.5),
            "The weight is the n-gram model's; weight 1 is to be the LSTM alone.",
        )
        check(
            not np.isclose(weight, best(on_test), atol=1e-9),
            "This weight is the best on the test text. Choose it on the validation text.",
        )
        raise CheckFailed("The weight is not the best of np.linspace(0, 1, 21) on the validation text.")
    check(
        isinstance(results, Mapping) and set(results) == {"LSTM", "n-gram", "mixture"},
        'results must have the keys "LSTM", "n-gram" and "mixture".',
    )
    for name, w in ("LSTM", 1.0), ("n-gram", 0.0), ("mixture", weight):
        of = lambda parts, w=w: -np.log2(w * parts["LSTM"] + (1 - w) * parts["n-gram"]).mean()
        mistakes = {"These bits are those of the validation text; report the test text.": of(on_validation)}
        close(results[name], of(on_test), f'results["{name}"] is not right.', mistakes=mistakes)
    passed("13.7")
