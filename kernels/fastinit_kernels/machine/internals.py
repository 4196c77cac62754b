"""What hangs on Numba's insides, each with what happens where they are gone: slower compilation, never other bytes.

- The helper compiler spares Numba from optimising each helper on its own, half of the time that a kernel takes to
  compile. Without it helpers are compiled as Numba does.
- A dispatcher's cache: without it nothing is kept on disk.
- The state of Numba's threads: where it is unknown, only one Python thread at a time uses them.

FASTINIT_FALLBACKS=1 does without any of them, so that this way is tested, too.
"""

import os
from typing import Any

from numba.core.compiler import Compiler
from numba.np.ufunc import parallel

_FALLBACKS = os.environ.get("FASTINIT_FALLBACKS", "") not in ("", "0")


def _helper_compiler() -> Any:
    """Return the pipeline class of a helper, None for Numba's own."""
    try:
        from numba import _dynfunc
        from numba.core.codegen import JITCodeLibrary
    except ImportError:
        return None
    needed = ("_raise_if_finalized", "_linking_libraries", "_reload_init", "_final_module", "_get_module_for_linking")
    finalize = getattr(getattr(JITCodeLibrary, "finalize", None), "__code__", None)
    known = {*dir(JITCodeLibrary), *getattr(finalize, "co_names", ())}
    if not known.issuperset(needed) or not hasattr(_dynfunc, "make_function"):
        return None

    class Linked(JITCodeLibrary):  # type: ignore[misc]
        """The code of a helper, handed to its callers as it was lowered.

        Numba would optimise every helper with all that it calls and make machine code of it, once a level of nesting,
        and use none of that: the kernel at the top is optimised as a whole.
        """

        def finalize(self) -> None:
            self._raise_if_finalized()
            for library in dict.fromkeys(self._linking_libraries):
                self._reload_init.update(library._reload_init)
                self._final_module.link_in(library._get_module_for_linking(), preserve=True)
            self._final_module.verify()
            self._finalized = True

    class HelperCompiler(Compiler):  # type: ignore[misc]
        def __init__(self, typing_context: Any, target_context: Any, *rest: Any) -> None:
            super().__init__(typing_context, target_context, *rest)
            self.state.library = Linked(target_context.codegen(), "helper")
            self.state.targetctx.get_executable = not_executable

    def not_executable(library: Any, description: Any, environment: Any) -> Any:
        # The object by which Numba knows a compiled helper; nothing calls it, so it has no address.
        name = description.qualname
        return _dynfunc.make_function(description.lookup_module(), name, "", 0, environment, (library,))

    return HelperCompiler


_HELPER_COMPILER = None if _FALLBACKS else _helper_compiler()

HELPER_OPTIONS: dict[str, Any] = {} if _HELPER_COMPILER is None else {"pipeline_class": _HELPER_COMPILER}
"""Options of `numba.njit` for a helper that only other kernels call."""


KEEPS_ON_DISK = not _FALLBACKS
"""Whether helpers that compile into the cache are of any use."""


def keep_on_disk(dispatcher: Any, store: Any) -> bool:
    """Let a dispatcher load and save what it compiles by `store`; False if it cannot."""
    if _FALLBACKS or not hasattr(dispatcher, "_cache"):
        return False
    dispatcher._cache = store
    return True


def threads_are_started() -> bool:
    """Whether Numba's threads may be running: known, or feared."""
    return _FALLBACKS or bool(getattr(parallel, "_is_initialized", True))


def threads_are_known() -> bool:
    """Whether `threads_are_started` knows."""
    return not _FALLBACKS and hasattr(parallel, "_is_initialized")


def ready_to_load(target_context: Any) -> None:
    """Let machine code be loaded, which calls Numba's runtime.

    Numba gets ready to compile, too, and imports SciPy on the way, which takes longer than to load all of a probe.
    """
    try:
        from numba.core.runtime import rtsys
    except ImportError:
        target_context.refresh()
        return
    if _FALLBACKS:
        target_context.refresh()
    else:
        rtsys.initialize(target_context)
