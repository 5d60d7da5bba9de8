"""What the figures are put together from: elements, numbers, inputs, axes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from minigrad.errors import OptionError


@dataclass(frozen=True)
class Drawing:
    """A figure before its style and its script: what it shows in words, its pictures, and the HTML they live in."""

    title: str
    summary: str
    pictures: list[str]
    body: str
    caption: str


def tag(name: str, /, *content: str, **attributes: object) -> str:
    """Return an element; of an attribute's name `_` becomes `-`, one at its end is dropped, None leaves it out."""
    told = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return f"<{name}{told}>{''.join(content)}</{name}>"


def join(*lines: str) -> str:
    return "\n".join(lines)


def number(x: float, digits: int = 3) -> str:
    """Return a number as the figures write it: with a true minus, and never minus nothing. common.js has the same."""
    text = f"{x:.{digits}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "−")


def power(x: float) -> str:
    """Return a number from 0 up, from 10 000 on and below .01 with a power of ten; the scripts have the same."""
    if x == 0:
        return "0"
    if 0.01 <= x < 1e4:
        return number(x)
    digits, exponent = f"{x:.1e}".split("e")
    return f"{digits} · 10{raised(int(exponent))}"


def raised(exponent: int) -> str:
    return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def within(low: float, high: float, **setting: float) -> None:
    for name, x in setting.items():
        if not low <= x <= high:
            raise OptionError(f"{name} is to lie between {low:g} and {high:g}, not {x!r}")


def choice(name: str, label: str, options: Mapping[str, str], chosen: str) -> str:
    """Return a labelled list of value -> text to choose from."""
    choices = (tag("option", text, value=value, selected=value == chosen) for value, text in options.items())
    return tag("label", label, tag("select", *choices, name=name))


def slider(
    name: str, label: str, low: float, high: float, step: float, value: float, unit: str = "", **attributes: object
) -> str:
    """Return a labelled range with its value beside it; the script finds how to write it in the output's data."""
    digits = len(f"{step:g}".partition(".")[2])
    # What the range says itself, a screen reader need not say twice.
    told = tag("output", number(value, digits) + unit, aria_live="off", data_digits=digits, data_unit=unit)
    field = f'<input type="range" name="{name}" min="{low:g}" max="{high:g}" step="{step:g}" value="{value:g}">'
    return tag("div", tag("label", tag("span", label), field), told, class_="un-slider", **attributes)


def readout(*rows: tuple[str, str, str]) -> str:
    """Return a list of (name, label, text) whose texts the script changes and a screen reader tells."""
    pairs = (tag("div", tag("dt", label), tag("dd", text, data_name=name)) for name, label, text in rows)
    return tag("div", tag("dl", *pairs, class_="un-readout"), role="status")


def path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def stems(panel: "Panel", points: Sequence[tuple[float, float]]) -> list[str]:
    """Return a stem and a dot for each point."""
    base, places = panel.at(0, 0)[1], [panel.at(*point) for point in points]
    return [
        tag("path", d="".join(path([(x, base), (x, y)]) for x, y in places), class_="un-stems"),
        tag("path", d="".join(path([place, place]) for place in places), class_="un-dots"),
    ]


def legend(*entries: tuple[str, str], left: float, top: float, step: float, columns: int = 2) -> str:
    """Return what the lines of a picture mean: (class of the line, text) in columns, `step` apart."""
    parts = []
    for k, (line, text) in enumerate(entries):
        x, y = left + k % columns * step, top + k // columns * 18
        parts += [tag("path", d=f"M{x:g} {y - 4:g}h24", class_=line), tag("text", text, x=x + 30, y=y)]
    return tag("g", *parts, class_="un-legend")


@dataclass
class Panel:
    """One picture with axes, an SVG of its own, so that panels stand one below the other on a narrow screen.

    x, y: the ends of the axes. xticks, yticks: place -> text. box: left, top, width, height of the field that
    the axes span, in the picture's own units; the script reads it, and the ends, from the SVG's data attributes.
    """

    name: str
    label: str
    x: tuple[float, float]
    y: tuple[float, float]
    box: tuple[float, float, float, float] = (46, 26, 280, 156)
    size: tuple[int, int] = (340, 222)
    xticks: Mapping[float, str] = field(default_factory=dict)
    yticks: Mapping[float, str] = field(default_factory=dict)
    xlabel: str = ""
    ylabel: str = ""
    marks: list[str] = field(default_factory=list)

    def at(self, x: float, y: float) -> tuple[float, float]:
        left, top, width, height = self.box
        return (
            left + (x - self.x[0]) / (self.x[1] - self.x[0]) * width,
            top + (self.y[1] - y) / (self.y[1] - self.y[0]) * height,
        )

    def svg(self, description: str) -> str:
        left, top, width, height = self.box
        grid, labels = [], []
        for x, text in self.xticks.items():
            px = self.at(x, 0)[0]
            grid.append(f"M{px:.1f} {top:g}v{height:g}")
            labels.append(tag("text", text, x=f"{px:.1f}", y=top + height + 16))
        for y, text in self.yticks.items():
            py = self.at(0, y)[1]
            grid.append(f"M{left:g} {py:.1f}h{width:g}")
            labels.append(tag("text", text, x=left - 6, y=f"{py + 4:.1f}", class_="un-ytick"))
        axes = tag("path", d="".join(grid), class_="un-grid")
        names = tag("text", self.ylabel, x=left, y=16, class_="un-name") + tag(
            "text", self.xlabel, x=left + width / 2, y=self.size[1] - 4, class_="un-xlabel"
        )
        return tag(
            "svg",
            tag("desc", description),
            axes,
            *self.marks,
            tag("g", *labels, class_="un-ticks"),
            names,
            viewBox=f"0 0 {self.size[0]} {self.size[1]}",
            role="img",
            aria_label=self.label,
            data_panel=self.name,
            data_box=" ".join(f"{n:g}" for n in self.box),
            data_x=f"{self.x[0]:g} {self.x[1]:g}",
            data_y=f"{self.y[0]:g} {self.y[1]:g}",
        )
