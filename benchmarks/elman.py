"""One training gradient of an Elman net, the same program on every engine.

h_t = tanh(x_t W^T + h_(t-1) R^T + b) for T steps, L = mean of h_t^2 over all steps, and dL/dW, dL/dR, dL/db. Each
function prepares its engine and returns a call that does one forward and backward pass and returns the three gradients.
"""

from collections.abc import Callable

import numpy as np

T, B, H = 50, 16, 64


def data() -> tuple[np.ndarray, ...]:
    """Return x (T, B, H), W (H, H), R (H, H), b (H), all float32."""
    rng = np.random.default_rng(0)
    bound = 1 / np.sqrt(H)
    shapes = (H, H), (H, H), (H,)
    x = rng.standard_normal((T, B, H))
    return tuple(np.float32(a) for a in (x, *(rng.uniform(-bound, bound, s) for s in shapes)))


def numpy() -> Callable:
    """Back-propagation through time by hand, step by step, arrays allocated as they come."""
    x, W, R, b = data()

    def call() -> tuple:
        states, loss = [np.zeros((B, H), np.float32)], 0.0
        for x_t in x:
            h = np.tanh(x_t @ W.T + states[-1] @ R.T + b)
            loss += (h * h).mean() / T
            states.append(h)
        dW, dR, db = np.zeros_like(W), np.zeros_like(R), np.zeros_like(b)
        dh_next = np.zeros_like(states[0])
        for t in range(T, 0, -1):
            h = states[t]
            da = (2 / (T * B * H) * h + dh_next) * (1 - h * h)
            dW += da.T @ x[t - 1]
            dR += da.T @ states[t - 1]
            db += da.sum(axis=0)
            dh_next = da @ R
        return dW, dR, db

    return call


def minigrad() -> Callable:
    """The composed net, node by node."""
    import minigrad as mg

    x, *weights = data()
    W, R, b = (mg.Tensor(w, requires_grad=True) for w in weights)
    x, h_0 = mg.Tensor(x), mg.Tensor(np.zeros((B, H), np.float32))

    def call() -> tuple:
        W_T, R_T, h, states = W.T, R.T, h_0, []
        for x_t in x:
            h = mg.tanh(x_t @ W_T + h @ R_T + b)
            states.append(h)
        h = mg.stack(states)
        W.grad = R.grad = b.grad = None
        (h * h).mean().backward()
        return W.grad, R.grad, b.grad

    return call


def minigrad_layer() -> Callable:
    """The layer nn.RNN, whose inputs of all steps are weighed in one product."""
    import minigrad as mg
    from minigrad import set_num_threads

    set_num_threads(1)
    x, *weights = data()
    rnn = mg.nn.RNN(H, H)
    rnn.load_state_dict(dict(zip(rnn.state_dict(), weights, strict=True)))
    x = mg.Tensor(x)

    def call() -> tuple:
        h, _ = rnn(x)
        rnn.zero_grad()
        (h * h).mean().backward()
        return tuple(p.grad for p in rnn.parameters())

    return call


def torch() -> Callable:
    """PyTorch, eager, the same composed net."""
    import torch

    torch.set_num_threads(1)
    x, *weights = (torch.tensor(a) for a in data())
    W, R, b = (w.requires_grad_() for w in weights)

    def call() -> tuple:
        W_T, R_T, h, states = W.T, R.T, torch.zeros(B, H), []
        for x_t in x:
            h = torch.tanh(x_t @ W_T + h @ R_T + b)
            states.append(h)
        h = torch.stack(states)
        W.grad = R.grad = b.grad = None
        (h * h).mean().backward()
        return tuple(p.grad.numpy() for p in (W, R, b))

    return call


def autograd() -> Callable:
    """HIPS autograd."""
    import autograd.numpy as anp
    from autograd import grad

    x, *weights = data()

    def loss(weights: tuple) -> object:
        W, R, b = weights
        W_T, R_T, h, states = W.T, R.T, np.zeros((B, H), np.float32), []
        for x_t in x:
            h = anp.tanh(x_t @ W_T + h @ R_T + b)
            states.append(h)
        h = anp.stack(states)
        return anp.mean(h * h)

    gradient = grad(loss)
    return lambda: gradient(tuple(weights))


def mygrad() -> Callable:
    """MyGrad."""
    import mygrad as my

    x, *weights = data()
    W, R, b = (my.tensor(w) for w in weights)

    def call() -> tuple:
        W_T, R_T, h, states = W.T, R.T, np.zeros((B, H), np.float32), []
        for x_t in x:
            h = my.tanh(my.matmul(x_t, W_T) + my.matmul(h, R_T) + b)
            states.append(h)
        h = my.stack(states)
        W.null_grad(), R.null_grad(), b.null_grad()
        (h * h).mean().backward()
        return W.grad, R.grad, b.grad

    return call


ENGINES = {
    "minigrad": minigrad, "minigrad nn.RNN": minigrad_layer, "NumPy by hand": numpy, "PyTorch eager": torch,
    "HIPS autograd": autograd, "MyGrad": mygrad,
}  # fmt: skip
