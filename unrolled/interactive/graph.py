"""The backward sweep through a small graph, node by node, in the right order and in two wrong ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import hypot

from minigrad import Value, tanh
from minigrad.errors import OptionError
from minigrad.graph import Node, sweep
from unrolled.interactive.parts import Drawing, choice, number, tag, within

LOW, HIGH = -3, 3
WIDTH = 350
# How an operation is written, and what it hands to each operand: {0}, {1} operands, {y} the result, {g} its cotangent.
WRITTEN = {
    "add": ("{0} + {1}", "{g}", "{g}"),
    "sub": ("{0} − {1}", "{g}"),  # of a constant
    "mul": ("{0} · {1}", "{g} · {1}", "{g} · {0}"),
    "tanh": ("tanh({0})", "{g} · (1 − {y}²)"),
}
ORDERS = {"newest": "newest first", "depth": "depth first", "breadth": "breadth first"}


@dataclass(frozen=True)
class Scene:
    """A formula and where its picture has what.

    make: from the leaves to all nodes by name, in the order of their ticks. columns: name -> middle of its box; each
    tick has a row. edges: (result, which operand) -> from where, leaving in which direction, to where, arriving in
    which, the place of the number.
    """

    formula: str
    spoken: str
    make: Callable[..., dict[str, Node]]
    leaves: Mapping[str, float]
    columns: Mapping[str, int]
    row: int
    box: tuple[int, int]
    edges: Mapping[tuple[str, int], tuple]

    def y(self, tick: int) -> float:
        return 20 + self.box[1] / 2 + self.row * (tick - 1)


def order(a: Value) -> dict[str, Node]:
    b = a + a
    e = b + b
    return {"a": a, "b": b, "e": e, "c": e + b}


def swapped(a: Value) -> dict[str, Node]:
    b = a + a
    e = b + b
    return {"a": a, "b": b, "e": e, "c": b + e}


def loss(w: Value, b: Value) -> dict[str, Node]:
    p = w * 2.0
    a = p + b
    y = tanh(a)
    r = y - 1.0
    return {"w": w, "b": b, "p": p, "a": a, "y": y, "r": r, "L": r * r}


# Where the nodes a, b, e and c stand.
FOUR = {
    "columns": {"a": 120, "b": 120, "e": 262, "c": 120},
    "row": 98,
    "box": (104, 56),
    "edges": {
        ("b", 0): ((98, 76), (0, 1), (98, 118), (0, 1), (90, 101, "end")),
        ("b", 1): ((142, 76), (0, 1), (142, 118), (0, 1), (150, 101)),
        ("e", 0): ((172, 138), (1, 0), (280, 216), (0, 1), (272, 164)),
        ("e", 1): ((172, 154), (1, 0), (244, 216), (0, 1), (196, 190, "end")),
        ("c", 0): ((262, 272), (0, 1), (172, 342), (-1, 0), (252, 324)),
        ("c", 1): ((120, 174), (0, 1), (120, 314), (0, 1), (112, 248, "end")),
    },
}
SCENES = {
    "order": Scene(
        formula="b = a + a, e = b + b, c = e + b",
        spoken="b = a plus a, e = b plus b, c = e plus b",
        make=order,
        leaves={"a": 1.0},
        **FOUR,
    ),
    "swapped": Scene(
        formula="b = a + a, e = b + b, c = b + e",
        spoken="b = a plus a, e = b plus b, c = b plus e",
        make=swapped,
        leaves={"a": 1.0},
        **FOUR | {"edges": FOUR["edges"] | {("c", 0): FOUR["edges"]["c", 1], ("c", 1): FOUR["edges"]["c", 0]}},
    ),
    "loss": Scene(
        formula="L = (tanh(w · 2 + b) − 1)²",
        spoken="p = w times 2, a = p plus b, y = tanh(a), r = y minus 1, L = r times r",
        make=loss,
        leaves={"w": 0.5, "b": -0.5},
        columns={"w": 84, "b": 298, "p": 84, "a": 208, "y": 298, "r": 208, "L": 84},
        row=67,
        box=(94, 56),
        edges={
            ("p", 0): ((84, 76), (0, 1), (84, 154), (0, 1), (92, 118)),
            ("a", 0): ((131, 182), (1, 0), (192, 221), (0, 1), (150, 172)),
            ("a", 1): ((298, 143), (0, 1), (224, 221), (0, 1), (284, 184)),
            ("y", 0): ((255, 249), (1, 0), (298, 288), (0, 1), (298, 262)),
            ("r", 0): ((298, 344), (0, 1), (255, 383), (-1, 0), (296, 372)),
            ("L", 0): ((161, 372), (-1, 0), (70, 422), (0, 1), (152, 362, "end")),
            ("L", 1): ((161, 388), (-1, 0), (102, 422), (0, 1), (110, 416)),
        },
    ),
}


def draw(scene: str = "order", **leaves: float) -> Drawing:
    if scene not in SCENES or not leaves.keys() <= SCENES[scene].leaves.keys():
        told = "; ".join(f"{name!r} with {', '.join(known.leaves)}" for name, known in SCENES.items())
        raise OptionError(f"the graph's scenes and their leaves are {told}")
    within(LOW, HIGH, **leaves)
    scenes = {scene: SCENES[scene]} | SCENES  # the chosen one first
    drawn = [_scene(name, leaves if name == scene else {}, hidden=name != scene) for name in scenes]
    fields = "".join(
        tag(
            "label",
            leaf,
            f'<input type="number" name="{name}-{leaf}" min="{LOW}" max="{HIGH}" step="any" required '
            f'value="{leaves.get(leaf, value) if name == scene else value:g}">',
            data_scene=name,
            hidden=name != scene,
        )
        for name, known in scenes.items()
        for leaf, value in known.leaves.items()
    )
    buttons = "".join(
        tag("button", label, type="button", name=name)
        for name, label in [("back", "◀ back"), ("forward", "forward ▶"), ("run", "run"), ("reset", "reset")]
    )
    controls = tag(
        "form",
        tag(
            "div",
            choice("scene", "formula", {name: known.formula for name, known in scenes.items()}, scene),
            class_="un-row",
        ),
        tag(
            "div",
            fields,
            tag("small", f"from −{-LOW} to {HIGH}"),
            choice("order", "order", ORDERS, "newest"),
            class_="un-row",
        ),
        tag("div", buttons, class_="un-row un-steps", role="group", aria_label="Steps of the backward sweep"),
        tag("p", role="status", class_="un-status"),
        hidden=True,
        autocomplete="off",
    )
    return Drawing(
        title="One backward sweep, step by step",
        summary=drawn[0][1],
        pictures=[drawn[0][2]],
        body=controls + "".join(html for html, *_ in drawn),
        caption="Each node stands at its tick, the results below their operands. "
        "A sweep takes one node after the other from the agenda, and what it hands on adds to the cotangents "
        "of its operands. Newest first climbs from tick to tick, and every cotangent is complete when it is handed on. "
        "Depth first in <i>c</i> = <i>e</i> + <i>b</i>, and breadth first in <i>c</i> = <i>b</i> + <i>e</i>, take "
        "<i>b</i> before <i>e</i> has added its two parts, and the derivative comes out wrong.",
    )


def _scene(name: str, leaves: Mapping[str, float], hidden: bool) -> tuple[str, str, str]:
    """Return a scene as minigrad computes it, its sweep over; its numbers in a sentence; its picture."""
    scene = SCENES[name]
    values = {**scene.leaves, **leaves}
    nodes = scene.make(**{leaf: Value(x) for leaf, x in values.items()})
    root, end = list(nodes.items())[-1]
    called = {node: key for key, node in nodes.items()}
    visits = {}  # name -> its cotangent and the parts that it hands on, in the engine's own order
    for node, cotangent, _ in sweep(end, 1.0, retain_graph=True):
        pulled = node.record[0].pull(node, cotangent, 0, False) if node.record else []
        visits[called[node]] = cotangent, [(called[operand], part) for operand, part in pulled]
    picture = tag(
        "svg",
        tag("desc", "Each box has a node, its value, and its cotangent; arrows run from operands to results."),
        _clock(scene, len(nodes)),
        *(
            _edge(key, k, scene.edges[key, k], part)
            for key, (_, parts) in visits.items()
            for k, (_, part) in enumerate(parts)
        ),
        *(_node(scene, key, tick, nodes[key], called, visits[key][0]) for tick, key in enumerate(nodes, 1)),
        viewBox=f"0 0 {WIDTH} {scene.y(len(nodes)) + scene.box[1] / 2 + 4:g}",
        role="img",
        aria_label=f"The graph of {scene.spoken}",
    )
    ledger = tag("ol", *(_visit(key, *visit, nodes[key], called) for key, visit in visits.items()), class_="un-ledger")
    slopes = ", ".join(f"d{root}/d{leaf} = {number(visits[leaf][0])}" for leaf in scene.leaves)
    at = ", ".join(f"{leaf} = {x:g}".replace("-", "−") for leaf, x in values.items())
    summary = f"At {at}: {root} = {number(end.data)}, {slopes}."
    return tag("div", picture, ledger, class_="un-scene", data_scene=name, hidden=hidden), summary, picture


def _clock(scene: Scene, ticks: int) -> str:
    numbers = (tag("text", str(k), x=17, y=f"{scene.y(k) + 4:g}") for k in range(1, ticks + 1))
    hand = tag("path", d=f"M26 {scene.y(1) - 6:g}l10 6l-10 6z", class_="un-hand", data_row=scene.row)
    return tag("g", tag("text", "tick", x=17, y=12), *numbers, hand, class_="un-clock")


def _edge(name: str, k: int, geometry: tuple, part: float) -> str:
    start, leave, end, arrive, (x, y, *anchor) = geometry
    bend = 0.5 * hypot(end[0] - start[0], end[1] - start[1])
    curve = "M{:g} {:g}C{:.1f} {:.1f} {:.1f} {:.1f} {:g} {:g}".format(
        *(p + 4 * d for p, d in zip(start, leave, strict=True)),
        *(p + bend * d for p, d in zip(start, leave, strict=True)),
        *(p - bend * d for p, d in zip(end, arrive, strict=True)),
        *(p - 4 * d for p, d in zip(end, arrive, strict=True)),
    )
    return tag(
        "g",
        tag("path", d=curve, class_="un-line"),
        tag("path", d=_head(end, arrive), class_="un-head un-there"),
        tag("path", d=_head(start, (-leave[0], -leave[1])), class_="un-head un-back"),
        tag("text", _signed(part), x=x, y=y, text_anchor=anchor[0] if anchor else None, class_="un-part"),
        class_="un-edge",
        data_result=name,
        data_k=k,
        data_state="past",
    )


def _head(tip: tuple[float, float], direction: tuple[float, float]) -> str:
    """Return an arrow head of 9 by 8 with its tip at a point."""
    (x, y), (dx, dy) = tip, direction
    return (
        f"M{x:g} {y:g}L{x - 9 * dx - 4 * dy:g} {y - 9 * dy - 4 * dx:g}L{x - 9 * dx + 4 * dy:g} {y - 9 * dy + 4 * dx:g}z"
    )


def _signed(x: float) -> str:
    text = number(x)
    return text if text.startswith("−") else f"+{text}"


def _bar(name: str) -> str:
    return f"{name}\u0304"


def _operation(node: Node, called: Mapping[Node, str]) -> tuple[str, list[str]]:
    """Return the operation's name, and its operands: names of nodes, or numbers."""
    if node.record is None:
        return "leaf", []
    op, parents, raw, *_ = node.record
    return op.name, [f"{x:g}" if p is None else called[p] for p, x in zip(parents, raw, strict=True)]


