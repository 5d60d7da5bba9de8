"""Sequential: layers one after the other."""

from collections.abc import Callable, Iterator

from minigrad.errors import DTypeError
from minigrad.nn.module import Module


class Sequential(Module):
    """Each layer's output is the next one's input: modules, or plain functions such as minigrad.tanh.

    Parameters are named "0.weight", "2.bias"..., after the layer's place, as in PyTorch.
    """

    def __init__(self, *layers: Callable):
        for k, layer in enumerate(layers):
            if not callable(layer):
                raise DTypeError(f"Sequential: layer {k} is a {type(layer).__name__}, neither a module nor a function")
            setattr(self, str(k), layer)

    def __iter__(self) -> Iterator[Callable]:
        return (layer for name, layer in vars(self).items() if name.isdigit())

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __getitem__(self, k: int) -> Callable:
        return list(self)[k]

    def forward(self, x: object) -> object:
        for layer in self:
            x = layer(x)
        return x
