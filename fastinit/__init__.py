"""Neural-network weights at memory speed, the same bytes everywhere, and a probe of what they do to a deep network.

Nothing here loads Numba, a plotting library or a framework; what needs one loads it when it is called.
"""

from . import checkpoint as checkpoint
from . import theory as theory
from .activations import gain as gain
from .models import CheckResult as CheckResult
from .models import Plan as Plan
from .models import check as check
from .probing.advice import Recommendation as Recommendation
from .probing.advice import recommend as recommend
from .probing.layers import Dense as Dense
from .probing.probe import probe as probe
from .probing.result import ProbeResult as ProbeResult
from .probing.sweep import sweep as sweep
from .probing.swept import SweepError as SweepError
from .probing.swept import SweepResult as SweepResult
from .version import __version__ as __version__
from .warmup import warmup as warmup
from .weights.fans import Fans as Fans
from .weights.fans import fans as fans
from .weights.initialize import init as init
from .weights.initialize import normal as normal
from .weights.initialize import truncated_normal as truncated_normal
from .weights.initialize import uniform as uniform
from .weights.schemes import Scheme as Scheme
from .weights.schemes import get_scheme as get_scheme
from .weights.schemes import schemes as schemes
from .weights.streams import entropy as entropy
