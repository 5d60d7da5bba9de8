"""Layers: modules with parameters, with PyTorch's names and shapes."""

from minigrad.nn import init
from minigrad.nn.activation import ReLU, Sigmoid, Tanh
from minigrad.nn.dropout import Dropout
from minigrad.nn.embedding import Embedding
from minigrad.nn.linear import Linear
from minigrad.nn.loss import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from minigrad.nn.module import Module, Parameter
from minigrad.nn.norm import LayerNorm
from minigrad.nn.rnn import GRU, LSTM, RNN
from minigrad.nn.sequential import ModuleList, Sequential
from minigrad.torch_names import NN, missing

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "LayerNorm",
    "Linear",
    "MSELoss",
    "Module",
    "ModuleList",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "init",
]


def __getattr__(name: str) -> object:
    raise missing("minigrad.nn", NN, name)
