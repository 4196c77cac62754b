"""Tensors from counters: the laws by name, and the kernels that fill any region of an array."""
