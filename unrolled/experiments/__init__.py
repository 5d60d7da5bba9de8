"""The book's longer experiments: a module each, its trials run once and kept with the machine they ran on.

A module holds `CASES`, the arguments of each trial, its seed among them, `trial(**case)`, which returns plain numbers,
and `SMALL`, arguments beside those of a case that make a trial last a second, for a look and for the tests.
`unrolled experiment NAME` runs the trials that are not stored yet, `trials(NAME)` reads them.
"""

import ast
import hashlib
import importlib
import inspect
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from unrolled import UnrolledError
from unrolled.machine import machine

RESULTS = Path(__file__).parent / "results"


class ExperimentError(UnrolledError):
    """An experiment that does not exist, or stored results that are not this code's; the text says what to run."""


def names() -> list[str]:
    """Return the names of all experiments."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def trials(name: str) -> list[dict]:
    """Return the stored trials in the order of the module's `CASES`: a case and its result in one dictionary.

    Raises ExperimentError where the stored trials are not complete, or were run by other code.
    """
    module, stored = _module(name), _stored(name)
    by_case = {_key(entry["case"]): entry for entry in stored.get("trials", [])}
    missing = [case for case in module.CASES if _key(case) not in by_case]
    if stored.get("code") != _code(module) or missing:
        why = f"{len(missing)} of {len(module.CASES)} trials are missing" if missing else "its code has changed since"
        raise ExperimentError(f"the stored results of {name} are not complete: {why}. Run: unrolled experiment {name}")
    return [case | by_case[_key(case)]["result"] for case in module.CASES]


def provenance(name: str) -> str:
    """Return one line: the command that stored the trials, how many, on which machine and when."""
    stored = _stored(name)
    if not stored:
        raise ExperimentError(f"there are no stored results of {name}. Run: unrolled experiment {name}")
    where = stored["machine"]
    return f"unrolled experiment {name}: {len(stored['trials'])} trials, {where['processor']}, {where['date']}"


def run(name: str, jobs: int) -> Iterator[tuple[dict, dict, float]]:
    """Run the trials that are not stored yet, `jobs` at a time on one thread each; store each as it ends, and yield it.

    What is yielded is case, result and the processor's seconds. Results of another version of the module are thrown
    away first.
    """
    from joblib import Parallel, delayed

    module, stored = _module(name), _stored(name)
    code = _code(module)
    kept = stored.get("trials", []) if stored.get("code") == code else []
    by_case = {_key(entry["case"]): entry for entry in kept}
    to_do = [case for case in module.CASES if _key(case) not in by_case]
    work = Parallel(n_jobs=jobs, return_as="generator_unordered")(delayed(_timed)(name, case) for case in to_do)
    for case, result, seconds in work:
        by_case[_key(case)] = {"case": case, "result": result, "seconds": round(seconds, 2)}
        done = [by_case[_key(case)] for case in module.CASES if _key(case) in by_case]
        _store(name, {"machine": machine("numpy", "numba"), "code": code, "trials": done})
        yield case, result, seconds


def _timed(name: str, case: dict) -> tuple[dict, dict, float]:
    import minigrad

    minigrad.set_num_threads(1)
    start = time.process_time()  # not the clock on the wall, which other work on the machine slows down
    result = _module(name).trial(**case)
    return case, result, time.process_time() - start


def _module(name: str) -> ModuleType:
    if name not in names():
        raise ExperimentError(f"there is no experiment {name!r}; there are: {', '.join(names()) or 'none'}")
    return importlib.import_module(f"{__name__}.{name}")


def _code(module: ModuleType) -> str:
    """Return a digest of what the module computes, the same in every Python: comments and docstrings do not count."""
    tree = ast.parse(inspect.getsource(module))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            del node.body[0]
    return hashlib.sha256(_dump(tree).encode()).hexdigest()[:16]


def _dump(x: object) -> str:
    """Return a syntax tree as text without what is empty: ast.dump and the trees differ in that from 3.11 to 3.13."""
    if isinstance(x, list):
        return f"[{', '.join(map(_dump, x))}]"
    if not isinstance(x, ast.AST):
        return repr(x)
    fields = [f"{name}={_dump(value)}" for name, value in ast.iter_fields(x) if value not in (None, [])]
    return f"{type(x).__name__}({', '.join(fields)})"


def _key(case: dict) -> str:
    return json.dumps(case, sort_keys=True)


def _stored(name: str) -> dict:
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text("utf8"))
    except ValueError as error:
        raise ExperimentError(f"{path}: not JSON ({error}). Delete it and run: unrolled experiment {name}") from error


def _store(name: str, result: dict) -> None:
    """Write one trial a line, at once or not at all."""
    head = {key: value for key, value in result.items() if key != "trials"}
    lines = ",\n".join(json.dumps(entry) for entry in result["trials"])
    RESULTS.mkdir(exist_ok=True)
    part = RESULTS / f"{name}.part"
    part.write_text(f'{json.dumps(head)[:-1]},\n"trials": [\n{lines}\n]}}\n', encoding="utf-8")
    os.replace(part, RESULTS / f"{name}.json")
