"""A stand-in for the module `cupy`, stricter than the real one, that computes on the processor.

What minigrad does on a GPU runs on it on any machine: `cupy.py` poses as the module, `host.py` and `cuda_on_host.h`
compile the CUDA sources with the machine's C++ compiler and run them.
"""
