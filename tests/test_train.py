"""The training loop: what it does at each update, what it keeps, what it prints, and how it goes on after a kill."""

import io
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minigrad import Tensor, binary_cross_entropy_with_logits, mse_loss, train
from minigrad.errors import DTypeError, GraphError, NonFiniteError, OptionError
from minigrad.nn import RNN, Dropout, Linear, Module, Parameter
from minigrad.optim import SGD, Adam, clip_grad_norm_
from minigrad.train import fit


class Delay(Module):
    """Says at each step what the input was one step before."""

    def __init__(self, rng):
        rng = np.random.default_rng(rng)
        self.rnn, self.dropout, self.out = RNN(1, 8, rng=rng), Dropout(0.1, rng=7), Linear(8, 1, rng=rng)

    def forward(self, x):
        return self.out(self.dropout(self.rnn(x)[0]))


def bits(rng):
    x = rng.integers(0, 2, (10, 16, 1)).astype("float32")
    return x, np.concatenate([np.zeros_like(x[:1]), x[:-1]])


def setup(seed=0, lr=0.02):
    net = Delay(seed)
    return net, lambda x, y: binary_cross_entropy_with_logits(net(x), y), bits, Adam(net.parameters(), lr=lr)


class Point(Module):
    """Two weights: what an update does to them can be said by hand."""

    def __init__(self, *start):
        self.w = Parameter(np.array(start, "float64"))


def pull(start=(3.0, 4.0), lr=0.1):
    """Minimises |w|^2 / 2: the gradient is w, its norm |w|."""
    net = Point(*start)
    return net, lambda _: (net.w * net.w).sum() / 2, lambda rng: rng.random(), SGD(net.parameters(), lr=lr)


# --- updates ---------------------------------------------------------------------------------------------------------


def test_fit_learns_to_repeat_the_input_one_step_later():
    net, *rest = setup(seed=0)
    history = fit(net, *rest, 300, rng=0, progress=False)
    assert history.loss[0] > 0.6 and history.loss[-20:].mean() < 0.1
    x, y = bits(np.random.default_rng(1))
    assert ((net.eval()(x).data > 0) == y)[1:].mean() == 1


def test_fit_is_the_loop_written_out():
    net, loss, batch, optimizer = setup()
    history = fit(net, loss, batch, optimizer, 5, rng=3, max_norm=0.2, progress=False)
    other, loss, batch, optimizer = setup()
    rng, losses, norms = np.random.default_rng(3), [], []
    for _ in range(5):
        value = loss(*batch(rng))
        optimizer.zero_grad()
        value.backward()
        losses.append(value.item())
        norms.append(clip_grad_norm_(other.parameters(), 0.2))
        optimizer.step()
    assert history.loss.tolist() == losses and history.norm.tolist() == norms
    assert history.validation.shape == (0, 2)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, other.state_dict()[name])


def test_the_norm_is_recorded_before_clipping():
    net, *rest = pull((3.0, 4.0), lr=0.1)
    history = fit(net, *rest, 2, max_norm=1.0, progress=False)
    np.testing.assert_allclose(history.norm, [5, 4.9])  # each clipped step is 0.1 long, straight to the origin
    np.testing.assert_allclose(net.w.data, [2.88, 3.84])


def test_the_schedule_scales_the_rate_of_the_optimiser_and_gives_it_back():
    net, loss, batch, optimizer = pull((1.0, 0.0), lr=0.5)
    history = fit(net, loss, batch, optimizer, 3, schedule=lambda k: [1, 0.5, 0][k], progress=False)
    np.testing.assert_allclose(history.norm, [1, 0.5, 0.375])
    assert net.w.data[0] == pytest.approx(0.375) and optimizer.lr == 0.5


def test_one_argument_or_several():
    net, _, _, optimizer = pull()
    seen = []
    for batch in (lambda rng: np.arange(3), lambda rng: (np.arange(3),)):
        fit(net, lambda *given: seen.append(given) or net.w.sum(), batch, optimizer, 1, progress=False)
    assert [len(given) for given in seen] == [1, 1] and all(given[0].shape == (3,) for given in seen)


