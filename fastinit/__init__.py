"""Neural-network weights at memory speed, the same bytes everywhere, and a probe of what they do to a deep network.

Nothing here loads Numba, a plotting library or a framework; what needs one loads it when it is called.
"""

from . import theory as theory
from .activations import gain as gain
from .advice import Recommendation as Recommendation
from .advice import recommend as recommend
from .fans import Fans as Fans
from .fans import fans as fans
from .initialize import init as init
from .initialize import normal as normal
from .initialize import truncated_normal as truncated_normal
from .initialize import uniform as uniform
from .probe import probe as probe
from .result import ProbeResult as ProbeResult
from .schemes import Scheme as Scheme
from .schemes import get_scheme as get_scheme
from .schemes import schemes as schemes
from .sweep import sweep as sweep
from .swept import SweepError as SweepError
from .swept import SweepResult as SweepResult
from .warmup import warmup as warmup

__version__ = "0.1.0"
