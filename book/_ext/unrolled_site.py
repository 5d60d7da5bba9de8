"""What the site needs beyond Jupyter Book: bundled scripts, and links that follow from the public address."""

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


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hook."""
    app.add_config_value("comments_config", {}, "")  # Jupyter Book sets it, sphinx_comments or not
    app.connect("config-inited", configure)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