# --- validation ------------------------------------------------------------------------------------------------------


def test_scores_are_taken_without_dropout_and_without_a_graph():
    net, loss, batch, optimizer = setup()
    modes = []

    def validate():
        modes.append((net.training, net.dropout.training, net(np.ones((2, 1, 1), "float32")).requires_grad))
        return 0.0

    trained = lambda *given: modes.append((net.training, net.dropout.training)) or loss(*given)
    history = fit(net, trained, batch, optimizer, 5, validate=validate, every=2, progress=False)
    assert history.validation[:, 0].tolist() == [2, 4, 5]  # and at the end
    assert modes == [*[(True, True)] * 2, (False,) * 3, *[(True, True)] * 2, (False,) * 3, (True, True), (False,) * 3]


def scored(scores, updates=100, **settings):
    """One score an update; the first weight is then 0.9 ** update."""
    net, *rest = pull((1.0, 0.0), lr=0.1)
    scores = iter(scores)
    return net, fit(net, *rest, updates, validate=lambda: next(scores), every=1, progress=False, **settings)


def test_early_stopping_keeps_the_best_weights():
    net, history = scored([3.0, 1.0, 2.0, 1.0, 5.0, 0.0], patience=3)
    assert len(history.loss) == 5  # three scores in a row no better than that of update 2
    assert history.validation.tolist() == [[1, 3], [2, 1], [3, 2], [4, 1], [5, 5]]
    assert net.w.data[0] == pytest.approx(0.9**2)


def test_a_better_score_renews_the_patience():
    net, history = scored([3.0, 4.0, 2.0, 4.0, 1.0, 4.0, 4.0, 0.0], patience=2)
    assert len(history.loss) == 7 and net.w.data[0] == pytest.approx(0.9**5)


def test_without_patience_the_best_weights_are_kept_all_the_same():
    net, history = scored([3.0, 1.0, 2.0, 2.0], updates=4)
    assert len(history.loss) == 4 and net.w.data[0] == pytest.approx(0.9**2)


# --- progress --------------------------------------------------------------------------------------------------------


def test_plain_lines_are_the_same_at_every_run(capsys):
    scores = iter([0.5, 0.25, 0.75])
    net, *rest = pull((3.0, 4.0), lr=0.1)
    fit(net, *rest, 11, max_norm=1.0, every=5, validate=lambda: next(scores))
    assert capsys.readouterr().out.splitlines() == [
        "update  5/11  loss 11.53  gradient norm 4.80  validation 0.5000",  # means over five updates
        "update 10/11  loss 9.255  gradient norm 4.30  validation 0.2500",
        "update 11/11  loss 8.000  gradient norm 4.00  validation 0.7500",
        "weights of update 10, the best of 3 scores",
    ]


def test_progress_can_be_turned_off(capsys, monkeypatch):
    net, *rest = pull()
    fit(net, *rest, 3, every=1, progress=False)
    monkeypatch.setattr(sys, "stdout", Terminal())
    fit(net, *rest, 3, every=1, progress=False)
    assert capsys.readouterr().out == sys.stdout.getvalue() == ""


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_one_line_is_rewritten(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "60")
    net, *rest = pull()
    fit(net, *rest, 40, every=10)
    text = sys.stdout.getvalue()
    assert text.count("\n") == 1 and text.endswith("\n")
    lines = text.strip().split("\r\x1b[K")[1:]
    assert len(lines) >= 4 and all(len(line) < 60 for line in lines)
    assert lines[-1].startswith("update 40/40  loss ")


def test_what_interrupts_has_a_line_of_its_own_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    net, loss, _, optimizer = pull()
    with pytest.raises(KeyboardInterrupt):
        fit(net, loss, interrupting(3, lambda rng: rng.random()), optimizer, 9, every=1)
    assert sys.stdout.getvalue().endswith("\n")


# --- checkpoints -----------------------------------------------------------------------------------------------------

