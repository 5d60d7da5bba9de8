"""The interactive figures in a real browser, at the keyboard alone; their numbers beside minigrad's."""

import json
import math
import re
from base64 import b64decode

import nbformat
import numpy as np
import pytest
from scipy import signal
from test_site import BROWSER, CONTRAST, HTML, QUIET, ROOT, TROUBLE, build

import minigrad as mg
from minigrad import Tensor, Value
from minigrad.errors import OptionError
from minigrad.recurrent.elman import elman, elman_sequence
from minigrad.recurrent.lstm import lstm_sequence
from minigrad.recurrent.spec import CellSpec
from unrolled.interactive import FIGURES, jacobians, lstm_cell, show
from unrolled.notebooks import normalise
from unrolled.site import chapters

pytestmark = pytest.mark.xdist_group("site")
each_figure = pytest.mark.parametrize("name", FIGURES)
SETTINGS = range(8)


@pytest.fixture(scope="module")
def browser():
    if BROWSER is None:
        pytest.skip("no Chromium: on Debian, apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, tmp_path):
    """Open a page of fragments from the disk; at the end nothing has gone wrong and nothing was fetched."""
    opened = []

    def visit(*fragments, theme="light", width=760, **context):
        page = browser.new_context(viewport={"width": width, "height": 900}, **context).new_page()
        log = []
        page.on("request", lambda request: log.append(request.url) if not request.url.startswith("file:") else None)
        page.on("pageerror", lambda error: log.append(str(error)))
        page.on("console", lambda message: log.append(message.text) if message.type in TROUBLE else None)
        file = tmp_path / f"{len(opened)}.html"
        body = "\n".join(f if isinstance(f, str) else f._repr_html_() for f in fragments)
        file.write_text(
            f'<!doctype html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8"><title>page</title>'
            '<link rel="icon" href="data:,"><meta name="viewport" content="width=device-width"></head>'
            f"<body>{body}</body></html>",
            "utf8",
        )
        page.goto(file.as_uri())
        opened.append((page, log))
        return page

    yield visit
    for page, log in opened:
        page.context.close()
        assert log == []


# --- at the keyboard -------------------------------------------------------------------------------------------------


def reach(page, name):
    """Go to an input with the Tab key, as a reader without a mouse does."""
    for _ in range(40):
        if page.evaluate("document.activeElement.name") == name:
            return
        page.keyboard.press("Tab")
    pytest.fail(f"the Tab key does not reach {name}")


def choose(page, name, value):
    reach(page, name)
    page.keyboard.press("Home")
    for _ in range(10):
        if page.evaluate("document.activeElement.value") == value:
            return
        page.keyboard.press("ArrowDown")
    pytest.fail(f"the arrow keys do not choose {value}")


def type_in(page, name, text):
    reach(page, name)
    page.keyboard.press("Control+a")
    page.keyboard.type(text)


def slide(page, name, value):
    """Move a range with the arrow keys, from where it is or from its nearer end."""
    reach(page, name)
    low, high, step, now = page.evaluate(
        "(({min, max, step, value}) => [min, max, step, value])(document.activeElement)"
    )
    low, high, step, now = map(float, (low, high, step, now))
    start = min((now, ""), (low, "Home"), (high, "End"), key=lambda end: abs(end[0] - value))
    if start[1]:
        page.keyboard.press(start[1])
    count = round((value - start[0]) / step)
    for _ in range(abs(count)):
        page.keyboard.press("ArrowRight" if count > 0 else "ArrowLeft")
    assert float(page.evaluate("document.activeElement.value")) == pytest.approx(value, abs=1e-9)


def read(text):
    return float(text.replace("−", "-").replace("+", ""))


def exact(locator):
    """The number of an element, in full; what the reader sees is that number, rounded."""
    shown, value = locator.text_content(), locator.get_attribute("data-value")
    number = re.match(r"[+−]?\d+(?:\.(\d+))?", shown)
    assert abs(read(number[0]) - float(value)) <= 0.5 * 10 ** -len(number[1] or "") + 1e-12, (shown, value)
    assert "-" not in shown and not re.match(r"−0\.?0*$", number[0])
    return float(value)


# --- the graph -------------------------------------------------------------------------------------------------------


def order(a):
    b = a + a
    e = b + b
    return [a, b, e, e + b]


def swapped(a):
    b = a + a
    e = b + b
    return [a, b, e, b + e]


def loss(w, b):
    p = w * 2.0
    a = p + b
    y = mg.tanh(a)
    r = y - 1.0
    return [w, b, p, a, y, r, r * r]


SCENES = {"order": (order, "a", "abec"), "swapped": (swapped, "a", "abec"), "loss": (loss, "wb", "wbpayrL")}


@pytest.mark.parametrize("seed", SETTINGS)
def test_the_graph_has_the_numbers_of_minigrad(visit, seed):
    rng = np.random.default_rng(seed)
    scene = ["loss", "order", "loss", "swapped"][seed % 4]
    make, leaves, names = SCENES[scene]
    values = [round(x, 3) for x in rng.uniform(-3, 3, len(leaves))]
    page = visit(show("graph"))
    choose(page, "scene", scene)
    for leaf, x in zip(leaves, values, strict=True):
        type_in(page, f"{scene}-{leaf}", str(x))
    reach(page, "forward")
    nodes = make(*map(Value, values))
    root, part = nodes[-1], page.locator(".un-scene:visible")
    for step in range(1, len(nodes) + 1):
        page.keyboard.press("Enter")
        # The clock runs backwards.
        visited = part.locator(".un-node[data-state=visited]")
        assert visited.count() == 1 and visited.get_attribute("data-name") == names[-step]
    for name, node in zip(names, nodes, strict=True):
        box = part.locator(f".un-node[data-name={name}]")
        assert exact(box.locator(".un-value")) == pytest.approx(node.data, abs=1e-6)
        cotangent = 1.0 if node is root else mg.grad(root, node, retain_graph=True).data
        assert exact(box.locator(".un-total")) == pytest.approx(cotangent, abs=1e-6)
        item = part.locator(f"li[data-name={name}]")
        assert exact(item.locator(".un-total")) == pytest.approx(cotangent, abs=1e-6)
        pulled = [p for _, p in node.record[0].pull(node, cotangent, 0, False)] if node.record else []
        parts = [exact(item.locator(".un-part").nth(k)) for k in range(item.locator(".un-part").count())]
        assert parts == pytest.approx(pulled, abs=1e-6)
        edges = part.locator(f".un-edge[data-result={name}] .un-part")
        assert [exact(edges.nth(k)) for k in range(edges.count())] == pytest.approx(pulled, abs=1e-6)
    root.backward()
    said = page.locator(".un-status").text_content()
    for leaf, node in zip(leaves, nodes, strict=False):
        assert abs(read(re.search(rf"d{names[-1]}/d{leaf} = (−?[\d.]+\d)", said)[1]) - node.grad) <= 0.5e-3 + 1e-12
    assert "wrong" not in said and "late" not in said


def naive(nodes, take):
    """The sweep of chapter 1, for sums: the derivative by the first node, with an agenda from which `take` takes."""
    grads, agenda, done = {nodes[-1]: 1.0}, [nodes[-1]], set()
    while agenda:
        node = agenda.pop(take)
        if node in done:
            continue
        done.add(node)
        for operand in node.record[1] if node.record else ():
            grads[operand] = grads.get(operand, 0.0) + grads[node]
            agenda.append(operand)
    return grads[nodes[0]]


@pytest.mark.parametrize(("taken", "take"), [("depth", -1), ("breadth", 0)])
@pytest.mark.parametrize("scene", ["order", "swapped"])
def test_a_wrong_order_gives_what_it_gives_in_the_chapter(visit, scene, taken, take):
    page = visit(show("graph"))
    choose(page, "scene", scene)
    choose(page, "order", taken)
    reach(page, "back")
    page.keyboard.press("End")
    found = naive(SCENES[scene][0](Value(1.0)), take)
    assert exact(page.locator(".un-scene:visible .un-node[data-name=a] .un-total")) == found
    said = page.locator(".un-status").text_content()
    assert ("wrong: it is 6.000" in said) == (found != 6)
    assert (page.locator(".un-scene:visible em:visible").count() > 0) == (found != 6)


def test_one_order_fails_in_each_formula():
    found = {
        (scene, take): naive(SCENES[scene][0](Value(1.0)), take) for scene in ("order", "swapped") for take in (-1, 0)
    }
    assert found == {("order", -1): 2, ("order", 0): 6, ("swapped", -1): 6, ("swapped", 0): 2}


def test_steps_go_back_and_forth(visit):
    page = visit(show("graph"))
    step = lambda: int(page.locator("figure").get_attribute("data-step"))
    total = page.locator(".un-scene:visible .un-node[data-name=b] .un-total")
    reach(page, "forward")
    seen = []
    for key in ["ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "Home", "ArrowLeft", "Space", "Enter"]:
        page.keyboard.press(key)
        seen.append((step(), total.text_content()))
    one, three = "1.000", "3.000"
    assert seen == [
        *((1, one), (2, three), (1, one), (4, three), (4, three), (0, "–"), (0, "–"), (1, one), (2, three)),
    ]
    reach(page, "reset")
    page.keyboard.press("Enter")
    assert step() == 0 and page.locator("[name=back]").get_attribute("aria-disabled") == "true"
    assert page.evaluate("document.activeElement.name") == "reset"  # the focus stays


def test_run_goes_by_itself_and_pauses(visit):
    page = visit(show("graph"))
    page.clock.install()
    page.reload()
    step = lambda: int(page.locator("figure").get_attribute("data-step"))
    reach(page, "run")
    page.keyboard.press("Enter")
    assert step() == 1 and page.locator("[name=run]").text_content() == "pause"
    page.clock.run_for(1500)
    assert step() == 2
    page.keyboard.press("Enter")
    page.clock.run_for(10_000)
    assert step() == 2 and page.locator("[name=run]").text_content() == "run"
    page.keyboard.press("Enter")
    page.clock.run_for(10_000)
    assert step() == 4 and page.locator("[name=run]").text_content() == "run"


def test_who_wants_less_motion_gets_the_end_at_once(visit):
    page = visit(show("graph"), reduced_motion="reduce")
    reach(page, "run")
    page.keyboard.press("Enter")
    assert page.locator("figure").get_attribute("data-step") == "4"
    assert page.evaluate("getComputedStyle(document.querySelector('.un-node rect')).transitionDuration") == "0s"


@pytest.mark.parametrize("text", ["", "7", "-", "9e1"])
def test_what_is_no_leaf_leaves_the_picture_as_it_was(visit, text):
    page = visit(show("graph", a=2))
    type_in(page, "order-a", text) if text else (reach(page, "order-a"), page.keyboard.press("Control+a"))
    if not text:
        page.keyboard.press("Delete")
    assert page.locator(".un-scene:visible .un-node[data-name=c] .un-value").text_content() == "12.000"
    assert "from −3 to 3" in page.locator(".un-status").text_content()
    type_in(page, "order-a", "-1")
    assert page.locator(".un-scene:visible .un-node[data-name=c] .un-value").text_content() == "−6.000"


# --- the filter ------------------------------------------------------------------------------------------------------


def elman_filter(pole, pair, weight):
    """R, W, V as arrays, for a pole as a complex number."""
    R = np.array([[pole.real, -pole.imag], [pole.imag, pole.real]]) if pair else np.array([[pole.real]])
    first = np.eye(len(R))[:, :1]
    return R, first if weight == "one" else (np.eye(len(R)) - R) @ first, first.T


def degrees(text):
    return read(text.rstrip("°"))


def decades(text):
    """The logarithm of a power of ten as the axes write it."""
    raised = text.removeprefix("10").translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    return 0.0 if text == "1" else float(raised or 1)


def from_picture(page, panel, selector, label=degrees):
    """The heights of a line as the reader sees it, measured with the axes' labels alone, and of one pixel."""
    svg = page.locator(f"[data-panel={panel}]")
    places = svg.locator(selector).get_attribute("d")
    points = np.array([[float(x) for x in pair.split()] for pair in re.findall(r"[ML]([-\d.]+ [-\d.]+)", places)])
    ticks = svg.locator(".un-ytick").evaluate_all("ticks => ticks.map(t => [t.textContent, t.getAttribute('y') - 4])")
    (low, low_at), (high, high_at) = ((label(text), y) for text, y in (ticks[0], ticks[-1]))
    return low + (points[:, 1] - low_at) / (high_at - low_at) * (high - low), (high - low) / abs(high_at - low_at)


@pytest.mark.parametrize("seed", SETTINGS)
def test_the_filter_has_the_numbers_of_minigrad_and_scipy(visit, seed):
    rng = np.random.default_rng(100 + seed)
    pair, weight = bool(seed % 2), ["mean", "one"][seed // 2 % 2]
    frequency, angle = rng.integers(0, 101, 2) / 100
    size = rng.integers(0, 121) / 100
    page = visit(show("one_pole"))
    choose(page, "kind", "pair" if pair else "real")
    choose(page, "weight", weight)
    if pair:
        slide(page, "radius", size)
        slide(page, "angle", angle)
        pole = complex(size * np.exp(1j * np.pi * angle))
    else:
        pole = complex(size * rng.choice([-1, 1]))
        slide(page, "r", pole.real)
    slide(page, "frequency", frequency)

    R, W, V = elman_filter(pole, pair, weight)
    x = np.zeros((41, 1, 1))
    x[0] = 1
    start = np.zeros((1, len(R)))
    states, _ = elman(*(Tensor(a, dtype="float64") for a in (x, start, W, R)), 0.0, f=lambda a: a)
    expected = states.data[:, 0] @ V[0]
    shown = json.loads(page.locator(".un-dots").get_attribute("data-values"))
    np.testing.assert_allclose(shown, expected, rtol=1e-9, atol=1e-6)
    drawn, pixel = from_picture(page, "response", ".un-dots")
    np.testing.assert_allclose(drawn[::2], expected, atol=0.1 * pixel)

    verdict = page.locator("[data-name=verdict]").text_content()
    stands = ["stable", "on the unit circle", "unstable"][int(size >= 1) + int(size > 1)]
    assert verdict.startswith(stands if W.any() else "closed")
    if 0 < size < 1:
        assert exact(page.locator("[data-name=half]")) == pytest.approx(math.log(0.5, size), abs=1e-6)
        assert exact(page.locator("[data-name=tau]")) == pytest.approx(-1 / math.log(size), abs=1e-6)
    gain, phase = page.locator("[data-name=gain]"), page.locator("[data-name=phase]")
    if size >= 1:
        assert gain.text_content() == phase.text_content() == "–"
        assert page.get_by_text("none: the filter is not stable").count() == 2
        assert page.locator("[data-panel=gain] .un-curve").get_attribute("d") == ""
        return
    num, den = signal.ss2tf(R, W, V @ R, V @ W)
    turn = angle if pair else float(pole.real < 0)
    grid = np.pi * np.sort([*np.linspace(0, 1, 201), turn])
    response = signal.freqz(num[0], den, grid)[1]
    heights = json.loads(page.locator("[data-panel=gain] .un-curve").get_attribute("data-values"))
    np.testing.assert_allclose(heights, abs(response), rtol=1e-6, atol=1e-6)
    drawn, pixel = from_picture(page, "gain", ".un-curve")
    np.testing.assert_allclose(drawn, abs(response), atol=0.1 * pixel)
    degrees = np.array(json.loads(page.locator("[data-panel=phase] .un-curve").get_attribute("data-values")))
    seen = abs(response) > 1e-9
    np.testing.assert_allclose((abs(response) * np.exp(1j * np.radians(degrees)))[seen], response[seen], atol=1e-6)
    at = signal.freqz(num[0], den, [np.pi * frequency])[1][0]
    assert exact(gain) == pytest.approx(abs(at), abs=1e-6)
    if abs(at) > 1e-9:
        assert abs(np.exp(1j * np.radians(exact(phase))) - at / abs(at)) < 1e-6


def test_the_filter_looks_up_its_place_in_the_plane(visit):
    page = visit(show("one_pole", kind="pair", radius=0.5, angle=0.5, frequency=1))
    circle, pole, mirror, probe = (
        page.locator(f"[data-panel=plane] {selector}").bounding_box()
        for selector in (".un-circle", ".un-pole-0", ".un-pole-1", ".un-probe")
    )
    middle = lambda box: np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
    radius = circle["width"] / 2
    np.testing.assert_allclose(middle(pole) - middle(circle), [0, -0.5 * radius], atol=1)
    np.testing.assert_allclose(middle(mirror) - middle(circle), [0, 0.5 * radius], atol=1)
    np.testing.assert_allclose(middle(probe) - middle(circle), [-radius, 0], atol=1)


# --- the Jacobians ---------------------------------------------------------------------------------------------------


def jacobian(R, drive, lag):
    """dh_T/dh_(T-lag) by minigrad's compiled layer, from the state at which the last `lag` steps begin."""
    units, x = len(R), jacobians.inputs()[:, None]
    tensor = lambda a: Tensor(a, dtype="float64")
    states, _ = elman_sequence(tensor(x), tensor(np.zeros((1, units))), tensor(drive * np.eye(units)), tensor(R), 0.0)
    start = Tensor(np.repeat(states.data[-lag - 1], units, 0), dtype="float64", requires_grad=True)
    x = tensor(np.repeat(x[len(x) - lag :], units, 1))
    _, end = elman_sequence(x, start, tensor(drive * np.eye(units)), tensor(R), 0.0)
    return mg.grad(end, start, seed=np.eye(units)).data


@pytest.mark.parametrize("seed", SETTINGS)
def test_the_jacobians_have_the_numbers_of_minigrad(visit, seed):
    rng = np.random.default_rng(200 + seed)
    kind = list(jacobians.KINDS)[seed % 3]
    radius, drive = rng.integers(50, 151) / 100, rng.integers(0, 61) / 20 * (seed % 7 > 0)
    page = visit(show("jacobians"))
    choose(page, "kind", kind)
    slide(page, "radius", radius)
    slide(page, "drive", drive)
    values = lambda line: json.loads(
        page.locator(f"[data-panel=norms] [data-line={line}]").get_attribute("data-values")
    )
    shown = {line: np.array(values(line), float) for line in ("product", "alone", "bound", "radius")}

    R = radius * jacobians.recurrent_weights(kind)
    largest = lambda A: np.linalg.svd(A, compute_uv=False)[0]
    lags = [1, 2, 10, 25, 50]
    products = np.array([largest(jacobian(R, drive, n)) for n in lags])
    powers = np.array([largest(np.linalg.matrix_power(R, n)) for n in lags])
    np.testing.assert_allclose(shown["product"][lags], products, rtol=1e-6)
    np.testing.assert_allclose(shown["alone"][lags], powers, rtol=1e-6)
    np.testing.assert_allclose(shown["bound"][lags], [largest(R) ** n for n in lags], rtol=1e-9)
    np.testing.assert_allclose(shown["radius"][lags], [radius**n for n in lags], rtol=1e-9)
    assert max(abs(np.linalg.eigvals(R))) == pytest.approx(radius, abs=1e-5)
    for line, norms in shown.items():
        drawn, pixel = from_picture(page, "norms", f"[data-line={line}]", decades)
        if abs(np.log10(norms)).max() <= 8:
            np.testing.assert_allclose(drawn[[0, *range(1, 51)]], np.log10(norms), atol=0.1 * pixel)
        assert abs(drawn).max() <= 8 + 0.1 * pixel

    assert exact(page.locator("[data-name=rate]")) == pytest.approx((products[4] / products[3]) ** 0.04, rel=1e-6)
    assert exact(page.locator("[data-name=alone]")) == pytest.approx((powers[4] / powers[3]) ** 0.04, rel=1e-6)
    assert exact(page.locator("[data-name=s1]")) == pytest.approx(largest(R), rel=1e-6)
    peak = page.locator("[data-name=largest]").text_content().rpartition(" at lag ")
    top = int(peak[2])
    assert shown["product"].max() == pytest.approx(largest(jacobian(R, drive, top)) if top else 1, rel=1e-6)
    size, _, power = peak[0].partition(" · ")
    assert shown["product"].max() == pytest.approx(
        read(size) * 10 ** (decades(power) if power else 0), rel=0.05, abs=5e-4
    )
    gone = page.locator("[data-name=gone]").text_content()
    if gone == "more than 50 steps":
        assert (shown["product"] > 0.01).all()
    else:
        n = int(gone.removesuffix(" steps"))
        assert largest(jacobian(R, drive, n)) <= 0.01 < largest(jacobian(R, drive, n - 1))


def test_without_inputs_the_product_is_the_power_of_R(visit):
    page = visit(show("jacobians", drive=0, kind="triangular", radius=0.9))
    line = lambda name: page.locator(f"[data-line={name}]").get_attribute("d")
    assert line("product") == line("alone") != line("radius")
    assert exact(page.locator("[data-name=slope]")) == 1
    choose(page, "kind", "orthogonal")
    values = [exact(page.locator(f"[data-name={name}]")) for name in ("rate", "alone", "s1")]
    assert values == pytest.approx([0.9] * 3, abs=1e-5)


# --- the memory cell -------------------------------------------------------------------------------------------------


def held(x, gates):
    """minigrad's LSTM with its gates held: each step's input brings the gates' logits and x, the state changes nothing.

    Returns x as a leaf, c and h at every step, and c_1 as a leaf for what comes after it.
    """
    tensor = lambda a: Tensor(a, dtype="float64")
    columns = np.eye(4)
    with np.errstate(divide="ignore"):
        logits = [np.clip(np.log(g) - np.log1p(-np.array(g)), -700, 700) for g in gates]  # of i, f, o
    x = Tensor(np.reshape(x, (-1, 1, 1)), dtype="float64", requires_grad=True)
    series = x * tensor(columns[2])
    for column, logit in zip((0, 1, 3), logits, strict=True):
        series = series + tensor(np.reshape(logit, (-1, 1, 1)) * columns[column])
    start = Tensor(np.zeros((1, 1)), dtype="float64", requires_grad=True)
    rest = tensor(np.eye(4)), tensor(np.zeros((4, 1))), 0.0, 0.0
    c, h = [start], []
    for t in range(len(x)):
        _, out, new = lstm_sequence(series[t : t + 1], tensor(np.zeros((1, 1))), c[-1], *rest, spec=CellSpec())
        c.append(new)
        h.append(out)
    return x, c[1:], h


@pytest.mark.parametrize("seed", SETTINGS)
def test_the_cell_has_the_numbers_of_minigrad(visit, seed):
    rng = np.random.default_rng(300 + seed)
    page = visit(show("lstm_cell"))
    scene = list(lstm_cell.SCENES)[seed % 4]
    choose(page, "scene", scene)
    gates = dict(zip(lstm_cell.GATES, lstm_cell.SCENES[scene][1], strict=True))
    pulse, size = rng.integers(-15, 16) / 10, rng.integers(0, 16) / 10
    slide(page, "pulse", pulse)
    slide(page, "distractors", size)
    assert page.locator("[name=scene]").input_value() == scene
    for name in rng.choice(list(gates), seed % 4, replace=False):
        gates[name] = rng.integers(1, 100) / 100
        slide(page, name, gates[name])
        assert page.locator("[name=scene]").input_value() == "own"

    steps = lstm_cell.STEPS
    i = [gates["i_write"]] + [gates["i_hold"]] * (steps - 1)
    o = [gates["o_hold"]] * (steps - 1) + [gates["o_read"]]
    x = np.array([pulse, *(size * d for d in lstm_cell.DISTRACTORS)])
    leaf, c, h = held(x, (i, [gates["loop"]] * steps, o))
    derivative = lambda root, by: mg.grad(root, by, retain_graph=True).data.ravel()
    carried = np.concatenate([derivative(c[-1], c_t) for c_t in c])
    expected = {
        ("inputs", "x"): x,
        ("inputs", ""): np.tanh(x),
        ("gates", "i"): i,
        ("gates", "loop"): [gates["loop"]] * steps,
        ("gates", "o"): o,
        ("cell", ""): [c_t.item() for c_t in c],
        ("cell", "h"): [h_t.item() for h_t in h],
        ("gradients", ""): derivative(c[-1], leaf),
        ("gradients", "carried"): carried,
    }
    for (panel, line), values in expected.items():
        selector = f"[data-line={line}]" if line else ".un-dots"
        shown = json.loads(page.locator(f"[data-panel={panel}] {selector}").get_attribute("data-values"))
        np.testing.assert_allclose(shown, values, atol=1e-9)
        if panel != "gates":
            drawn, pixel = from_picture(page, panel, selector)
            np.testing.assert_allclose(drawn[:: 1 if line else 2], values, atol=0.1 * pixel)
    written = carried[0] * i[0] * math.tanh(pulse)
    readings = {
        "c": c[-1].item(),
        "h": h[-1].item(),
        "written": written,
        "noise": c[-1].item() - written,
        "carried": carried[0],
        "answer": derivative(h[-1], leaf)[0],
    }
    for name, value in readings.items():
        assert exact(page.locator(f"[data-name={name}]")) == pytest.approx(value, abs=1e-9)


def test_no_gate_changes_what_the_self_loop_carries(visit):
    page = visit(show("lstm_cell"))
    for scene in ("hold", "open", "late"):
        choose(page, "scene", scene)
        shown = json.loads(page.locator("[data-line=carried]").get_attribute("data-values"))
        assert shown == [1] * lstm_cell.STEPS


# --- the bias of the forget gate -------------------------------------------------------------------------------------


def left(bias, lag):
    """What minigrad's LSTM holds of a cell of 1 after `lag` steps of this bias and nothing else; and the derivative."""
    tensor = lambda a: Tensor(a, dtype="float64")
    start = Tensor([[1.0]], dtype="float64", requires_grad=True)
    nothing = tensor(np.zeros((lag, 1, 1))), tensor(np.zeros((1, 1)))
    weights = tensor(np.zeros((4, 1))), tensor(np.zeros((4, 1))), tensor([-700.0, bias, 0.0, 0.0])
    *_, end = lstm_sequence(*nothing, start, *weights, 0.0, spec=CellSpec())
    return end.item(), mg.grad(end, start).item()


@pytest.mark.parametrize("seed", SETTINGS)
def test_the_forget_bias_has_the_numbers_of_minigrad(visit, seed):
    rng = np.random.default_rng(400 + seed)
    bias, lag = rng.integers(-80, 161) / 20, int(10 ** rng.uniform(0, 4))
    page = visit(show("forget_bias"))
    slide(page, "bias", bias)
    type_in(page, "lag", str(lag))
    read_off = {name: page.locator(f"[data-name={name}]") for name in ("f", "rate", "half", "asked", "gate")}
    gate = mg.sigmoid(Value(bias)).data
    half = exact(read_off["half"])
    assert exact(read_off["f"]) == pytest.approx(gate, rel=1e-12)
    assert exact(read_off["rate"]) == pytest.approx(1 - gate, abs=1e-12)
    assert half == pytest.approx(math.log(2) / -math.log(gate), rel=1e-9)
    lower, upper = (left(bias, int(n))[0] if n else 1 for n in (half // 1, half // 1 + 1))
    assert upper <= 0.5 <= lower + 1e-12

    expected = left(bias, lag)
    assert expected[0] == pytest.approx(expected[1], rel=1e-9)
    told = page.locator("[data-name=left]")
    assert float(told.get_attribute("data-value")) == pytest.approx(expected[0], rel=1e-9, abs=1e-300)
    size, _, power = told.text_content().partition(" · ")
    assert read(size) * 10 ** (decades(power) if power else 0) == pytest.approx(expected[0], rel=0.051, abs=1e-300)
    asked = exact(read_off["asked"])
    assert asked == pytest.approx(-math.log(2 ** (1 / lag) - 1), abs=1e-6)
    assert left(asked, lag)[0] == pytest.approx(0.5, rel=1e-9)
    assert exact(read_off["gate"]) == pytest.approx(0.5 ** (1 / lag), rel=1e-9)

    lags = 10 ** np.linspace(0, 4, 241)
    for line, value in (("present", bias), ("asked", asked)):
        values = json.loads(page.locator(f"[data-line={line}]").get_attribute("data-values"))
        np.testing.assert_allclose(values, np.exp(lags * np.log(mg.sigmoid(Value(value)).data)), atol=1e-9)
        drawn, pixel = from_picture(page, "decay", f"[data-line={line}]")
        np.testing.assert_allclose(drawn, values, atol=0.1 * pixel)
    curve, pixel = from_picture(page, "biases", "[data-line=curve]", lambda text: math.log10(float(text)))
    every = np.linspace(-4, 8, 241)
    np.testing.assert_allclose(curve, np.log10(np.log(2) / np.log1p(np.exp(-every))), atol=0.1 * pixel)
    probe = page.locator("[data-probe=half]").get_attribute("transform")
    box, x = (page.locator("[data-panel=biases]").get_attribute(name).split() for name in ("data-box", "data-x"))
    place = float(box[0]) + (bias - float(x[0])) / (float(x[1]) - float(x[0])) * float(box[2])
    assert float(re.search(r"[\d.]+", probe)[0]) == pytest.approx(place, abs=0.06)


@pytest.mark.parametrize("text", ["", "0", "2.5", "20000"])
def test_what_is_no_lag_leaves_the_picture_as_it_was(visit, text):
    page = visit(show("forget_bias", lag=100))
    reach(page, "lag")
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.keyboard.type(text)
    kept = {"": "4.968", "0": "4.968", "2.5": "0.881", "20000": "7.967"}[text]  # 100, 2 and 2000 were lags
    assert page.locator("[data-name=asked]").text_content() == kept
    assert page.locator("[name=lag]").evaluate("field => field.matches(':invalid')")


# --- the peephole ----------------------------------------------------------------------------------------------------


def growing(ramp, recurrent, peephole, bias, steps=40):
    """The cell and the output gate at each step of minigrad's cell that has no other gate, and z = the ramp."""
    spec = CellSpec(input_gate=False, forget_gate=False, peepholes=True, input_squashing="identity")
    tensor = lambda *a: Tensor(np.array(a, float), dtype="float64")
    c, h, cells, gates = tensor([0]), tensor([0]), [], []
    W, R, b, p = tensor([ramp], [0]), tensor([0], [recurrent]), tensor(0, bias), tensor([0], [0], [peephole])
    for _ in range(steps):
        _, h, c = lstm_sequence(tensor([[1]]), h, c, W, R, b, p, spec=spec)
        cells.append(c.item())
        gates.append(h.item() / math.tanh(c.item()))
    return cells, gates


@pytest.mark.parametrize("seed", SETTINGS)
def test_the_peephole_has_the_numbers_of_minigrad(visit, seed):
    rng = np.random.default_rng(500 + seed)
    page = visit(show("peephole"))
    ramp, level, bias = rng.integers(5, 26) / 100, rng.integers(5, 61) / 10, rng.integers(-40, -19) / 10
    weights = {"peephole": rng.integers(0, 41) / 2, "recurrent": rng.integers(16, 41) / 2}
    for name, x in {"ramp": ramp, "level": level, "bias": bias, **weights}.items():
        slide(page, name, x)
    cell, seeing = growing(ramp, 0, weights["peephole"], -weights["peephole"] * level)
    _, blind = growing(ramp, weights["recurrent"], 0, bias)
    for panel, line, values in ("cell", "cell", cell), ("gates", "seeing", seeing), ("gates", "blind", blind):
        selector = f"[data-panel={panel}] [data-line={line}]"
        shown = json.loads(page.locator(selector).get_attribute("data-values"))
        np.testing.assert_allclose(shown, values, rtol=1e-9, atol=1e-12)
        drawn, pixel = from_picture(page, panel, f"[data-line={line}]")
        np.testing.assert_allclose(drawn, values, atol=0.1 * pixel)
    assert from_picture(page, "cell", "[data-line=level]")[0] == pytest.approx(level, abs=0.01)
    for gate, step, at in (seeing, "seeing", "seen"), (blind, "blind", "unseen"):
        opens = next((k for k, o in enumerate(gate) if o >= 0.5 - 1e-9), None)
        told, where = page.locator(f"[data-name={step}]").text_content(), page.locator(f"[data-name={at}]")
        if opens is None:
            assert (told, where.text_content()) == ("never", "–")
        else:
            assert told == f"step {opens + 1}" and exact(where) == pytest.approx(cell[opens], abs=1e-9)
    slope = weights["peephole"] * ramp
    width = page.locator("[data-name=width]")
    if slope:
        assert exact(width) == pytest.approx((math.log(9) - math.log(1 / 9)) / slope, rel=1e-9)
    else:
        assert width.text_content() == "–"
    assert exact(page.locator("[data-name=least]")) == pytest.approx(blind[0], rel=1e-9)


def test_only_the_gate_that_sees_its_cell_keeps_to_the_level(visit):
    page = visit(show("peephole"))
    where = lambda: [exact(page.locator(f"[data-name={name}]")) for name in ("seen", "unseen")]
    found = []
    for ramp in (0.1, 0.15, 0.25):
        slide(page, "ramp", ramp)
        found.append(where())
    seen, unseen = np.transpose(found)
    assert np.ptp(seen) < 0.1 and np.ptp(unseen) > 1 and seen[1] == unseen[1]


# --- every figure ----------------------------------------------------------------------------------------------------

CALLS = {
    "graph": [{}, {"scene": "loss", "w": -1.5, "b": 0.25}, {"scene": "swapped"}],
    "one_pole": [
        {},
        {"kind": "pair"},
        {"r": -0.8, "weight": "one"},
        {"r": 1.1},
        {"kind": "pair", "radius": 1, "angle": 0},
    ],
    "jacobians": [
        {},
        {"kind": "orthogonal", "radius": 1, "drive": 0},
        {"kind": "triangular", "radius": 0.9, "drive": 0.05},
        {"radius": 1.5, "drive": 0},
        {"radius": 0.5, "drive": 3},
    ],
    "lstm_cell": [
        {},
        {"scene": "open", "distractors": 1.5},
        {"scene": "leak", "pulse": -1.2},
        {"i_write": 0.75, "o_hold": 0.4, "loop": 0.95},
    ],
    "forget_bias": [{}, {"bias": -4, "lag": 1}, {"bias": 8, "lag": 10000}, {"bias": -4, "lag": 10000}],
    "peephole": [{}, {"ramp": 0.05, "level": 4.5}, {"peephole": 0, "bias": -6, "recurrent": 20}],
}


def picture(figure):
    """The SVG file that stands where no script runs."""
    return b64decode(re.search(r"data:image/svg\+xml;base64,([^\"]+)", figure._repr_html_())[1]).decode()


@pytest.mark.parametrize(("name", "settings"), [(name, settings) for name in CALLS for settings in CALLS[name]])
def test_without_a_script_the_same_picture_stands_still(visit, name, settings):
    figure = show(name, **settings)
    page = visit(figure, java_script_enabled=False)
    image = page.locator("img:visible")
    assert image.evaluate("image => image.complete && image.naturalWidth > 300")
    assert figure.drawing.summary in image.get_attribute("alt")
    assert re.search(r"\d\.\d", page.locator("p.un-still:visible").inner_text())
    assert page.locator("form, svg").count() == 0

    still, live = visit(picture(figure), java_script_enabled=False), visit(figure)
    assert live.locator(".un-still").count() == 0 and live.locator("form").is_visible()
    if name == "graph":  # Python draws the end of the sweep
        reach(live, "forward")
        live.keyboard.press("End")
    words = lambda page: page.locator("svg text:visible").all_text_contents()
    assert words(still) == words(live) and len(words(still)) > 10
    lines = """paths => paths.map(path => (path.getAttribute("d") ?? path.getAttribute("transform") ?? "")
      .match(/-?[0-9.]+/g)?.map(Number) ?? [])"""
    shapes = "svg :is(path:not(.un-hand), .un-probe)"
    one, other = (page.locator(shapes).evaluate_all(lines) for page in (still, live))
    drawn = sum(map(len, one))
    assert drawn > 40
    for x, y in zip(one, other[: len(one)], strict=True):
        np.testing.assert_allclose(x, y, atol=0.11)


@each_figure
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out(visit, name, theme):
    page = visit(show(name), theme=theme, reduced_motion="reduce")
    if name == "graph":
        reach(page, "forward")
        page.keyboard.press("ArrowRight")
    assert page.evaluate(CONTRAST) == []
    # Also on the tint of what is being visited, which for text in a picture is no ancestor's background.
    page.add_style_tag(content=".unrolled-interactive { background: var(--un-tint) !important }")
    page.add_style_tag(content=".unrolled-interactive small, .un-ticks, dt, .un-tick, button, .un-clock { opacity: 0 }")
    assert page.evaluate(CONTRAST) == []


@each_figure
def test_lines_stand_out(visit, name):
    for theme in ("light", "dark"):
        page = visit(show(name), theme=theme)
        colours = page.evaluate("""() => {
          const style = getComputedStyle(document.querySelector("figure"));
          const names = ["paper", "ink", "line", "blue", "hot", "green"];
          return Object.fromEntries(names.map(name => [name, style.getPropertyValue("--un-" + name)]));
        }""")
        shades = {key: luminance(value.strip()) for key, value in colours.items()}
        for key in ("ink", "line", "blue", "hot", "green"):
            light, dark = sorted((shades[key], shades["paper"]), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 3, (theme, key)


def luminance(colour):
    digits = colour.lstrip("#")
    digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
    parts = [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@each_figure
@pytest.mark.parametrize("script", [True, False])
def test_a_narrow_screen_needs_no_sideways_scrolling(visit, name, script):
    page = visit(show(name), width=390, java_script_enabled=script)
    wide = page.locator("figure *:visible").evaluate_all(
        "all => all.filter(e => e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML.slice(0, 99))"
    )
    assert wide == []
    small = page.locator("svg text:visible").evaluate_all("all => all.map(e => e.getBoundingClientRect().height)")
    assert min(small, default=0 if script else 10) > 9


@each_figure
def test_everything_has_a_name_for_who_does_not_see_it(visit, name):
    page = visit(show(name))
    assert page.locator("svg:not([role=img][aria-label])").count() == 0
    assert page.locator("svg").evaluate_all(
        "all => all.every(svg => svg.querySelector('desc').textContent.length > 20)"
    )
    assert page.locator("[role=status]").count() == 1
    assert len(page.locator("figcaption").inner_text()) > 40
    fields = page.locator("input, select")
    for k in range(fields.count()):
        assert fields.nth(k).evaluate("field => field.labels[0].textContent.trim().length") > 0
    assert page.locator("button:not([type=button])").count() == 0
    for slider in page.locator("input[type=range]:visible").all():
        output = slider.locator("xpath=../following-sibling::output")
        assert slider.get_attribute("aria-valuetext") == output.text_content()


def test_two_of_each_on_a_page_live_apart(visit):
    figures = [show(name, **settings) for name in FIGURES for settings in CALLS[name][:2]]
    page = visit("<script>window.before = Object.getOwnPropertyNames(window)</script>", *figures, *figures[::2])
    assert page.evaluate("Object.getOwnPropertyNames(window).filter(n => !before.includes(n) && n !== 'before')") == []
    assert page.locator("figure[data-live]").count() == len(figures) + len(figures[::2])
    graphs = page.locator("figure[data-figure=graph]")
    graphs.nth(1).locator("[name=forward]").press("Enter")
    assert [graph.get_attribute("data-step") for graph in graphs.all()] == ["0", "1", "0"]
    poles = page.locator("figure[data-figure=one_pole]")
    before = [pole.locator(".un-readout").inner_text() for pole in poles.all()]
    poles.nth(0).locator("[name=r]").press("ArrowLeft")
    after = [pole.locator(".un-readout").inner_text() for pole in poles.all()]
    assert [x == y for x, y in zip(before, after, strict=True)] == [False, True, True]
    assert page.locator("[id]").count() == 0


@each_figure
def test_a_script_run_twice_does_nothing_the_second_time(visit, name):
    page = visit(show(name))
    first = "[name=forward]" if name == "graph" else "input[type=range]:visible"
    page.locator(first).first.press("Enter" if name == "graph" else "ArrowLeft")
    page.evaluate("""() => {
      window.changes = 0;
      new MutationObserver(found => { changes += found.length; })
        .observe(document.querySelector("figure"), {subtree: true, childList: true, attributes: true});
      const again = document.createElement("script");
      again.textContent = document.querySelector("figure script:not([type])").textContent;
      document.body.append(again);
    }""")
    assert page.evaluate("new Promise(resolve => setTimeout(() => resolve(changes)))") == 0
    if name == "graph":
        assert page.locator("figure").get_attribute("data-step") == "1"


@each_figure
def test_the_fragment_asks_nobody_and_is_the_same_each_time(name):
    html, still = show(name)._repr_html_(), picture(show(name))
    assert html == show(name)._repr_html_()
    assert len(html.encode()) < 70_000
    outside = (
        r"https?:|//[a-z]|\b(?:src|href|id|on[a-z]+)=|url\(|@import|\bimport\b|fetch|XMLHttp|innerHTML|eval|cookie"
    )
    for text, ours in ((html, r' src="data:image[^"]*"'), (still, 'xmlns="[^"]*"')):
        assert re.findall(outside, re.sub(rf"(?m)^\s*//.*$|; //.*$|{ours}", "", text)) == []
    scripts = re.findall(r"<script>.*?</script>", html, re.DOTALL)
    assert len(scripts) == 1
    assert "$" not in html.replace(scripts[0], "")  # a notebook takes it for mathematics


@each_figure
def test_a_notebook_keeps_the_figure_as_it_is(name):
    data = {"text/plain": repr(show(name)), "text/html": show(name)._repr_html_()}
    output = nbformat.v4.new_output("execute_result", data, execution_count=1)
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(f"show({name!r})", outputs=[output])])
    assert normalise(nb).cells[0].outputs[0].data == data
    assert "\n" not in repr(show(name)) and len(repr(show(name))) < 200


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("two_poles", {}, "there are graph, one_pole, jacobians, lstm_cell, forget_bias, peephole"),
        ("graph", {"a": 4}, "a is to lie between -3 and 3, not 4"),
        ("graph", {"scene": "forest"}, "'order' with a; "),
        ("graph", {"w": 1}, "'loss' with w, b"),
        ("one_pole", {"r": 1.3}, "r is to lie between -1.2 and 1.2"),
        ("one_pole", {"kind": "zero"}, "kind is one of real, pair"),
        ("one_pole", {"frequency": math.nan}, "frequency is to lie"),
        ("jacobians", {"kind": "identity"}, "kind is one of orthogonal, gaussian, triangular"),
        ("lstm_cell", {"scene": "forest"}, "hold, open, late, leak"),
        ("lstm_cell", {"forget": 1}, "its numbers are pulse, "),
        ("lstm_cell", {"loop": 1.1}, "loop is to lie between 0 and 1"),
        ("forget_bias", {"bias": 9}, "bias is to lie between -4 and 8"),
        ("forget_bias", {"lag": 2.5}, "lag is a whole number of steps, not 2.5"),
        ("peephole", {"ramp": 1}, "ramp is to lie between 0.05 and 0.25"),
        ("jacobians", {"drive": -1}, "drive is to lie between 0 and 3"),
    ],
)
def test_what_does_not_exist_is_refused(name, settings, message):
    with pytest.raises(OptionError, match=message):
        show(name, **settings)


# --- in the book -----------------------------------------------------------------------------------------------------


def figures_of(page):
    """The interactive figures that a chapter's notebook stores."""
    path = ROOT / f"{page}.ipynb"
    cells = nbformat.read(path, as_version=4).cells if path.exists() else []
    outputs = (output for cell in cells for output in cell.get("outputs", ()))
    html = "".join("".join(output.get("data", {}).get("text/html", "")) for output in outputs)
    return re.findall(r'class="unrolled-interactive" data-figure="(\w+)"', html)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_built_pages_have_living_figures(browser, theme):
    names = [name for name in chapters(ROOT) if figures_of(name)]
    if not names:
        pytest.skip("no chapter in the table of contents has an interactive figure")
    build(ROOT)
    for name in names:
        page = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=theme).new_page()
        trouble = []
        page.on("pageerror", lambda error, trouble=trouble: trouble.append(str(error)))
        page.goto((HTML / f"{name}.html").as_uri())
        page.wait_for_function(f"document.documentElement.dataset.theme === '{theme}'")
        assert page.locator("figure.unrolled-interactive[data-live]").count() == len(figures_of(name))
        for figure in page.locator("figure.unrolled-interactive").all():
            assert figure.locator("form").is_visible() and figure.locator("svg:visible").count()
            paper = figure.evaluate("f => getComputedStyle(f).getPropertyValue('--un-paper')")
            assert (luminance(paper.strip()) < 0.1) == (theme == "dark")
            # The theme's light card for outputs is gone.
            card = figure.locator("xpath=..").evaluate("e => getComputedStyle(e).backgroundColor")
            assert card == "rgba(0, 0, 0, 0)"
            field = figure.locator("select, input").first
            field.focus()
            before = figure.inner_text()
            page.keyboard.press("ArrowDown")
            assert figure.inner_text() != before
        assert trouble == []
        page.context.close()
