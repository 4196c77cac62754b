"""The named schemes, a few lines each; a module registers its names when it is loaded."""

from . import classic as classic
from . import frameworks as frameworks
from . import matrices as matrices
from . import networks as networks
from . import sequences as sequences
from . import transformers as transformers
