"""Checkpoints in one file, and weights to and from PyTorch.

A checkpoint is a safetensors file: named arrays and a line of JSON, no pickle, so that reading one runs no code. The
weights keep their names (any safetensors reader finds them); what the optimiser keeps follows under "optimizer/".
"""

import hashlib
import json
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from types import ModuleType

import numpy as np

from minigrad.backend import is_array, to_device
from minigrad.errors import DTypeError, MinigradError, ShapeError
from minigrad.graph import Node
from minigrad.nn import Module
from minigrad.optim import Optimizer

KEY = "minigrad checkpoint 1"  # the key of the record in the file's metadata; another layout takes another number
OPTIMIZER = "optimizer/"  # no weight is called so: names begin with an attribute's


class CheckpointError(MinigradError, ValueError):
    """A file that is damaged, is no checkpoint, or is one of another model or optimiser."""


class MissingLibraryError(MinigradError, ImportError):
    """An optional library that is not installed."""


def safetensors() -> ModuleType:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise MissingLibraryError("checkpoints need the library safetensors: pip install safetensors") from error
    return safetensors


def digest(record: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Return the checksum of all that a checkpoint holds; safetensors itself would not notice a wrong bit."""
    sha = hashlib.sha256(record.encode())
    for name, x in sorted(arrays.items()):
        sha.update(f"{name} {x.dtype.name} {x.shape}".encode() + x.tobytes())
    return sha.hexdigest()


def write(path: str | os.PathLike, content: bytes) -> None:
    """Replace the file at `path` in one step: whatever happens meanwhile, it is the old one or the new one, whole."""
    path = os.path.realpath(path)  # through a link: a rename would replace the link itself
    partial = f"{path}.{secrets.token_hex(4)}.partial"  # in the same folder: a rename is one step only within a disk
    try:
        with open(partial, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the new name on an empty file
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            os.remove(partial)
        raise


def save(path: str | os.PathLike, module: Module, optimizer: Optimizer | None = None, **metadata: object) -> None:
    """Write the weights, the states of the random generators and of the optimiser, and `metadata`, into one file.

    The file at `path` is replaced in one step: whatever happens during a save, it is the old one or the new one, whole.
    `metadata` is what JSON holds: numbers, strings, lists, dicts with string keys; tuples come back as lists. Raises
    DTypeError for anything else, MissingLibraryError without the library safetensors.
    """
    arrays = module.state_dict()
    if optimizer is not None:
        arrays |= {OPTIMIZER + name: x for name, x in optimizer.state_dict().items()}
    arrays = {name: np.asarray(to_device(x, "cpu")) for name, x in arrays.items()}
    # safetensors reads the memory as it lies: without these, a transposed or big-endian array would be silently wrong.
    arrays = {name: x.astype(x.dtype.newbyteorder("="), order="C", copy=False) for name, x in arrays.items()}
    kind = None if optimizer is None else type(optimizer).__name__
    record = {"optimizer": kind, "generators": module.rng_state(), "metadata": metadata}
    try:
        text = json.dumps(record, default=lambda x: x.tolist())  # arrays and NumPy's numbers
    except (AttributeError, TypeError, ValueError) as error:
        raise DTypeError(f"save: metadata must be what JSON holds, numbers, strings, lists, dicts: {error}") from error
    write(path, safetensors().numpy.save(arrays, {KEY: text, "sha256": digest(text, arrays)}))


def read(path: str | os.PathLike) -> tuple[dict, dict[str, np.ndarray]]:
    """Return the record and the arrays of a checkpoint; raises as `load` does for a file that is damaged or none."""
    library = safetensors()
    try:
        with library.safe_open(path, framework="numpy") as file:
            notes = file.metadata() or {}
            if KEY not in notes:
                raise CheckpointError(
                    f"{path} is a safetensors file, but no checkpoint that this minigrad wrote; for weights alone: "
                    "module.load_state_dict(from_torch(safetensors.numpy.load_file(path)))"
                )
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except library.SafetensorError as error:
        raise CheckpointError(f"{path} is damaged, or no safetensors file ({error}); take an older copy") from error
    if notes.get("sha256") != digest(notes[KEY], arrays):
        raise CheckpointError(f"{path} is damaged: its checksum does not fit its content; take an older copy")
    return json.loads(notes[KEY]), arrays


def load(path: str | os.PathLike, module: Module, optimizer: Optimizer | None = None) -> dict[str, object]:
    """Restore what `save` wrote into `path` and return its metadata; without `optimizer`, that one's part is left out.

    Raises CheckpointError, with module and optimiser unchanged, for a file that is damaged or no checkpoint, or whose
    names, shapes, dtypes or kind of optimiser are others; FileNotFoundError, MissingLibraryError.
    """
    record, arrays = read(path)
    if optimizer is not None and record["optimizer"] != type(optimizer).__name__:
        raise CheckpointError(
            f"{path} holds {record['optimizer'] or 'no optimiser'}, not {type(optimizer).__name__}; give load() the "
            "optimiser with which the file was saved, or none, for the weights alone"
        )
    kept = {name.removeprefix(OPTIMIZER): arrays.pop(name) for name in list(arrays) if name.startswith(OPTIMIZER)}
    before = module.rng_state()
    try:
        check(module.state_dict(), arrays)
        if optimizer is not None:
            check(optimizer.state_dict(), kept)
        # Each of these changes nothing if it raises; the last, checked above, does not.
        module.load_rng_state(record["generators"])
        try:
            if optimizer is not None:
                optimizer.load_state_dict(kept)
        except BaseException:
            module.load_rng_state(before)
            raise
        module.load_state_dict(arrays)
    except MinigradError as error:
        raise CheckpointError(
            f"{path} does not fit, nothing was changed: {error}. Build the model and the optimiser as they were saved"
        ) from error
    return record["metadata"]


def check(mine: Mapping[str, object], found: Mapping[str, np.ndarray]) -> None:
    """Raise ShapeError that names every entry of `found` that is missing, unexpected, or of another shape or dtype."""
    faults = [f"missing {name}" for name in mine.keys() - found.keys()]
    faults += [f"unexpected {name}" for name in found.keys() - mine.keys()]
    for name in mine.keys() & found.keys():
        x, y = mine[name], found[name]
        if np.shape(x) != y.shape:
            faults.append(f"{name} has shape {y.shape}, not {np.shape(x)}")
        elif is_array(x) and x.dtype.name != y.dtype.name:  # a setting may be any kind of number
            faults.append(f"{name} is {y.dtype}, not {x.dtype}")
    if faults:
        raise ShapeError("; ".join(sorted(faults)))


# --- PyTorch ---------------------------------------------------------------------------------------------------------
#
# PyTorch's recurrent layers add two biases, an inheritance from cuDNN: W x + b_ih + R h + b_hh. Only the sum matters,
# so minigrad has one; but in the GRU the candidate's b_hh stands inside the product with the reset gate,
# n = tanh(W x + b_ih + r * (R h + b_hh)), and remains, as bias_hn.

BIAS = re.compile(r"((?:.*\.)?)bias(_ih|_hh|_hn|)_(l\d+(?:_reverse)?)")  # encoder.rnn. | _ih | l0_reverse
REFUSED = {
    "weight_hr": "the projection of an LSTM with proj_size",
    "peephole": "peepholes, which PyTorch's LSTM lacks",
}


def array(x: object) -> np.ndarray:
    """Return a copy of an array, or of a tensor of PyTorch or of minigrad."""
    x = x.data if isinstance(x, Node) else x
    if "bfloat16" in str(getattr(x, "dtype", "")):  # which NumPy lacks; float32 holds all of it
        x = x.float() if hasattr(x, "float") else x.astype("float32")
    for name in ("detach", "cpu", "numpy"):
        x = getattr(x, name)() if hasattr(x, name) else x
    return np.array(to_device(x, "cpu"))


def arrays_of(what: str, state: Mapping[str, object]) -> dict[str, np.ndarray]:
    for name in state:
        for refused, meaning in REFUSED.items():
            if re.fullmatch(rf"(.*\.)?{refused}_l\d+(_reverse)?", name):
                raise ShapeError(f"{what}: {name}: {meaning}, has no counterpart")
    return {name: array(x) for name, x in state.items()}


def entry(what: str, state: Mapping[str, np.ndarray], name: str, beside: str) -> np.ndarray:
    if name not in state:
        raise ShapeError(f"{what}: {beside} needs {name} beside it, which is missing")
    return state[name]


def gates(what: str, state: Mapping[str, np.ndarray], prefix: str, place: str, bias: str) -> int:
    """Return the number of blocks of rows: 1 for an RNN, 3 for a GRU, 4 for an LSTM."""
    weight = f"{prefix}weight_hh_{place}"
    shape = entry(what, state, weight, bias).shape
    for count in (1, 3, 4):
        if len(shape) == 2 and shape[0] == count * shape[1] and state[bias].shape == shape[:1]:
            return count
    raise ShapeError(
        f"{what}: {weight} has shape {shape} and {bias} {state[bias].shape}; an RNN has (H, H), a GRU (3 H, H), "
        "an LSTM (4 H, H), and a bias an entry for each row"
    )


def from_torch(state: Mapping[str, object]) -> dict[str, np.ndarray]:
    """Return a state_dict of PyTorch, of arrays or tensors, as one for the same layers of minigrad.

    The two biases of a recurrent layer become one; all else (Linear, Embedding) passes as it is:
    module.load_state_dict(from_torch(torch_module.state_dict())). Raises ShapeError that names what has no counterpart.
    """
    state = arrays_of("from_torch", state)
    result = {}
    for name, x in state.items():
        prefix, part, place = m.groups() if (m := BIAS.fullmatch(name)) else ("", "", "")
        if part == "_ih":
            other = f"{prefix}bias_hh_{place}"
            b_hh = entry("from_torch", state, other, name)
            count = gates("from_torch", state, prefix, place, name)
            gates("from_torch", state, prefix, place, other)
            bias = result[f"{prefix}bias_{place}"] = x + b_hh
            if count == 3:
                H = len(x) // 3
                bias[2 * H :], result[f"{prefix}bias_hn_{place}"] = x[2 * H :], b_hh[2 * H :]
        elif part == "_hh":
            entry("from_torch", state, f"{prefix}bias_ih_{place}", name)
        else:
            result[name] = x
    return result


def to_torch(state: Mapping[str, object]) -> dict[str, np.ndarray]:
    """Return a state_dict of minigrad as one of PyTorch: bias_ih is the bias, bias_hh is 0 but for a GRU's candidate.

    Into PyTorch: layer.load_state_dict({name: torch.from_numpy(x) for name, x in to_torch(state).items()}). Raises
    ShapeError that names what has no counterpart. Names and shapes do not tell all: a layer with another squashing
    or other gates than PyTorch's converts, and computes something else there.
    """
    state = arrays_of("to_torch", state)
    result = {}
    for name, x in state.items():
        prefix, part, place = m.groups() if (m := BIAS.fullmatch(name)) else ("", None, "")
        if part == "":
            b_ih, b_hh, b_hn = (f"{prefix}bias_{kind}_{place}" for kind in ("ih", "hh", "hn"))
            result[b_ih], result[b_hh] = x, np.zeros_like(x)
            if gates("to_torch", state, prefix, place, name) == 3:  # without bias_hn: an LSTM with a gate less
                H, candidate = len(x) // 3, entry("to_torch", state, b_hn, name)
                if candidate.shape != (H,):
                    raise ShapeError(f"to_torch: {b_hn} has shape {candidate.shape}, not {(H,)}")
                result[b_hh][2 * H :] = candidate
        elif part == "_hn":
            entry("to_torch", state, f"{prefix}bias_{place}", name)
        else:
            result[name] = x
    return result
