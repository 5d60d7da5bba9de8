"""A memory cell, its gates held by hand: a pulse is written, distractors follow, and at the end the cell is read."""

import json
from collections.abc import Sequence

import minigrad as mg
from minigrad import Value
from minigrad.errors import OptionError
from unrolled.interactive.parts import Drawing, Panel, choice, legend, number, readout, slider, stems, tag, within

STEPS = 20
# What comes after the pulse, at size 1.
DISTRACTORS = (-0.6, 0.9, -0.3, -0.8, 0.4, 0.7, -0.9, -0.2, 0.8, -0.5, -0.7, 0.3, 0.9, -0.4, -0.8, 0.6, -0.3, -0.9, 0.5)
# What a reader sets: its label, its ends and step, where it begins.
INPUTS = {"pulse": ("pulse x₁", -1.5, 1.5, 0.1, 1), "distractors": ("size of the distractors", 0, 1.5, 0.1, 1)}
GATES = {
    "i_write": ("input gate at step 1", 0, 1, 0.01),
    "i_hold": ("input gate from step 2", 0, 1, 0.01),
    "loop": ("self-loop weight", 0, 1, 0.01),
    "o_hold": ("output gate to step 19", 0, 1, 0.01),
    "o_read": ("output gate at step 20", 0, 1, 0.01),
}
SCENES = {  # the five above
    "hold": ("write, hold, read", (1, 0, 1, 0, 1)),
    "open": ("all gates open", (1, 1, 1, 1, 1)),
    "late": ("output gate open all along", (1, 0, 1, 1, 1)),
    "leak": ("a self-loop of 0.9", (1, 0, 0.9, 0, 1)),
}


def cell(
    pulse: float, distractors: float, i_write: float, i_hold: float, loop: float, o_hold: float, o_read: float
) -> dict[str, list[float]]:
    """Return for t = 1 to STEPS the inputs x, candidates z, gates i and o, cell c, output h; and derivatives.

    c_t = loop c_(t-1) + i_t z_t with z_t = tanh(x_t) and c_0 = 0; h_t = o_t tanh(c_t). carried: dc_T/dc_t; reached:
    dc_T/dx_t; answer: dh_T/dx_t.
    """
    i, o = [i_write] + [i_hold] * (STEPS - 1), [o_hold] * (STEPS - 1) + [o_read]
    x, z, c, h = [Value(v) for v in (pulse, *(distractors * d for d in DISTRACTORS))], [], [Value(0.0)], []
    for x_t, i_t, o_t in zip(x, i, o, strict=True):
        z.append(mg.tanh(x_t))
        c.append(loop * c[-1] + i_t * z[-1])
        h.append(o_t * mg.tanh(c[-1]))
    found = {name: [v.data for v in nodes] for name, nodes in (("x", x), ("z", z), ("c", c[1:]), ("h", h))}
    for name, root, inputs in (("carried", c[-1], c[1:]), ("reached", c[-1], x), ("answer", h[-1], x)):
        found[name] = [g.data for g in mg.grad(root, inputs, retain_graph=True)]
    return found | {"i": i, "o": o, "loop": [loop] * STEPS}


def draw(scene: str = "hold", **own: float) -> Drawing:
    if scene not in SCENES or not own.keys() <= (INPUTS | GATES).keys():
        raise OptionError(
            f"the scenes of the cell are {', '.join(SCENES)}; its numbers are {', '.join(INPUTS | GATES)}"
        )
    begin = {name: value for name, (*_, value) in INPUTS.items()}
    begin |= dict(zip(GATES, SCENES[scene][1], strict=True)) | own
    for name, x in begin.items():
        within(*(INPUTS | GATES)[name][1:3], **{name: x})
    told = {name: text for name, (text, _) in SCENES.items()} | {"own": "my own"}
    held = tuple(begin[name] for name in GATES)
    shown = next((name for name, (_, gates) in SCENES.items() if gates == held), "own")
    form = tag(
        "form",
        tag("div", choice("scene", "scene", told, shown), class_="un-row"),
        *(slider(name, *(INPUTS | GATES)[name][:4], x) for name, x in begin.items()),
        hidden=True,
        autocomplete="off",
        data_scenes=json.dumps([gates for _, gates in SCENES.values()], separators=(",", ":")),
        data_distractors=json.dumps(DISTRACTORS, separators=(",", ":")),
    )
    run = cell(**begin)
    kept = run["carried"][0]
    written = kept * begin["i_write"] * run["z"][0]
    numbers = readout(
        ("c", "cell at the end, c₂₀", number(run["c"][-1])),
        ("written", "of it, from the pulse", number(written)),
        ("noise", "from the distractors", number(run["c"][-1] - written)),
        ("h", "output at the end, h₂₀", number(run["h"][-1])),
        ("carried", "∂c₂₀/∂c₁", number(kept)),
        ("answer", "∂h₂₀/∂x₁", number(run["answer"][0])),
    )
    panels = [_inputs(run), _gates(run), _cell(run), _gradients(run)]
    return Drawing(
        title="Write, hold, read",
        summary=f"Gates: {told[shown]}. After {STEPS} steps c = {number(run['c'][-1])}, of which "
        f"{number(written)} from the pulse.",
        pictures=panels,
        body=form + tag("div", *panels, class_="un-panels") + numbers,
        caption="One cell, its gates held by hand: <i>z<sub>t</sub></i> = tanh(<i>x<sub>t</sub></i>), "
        "<i>c<sub>t</sub></i> = self-loop weight · <i>c</i><sub><i>t</i>−1</sub> + <i>i<sub>t</sub> z<sub>t</sub></i> "
        "and <i>h<sub>t</sub></i> = <i>o<sub>t</sub></i> tanh(<i>c<sub>t</sub></i>). A pulse comes at step 1, "
        f"distractors at steps 2 to {STEPS}, and step {STEPS} reads. With a self-loop of weight 1 the derivative "
        "∂<i>c</i><sub>20</sub>/∂<i>c<sub>t</sub></i> is 1 wherever the gates stand. The gates decide what gets into "
        "the cell, and with it which inputs an error at the end reaches, and when the rest of a network sees it.",
    )


