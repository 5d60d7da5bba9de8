"""The site's build, and everything that follows from the one public address in `_config.yml`."""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import yaml
from sphinx_external_toc.parsing import parse_toc_yaml

from unrolled import UnrolledError

BINDER, COLAB = "https://mybinder.org", "https://colab.research.google.com"
CELL_ID = "colab-setup"
BADGES = re.compile(r"(<!-- badges -->\n).*?(<!-- /badges -->)", re.DOTALL)


class SiteError(UnrolledError):
    """A setting or a file from which the site cannot be made."""


def public_address(root: Path) -> str:
    """Return the repository's address, `https://github.com/OWNER/NAME`, or "" while it is not known."""
    config = root / "_config.yml"
    try:
        url = yaml.safe_load(config.read_text("utf8"))["repository"]["url"] or ""
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise SiteError(f"{config}: repository.url cannot be read ({type(error).__name__}: {error})") from error
    url = str(url).strip().rstrip("/").removesuffix(".git")
    if url and not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
        raise SiteError(f"{config}: repository.url is {url!r}; write https://github.com/OWNER/NAME, or leave it empty")
    return url


def pages(address: str) -> str:
    """Return the address of the published book."""
    owner, name = address.split("/")[-2:]
    return f"https://{owner.lower()}.github.io/{name}/"


def readme(text: str, address: str) -> str:
    """Return the README with the badges between its markers."""
    if not BADGES.search(text):
        raise ValueError("the markers <!-- badges --> and <!-- /badges --> are missing; put them back")
    repository = address.removeprefix("https://github.com/")
    badges = f"""\
[![Tests]({address}/actions/workflows/test.yml/badge.svg)]({address}/actions/workflows/test.yml)
[![Read the book](https://img.shields.io/badge/read-the%20book-0072B2)]({pages(address)})
[![Binder]({BINDER}/badge_logo.svg)]({BINDER}/v2/gh/{repository}/main?urlpath=lab)
[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({COLAB}/github/{repository}/)
""" if address else ""  # fmt: skip
    return BADGES.sub(lambda match: match[1] + badges + match[2], text)


def citation(text: str, address: str) -> str:
    """Return CITATION.cff with its two addresses, or without them."""
    lines = [line for line in text.splitlines() if not line.startswith(("repository-code:", "url:"))]
    if address:
        lines += [f"repository-code: {address}", f"url: {pages(address)}"]
    return "\n".join(lines) + "\n"


def notebook(text: str, address: str) -> str:
    """Return the notebook with the cell that installs the package on Colab and in JupyterLite, or without it."""
    book = nbformat.reads(text, as_version=4)
    # JupyterLite carries the package's wheel, so that a name is enough there.
    source = f"""\
import sys

if "google.colab" in sys.modules:
    repository = "{address}"
    %pip install -q matplotlib statsmodels git+{{repository}}
elif sys.platform == "emscripten":
    import piplite

    await piplite.install(["unrolled", "matplotlib", "statsmodels"])"""
    wanted = [source] if address else []
    if [cell.source for cell in book.cells if cell.id == CELL_ID] == wanted:
        return text
    book.cells = [cell for cell in book.cells if cell.id != CELL_ID]
    if address:
        cell = nbformat.v4.new_code_cell(source, id=CELL_ID, metadata={"tags": ["nbval-skip", "remove-cell"]})
        book.cells.insert(0, cell)
    return nbformat.writes(book) + "\n"


def derive(root: Path, check: bool = False) -> list[Path]:
    """Rewrite the files that follow from the public address; return those that changed, or with `check` would."""
    address = public_address(root)
    rules = {root / "README.md": readme, root / "CITATION.cff": citation}
    rules |= {
        path: notebook for path in sorted((root / "book").rglob("*.ipynb")) if ".ipynb_checkpoints" not in path.parts
    }
    changed = []
    for path, rule in rules.items():
        before = path.read_text("utf8")
        try:
            after = rule(before, address)
        except ValueError as error:  # a damaged notebook is one too
            raise SiteError(f"{path}: {error}") from error
        if after != before:
            changed.append(path)
            if not check:
                path.write_text(after, "utf8")
    return changed


def chapters(root: Path) -> list[str]:
    """Return the pages that the table of contents names, without their suffix."""
    return list(parse_toc_yaml(root / "_toc.yml"))


def inputs(root: Path) -> str:
    """Return a digest of every file that the built book follows from."""
    paths = [root / name for name in ("_config.yml", "_toc.yml", "requirements.lock")]
    for folder in ("book", "minigrad", "unrolled"):
        paths += sorted(path for path in (root / folder).rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for path in paths:
        if not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts):
            digest.update(f"{path.relative_to(root)} {path.stat().st_size} ".encode() + path.read_bytes())
    return digest.hexdigest()


def build(root: Path) -> Path:
    """Build the book from its stored outputs where anything has changed, and return the page to open."""
    public_address(root)  # an error in it reads worse from within Sphinx
    stamp = root / "_build/inputs"
    digest = inputs(root)
    html = root / "_build/html"
    wanted = {html / f"{page}.html" for page in chapters(root)}
    index = html / "index.html"
    if stamp.exists() and stamp.read_text("utf8") == digest and all(page.exists() for page in (index, *wanted)):
        return index
    stamp.unlink(missing_ok=True)
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "-n", "-W", "--keep-going", "-q"]
    memory = root / "_build/.doctrees"
    # Sphinx rebuilds for a changed page or setting, but does not see a changed style or extension.
    unseen = [path for name in ("_assets", "_ext", "_vendor") for path in (root / "book" / name).rglob("*.*")]
    seen = memory / "environment.pickle"
    if seen.exists() and max(path.stat().st_mtime for path in unseen) > seen.stat().st_mtime:
        shutil.rmtree(memory)
    failed = "see above." if subprocess.run(command, cwd=root).returncode else ""
    built = set((html / "book").rglob("*.html"))
    for stale in built - wanted:
        stale.unlink()
    if not failed and (missing := sorted(str(page.relative_to(html)) for page in wanted - built)):
        failed = f"_toc.yml names pages that were not built: {', '.join(missing)}."
    if failed:
        # Sphinx warns only about pages it reads: without this the next build would pass over them.
        shutil.rmtree(memory, ignore_errors=True)
        raise SiteError(f"The book was not built: {failed}")
    stamp.write_text(digest, "utf8")
    return index
