"""The errors of minigrad: each is also the built-in error that a caller would expect."""


class MinigradError(Exception):
    """Base of every error that minigrad raises on purpose."""


class ShapeError(MinigradError, ValueError):
    """Operands whose shapes, indices or axes do not fit the operation."""


class OutOfRangeError(ShapeError, IndexError):
    """An index past the end of its axis."""


class DTypeError(MinigradError, TypeError):
    """Data of a type that the operation cannot take."""


class OptionError(MinigradError, ValueError):
    """A setting outside the values that it can take: a size below 1, a negative learning rate."""


class DeviceError(MinigradError, RuntimeError):
    """A device that is not there, or operands on different devices."""


class DomainError(MinigradError, ArithmeticError, ValueError):
    """A scalar operation outside its domain, or with a result too large for a float."""


class GraphError(MinigradError, RuntimeError):
    """A backward sweep that the graph does not allow."""


class NonFiniteError(MinigradError, FloatingPointError):
    """A NaN or an infinity where it would spread silently."""


class GradcheckError(MinigradError, AssertionError):
    """A rule that disagrees with finite differences."""
