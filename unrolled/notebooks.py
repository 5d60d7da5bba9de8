"""Notebooks as the book stores them: executed, normalised, and shown to be fresh by nbval."""

import contextlib
import copy
import functools
import hashlib
import io
import json
import multiprocessing
import os
import queue
import re
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from tqdm import tqdm

from unrolled import UnrolledError

OUTPUT_LIMIT = 300_000  # bytes a cell: figures as SVG of bounded size, in a repository of bounded size
CELL_TIMEOUT = 600  # seconds

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")
_SVG_DATE = re.compile(r"\s*<dc:date>.*?</dc:date>", re.DOTALL)


class NotebookError(UnrolledError):
    """A notebook that cannot be run or stored as it is; the text names the file or the cell."""


# ---------------------------------------------------------------------------------------------------- normal form


def normalise(nb: NotebookNode) -> NotebookNode:
    """Return the notebook without what changes from run to run or machine to machine."""
    nb = copy.deepcopy(nb)
    nb.nbformat, nb.nbformat_minor = 4, 5
    nb.metadata.pop("widgets", None)
    nb.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nb.metadata["language_info"] = {"name": "python"}
    for position, cell in enumerate(nb.cells):
        if "id" not in cell:
            cell["id"] = hashlib.sha256(f"{position} {cell.source}".encode()).hexdigest()[:8]
        for key in ("execution", "ExecuteTime"):
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            _normalise_outputs(cell)
    return nb


def _normalise_outputs(cell: NotebookNode) -> None:
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stderr":
            raise NotebookError(f"{name(cell)} writes to stderr; mend the cause of: {output.text.strip()}")
        if output.output_type == "error":
            # A stack holds paths of this machine, and line numbers of other people's code.
            output.traceback = [f"{output.ename}: {output.evalue}"]
        data = output.get("data", {})
        if _ADDRESS.search(data.get("text/plain", "")):
            raise NotebookError(
                f"{name(cell)} shows a memory address, {data['text/plain']!r}; end it with plt.show() or print()."
            )
        if "image/svg+xml" in data:
            data["image/svg+xml"] = _SVG_DATE.sub("", data["image/svg+xml"])
    size = len(json.dumps(cell.outputs).encode())
    if size > OUTPUT_LIMIT:
        raise NotebookError(
            f"{name(cell)} has {size / 1000:.0f} kB of output, more than {OUTPUT_LIMIT / 1000:.0f} kB; "
            "draw fewer points or rasterize the dense part of the figure."
        )


def name(cell: NotebookNode) -> str:
    """Name a cell so that its author finds it: id and first line."""
    first = next((line for line in cell.source.splitlines() if line.strip()), "")
    return f"cell {cell.get('id', '?')} ({first[:60]})"


def store(path: Path, nb: NotebookNode) -> bool:
    """Write the notebook whole or not at all; return whether the file changed."""
    return write(path, nbformat.writes(nb) + "\n")


def write(path: Path, text: str) -> bool:
    """Write a text file whole or not at all; return whether it changed."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=".tmp")
    try:
        with open(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(temporary, 0o644)  # mkstemp's files are private
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return True


# ------------------------------------------------------------------------------------------------------ execution


@dataclass(frozen=True)
class Executed:
    """What became of one notebook: `error` is empty, or says which cell failed and how."""

    path: Path
    seconds: float
    changed: bool = False
    error: str = ""

    def __str__(self) -> str:
        state = f"failed, file left as it was: {self.error}" if self.error else ("" if self.changed else "unchanged")
        return f"{os.path.relpath(self.path)}  {self.seconds:.1f} s  {state}".rstrip()


def execute(paths: Iterable[Path], jobs: int | None = None) -> list[Executed]:
    """Run notebooks in parallel, each in its own folder, and store the normalised results; one that fails is kept."""
    paths, cores = list(paths), os.cpu_count() or 1
    jobs = min(jobs or cores, len(paths)) or 1
    done = []
    # Fresh interpreters: a forked copy of a threaded process can hang. Kernels share the cores between them.
    pool = ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
    )
    try:
        with tqdm(total=len(paths), unit="notebook", disable=None) as bar:
            for future in as_completed([pool.submit(_execute, path, max(1, cores // jobs)) for path in paths]):
                done.append(future.result())
                bar.update()
                bar.write(str(done[-1]))
    except KeyboardInterrupt:
        # nbclient would wait for the running cells to end; a kernel whose parent is gone exits by itself.
        for worker in multiprocessing.active_children():
            worker.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return done


def _execute(path: Path, threads: int) -> Executed:
    # Imported here: the grader does without.
    from jupyter_client import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from nbval.kernel import CURRENT_ENV_KERNEL_NAME, NbvalKernelspecManager

    start = time.perf_counter()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, str(threads))
    nb = None
    try:
        nb = nbformat.read(path, as_version=4)
        # The kernel of this environment, whatever the notebook or the user's own kernel list says.
        manager = AsyncKernelManager(kernel_name=CURRENT_ENV_KERNEL_NAME, kernel_spec_manager=NbvalKernelspecManager())
        client = NotebookClient(
            nb,
            km=manager,
            timeout=CELL_TIMEOUT,
            coalesce_streams=True,
            extra_arguments=["--log-level=ERROR"],  # no word on how the kernel is connected
            resources={"metadata": {"path": str(path.parent)}},
        )
        with _kernel_environment(strict=True):
            client.execute(cleanup_kc=True)
        return Executed(path, time.perf_counter() - start, store(path, normalise(nb)))
    except CellExecutionError as error:
        text = f"{', '.join(map(name, filter(_failed, nb.cells)))}\n{_COLOURS.sub('', error.traceback)}"
    except Exception as error:  # a dead kernel, a timeout, a damaged file: all belong in the report
        text = f"{type(error).__name__}: {error}"
    return Executed(path, time.perf_counter() - start, error=text)


def _failed(cell: NotebookNode) -> bool:
    allowed = "raises-exception" in cell.metadata.get("tags", ())
    return not allowed and any(output.output_type == "error" for output in cell.get("outputs", ()))


@contextlib.contextmanager
def _kernel_environment(strict: bool) -> Iterator[None]:
    """Let kernels draw inline and date figures alike; in the book's own notebooks a RuntimeWarning is an error."""
    ours = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "SOURCE_DATE_EPOCH": "0"}
    if strict:
        ours["PYTHONWARNINGS"] = "error::RuntimeWarning"
    before = dict(os.environ)
    os.environ.update(ours)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


