"""One style for every figure of the book, and its diagrams."""

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from minigrad.errors import OptionError
from minigrad.recurrent.spec import CellSpec, cell_spec

# Okabe & Ito, "Color Universal Design": told apart with every common kind of colour blindness.
OKABE_ITO = {
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "yellow": "#F0E442",
    "black": "#000000",
}

# Neither a date nor matplotlib's version: the same figure is the same file.
SVG_METADATA = {"Date": None, "Creator": None}

# Yellow lines are lost on white, so seven of the eight; a line style each, for readers who print in grey.
_LINES = cycler(color=[OKABE_ITO[name] for name in ("blue", "vermillion", "green", "black", "purple", "orange", "sky")])
_LINES += cycler(linestyle=["-", "--", "-.", ":", (0, (7, 1.5)), (0, (5, 1, 1, 1, 1, 1)), (0, (2, 1))])

STYLE = {
    "figure.figsize": (6.5, 3),
    "figure.facecolor": "white",  # on a dark page the figure keeps its own light card
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",  # matplotlib brings it along
    "font.size": 12,  # on a phone of 390 px the figure shrinks to about 0.6 of its size
    "axes.titlesize": 12,
    "mathtext.fontset": "cm",
    "axes.prop_cycle": _LINES,
    "lines.linewidth": 1.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "legend.edgecolor": "none",
    "legend.framealpha": 0.9,
    "svg.fonttype": "path",  # glyphs as outlines: no reader needs the font
    "svg.hashsalt": "unrolled",
}


def use() -> None:
    """Give every figure from here on the book's style, and in a notebook show it as SVG, the same bytes at each run."""
    mpl.rcParams.update(STYLE)
    try:
        from IPython import get_ipython
    except ModuleNotFoundError:
        return
    if get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata=SVG_METADATA)


def box(
    ax: Axes,
    x: float,
    y: float,
    text: str,
    *,
    width: float = 0.8,
    height: float = 0.6,
    shape: str = "round,pad=0,rounding_size=0.12",
    color: str = "black",
    linewidth: float = 1.4,
) -> FancyBboxPatch:
    """A rounded box with text, centred on (x, y); `shape` is a box style of matplotlib."""
    line = {"boxstyle": shape, "fc": "white", "ec": color, "lw": linewidth}
    patch = ax.add_patch(FancyBboxPatch((x - width / 2, y - height / 2), width, height, **line))
    ax.text(x, y, text, ha="center", va="center", size=15, color=color)
    return patch


def _centre(patch: FancyBboxPatch) -> tuple[float, float]:
    return patch.get_x() + patch.get_width() / 2, patch.get_y() + patch.get_height() / 2


def arrow(
    ax: Axes,
    start: FancyBboxPatch | tuple[float, float],
    end: FancyBboxPatch,
    label: str = "",
    *,
    shift: tuple[float, float] = (0, 0.2),
    color: str = "black",
    linestyle: str = "-",
    linewidth: float = 1.4,
    bend: str = "",
) -> FancyArrowPatch:
    """An arrow from the edge of one box, or from a point, to the edge of another; its label shifted off the middle.

    Straight, or round one corner: `bend` is "hv" (first horizontal, then vertical) or "vh".
    """
    point = isinstance(start, tuple)
    (x0, y0), (x1, y1) = start if point else _centre(start), _centre(end)
    # Drawn from centre to centre and cut at the edges, so it meets them at any angle.
    ends = {"patchA": None if point else start, "patchB": end, "shrinkA": 0, "shrinkB": 0}
    line = {"arrowstyle": "-|>", "mutation_scale": 13, "lw": linewidth, "color": color, "linestyle": linestyle}
    if bend:
        line["connectionstyle"] = {"hv": "angle,angleA=0,angleB=90", "vh": "angle,angleA=90,angleB=0"}[bend]
    patch = ax.add_patch(FancyArrowPatch((x0, y0), (x1, y1), **ends, **line))
    if label:
        ax.text(
            (x0 + x1) / 2 + shift[0], (y0 + y1) / 2 + shift[1], label, ha="center", va="center", size=15, color=color
        )
    return patch