def _node(scene: Scene, name: str, tick: int, node: Node, called: Mapping[Node, str], cotangent: float) -> str:
    (op, inputs), (width, height) = _operation(node, called), scene.box
    x, y = scene.columns[name], scene.y(tick)
    title = f"{name} = {WRITTEN[op][0].format(*inputs)}" if inputs else f"{name} (leaf)"
    total = tag("tspan", number(cotangent), class_="un-total")
    return tag(
        "g",
        tag("rect", x=f"{x - width / 2:g}", y=f"{y - height / 2:g}", width=width, height=height, rx=7),
        tag("text", title, x=x, y=f"{y - 12:g}", class_="un-title"),
        tag("text", number(node.data), x=x, y=f"{y + 5:g}", class_="un-value"),
        tag("text", f"{_bar(name)} = ", total, x=x, y=f"{y + 21:g}", class_="un-cotangent"),
        class_="un-node",
        data_name=name,
        data_op=op,
        data_inputs=" ".join(inputs),
        data_state="done",
    )


def _visit(name: str, cotangent: float, parts: list, node: Node, called: Mapping[Node, str]) -> str:
    op, inputs = _operation(node, called)
    has = f"<b>{name}</b> has {_bar(name)} = " + tag("span", number(cotangent), class_="un-total")
    lines = []
    for k, (operand, part) in enumerate(parts):
        rule = WRITTEN[op][k + 1].format(*inputs, g=_bar(name), y=name)
        value = tag("span", number(part), class_="un-part", data_k=k)
        lines.append(tag("div", f"{_bar(operand)} += {rule} = ", value, tag("em", " too late", hidden=True)))
    return tag("li", has, *lines, data_name=name, data_state="past")
