"""RNN, LSTM and GRU: recurrent layers over whole sequences, with PyTorch's signatures and shapes."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from minigrad.backend import generator, plain, to_device, zeros
from minigrad.errors import DTypeError, OptionError, ShapeError
from minigrad.nn.dropout import Dropout
from minigrad.nn.linear import check_input, uniform
from minigrad.nn.module import Module, Parameter
from minigrad.ops import broadcast_to, concatenate, getitem, where
from minigrad.recurrent.elman import NONLINEARITIES, elman_sequence
from minigrad.recurrent.gru import gru_sequence
from minigrad.recurrent.lstm import lstm, lstm_sequence
from minigrad.recurrent.spec import CellSpec, cell_spec
from minigrad.tensor import Tensor


class Recurrent(Module):
    """What the recurrent layers share: stacking, both directions, lengths, layouts.

    A layer says what parameters one direction of one of its layers has (`draw`), and how that runs over a sequence
    (`run`).
    """

    states = ("h",)  # the names of the states that go from step to step

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        rng: np.random.Generator | int | None = None,
        dtype: object = None,
    ):
        name = type(self).__name__
        if min(input_size, hidden_size, num_layers) < 1:
            raise OptionError(f"{name}: sizes are at least 1, not {input_size=}, {hidden_size=}, {num_layers=}")
        if dropout and num_layers == 1:
            raise OptionError(f"{name}: dropout={dropout:g} acts between layers, so it needs num_layers above 1")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.batch_first, self.bidirectional = batch_first, bidirectional
        rng, bound = generator(rng), 1 / math.sqrt(hidden_size)
        self.dropout = Dropout(dropout, rng) if dropout else None
        uniformly = lambda *shape: uniform(rng, bound, shape, dtype)
        for k, suffix in self.directions():
            inputs = input_size if k == 0 else hidden_size * (1 + bidirectional)
            for key, value in self.draw(uniformly, inputs, bias).items():
                setattr(self, key + suffix, value)

    def directions(self) -> list[tuple[int, str]]:
        """Return (layer, suffix of its parameters' names) for every direction of every layer, in PyTorch's order."""
        ways = ("", "_reverse") if self.bidirectional else ("",)
        return [(k, f"_l{k}{way}") for k in range(self.num_layers) for way in ways]

    def draw(self, uniformly: Callable, inputs: int, bias: bool) -> dict[str, Parameter | None]:
        """Return the parameters of one direction of one layer by name, without the suffix."""
        raise NotImplementedError

    def run(self, x: Tensor, states: list[Tensor], suffix: str, mask: np.ndarray | None) -> tuple[Tensor, ...]:
        """Return the outputs (T, B, H) of one direction and its states (B, H) after the last step."""
        raise NotImplementedError

    def of(self, name: str, suffix: str) -> Tensor | float:
        """Return a parameter by name; 0 for a bias that was left out."""
        value = getattr(self, name + suffix)
        return 0.0 if value is None else value

    def forward(self, x: Tensor, state: object = None, lengths: Sequence[int] | None = None) -> tuple:
        """Return (output, state after the last step) for a batch of sequences and, if given, the states before them."""
        name = type(self).__name__
        x = check_input(name, x, self.input_size, self.weight_ih_l0)
        if x.ndim not in (2, 3) or 0 in x.shape:
            raise ShapeError(f"{name}: the input has shape {x.shape}; give (T, I) or (T, B, I), nothing empty")
        batched = x.ndim == 3
        if not batched:
            x = x.reshape(len(x), 1, -1)
        elif self.batch_first:
            x = x.transpose(1, 0, 2)
        T, B = x.shape[:2]
        mask, back = masks(name, lengths, T, B)
        if mask is not None:
            mask, back = to_device(mask, x.device), tuple(to_device(i, x.device) for i in back)
            x = where(mask, x, 0.0)  # padding may hold NaN, and 0 times that would reach the weights' gradients
        before = self.initial(state, B, batched)
        after = [[] for _ in self.states]
        for k in range(self.num_layers):
            outputs = []
            for suffix in (suffix for layer, suffix in self.directions() if layer == k):
                reverse, at = suffix.endswith("_reverse"), len(after[0])
                given = getitem(x, index=back) if reverse else x
                output, *last = self.run(given, [s[at] for s in before], suffix, mask)
                outputs.append(getitem(output, index=back) if reverse else output)
                for s, value in zip(after, last, strict=True):
                    s.append(value.reshape(1, B, -1))
            x = outputs[0] if len(outputs) == 1 else concatenate(outputs, axis=2)
            if self.dropout and k < self.num_layers - 1:
                x = self.dropout(x)
        last = [s[0] if len(s) == 1 else concatenate(s) for s in after]
        if not batched:
            x, last = x.reshape(T, -1), [s.reshape(len(s), -1) for s in last]
        elif self.batch_first:
            x = x.transpose(1, 0, 2)
        return x, last[0] if len(self.states) == 1 else tuple(last)

    def initial(self, state: object, B: int, batched: bool) -> list[Tensor]:
        """Return the states before the first step, each (layers x directions, B, H); one of batch 1 serves all."""
        name, L, W = type(self).__name__, len(self.directions()), self.weight_ih_l0
        if state is None:
            return [Tensor.make(zeros((L, B, self.hidden_size), W.data)) for _ in self.states]
        given = (state,) if len(self.states) == 1 else state
        if not isinstance(given, tuple | list) or len(given) != len(self.states):
            raise DTypeError(f"{name}: the state is {', '.join(s + '_0' for s in self.states)}, as a tuple")
        found = []
        for letter, s in zip(self.states, given, strict=True):
            s = check_input(f"{name}: {letter}_0", s, self.hidden_size, W)
            wanted = (L, B, self.hidden_size) if batched else (L, self.hidden_size)
            if s.shape not in (wanted, (L, 1, self.hidden_size)):
                raise ShapeError(f"{name}: {letter}_0 has shape {s.shape}, for this input it must be {wanted}")
            found.append(broadcast_to(s.reshape(L, -1, self.hidden_size), shape=(L, B, self.hidden_size)))
        return found


def masks(name: str, lengths: Sequence[int] | None, T: int, B: int) -> tuple[np.ndarray | None, tuple | slice]:
    """Return where a step is within its sequence (T, B, 1), and the index that turns each sequence round."""
    if lengths is None:
        return None, slice(None, None, -1)
    lengths = np.asarray(plain(lengths))
    if lengths.shape != (B,) or lengths.dtype.kind not in "iu" or lengths.min() < 1 or lengths.max() > T:
        raise ShapeError(f"{name}: lengths are {B} integers from 1 to {T}, one a sequence; got {lengths.tolist()}")
    t, lengths = np.arange(T)[:, None], lengths.astype(int)  # unsigned ones minus t would be floats
    back = np.where(t < lengths, lengths - 1 - t, t)
    return (t < lengths)[..., None], (back, np.arange(B))


class RNN(Recurrent):
    """Layers of Elman cells, h_t = f(W x_t + R h_(t-1) + b).

    Call: output, h_n = rnn(x, h_0, lengths=None). x is (T, B, input_size), or (B, T, input_size) with `batch_first`, or
    without a batch (T, input_size); output holds the last layer's h_t for every t in the same layout, both directions
    side by side. h_0 (zeros without one) and h_n are (layers x directions, B, hidden_size), without a batch
    (layers x directions, hidden_size); an h_0 of batch 1 serves the whole batch, so it may be a Parameter. With
    `lengths` (B integers) outputs past the end of a sequence are zero and h_n is its last valid step. `dropout` acts on
    the outputs of every layer but the last, in training. `nonlinearity` is "tanh", "sigmoid" or "relu".

    Parameters, drawn from U[-k, k] with k = 1 / sqrt(hidden_size), for layer k and with the suffix _reverse for the
    backward direction: weight_ih_l{k} is W (hidden_size, inputs), weight_hh_l{k} is R (hidden_size, hidden_size),
    bias_l{k} is b. PyTorch has two biases, an inheritance from cuDNN; only their sum matters, so here it is one.
    Source: Elman 1990.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        rng: np.random.Generator | int | None = None,
        dtype: object = None,
    ):
        if nonlinearity not in NONLINEARITIES:
            raise OptionError(f"RNN: nonlinearity is one of {', '.join(NONLINEARITIES)}, not {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, rng, dtype)

    def draw(self, uniformly: Callable, inputs: int, bias: bool) -> dict[str, Parameter | None]:
        H = self.hidden_size
        return {
            "weight_ih": uniformly(H, inputs),
            "weight_hh": uniformly(H, H),
            "bias": uniformly(H) if bias else None,
        }

    def run(self, x: Tensor, states: list[Tensor], suffix: str, mask: np.ndarray | None) -> tuple[Tensor, ...]:
        weights = (self.of(name, suffix) for name in ("weight_ih", "weight_hh", "bias"))
        return elman_sequence(x, *states, *weights, nonlinearity=self.nonlinearity, mask=mask)


class GRU(Recurrent):
    """Layers of gated recurrent units (Cho et al. 2014), with PyTorch's candidate; call and shapes as of RNN.

    Rows of the weights in the order r, z, n (reset, update, candidate). bias_l{k} (3 x hidden_size) is added to W x_t;
    bias_hn_l{k} (hidden_size) stands inside the product with the reset gate, so that it cannot join the other.
    """

    def draw(self, uniformly: Callable, inputs: int, bias: bool) -> dict[str, Parameter | None]:
        H = self.hidden_size
        return {
            "weight_ih": uniformly(3 * H, inputs),
            "weight_hh": uniformly(3 * H, H),
            "bias": uniformly(3 * H) if bias else None,
            "bias_hn": uniformly(H) if bias else None,
        }

    def run(self, x: Tensor, states: list[Tensor], suffix: str, mask: np.ndarray | None) -> tuple[Tensor, ...]:
        weights = (self.of(name, suffix) for name in ("weight_ih", "weight_hh", "bias", "bias_hn"))
        return gru_sequence(x, *states, *weights, mask=mask)


class LSTM(Recurrent):
    """Layers of LSTM cells of any kind that a CellSpec can say; call and shapes as of RNN, with two states.

    Call: output, (h_n, c_n) = lstm(x, (h_0, c_0), lengths=None). `spec` is a CellSpec or a name from
    minigrad.recurrent.spec.CELLS ("1997", "2000", "peephole", "vanilla", ...); without one the cell is PyTorch's, with
    `peephole=True` the vanilla one. Forget gates start with the bias `forget_bias` (Gers, Schmidhuber & Cummins 2000;
    Jozefowicz et al. 2015), so that a new cell remembers.

    Rows of the weights in the order i, f, z (PyTorch's g), o, each only where the spec has it; gates have
    hidden_size / block_size rows. peephole_l{k} (3, hidden_size) holds the peepholes of i, f, o; weight_gh_l{k} weighs
    the gates of the step before, where they feed gates.
    """

    states = ("h", "c")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        spec: CellSpec | str | None = None,
        peephole: bool = False,
        forget_bias: float = 1.0,
        rng: np.random.Generator | int | None = None,
        dtype: object = None,
    ):
        if spec is not None and peephole:
            raise OptionError("LSTM: peephole=True is a cell of its own; say it in the spec (peepholes=True) instead")
        self.spec = cell_spec(("vanilla" if peephole else "NP") if spec is None else spec)
        if hidden_size % self.spec.block_size:
            raise OptionError(f"LSTM: blocks of {self.spec.block_size} cells do not make up {hidden_size=}")
        self.forget_bias = forget_bias
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, rng, dtype)

    def sizes(self) -> dict[str, int]:
        """Return the height of each block of rows."""
        H = self.hidden_size
        return {row: H if row == "z" else H // self.spec.block_size for row in self.spec.rows}

    def biased(self, row: str) -> bool:
        """Say whether a block of rows has a bias."""
        return ("cells" if row == "z" else "gates") in self.spec.biases

    def draw(self, uniformly: Callable, inputs: int, bias: bool) -> dict[str, Parameter | None]:
        spec, sizes = self.spec, self.sizes()
        rows = sum(sizes.values())
        gates = sum(size for row, size in sizes.items() if row != "z")
        found = {"weight_ih": uniformly(rows, inputs), "weight_hh": uniformly(rows, self.hidden_size), "bias": None}
        if bias and spec.biases:
            b = {row: uniformly(size).data for row, size in sizes.items() if self.biased(row)}
            if "f" in b:
                b["f"] = np.full_like(b["f"], self.forget_bias)
            found["bias"] = Parameter(np.concatenate(list(b.values()))) if b else None
        if spec.peepholes:
            found["peephole"] = uniformly(3, self.hidden_size)
        if spec.gate_recurrence != "none":
            found["weight_gh"] = uniformly(rows if spec.gate_recurrence == "all" else gates, gates)
        return found

    def bias_of_rows(self, suffix: str) -> Tensor | float:
        """Return b for all rows: 0 in those that have none."""
        b, sizes = self.of("bias", suffix), self.sizes()
        if isinstance(b, float) or b.size == sum(sizes.values()):
            return b
        parts, start = [], 0
        for row, size in sizes.items():
            parts.append(b[start : start + size] if self.biased(row) else Tensor.make(zeros((size,), b.data)))
            start += size if self.biased(row) else 0
        return concatenate(parts)

    def run(self, x: Tensor, states: list[Tensor], suffix: str, mask: np.ndarray | None) -> tuple[Tensor, ...]:
        W, R, b = self.of("weight_ih", suffix), self.of("weight_hh", suffix), self.bias_of_rows(suffix)
        p = getattr(self, "peephole" + suffix, 0.0)
        if self.spec.gate_recurrence == "none":
            return lstm_sequence(x, *states, W, R, b, p, spec=self.spec, mask=mask)
        return lstm(x, *states, W, R, b, p, getattr(self, "weight_gh" + suffix), self.spec, mask)