# -------------------------------------------------------------------------------------------------------- freshness


@dataclass(frozen=True)
class Outcome:
    """What nbval found at one code cell: `text` is empty where all is well."""

    text: str = ""
    error: str = ""  # the exception's type, where one was raised
    message: str = ""
    traceback: str = ""
    printed: str = ""
    warnings: tuple[str, ...] = ()


def verify(path: Path, *, lax: bool = False, timeout: float = CELL_TIMEOUT) -> dict[str, Outcome]:
    """Run a notebook under nbval and return the outcome of each code cell by its id.

    Stored outputs are compared with new ones, except figures and warnings; with `lax` a cell need only run.
    """
    recorder, screen = _Recorder(), io.StringIO()
    arguments = ["--nbval-lax" if lax else "--nbval", "--nbval-current-env", f"--nbval-cell-timeout={timeout}"]
    # Nothing of the surrounding project's or session's pytest settings may reach this run.
    arguments += ["-c", os.devnull, f"--rootdir={path.parent}", "--noconftest", "-p", "no:cacheprovider", "--color=no"]
    with _kernel_environment(strict=not lax), contextlib.redirect_stdout(screen):
        os.environ.pop("PYTEST_ADDOPTS", None)
        code = pytest.main([*arguments, str(path)], plugins=[recorder])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise NotebookError(f"{path}: nbval could not run it:\n{screen.getvalue()}")
    return recorder.outcomes


def _await_reply(kernel: object, msg_id: str, timeout: float) -> object:
    """Wait for a cell's end a second at a time, and no longer than the kernel lives: nbval alone would wait in one."""
    end = time.monotonic() + timeout
    while True:
        try:
            return kernel.wait_in_one(msg_id, timeout=min(1, timeout))
        except queue.Empty:
            if not kernel.is_alive():
                raise RuntimeError("the kernel is dead") from None
            if time.monotonic() > end:
                raise


class _Recorder:
    """A pytest plugin that keeps nbval's findings by cell."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        # nbval compares these as exact strings; a warning's text and a font's outline differ between versions.
        item.parent.skip_compare = (*item.parent.skip_compare, "stderr", "image/svg+xml")

    def pytest_runtest_call(self, item: pytest.Item) -> None:
        kernel = item.parent.kernel
        if not hasattr(kernel, "wait_in_one"):
            kernel.wait_in_one, kernel.await_reply = kernel.await_reply, functools.partial(_await_reply, kernel)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
        report = yield
        if call.when == "call" or (call.when == "setup" and call.excinfo):
            outputs = item.test_outputs or []
            error = next((o for o in outputs if o.output_type == "error"), {})
            stdout, stderr = (
                "".join(o.text for o in outputs if o.output_type == "stream" and o.name == name)
                for name in ("stdout", "stderr")
            )
            skipped = call.excinfo is not None and call.excinfo.errisinstance(pytest.skip.Exception)
            self.outcomes[item.cell.id] = Outcome(
                text="" if call.excinfo is None or skipped else _COLOURS.sub("", str(item.repr_failure(call.excinfo))),
                error=error.get("ename", ""),
                message=error.get("evalue", ""),
                traceback=_COLOURS.sub("", "\n".join(error.get("traceback", []))),
                printed=stdout,
                warnings=tuple(re.findall(r"\w+Warning: .*", stderr)),
            )
        return report
