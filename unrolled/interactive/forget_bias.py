"""The bias of a forget gate as a time constant: what is left after n steps, and the bias that a lag asks for."""

import math

import numpy as np

from minigrad import Value, sigmoid
from minigrad.errors import OptionError
from unrolled.interactive.parts import Drawing, Panel, legend, number, path, power, readout, slider, tag, within

LOW, HIGH = -4, 8  # of the bias
FAR = 4  # the lags go from 1 to ten to this power
GRID = 240  # intervals of a line
PRESENT, ASKED = "un-curve", "un-curve un-second"


def half_life(bias: float) -> float:
    """Return after how many steps a cell holds half, ln 2 / -ln f with f = sigma(bias)."""
    return math.log(2) / math.log1p(math.exp(-bias))


def bias_for(lag: float) -> float:
    """Return the bias whose half-life is the lag: sigma(b) to the lag-th power is 1/2."""
    return -math.log(math.expm1(math.log(2) / lag))


def held(bias: float, lags: np.ndarray) -> np.ndarray:
    """Return f to the power of each lag."""
    return np.exp(-np.asarray(lags) * math.log1p(math.exp(-bias)))


def draw(bias: float = 1.0, lag: int = 100) -> Drawing:
    within(LOW, HIGH, bias=bias)
    within(1, 10**FAR, lag=lag)
    if lag != int(lag):
        raise OptionError(f"lag is a whole number of steps, not {lag!r}")
    asked = bias_for(lag)
    f = sigmoid(Value(bias)).data
    form = tag(
        "form",
        slider("bias", "forget-gate bias b", LOW, HIGH, 0.05, bias),
        tag(
            "div",
            tag(
                "label",
                "lag to bridge, in steps",
                f'<input type="number" name="lag" min="1" max="{10**FAR}" step="1" required value="{lag:g}">',
            ),
            tag("small", f"from 1 to {10**FAR}"),
            class_="un-row",
        ),
        hidden=True,
        autocomplete="off",
    )
    left = float(held(bias, [lag])[0])
    numbers = readout(
        ("f", "forget gate f = σ(b)", number(f, 5)),
        ("rate", "lost per step, 1 − f", number(1 / (1 + math.exp(bias)), 5)),
        ("half", "half-life", f"{number(half_life(bias), 2)} steps"),
        ("left", "left at the lag", power(left)),
        ("asked", "half is left there with b", number(asked)),
        ("gate", "that is, with f", number(1 / (1 + math.exp(-asked)), 5)),
    )
    panels = [_decay(bias, lag, asked), _biases(bias, lag, asked)]
    return Drawing(
        title="A bias is a time constant",
        summary=f"b = {number(bias, 2)}: f = {number(f, 5)}, half-life {number(half_life(bias), 2)} steps; "
        f"half is left after {lag:g} with b = {number(asked)}.",
        pictures=panels,
        body=form + tag("div", *panels, class_="un-panels") + numbers,
        caption="What is left of a cell’s content, and of a gradient that comes back through it, after <i>n</i> steps "
        "at a constant forget gate <i>f</i> = σ(<i>b</i>). The first picture has <i>f<sup>n</sup></i> over a "
        "logarithmic axis of lags, on which another bias moves the line and keeps its shape; dashed, the line of the "
        "bias that leaves half at the chosen lag. The second picture has the half-life over the bias. From <i>b</i> = "
        "2 on it is nearly straight: each 1 more in <i>b</i> makes a memory about <i>e</i> = 2.7 times as long.",
    )


def _panel(name: str, label: str, **axes: object) -> Panel:
    return Panel(name, label, box=(46, 46, 280, 170), size=(340, 258), **axes)


def _probe(panel: Panel, x: float, y: float, name: str) -> str:
    place = "translate({:.1f} {:.1f})".format(*panel.at(x, y))
    return tag("circle", r=5, class_="un-probe", transform=place, data_probe=name)


def _decay(bias: float, lag: float, asked: float) -> str:
    panel = _panel(
        "decay",
        "What is left, over the lag on a logarithmic scale",
        x=(0, FAR),
        y=(0, 1.02),
        xticks={0: "1", 1: "10", 2: "100", 3: "1000", 4: "10000"},
        yticks={k: f"{k:g}" for k in (0, 0.25, 0.5, 0.75, 1)},
        xlabel="lag n (steps)",
        ylabel="what is left, fⁿ",
    )
    grid = np.linspace(0, FAR, GRID + 1)
    target = math.log10(lag)
    lines = {
        line: path([panel.at(x, y) for x, y in zip(grid, held(b, 10**grid), strict=True)])
        for line, b in (("asked", asked), ("present", bias))
    }
    panel.marks = [
        tag("path", d=path([panel.at(target, 0), panel.at(target, 1)]), class_="un-ray", data_line="lag"),
        tag("path", d=lines["asked"], class_=ASKED, data_line="asked"),
        tag("path", d=lines["present"], class_=PRESENT, data_line="present"),
        _probe(panel, target, float(held(bias, [lag])[0]), "left"),
        legend((PRESENT, "with the bias b"), (ASKED, "half left at the lag"), left=46, top=36, step=142),
    ]
    return panel.svg("Two lines that fall from 1 to 0, the same shape at different lags; a dot at the chosen lag.")


def _biases(bias: float, lag: float, asked: float) -> str:
    panel = _panel(
        "biases",
        "Half-life over the bias, on a logarithmic scale",
        x=(LOW, HIGH),
        y=(-1, FAR),
        xticks={b: number(b, 0) for b in range(LOW, HIGH + 1, 2)},
        yticks={-1: "0.1", 0: "1", 1: "10", 2: "100", 3: "1000", 4: "10000"},
        xlabel="bias b",
        ylabel="half-life (steps)",
    )
    grid = np.linspace(LOW, HIGH, GRID + 1)
    target = math.log10(lag)
    # Along the lag to the curve, and down to the bias; biases past the axis stay outside.
    way = [(LOW, target), (min(asked, HIGH), target)] + [(asked, -1)] * (asked <= HIGH)
    panel.marks = [
        tag("path", d=path([panel.at(*p) for p in way]), class_="un-ray", data_line="way"),
        tag("path", d=path([panel.at(b, math.log10(half_life(b))) for b in grid]), class_=PRESENT, data_line="curve"),
        _probe(panel, bias, math.log10(half_life(bias)), "half"),
    ]
    return panel.svg("A rising curve with a dot at the bias b; dotted, from the chosen lag to the bias it asks for.")
