"""A training loop: small, repeatable from a seed, and able to go on from a checkpoint as if nothing had happened."""

import math
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minigrad.backend import generator
from minigrad.errors import DTypeError, NonFiniteError, OptionError
from minigrad.graph import Node
from minigrad.nn.module import Module
from minigrad.op import no_grad
from minigrad.optim import Optimizer, clip_grad_norm_


@dataclass(frozen=True)
class History:
    """What a run recorded: `loss` and `norm`, one entry an update, and `validation`, rows of (update, score).

    `norm` is the gradient's before clipping; `loss` is before the update. Updates are counted from 1 in `validation`.
    """

    loss: np.ndarray
    norm: np.ndarray
    validation: np.ndarray


def fit(
    net: Module,
    loss: Callable[..., Node],
    batch: Callable[[np.random.Generator], object],
    optimizer: Optimizer,
    updates: int,
    *,
    rng: np.random.Generator | int | None = None,
    max_norm: float | None = None,
    schedule: Callable[[int], float] | None = None,
    validate: Callable[[], float] | None = None,
    patience: int | None = None,
    every: int = 100,
    checkpoint: str | os.PathLike | None = None,
    progress: bool = True,
) -> History:
    """Train `net` for `updates` updates, each on the loss `loss(*batch(rng))`, and return what happened.

    batch: draws the arguments of `loss` from the generator that it is given, and from no other: then the run follows
        from `rng` (a Generator or a seed), and a resumed one sees the same batches.
    max_norm: clips the norm of the gradients (see clip_grad_norm_).
    schedule: factor of the learning rate at an update, counted from 0 (see minigrad.optim).
    validate: returns a score, the lower the better; called without dropout and without a graph. The net ends with the
        weights of the best score, the earliest among equals. `patience`: how many scores in a row may be no better
        before training stops.
    every: updates between two lines of progress, scores and checkpoints; there is one of each at the end, too.
    checkpoint: a file for everything that the run depends on (needs the extra [io]), and beside it, with `validate`,
        the best weights in NAME.best.SUFFIX. Where the file is there already, training goes on from it, and ends bit
        for bit where an uninterrupted run ends; the learning rate is the one that the optimiser has at the call.
    progress: one line that is rewritten, on a terminal; anywhere else a line at a time, the same at every run.

    Raises NonFiniteError before the update where loss, gradient or score is a NaN or an infinity. The net stays in
    training mode.
    """
    if min(updates, every) < 1:
        raise OptionError(f"fit: updates and every are at least 1, not {updates} and {every}")
    if patience is not None and (patience < 1 or validate is None):
        raise OptionError(f"fit: patience is at least 1, not {patience}, and needs validate")
    rng, lr, best = generator(rng), optimizer.lr, None
    losses, norms, scores = [], [], []
    if checkpoint is not None and Path(checkpoint).exists():
        losses, norms, scores, best = resume(checkpoint, net, optimizer, rng)
    show = Progress(updates, every, len(losses), progress)
    try:
        while len(losses) < updates and not (patience and len(scores) - 1 - best_of(scores) >= patience):
            net.train()
            if schedule:
                optimizer.lr = lr * schedule(len(losses))
            arguments = batch(rng)
            value = loss(*arguments) if isinstance(arguments, tuple) else loss(arguments)
            if not isinstance(value, Node):
                raise DTypeError(f"fit: loss returns a Tensor of one number, not a {type(value).__name__}")
            optimizer.zero_grad()
            losses.append(finite("loss", value.item(), len(losses)))
            value.backward()
            norms.append(clip_grad_norm_(optimizer.params, math.inf if max_norm is None else max_norm))
            optimizer.step()
            due = len(losses) % every == 0 or len(losses) == updates
            if due and validate:
                net.eval()
                with no_grad():
                    scores.append((len(losses), finite("score of validate", validate(), len(losses) - 1)))
                if best_of(scores) == len(scores) - 1:
                    best = net.state_dict()
            if due and checkpoint is not None:
                save(checkpoint, net, optimizer, rng, losses, norms, scores)
            show(losses, norms, scores, due)
    finally:
        optimizer.lr = lr
        show.close()
    if best is not None:
        net.load_state_dict(best)
        show.say(f"weights of update {int(scores[best_of(scores)][0])}, the best of {len(scores)} scores")
    return History(np.array(losses), np.array(norms), np.array(scores).reshape(-1, 2))


