import io
import itertools

import pytest

mpl = pytest.importorskip("matplotlib")
mpl.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from unrolled import figures  # noqa: E402

DIAGRAMS = [figures.elman_diagram, figures.unrolled_diagram]


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context():
        figures.use()
        yield
    plt.close("all")


def svg(figure):
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata=figures.SVG_METADATA)
    return file.getvalue()


def labels(ax):
    return [text.get_text() for text in ax.texts]


def test_use_sets_the_style():
    plt.rcdefaults()
    figures.use()
    figure, ax = plt.subplots()
    assert figure.get_size_inches().tolist() == [6.5, 3]
    assert figure.get_facecolor() == (1, 1, 1, 1)
    assert figure.get_layout_engine().__class__.__name__ == "ConstrainedLayoutEngine"
    assert ax.xaxis.label.get_size() >= 12 and ax.xaxis.get_gridlines()[0].get_visible()
    assert ax.yaxis.get_ticklabels()[0].get_fontname() == "DejaVu Sans"


def test_lines_differ_in_colour_and_in_style():
    cycle = mpl.rcParams["axes.prop_cycle"].by_key()
    assert set(cycle) == {"color", "linestyle"}
    assert len(set(cycle["color"])) == len(set(map(str, cycle["linestyle"]))) == 7
    assert set(cycle["color"]) < set(figures.OKABE_ITO.values()) and len(figures.OKABE_ITO) == 8


def test_svg_carries_outlines_and_neither_date_nor_version():
    figure, ax = plt.subplots()
    ax.set_xlabel("time")
    text = svg(figure)
    assert "<text" not in text and "dc:date" not in text and "Matplotlib" not in text


def plot():
    figure, ax = plt.subplots()
    ax.plot([1, 3, 2], label="$h_t$")
    ax.fill_between([0, 1], [1, 2])
    ax.legend()
    return figure


def test_the_same_figure_is_the_same_svg():
    first, second = svg(plot()), svg(plot())
    assert first == second
    with mpl.rc_context({"svg.hashsalt": None}):
        assert svg(plot()) != first  # the salt is what does it


def test_two_kernels_show_the_same_bytes_and_nothing_but_svg():
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    lines = "plt.plot([1, 3, 2], label='$h_t$'); plt.legend(); plt.show()"
    cells = ["import matplotlib.pyplot as plt\nfrom unrolled import figures\nfigures.use()", lines]

    def run():
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        (output,) = nbclient.NotebookClient(notebook, kernel_name="python3").execute().cells[1].outputs
        return output.data

    first, second = run(), run()
    assert set(first) == {"image/svg+xml", "text/plain"}
    assert first == second
    assert "dc:date" not in first["image/svg+xml"]


def test_the_elman_diagram_names_its_parts():
    _, ax = plt.subplots()
    figures.elman_diagram(ax)
    symbols = {"$x_t$", "$f$", "$h_t$", r"$\phi$", "$y_t$", "$h_{t-1}$", "$z^{-1}$", "$W$", "$R$", "$V$"}
    assert symbols | {"input", "hidden state", "output", "context", "delay of one step"} == set(labels(ax))


@pytest.mark.parametrize("steps", [1, 4])
def test_the_unrolled_diagram_repeats_the_same_weights_at_each_step(steps):
    _, ax = plt.subplots()
    figures.unrolled_diagram(ax, steps=steps)
    found = labels(ax)
    assert {f"${name}_{{{t}}}$" for name in "xhyL" for t in range(1, steps + 1)} | {"$h_0$"} <= set(found)
    assert [found.count(f"${name}$") for name in "WRV"] == [steps] * 3
    arrows = [patch for patch in ax.patches if isinstance(patch, mpl.patches.FancyArrowPatch)]
    assert len(arrows) == 4 * steps


@pytest.mark.parametrize("draw", DIAGRAMS)
def test_no_label_lies_on_another_or_off_the_canvas(draw):
    figure, ax = plt.subplots()
    draw(ax)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert all(figure.bbox.containsx(x) and figure.bbox.containsy(y) for box in boxes for x, y in box.get_points())


@pytest.mark.parametrize("draw", DIAGRAMS)
def test_the_diagram_is_small_and_reproducible(draw):
    def once():
        figure, ax = plt.subplots()
        draw(ax)
        return svg(figure)

    first = once()
    assert first == once() and len(first) < 60_000


@pytest.mark.parametrize("y", [1, 1.4])
def test_an_arrow_runs_from_edge_to_edge(y):
    figure, ax = plt.subplots()
    ax.set(xlim=(0, 4), ylim=(0, 2), aspect="equal")
    start, end = figures.box(ax, 1, 1, "a", width=1), figures.box(ax, 3, y, "b", width=1)
    arrow = figures.arrow(ax, start, end, "$W$")
    figure.canvas.draw()
    tail, _, tip = arrow.get_path().vertices[:3]
    assert tail[0] == pytest.approx(1.5, abs=0.03) and tip[0] == pytest.approx(2.5, abs=0.03)
    assert ax.texts[-1].get_position() == (2, (1 + y) / 2 + 0.2)
