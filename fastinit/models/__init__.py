"""Whole models: rules by parameter name, and what they assign to each parameter."""

from .plan import Assignments as Assignments
from .plan import Plan as Plan
