"""How kernels are compiled, kept and run: the one place that knows Numba, LLVM and the threads."""
