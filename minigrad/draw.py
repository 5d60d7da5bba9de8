"""Pictures, drawn with matplotlib (extra [plot]): the graph of a small expression, the gates of a cell over time."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from minigrad.backend import to_device
from minigrad.errors import GraphError, OptionError, ShapeError
from minigrad.graph import FREED, Node, sweep
from minigrad.io import MissingLibraryError
from minigrad.op import Pick

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW = 3  # numbers that are written out
SMALL = 8  # points of the numbers at an axis, and the least that can be read
LIMIT = 60  # boxes; with more of them no page shows what they say
SIGNS = {"add": "+", "sub": "−", "mul": "×", "div": "÷", "neg": "−", "pow": "power", "matmul": "@", "getitem": "[ ]"}
LEAF, RESULT, CONSTANT, GRADIENT = "#0072B2", "black", "#767676", "#D55E00"  # the first and last: Okabe & Ito
SIZE, LINE = 10, 0.19  # of the text in points, of a line in inches
GAP = 0.18  # inches between two boxes of a column; between two columns it is GUTTER
GUTTER = 0.34


def pyplot() -> ModuleType:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise MissingLibraryError("minigrad.draw needs the library matplotlib: pip install matplotlib") from error
    return plt


# --- the graph of an expression --------------------------------------------------------------------------------------


class Box:
    """One box of the picture, or, without lines, the place where an arrow passes a column."""

    def __init__(self, title: str = "", lines: Sequence[str] = (), color: str = RESULT, inputs: Sequence["Box"] = ()):
        self.title, self.lines, self.color, self.inputs = title, list(lines), color, list(inputs)
        self.column, self.y, self.outputs = 0, 0.0, []
        count = bool(title) + len(self.lines)
        self.width = 0.16 + max([breadth(title, "bold"), *map(breadth, self.lines)])
        self.height = count * LINE + 0.1 if count else 0.0

    def port(self, k: int) -> float:
        """Return the height at which operand k arrives: one below the other, in their order."""
        return self.y + (k - (len(self.inputs) - 1) / 2) * min(0.13, 0.8 * self.height / len(self.inputs))


def breadth(text: str, weight: str = "normal") -> float:
    """Return the width of a text in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(weight=weight, size=SIZE)
    return TextPath((0, 0), text, prop=font).get_extents().width / 72 if text else 0.0


def short(x: object) -> str:
    """Return a number, a few numbers, or a shape."""
    x = np.asarray(to_device(x, "cpu"))
    if x.size > FEW:
        return "shape " + " × ".join(map(str, x.shape))
    numbers = [f"{float(n):.3g}".replace("-", "−") for n in x.ravel()]
    return numbers[0] if x.size == 1 else f"[{', '.join(numbers)}]"


def heading(record: tuple) -> str:
    """Return the name of the operation, and what it was told beside its operands."""
    op, _, _, static, _ = record
    told = [f"{key} {value}" for key, value in static.items() if key == "axis" and value is not None]
    if op.name == "getitem":
        index = static["index"]
        index = index if isinstance(index, tuple) else (index,)
        if all(isinstance(k, int | np.integer) for k in index):
            return f"[{', '.join(map(str, index))}]"
    return ", ".join([SIGNS.get(op.name, op.name), *told])