def _canvas(ax: Axes, width: float, height: float) -> None:
    ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    ax.axis("off")


# The three weight matrices keep their colours from figure to figure.
_W, _R, _V = (OKABE_ITO[name] for name in ("blue", "vermillion", "green"))


def elman_diagram(ax: Axes) -> None:
    """Draw the Elman network as a loop: the hidden state comes back one step later as the context.

    Boxes hold values, circles operations. Drawn for a figure of 6.5 by 3 inches.
    """
    _canvas(ax, 6.5, 2.9)
    upper, lower = 2.0, 0.65
    x, h, y = (box(ax, at, upper, text) for at, text in ((0.6, "$x_t$"), (3.4, "$h_t$"), (5.9, "$y_t$")))
    context = box(ax, 0.6, lower, "$h_{t-1}$")
    circle = {"width": 0.6, "shape": "circle,pad=0"}
    f, phi = box(ax, 2.1, upper, "$f$", **circle), box(ax, 4.7, upper, r"$\phi$", **circle)
    delay = box(ax, 3.4, lower, "$z^{-1}$", **circle)
    arrow(ax, x, f, "$W$", color=_W)
    arrow(ax, context, f, "$R$", color=_R, shift=(0.2, -0.15))
    arrow(ax, f, h)
    arrow(ax, h, phi, "$V$", color=_V)
    arrow(ax, phi, y)
    arrow(ax, h, delay, linestyle="--")
    arrow(ax, delay, context, linestyle="--")
    for at, name in (0.6, "input"), (3.4, "hidden state"), (5.9, "output"):
        ax.text(at, upper + 0.5, name, ha="center", va="center")
    for at, name in (0.6, "context"), (3.4, "delay of one step"):
        ax.text(at, lower - 0.5, name, ha="center", va="center")


def unrolled_diagram(ax: Axes, steps: int = 4) -> None:
    """Draw the Elman network unrolled over `steps` steps: one column a step, the same three matrices in each.

    Drawn for a figure of 6.5 by 4.2 inches at four steps.
    """
    _canvas(ax, 1.3 * steps + 1.1, 4.1)
    small = {"width": 0.7, "height": 0.5}
    state = box(ax, 0.55, 1.5, "$h_0$", **small)
    for t in range(1, steps + 1):
        x = 0.55 + 1.3 * t
        previous = state
        inputs, state, output, loss = (
            box(ax, x, 0.4 + 1.1 * level, f"${name}_{{{t}}}$", **small) for level, name in enumerate("xhyL")
        )
        arrow(ax, previous, state, "$R$", color=_R)
        arrow(ax, inputs, state, "$W$", color=_W, shift=(0.25, 0))
        arrow(ax, state, output, "$V$", color=_V, shift=(0.25, 0))
        arrow(ax, output, loss)


# The gates keep their colours from figure to figure.
GATE_COLORS = {gate: OKABE_ITO[name] for gate, name in (("i", "blue"), ("f", "vermillion"), ("o", "green"))}
LSTM_STAGES = ("gates", "input", "cell", "state")
_ROWS = {"f": (0.5, "forget\ngate"), "i": (2.4, "input\ngate"), "z": (3.3, "candidate"), "o": (5.1, "output\ngate")}


