"""Module: an object whose attributes are parameters and other modules."""

from collections.abc import Iterator

import numpy as np

from minigrad.errors import ShapeError
from minigrad.tensor import Tensor


class Parameter(Tensor):
    """A Tensor that a Module learns: a leaf that requires a gradient."""

    __slots__ = ()

    def __init__(self, data: object, dtype: object = None):
        super().__init__(data, dtype, requires_grad=True)


class Module:
    """Base of all layers: finds the parameters among its attributes, in the order in which they were set."""

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Yield (name, parameter), names dotted as in PyTorch."""
        for name, x in vars(self).items():
            if isinstance(x, Parameter):
                yield prefix + name, x
            elif isinstance(x, Module):
                yield from x.named_parameters(f"{prefix}{name}.")

    def parameters(self) -> Iterator[Parameter]:
        """Yield the parameters."""
        return (p for _, p in self.named_parameters())

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters():
            p.grad = None

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return the parameters' arrays by name: a snapshot, since training rebinds arrays and never writes in them."""
        return {name: p.data for name, p in self.named_parameters()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Take copies of the arrays of `state`; raises ShapeError, changing nothing, where names or shapes differ."""
        mine = dict(self.named_parameters())
        faults = [f"missing {name}" for name in mine.keys() - state.keys()]
        faults += [f"unexpected {name}" for name in state.keys() - mine.keys()]
        faults += [
            f"{name} has shape {np.shape(state[name])}, not {p.shape}"
            for name, p in mine.items()
            if name in state and np.shape(state[name]) != p.shape
        ]
        if faults:
            raise ShapeError(f"load_state_dict: {'; '.join(sorted(faults))}")
        for name, p in mine.items():
            p.data = np.array(state[name], p.dtype)

    def forward(self, *args: object) -> object:
        """Compute the layer's output; every layer defines it."""
        raise NotImplementedError

    def __call__(self, *args: object, **kwargs: object) -> object:
        return self.forward(*args, **kwargs)
