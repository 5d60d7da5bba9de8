"""What the site needs beyond Jupyter Book: bundled scripts, and links that follow from the public address."""

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

from unrolled.site import BINDER, COLAB, pages, public_address

BOOK = Path(__file__).resolve().parents[1]


def configure(app: Sphinx, config: Config) -> None:
    """Add the bundled files, and the buttons that the public address makes possible."""
    # Not `_static`, whose every script Jupyter Book would load on every page.
    config.html_static_path.append(str(BOOK / "_vendor"))
    config.html_css_files.append("unrolled.css")
    config.html_static_path.append(str(BOOK / "_assets"))
    if not (address := public_address(Path(app.srcdir))):
        return
    config.html_baseurl = pages(address)
    config.html_theme_options |= {
        "use_repository_button": True,
        "use_edit_page_button": True,
        "use_issues_button": True,
        # The page's name already begins with book/, so the theme needs no path_to_docs.
        "launch_buttons": {
            "notebook_interface": "jupyterlab",
            "binderhub_url": BINDER,
            "colab_url": COLAB,
            "jupyterlite_url": f"{pages(address)}lite/lab/index.html",
        },
    }


def as_rst(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Make reStructuredText of a docstring: plain text with `code` in it, arguments a line each, examples indented.

    A line that starts with an argument's name, or with Returns, Raises or Source, begins a paragraph; an indented one
    after an empty one is an example.
    """
    text, example = [], False
    for before, line in zip(["x", *lines], lines, strict=False):
        example = line.startswith("    ") and (example or not before)
        if example:
            text += [line] if text[-1].startswith("    ") else ["::", "", line]
        elif what != "module" and (named := re.match(r"(`?\w+`?(?:, `?\w+`?)*): ", line)):
            text += ["", f"**{named[1].replace('`', '')}**: {_escaped(line[named.end() :])}"]
        else:
            text += [""] * bool(re.match("Returns |Raises |Source", line)) + [_escaped(line.strip())]
    lines[:] = text


def _escaped(line: str) -> str:
    """Return a line with `code` as a literal and without other marks."""
    parts = re.split("`+", line)
    parts[::2] = [re.sub(r"([*_|\\])", r"\\\1", part) for part in parts[::2]]
    return "``".join(parts)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hooks."""
    app.add_config_value("comments_config", {}, "")  # Jupyter Book sets it, sphinx_comments or not
    app.connect("config-inited", configure)
    app.connect("autodoc-process-docstring", as_rst)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
