"""What goes into a checkpoint comes back whole or not at all."""

from collections.abc import Mapping

import numpy as np

from minigrad.backend import as_array, device_of
from minigrad.errors import DTypeError, ShapeError
from minigrad.graph import Node


def matched(what: str, mine: Mapping[str, object], state: Mapping[str, object]) -> dict[str, object]:
    """Return copies of the entries of `state`, each in the type or dtype of its counterpart in `mine`.

    Raises ShapeError that names every missing, unexpected and misshapen entry; DTypeError for what is no number.
    """
    if not isinstance(state, Mapping):
        raise DTypeError(f"{what}: takes names and arrays, as state_dict() returns them, not a {type(state).__name__}")
    state = {name: x.data if isinstance(x, Node) else x for name, x in state.items()}
    faults = [f"missing {name}" for name in mine.keys() - state.keys()]
    faults += [f"unexpected {name}" for name in state.keys() - mine.keys()]
    found = {}
    for name in mine.keys() & state.keys():
        x, like = state[name], mine[name]
        try:
            found[name] = as_array(x, like.dtype, device_of(like)) if hasattr(like, "dtype") else type(like)(x)
        except (TypeError, ValueError) as error:
            raise DTypeError(f"{what}: {name}: {error}") from error
        if np.shape(found[name]) != np.shape(like):
            faults.append(f"{name} has shape {np.shape(x)}, not {np.shape(like)}")
    if faults:
        raise ShapeError(f"{what}: {'; '.join(sorted(faults))}")
    return found
