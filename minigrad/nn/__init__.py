"""Layers: modules with parameters, with PyTorch's names and shapes."""

from minigrad.nn import init
from minigrad.nn.dropout import Dropout
from minigrad.nn.embedding import Embedding
from minigrad.nn.linear import Linear
from minigrad.nn.loss import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from minigrad.nn.module import Module, Parameter
from minigrad.nn.rnn import GRU, LSTM, RNN
from minigrad.nn.sequential import Sequential

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Linear",
    "MSELoss",
    "Module",
    "Parameter",
    "Sequential",
    "init",
]
