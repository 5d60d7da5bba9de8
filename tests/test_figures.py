import io
import itertools

import numpy as np
import pytest

mpl = pytest.importorskip("matplotlib")
mpl.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from minigrad.errors import OptionError  # noqa: E402
from minigrad.recurrent.spec import CELLS, CellSpec  # noqa: E402
from unrolled import figures  # noqa: E402

DIAGRAMS = [figures.elman_diagram, figures.unrolled_diagram, figures.lstm_diagram, figures.gru_diagram]
TALL = (figures.lstm_diagram, figures.gru_diagram)


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
    assert len(arrows(ax)) == 4 * steps


def lstm(spec="vanilla", stage="state"):
    figure, ax = plt.subplots(figsize=(6.5, 5))
    figures.lstm_diagram(ax, spec, stage)
    return figure, ax


def arrows(ax):
    return [patch for patch in ax.patches if isinstance(patch, mpl.patches.FancyArrowPatch)]


def dashed(ax):
    return [arrow for arrow in arrows(ax) if arrow.get_linestyle() not in ("-", "solid")]


@pytest.mark.parametrize("spec", ["1997", "peephole", "NIG", "CIFG"])  # those with another drawing
def test_each_stage_of_the_lstm_holds_the_earlier_ones_at_the_same_places_in_grey(spec):
    stages = [lstm(spec, stage)[1] for stage in figures.LSTM_STAGES]
    for ax in stages:
        ax.figure.canvas.draw()
    for earlier, later in itertools.pairwise(stages):
        old, new = ([(text.get_text(), text.get_position()) for text in ax.texts] for ax in (earlier, later))
        assert len(new) > len(old) and new[: len(old)] == old
        assert {text.get_color() for text in later.texts[: len(old)]} == {"#949494"}
        assert "#949494" not in {text.get_color() for text in later.texts[len(old) :]}
        assert len(arrows(later)) > len(arrows(earlier))
        for one, other in zip(arrows(earlier), arrows(later), strict=False):
            assert one.get_linestyle() == other.get_linestyle()
            # An arrow's ends move with its line width, by less than a point.
            assert np.allclose(one.get_path().vertices[:3], other.get_path().vertices[:3], rtol=0, atol=0.03)


def test_the_stages_of_the_lstm_bring_gates_input_cell_and_state():
    gates, inputs, cell, state = (set(labels(lstm("NP", stage)[1])) for stage in figures.LSTM_STAGES)
    assert {"$i_t$", "$f_t$", "$o_t$", r"$\sigma$"} <= gates and not {"$z_t$", "$c_{t-1}$"} & gates
    assert inputs - gates == {"$z_t$", r"$\tanh$", r"$\times$", "candidate"}
    assert cell - inputs == {"$c_{t-1}$", "$c_t$", "$+$", "cell"}
    assert state - cell == {"$h_t$", "output"}


def test_the_lstm_of_1997_has_no_forget_gate_and_keeps_the_cell_with_weight_1():
    found = labels(lstm("1997")[1])
    assert not any("f_" in label or "forget" in label for label in found)
    assert {"weight 1", "$g$", "$h$", r"$x_t,\ h_{t-1}$$,\ i_{t-1},\ o_{t-1}$"} <= set(found)
    assert "weight 1" not in labels(lstm("2000")[1])


@pytest.mark.parametrize(
    "spec, stage, count",
    [
        ("vanilla", "gates", 2),
        ("vanilla", "input", 2),
        ("vanilla", "state", 3),
        ("CIFG", "state", 2),
        ("NFG", "state", 2),
        ("NOG", "state", 2),
        ("NP", "state", 0),
        ("1997", "state", 0),
        ("2000", "state", 0),
    ],
)
def test_peepholes_are_dashed_and_only_where_the_spec_has_them(spec, stage, count):
    ax = lstm(spec, stage)[1]
    assert len(dashed(ax)) == count
    assert any("peephole" in label for label in labels(ax)) == (count > 0)


def test_coupled_gates_make_f_of_i():
    assert labels(lstm("CIFG", "gates")[1]).count(r"$\sigma$") == 2
    assert "$1-$" in labels(lstm("CIFG", "gates")[1]) and "$1-$" not in labels(lstm("vanilla")[1])


def test_the_lstm_diagram_leaves_out_what_the_spec_lacks():
    bare = CellSpec(False, False, False, input_squashing="identity", output_squashing="identity")
    for stage in figures.LSTM_STAGES:
        found = labels(lstm(bare, stage)[1])
        assert not {r"$\sigma$", r"$\tanh$", r"$\times$", "$i_t$", "$f_t$", "$o_t$"} & set(found)
    assert {"$z_t$", "$c_{t-1}$", "$c_t$", "$h_t$"} < set(found)
    assert r"$x_t,\ h_{t-1}$  (gates: also $i_{t-1},\ f_{t-1},\ o_{t-1}$)" in labels(lstm("FGR")[1])


def test_gates_have_their_colours_while_new():
    ax = lstm("vanilla", "gates")[1]
    for gate, color in figures.GATE_COLORS.items():
        assert {text.get_color() for text in ax.texts if text.get_text() == f"${gate}_t$"} == {color}
    assert set(figures.GATE_COLORS.values()) < set(figures.OKABE_ITO.values())


def test_an_unknown_stage_or_cell_is_refused():
    _, ax = plt.subplots()
    with pytest.raises(OptionError, match=r"gates, input, cell, state, not 'output'"):
        figures.lstm_diagram(ax, "vanilla", "output")
    with pytest.raises(OptionError, match="no cell 'GRU'"):
        figures.lstm_diagram(ax, "GRU")


@pytest.mark.parametrize("spec", CELLS)
def test_no_label_of_the_lstm_lies_on_another_or_on_a_box_that_is_not_its_own(spec):
    figure, ax = lstm(spec)
    figure.canvas.draw()
    texts = [text.get_window_extent() for text in ax.texts]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(texts, 2))
    boxes = [patch.get_window_extent() for patch in ax.patches if isinstance(patch, mpl.patches.FancyBboxPatch)]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    within = lambda text, box: box.x0 < text.x0 and text.x1 < box.x1 and box.y0 < text.y0 and text.y1 < box.y1
    assert all(within(text, box) or not text.padded(3).overlaps(box) for text in texts for box in boxes)
    assert all(within(text, figure.bbox) for text in texts)


def test_the_gru_has_one_state_and_takes_its_new_share_from_the_update_gate():
    _, ax = plt.subplots(figsize=(6.5, 5))
    figures.gru_diagram(ax)
    assert {"$u_t$", "$1-$", "$r_t$", "$q_t$", "$n_t$", "$h_t$"} < set(labels(ax))
    assert not {"$c_t$", "$o_t$"} & set(labels(ax))


@pytest.mark.parametrize("draw", DIAGRAMS)
def test_no_label_lies_on_another_or_off_the_canvas(draw):
    figure, ax = plt.subplots(figsize=(6.5, 5) if draw in TALL else None)
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
