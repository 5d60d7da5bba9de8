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


def find(members: dict, prefix: str) -> Iterator[tuple[str, Parameter]]:
    for name, x in members.items():
        if isinstance(x, Parameter):
            yield f"{prefix}{name}", x
        elif isinstance(x, Module | list | tuple):
            yield from find(vars(x) if isinstance(x, Module) else dict(enumerate(x)), f"{prefix}{name}.")


class Module:
    """Base of all layers: finds the parameters among its attributes, in the order in which they were set."""

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield (name, parameter), names dotted as in PyTorch; lists and tuples of modules are looked into."""
        return find(vars(self), "")

    def parameters(self) -> Iterator[Parameter]:
        """Yield the parameters, one that has several names once."""
        return iter(dict.fromkeys(p for _, p in self.named_parameters()))

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
        arrays = {name: Tensor(state[name], p.dtype).data for name, p in mine.items() if name in state}
        faults += [
            f"{name} has shape {x.shape}, not {mine[name].shape}"
            for name, x in arrays.items()
            if x.shape != mine[name].shape
        ]
        if faults:
            raise ShapeError(f"load_state_dict: {'; '.join(sorted(faults))}")
        for name, p in mine.items():
            p.data = arrays[name]

    def forward(self, *args: object) -> object:
        """Compute the layer's output; every layer defines it."""
        raise NotImplementedError

    def __call__(self, *args: object, **kwargs: object) -> object:
        return self.forward(*args, **kwargs)
