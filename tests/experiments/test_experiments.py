"""Experiments: trials run once, are stored one by one and read back; those that ship are complete and of this code."""

import json
import types

import numpy as np
import pytest
from click.testing import CliRunner

from unrolled import cli, experiments
from unrolled.experiments import ExperimentError

NAMES = experiments.names()


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """An experiment of three trials that squares, with a folder of results of its own."""
    module = types.ModuleType("toy")
    module.CASES = [{"a": 2, "seed": 0}, {"a": 3, "seed": 0}, {"a": 4, "seed": 1}]
    module.calls, module.code = [], "1"

    def trial(a, seed):
        module.calls.append(a)
        if a in module.fails:
            raise RuntimeError("the machine went")
        return {"square": a * a}

    module.trial, module.fails = trial, set()
    monkeypatch.setattr(experiments, "_module", lambda name: module)
    monkeypatch.setattr(experiments, "_code", lambda module: module.code)
    monkeypatch.setattr(experiments, "RESULTS", tmp_path)
    return module


def test_trials_are_stored_and_read_in_the_order_of_the_cases(toy):
    list(experiments.run("toy", 1))
    assert experiments.trials("toy") == [
        {"a": 2, "seed": 0, "square": 4},
        {"a": 3, "seed": 0, "square": 9},
        {"a": 4, "seed": 1, "square": 16},
    ]
    assert "unrolled experiment toy: 3 trials" in experiments.provenance("toy")


def test_a_run_that_was_interrupted_goes_on_where_it_was(toy):
    toy.fails = {4}
    with pytest.raises(RuntimeError):
        list(experiments.run("toy", 1))
    with pytest.raises(ExperimentError, match=r"1 of 3 trials are missing\. Run: unrolled experiment toy"):
        experiments.trials("toy")
    toy.fails = set()
    toy.calls.clear()
    list(experiments.run("toy", 1))
    assert toy.calls == [4]
    assert len(experiments.trials("toy")) == 3


def test_results_of_other_code_are_refused_and_run_again(toy):
    list(experiments.run("toy", 1))
    toy.code = "2"
    with pytest.raises(ExperimentError, match="its code has changed"):
        experiments.trials("toy")
    assert len(list(experiments.run("toy", 1))) == 3
    assert len(experiments.trials("toy")) == 3


def test_a_finished_run_does_nothing(toy):
    list(experiments.run("toy", 1))
    assert list(experiments.run("toy", 1)) == []


def test_a_broken_file_is_named(toy, tmp_path):
    (tmp_path / "toy.json").write_text('{"trials": [')
    with pytest.raises(ExperimentError, match=r"toy\.json: not JSON"):
        experiments.trials("toy")


def test_nothing_stored(toy):
    with pytest.raises(ExperimentError, match="3 of 3 trials are missing"):
        experiments.trials("toy")
    with pytest.raises(ExperimentError, match="no stored results"):
        experiments.provenance("toy")


def test_comments_and_docstrings_are_not_code(tmp_path, monkeypatch):
    def digest(source):
        module = types.ModuleType("m")
        monkeypatch.setattr(experiments.inspect, "getsource", lambda m: source)
        return experiments._code(module)

    plain = digest("def f():\n    return 1\n")
    assert digest('"""Why."""\n# how\ndef f():\n    "What."\n    return 1\n') == plain
    assert digest("def f():\n    return 2\n") != plain


def test_the_command_lists_runs_and_names_what_does_not_exist(toy):
    runner = CliRunner()
    result = runner.invoke(cli.main, ["experiment", "toy", "--jobs", "1"])
    assert result.exit_code == 0 and "a=3 seed=0  ->  square=9" in result.output
    assert runner.invoke(cli.main, ["experiment"]).output.split() == NAMES


def test_an_unknown_experiment_is_refused():
    result = CliRunner().invoke(cli.main, ["experiment", "elsewhere"])
    assert result.exit_code == 1 and "there is no experiment 'elsewhere'" in result.output


@pytest.mark.parametrize("name", NAMES)
def test_the_stored_trials_are_complete_and_of_this_code(name):
    for trial in experiments.trials(name):
        assert json.loads(json.dumps(trial)) == trial
    assert (experiments.RESULTS / f"{name}.json").stat().st_size < 300_000


@pytest.mark.parametrize("name", NAMES)
def test_a_small_trial_gives_what_the_stored_ones_hold_and_the_same_each_time(name):
    module = experiments._module(name)
    case = module.CASES[0] | module.SMALL
    first, again = module.trial(**case), module.trial(**case)
    assert set(module.CASES[0]) | set(first) == set(experiments.trials(name)[0])
    assert first == again or all(np.array_equal(first[k], again[k], equal_nan=True) for k in first)