def _panel(name: str, label: str, y: tuple[float, float], yticks: dict[float, str], ylabel: str) -> Panel:
    return Panel(
        name,
        label,
        x=(0.2, STEPS + 0.8),
        y=y,
        box=(46, 46, 280, 150),
        size=(340, 236),
        xticks={t: str(t) for t in (1, 5, 10, 15, 20)},
        yticks=yticks,
        xlabel="step t",
        ylabel=ylabel,
    )


def _points(values: Sequence[float]) -> list[tuple[int, float]]:
    return list(enumerate(values, 1))


def _dashes(panel: Panel, values: Sequence[float], line: str, name: str) -> str:
    d = "".join("M{:.1f} {:.1f}h10".format(*panel.at(t, y)) for t, y in _points(values))
    return tag("g", tag("path", d=d, class_=f"un-dashes {line}", data_line=name), transform="translate(-5 0)")


def _numbers(*values: float) -> dict[float, str]:
    return {y: f"{y:g}".replace("-", "−") for y in values}


def _inputs(run: dict) -> str:
    panel = _panel("inputs", "Input and candidate at each step", (-1.6, 1.6), _numbers(-1, 0, 1), "what comes in")
    panel.marks = [*stems(panel, _points(run["z"])), _dashes(panel, run["x"], "un-second", "x")]
    panel.marks.append(_key("zₜ = tanh(xₜ)", "xₜ"))
    return panel.svg("A dash for each input, and a stem for the candidate that tanh makes of it.")


def _gates(run: dict) -> str:
    panel = _panel("gates", "Gates at each step", (0, 3.9), {2.7: "i", 1.35: "loop", 0: "o"}, "gates, from 0 to 1")
    full = "".join("M{:.1f} {:.1f}h{:g}".format(*panel.at(panel.x[0], y + 1), panel.box[2]) for y in panel.yticks)
    panel.marks = [tag("path", d=full, class_="un-grid")]
    for base, name in zip(panel.yticks, ("i", "loop", "o"), strict=True):
        ends = [(panel.at(t, base), panel.at(t, base + y)) for t, y in _points(run[name])]
        d = "".join(f"M{x:.1f} {low:.1f}L{x:.1f} {high:.1f}" for (x, low), (_, high) in ends)
        panel.marks.append(tag("path", d=d, class_="un-bars", data_line=name))
    return panel.svg("Three rows of bars: the input gate, the weight of the self-loop, the output gate.")


def _cell(run: dict) -> str:
    panel = _panel(
        "cell", "Cell and output at each step", (-3.2, 3.2), _numbers(-3, -2, -1, 0, 1, 2, 3), "cell and output"
    )
    panel.marks = [*stems(panel, _points(run["c"])), _dashes(panel, run["h"], "un-second", "h")]
    panel.marks.append(_key("cell cₜ", "output hₜ"))
    return panel.svg("A stem for the cell after each step, and a dash for what it puts out.")


def _gradients(run: dict) -> str:
    panel = _panel("gradients", "Derivatives of the last cell", (0, 1.1), _numbers(0, 0.5, 1), "derivative of c₂₀")
    panel.marks = [*stems(panel, _points(run["reached"])), _dashes(panel, run["carried"], "un-second", "carried")]
    panel.marks.append(_key("by xₜ", "by cₜ"))
    return panel.svg("A stem for each input: how far the last cell depends on it; a dash for each earlier cell.")


def _key(stem: str, dash: str) -> str:
    lines = ("un-stems", stem), ("un-dashes un-second", dash)
    return legend(*lines, left=46, top=36, step=150)
