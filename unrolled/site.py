"""The site's build, and everything that follows from the one public address in `_config.yml`."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

CELL_ID = "colab-setup"
BADGES = re.compile(r"(<!-- badges -->\n).*?(<!-- /badges -->)", re.DOTALL)


def public_address(root: Path) -> str:
    """Return the repository's address, `https://github.com/OWNER/NAME`, or "" while it is not known."""
    import yaml

    config = Path(root) / "_config.yml"
    url = yaml.safe_load(config.read_text("utf8"))["repository"]["url"].strip().rstrip("/").removesuffix(".git")
    if url and not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
        raise ValueError(f"{config}: repository.url is {url!r}; write https://github.com/OWNER/NAME, or leave it empty")
    return url


def pages(address: str) -> str:
    """Return the address of the published book."""
    owner, name = address.split("/")[-2:]
    return f"https://{owner.lower()}.github.io/{name}/"


def binder(address: str = "") -> str:
    """Return Binder's address, or the one that starts JupyterLab there on the repository."""
    return (
        "https://mybinder.org" + address.replace("https://github.com", "/v2/gh") + "/main?urlpath=lab" * bool(address)
    )


def colab(address: str = "") -> str:
    """Return Colab's address, or the one that lists the repository's notebooks there."""
    return "https://colab.research.google.com" + address.replace("https://github.com", "/github") + "/" * bool(address)


def readme(text: str, address: str) -> str:
    """Return the README with the badges between its markers."""
    badges = (
        f"""\
[![Tests]({address}/actions/workflows/test.yml/badge.svg)]({address}/actions/workflows/test.yml)
[![Read the book](https://img.shields.io/badge/read-the%20book-0072B2)]({pages(address)})
[![Binder](https://mybinder.org/badge_logo.svg)]({binder(address)})
[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab(address)})
"""
        if address
        else ""
    )
    if not BADGES.search(text):
        raise ValueError("README.md: the markers <!-- badges --> and <!-- /badges --> are missing; put them back")
    return BADGES.sub(lambda match: match[1] + badges + match[2], text)


def citation(text: str, address: str) -> str:
    """Return CITATION.cff with its two addresses, or without them."""
    lines = [line for line in text.splitlines() if not line.startswith(("repository-code:", "url:"))]
    if address:
        lines += [f"repository-code: {address}", f"url: {pages(address)}"]
    return "\n".join(lines) + "\n"


def notebook(text: str, address: str) -> str:
    """Return the notebook with the cell that installs the package on Colab and in JupyterLite, or without it."""
    import nbformat

    book = nbformat.reads(text, as_version=4)
    present = [cell for cell in book.cells if cell.id == CELL_ID]
    # JupyterLite carries the package's wheel, so that a name is enough there.
    source = f"""\
import sys

if "google.colab" in sys.modules:
    %pip install -q "unrolled[plot] @ git+{address}"
elif sys.platform == "emscripten":
    import piplite

    await piplite.install("unrolled")"""
    wanted = [source] if address else []
    if [cell.source for cell in present] == wanted:
        return text
    book.cells = [cell for cell in book.cells if cell.id != CELL_ID]
    for source in wanted:
        cell = nbformat.v4.new_code_cell(source, id=CELL_ID, metadata={"tags": ["nbval-skip", "remove-cell"]})
        book.cells.insert(0, cell)
    return nbformat.writes(book).rstrip("\n") + "\n"


def derive(root: Path, check: bool) -> list[Path]:
    """Rewrite the files that follow from the public address, or only find them; return those that changed, or would."""
    root = Path(root)
    address = public_address(root)
    rules = {root / "README.md": readme, root / "CITATION.cff": citation}
    rules |= {
        path: notebook for path in sorted((root / "book").rglob("*.ipynb")) if ".ipynb_checkpoints" not in path.parts
    }
    changed = []
    for path, rule in rules.items():
        before = path.read_text("utf8")
        if (after := rule(before, address)) != before:
            changed.append(path)
            if not check:
                path.write_text(after, "utf8")
    return changed


def chapters(root: Path) -> list[str]:
    """Return the pages that the table of contents names, without their suffix."""
    import yaml

    def files(entry: object) -> list[str]:
        if isinstance(entry, list):
            return [name for item in entry for name in files(item)]
        if isinstance(entry, dict):
            return [
                name for key, value in entry.items() for name in ([value] if key in ("root", "file") else files(value))
            ]
        return []

    return files(yaml.safe_load((Path(root) / "_toc.yml").read_text("utf8")))


def build(root: Path) -> Path:
    """Build the book from its stored outputs, and return the page to open."""
    root = Path(root).resolve()
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "-n", "-W", "--keep-going", "-q"]
    html = root / "_build/html"
    memory = root / "_build/.doctrees"
    # Sphinx rebuilds for a changed page or setting, but does not see a changed style or extension.
    unseen = [path for name in ("_assets", "_ext", "_vendor") for path in (root / "book" / name).rglob("*.*")]
    seen = memory / "environment.pickle"
    if seen.exists() and max(path.stat().st_mtime for path in unseen) > seen.stat().st_mtime:
        shutil.rmtree(memory)
    failed = subprocess.run(command, cwd=root).returncode
    wanted = {html / f"{page}.html" for page in chapters(root)}
    built = set((html / "book").rglob("*.html"))
    for stale in built - wanted:
        stale.unlink()
    if missing := sorted(str(page.relative_to(html)) for page in wanted - built):
        failed = f"_toc.yml names pages that were not built: {', '.join(missing)}"
    if failed:
        # Sphinx warns only about pages it reads: without this the next build would pass over them.
        shutil.rmtree(memory, ignore_errors=True)
        raise SystemExit(failed)
    return html / "index.html"


if __name__ == "__main__":
    start = time.perf_counter()
    page = build(Path.cwd())
    print(f"The book is built in {time.perf_counter() - start:.0f} s. Open {page.as_uri()}")
