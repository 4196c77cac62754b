"""PyTorch: whole modules by a plan, `torch.nn.init` by our kernels, tensors without a copy.

- `init_(module, plan, seed=…)`: every parameter by its name, plain, on the meta device or distributed in any way.
- The functions of `torch.nn.init` under their own names.
- `patch(module, seed=…)`: whoever calls `torch.nn.init` calls those; `from_config`: a model of Hugging Face.
- `probe(module, inputs)`: what goes through a real module and comes back; `coord_check`: whether its width shows.
- `check(module, plan)`: its own tensors against their laws.
- `tensor(array)` and `array(tensor)`: one memory, two libraries.
"""

from .checking import check as check
from .coordinates import coord_check as coord_check
from .deprecated import constant as constant
from .deprecated import dirac as dirac
from .deprecated import eye as eye
from .deprecated import kaiming_normal as kaiming_normal
from .deprecated import kaiming_uniform as kaiming_uniform
from .deprecated import normal as normal
from .deprecated import orthogonal as orthogonal
from .deprecated import sparse as sparse
from .deprecated import uniform as uniform
from .deprecated import xavier_normal as xavier_normal
from .deprecated import xavier_uniform as xavier_uniform
from .functions import calculate_gain as calculate_gain
from .functions import constant_ as constant_
from .functions import dirac_ as dirac_
from .functions import eye_ as eye_
from .functions import normal_ as normal_
from .functions import ones_ as ones_
from .functions import orthogonal_ as orthogonal_
from .functions import sparse_ as sparse_
from .functions import trunc_normal_ as trunc_normal_
from .functions import uniform_ as uniform_
from .functions import zeros_ as zeros_
from .hub import from_config as from_config
from .memory import array as array
from .memory import tensor as tensor
from .modules import init_ as init_
from .patching import patch as patch
from .probing import probe as probe
from .scaled import kaiming_normal_ as kaiming_normal_
from .scaled import kaiming_uniform_ as kaiming_uniform_
from .scaled import xavier_normal_ as xavier_normal_
from .scaled import xavier_uniform_ as xavier_uniform_
