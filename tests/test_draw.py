"""The pictures: what stands in them, that nothing lies on anything else, and what is refused."""

import io
import itertools
import subprocess
import sys

import numpy as np
import pytest

mpl = pytest.importorskip("matplotlib")
mpl.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch  # noqa: E402

from minigrad import Tensor, Value, detect_anomaly, draw, split  # noqa: E402
from minigrad.errors import GraphError, OptionError, ShapeError  # noqa: E402
from minigrad.op import cut  # noqa: E402
from minigrad.recurrent.bptt import checkpoint  # noqa: E402


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context():
        yield
    plt.close("all")


def neuron():
    x, w, b = Tensor(2.0), Tensor(-3.0, requires_grad=True), Tensor(6.5, requires_grad=True)
    s = x * w + b
    return {"x": x, "w": w, "b": b, "y": s.tanh()}


def elman(steps=3):
    x, W, R = np.ones((steps, 2)), *(Tensor(np.eye(2), requires_grad=True) for _ in range(2))
    h = Tensor(np.zeros(2))
    for t in range(steps):
        h = (x[t] @ W + h @ R).tanh()
    return h.sum()


def patches(ax, kind):
    return [patch for patch in ax.patches if isinstance(patch, kind)]


def boxes(ax):
    """What each box says, a list of lines a box."""
    ax.figure.canvas.draw()
    found = []
    for patch in patches(ax, FancyBboxPatch):
        area = patch.get_window_extent()
        inside = [t for t in ax.texts if area.contains(*t.get_window_extent().get_points().mean(axis=0))]
        found.append([t.get_text() for t in inside])
    return found


# --- graphs ----------------------------------------------------------------------------------------------------------


def test_a_graph_says_operations_numbers_and_names():
    names = neuron()
    ax = draw.graph(names["y"], names)
    assert sorted(boxes(ax)) == sorted(
        [["x", "2"], ["w", "−3"], ["×", "−6"], ["b", "6.5"], ["+", "0.5"], ["y = tanh", "0.462"]]
    )
    assert len(patches(ax, FancyArrowPatch)) == 5


def test_constants_are_light_and_leaves_blue():
    names = neuron()
    ax = draw.graph(names["y"] * 2, names)
    found = {lines[0]: patch for lines, patch in zip(boxes(ax), patches(ax, FancyBboxPatch), strict=True)}
    color = lambda name: mpl.colors.to_hex(found[name].get_edgecolor())
    assert [color(name) for name in ("x", "2", "w", "y = tanh")] == ["#767676", "#767676", "#0072b2", "#000000"]
    assert found["x"].get_linestyle() == "--" and found["w"].get_linestyle() == "-"


def test_gradients_of_leaves_or_of_all():
    names = neuron()
    y = names["y"]
    y.backward(retain_graph=True)
    said = boxes(draw.graph(y, names))
    assert ["w", "−3", "grad 1.57"] in said and ["+", "0.5"] in said
    names["w"].grad = None
    said = boxes(draw.graph(y, names, grads=True))
    assert ["w", "−3", "grad 1.57"] in said and ["+", "0.5", "grad 0.786"] in said and ["x", "2"] in said
    assert names["w"].grad is None
    y.backward()  # the graph is still whole


def test_values_are_drawn_as_tensors_are_but_a_constant_is_only_a_number():
    x, w = Value(2.0, requires_grad=False), Value(-3.0)
    said = boxes(draw.graph(x * w + 2.0, {"x": x, "w": w}))  # Python keeps one 2.0 for both
    assert sorted(said) == sorted([["2"], ["w", "−3"], ["×", "−6"], ["2"], ["+", "−4"]])


def test_without_values_a_box_says_one_thing():
    names = neuron()
    y = names["y"] * 2
    said = boxes(draw.graph(y, names, values=False))
    assert sorted(said) == sorted([["x"], ["w"], ["×"], ["b"], ["+"], ["y = tanh"], ["2"], ["×"]])


def test_arrays_are_told_by_shape_and_operations_by_axis_and_index():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    said = boxes(draw.graph((x * x).sum(axis=0)[1]))
    assert sorted(said) == sorted([["shape 2 × 3"], ["×", "shape 2 × 3"], ["sum, axis 0", "[2, 2, 2]"], ["[1]", "2"]])


def test_an_array_used_twice_is_one_box_and_x_times_x_two_arrows():
    w, c = Tensor([1.0, 2.0], requires_grad=True), Tensor([1.0, 1.0])
    ax = draw.graph(w * c + w * c, {"c": c})
    assert [lines[0] for lines in boxes(ax)].count("c") == 1
    ax = draw.graph(w * w)
    assert len(boxes(ax)) == 2 and len(patches(ax, FancyArrowPatch)) == 2


