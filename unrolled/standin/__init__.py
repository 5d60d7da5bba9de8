"""A stand-in for CuPy, stricter than the real one, that computes on the processor and counts what a GPU would do.

`with standin.cupy.installed() as gpu:` and minigrad finds two GPUs; what is launched and what crosses between host and
GPU is in `gpu.counts`. Our CUDA sources are compiled by the machine's C++ compiler, where there is one
(`standin.host.COMPILER`), and run as they are. The tests run on it what they would run on a GPU, and chapter 15 counts.
"""

from unrolled.standin import cupy, host

__all__ = ["cupy", "host"]
