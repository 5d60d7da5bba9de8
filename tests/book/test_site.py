"""The built book in a real browser, from the disk, as a reader without a connection sees it."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from minigrad import errors
from unrolled import site
from unrolled.site import SiteError, chapters, derive, public_address

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build/html"
PAGES = [*chapters(ROOT), "search", "genindex"]
JUPYTER_BOOK = Path(sys.executable).with_name("jupyter-book")
BROWSER = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Other extensions and the theme log what they do; only trouble counts.
TROUBLE = {"error", "warning"}
# One worker builds the site and opens its pages.
pytestmark = pytest.mark.xdist_group("site")

# The visible text of the article in its source form: without code, and without what MathJax has rendered.
PROSE = """() => {
  const article = document.querySelector("article.bd-article, main").cloneNode(true);
  article.querySelectorAll("pre, code, script, mjx-container").forEach(element => element.remove());
  return article.textContent;
}"""

# Every text colour against what lies behind it, by the WCAG formula; a canvas turns any CSS colour into numbers.
CONTRAST = """() => {
  const context = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const known = new Map();
  const rgba = colour => {
    if (!known.has(colour)) {
      context.clearRect(0, 0, 1, 1);
      context.fillStyle = colour;
      context.fillRect(0, 0, 1, 1);
      known.set(colour, [...context.getImageData(0, 0, 1, 1).data]);
    }
    return known.get(colour);
  };
  const over = (front, back) => [0, 1, 2].map(i => front[i] * front[3] / 255 + back[i] * (1 - front[3] / 255));
  const behind = element => element
    ? over(rgba(getComputedStyle(element).backgroundColor), behind(element.parentElement))
    : [255, 255, 255];
  const opacity = element => element ? getComputedStyle(element).opacity * opacity(element.parentElement) : 1;
  const luminance = colour => colour
    .map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const pale = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
    if (element.closest("script, style, mjx-assistive-mml, .headerlink, [hidden]")) continue;
    const back = behind(element);
    const [r, g, b, alpha] = rgba(getComputedStyle(element).color);
    const front = over([r, g, b, alpha * opacity(element)], back);
    const light = [luminance(front), luminance(back)].sort((a, b) => b - a);
    const ratio = (light[0] + 0.05) / (light[1] + 0.05);
    if (ratio < 4.5) pale.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return [...new Set(pale)];
}"""


def build(root):
    """Build the book with the command that `make book` uses."""
    result = subprocess.run([sys.executable, "-m", "unrolled.cli", "book"], cwd=root, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="module")
def html():
    build(ROOT)
    return HTML


@pytest.fixture(scope="module")
def browser(html):
    if BROWSER is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no Chromium: on Debian, apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=QUIET)
        yield browser
        browser.close()


def visit(browser, name, query="", **context):
    """Open a page and wait for its mathematics; return it with what it asked for and what went wrong."""
    tab = browser.new_context(**context).new_page()
    requests, trouble = [], []
    tab.on("request", lambda request: requests.append(request.url))
    tab.on("requestfailed", lambda request: trouble.append(f"failed: {request.url}"))
    tab.on("pageerror", lambda error: trouble.append(str(error)))
    tab.on("console", lambda message: trouble.append(message.text) if message.type in TROUBLE else None)
    tab.goto((HTML / f"{name}.html").as_uri() + query)
    tab.evaluate("() => window.MathJax?.startup?.promise")
    tab.wait_for_load_state("networkidle")
    return SimpleNamespace(tab=tab, requests=requests, trouble=trouble)


@pytest.fixture(scope="module", params=PAGES)
def page(browser, request):
    """A page on a wide, light screen."""
    page = visit(browser, request.param, viewport={"width": 1280, "height": 900}, color_scheme="light")
    yield page
    page.tab.context.close()


def test_nothing_goes_wrong_and_nothing_is_fetched_from_elsewhere(page):
    assert page.trouble == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))] == []


def test_mathematics_is_rendered(page):
    unrendered = "() => [...document.querySelectorAll('.math')].filter(m => !m.querySelector('mjx-container')).length"
    assert page.tab.evaluate(unrendered) == 0
    # MathJax draws a macro that it does not know in red.
    assert page.tab.locator("mjx-merror, [data-mjx-error], mjx-container [style*='color: red']").all_inner_texts() == []
    assert not re.findall(r"\$.{0,40}|\\[\[(].{0,40}|\\[a-z]{3,}.{0,40}", page.tab.evaluate(PROSE))


def test_every_image_has_a_description(page):
    # The logo stands beside its name and needs no other.
    images = page.tab.locator("img:not(.logo__image), article :is(object, svg):not(button *)").evaluate_all(
        "images => images.map(image => [image.src || image.outerHTML, image.alt || image.ariaLabel || ''])"
    )
    bad = [src for src, alt in images if len(alt.strip()) < 5 or re.search(r"_images/|[0-9a-f]{32}", alt)]
    assert not bad, f"give the cells that draw these `mystnb.image.alt` metadata: {bad}"
    broken = "images => images.filter(image => image.complete && !image.naturalWidth).map(image => image.src)"
    assert page.tab.locator("img").evaluate_all(broken) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(page, scheme):
    page.tab.emulate_media(color_scheme=scheme)
    page.tab.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")
    # Colours may fade from one scheme to the other.
    page.tab.wait_for_function("document.getAnimations().length === 0")
    assert page.tab.evaluate(CONTRAST) == []


def test_a_narrow_screen_needs_no_sideways_scrolling(page):
    page.tab.set_viewport_size({"width": 390, "height": 844})
    wide = """() => [...document.querySelectorAll("article *")]
      .filter(e => e.getBoundingClientRect().right > innerWidth).slice(0, 5).map(e => e.outerHTML.slice(0, 120))"""
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= 390, page.tab.evaluate(wide)
    page.tab.set_viewport_size({"width": 1280, "height": 900})


def test_a_narrow_screen_opens_the_table_of_contents(browser):
    page = visit(browser, "book/intro", viewport={"width": 390, "height": 844}, has_touch=True)
    page.tab.locator("button.primary-toggle:visible").tap()
    page.tab.locator("dialog[open]").get_by_role("link", name="4. Elman networks").tap()
    page.tab.wait_for_url("**/04-elman.html")
    assert page.trouble == []


def test_the_math_of_the_chapter_is_there_at_all(browser):
    page = visit(browser, "book/2-recurrence/04-elman")
    assert page.tab.locator("mjx-container").count() > 0


def test_search_finds_the_chapter(browser):
    page = visit(browser, "book/intro", viewport={"width": 1280, "height": 900})
    page.tab.keyboard.press("Control+k")
    page.tab.keyboard.type("Elman")
    page.tab.keyboard.press("Enter")
    page.tab.wait_for_selector("#search-results li a")
    links = page.tab.locator("#search-results li a").evaluate_all("links => links.map(link => link.href)")
    assert any("04-elman.html" in link for link in links)
    assert page.trouble == []
    assert all(url.startswith("file:") for url in page.requests)


def test_the_pages_are_those_of_the_table_of_contents(html):
    built = {str(path.relative_to(html).with_suffix("")) for path in (html / "book").rglob("*.html")}
    assert built == set(chapters(ROOT))


def test_the_reference_holds_everything_public(html):
    page = (html / "book/api.html").read_text("utf8")
    modules = ("minigrad", "minigrad.nn", "unrolled.tasks")
    public = [(name, key) for name in modules for key in importlib.import_module(name).__all__]
    public += [("minigrad.errors", key) for key in vars(errors) if key.endswith("Error")]
    public += [("minigrad.optim", key) for key in ("SGD", "RMSprop", "Adam", "AdamW", "clip_grad_norm_")]
    public += [("minigrad.cuda", key) for key in ("is_available", "missing", "use_deterministic_algorithms")]
    modules = ("cuda", "nn", "optim", "errors", "init")
    public = [(name, key) for name, key in public if key not in modules and key != key.upper()]
    # an anchor is the name under which an object is shown
    assert [f"{name}.{key}" for name, key in public if not re.search(rf'id="[\w.]*\b{key}"', page)] == []
    assert "::" not in re.sub(r"<[^>]*>", "", page[page.index("<article") : page.index("</article")])


def test_while_the_address_is_empty_no_button_leads_nowhere(html):
    # The address itself decides: a checkout whose address is set has the buttons.
    text = (html / "book/2-recurrence/04-elman.html").read_text("utf8")
    assert bool(public_address(ROOT)) == ("mybinder.org" in text) == ("source-repository-button" in text)


def test_only_a_change_is_built_again(copy, monkeypatch):
    runs = []

    def sphinx(command, cwd):
        runs.append(command)
        for name in ["index", *chapters(cwd)]:
            page = cwd / f"_build/html/{name}.html"
            page.parent.mkdir(parents=True, exist_ok=True)
            page.touch()
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(site.subprocess, "run", sphinx)
    for changed in ("book/intro.md", "book/_assets/new.css", "minigrad/ops.py", "_config.yml"):
        site.build(copy)
        before = len(runs)
        assert site.build(copy).exists() and len(runs) == before
        with open(copy / changed, "a") as file:
            file.write("\n")
        site.build(copy)
        assert len(runs) == before + 1, f"a change of {changed} was not seen"
    (copy / "_build/html/book/intro.html").unlink()
    site.build(copy)
    assert len(runs) == before + 2, "a page that is gone was not missed"


def test_a_build_that_failed_is_tried_again(copy, monkeypatch):
    monkeypatch.setattr(site.subprocess, "run", lambda command, cwd: SimpleNamespace(returncode=1))
    (copy / "_build/html").mkdir(parents=True)
    for _ in range(2):
        with pytest.raises(SiteError, match="see above"):
            site.build(copy)


def set_address(root, url):
    config = root / "_config.yml"
    config.write_text(re.sub(r"(?m)^  url: .*$", f'  url: "{url}"', config.read_text("utf8"), count=1), "utf8")
    return derive(root)


def test_one_setting_gives_every_address(copy):
    example = "https://github.com/Example/unrolled"
    set_address(copy, "")
    names = ["README.md", "CITATION.cff", *(str(path.relative_to(copy)) for path in copy.glob("book/**/*.ipynb"))]
    before = {name: (copy / name).read_bytes() for name in names}

    assert {str(path.relative_to(copy)) for path in set_address(copy, example)} == set(names)
    assert derive(copy, check=True) == []
    readme = (copy / "README.md").read_text("utf8")
    assert f"{example}/actions/workflows/test.yml" in readme and "https://example.github.io/unrolled/" in readme
    assert f"repository-code: {example}" in (copy / "CITATION.cff").read_text("utf8")
    first = json.loads((copy / "book/2-recurrence/04-elman.ipynb").read_text("utf8"))["cells"][0]
    assert '"google.colab" in sys.modules' in "".join(first["source"]) and example in "".join(first["source"])
    assert first["metadata"]["tags"] == ["nbval-skip", "remove-cell"]

    # One chapter shows the buttons as well as all of them; its links to the others then lead nowhere.
    (copy / "_toc.yml").write_text(
        "{format: jb-book, root: book/intro, chapters: [{file: book/2-recurrence/04-elman}]}\n"
    )
    subprocess.run([JUPYTER_BOOK, "build", ".", "-q"], cwd=copy, check=True, capture_output=True)
    text = (copy / "_build/html/book/2-recurrence/04-elman.html").read_text("utf8")
    notebook = "book/2-recurrence/04-elman.ipynb"
    for link in (
        f"https://mybinder.org/v2/gh/Example/unrolled/main?urlpath=lab/tree/{notebook}",
        f"https://colab.research.google.com/github/Example/unrolled/blob/main/{notebook}",
        f"https://example.github.io/unrolled/lite/lab/index.html?path={notebook}",
        f"{example}/edit/main/{notebook}",
    ):
        assert f'href="{link}"' in text, f"no button leads to {link}"
    assert "google.colab" not in text

    set_address(copy, "")
    assert {name: (copy / name).read_bytes() for name in names} == before


@pytest.mark.parametrize("text", ["repository: {url: ''}", "repository:\n  url:", "repository: {url: '  '}"])
def test_an_empty_address_is_not_known_yet(text, tmp_path):
    (tmp_path / "_config.yml").write_text(text)
    assert public_address(tmp_path) == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("repository: {url: github.com/Example}", "write https://github.com/OWNER/NAME"),
        ("repository:", "repository.url cannot be read"),
        ("title: Unrolled", "repository.url cannot be read"),
        ("a: b: c", "repository.url cannot be read"),
    ],
)
def test_an_address_that_is_none_is_refused(text, message, tmp_path):
    (tmp_path / "_config.yml").write_text(text)
    with pytest.raises(SiteError, match=message):
        public_address(tmp_path)
