"""The garbage collector of a process that does nothing but serve."""

from __future__ import annotations

import gc

# New objects before it looks for garbage, instead of 700, and how often before it looks at older
# ones too. With 700 it looked through all that live, 90 ms for 5,000 connections, at every quarter
# more of them. What a connection leaves goes when it is over, without being looked for. Only what
# faults leave does not: it is found when 300,000 are new, which is 30 MB of it at most.
_THRESHOLDS = 10_000, 10, 3


def collectSeldom() -> None:
    """Look for garbage less often, and not at all among what is there now: it stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