def finite(what: str, x: object, update: int) -> float:
    """Return a number as a float; NonFiniteError for a NaN or an infinity."""
    if not math.isfinite(x):
        raise NonFiniteError(
            f"fit: the {what} is {x} at update {update}, counted from 0; training stopped. Lower the learning rate, "
            "clip the gradient (max_norm), or find the operation with detect_anomaly"
        )
    return float(x)


def best_of(scores: list) -> int:
    """Return the place of the lowest score, the earliest among equals."""
    return min(range(len(scores)), key=lambda k: scores[k][1], default=-1)


# --- checkpoints -----------------------------------------------------------------------------------------------------


def beside(checkpoint: str | os.PathLike) -> Path:
    """Return where the best weights are kept."""
    path = Path(checkpoint)
    return path.with_name(f"{path.stem}.best{path.suffix}")


def save(
    checkpoint: str | os.PathLike,
    net: Module,
    optimizer: Optimizer,
    rng: np.random.Generator,
    losses: list,
    norms: list,
    scores: list,
) -> None:
    """Write the best weights, if these are, and then the checkpoint.

    In this order: a run killed in between goes on from the checkpoint before, and writes the same best weights again.
    """
    from minigrad import io

    if scores and best_of(scores) == len(scores) - 1:
        io.save(beside(checkpoint), net)
    run = {"loss": losses, "norm": norms, "validation": scores}
    io.save(checkpoint, net, optimizer, batches=rng.bit_generator.state, **run)


def resume(checkpoint: str | os.PathLike, net: Module, optimizer: Optimizer, rng: np.random.Generator) -> tuple:
    """Return (losses, norms, scores, best weights or None); net, optimiser and generator go on where they stood."""
    from minigrad import io

    run, best, lr = io.read(checkpoint)[0]["metadata"], None, optimizer.lr
    if not {"loss", "norm", "validation", "batches"} <= run.keys():
        raise io.CheckpointError(f"fit: {checkpoint} was saved by something else than fit; name another checkpoint")
    if run["validation"]:
        io.load(beside(checkpoint), net)
        best = net.state_dict()
    io.load(checkpoint, net, optimizer)
    optimizer.lr = lr  # the file has it times the schedule's factor
    rng.bit_generator.state = run["batches"]
    return run["loss"], run["norm"], run["validation"], best


# --- progress --------------------------------------------------------------------------------------------------------


def report(updates: int, every: int, losses: list, norms: list, scores: list) -> str:
    """Return a line of progress: means of loss and gradient norm since the line before, and the latest score."""
    n = len(losses)
    start = (n - 1) // every * every
    line = f"update {n:{len(str(updates))}}/{updates}  loss {np.mean(losses[start:]):#.4g}"
    line += f"  gradient norm {np.mean(norms[start:]):#.3g}"
    return line + (f"  validation {scores[-1][1]:#.4g}" if scores else "")


class Progress:
    """What fit prints: no times and no carriage returns but on a terminal, so that notebooks stay the same."""

    def __init__(self, updates: int, every: int, done: int, wanted: bool):
        self.updates, self.every, self.done, self.wanted = updates, every, done, wanted
        self.terminal, self.start, self.shown = sys.stdout.isatty(), time.monotonic(), -math.inf
        if done:
            self.say(f"going on from update {done}")

    def __call__(self, losses: list, norms: list, scores: list, due: bool) -> None:
        now = time.monotonic()
        if not self.wanted or not (due or (self.terminal and now - self.shown > 0.1)):
            return
        line = report(self.updates, self.every, losses, norms, scores)
        if not self.terminal:
            return self.say(line)
        rate = (len(losses) - self.done) / max(now - self.start, 1e-9)
        line += f"  {rate:.3g}/s, {(self.updates - len(losses)) / rate:.0f} s left"
        self.shown = now
        print("\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1], end="", flush=True)

    def say(self, line: str) -> None:
        if self.wanted:
            print(line, flush=True)

    def close(self) -> None:
        """End the line that was being rewritten, so that whatever comes next has its own."""
        if self.shown > 0:
            print()
