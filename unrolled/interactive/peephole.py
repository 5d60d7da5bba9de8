"""An output gate that is to open when its cell reaches a level: one that sees the cell, and one that does not."""

import math

import minigrad as mg
from minigrad import Value
from unrolled.interactive.parts import Drawing, Panel, legend, number, path, readout, slider, tag, within

STEPS, TOP = 40, 10  # TOP: the cell's end at the steepest ramp
# What a reader sets: its label, its ends and step.
SETTINGS = {
    "ramp": ("growth per step", 0.05, 0.25, 0.01),
    "level": ("level at which to open", 0.5, 6, 0.1),
    "peephole": ("peephole weight p", 0, 20, 0.5),
    "recurrent": ("no peephole: weight r", 0, 20, 0.5),
    "bias": ("no peephole: bias b", -6, 0, 0.1),
}
SEEING, BLIND = "un-curve", "un-curve un-second"


def gates(
    ramp: float, level: float, peephole: float, recurrent: float, bias: float
) -> tuple[list[float], list[float], list[float]]:
    """Return for t = 1 to STEPS the cell, and the output gates that see it and do not see it.

    c_t = c_(t-1) + ramp from c_0 = 0. The one is sigma(p (c_t - level)); the other sigma(r h_(t-1) + b), where
    h_t = o_t tanh(c_t) is all that it lets out.
    """
    c, h = Value(0.0), Value(0.0)
    cell, seeing, blind = [], [], []
    for _ in range(STEPS):
        c = c + ramp
        o = mg.sigmoid(recurrent * h + bias)
        h = o * mg.tanh(c)
        cell.append(c.data)
        seeing.append(mg.sigmoid(peephole * c - peephole * level).data)
        blind.append(o.data)
    return cell, seeing, blind


def opening(gate: list[float]) -> int | None:
    """Return the first step at which a gate is at least half open; a hair less counts, for the sake of rounding."""
    return next((t for t, o in enumerate(gate, 1) if o >= 0.5 - 1e-9), None)


def draw(
    ramp: float = 0.15, level: float = 2.7, peephole: float = 10.0, recurrent: float = 10.0, bias: float = -3.0
) -> Drawing:
    begin = {"ramp": ramp, "level": level, "peephole": peephole, "recurrent": recurrent, "bias": bias}
    for name, x in begin.items():
        within(*SETTINGS[name][1:3], **{name: x})
    cell, seeing, blind = gates(**begin)
    steps = [opening(gate) for gate in (seeing, blind)]
    when = [f"step {t}" if t else "never" for t in steps]
    where = [number(cell[t - 1], 2) if t else "–" for t in steps]
    form = tag(
        "form",
        *(slider(name, *SETTINGS[name], x) for name, x in begin.items()),
        hidden=True,
        autocomplete="off",
    )
    slope = peephole * ramp
    numbers = readout(
        ("seeing", "with a peephole it opens at", when[0]),
        ("seen", "the cell is then", where[0]),
        ("width", "a tenth to nine tenths open in", f"{number(2 * math.log(9) / slope, 2)} steps" if slope else "–"),
        ("blind", "without one it opens at", when[1]),
        ("unseen", "the cell is then", where[1]),
        ("least", "without one, at step 1", number(blind[0])),
    )
    panels = [_cell(cell, level), _gates(seeing, blind)]
    return Drawing(
        title="A gate that sees its cell",
        summary=f"Cell + {number(ramp, 2)} a step, to open at {number(level, 1)}. With a peephole: {when[0]}; "
        f"without: {when[1]}.",
        pictures=panels,
        body=form + tag("div", *panels, class_="un-panels") + numbers,
        caption="A cell grows by the same amount at each step, and its output gate is to open (reach 0.5) when the "
        "cell reaches a level. With a peephole the gate is <i>o<sub>t</sub></i> = σ(<i>p</i> (<i>c<sub>t</sub></i> − "
        "level)). Without one it is <i>o<sub>t</sub></i> = σ(<i>r h</i><sub><i>t</i>−1</sub> + <i>b</i>), and all that "
        "it sees of the cell is the output <i>h<sub>t</sub></i> = <i>o<sub>t</sub></i> tanh(<i>c<sub>t</sub></i>), "
        "which it keeps small itself while it is shut. Weights <i>r</i> and <i>b</i> can make it open at the right "
        "step of one ramp; change the ramp, and it opens at another level.",
    )


def _panel(name: str, label: str, y: tuple[float, float], yticks: dict[float, str], ylabel: str) -> Panel:
    return Panel(
        name,
        label,
        x=(0, STEPS),
        y=y,
        box=(46, 48, 280, 160),
        size=(340, 250),
        xticks={t: str(t) for t in range(0, STEPS + 1, 10)},
        yticks=yticks,
        xlabel="step t",
        ylabel=ylabel,
    )


def _line(panel: Panel, values: list[float], line: str, name: str) -> str:
    return tag("path", d=path([panel.at(t, y) for t, y in enumerate(values, 1)]), class_=line, data_line=name)


def _cell(cell: list[float], level: float) -> str:
    panel = _panel("cell", "The cell at each step", (0, TOP), {y: f"{y}" for y in range(0, TOP + 1, 2)}, "cell")
    panel.marks = [
        tag("path", d=path([panel.at(0, level), panel.at(STEPS, level)]), class_="un-ray", data_line="level"),
        _line(panel, cell, SEEING, "cell"),
        legend((SEEING, "cell cₜ"), ("un-ray", "level"), left=46, top=36, step=142),
    ]
    return panel.svg("A straight line up from 0, and a level line that it crosses.")


def _gates(seeing: list[float], blind: list[float]) -> str:
    ticks = {y: f"{y:g}" for y in (0, 0.25, 0.5, 0.75, 1)}
    panel = _panel("gates", "The two output gates at each step", (0, 1.02), ticks, "output gate oₜ")
    panel.marks = [
        _line(panel, blind, BLIND, "blind"),
        _line(panel, seeing, SEEING, "seeing"),
        legend((SEEING, "with a peephole"), (BLIND, "without"), left=46, top=36, step=162),
    ]
    return panel.svg("Two lines between 0 and 1: the gate that sees the cell, and the gate that does not.")
