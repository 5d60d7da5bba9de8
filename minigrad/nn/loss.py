"""Losses as modules, for those who keep the loss beside the network; the functions are in minigrad.ops."""

import numpy as np

from minigrad import ops
from minigrad.backend import beside, to_device
from minigrad.errors import OptionError
from minigrad.nn.module import Module
from minigrad.tensor import Tensor


class Loss(Module):
    """What the losses share: `reduction` "mean" (the start) or "sum" over all entries, or "none", which keeps them."""

    def __init__(self, reduction: str = "mean"):
        if reduction not in ("mean", "sum", "none"):
            raise OptionError(f"{type(self).__name__}: reduction is 'mean', 'sum' or 'none', not {reduction!r}")
        self.reduction = reduction

    def reduced(self, mean: Tensor, count: int, each: object) -> Tensor:
        """Return the mean, the sum as its multiple, or what `each` computes."""
        return mean if self.reduction == "mean" else mean * float(count) if self.reduction == "sum" else each()


class CrossEntropyLoss(Loss):
    """-log softmax(logits)[target], in nats: logits (..., C), classes last; targets (...) integers.

    Targets equal to `ignore_index` do not count. Raises OptionError where that leaves none.
    """

    def __init__(self, reduction: str = "mean", ignore_index: int | None = None):
        super().__init__(reduction)
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, targets: object) -> Tensor:
        targets = ops.array_of(targets)
        kept = None if self.ignore_index is None else np.asarray(to_device(targets, "cpu")) != self.ignore_index
        if kept is not None and not kept.any():
            raise OptionError(f"CrossEntropyLoss: every target is ignore_index={self.ignore_index}; there is no loss")
        if self.reduction == "none":
            targets = targets if kept is None else np.where(kept, targets, 0)
            each = -ops.gather(ops.log_softmax(logits), beside(np.asarray(targets)[..., None], logits.data))[..., 0]
            return each if kept is None else ops.where(beside(kept, logits.data), each, 0.0)
        if kept is not None:
            at = beside(np.flatnonzero(kept), logits.data)
            logits, targets = ops.flat(logits)[at], targets.reshape(-1)[at]
        return self.reduced(ops.cross_entropy(logits, targets), np.size(targets), None)


class MSELoss(Loss):
    """(prediction - target) ** 2, both of one shape."""

    def forward(self, prediction: Tensor, target: object) -> Tensor:
        mean = ops.mse_loss(prediction, target)
        return self.reduced(mean, prediction.size, lambda: (prediction - target) ** 2)


class BCEWithLogitsLoss(Loss):
    """-log of the probability of the targets, 0 to 1, under sigmoid(logits), both of one shape."""

    def forward(self, logits: Tensor, targets: object) -> Tensor:
        mean = ops.binary_cross_entropy_with_logits(logits, targets)
        return self.reduced(mean, logits.size, lambda: ops.softplus(logits) - logits * targets)
