"""The update rules of the optimisers, as formulas: each takes p, its gradient g and running means, and renews them.

They hold for numbers, for arrays, and, compiled, for the vectors of a processor (minigrad/compiled). Factors such as
1 - beta are given ready, so that float32 stays float32.
"""

# ruff: noqa: ANN001, ANN201 (numbers or arrays of one shape)

import numpy as np


def descend(p, g, lr, decay):
    """p <- p - lr (g + decay p)."""
    return (p - lr * (g + decay * p),)


def sgd(p, g, velocity, lr, momentum, decay):
    """v <- momentum v + g + decay p, p <- p - lr v (Polyak 1964)."""
    velocity = momentum * velocity + (g + decay * p)
    return p - lr * velocity, velocity


def nesterov(p, g, velocity, lr, momentum, decay):
    """The same v, but p <- p - lr (momentum v + g + decay p)."""
    g = g + decay * p
    velocity = momentum * velocity + g
    return p - lr * (momentum * velocity + g), velocity


def rmsprop(p, g, square, lr, keep, take, eps):
    """s <- keep s + take g^2, p <- p - lr g / (sqrt(s) + eps)."""
    square = keep * square + take * g * g
    return p - lr * (g / (np.sqrt(square) + eps)), square


def adam(p, g, mean, square, lr, keep1, take1, unbias1, keep2, take2, unbias2, eps, decay):
    """Means m of g and s of g^2, divided by their bias: p <- p - lr (m / (sqrt(s) + eps) + decay p)."""
    mean = keep1 * mean + take1 * g
    square = keep2 * square + take2 * g * g
    return p - lr * (mean / unbias1 / (np.sqrt(square / unbias2) + eps) + decay * p), mean, square
