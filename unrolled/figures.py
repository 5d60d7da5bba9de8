"""One style for every figure of the book, and its diagrams."""

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

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
) -> FancyBboxPatch:
    """A rounded box with text, centred on (x, y); `shape` is a box style of matplotlib."""
    patch = FancyBboxPatch((x - width / 2, y - height / 2), width, height, boxstyle=shape, fc="white", ec=color, lw=1.4)
    ax.add_patch(patch)
    ax.text(x, y, text, ha="center", va="center", size=15, color=color)
    return patch


def _centre(patch: FancyBboxPatch) -> tuple[float, float]:
    return patch.get_x() + patch.get_width() / 2, patch.get_y() + patch.get_height() / 2


def arrow(
    ax: Axes,
    start: FancyBboxPatch,
    end: FancyBboxPatch,
    label: str = "",
    *,
    shift: tuple[float, float] = (0, 0.2),
    color: str = "black",
    linestyle: str = "-",
) -> FancyArrowPatch:
    """An arrow from the edge of one box to the edge of another, its label shifted off the middle."""
    (x0, y0), (x1, y1) = _centre(start), _centre(end)
    # Drawn from centre to centre and cut at the edges, so it meets them at any angle.
    ends = {"patchA": start, "patchB": end, "shrinkA": 0, "shrinkB": 0}
    line = {"arrowstyle": "-|>", "mutation_scale": 13, "lw": 1.4, "color": color, "linestyle": linestyle}
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
