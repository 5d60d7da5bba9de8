"""Figures that a reader can work, without a server: Python draws them, a script in the page moves them.

`show("graph")` at the end of a cell is a whole figure: picture, inputs, style and script in one piece of HTML. It works
in the built book from a disk, in JupyterLab, Colab and JupyterLite, and from the output that a notebook stores. Without
JavaScript the picture stands still, with the numbers that minigrad gave it.

A figure is a module `name.py` that draws it, and a script `name.js` whose `mount` gives it life: it changes numbers and
lines of what Python drew, and draws nothing itself. `common.js` holds what the scripts share. Nothing has an id,
so several figures on a page cannot meet, and the same call gives the same bytes.
"""

import re
from base64 import b64encode
from collections.abc import Callable
from html import escape
from importlib.resources import files

from minigrad.errors import OptionError
from unrolled.interactive import forget_bias, graph, jacobians, lstm_cell, one_pole, peephole
from unrolled.interactive.parts import Drawing, join, tag

FIGURES: dict[str, Callable[..., Drawing]] = {
    "graph": graph.draw,
    "one_pole": one_pole.draw,
    "jacobians": jacobians.draw,
    "lstm_cell": lstm_cell.draw,
    "forget_bias": forget_bias.draw,
    "peephole": peephole.draw,
}

WHERE = "The figure moves where scripts run: in the built book, and in a notebook once its cell is run."


class Interactive:
    """One figure, which a notebook displays as HTML."""

    def __init__(self, name: str, drawing: Drawing):
        self.name, self.drawing = name, drawing

    def __repr__(self) -> str:
        return f"An interactive figure: {self.drawing.title}. {self.drawing.summary}"

    def _repr_html_(self) -> str:
        drawing, style = self.drawing, _read("style.css")
        data = b64encode(_still(drawing, style).encode()).decode()
        return tag(
            "figure",
            tag("style", style),
            # What stays where no script runs. JupyterLab takes away style, script and SVG elements until a
            # notebook is trusted, and GitHub has its own list; an image and a sentence remain.
            f'<img class="un-still" alt="{escape(repr(self))}" src="data:image/svg+xml;base64,{data}">',
            tag("p", f"{drawing.summary} {WHERE}", class_="un-still"),
            tag("script", drawing.body, type="text/html"),
            tag("figcaption", tag("strong", drawing.title + ". "), drawing.caption),
            tag("script", _script(self.name)),
            class_="unrolled-interactive",
            data_figure=self.name,
        )


def show(name: str, **settings: float | str) -> Interactive:
    """Return the interactive figure of that name, at these settings to begin with.

    "graph": scene "order" with the leaf a, or "loss" with w and b; numbers from -3 to 3.
    "one_pole": kind "real" with r from -1.2 to 1.2, or "pair" with radius 0 to 1.2 and angle 0 to 1 (times pi);
        weight "mean" (a constant input comes out unchanged) or "one"; frequency from 0 to 1 (times pi radians a step).
    "jacobians": kind "orthogonal", "gaussian" or "triangular", all of R; radius, its spectral radius, from 0.5 to 1.5;
        drive, the standard deviation of the inputs, from 0 to 3.
    "lstm_cell": scene "hold", "open", "late" or "leak", and in place of what it sets i_write, i_hold, loop (the weight
        of the self-loop), o_hold and o_read, from 0 to 1; pulse from -1.5 to 1.5 and distractors from 0 to 1.5.
    "forget_bias": bias from -4 to 8; lag, a whole number from 1 to 10000.
    "peephole": ramp from 0.05 to 0.25 and level from 0.5 to 6; peephole from 0 to 20; of the gate without one,
        recurrent from 0 to 20 and bias from -6 to 0.
    Raises OptionError for a figure or a setting that does not exist.
    """
    if name not in FIGURES:
        raise OptionError(f"there is no interactive figure {name!r}; there are {', '.join(FIGURES)}")
    return Interactive(name, FIGURES[name](**settings))


def _still(drawing: Drawing, style: str) -> str:
    """Return the pictures side by side, two in a row, as one SVG file."""
    sizes = [tuple(map(float, re.search(r'viewBox="0 0 (\S+) (\S+)"', svg).groups())) for svg in drawing.pictures]
    wide, high = max(w for w, _ in sizes) + 10, max(h for _, h in sizes) + 6
    placed = []
    for k, svg in enumerate(drawing.pictures):
        moved = f'<g transform="translate({k % 2 * wide:g} {k // 2 * high:g})">'
        placed.append(re.sub("<svg [^>]*>", moved, svg).replace("</svg>", "</g>"))
    width, height = wide * min(len(sizes), 2), high * -(-len(sizes) // 2)
    return tag(
        "svg",
        tag("style", style),
        tag("g", '<rect width="100%" height="100%" fill="var(--un-paper)"/>', *placed, class_="unrolled-interactive"),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        width=f"{width:g}",
        height=f"{height:g}",
    )


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf8")


def _script(name: str) -> str:
    """Return a classic script whose names stay its own."""
    return join(
        "\n(() => {", '"use strict";', _read("common.js"), _read(f"{name}.js"), f'start("{name}", mount);', "})();\n"
    )
