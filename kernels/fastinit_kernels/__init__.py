"""The compiled kernels under fastinit: scalars and arrays in, caller-allocated arrays filled.

Nothing here checks its arguments or knows a scheme's name; that is `fastinit`'s work.
Importing this package loads nothing; each module loads Numba when it is first needed.
"""
