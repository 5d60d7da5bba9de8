"""How far a gradient gets through a small Elman network: the norm of dh_t/dh_(t-n) over the lag n, and what sets it."""

import json
from itertools import pairwise

import numpy as np

import minigrad as mg
from minigrad import Tensor
from minigrad.errors import OptionError
from minigrad.recurrent.elman import elman_step
from unrolled.interactive.parts import (
    Drawing,
    Panel,
    choice,
    legend,
    number,
    path,
    power,
    raised,
    readout,
    slider,
    tag,
    within,
)

KINDS = {"orthogonal": "orthogonal", "gaussian": "Gaussian", "triangular": "triangular (not normal)"}
UNITS, STEPS = 8, 60
LAGS, LATE = 50, 25  # the lags shown, and those over which the factor per step is taken
DECADES = 8  # of the axis of norms, up and down from 1
PRODUCT, ALONE, BOUND, RADIUS = LINES = ("un-curve", "un-curve un-third", "un-curve un-second", "un-curve un-fourth")


def recurrent_weights(kind: str) -> np.ndarray:
    """Return R of the spectral radius 1; rounded, so that every machine draws the same.

    Triangular: on the diagonal the eigenvalues, of sizes .5 to 1, and above it weights that make it far from normal.
    """
    rng = np.random.default_rng(0)
    gaussian = rng.standard_normal((UNITS, UNITS))
    if kind == "orthogonal":
        q, r = np.linalg.qr(gaussian)
        return np.round(q * np.sign(np.diag(r)), 6)
    if kind == "gaussian":
        rng = np.random.default_rng(4)
        gaussian = rng.standard_normal((UNITS, UNITS))
        return np.round(gaussian / np.abs(np.linalg.eigvals(gaussian)).max(), 6)
    eigenvalues = np.array([1, 0.9, -0.9, 0.8, -0.8, 0.7, -0.6, 0.5])
    return np.diag(eigenvalues) + np.round(np.triu(0.6 * gaussian, 1), 1)


def inputs() -> np.ndarray:
    """Return x (STEPS, UNITS) of standard deviation 1."""
    return np.round(np.random.default_rng(1).standard_normal((STEPS, UNITS)), 2)


