"""Value: a node that holds one Python float (float64)."""

from collections.abc import Sequence
from numbers import Real

from minigrad import graph
from minigrad.errors import DomainError, DTypeError, GraphError
from minigrad.op import Op
from minigrad.ops import Operand


class Value(Operand):
    """A number in the graph.

    Operations outside their domain (the logarithm of 0, a division by 0, a negative base with a fractional exponent)
    and exponentials and powers too large for a float raise DomainError; sums and products overflow to inf, as Python's
    do. A leaf requires a gradient unless told otherwise.
    """

    __slots__ = ()
    __array_ufunc__ = None  # so that NumPy leaves `array * value` to the message below, not to an array of objects

    def __init__(self, data: float, requires_grad: bool = True):
        if not isinstance(data, Real):
            raise DTypeError(f"Value holds one number, not a {type(data).__name__}; for arrays use Tensor")
        super().__init__(float(data), requires_grad)

    @staticmethod
    def wrap(y: float, record: tuple | None = None, raw: Sequence = ()) -> "Value | bool":
        if type(y) is float:
            return Value.make(y, record)
        if type(y) is bool:
            return y
        raise DTypeError(f"an operation on Values gave a {type(y).__name__}, not a number; for arrays use Tensors")

    @staticmethod
    def lower(op: Op, operands: tuple) -> list[float]:
        raw = []
        for x in operands:
            if isinstance(x, Value):
                x = x.data
            elif not isinstance(x, float | int) and (getattr(x, "shape", None) != () or isinstance(x, Operand)):
                raise DTypeError(
                    f"{op.name}: a Value meets a {type(x).__name__}; Values mix with plain numbers only. "
                    "Make both Tensors, or use .item() on a Tensor of one element"
                )
            raw.append(float(x))
        return raw

    @staticmethod
    def explain(name: str, raw: list[float], static: dict, error: Exception) -> Exception:
        call = f"{name}({', '.join(f'{x:g}' for x in raw)})"
        if isinstance(error, AttributeError | IndexError | TypeError):
            return DTypeError(f"{call}: does not work on Values ({error}); for arrays use Tensors")
        if isinstance(error, OverflowError):
            return DomainError(f"{call}: the result is too large for a float")
        return DomainError(f"{call}: not defined for a real number here ({error})")

    def conform(self, part: object, op: Op, k: int) -> object:
        return part

    def own(self, cotangent: float, owned: bool) -> float:
        return cotangent

    def seed(self, seed: float | None) -> float:
        if not self.requires_grad:
            raise GraphError("backward: this Value depends on nothing that requires a gradient")
        return 1.0 if seed is None else float(seed)

    def detach(self) -> "Value":
        """Return the same number outside the graph: a constant to everything computed from it."""
        return Value.make(self.data)

    def __bool__(self) -> bool:
        return bool(self.data)

    def item(self) -> float:
        """Return the number."""
        return self.data

    def backward(self, seed: float | None = None, retain_graph: bool = False) -> None:
        """Add d(self)/d(leaf) to `.grad` of every leaf, times `seed` (1 by default)."""
        graph.backward(self, seed, retain_graph)

    def __repr__(self) -> str:
        return f"Value({self.data:g})"


Value.kind = Value
