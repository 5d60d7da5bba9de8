"""A filter with one real pole or a complex pair: where they lie, and what it makes of an impulse and of waves."""

import numpy as np

from minigrad import Tensor
from minigrad.errors import OptionError
from minigrad.recurrent.elman import elman
from unrolled.interactive.parts import Drawing, Panel, choice, number, path, readout, slider, stems, tag, within

KINDS = {"real": "one real pole r", "pair": "a pair of complex poles"}
WEIGHTS = {"mean": "1 − r, as in the text", "one": "1"}
STEPS = 40  # of the impulse response
GRID = 200  # intervals of the frequency axis
LIMIT = 1.2  # of poles, from 0
VERDICTS = ("stable", "on the unit circle: it never fades", "unstable: it explodes")
CLOSED = "closed: its input weight is 0"


def network(kind: str, r: float, radius: float, angle: float, weight: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return R, W and V of the Elman network without its bend that is the filter; the angle in units of pi.

    One real pole is one unit. A pair is two units that R turns by the angle and shrinks by the radius, the first of
    which is seen. With the weight "mean" a constant input comes out unchanged: W = (E - R) (1, 0, ...).
    """
    cosine, sine = radius * np.cos(np.pi * angle), radius * np.sin(np.pi * angle)
    R = np.array([[r]]) if kind == "real" else np.array([[cosine, -sine], [sine, cosine]])
    first = np.eye(len(R))[:, :1]
    return R, (np.eye(len(R)) - R) @ first if weight == "mean" else first, first.T


def impulse_response(R: np.ndarray, W: np.ndarray, V: np.ndarray, steps: int = STEPS) -> np.ndarray:
    """Return what minigrad's network answers to a single 1: m_0 to m_steps."""
    x = np.zeros((steps + 1, 1, 1))
    x[0] = 1
    tensors = (Tensor(array, dtype="float64") for array in (x, np.zeros((1, len(R))), W, R))
    states, _ = elman(*tensors, 0.0, f=lambda a: a)
    return states.data[:, 0] @ V[0]


def frequency_response(R: np.ndarray, W: np.ndarray, V: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Return G on the unit circle, at frequencies in units of pi."""
    z = np.exp(1j * np.pi * np.asarray(frequency))[:, None, None]
    return (V @ np.linalg.solve(np.eye(len(R)) - R / z, np.broadcast_to(W, (len(z), *W.shape))))[:, 0, 0]


def draw(
    kind: str = "real",
    r: float = 0.9,
    radius: float = 0.9,
    angle: float = 0.25,
    weight: str = "mean",
    frequency: float = 0.2,
) -> Drawing:
    if kind not in KINDS or weight not in WEIGHTS:
        raise OptionError(f"kind is one of {', '.join(KINDS)} and weight one of {', '.join(WEIGHTS)}")
    within(-LIMIT, LIMIT, r=r)
    within(0, LIMIT, radius=radius)
    within(0, 1, angle=angle, frequency=frequency)
    real = kind == "real"
    size, turn = (abs(r), float(r < 0)) if real else (radius, angle)
    net = network(kind, r, radius, angle, weight)
    m = impulse_response(*net)
    grid = np.sort([*np.linspace(0, 1, GRID + 1), turn])
    stable = size < 1
    response = frequency_response(*net, grid) if stable else np.array([])
    read = complex(frequency_response(*net, [frequency])[0]) if stable else None
    pole = r + 0j if real else complex(radius * np.exp(1j * np.pi * angle))
    place = f"r = {number(r, 2)}" if real else f"radius {number(radius, 2)}, angle {number(angle, 2)} π"
    form = tag(
        "form",
        tag(
            "div",
            choice("kind", "filter", KINDS, kind),
            choice("weight", "input weight", WEIGHTS, weight),
            class_="un-row",
        ),
        slider("r", "pole r", -LIMIT, LIMIT, 0.01, r, data_kind="real", hidden=not real),
        slider("radius", "poles: radius", 0, LIMIT, 0.01, radius, data_kind="pair", hidden=real),
        slider("angle", "poles: angle", 0, 1, 0.01, angle, " π", data_kind="pair", hidden=real),
        slider("frequency", "frequency", 0, 1, 0.01, frequency, " π"),
        hidden=True,
        autocomplete="off",
    )
    verdict = VERDICTS[(size >= 1) + (size > 1)] if net[1].any() else CLOSED
    fade = [f"{number(x / -np.log(size), 2)} steps" if 0 < size < 1 else "–" for x in (np.log(2), 1)]
    wave = f"{number(2 / turn, 1)} steps" if turn else "–"
    asked = f"{number(2 / frequency, 1)} steps" if frequency else "–"
    numbers = readout(
        ("verdict", "the filter is", verdict),
        ("half", "half-life", fade[0]),
        ("tau", "time constant τ", fade[1]),
        ("wave", "period of its own wave", wave),
        ("period", "a wave with the period", asked),
        ("gain", "comes out with the gain", number(abs(read), 4) if stable else "–"),
        ("phase", "and shifted by", f"{number(np.degrees(np.angle(read)), 1)}°" if stable else "–"),
    )
    panels = [
        _plane([pole, pole if real else pole.conjugate()], frequency),
        _response(m),
        _gain(grid, response, frequency, read),
        _phase(grid, response, frequency, read),
    ]
    return Drawing(
        title="Move the pole",
        summary=f"{KINDS[kind].removesuffix(' r').capitalize()}, {place}: {verdict}"
        + (f", half-life {fade[0]}." if fade[0] != "–" else "."),
        pictures=panels,
        body=form + tag("div", *panels, class_="un-panels") + numbers,
        caption="The filter <i>h<sub>t</sub></i> = <i>r h</i><sub><i>t</i>−1</sub> + (1 − <i>r</i>) "
        "<i>x<sub>t</sub></i>, or with a pair of poles two such units that turn into each other. The nearer a pole "
        "lies to the unit circle, the longer the response to an impulse lasts. Below: how many times as high a wave "
        "comes out (gain), and by which part of its cycle it is shifted (phase); the gain rises at the pole’s own "
        "angle. Dotted: from the poles to the frequency that is read off; with one pole the gain is the size of the "
        "input weight divided by this distance. On and outside the circle no wave gets a lasting answer: the lower two "
        "pictures are empty. At <i>r</i> = 1 the weight 1 − <i>r</i> lets nothing in; take the weight 1 there.",
    )


def _plane(poles: list[complex], frequency: float) -> str:
    panel = Panel(
        "plane",
        "The poles in the complex plane, with the unit circle",
        x=(-2.04, 2.04),
        y=(-1.28, 1.28),
        box=(14, 22, 312, 196),
        size=(340, 222),
        ylabel="the complex plane",
    )
    point = np.exp(1j * np.pi * frequency)
    (x0, y0), (x1, _) = panel.at(0, 0), panel.at(1, 0)
    left, top, width, height = panel.box
    rays = [path([panel.at(pole.real, pole.imag), panel.at(point.real, point.imag)]) for pole in poles]
    panel.marks = [
        tag("path", d=f"M{left} {y0:.1f}h{width}M{x0:.1f} {top}v{height}", class_="un-grid"),
        tag("circle", cx=f"{x0:.1f}", cy=f"{y0:.1f}", r=f"{x1 - x0:.1f}", class_="un-circle"),
        tag("text", "1", x=f"{x1 + 5:.1f}", y=f"{y0 + 15:.1f}", class_="un-tick"),
        tag("text", "−1", x=f"{2 * x0 - x1 - 18:.1f}", y=f"{y0 + 15:.1f}", class_="un-tick"),
        tag("text", "real part", x=left + width, y=f"{y0 - 6:.1f}", class_="un-tick", text_anchor="end"),
        tag("text", "imaginary part", x=f"{x0 + 6:.1f}", y=top + 2, class_="un-tick"),
        tag("path", d="".join(rays), class_="un-ray"),
        *(
            tag("path", d="M-6-6L6 6M-6 6L6-6", class_=f"un-pole un-pole-{k}", transform=_move(panel, pole))
            for k, pole in enumerate(poles)
        ),
        _probe(panel, point.real, point.imag),
    ]
    return panel.svg("A cross marks each pole; a dot on the unit circle marks the frequency that is read off.")


def _move(panel: Panel, place: complex) -> str:
    return "translate({:.1f} {:.1f})".format(*panel.at(place.real, place.imag))


def _probe(panel: Panel, x: float, y: float, shown: bool = True) -> str:
    return tag(
        "circle", r=5, class_="un-probe", transform=_move(panel, complex(x, y)), display=None if shown else "none"
    )


def _response(m: np.ndarray) -> str:
    top = scale(np.abs(m).max())
    panel = Panel(
        "response",
        "Impulse response",
        x=(-0.8, STEPS + 0.8),
        y=(-top, top),
        xticks={k: str(k) for k in range(0, STEPS + 1, 10)},
        yticks={top * k: f"{top * k:g}".replace("-", "−") for k in (-1, -0.5, 0, 0.5, 1)},
        xlabel="lag (steps)",
        ylabel="impulse response",
    )
    panel.marks = stems(panel, list(enumerate(m)))
    return panel.svg("A stem for each lag: how much of an input is left after so many steps.")


def scale(top: float) -> float:
    """Return 1, 2 or 5 times a power of ten, the smallest that is not below a number, and 0.1 at least."""
    return next(x for k in range(-1, 9) for x in (10.0**k, 2 * 10.0**k, 5 * 10.0**k) if x >= top * (1 - 1e-9))


def _waves(name: str, label: str, ylabel: str, y: tuple, ticks: dict, grid: np.ndarray, values: np.ndarray) -> Panel:
    xticks = {0: "0", 0.25: "π/4", 0.5: "π/2", 0.75: "3π/4", 1: "π"}
    xlabel = "frequency (radians per step)"
    panel = Panel(name, label, x=(0, 1), y=y, xticks=xticks, yticks=ticks, xlabel=xlabel, ylabel=ylabel)
    d = ""
    for k, point in enumerate(zip(grid, values, strict=False)):
        jump = k and name == "phase" and abs(values[k] - values[k - 1]) > 180
        d += ("M" if not k or jump else "L") + "{:.1f} {:.1f}".format(*panel.at(*point))
    left, top, width, height = panel.box
    empty = tag(
        "text",
        "none: the filter is not stable",
        x=left + width / 2,
        y=top + height / 2 - 10,
        class_="un-empty",
        display="none" if len(values) else None,
    )
    panel.marks = [tag("path", d=d, class_="un-curve"), empty]
    return panel


def _gain(grid: np.ndarray, response: np.ndarray, frequency: float, read: complex | None) -> str:
    top = scale(max(abs(response), default=1.0))
    ticks = {top * k: f"{top * k:g}" for k in (0, 0.5, 1)}
    panel = _waves("gain", "Gain against frequency", "gain of a wave", (0.0, top), ticks, grid, abs(response))
    panel.marks.append(_probe(panel, frequency, abs(read or 0), read is not None))
    return panel.svg(
        "How many times as high a wave comes out, from slow waves on the left to the fastest on the right."
    )


def _phase(grid: np.ndarray, response: np.ndarray, frequency: float, read: complex | None) -> str:
    ticks = {k: number(k, 0) + "°" for k in (-180, -90, 0, 90, 180)}
    values = np.degrees(np.angle(response))
    panel = _waves("phase", "Phase against frequency", "phase of a wave (degrees)", (-190, 190), ticks, grid, values)
    at = np.degrees(np.angle(read)) if read is not None else 0.0
    panel.marks.append(_probe(panel, frequency, at, read is not None))
    return panel.svg("By which part of its cycle a wave is shifted; below 0 it comes late.")