def boxes_of(root: Node, names: Mapping[str, Node], values: bool, grads: bool) -> list[Box]:
    """Return a box for each node and each constant, inputs before what is made of them."""
    called = {id(x): name for name, x in names.items()}
    called |= {id(x.data): name for name, x in names.items() if not x.requires_grad}  # the graph keeps the array alone
    nodes, agenda = {root}, [root]
    while agenda:
        record = agenda.pop().record
        if record is FREED:
            raise GraphError("draw.graph: a backward freed this graph; draw before it, or pass it retain_graph=True")
        for parent in parents_of(record):
            if parent is not None and parent not in nodes:
                nodes.add(parent)
                agenda.append(parent)
        if len(nodes) > LIMIT:
            raise GraphError(f"draw.graph: more than {LIMIT} nodes; draw a part, or the same with fewer steps")
    cotangents = {}
    if grads:
        cotangents = {n: g for n, g, _ in sweep(root, root.seed(None), retain_graph=True) if type(g) is not list}
    boxes, constants = {}, {}
    for node in sorted(nodes, key=lambda n: n.tick):
        name, record, inputs = called.get(id(node), ""), node.record, []
        for k, parent in enumerate(parents_of(record)):
            if parent is not None:
                inputs.append(boxes[parent])
                continue
            # An array is drawn once however often it is used. A number each time and without a name: two equal ones may
            # be one object in Python.
            raw = record[2][k]
            key = id(raw) if isinstance(raw, np.ndarray) else (node.tick, k)
            if key not in constants:
                title = called.get(key, "")
                constants[key] = Box(title, [short(raw)] if values or not title else [], CONSTANT)
            inputs.append(constants[key])
        if record is None:
            title = name
        elif record[0] is Pick:
            title = f"output {record[3]['output']}"
        else:
            title = heading(record)
        if record is not None and name:
            title = f"{name} = {title}"
        shown = (values or not title) and not isinstance(node.data, tuple)
        lines = [short(node.data)] if shown else []
        grad = cotangents.get(node, node.grad if values else None)
        if grad is not None and np.size(grad) <= FEW:  # of a large one the box would only repeat the shape
            lines.append(f"grad {short(grad)}")
        boxes[node] = Box(title, lines, LEAF if record is None else RESULT, inputs)
    boxes = [*constants.values(), *boxes.values()]
    if len(boxes) > LIMIT:
        raise GraphError(
            f"draw.graph: {len(boxes)} boxes, more than {LIMIT}; draw a part, or the same with fewer steps"
        )
    return boxes


def parents_of(record: tuple | None) -> list:
    return [] if record is None else record[1]


def place(boxes: list[Box]) -> list[list[Box]]:
    """Give every box its column and its height, as straight as arrows allow, and return the columns."""
    for box in boxes[::-1]:  # results before their inputs: each right before it is used, so that time runs to the right
        for x in box.inputs:
            x.outputs.append(box)
            x.column = min(x.column, box.column - 1)
    first = min(box.column for box in boxes)
    for box in boxes:
        box.column -= first
    columns = [[] for _ in range(1 + max(box.column for box in boxes))]
    for box in boxes:
        columns[box.column].append(box)
    for box in boxes:  # an arrow over several columns gets a place in each that it passes
        for k, x in enumerate(box.inputs):
            for column in range(x.column + 1, box.column):
                stop = Box(inputs=[x])
                stop.column, stop.outputs = column, [box]
                x.outputs[x.outputs.index(box)] = stop
                box.inputs[k] = x = stop
                columns[column].append(stop)
    for column in columns:
        settle(column, range(len(column)))
    for _ in range(12):  # forth and back, each box to the middle of its inputs, then of where its arrows arrive
        for column in columns:
            settle(column, [np.mean([x.y for x in box.inputs] or box.y) for box in column])
        for column in columns[::-1]:
            ports = [
                [y.port(k) for y in dict.fromkeys(box.outputs) for k, x in enumerate(y.inputs) if x is box]
                for box in column
            ]
            settle(column, [np.mean(p or box.y) for p, box in zip(ports, column, strict=True)])
    return columns


def settle(column: list[Box], wished: Sequence[float]) -> None:
    """Put boxes as near to the wished heights as their sizes allow, in that order (least squares)."""
    order = sorted(range(len(column)), key=lambda k: wished[k])
    column[:], wished = [column[k] for k in order], [wished[k] for k in order]
    room = [0.0]
    for one, other in pairwise(column):
        room.append(room[-1] + (one.height + other.height) / 2 + GAP)
    groups = []  # boxes that touch move as one, to the mean of their wishes
    for wish, offset in zip(wished, room, strict=True):
        groups.append([wish - offset])
        while len(groups) > 1 and np.mean(groups[-2]) >= np.mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    base = [float(np.mean(group)) for group in groups for _ in group]
    for box, b, offset in zip(column, base, room, strict=True):
        box.y = b + offset


