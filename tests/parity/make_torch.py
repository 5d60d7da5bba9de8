"""Write torch_*.npz, PyTorch's outputs and gradients, beside this file: python tests/parity/make_torch.py.

Run by hand, with PyTorch, which nothing else here needs; what is committed was written with PyTorch 2.13.0 (CPU). One
file a kind of layer. It holds the input `x`, the states `h_0` and `c_0`, the cotangents `d_output`, `d_h_n`, `d_c_n`,
cut to size for each case; "weights LAYERS WAYS/NAME", PyTorch's state_dicts; and a case "LAYERS WAYS LAYOUT STATE
LENGTHS" as one vector of float64: output, h_n (and c_n), then the gradients of x, of h_0 (and c_0) if they are given,
and of the parameters in the order of the state_dict.
"""

from itertools import product
from pathlib import Path

import numpy as np

T, B, I, H = 4, 3, 2, 3  # noqa: E741  (the sizes of the equations)
LENGTHS = [2, 4, 3]
KINDS = ("RNN_TANH", "RNN_RELU", "LSTM", "GRU")
NETS = tuple(product((1, 2), (1, 2)))  # layers, ways
CALLS = (  # layout, state, lengths
    ("time_first", "given", "full"),
    ("time_first", "zero", "full"),
    ("batch_first", "given", "full"),
    ("unbatched", "given", "full"),
    ("time_first", "given", "lengths"),
    ("batch_first", "zero", "lengths"),
)


def shaped(data: dict, layers: int, ways: int, layout: str) -> dict:
    """Return input, states and cotangents, made for 2 layers and both ways, time first, as this case takes them."""
    found = {}
    for name in data:
        a = data[name]
        if name in ("x", "d_output"):
            a = a[..., : H * ways] if name == "d_output" else a
            a = {"time_first": a, "batch_first": a.swapaxes(0, 1), "unbatched": a[:, 0]}[layout]
        else:
            a = a[: layers * ways]
            a = a[:, 0] if layout == "unbatched" else a
        found[name] = a
    return found


def main() -> None:
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    print("PyTorch", torch.__version__)
    rng = np.random.default_rng(1)
    torch.manual_seed(1)
    for kind in KINDS:
        states = ("h", "c") if kind == "LSTM" else ("h",)
        shapes = {"x": (T, B, I), "d_output": (T, B, 2 * H)}
        shapes |= {f"{s}_0": (4, B, H) for s in states} | {f"d_{s}_n": (4, B, H) for s in states}
        data = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
        written = dict(data)
        for layers, ways in NETS:
            net = {"LSTM": torch.nn.LSTM, "GRU": torch.nn.GRU}.get(kind, torch.nn.RNN)
            options = {"nonlinearity": kind[4:].lower()} if kind.startswith("RNN") else {}
            net = net(I, H, layers, bidirectional=ways == 2, dtype=torch.float64, **options)
            for name, p in net.named_parameters():
                written[f"weights {layers} {ways}/{name}"] = p.detach().numpy()
            for layout, state, lengths in CALLS:
                net.batch_first = layout == "batch_first"
                net.zero_grad()
                here = {k: torch.tensor(v) for k, v in shaped(data, layers, ways, layout).items()}
                leaves = [here["x"], *(here[f"{s}_0"] for s in states if state == "given")]
                for leaf in leaves:
                    leaf.requires_grad_()
                given = None if state == "zero" else leaves[1] if len(states) == 1 else tuple(leaves[1:])
                if lengths == "full":
                    output, last = net(leaves[0], given)
                else:
                    # not sorted: PyTorch sorts the batch and puts it back
                    packed = pack_padded_sequence(leaves[0], LENGTHS, net.batch_first, enforce_sorted=False)
                    output, last = net(packed, given)
                    output, _ = pad_packed_sequence(output, net.batch_first)
                last = [last] if len(states) == 1 else list(last)
                cotangents = [here["d_output"], *(here[f"d_{s}_n"] for s in states)]
                torch.autograd.backward([output, *last], cotangents)
                vectors = [output, *last, *(a.grad for a in (*leaves, *net.parameters()))]
                written[f"{layers} {ways} {layout} {state} {lengths}"] = np.concatenate(
                    [a.detach().numpy().ravel() for a in vectors]
                )
        np.savez_compressed(Path(__file__).with_name(f"torch_{kind.lower()}.npz"), **written)


if __name__ == "__main__":
    main()
