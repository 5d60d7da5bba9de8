"""The same recurrent layer on every engine, and the same training step.

A layer: x (T, B, I), states that start at zero, loss = the sum of all outputs (T, B, H), each times a fixed random
number. "forward" returns the outputs, without recording a graph; "both" returns the loss and the gradients of x and of
all weights. A training step: embedding, LSTM, linear layer, cross-entropy, norm of the gradients clipped, Adam; "both"
returns the loss and the clipped gradients, and moves the weights.

Each builder takes a kind ("rnn", "gru", "lstm", "peephole", "training") and (B, T, I, H), and returns the calls by
name. Biases are one vector a layer, as in minigrad: PyTorch's second one is frozen at zero, but for the candidate's in
the GRU. Engines that copy a whole array's gradient for each x[t] are handed x step by step.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np

BLOCKS = {"rnn": 1, "gru": 3, "lstm": 4, "peephole": 4, "training": 4}  # of H rows in W and R
VOCABULARY, RATE, MAX_NORM = 64, 1e-3, 0.1  # of the training step; the norm is above 0.1, so that clipping acts
BETA_1, BETA_2, EPS = 0.9, 0.999, 1e-8
Calls = dict[str, Callable]


def layer_data(kind: str, B: int, T: int, I: int, H: int) -> tuple:  # noqa: E741  (the sizes of the equations)
    """Return x (T, B, I), the loss's factors (T B H) and the weights W, R, b and what else the kind has, float32."""
    rng, bound, rows = np.random.default_rng(0), H**-0.5, BLOCKS[kind] * H
    shapes = [(rows, I), (rows, H), (rows,), *{"gru": [(H,)], "peephole": [(3, H)]}.get(kind, [])]
    x, g = rng.standard_normal((T, B, I)), rng.standard_normal(T * B * H)
    return np.float32(x), np.float32(g), [np.float32(rng.uniform(-bound, bound, shape)) for shape in shapes]


def training_data(B: int, T: int, I: int, H: int) -> tuple:  # noqa: E741
    """Return tokens and targets (T, B), and the weights: embedding (V, I), W, R, b, output (V, H) and its bias."""
    rng, bound = np.random.default_rng(0), H**-0.5
    tokens, targets = rng.integers(VOCABULARY, size=(2, T, B))
    shapes = (4 * H, I), (4 * H, H), (4 * H,), (VOCABULARY, H), (VOCABULARY,)
    weights = [rng.standard_normal((VOCABULARY, I)), *(rng.uniform(-bound, bound, shape) for shape in shapes)]
    return tokens, targets, [np.float32(w) for w in weights]


# --- minigrad --------------------------------------------------------------------------------------------------------


def minigrad(kernels: str, kind: str, *size: int, dtype: str = "float32", device: str = "cpu") -> Calls:
    """minigrad's layers with "numba" or "numpy" kernels, or "composed" node by node; on a GPU with that one's kernels.

    There the calls return arrays of the GPU: what they take is not yet over when they return.
    """
    import minigrad as mg
    from minigrad import set_kernels, set_num_threads
    from minigrad.nn import rnn as layers

    if kernels == "composed":
        for name in ("elman_sequence", "gru_sequence", "lstm_sequence"):
            setattr(layers, name, getattr(layers, name).op.reference)
    elif device == "cpu":
        set_kernels(kernels)
        set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 2)))  # the other engines read it themselves
    I, H = size[2:]  # noqa: E741
    if kind in ("rnn", "gru"):
        net = {"rnn": mg.nn.RNN, "gru": mg.nn.GRU}[kind](I, H, dtype=dtype)
    else:
        net = mg.nn.LSTM(I, H, peephole=kind == "peephole", dtype=dtype)

    if kind == "training":
        tokens, targets, weights = training_data(*size)
        embed, read = mg.nn.Embedding(VOCABULARY, I, dtype=dtype), mg.nn.Linear(H, VOCABULARY, dtype=dtype)
        params = [p for part in (embed, net, read) for p in part.parameters()]
        for p, w in zip(params, weights, strict=True):
            p.data = w.astype(dtype)
        adam = mg.optim.Adam(params, RATE, (BETA_1, BETA_2), EPS)

        def step() -> tuple:
            loss = mg.cross_entropy(read(net(embed(tokens))[0]), targets)
            adam.zero_grad()
            loss.backward()
            mg.optim.clip_grad_norm_(params, MAX_NORM)
            adam.step()
            return loss.data, *(p.grad for p in params)

        return {"both": step}

    x, g, weights = layer_data(kind, *size)
    net.load_state_dict(dict(zip(net.state_dict(), weights, strict=True)))
    net.to(device)
    x, g = mg.Tensor(x, dtype, requires_grad=True, device=device), mg.Tensor(g, dtype, device=device)

    def forward() -> tuple:
        with mg.no_grad():
            return (net(x)[0].data,)

    def both() -> tuple:
        net.zero_grad()
        x.grad = None
        loss = net(x)[0].reshape(-1) @ g
        loss.backward()
        return loss.data, x.grad, *(p.grad for p in net.parameters())

    return {"forward": forward, "both": both}