SCRIPT = """
import os, signal, sys
import numpy as np
from minigrad import optim
from minigrad.train import fit

sys.path.insert(0, sys.argv[1])
from test_train import setup

folder, fatal = sys.argv[2], int(sys.argv[3])
net, loss, batch, optimizer = setup()
drawn = 0

def batch_or_death(rng):
    global drawn
    drawn += 1
    if drawn == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return batch(rng)

history = fit(
    net, loss, batch_or_death, optimizer, 60, rng=5, every=10, max_norm=1.0, checkpoint=folder + "/run.safetensors",
    schedule=lambda k: optim.cosine(k, 60), validate=lambda: float(np.sum(np.abs(net.out.weight.data))),
)
end = {"dropout": np.array([str(net.rng_state())]), **net.state_dict(), **optimizer.state_dict()}
np.savez(folder + "/end.npz", loss=history.loss, gradients=history.norm, validation=history.validation, **end)
"""


def run(folder, fatal=0):
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, Path(__file__).parent, folder, str(fatal)], capture_output=True, text=True
    )


@pytest.mark.slow
def test_killed_and_resumed_is_uninterrupted_bit_for_bit(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(whole).returncode == 0
    for fatal in (5, 26, 1, 34):  # before the first checkpoint; in update 26; at once, in update 21; in update 54
        assert run(parts, fatal).returncode == -signal.SIGKILL
        assert not (parts / "end.npz").exists()
    last = run(parts)
    assert last.returncode == 0, last.stderr
    assert last.stdout.startswith("going on from update 50\nupdate 60/60")
    right, found = np.load(whole / "end.npz"), np.load(parts / "end.npz")
    assert set(right) == set(found) and "mean.0" in right
    for name in right:
        assert right[name].dtype == found[name].dtype
        np.testing.assert_array_equal(right[name], found[name], err_msg=name)


def interrupting(at, batch):
    left = iter(range(at))

    def draw(rng):
        if next(left) == at - 1:
            raise KeyboardInterrupt
        return batch(rng)

    return draw


def test_an_interrupt_passes_on_and_the_last_checkpoint_stands(tmp_path):
    path = tmp_path / "run.safetensors"
    net, *rest = setup()
    right = fit(net, *rest, 30, rng=1, progress=False)
    other, loss, batch, optimizer = setup()
    with pytest.raises(KeyboardInterrupt):
        fit(other, loss, interrupting(26, batch), optimizer, 30, rng=1, every=10, checkpoint=path, progress=False)
    other, *rest = setup(seed=9)  # other weights: all that counts is in the file
    history = fit(other, *rest, 30, rng=99, every=10, checkpoint=path, progress=False)
    np.testing.assert_array_equal(history.loss, right.loss)
    np.testing.assert_array_equal(history.norm, right.norm)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, other.state_dict()[name])


def test_killed_between_the_best_weights_and_the_checkpoint(tmp_path, monkeypatch):
    from minigrad import io as files

    def attempt(path):
        net, *rest = pull((1.0, 0.0))
        scores = {0.9: 3.0, 0.81: 2.0, 0.729: 1.0, 0.6561: 4.0}
        validate = lambda: scores[round(float(net.w.data[0]), 6)]
        return net, fit(net, *rest, 4, rng=0, every=1, validate=validate, checkpoint=path, progress=False)

    right, history = attempt(tmp_path / "whole.safetensors")
    save, left = files.save, iter(range(6))

    def fragile(path, *given, **metadata):
        if next(left) == 5:  # two files at each of three updates: the sixth is the third checkpoint
            raise KeyboardInterrupt
        save(path, *given, **metadata)

    monkeypatch.setattr(files, "save", fragile)
    with pytest.raises(KeyboardInterrupt):
        attempt(tmp_path / "run.safetensors")
    monkeypatch.setattr(files, "save", save)
    net, again = attempt(tmp_path / "run.safetensors")
    assert again.validation.tolist() == history.validation.tolist() and len(again.loss) == 4
    assert net.w.data[0] == right.w.data[0] == pytest.approx(0.729)


