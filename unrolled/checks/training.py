"""An answer that trains, watched from outside: which updates it makes, however its loop is written."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np

from minigrad import Tensor, optim
from unrolled.checks import CheckFailed, check


class Training:
    """What the optimisers of one call did; empty where the answer moves its weights without one."""

    def __init__(self):
        self.optimizers, self.rates, self.norms = [], [], []  # a rate for each update; norms: one list an optimiser
        self.weights, self.gradients = [], []  # before the first update
        self.uncleared = False
        self._left = {}

    def before(self, optimizer: optim.Optimizer) -> None:
        """Note what an optimiser is about to do."""
        if optimizer not in self.optimizers:
            self.optimizers.append(optimizer)
            self.norms.append([])
            if len(self.optimizers) == 1 or not self._shared():
                self.weights += [np.array(p.data) for p in optimizer.params]
                self.gradients += [np.array(p.grad) for p in optimizer.params if p.grad is not None]
        squares = sum(float(np.sum(np.square(p.grad, dtype=float))) for p in optimizer.params if p.grad is not None)
        self.norms[self.optimizers.index(optimizer)].append(np.sqrt(squares))
        self.rates.append(optimizer.lr)

    def after(self, optimizer: optim.Optimizer) -> None:
        """Keep the gradients that have been used, to see whether they are cleared."""
        self._left |= {p: p.grad for p in optimizer.params if p.grad is not None}

    def backward(self) -> None:
        """Note whether a new gradient is added to one that has been used."""
        self.uncleared |= any(p.grad is g and np.any(g) for p, g in self._left.items())

    def _shared(self) -> bool:
        params = [p for optimizer in self.optimizers for p in optimizer.params]
        return len(set(params)) < len(params)

    def check(
        self, updates: int, lr: float, weights: int, clip: float | None = 1, too_many: str = "", too_few: str = ""
    ) -> None:
        """Raise unless there were so many updates of so many weights by Adam at this rate, clipped to this norm."""
        if not self.optimizers:
            return
        check(
            not self._shared(),
            "The optimiser is made anew in the loop, and forgets its running means: make it once, before the loop.",
        )
        for optimizer in self.optimizers:
            name = type(optimizer).__name__
            check(name == "Adam", f"The optimiser should be Adam here, and is {name}.")
        rate = next((rate for rate in self.rates if not np.isclose(rate, lr)), lr)
        check(rate == lr or np.isclose(rate, lr), f"The learning rate should be {lr:g} here, and is {rate:g}.")
        count = sum(w.size for w in self.weights)
        if count != weights:
            raise CheckFailed(
                f"{count:,} numbers are trained, and the net has {weights:,} weights. "
                + ("Is every layer's `parameters()` given to Adam?" if count < weights else "Are the sizes right?")
            )
        check(
            len(self.gradients) == len(self.weights),
            "Weights that are to be trained get no gradient: is each layer in the net, and not cut off?",
        )
        check(
            not self.uncleared,
            "A gradient is added to that of the update before: clear it in every update, with `zero_grad`.",
        )
        made = max(map(len, self.norms))
        check(
            made <= updates,
            f"There are {made} updates, and there should be {updates}. {too_many}".rstrip(),
        )
        check(
            min(map(len, self.norms)) >= updates,
            f"There are {min(map(len, self.norms))} updates, and there should be {updates}. {too_few}".rstrip(),
        )
        norm = 0.0 if clip is None else np.max(np.linalg.norm(self.norms, axis=0))
        check(
            clip is None or norm < clip * (1 + 1e-5),
            f"The gradient is not clipped to {clip}: one of norm {norm:.2g} was used. Scale all of it together, "
            "between `backward` and `step`, with `optim.clip_grad_norm_`.",
        )

    def tell(self, right: Sequence, mistakes: Mapping[str, Sequence]) -> None:
        """Raise a mistake's hint where the first gradient is the mistake's and not the right one, up to a factor."""
        if not self.optimizers or _alike(self.gradients, right):
            return
        for hint, gradients in mistakes.items():
            check(not _alike(self.gradients, gradients), hint)


def _alike(a: Sequence, b: Sequence) -> bool:
    """Whether gradients have one direction; in which order the weights are trained does not matter."""
    a, b = (np.sort(np.abs(np.concatenate([np.ravel(getattr(g, "data", g)) for g in gs]))) for gs in (a, b))
    return a.shape == b.shape and np.allclose(a / np.linalg.norm(a), b / np.linalg.norm(b), rtol=1e-3, atol=1e-6)


@contextmanager
def watched() -> Iterator[Training]:
    """Watch all updates made inside."""
    seen, step, backward = Training(), optim.Optimizer.step, Tensor.backward

    def watched_step(self: optim.Optimizer) -> None:
        seen.before(self)
        step(self)
        seen.after(self)

    def watched_backward(self: Tensor, *args: object, **kwargs: object) -> None:
        seen.backward()
        backward(self, *args, **kwargs)

    with patch.object(optim.Optimizer, "step", watched_step), patch.object(Tensor, "backward", watched_backward):
        yield seen


def watch(train: Callable, *arguments: object) -> tuple[Training, object]:
    """Call train(*arguments); return what it did, and its result."""
    with watched() as seen:
        result = train(*arguments)
    check(result is not None, f"{getattr(train, '__name__', 'The function')} returns None: return the result.")
    return seen, result


def reproduces(result: float, told: float, call: str, entry: str) -> None:
    """Raise unless a second call gives what the table says."""
    check(
        np.allclose(result, told, rtol=1e-6),
        f"{call} gives {float(result):.4f} when it is called again, and {entry} is {float(told):.4f}. Draw the net and "
        "all data from default_rng(seed), and fill the table with the function's results.",
    )
