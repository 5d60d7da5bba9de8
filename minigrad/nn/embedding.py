"""Embedding: a row of a matrix for each symbol of a vocabulary."""

import numpy as np

from minigrad import ops
from minigrad.backend import generator, get_default_dtype
from minigrad.errors import OptionError
from minigrad.nn.module import Module, Parameter
from minigrad.tensor import Tensor


class Embedding(Module):
    """Row k of `weight` (num_embeddings, embedding_dim) for each integer k: (...) -> (..., embedding_dim).

    `weight` starts standard normal, as in PyTorch, drawn from `rng` (a Generator or a seed; fresh entropy without one).
    Raises DTypeError for what are no integers, OutOfRangeError for those outside [0, num_embeddings).
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: object = None,
    ):
        if min(num_embeddings, embedding_dim) < 1:
            raise OptionError(f"Embedding: sizes are at least 1, not {num_embeddings=}, {embedding_dim=}")
        drawn = generator(rng).standard_normal((num_embeddings, embedding_dim))
        self.weight = Parameter(drawn, dtype or get_default_dtype())

    def forward(self, indices: object) -> Tensor:
        return ops.embedding(indices, self.weight)
