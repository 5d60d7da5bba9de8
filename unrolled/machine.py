"""The machine, the day and the versions that stand beside every stored number."""

import importlib.metadata
import os
import platform
from datetime import date
from pathlib import Path


def machine(*packages: str) -> dict:
    """Return date, processor, vector extensions, cores, and the versions of Python and of those `packages` found."""
    have = {dist.metadata["Name"].lower() for dist in importlib.metadata.distributions()}
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = {"avx2", "fma", "avx512f"} & set(fields.get("flags", "").split())
    return {
        "date": date.today().isoformat(),
        "processor": fields.get("model name", platform.machine()),
        "flags": " ".join(sorted(flags)),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages if name in have},
    }