# --- PyTorch ---------------------------------------------------------------------------------------------------------


def torch(kind: str, *size: int) -> Calls:
    """PyTorch's layers; it has none with peepholes, so that one is composed."""
    import torch

    if kind == "training":
        return torch_training(*size)
    B, _, I, H = size  # noqa: E741
    x, g, weights = layer_data(kind, *size)
    x, g = torch.tensor(x, requires_grad=True), torch.tensor(g)
    if kind == "peephole":
        W, R, b, p = leaves = [torch.tensor(w, requires_grad=True) for w in weights]
        step, zeros = cell_step(kind, torch.tanh, torch.sigmoid, lambda a, n: a.chunk(n, 1)), torch.zeros(B, H)

        def run() -> torch.Tensor:
            return torch.stack(unrolled(step, (x @ W.T + b).unbind(), [zeros, zeros], R.T, p))

    else:
        net = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[kind](I, H)
        leaves = torch_load(net, *weights)

        def run() -> torch.Tensor:
            return net(x)[0]

    def forward() -> tuple:
        with torch.inference_mode():
            return (run().numpy(),)

    def both() -> tuple:
        for leaf in (x, *leaves):
            leaf.grad = None
        loss = run().reshape(-1) @ g
        loss.backward()
        found = [leaf.grad.numpy() for leaf in (x, *leaves)]
        if kind == "gru":
            found[-1] = found[-1][2 * H :]
        return loss.detach().numpy(), *found

    return {"forward": forward, "both": both}


def torch_load(net: object, W: np.ndarray, R: np.ndarray, b: np.ndarray, b_hn: np.ndarray | None = None) -> list:
    """Give a layer its weights and return those that are trained."""
    import torch

    second = np.zeros_like(b)
    if b_hn is not None:
        second[-len(b_hn) :] = b_hn
    *leaves, bias_hh = net.parameters()
    for p, w in zip((*leaves, bias_hh), (W, R, b, second), strict=True):
        p.data = torch.tensor(w)
    if b_hn is None:
        bias_hh.requires_grad_(False)
        return leaves
    return [*leaves, bias_hh]


def torch_training(B: int, T: int, I: int, H: int) -> Calls:  # noqa: E741
    """The training step with PyTorch's fused Adam, the fastest that it has."""
    import torch

    tokens, targets, (E, W, R, b, V, c) = training_data(B, T, I, H)
    tokens, targets = torch.tensor(tokens), torch.tensor(targets).ravel()
    embed, lstm, read = torch.nn.Embedding(VOCABULARY, I), torch.nn.LSTM(I, H), torch.nn.Linear(H, VOCABULARY)
    for p, w in zip((embed.weight, read.weight, read.bias), (E, V, c), strict=True):
        p.data = torch.tensor(w)
    params = [embed.weight, *torch_load(lstm, W, R, b), read.weight, read.bias]
    adam = torch.optim.Adam(params, RATE, (BETA_1, BETA_2), EPS, fused=True)

    def step() -> tuple:
        loss = torch.nn.functional.cross_entropy(read(lstm(embed(tokens))[0]).flatten(0, 1), targets)
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, MAX_NORM)
        adam.step()
        return loss.detach().numpy(), *(p.grad.numpy() for p in params)

    return {"both": step}


# --- cells composed of an engine's own operations --------------------------------------------------------------------


