"""Layers in a list, and layers one after the other."""

from collections.abc import Callable, Iterable, Iterator

from minigrad.errors import DTypeError
from minigrad.nn.module import Module


class ModuleList(Module):
    """Layers in a list, whose parameters are found; it says nothing of how they are called.

    Parameters are named "0.weight", "2.bias"..., after the layer's place, as in PyTorch.
    """

    def __init__(self, layers: Iterable[Callable] = ()):
        for layer in layers:
            self.append(layer)

    def append(self, layer: Callable) -> "ModuleList":
        """Add a layer at the end, a module or a function, and return self."""
        if not callable(layer):
            raise DTypeError(
                f"{type(self).__name__}: layer {len(self)} is a {type(layer).__name__}, neither a module nor a function"
            )
        setattr(self, str(len(self)), layer)
        return self

    def __iter__(self) -> Iterator[Callable]:
        return (layer for name, layer in vars(self).items() if name.isdigit())

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __getitem__(self, k: int) -> Callable:
        return list(self)[k]


class Sequential(ModuleList):
    """Each layer's output is the next one's input: modules, or plain functions such as minigrad.tanh."""

    def __init__(self, *layers: Callable):
        super().__init__(layers)

    def forward(self, x: object) -> object:
        for layer in self:
            x = layer(x)
        return x
