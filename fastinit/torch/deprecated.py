"""The names without an underscore that PyTorch had before 0.4, each with its warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from .functions import constant_, dirac_, eye_, normal_, orthogonal_, sparse_, uniform_
from .scaled import kaiming_normal_, kaiming_uniform_, xavier_normal_, xavier_uniform_


def _deprecated(function: Callable[..., Any]) -> Callable[..., Any]:
    name = function.__name__
    old = name.removesuffix("_")

    def deprecated(*arguments: Any, **words: Any) -> Any:
        warnings.warn(f"`{old}` is deprecated in favor of `{name}`.", FutureWarning, stacklevel=2)
        return function(*arguments, **words)

    deprecated.__name__ = deprecated.__qualname__ = old
    deprecated.__doc__ = f"`{name}` by the name that PyTorch had for it before 0.4, with a warning."
    return deprecated


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)