def cell_step(kind: str, tanh: Callable, sigmoid: Callable, split: Callable) -> Callable:
    """Return one step: (W x_t + b, states, R^T, what else the kind has) -> states, h_t first."""

    def rnn(a: object, states: tuple, R_T: object, _: object) -> tuple:
        return (tanh(a + states[0] @ R_T),)

    def gru(a: object, states: tuple, R_T: object, b_hn: object) -> tuple:
        (h,) = states
        (r, u, n), (fed_r, fed_u, fed_n) = split(a, 3), split(h @ R_T, 3)
        u = sigmoid(u + fed_u)
        return (u * h + (1 - u) * tanh(n + sigmoid(r + fed_r) * (fed_n + b_hn)),)

    def lstm(a: object, states: tuple, R_T: object, p: object) -> tuple:
        h, c = states
        i, f, z, o = split(a + h @ R_T, 4)
        if p is not None:
            i, f = i + p[0] * c, f + p[1] * c
        c = sigmoid(f) * c + sigmoid(i) * tanh(z)
        return sigmoid(o if p is None else o + p[2] * c) * tanh(c), c

    return {"rnn": rnn, "gru": gru}.get(kind, lstm)


def unrolled(step: Callable, weighed: Iterable, states: Sequence, R_T: object, extra: object = None) -> list:
    """Return h_t for every t."""
    outputs = []
    for a in weighed:
        states = step(a, states, R_T, extra)
        outputs.append(states[0])
    return outputs


def zeros(kind: str, B: int, H: int) -> list[np.ndarray]:
    """Return the states before the first step."""
    return [np.zeros((B, H), np.float32)] * (1 if kind in ("rnn", "gru") else 2)


def slices(a: object, n: int) -> list:
    """Return n blocks of columns."""
    H = a.shape[1] // n
    return [a[:, k * H : (k + 1) * H] for k in range(n)]


def clipped_adam(xp: object, params: list, grads: list, state: tuple) -> tuple[list, list, tuple]:
    """Return new parameters, the clipped gradients and Adam's new state, for engines that have no optimiser."""
    norm = sum((g * g).sum() for g in grads) ** 0.5
    scale = xp.minimum(MAX_NORM / norm, 1.0)
    grads = [g * scale for g in grads]
    n, means, squares = state
    n, moved = n + 1, []
    means = [BETA_1 * m + (1 - BETA_1) * g for m, g in zip(means, grads, strict=True)]
    squares = [BETA_2 * s + (1 - BETA_2) * g * g for s, g in zip(squares, grads, strict=True)]
    for p, m, s in zip(params, means, squares, strict=True):
        moved.append(p - RATE * (m / (1 - BETA_1**n)) / ((s / (1 - BETA_2**n)) ** 0.5 + EPS))
    return moved, grads, (n, means, squares)


def eager_training(gradient: Callable, weights: list) -> Calls:
    """The training step of an engine on NumPy: gradient(weights) returns the loss and the gradients."""
    state = 0, [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]

    def both() -> tuple:
        nonlocal weights, state
        loss, grads = gradient(weights)
        weights, grads, state = clipped_adam(np, weights, grads, state)
        return loss, *grads

    return {"both": both}


def jax(kind: str, *size: int, wait: bool = True) -> Calls:
    """JAX, jitted as a whole: the inputs weighed in one product, then lax.scan.

    With `wait` a call ends when all is done; without, it may return before, as JAX does by itself.
    """
    import jax
    from jax import numpy as jnp

    B, _, _, H = size
    done = jax.block_until_ready if wait else lambda results: results
    step = cell_step(kind, jnp.tanh, jax.nn.sigmoid, lambda a, n: jnp.split(a, n, 1))

    def run(x: object, W: object, R: object, b: object, extra: object = None) -> object:
        def scanned(states: tuple, a: object) -> tuple:
            states = step(a, states, R.T, extra)
            return states, states[0]

        return jax.lax.scan(scanned, tuple(map(jnp.asarray, zeros(kind, B, H))), x @ W.T + b)[1]

    if kind == "training":
        tokens, targets, weights = training_data(*size)
        tokens, targets, weights = jnp.asarray(tokens), jnp.asarray(targets)[..., None], list(map(jnp.asarray, weights))

        def cost(weights: list) -> object:
            E, W, R, b, V, c = weights
            chances = jax.nn.log_softmax(run(E[tokens], W, R, b) @ V.T + c)
            return -jnp.take_along_axis(chances, targets, axis=2).mean()

        @jax.jit
        def update(weights: list, state: tuple) -> tuple:
            loss, grads = jax.value_and_grad(cost)(weights)
            return loss, *clipped_adam(jnp, weights, grads, state)

        state = jnp.asarray(0), [jnp.zeros_like(w) for w in weights], [jnp.zeros_like(w) for w in weights]

        def both() -> tuple:
            nonlocal weights, state
            loss, weights, grads, state = done(update(weights, state))
            return loss, *grads

        return {"both": both}

    x, g, weights = jax.tree.map(jnp.asarray, layer_data(kind, *size))
    outputs = jax.jit(lambda x, weights: run(x, *weights))
    gradient = jax.jit(jax.value_and_grad(lambda xs, g: jnp.vdot(run(xs[0], *xs[1]), g)))

    def both() -> tuple:
        loss, (dx, grads) = done(gradient((x, weights), g))
        return loss, dx, *grads

    return {"forward": lambda: (done(outputs(x, weights)),), "both": both}


