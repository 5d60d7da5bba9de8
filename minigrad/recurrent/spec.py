"""CellSpec: what an LSTM cell is made of, as a value; and the named cells of the literature."""

from dataclasses import dataclass, replace

from minigrad.errors import OptionError
from minigrad.ops import sigmoid, tanh

SQUASHINGS = {
    "tanh": tanh,
    "identity": lambda a: a,
    "4s-2": lambda a: 4 * sigmoid(a) - 2,  # g of 1997, into [-2, 2]
    "2s-1": lambda a: 2 * sigmoid(a) - 1,  # h of 1997, into [-1, 1]
}
GATE_RECURRENCE = ("none", "gates", "all")


@dataclass(frozen=True)
class CellSpec:
    """A variant of the LSTM cell: c_t = f c_(t-1) + i z, h_t = o h(c_t), with gates i, f, o and candidate z.

    A gate that is left out is 1 at all times. `coupled` makes f = 1 - i. `peepholes` let i and f see c_(t-1), and o see
    c_t. `input_squashing` (g) makes z, `output_squashing` (h) shapes the cell's output. `gate_recurrence` feeds the
    gates of the step before to the gates ("gates", Greff's FGR) or to gates and candidate ("all", 1997). `block_size`
    cells share their gates. `biases` holds "gates", "cells" or both. `truncate` cuts the gradient where h_(t-1) and the
    gates of the step before enter the pre-activations, as in 1997; `detach_peephole` cuts it in the peepholes, as in
    2000. Sources: Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000; Gers, Schraudolph & Schmidhuber
    2002; Greff et al. 2017.
    """

    input_gate: bool = True
    forget_gate: bool = True
    output_gate: bool = True
    coupled: bool = False
    peepholes: bool = False
    input_squashing: str = "tanh"
    output_squashing: str = "tanh"
    gate_recurrence: str = "none"
    block_size: int = 1
    biases: tuple[str, ...] = ("cells", "gates")
    truncate: bool = False
    detach_peephole: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "biases", tuple(sorted(set(self.biases))))  # one order, so that equal specs look alike
        for name in ("input_squashing", "output_squashing"):
            if getattr(self, name) not in SQUASHINGS:
                raise OptionError(f"CellSpec: {name} is one of {', '.join(SQUASHINGS)}, not {getattr(self, name)!r}")
        if self.gate_recurrence not in GATE_RECURRENCE:
            raise OptionError(
                f"CellSpec: gate_recurrence is one of {', '.join(GATE_RECURRENCE)}, not {self.gate_recurrence!r}"
            )
        if not set(self.biases) <= {"gates", "cells"}:
            raise OptionError(f"CellSpec: biases holds 'gates', 'cells' or both, not {self.biases}")
        if self.coupled and not (self.input_gate and self.forget_gate):
            raise OptionError("CellSpec: coupled gates, f = 1 - i, need an input gate and a forget gate")
        if self.gate_recurrence != "none" and not self.gates:
            raise OptionError(f"CellSpec: gate_recurrence={self.gate_recurrence!r} feeds gates, and this cell has none")
        if self.block_size < 1:
            raise OptionError(f"CellSpec: block_size is at least 1, not {self.block_size}")
        if self.peepholes and self.block_size > 1:
            raise OptionError(
                "CellSpec: peepholes in blocks of several cells are not defined here; block_size must be 1"
            )
        if self.detach_peephole and not self.peepholes:
            raise OptionError("CellSpec: detach_peephole cuts the gradient of peepholes, so it needs peepholes")

    @property
    def gates(self) -> str:
        """The gates that have weights of their own, in the order i, f, o."""
        return "i" * self.input_gate + "f" * (self.forget_gate and not self.coupled) + "o" * self.output_gate

    @property
    def rows(self) -> str:
        """The blocks of rows of the weight matrices, in PyTorch's order i, f, z (its g), o, without those left out."""
        return "".join(row for row in "ifzo" if row == "z" or row in self.gates)


VANILLA = CellSpec(peepholes=True)
CELLS = {
    # the cell of the papers
    "1997": CellSpec(
        forget_gate=False,
        input_squashing="4s-2",
        output_squashing="2s-1",
        gate_recurrence="all",
        biases=("gates",),
        truncate=True,
    ),
    "2000": CellSpec(input_squashing="4s-2", output_squashing="2s-1", biases=("gates",), truncate=True),
    "peephole": CellSpec(
        peepholes=True,
        input_squashing="identity",
        output_squashing="identity",
        biases=("gates",),
        truncate=True,
        detach_peephole=True,
    ),
    # Graves & Schmidhuber 2005, as Greff et al. 2017 take it for their baseline, and their eight variants
    "vanilla": VANILLA,
    "NIG": replace(VANILLA, input_gate=False),
    "NFG": replace(VANILLA, forget_gate=False),
    "NOG": replace(VANILLA, output_gate=False),
    "NIAF": replace(VANILLA, input_squashing="identity"),
    "NOAF": replace(VANILLA, output_squashing="identity"),
    "NP": replace(VANILLA, peepholes=False),
    "CIFG": replace(VANILLA, coupled=True),
    "FGR": replace(VANILLA, gate_recurrence="gates"),
}


def cell_spec(spec: CellSpec | str) -> CellSpec:
    """Return a spec as it is, or the one of that name."""
    if isinstance(spec, CellSpec):
        return spec
    if spec not in CELLS:
        raise OptionError(f"there is no cell {spec!r}; there are: {', '.join(CELLS)}")
    return CELLS[spec]
