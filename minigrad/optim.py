"""Optimisers, learning-rate schedules and gradient clipping.

Optimisers and clipping rebind `.data` and `.grad`, and never write into an array. A schedule is a function of the step
that returns a factor; factors multiply, and the training loop sets the rate:

    optimizer.lr = 1e-3 * warmup(step, 100) * cosine(step, 1000)
"""

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from minigrad import compiled, cuda, cuda_kernels, updates
from minigrad.backend import device_of, is_array, to_device, use, zeros
from minigrad.errors import GraphError, NonFiniteError, OptionError
from minigrad.graph import Node
from minigrad.ops import clip
from minigrad.state import matched

FRACTIONS = {"momentum", "alpha", "betas"}  # at least 0 and below 1; every other setting: at least 0


def checked(name: str, value: object) -> object:
    """Return a setting as a float (two for betas, a bool for nesterov); OptionError where it cannot be."""
    if name == "nesterov":
        return bool(value)
    top = 1 if name in FRACTIONS else math.inf
    try:
        value = tuple(map(float, value)) if name == "betas" else float(value)
        fits = all(0 <= x < top for x in np.ravel(value)) and (name != "betas" or len(value) == 2)
    except (TypeError, ValueError):
        fits = False
    if not fits:
        kind = "two numbers" if name == "betas" else "a finite number" if top == math.inf else "a number"
        raise OptionError(f"{name} must be {kind} of at least 0{' and below 1' if top == 1 else ''}, not {value!r}")
    return value


def apply(rule: Callable, arrays: list, numbers: list) -> tuple:
    """Return rule(*arrays, *numbers), in one pass where Numba is there, or on a GPU."""
    if cuda.holds(arrays[0]):
        use(device_of(arrays[0]))
        return cuda_kernels.update(rule, [to_device(x, device_of(arrays[0])) for x in arrays], numbers)
    if compiled.pays(*arrays):
        return compiled.loaded().update(rule, arrays, numbers)
    new = rule(*arrays, *numbers)
    return (
        tuple(map(float, new)) if type(arrays[0]) is float else new
    )  # np.sqrt makes a NumPy number of a Value's float


def squared_norm(g: np.ndarray) -> float:
    """Return the sum of the squares of a gradient, in double precision; on a GPU as an array that nobody waits for."""
    if compiled.pays(g):
        return compiled.loaded().sum_of_squares(g.reshape(-1))
    if cuda.holds(g):
        use(device_of(g))
        return cuda.loaded().square(g, dtype=np.float64).sum()
    with np.errstate(over="ignore"):
        return float(np.sum(np.square(g, dtype=np.float64)))


def squared_norms(params: Iterable[Node]) -> list[float]:
    """Return the sum of the squares of each one's gradient; what lies on one GPU comes in one transfer."""
    sums = [squared_norm(p.grad) for p in params]
    for device in {device_of(x) for x in sums} - {"cpu"} if cuda.loaded() else ():
        use(device)
        there = [k for k, x in enumerate(sums) if device_of(x) == device]
        for k, x in zip(there, cuda.loaded().stack([sums[k] for k in there]).tolist(), strict=True):
            sums[k] = x
    return sums


def finite(g: np.ndarray, squares: float) -> bool:
    """Whether no entry is NaN or infinite, given the sum of the squares: in float64 that may overflow."""
    return math.isfinite(squares) or bool(np.isfinite(to_device(g, "cpu")).all())


def wide(x: np.ndarray) -> np.ndarray:
    """Return float16 as float32, in which squares of gradients neither vanish nor overflow; all else as it is."""
    return x.astype("float32") if getattr(x, "dtype", None) == np.float16 else x


