"""The activations: one table that gains, the probe, the kernels and the mean-field theory all read."""

from .activation import Activation as Activation
from .activation import ActivationLike as ActivationLike
from .activation import Array as Array
from .activation import Function as Function
from .lookup import gain as gain
from .lookup import get_activation as get_activation
from .lookup import is_function as is_function
from .lookup import label as label
from .table import ACTIVATIONS as ACTIVATIONS
from .table import ALIASES as ALIASES