def graph(
    root: Node,
    names: Mapping[str, Node] | None = None,
    *,
    values: bool = True,
    grads: bool = False,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw how `root` was computed, from left to right: a box for each node, blue for leaves, grey for constants.

    A box says the operation and the number, or the shape; in a leaf the gradient, once backward has left one. `names`
    maps names to nodes, constant Tensors too. Without `values` a box that has a name or an operation says no more;
    with `grads` every box has the gradient of `root` with respect to it, from a sweep that leaves `.grad` alone.
    Without `ax` the figure is as large as its text of 10 points needs.
    Raises GraphError where nothing was recorded, after a backward, and above 60 boxes.
    """
    plt = pyplot()
    if not root.requires_grad:
        raise GraphError("draw.graph: this depends on nothing that requires a gradient, so nothing was recorded")
    columns = place(boxes_of(root, names or {}, values, grads))
    low = min(box.y - box.height / 2 for column in columns for box in column)
    high = max(box.y + box.height / 2 for column in columns for box in column)
    x, place_of = 0.1, {}
    for column in columns:
        width = max(box.width for box in column)
        place_of |= {box: x + width / 2 for box in column}
        for box in column:
            box.width = box.width if box.height else width
        x += width + GUTTER
    size = (x - GUTTER + 0.1, high - low + 0.2)
    if ax is None:
        _, ax = plt.subplots(figsize=size, layout="none")
        ax.set_position((0, 0, 1, 1))
    ax.set(xlim=(0, size[0]), ylim=(high + 0.1, low - 0.1), aspect="equal")  # the first operand on top
    ax.axis("off")
    for column in columns:
        for box in column:
            draw_box(ax, box, place_of[box])
            for k, source in enumerate(box.inputs):
                x = place_of[source] + source.width / 2
                draw_arrow(ax, x, source.y, place_of[box] - box.width / 2, box.port(k), bool(box.height))
    return ax


def draw_box(ax: "Axes", box: Box, x: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    if not box.height:
        ax.plot([x - box.width / 2, x + box.width / 2], [box.y] * 2, color=CONSTANT, lw=1, ls="-")
        return
    corner = (x - box.width / 2, box.y - box.height / 2)
    light = box.color == CONSTANT
    style = {"fc": "white", "ec": box.color, "lw": 0.6 if light else 1.3, "ls": "--" if light else "-"}
    ax.add_patch(FancyBboxPatch(corner, box.width, box.height, "round,pad=0,rounding_size=0.06", **style))
    texts = [(box.title, box.color, "bold")] if box.title else []
    texts += [(line, GRADIENT if line.startswith("grad") else box.color, "normal") for line in box.lines]
    for k, (text, color, weight) in enumerate(texts):
        y = box.y + (k - (len(texts) - 1) / 2) * LINE
        ax.text(x, y, text, size=SIZE, color=color, weight=weight, ha="center", va="center_baseline")


def draw_arrow(ax: "Axes", x0: float, y0: float, x1: float, y1: float, head: bool) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    bend = (x1 - x0) / 2  # level where it leaves and where it arrives
    path = Path([(x0, y0), (x0 + bend, y0), (x1 - bend, y1), (x1, y1)], [1, 4, 4, 4])
    style = {"arrowstyle": "-|>" if head else "-", "mutation_scale": 9, "color": CONSTANT, "lw": 1}
    ax.add_patch(FancyArrowPatch(path=path, shrinkA=0, shrinkB=0, **style))


# --- gates over time -------------------------------------------------------------------------------------------------


def gates(traces: Mapping[str, object], inputs: object = None, *, unit: Sequence[str] = ("i", "f", "o")) -> np.ndarray:
    """Draw what the gates and states of a cell did, a row for each, step for step under the input.

    traces: name -> array (T, H), or (T,) for one unit, in the order of the rows. Up to three units are drawn as lines,
        more as a heat map with a stripe for each unit.
    inputs: an array (T,) or (T, I), drawn as lines; or T labels, such as the characters of a text.
    unit: the names of the rows that lie in [0, 1]; the others are drawn around 0, up to their largest absolute value.

    Returns the axes, one a row, the input's first. Raises ShapeError where lengths differ or there is a batch axis,
    OptionError for more labels than a page has room for (87 letters, 43 words).
    """
    plt = pyplot()
    labels = None if inputs is None or np.asarray(inputs).dtype.kind in "biuf" else list(inputs)
    rows = {name: series(name, x) for name, x in traces.items()}
    if inputs is not None and labels is None:
        rows = {"input": series("input", inputs)} | rows
    if not rows:
        raise ShapeError("draw.gates: there are no rows to draw")
    lengths = {name: len(x) for name, x in rows.items()} | ({"labels": len(labels)} if labels else {})
    if len(set(lengths.values())) != 1:
        raise ShapeError(f"draw.gates: the rows have these steps, not one number of them: {lengths}")
    words = bool(labels) and max(map(len, map(str, labels))) > 2
    room = 350 if words else 700  # in points; words stand upright, and a letter is higher than wide
    if labels and room / len(labels) < SMALL:
        raise OptionError(f"draw.gates: {len(labels)} labels; a page has room for {room // SMALL} of this kind")
    heights = [0.55 if lines(x) else min(1.2, 0.3 + 0.03 * x.shape[1]) for x in rows.values()]
    figure, axes = plt.subplots(
        *(len(rows), 2),
        squeeze=False,
        figsize=(6.5, sum(heights) + 0.1 * len(rows) + (0.9 if labels else 0.6)),
        width_ratios=(60, 1),
        height_ratios=heights,
        layout="constrained",
    )
    figure.get_layout_engine().set(h_pad=0.03, w_pad=0.03, hspace=0.02, wspace=0.01)
    for (ax, bar), (name, x) in zip(axes, rows.items(), strict=True):
        draw_row(ax, bar, x, (0.0, 1.0) if name in unit else None)
        ax.set_ylabel(f"${name}$" if len(name) == 1 else name, rotation=0, ha="right", va="center")
        ax.set_xlim(-0.5, len(x) - 0.5)
        last = ax is axes[-1, 0]
        ax.tick_params(labelbottom=last, bottom=last)
        ax.spines["bottom"].set_visible(last)
    figure.align_ylabels(axes[:, 0])
    axes[-1, 0].set_xlabel("step")
    axes[-1, 0].xaxis.get_major_locator().set_params(integer=True)
    if labels:
        top = axes[0, 0].secondary_xaxis("top")
        top.set_xticks(range(len(labels)), labels, family="monospace", rotation=90 if words else 0)
        top.tick_params(length=0, labelsize=min(12, room / len(labels)))
        top.spines["top"].set_visible(False)
    return axes[:, 0]


def lines(x: np.ndarray) -> bool:
    return x.shape[1] <= FEW


def series(name: str, x: object) -> np.ndarray:
    """Return an array (T, H), or complain."""
    x = np.asarray(to_device(x.data if isinstance(x, Node) else x, "cpu"))
    if x.ndim not in (1, 2) or 0 in x.shape:
        raise ShapeError(f"draw.gates: {name} has shape {x.shape}; give (T, H) or (T,), one example of a batch")
    return x.reshape(len(x), -1)


def draw_row(ax: "Axes", bar: "Axes", x: np.ndarray, limits: tuple[float, float] | None) -> None:
    """Draw one series (T, H) over the steps, with its colour bar where it is a heat map."""
    top = float(np.abs(x).max()) or 1.0
    low, high = limits or (-top, top)
    ends = [f"{low:.2g}".replace("-", "−"), f"{high:.2g}"]
    ax.grid(False)
    ax.spines[["top", "right"]].set_visible(False)
    if lines(x):
        if low < 0:
            ax.axhline(0, color="#cccccc", lw=0.8, ls="-", zorder=0)
        ax.plot(x)
        margin = 0.08 * (high - low)
        ax.set_ylim(low - margin, high + margin)
        ax.set_yticks([low, high], ends, size=SMALL)
        bar.set_axis_off()
        return
    colors = "Blues" if limits else "RdBu_r"  # white is 0
    image = ax.imshow(x.T, aspect="auto", interpolation="nearest", cmap=colors, vmin=low, vmax=high)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.figure.colorbar(image, cax=bar)
    bar.set_yticks([low, high], ends, size=SMALL)
    bar.tick_params(length=0)
    bar.grid(False)