class Optimizer:
    """What all optimisers share: the parameters and the learning rate `lr`, which may be changed at any time."""

    running: tuple[str, ...] = ()  # the lists, one entry a parameter, that an optimiser keeps from step to step

    def __init__(self, params: Iterable[Node], **settings: object):
        self.params, self.settings = list(params), tuple(settings)
        if not self.params:
            raise OptionError("the optimiser was given no parameters")
        for k, p in enumerate(self.params):
            if not isinstance(p, Node) or not p.requires_grad or p.record is not None:
                raise GraphError(f"parameter {k} is not a leaf that requires a gradient")
        if len(set(self.params)) < len(self.params):
            raise OptionError("a parameter was given twice; it would move twice at every step")
        for name, value in settings.items():
            setattr(self, name, checked(name, value))
        if self.lr == 0:
            raise OptionError("lr must be above 0 at the start; a schedule may set it to 0 later")
        for name in self.running:
            start = lambda p: 0.0 if type(p) is float else wide(zeros(p.shape, p))
            setattr(self, name, [start(p.data) for p in self.params])

    def zero_grad(self) -> None:
        """Forget the gradients of the parameters."""
        for p in self.params:
            p.grad = None

    def step(self) -> None:
        """Move every parameter that has a gradient; a NaN or an infinity in any gradient raises NonFiniteError."""
        lr = checked("lr", self.lr)
        moving = [k for k, p in enumerate(self.params) if p.grad is not None]
        for k, squares in zip(moving, squared_norms([self.params[k] for k in moving]), strict=True):
            p = self.params[k]
            if not finite(p.grad, squares):
                raise NonFiniteError(
                    f"the gradient of parameter {k}, shape {np.shape(p.data)}, holds a NaN or an infinity; "
                    "no parameter was changed. Lower the learning rate, clip the gradient, or look at the loss"
                )
        for k in moving:
            p, (rule, kept, *numbers) = self.params[k], self.rule(k)
            means = [getattr(self, name)[k] for name in kept]
            new, *means = apply(rule, [wide(p.data), wide(p.grad), *means], [lr, *numbers])
            p.data = p.own(new.astype(p.data.dtype, copy=False) if is_array(new) else new, True)
            for name, mean in zip(kept, means, strict=True):
                getattr(self, name)[k] = mean

    def rule(self, k: int) -> tuple:
        """Return the rule of minigrad/updates.py for parameter k, the names of its running means, and its numbers."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, object]:
        """Return the settings by name, and what is kept for parameter k as `name.k`: a snapshot, as a Module's is."""
        kept = {f"{name}.{k}": x for name in self.running for k, x in enumerate(getattr(self, name))}
        return {name: getattr(self, name) for name in self.settings} | kept

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Continue where the optimiser of `state` stood; raises, changing nothing, where names or shapes differ."""
        new = matched(f"{type(self).__name__}.load_state_dict", self.state_dict(), state)
        settings = {name: checked(name, new[name]) for name in self.settings}
        kept = {name: [new[f"{name}.{k}"] for k in range(len(self.params))] for name in self.running}
        vars(self).update(settings | kept)


class SGD(Optimizer):
    """Stochastic gradient descent, p <- p - lr v with v <- momentum v + g (Polyak 1964; v = g without momentum).

    `nesterov` moves by momentum v + g instead, the gradient seen from one step ahead (Sutskever et al. 2013, eq. 3-4,
    in the form of PyTorch, whose p is the point looked ahead to). `weight_decay` adds weight_decay p to g.
    """

    running = ("velocity",)

    def __init__(
        self,
        params: Iterable[Node],
        lr: float,
        momentum: float = 0.0,
        *,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)
        if self.nesterov and not self.momentum:
            raise OptionError("nesterov needs a momentum above 0")

    def rule(self, k: int) -> tuple:
        if not self.momentum:
            return updates.descend, (), self.weight_decay
        rule = updates.nesterov if self.nesterov else updates.sgd
        return rule, ("velocity",), self.momentum, self.weight_decay


class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton 2012, lecture 6.5): the gradient over the root of its running mean square.

    `alpha` is how much of the mean is kept (0.9 in the lecture; by default 0.99, as in PyTorch). `eps` is added to the
    root, not under it.
    """

    running = ("square",)

    def __init__(self, params: Iterable[Node], lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8):
        super().__init__(params, lr=lr, alpha=alpha, eps=eps)

    def rule(self, k: int) -> tuple:
        return updates.rmsprop, ("square",), self.alpha, 1 - self.alpha, self.eps


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, Algorithm 1): steps scaled by running means of the gradient and of its square."""

    running = ("steps", "mean", "square")
    weight_decay = 0.0

    def __init__(
        self,
        params: Iterable[Node],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ):
        super().__init__(params, lr=lr, betas=betas, eps=eps)
        self.steps = [0] * len(self.params)

    def rule(self, k: int) -> tuple:
        self.steps[k] += 1
        means = [(beta, 1 - beta, 1 - beta ** self.steps[k]) for beta in self.betas]
        return updates.adam, ("mean", "square"), *means[0], *means[1], self.eps, self.weight_decay


class AdamW(Adam):
    """Adam with decoupled weight decay, p <- p - lr (step of Adam + weight_decay p).

    Source: Loshchilov & Hutter 2019, Algorithm 2. As in PyTorch, `lr` scales the decay, too.
    """

    def __init__(
        self,
        params: Iterable[Node],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ):
        super().__init__(params, lr, betas, eps)
        self.weight_decay = checked("weight_decay", weight_decay)
        self.settings += ("weight_decay",)


# --- schedules: factors of the learning rate, steps counted from 0 ---------------------------------------------------


def warmup(step: int, steps: int) -> float:
    """Return a factor that rises in a line over the first `steps` steps, and is 1 from then on."""
    return min(1.0, (step + 1) / steps) if steps else 1.0


def cosine(step: int, steps: int, end: float = 0.0) -> float:
    """Return a factor that falls from 1 to `end` over `steps` steps as half a cosine wave, and stays there.

    Source: Loshchilov & Hutter 2017 (SGDR), eq. 5, without restarts.
    """
    return end + (1 - end) * (1 + math.cos(math.pi * min(1.0, step / max(steps, 1)))) / 2


def exponential(step: int, rate: float, every: int = 1) -> float:
    """Return rate ** (step // every): a decay at every step, or in stairs."""
    return rate ** (step // every)


# --- clipping --------------------------------------------------------------------------------------------------------


def with_gradients(name: str, params: Iterable[Node] | Node) -> list[Node]:
    """Return the parameters that have a gradient; refuse none at all, as a generator gives the second time."""
    params = [params] if isinstance(params, Node) else list(params)
    if not params:
        raise OptionError(f"{name}: no parameters; a generator gives them once, so pass net.parameters() again")
    return [p for p in params if p.grad is not None]


def common_norm(params: list[Node]) -> float:
    """Return the Euclidean norm of all gradients; where squares would vanish or overflow, by way of the largest."""
    norm = math.sqrt(sum(squared_norms(params)))
    if 1e-150 < norm < 1e150 or not params:
        return norm
    largest = max(float(np.max(np.abs(to_device(p.grad, "cpu")), initial=0)) for p in params)
    return largest * math.sqrt(sum(squared_norm(p.grad / largest) for p in params)) if 0 < largest < math.inf else norm


def clip_grad_norm_(params: Iterable[Node] | Node, max_norm: float) -> float:
    """Scale all gradients together so that their common Euclidean norm is at most `max_norm`; return it as it was.

    Source: Pascanu, Mikolov & Bengio 2013, Algorithm 1. Raises NonFiniteError where the norm is NaN or infinite.
    """
    params = with_gradients("clip_grad_norm_", params)
    if not max_norm >= 0:
        raise OptionError(f"clip_grad_norm_: max_norm must not be below 0, as {max_norm} is")
    norm = common_norm(params)
    if not math.isfinite(norm):
        raise NonFiniteError(f"clip_grad_norm_: the norm of the gradients is {norm}; clipping cannot mend that")
    if norm > max_norm:
        for p in params:
            use(device_of(p.grad))
            p.grad = p.own(p.grad * float(max_norm / norm), True)
    return norm


def clip_grad_value_(params: Iterable[Node] | Node, clip_value: float) -> None:
    """Clip every entry of every gradient to [-clip_value, clip_value]; an infinity is clipped, too.

    Source: Mikolov 2012 (thesis). Raises NonFiniteError, changing nothing, where an entry is NaN.
    """
    params = with_gradients("clip_grad_value_", params)
    if not clip_value >= 0:
        raise OptionError(f"clip_grad_value_: clip_value must not be below 0, as {clip_value} is")
    for p in params:
        if np.isnan(to_device(p.grad, "cpu")).any():
            raise NonFiniteError(f"clip_grad_value_: a gradient of shape {np.shape(p.grad)} holds a NaN")
    for p in params:
        use(device_of(p.grad))
        p.grad = p.own(clip(p.grad, min=-float(clip_value), max=float(clip_value)), True)