def lstm_diagram(ax: Axes, spec: CellSpec | str = "vanilla", stage: str = "state") -> None:
    """Draw one step of an LSTM cell, built up to a stage of LSTM_STAGES: the new in full strength, the old in grey.

    "gates" makes i, f and o, "input" the candidate z and i z, "cell" the new cell, "state" the output. Only what the
    spec has is drawn, each part at the same place in every stage. Boxes hold values, circles operations, peepholes are
    dashed. Drawn for a figure of 6.5 by 5 inches.
    """
    spec = cell_spec(spec)
    if stage not in LSTM_STAGES:
        raise OptionError(f"lstm_diagram: stage is one of {', '.join(LSTM_STAGES)}, not {stage!r}")
    _canvas(ax, 6.5, 5.05)
    shown = LSTM_STAGES[: LSTM_STAGES.index(stage) + 1]
    inputs, functions, values, products, cells = 0.97, 1.75, 2.6, 3.45, 4.4  # the heights
    parts, now = {}, ""

    def color(row: str) -> str:
        return GATE_COLORS.get(row, "black") if now == stage else "#949494"

    def put(name: str, x: float, y: float, text: str, row: str = "", width: float = 0.62, **shape: object) -> None:
        pen = {"color": color(row), "linewidth": 2 if now == stage else 1.2}
        parts[name] = box(ax, x, y, text, width=width, **{"height": 0.54} | shape, **pen)

    def operate(name: str, x: float, y: float, text: str, row: str = "", width: float = 0.62) -> None:
        put(name, x, y, text, row, width, height=width, shape="circle,pad=0")

    def join(start: str, end: str, row: str = "", **options: object) -> None:
        pen = {"color": color(row), "linewidth": 2 if now == stage else 1.2}
        arrow(ax, parts[start], parts[end], **options, **pen)

    def say(x: float, y: float, text: str, row: str = "", **options: object) -> None:
        ax.text(x, y, text, ha="center", color=color(row), **{"va": "center", "linespacing": 1.15} | options)

    def unit(row: str, function: str) -> None:
        """The inputs, weighed, through the function if there is one, to the value of the row."""
        x, name = _ROWS[row]
        say(x, 0.64, name, row, va="top")
        put(row, x, values, f"${row}_t$", row)
        if function:
            operate(f"make {row}", x, functions, function, row)
            join(f"make {row}", row, row)
        if function != "$1-$":
            parts["inputs"] = (x, inputs + 0.23)
            join("inputs", f"make {row}" if function else row, row)

    def peepholes(start: str, rows: list[str], x: float) -> None:
        for row in rows:
            join(start, f"make {row}", bend="vh", linestyle=(0, (3, 1.5)))
        say(x, values + 0.07, "peepholes" if rows[1:] else "peephole", rotation=90)

    for now in shown:
        if now == "gates":
            before = ",\\ ".join(f"{gate}_{{t-1}}" for gate in spec.gates)
            fed = {"none": "", "all": f"$,\\ {before}$", "gates": f"  (gates: also ${before}$)"}
            text = r"$x_t,\ h_{t-1}$" + fed[spec.gate_recurrence] * bool(before)
            put("inputs", 2.8, inputs, text, width=5.3, height=0.46)
            for gate in spec.gates:
                unit(gate, r"$\sigma$")
            if spec.coupled:
                unit("f", "$1-$")
                join("i", "make f", "f")
            seeing = [gate for gate in "if" if gate in spec.gates and spec.peepholes]
            if seeing:
                put("c before", 1.45, products, "$c_{t-1}$", width=0.8)
                peepholes("c before", seeing, 1.27)
        elif now == "input":
            unit("z", {"tanh": r"$\tanh$", "identity": ""}.get(spec.input_squashing, "$g$"))
            if spec.input_gate:
                operate("i z", 2.85, products, r"$\times$", width=0.44)
                join("i", "i z", "i")
                join("z", "i z")
        elif now == "cell":
            if "c before" not in parts:
                put("c before", 1.45, products, "$c_{t-1}$", width=0.8)
            operate("sum", 2.85, cells, "$+$", width=0.44)
            put("c", 4.1, cells, "$c_t$")
            say(4.1, cells + 0.45, "cell")
            if spec.forget_gate:
                operate("f c", 1.45, cells, r"$\times$", width=0.44)
                join("f", "f c", "f", bend="vh")
                join("c before", "f c")
                join("f c", "sum")
            else:
                join("c before", "sum", bend="vh")
                say(2.05, cells + 0.22, "weight 1")
            join("i z" if spec.input_gate else "z", "sum")
            join("sum", "c")
            if spec.peepholes and spec.output_gate:
                peepholes("c", ["o"], 4.28)
        else:
            last = "c"
            put("h", 6.05, products, "$h_t$")
            say(6.05, products - 0.45, "output")
            if spec.output_squashing != "identity":
                last = "squash"
                operate(last, 5.1, cells, {"tanh": r"$\tanh$"}.get(spec.output_squashing, "$h$"))
                join("c", last)
            if spec.output_gate:
                operate("o h", 5.1, products, r"$\times$", width=0.44)
                join(last, "o h", bend="hv" if last == "c" else "")
                join("o", "o h", "o")
                last = "o h"
            join(last, "h", bend="" if last == "o h" else "hv")