def autograd(kind: str, *size: int) -> Calls:
    """HIPS autograd."""
    import autograd.numpy as anp
    from autograd import value_and_grad

    B, T, _, H = size
    step = cell_step(kind, anp.tanh, lambda a: 0.5 * anp.tanh(0.5 * a) + 0.5, slices)

    def run(x: Iterable, W: object, R: object, b: object, extra: object = None) -> object:
        W_T = W.T
        return anp.concatenate(unrolled(step, (x_t @ W_T + b for x_t in x), zeros(kind, B, H), R.T, extra))

    if kind == "training":
        tokens, targets, weights = training_data(*size)
        at = np.arange(T * B), targets.ravel()

        def cost(weights: list) -> object:
            E, W, R, b, V, c = weights
            scores = run((E[now] for now in tokens), W, R, b) @ V.T + c
            return anp.mean(anp.log(anp.sum(anp.exp(scores), axis=1)) - scores[at])

        return eager_training(value_and_grad(cost), weights)

    x, g, weights = layer_data(kind, *size)
    gradient = value_and_grad(lambda xs: anp.dot(run(xs[0], *xs[1]).ravel(), g))

    def both() -> tuple:
        loss, (dx, grads) = gradient((list(x), weights))
        return loss, np.stack(dx), *grads

    return {"forward": lambda: (run(x, *weights).reshape(T, B, H),), "both": both}


def mygrad(kind: str, *size: int) -> Calls:
    """MyGrad, without the guards that keep arrays in the graph from being written to."""
    import mygrad as my

    my.turn_memory_guarding_off()
    B, T, _, H = size
    step = cell_step(kind, my.tanh, my.nnet.sigmoid, slices)

    def run(x: Iterable, W: object, R: object, b: object, extra: object = None) -> object:
        W_T = W.T
        return my.concatenate(unrolled(step, (x_t @ W_T + b for x_t in x), zeros(kind, B, H), R.T, extra))

    if kind == "training":
        tokens, targets, weights = training_data(*size)
        targets = targets.ravel()

        def gradient(weights: list) -> tuple:
            leaves = E, W, R, b, V, c = [my.tensor(w, copy=False) for w in weights]
            loss = my.nnet.softmax_crossentropy(run((E[now] for now in tokens), W, R, b) @ V.T + c, targets)
            loss.backward()
            return loss.data, [leaf.grad for leaf in leaves]

        return eager_training(gradient, weights)

    x, g, weights = layer_data(kind, *size)
    x, weights = [my.tensor(x_t) for x_t in x], [my.tensor(w) for w in weights]

    def forward() -> tuple:
        with my.no_autodiff:
            return (run(x, *weights).data.reshape(T, B, H),)

    def both() -> tuple:
        for leaf in (*x, *weights):
            leaf.null_grad()
        loss = my.matmul(run(x, *weights).reshape(-1), g)
        loss.backward()
        return loss.data, np.stack([x_t.grad for x_t in x]), *(w.grad for w in weights)

    return {"forward": forward, "both": both}


# --- how fast this machine multiplies --------------------------------------------------------------------------------


def product(engine: str, n: int) -> Calls:
    """Return a product of two float32 matrices (n, n) on "NumPy" or "PyTorch"."""
    if engine == "NumPy":
        a = np.ones((n, n), np.float32)
        return {"product": lambda: a @ a}
    import torch

    a = torch.ones(n, n)
    return {"product": lambda: a @ a}


ENGINES = {f"minigrad {kernels}": partial(minigrad, kernels) for kernels in ("numba", "numpy", "composed")} | {
    "PyTorch": torch,
    "PyTorch composed": torch,
    "JAX": jax,
    "HIPS autograd": autograd,
    "MyGrad": mygrad,
}
