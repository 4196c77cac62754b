"""The commands of the command line, by what they are about; `app` has them all."""

from . import probes, theories, sweeps, tensors, models, machines, comparing  # noqa: F401, I001 - as the help lists them
from .answering import app as app
