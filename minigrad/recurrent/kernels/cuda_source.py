"""The CUDA C++ in cuda/*.cu, as texts."""

from pathlib import Path


def source(*names: str) -> str:
    """Return CUDA files as one text, what all share first."""
    return "\n".join((Path(__file__).parent / "cuda" / f"{name}.cu").read_text("utf8") for name in ("common", *names))