def test_several_outputs_are_boxes_of_their_own():
    a, b = split(Tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True), 2)
    said = boxes(draw.graph((a * b).sum(), grads=True))
    assert ["split, axis 0"] in said
    assert ["output 0", "[1, 2]", "grad [3, 4]"] in said and ["output 1", "[3, 4]", "grad [1, 2]"] in said


def test_a_watched_graph_is_drawn_as_any_other():
    with detect_anomaly():
        names = neuron()
    assert ["y = tanh", "0.462"] in boxes(draw.graph(names["y"], names))


def early_and_late():
    w = Value(2.0)
    late = w * 3
    return (w + 1 + 1 + 1) * late


EXPRESSIONS = [lambda: neuron()["y"], elman, lambda: elman(5), lambda: Value(1.0), early_and_late]


@pytest.mark.parametrize("make", EXPRESSIONS)
def test_time_runs_to_the_right_and_nothing_lies_on_anything_else(make):
    ax = draw.graph(make())
    ax.figure.canvas.draw()
    areas = [patch.get_window_extent() for patch in patches(ax, FancyBboxPatch)]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(areas, 2))
    for text in ax.texts:
        one = text.get_window_extent()
        assert sum(area.x0 <= one.x0 and one.x1 <= area.x1 and area.overlaps(one) for area in areas) == 1
    page = ax.figure.bbox
    assert all(page.contains(*point) for area in areas for point in area.get_points())
    for arrow in patches(ax, FancyArrowPatch):
        points = arrow.get_path().vertices[:4]  # after them, the head
        assert points[-1, 0] > points[0, 0]


@pytest.mark.parametrize("make", EXPRESSIONS)
def test_no_arrow_runs_through_a_box(make):
    ax = draw.graph(make())
    t = np.linspace(0, 1, 50)[:, None]
    weights = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3]  # Bézier's
    curves = [sum(map(np.multiply, weights, a.get_path().vertices[:4])) for a in patches(ax, FancyArrowPatch)]
    curves += [np.linspace(*line.get_xydata(), 50) for line in ax.lines]  # level where an arrow passes a column
    for box in patches(ax, FancyBboxPatch):
        middle = np.array([box.get_x() + box.get_width() / 2, box.get_y() + box.get_height() / 2])
        half = np.array([box.get_width() / 2 - 0.01, box.get_height() / 2 - 0.01])
        assert not any((np.abs(curve - middle) < half).all(axis=1).any() for curve in curves)
        spans = [line.get_xdata() for line in ax.lines]  # from one side of the column to the other
        beside = [(start, end) for start, end in spans if start < middle[0] < end]
        assert all(np.abs(end - start) >= 2 * half[0] for start, end in beside)


def test_operands_arrive_in_their_order():
    a, b = Value(1.0), Value(2.0)
    ax = draw.graph(b - a, {"a": a, "b": b})
    height = {text.get_text(): text.get_position()[1] for text in ax.texts}
    assert height["b"] < height["a"] and ax.yaxis_inverted()


def test_a_graph_in_given_axes():
    _, ax = plt.subplots()
    assert draw.graph(neuron()["y"], ax=ax) is ax


def svg(figure):
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


@pytest.mark.slow
def test_the_same_graph_is_the_same_picture():
    mpl.rcParams["svg.hashsalt"] = "fixed"
    assert svg(draw.graph(elman(7)).figure) == svg(draw.graph(elman(7)).figure)


def test_graphs_that_cannot_be_drawn():
    with pytest.raises(GraphError, match="nothing that requires a gradient"):
        draw.graph(Tensor([1.0]) * 2)
    y = neuron()["y"]
    y.backward()
    with pytest.raises(GraphError, match="retain_graph=True"):
        draw.graph(y)
    with pytest.raises(GraphError, match="more than 60 nodes"):
        draw.graph(elman(2000))
    y = Value(1.0)
    for _ in range(40):
        y = y * 2
    with pytest.raises(GraphError, match="81 boxes, more than 60"):
        draw.graph(y)
    with pytest.raises(GraphError, match="seed"):
        draw.graph(Tensor(np.ones(2), requires_grad=True) * 2, grads=True)


# --- gates -----------------------------------------------------------------------------------------------------------


def traces(T=12, H=5):
    rng = np.random.default_rng(0)
    return {name: rng.random((T, H)) - (name in "zch") for name in "ifozch"}


