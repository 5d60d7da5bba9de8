"""minigrad: an autograd engine small enough to read in an evening, and the recurrent networks built on it."""

from minigrad import errors, nn, optim
from minigrad.backend import get_default_dtype, set_default_dtype
from minigrad.gradcheck import gradcheck
from minigrad.graph import grad
from minigrad.op import no_grad, op
from minigrad.ops import (
    abs,
    concatenate,
    cos,
    cross_entropy,
    exp,
    log,
    matmul,
    mse_loss,
    relu,
    sigmoid,
    sign,
    sin,
    softmax,
    sqrt,
    stack,
    tanh,
    unstack,
)
from minigrad.tensor import Tensor
from minigrad.value import Value

__all__ = [
    "Tensor",
    "Value",
    "abs",
    "concatenate",
    "cos",
    "cross_entropy",
    "errors",
    "exp",
    "get_default_dtype",
    "grad",
    "gradcheck",
    "log",
    "matmul",
    "mse_loss",
    "nn",
    "no_grad",
    "op",
    "optim",
    "relu",
    "set_default_dtype",
    "sigmoid",
    "sign",
    "sin",
    "softmax",
    "sqrt",
    "stack",
    "tanh",
    "unstack",
]
__version__ = "0.1.0"
