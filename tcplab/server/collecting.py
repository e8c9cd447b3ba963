"""The garbage collector of a process that does nothing but serve."""

from __future__ import annotations

import gc

# New objects before it looks for garbage, instead of 700. With that many connections coming it
# looked through all that live, 90 ms for 5,000 of them, at every quarter more; and what a
# connection leaves is no garbage of this kind: it goes when it is over, without being looked for.
_THRESHOLD = 10_000


def collectSeldom() -> None:
    """Look for garbage less often, and not at all among what is there now: it stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_THRESHOLD)
