"""Whole models: rules by parameter name, and what they assign to each parameter."""

from .check import check as check
from .check_result import CheckResult as CheckResult
from .plan import Assignments as Assignments
from .plan import Plan as Plan
