"""The GPU, through CuPy: whether there is one, and what is missing where there is none.

Nothing here imports CuPy before a GPU is asked for, and `import cupy` alone proves nothing: it succeeds with no driver.
"""

import sys
from types import ModuleType

deterministic = False
persistent = False


def loaded() -> ModuleType | None:
    """Return CuPy where it has been imported; before that there is no array of a GPU."""
    return sys.modules.get("cupy")


def holds(x: object) -> bool:
    """Whether x is an array of a GPU."""
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(x, cupy.ndarray)


def missing() -> str | None:
    """Return what is missing for a GPU, package, driver or device, and what to do; None where nothing is."""
    try:
        import cupy
    except ImportError as error:
        if getattr(error, "name", None) == "cupy":
            return 'CuPy is not installed; pip install "unrolled[cuda13]" (with a CUDA 12 driver: "unrolled[cuda12]")'
        return f"CuPy is installed, but cannot be imported: {error}"
    runtime = cupy.cuda.runtime
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        version = runtime.driverGetVersion()  # 0 without a driver
        if version == 0:
            return f"CuPy is installed, but no NVIDIA driver is; `nvidia-smi` must list a GPU ({error})"
        if "cudaErrorNoDevice" not in str(error):
            found, wanted = (f"{v // 1000}.{v % 1000 // 10}" for v in (version, runtime.runtimeGetVersion()))
            return f"the NVIDIA driver, for CUDA {found}, gives CuPy, made for CUDA {wanted}, no device ({error})"
        count = 0
    return None if count else "the NVIDIA driver sees no GPU; look at `nvidia-smi` and at CUDA_VISIBLE_DEVICES"


def is_available() -> bool:
    """Whether Tensors can be put on a GPU: CuPy, a driver that fits it and a device are there."""
    return missing() is None


def device_count() -> int:
    """Return the number of GPUs: 0 where `is_available` is false."""
    return 0 if missing() else loaded().cuda.runtime.getDeviceCount()


def use_deterministic_algorithms(mode: bool) -> None:
    """Have gradients of indexing added up in a fixed order, so that a run on a GPU repeats bit for bit; slower.

    Off at the start: then the additions to one place come in the order in which the GPU's threads happen to arrive,
    and sums of floats depend on it in their last bits. On the CPU the order is fixed anyway.
    """
    global deterministic
    deterministic = bool(mode)


def use_persistent_kernels(mode: bool) -> None:
    """Have recurrent layers run a whole sequence in one launch where R fits the chip, not two launches a step.

    Off at the start: these kernels agree with the others on the processor, but have not run on a GPU yet.
    """
    global persistent
    persistent = bool(mode)