def test_a_finished_run_is_read_back_and_can_be_made_longer(tmp_path, capsys):
    path = tmp_path / "run.safetensors"
    net, *rest = setup()
    right = fit(net, *rest, 20, rng=1, progress=False)
    fit(*setup(), 10, rng=1, checkpoint=path, progress=False)
    net, loss, _, optimizer = setup(seed=9)
    done = fit(net, loss, None, optimizer, 10, checkpoint=path)  # draws nothing
    assert capsys.readouterr().out == "going on from update 10\n"
    np.testing.assert_array_equal(done.loss, right.loss[:10])
    np.testing.assert_array_equal(fit(*setup(), 20, checkpoint=path, progress=False).loss, right.loss)


def test_a_run_that_stopped_early_stays_stopped(tmp_path):
    path = tmp_path / "run.safetensors"
    net, history = scored([1.0, 2.0, 3.0], patience=2, checkpoint=path)
    net, again = scored([], patience=2, checkpoint=path)
    assert again.validation.tolist() == history.validation.tolist() and net.w.data[0] == pytest.approx(0.9)


def test_the_rate_at_a_resume_is_the_call_s(tmp_path):
    path = tmp_path / "run.safetensors"
    net, *rest = pull((1.0, 0.0), lr=0.5)
    fit(net, *rest, 1, schedule=lambda k: 0.1, checkpoint=path, progress=False)
    net, *rest = pull((1.0, 0.0), lr=0.5)
    fit(net, *rest, 2, checkpoint=path, progress=False)
    assert net.w.data[0] == pytest.approx(0.95 * 0.5) and rest[-1].lr == 0.5


# --- errors ----------------------------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_stops_before_the_update():
    net, _, batch, optimizer = pull((3.0, 4.0))
    factors = iter([1.0, np.inf])
    with pytest.raises(NonFiniteError, match=r"loss is inf at update 1, .*detect_anomaly"):
        fit(net, lambda _: net.w.sum() * next(factors), batch, optimizer, 9, progress=False)
    np.testing.assert_allclose(net.w.data, [2.9, 3.9])


def test_a_gradient_that_is_not_finite_stops_before_the_update():
    net, _, batch, optimizer = pull((0.0, 4.0), lr=0.5)
    with pytest.raises(NonFiniteError, match="norm of the gradients"), np.errstate(divide="ignore"):
        fit(net, lambda _: net.w.sqrt().sum(), batch, optimizer, 9, schedule=lambda k: 0.1, progress=False)
    assert net.w.data.tolist() == [0, 4] and optimizer.lr == 0.5


def test_a_score_that_is_not_finite_stops():
    with pytest.raises(NonFiniteError, match="score of validate is nan at update 1"):
        scored([1.0, float("nan")])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"updates": 0}, "updates and every are at least 1, not 0 and 100"),
        ({"every": 0}, "not 9 and 0"),
        ({"patience": 3}, "patience is at least 1, not 3, and needs validate"),
        ({"patience": 0, "validate": lambda: 0.0}, "patience is at least 1, not 0"),
        ({"max_norm": -1.0}, "max_norm must not be below 0"),
    ],
)
def test_settings_out_of_range(settings, words):
    net, *rest = pull()
    with pytest.raises(OptionError, match=words):
        fit(net, *rest, **{"updates": 9, "progress": False, **settings})


def test_a_loss_that_is_no_tensor_of_one_number():
    net, _, batch, optimizer = pull()
    with pytest.raises(DTypeError, match="loss returns a Tensor of one number, not a float"):
        fit(net, lambda _: 0.5, batch, optimizer, 1, progress=False)
    with pytest.raises((GraphError, ValueError), match="one"):
        fit(net, lambda _: net.w * 2, batch, optimizer, 1, progress=False)
    with pytest.raises(GraphError, match="requires a gradient"):
        fit(net, lambda _: mse_loss(Tensor([1.0]), Tensor([2.0])), batch, optimizer, 1, progress=False)


def test_weights_are_no_checkpoint(tmp_path):
    from minigrad import io as files

    net, *rest = pull()
    files.save(tmp_path / "run.safetensors", Point(1.0, 1.0), rest[-1])
    with pytest.raises(files.CheckpointError, match="saved by something else than fit"):
        fit(net, *rest, 1, checkpoint=tmp_path / "run.safetensors")
    assert net.w.data.tolist() == [3, 4]


def test_train_alone_needs_no_safetensors():
    assert "safetensors" not in vars(train)
