"""Neural-network weights at memory speed, the same bytes everywhere, and a probe of what they do to a deep network."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from .activations import gain as gain
from .fans import Fans as Fans
from .fans import fans as fans
from .initialize import init as init
from .initialize import normal as normal
from .initialize import truncated_normal as truncated_normal
from .initialize import uniform as uniform
from .schemes import Scheme as Scheme
from .schemes import get_scheme as get_scheme
from .schemes import schemes as schemes

if _TYPE_CHECKING:
    from . import theory as theory
    from .probe import probe as probe
    from .result import ProbeResult as ProbeResult

__version__ = "0.1.0"

# Public name -> the module that defines it, loaded on first use; None: the name is the module itself.
_LAZY: dict[str, str | None] = {
    "probe": "probe",
    "ProbeResult": "result",
    "theory": None,
}


def __getattr__(name: str) -> _Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'fastinit' has no attribute {name!r}")
    module = _import_module(f".{_LAZY[name] or name}", __name__)
    value = module if _LAZY[name] is None else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
