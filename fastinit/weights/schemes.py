"""Every scheme by its name: the registry, once all names are in it."""

from . import named as named
from .registry import Advised as Advised
from .registry import Scheme as Scheme
from .registry import SchemeLike as SchemeLike
from .registry import as_scheme as as_scheme
from .registry import get_scheme as get_scheme
from .registry import offered as offered
from .registry import resolve_scheme as resolve_scheme
from .registry import scheme_defaults as scheme_defaults
from .registry import scheme_words as scheme_words
from .registry import schemes as schemes
