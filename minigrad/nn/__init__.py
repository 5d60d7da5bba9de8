"""Layers: modules with parameters, with PyTorch's names and shapes."""

from minigrad.nn import init
from minigrad.nn.linear import Linear
from minigrad.nn.module import Module, Parameter
from minigrad.nn.rnn import RNN

__all__ = ["RNN", "Linear", "Module", "Parameter", "init"]
