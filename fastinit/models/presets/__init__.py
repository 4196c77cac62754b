"""Plans of models and projects that people run, each a few rules with its source."""

from . import frameworks, linear, mixtures, scaling, transformers, vision  # noqa: F401
from .registry import preset_lines as preset_lines
from .registry import preset_plan as preset_plan
