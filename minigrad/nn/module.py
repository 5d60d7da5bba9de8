"""Module: an object whose attributes are parameters and other modules."""

from collections.abc import Iterator, Mapping

import numpy as np

from minigrad.backend import check_device, is_array, to_device
from minigrad.errors import DTypeError, GraphError, ShapeError
from minigrad.state import matched
from minigrad.tensor import Tensor


class Parameter(Tensor):
    """A Tensor that a Module learns: a leaf that requires a gradient."""

    __slots__ = ()

    def __init__(self, data: object, dtype: object = None):
        super().__init__(data, dtype, requires_grad=True)


def members(x: object) -> dict:
    """Return what a module, or a list, tuple or dict in one, holds by name."""
    return vars(x) if isinstance(x, Module) else x if isinstance(x, dict) else dict(enumerate(x))


def walk(x: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield (dotted name, object) for everything in a module, and in the modules and containers in it."""
    for name, y in members(x).items():
        yield f"{prefix}{name}", y
        if isinstance(y, Module | list | tuple | dict):
            yield from walk(y, f"{prefix}{name}.")


class Module:
    """Base of all layers: finds the parameters among its attributes, in the order in which they were set."""

    training = True  # what train() and eval() set; Dropout looks at it

    def __setattr__(self, name: str, value: object) -> None:
        leaf = isinstance(value, Tensor) and value.record is None and not isinstance(value, Parameter)
        if (leaf or is_array(value)) and isinstance(vars(self).get(name), Parameter):
            raise GraphError(
                f"{type(self).__name__}.{name} is a parameter, and a {type(value).__name__} in its place would not be "
                f"trained or saved; write .{name}.data = ... for new numbers, or assign an nn.Parameter"
            )
        super().__setattr__(name, value)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield (name, parameter), names dotted as in PyTorch; lists, tuples and dicts of modules are looked into."""
        return ((name, x) for name, x in walk(self) if isinstance(x, Parameter))

    def parameters(self) -> Iterator[Parameter]:
        """Yield the parameters, one that has several names once."""
        return iter(dict.fromkeys(p for _, p in self.named_parameters()))

    def named_modules(self) -> Iterator[tuple[str, "Module"]]:
        """Yield (name, module) for this module, under the name "", and all within it."""
        yield "", self
        yield from ((name, x) for name, x in walk(self) if isinstance(x, Module))

    def train(self, mode: bool = True) -> "Module":
        """Have this module and all within it behave as in training, and return self."""
        for _, module in self.named_modules():
            module.training = bool(mode)
        return self

    def eval(self) -> "Module":
        """Have this module and all within it behave as after training (no dropout), and return self."""
        return self.train(False)

    def to(self, device: str) -> "Module":
        """Put the parameters and their gradients on "cpu", "cuda" or "cuda:1", and return self.

        The parameters stay the same objects, so an optimiser that was made before goes on with them. Raises
        DeviceError that says what is missing, where there is no such device.
        """
        device = check_device(device)
        for p in self.parameters():
            p.data = to_device(p.data, device)
            p.grad = p.grad if p.grad is None else to_device(p.grad, device)
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters():
            p.grad = None

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return the parameters' arrays by name: a snapshot, since training rebinds arrays and never writes in them."""
        return {name: p.data for name, p in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Take copies of the arrays of `state`; raises ShapeError, changing nothing, where names or shapes differ."""
        what = f"{type(self).__name__}.load_state_dict"
        arrays, first = matched(what, self.state_dict(), state), {}
        for name, p in self.named_parameters():
            one = first.setdefault(p, name)
            if not np.array_equal(to_device(arrays[one], "cpu"), to_device(arrays[name], "cpu"), equal_nan=True):
                raise ShapeError(f"{what}: {one} and {name} are one parameter here, but their values differ")
        for name, p in self.named_parameters():
            p.data = arrays[name]

    def rng_state(self) -> dict[str, dict]:
        """Return the states of all random generators by name, of plain numbers: what a checkpoint holds beside weights.

        Apart from state_dict, so that weights alone travel between programs, as PyTorch's do.
        """
        return {name: x.bit_generator.state for name, x in walk(self) if isinstance(x, np.random.Generator)}

    def load_rng_state(self, state: Mapping[str, dict]) -> None:
        """Have all random generators go on as those of `state` would; raises, changing nothing, where names differ."""
        what = f"{type(self).__name__}.load_rng_state"
        state = matched(what, self.rng_state(), state)
        mine = {name: x.bit_generator for name, x in walk(self) if isinstance(x, np.random.Generator)}
        for trial in (True, False):  # first into generators that are thrown away
            for name, x in mine.items():
                try:
                    (type(x)() if trial else x).state = state[name]
                except (KeyError, TypeError, ValueError) as error:
                    raise DTypeError(f"{what}: {name}: {error!r}") from error

    def forward(self, *args: object) -> object:
        """Compute the layer's output; every layer defines it."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def __call__(self, *args: object, **kwargs: object) -> object:
        return self.forward(*args, **kwargs)

    def extra_repr(self) -> str:
        """Return what stands in the brackets of the module's line: the shapes of its own parameters."""
        return ", ".join(f"{name} {p.shape}" for name, p in vars(self).items() if isinstance(p, Parameter))

    def __repr__(self) -> str:
        inner = [
            f"  {name}: {x.title() if isinstance(x, Module) else x.__name__}"
            for name, x in walk(self)
            if isinstance(x, Module) or hasattr(x, "__name__")  # a function is a layer, too
        ]
        if not inner:
            return self.title()
        return "\n".join([f"{self.title()}, {sum(p.size for p in self.parameters()):,} weights", *inner])

    def title(self) -> str:
        inside = self.extra_repr()
        return f"{type(self).__name__}({inside})" if inside else type(self).__name__