def gru_diagram(ax: Axes) -> None:
    """Draw one step of a gated recurrent unit, with the reset gate after the product R_n h_(t-1), as nn.GRU has it.

    Boxes hold values, circles operations. Drawn for a figure of 6.5 by 5 inches.
    """
    _canvas(ax, 6.5, 5.05)
    inputs, functions, values, products, states = 0.97, 1.75, 2.6, 3.5, 4.4  # the heights
    blue, green = GATE_COLORS["i"], GATE_COLORS["o"]
    circle = {"width": 0.62, "height": 0.62, "shape": "circle,pad=0", "linewidth": 2}
    small = circle | {"width": 0.44, "height": 0.44}
    value = {"width": 0.62, "height": 0.54, "linewidth": 2}

    def read(x: float, text: str, name: str, width: float, color: str = "black") -> FancyBboxPatch:
        if name:
            ax.text(x, 0.64, name, ha="center", va="top", color=color, linespacing=1.15)
        return box(ax, x, inputs, text, width=width, height=0.46, linewidth=2, color=color)

    both = r"$x_t, h_{t-1}$"
    u_in, r_in = read(1.7, both, "update\ngate", 1.2, blue), read(5.85, both, "reset\ngate", 1.2, green)
    x, h = read(3.4, "$x_t$", "candidate", 0.7), read(4.65, "$h_{t-1}$", "", 0.85)
    make_u, make_r = (box(ax, at, functions, r"$\sigma$", color=c, **circle) for at, c in ((1.7, blue), (5.85, green)))
    make_n = box(ax, 3.4, functions, r"$\tanh$", **circle)
    q = box(ax, 4.65, functions, "$q_t$", **value)
    u, r = (
        box(ax, at, values, text, color=c, **value) for at, text, c in ((1.7, "$u_t$", blue), (5.85, "$r_t$", green))
    )
    n, r_q = box(ax, 3.4, values, "$n_t$", **value), box(ax, 4.65, values, r"$\times$", **small)
    rest = box(ax, 2.55, products, "$1-$", color=blue, **circle | {"width": 0.56, "height": 0.56})
    new, kept = box(ax, 3.4, products, r"$\times$", **small), box(ax, 1.7, states, r"$\times$", **small)
    before, total = box(ax, 0.6, states, "$h_{t-1}$", **value | {"width": 0.85}), box(ax, 3.4, states, "$+$", **small)
    after = box(ax, 4.65, states, "$h_t$", **value)
    ax.text(4.65, states - 0.45, "state and output", ha="center", va="center")
    for start, end in ((u_in, make_u), (make_u, u), (u, kept), (u, rest), (rest, new)):
        arrow(ax, start, end, color=blue, linewidth=2)
    for start, end in ((r_in, make_r), (make_r, r), (r, r_q)):
        arrow(ax, start, end, color=green, linewidth=2)
    for start, end in ((x, make_n), (h, q), (q, r_q), (r_q, make_n), (make_n, n), (n, new), (new, total)):
        arrow(ax, start, end, linewidth=2)
    for start, end in ((before, kept), (kept, total), (total, after)):
        arrow(ax, start, end, linewidth=2)
