"""Embedding: a row of a matrix for each symbol of a vocabulary."""

import numpy as np

from minigrad import ops
from minigrad.backend import beside, generator, get_default_dtype, to_device
from minigrad.errors import OptionError
from minigrad.nn.module import Module, Parameter
from minigrad.tensor import Tensor


class Embedding(Module):
    """Row k of `weight` (num_embeddings, embedding_dim) for each integer k: (...) -> (..., embedding_dim).

    `weight` starts standard normal, as in PyTorch, drawn from `rng` (a Generator or a seed; fresh entropy without one).
    With `padding_idx` that row is 0 at the start and never learns, as in PyTorch. Raises DTypeError for what are no
    integers, OutOfRangeError for those outside [0, num_embeddings).
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        padding_idx: int | None = None,
        rng: np.random.Generator | int | None = None,
        dtype: object = None,
    ):
        if min(num_embeddings, embedding_dim) < 1:
            raise OptionError(f"Embedding: sizes are at least 1, not {num_embeddings=}, {embedding_dim=}")
        drawn = generator(rng).standard_normal((num_embeddings, embedding_dim))
        if padding_idx is not None and not 0 <= padding_idx < num_embeddings:
            raise OptionError(f"Embedding: padding_idx={padding_idx} lies outside 0 to {num_embeddings - 1}")
        self.padding_idx = padding_idx
        if padding_idx is not None:
            drawn[padding_idx] = 0
        self.weight = Parameter(drawn, dtype or get_default_dtype())

    def forward(self, indices: object) -> Tensor:
        rows = ops.embedding(indices, self.weight)
        if self.padding_idx is None:
            return rows
        padding = np.asarray(to_device(ops.array_of(indices), "cpu")) == self.padding_idx
        return ops.where(beside(padding[..., None], self.weight.data), rows.detach(), rows)  # its row gets no gradient
