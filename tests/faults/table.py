"""All faults: a row each."""

from faults import damage, disks, ends, forking, memory, parallel, places, sharing
from faults.trial import Fault

FAULTS: tuple[Fault, ...] = tuple(
    fault for module in (ends, disks, sharing, damage, memory, forking, places, parallel) for fault in module.FAULTS
)