def network(kind: str, radius: float, drive: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return R, then for the lags n = 0 to LAGS dh_T/dh_(T-n), and the slopes of tanh at step T - n, one row a lag.

    From h_0 = 0, every unit with an input of its own: h_t = tanh(g x_t + R h_(t-1)), where g is the drive.
    """
    R = radius * recurrent_weights(kind)
    # As many copies of the network as units, and of the last state of copy j entry j: the rows of the Jacobian.
    h = Tensor(np.zeros((UNITS, UNITS)), dtype="float64", requires_grad=True)
    W, weights = (Tensor(a, dtype="float64") for a in (drive * np.eye(UNITS), R))
    states = []
    for x in inputs():
        h = elman_step(Tensor(np.tile(x, (UNITS, 1)), dtype="float64"), h, W, weights, 0.0)
        states.append(h)
    states = states[::-1][: LAGS + 1]
    jacobians = mg.grad(h, states, seed=np.eye(UNITS))
    return R, np.stack([J.data for J in jacobians]), np.stack([1 - h.data[0] ** 2 for h in states])


def norm(A: np.ndarray) -> float:
    """Return the largest singular value."""
    return float(np.linalg.norm(A, 2))


def draw(kind: str = "gaussian", radius: float = 1.0, drive: float = 0.5) -> Drawing:
    if kind not in KINDS:
        raise OptionError(f"kind is one of {', '.join(KINDS)}")
    within(0.5, 1.5, radius=radius)
    within(0, 3, drive=drive)
    R, jacobians, slopes = network(kind, radius, drive)
    lags = np.arange(LAGS + 1)
    norms = [norm(J) for J in jacobians]
    alone = [norm(np.linalg.matrix_power(R, n)) for n in lags]
    form = tag(
        "form",
        tag("div", choice("kind", "recurrent weights R", KINDS, kind), class_="un-row"),
        slider("radius", "spectral radius ρ(R)", 0.5, 1.5, 0.01, radius),
        slider("drive", "size of the inputs", 0, 3, 0.05, drive),
        hidden=True,
        autocomplete="off",
        data_weights=_json([recurrent_weights(kind) for kind in KINDS]),
        data_inputs=_json(inputs()),
    )
    top = int(np.argmax(norms))
    gone = next((f"{n} steps" for n in lags if norms[n] <= 0.01), f"more than {LAGS} steps")
    rate = _rate(norms)
    numbers = readout(
        ("rate", f"factor per step, lags {LATE} to {LAGS}", number(rate)),
        ("alone", "the same without tanh′", number(_rate(alone))),
        ("largest", "the product is largest", f"{power(norms[top])} at lag {top}"),
        ("gone", "1 % is left after", gone),
        ("s1", "largest singular value s₁ of R", number(norm(R))),
        ("slope", "mean slope tanh′", number(slopes[:LAGS].mean())),
    )
    logs = {"product": np.log10(norms), "alone": np.log10(alone)}
    logs |= {"bound": lags * np.log10(norm(R)), "radius": lags * np.log10(radius)}
    panels = [_norms(logs), _slopes(slopes[:LAGS])]
    return Drawing(
        title="How far a gradient gets",
        summary=f"{kind.capitalize()} R, spectral radius {number(radius, 2)}, inputs of size {number(drive, 2)}: "
        f"× {number(rate)} per step.",
        pictures=panels,
        body=form + tag("div", *panels, class_="un-panels") + numbers,
        caption=f"A network of {UNITS} units, <i>h<sub>t</sub></i> = tanh(<i>x<sub>t</sub></i> + <i>R "
        "h</i><sub><i>t</i>−1</sub>), each unit with random inputs of its own. The first picture has the "
        "largest singular value of the product ∂<i>h<sub>t</sub></i>/∂<i>h</i><sub><i>t</i>−<i>n</i></sub>, which is "
        "the most that a gradient of length 1 can become on its way back over the lag <i>n</i>; that of "
        "<i>R<sup>n</sup></i>, where the slopes of tanh are left out; the bound "
        "<i>s</i><sub>1</sub><sup><i>n</i></sup>; and the <i>n</i>th power of the spectral radius. At inputs of size 0 "
        "the state stays at 0, all slopes are 1, and the first two lines are one. The second picture has the slopes "
        "that the product passes: their mean, and their range over the units.",
    )


def _json(arrays: object) -> str:
    return json.dumps(np.asarray(arrays).tolist(), separators=(",", ":"))


def _rate(norms: list[float]) -> float:
    return float((norms[LAGS] / norms[LATE]) ** (1 / (LAGS - LATE)))


def _norms(logs: dict[str, np.ndarray]) -> str:
    panel = Panel(
        "norms",
        "Norm over the lag, on a logarithmic scale",
        x=(0, LAGS),
        y=(-DECADES, DECADES),
        box=(46, 64, 280, 190),
        size=(340, 296),
        xticks={n: str(n) for n in range(0, LAGS + 1, 10)},
        yticks={k: f"10{raised(k)}" if k else "1" for k in range(-DECADES, DECADES + 1, 4)},
        xlabel="lag n (steps)",
        ylabel="largest singular value",
    )
    names = ("product, with tanh′", "Rⁿ, without", "bound s₁ⁿ", "ρ(R)ⁿ")
    # The product last, above the others where they meet.
    panel.marks = [
        tag("path", d=_cut(panel, values), class_=line, data_line=name)
        for (name, values), line in list(zip(logs.items(), LINES, strict=True))[::-1]
    ]
    panel.marks.append(legend(*zip(LINES, names, strict=True), left=46, top=36, step=162))
    return panel.svg("Four lines from 1 at lag 0: straight where each step multiplies by the same factor.")


def _cut(panel: Panel, values: np.ndarray) -> str:
    """Return the line through (0, value), (1, value), ..., without what lies above or below the axes."""
    d, (low, high) = "", panel.y
    for n, (y0, y1) in enumerate(pairwise(values)):
        if max(y0, y1) < low or min(y0, y1) > high:
            continue
        ends = [
            (n + (y - y0) / (y1 - y0) if y1 != y0 else n + k, y) for k, y in enumerate(np.clip([y0, y1], low, high))
        ]
        if not d or ends[0][1] != y0:
            d += "M{:.1f} {:.1f}".format(*panel.at(*ends[0]))
        d += "L{:.1f} {:.1f}".format(*panel.at(*ends[1]))
    return d


def _slopes(slopes: np.ndarray) -> str:
    panel = Panel(
        "slopes",
        "Slopes of tanh over the lag",
        x=(0, LAGS),
        y=(0, 1.05),
        box=(46, 64, 280, 190),
        size=(340, 296),
        xticks={n: str(n) for n in range(0, LAGS + 1, 10)},
        yticks={k: f"{k:g}" for k in (0, 0.25, 0.5, 0.75, 1)},
        xlabel="lag n (steps)",
        ylabel="slope tanh′ at step t − n",
    )
    lag = range(LAGS)
    high, low, mean = (list(zip(lag, x, strict=True)) for x in (slopes.max(1), slopes.min(1), slopes.mean(1)))
    panel.marks = [
        tag("path", d=path([panel.at(*p) for p in high + low[::-1]]), class_="un-band"),
        tag("path", d=path([panel.at(*p) for p in mean]), class_="un-curve", data_line="mean"),
        legend(("un-curve", "mean of the units, in their range"), left=46, top=36, step=162),
    ]
    return panel.svg("A line for the mean of the units, in a band from the smallest slope to the largest.")
