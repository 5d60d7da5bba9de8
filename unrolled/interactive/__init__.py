"""Figures that a reader can work, without a server: Python draws them, a script in the page moves them.

`show("graph")` at the end of a cell is a whole figure: picture, inputs, style and script in one piece of HTML. It works
in the built book from a disk, in JupyterLab, Colab and JupyterLite, and from the output that a notebook stores. Without
JavaScript the picture stays, with the numbers that minigrad gave it.

A figure is a module `name.py` that draws it, and a script `name.js` whose `mount` gives it life: it changes numbers and
lines of what Python drew, and draws nothing itself. `common.js` holds what the scripts share. Nothing has an id,
so several figures on a page cannot meet, and the same call gives the same bytes.
"""

from collections.abc import Callable
from importlib.resources import files

from minigrad.errors import OptionError
from unrolled.interactive import graph, one_pole
from unrolled.interactive.parts import Drawing, join, tag

FIGURES: dict[str, Callable[..., Drawing]] = {"graph": graph.draw, "one_pole": one_pole.draw}


class Interactive:
    """One figure, which a notebook displays as HTML."""

    def __init__(self, name: str, drawing: Drawing):
        self.name, self.drawing = name, drawing

    def __repr__(self) -> str:
        return f"An interactive figure: {self.drawing.title}. {self.drawing.summary}"

    def _repr_html_(self) -> str:
        drawing = self.drawing
        return tag(
            "figure",
            tag("style", _read("style.css")),
            # Where a viewer takes style and script away, this sentence shows; the style hides it.
            tag("p", repr(self) + " It moves in the built book and in a notebook that you run.", class_="un-bare"),
            tag("div", drawing.body, class_=f"un-body un-{self.name}"),
            tag("figcaption", tag("strong", drawing.title + ". "), drawing.caption),
            tag("script", _script(self.name)),
            class_="unrolled-interactive",
            data_figure=self.name,
            data_lm_suppress_shortcuts="true",  # in JupyterLab the arrow keys are the figure's
        )


def show(name: str, **settings: float | str) -> Interactive:
    """Return the interactive figure of that name, at these settings to begin with.

    "graph": scene "order" with the leaf a, or "loss" with w and b; numbers from -3 to 3.
    "one_pole": kind "real" with r from -1.2 to 1.2, or "pair" with radius 0 to 1.2 and angle 0 to 1 (times pi);
        weight "mean" (a constant input comes out unchanged) or "one"; frequency from 0 to 1 (times pi radians a step).
    Raises OptionError for a figure or a setting that does not exist.
    """
    if name not in FIGURES:
        raise OptionError(f"there is no interactive figure {name!r}; there are {', '.join(FIGURES)}")
    return Interactive(name, FIGURES[name](**settings))


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf8")


def _script(name: str) -> str:
    """Return a classic script whose names stay its own."""
    return join(
        "\n(() => {", '"use strict";', _read("common.js"), _read(f"{name}.js"), f'start("{name}", mount);', "})();\n"
    )
