"""RNN, LSTM and GRU beside PyTorch: outputs and every gradient, as PyTorch computed them (see make_torch.py)."""

from pathlib import Path

import numpy as np
import pytest
from make_torch import CALLS, KINDS, LENGTHS, NETS, H, I, shaped

from minigrad import Tensor, nn
from minigrad.io import from_torch

HERE = Path(__file__).parent
FILES = {kind: dict(np.load(HERE / f"torch_{kind.lower()}.npz")) for kind in KINDS}


def layer(kind, layers, ways, **options):
    if kind.startswith("RNN"):
        options["nonlinearity"] = kind[4:].lower()
    return getattr(nn, kind[:4].rstrip("_"))(I, H, layers, bidirectional=ways == 2, dtype="float64", **options)


def close(ours, torchs, what):
    np.testing.assert_allclose(ours, torchs, rtol=1e-10, atol=1e-10, err_msg=what)


@pytest.mark.parametrize(("layout", "state", "lengths"), CALLS, ids=map(" ".join, CALLS))
@pytest.mark.parametrize(("layers", "ways"), NETS)
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_and_all_gradients_are_pytorchs(kind, layers, ways, layout, state, lengths):
    file = FILES[kind]
    states = ("h", "c") if kind == "LSTM" else ("h",)
    prefix = f"weights {layers} {ways}/"
    weights = {name.removeprefix(prefix): a for name, a in file.items() if name.startswith(prefix)}
    net = layer(kind, layers, ways, batch_first=layout == "batch_first")
    net.load_state_dict(from_torch(weights))
    data = {k: a for k, a in file.items() if k in ("x", "d_output", "h_0", "c_0", "d_h_n", "d_c_n")}
    here = shaped(data, layers, ways, layout)

    x = Tensor(here["x"], requires_grad=True)
    given = [Tensor(here[f"{s}_0"], requires_grad=True) for s in states] if state == "given" else []
    before = None if not given else given[0] if len(given) == 1 else tuple(given)
    output, last = net(x, before, lengths=None if lengths == "full" else LENGTHS)
    last = [last] if len(states) == 1 else list(last)
    total = (output * here["d_output"]).sum()
    for s, value in zip(states, last, strict=True):
        total = total + (value * here[f"d_{s}_n"]).sum()
    total.backward()

    vector, at = file[f"{layers} {ways} {layout} {state} {lengths}"], 0

    def take(shape):
        nonlocal at
        at += int(np.prod(shape))
        return vector[at - int(np.prod(shape)) : at].reshape(shape)

    for what, value in zip(("output", *states), (output, *last), strict=True):
        close(value.data, take(value.shape), what)
    for what, leaf in zip(("x", *states), (x, *given), strict=False):
        close(leaf.grad, take(leaf.shape), f"gradient of {what}")
    ours = dict(net.named_parameters())
    for name, a in weights.items():
        g = take(a.shape)
        if "bias_hh" not in name:
            close(ours[name.replace("bias_ih", "bias")].grad, g, name)
        elif kind == "GRU":
            close(ours[name.replace("bias_hh", "bias")].grad[: 2 * H], g[: 2 * H], name)
            close(ours[name.replace("bias_hh", "bias_hn")].grad, g[2 * H :], name)
        else:
            close(ours[name.replace("bias_hh", "bias")].grad, g, name)
    assert at == len(vector)


def test_the_files_hold_every_case_and_are_small():
    for file in FILES.values():
        for layers, ways in NETS:
            assert {f"{layers} {ways} {' '.join(call)}" for call in CALLS} <= set(file)
    assert sum(path.stat().st_size for path in HERE.glob("*.npz")) < 300_000