def label(ax):
    return ax.get_ylabel().strip("$")


def test_gates_stand_in_rows_step_for_step_under_the_text():
    given = traces()
    axes = draw.gates(given, "hello world!")
    axes[0].figure.canvas.draw()
    assert [label(ax) for ax in axes] == list("ifozch")
    for ax, x in zip(axes, given.values(), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), x.T)
        assert ax.get_xlim() == (-0.5, 11.5)
    left = {round(ax.get_window_extent().x0, 3) for ax in axes}
    right = {round(ax.get_window_extent().x1, 3) for ax in axes}
    assert len(left) == len(right) == 1
    top = axes[0].child_axes[0]
    assert "".join(text.get_text() for text in top.get_xticklabels()) == "hello world!"
    assert top.get_xticks().tolist() == list(range(12))
    assert axes[-1].get_xlabel() == "step"


def test_colours_gates_from_0_to_1_and_states_around_0():
    given = traces() | {"c": np.array([[-4.0] * 5, [1.0] * 5] * 6)}
    limits = {label(ax): ax.images[0].get_clim() for ax in draw.gates(given)}
    assert limits["i"] == limits["f"] == limits["o"] == (0, 1) and limits["c"] == (-4, 4)
    assert limits["z"] == (-np.abs(given["z"]).max(), np.abs(given["z"]).max())
    limits = {label(ax): ax.images[0].get_clim() for ax in draw.gates(given, unit=["z"])}
    assert limits["z"] == (0, 1) and limits["i"][0] < 0


def test_few_units_are_lines_and_so_is_a_series():
    given = {"i": np.linspace(0, 1, 9), "c": Tensor(np.zeros((9, 3)))}
    axes = draw.gates(given, np.arange(18).reshape(9, 2))
    assert [label(ax) for ax in axes] == ["input", "i", "c"] and not any(ax.images for ax in axes)
    curves = [[line for line in ax.lines if len(line.get_xdata()) == 9] for ax in axes]
    assert [len(lines) for lines in curves] == [2, 1, 3]
    np.testing.assert_array_equal(curves[1][0].get_ydata(), given["i"])


@pytest.mark.parametrize("labels", ["mw" * 43, ["word", "longer"] * 21])
def test_labels_do_not_lie_on_each_other(labels):
    top = draw.gates(traces(len(labels)), labels)[0].child_axes[0]
    top.figure.canvas.draw()
    extents = [text.get_window_extent() for text in top.get_xticklabels()]
    assert len(extents) == len(labels)
    assert all(one.x1 <= other.x0 + 0.5 for one, other in itertools.pairwise(extents))
    assert all(top.figure.bbox.contains(*point) for one in extents for point in one.get_points())


@pytest.mark.parametrize(
    ("given", "inputs", "error", "words"),
    [
        ({"i": np.ones((4, 5)), "f": np.ones((3, 5))}, None, ShapeError, "'i': 4, 'f': 3"),
        ({"i": np.ones((4, 5))}, "abc", ShapeError, "'i': 4, 'labels': 3"),
        ({"i": np.ones((4, 5))}, [1.0, 2.0], ShapeError, "'input': 2, 'i': 4"),
        ({"i": np.ones((4, 2, 5))}, None, ShapeError, r"i has shape \(4, 2, 5\).*one example"),
        ({"i": np.ones((4, 0))}, None, ShapeError, r"\(4, 0\)"),
        ({}, None, ShapeError, "no rows"),
        ({"i": np.ones((88, 5))}, "x" * 88, OptionError, "88 labels; a page has room for 87"),
        ({"i": np.ones((44, 5))}, ["word"] * 44, OptionError, "44 labels; a page has room for 43"),
    ],
)
def test_rows_that_do_not_fit(given, inputs, error, words):
    with pytest.raises(error, match=words):
        draw.gates(given, inputs)


def test_without_matplotlib_the_error_says_what_to_install():
    script = """
import sys
sys.modules["matplotlib"] = None
from minigrad import Value, draw
try:
    draw.graph(Value(1.0))
except ImportError as error:
    print(type(error).__name__, error)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "MissingLibraryError" in result.stdout and "pip install matplotlib" in result.stdout, result.stderr


def test_every_kind_of_record_is_drawn():
    x = Tensor(np.ones(3), requires_grad=True)
    ax = draw.graph(checkpoint(lambda a, b: a * b, cut(x * 2), x).sum())
    assert {"cut", "checkpoint"} <= {text.get_text() for text in ax.texts}
