"""The named schemes, a few lines each; a module registers its names when it is loaded."""

from . import classic as classic
from . import sequences as sequences
