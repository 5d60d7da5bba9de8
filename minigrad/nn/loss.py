"""Losses as modules, for those who keep the loss beside the network; the functions are in minigrad.ops."""

from minigrad import ops
from minigrad.nn.module import Module
from minigrad.tensor import Tensor


class CrossEntropyLoss(Module):
    """The mean of -log softmax(logits)[target], in nats: logits (..., C), classes last; targets (...) integers."""

    def forward(self, logits: Tensor, targets: object) -> Tensor:
        return ops.cross_entropy(logits, targets)


class MSELoss(Module):
    """The mean of (prediction - target) ** 2 over all entries, both of one shape."""

    def forward(self, prediction: Tensor, target: object) -> Tensor:
        return ops.mse_loss(prediction, target)


class BCEWithLogitsLoss(Module):
    """The mean of -log of the probability of the targets, 0 to 1, under sigmoid(logits), both of one shape."""

    def forward(self, logits: Tensor, targets: object) -> Tensor:
        return ops.binary_cross_entropy_with_logits(logits, targets)
