"""The pace at which processes are started again that keep dying."""

from __future__ import annotations

import math

#: Seconds from one start to the next, at least: 20 a second.
SPACING = 0.05
#: Who has served that long before it died has nothing to do with who died before.
_STEADY = 5.0
#: From one start to the next when those that die had served, or were killed: doubled each time,
#: from the second on. It is over soon after a storm is.
_FIRST, _LONGEST = 0.05, 0.25
#: When they end by themselves before they serve: there is something to be mended first.
_FAILED, _LONGEST_FAILED = 0.1, 5.0


class RestartBackoff:
    """
    Say when the next may be started.

    :param now: the time, in seconds; all times are of that clock.
    """

    def __init__(self, now: float) -> None:
        self._due = now
        self._early = 0
        self._failed = 0
        self._last = now
        self._started = -math.inf

    def started(self, now: float) -> None:
        """Count a start."""
        self._started = now
        self._due = max(self._due, now + SPACING)

    def served(self) -> None:
        """One has begun to serve: what failed before is mended."""
        self._failed = 0

    def died(self, now: float, served: float | None, killed: bool) -> float:
        """
        Count a death, and return the seconds until the next start.

        :param served: the seconds that it had served; ``None``: it had not begun.
        :param killed: by a signal, and not by itself.
        """
        if now - self._last > _STEADY or (served or 0) > _STEADY:
            self._early = 0
        self._last = now
        if served is None and not killed:
            pause = min(_FAILED * 2 ** min(self._failed, 16), _LONGEST_FAILED)
            self._failed += 1
        elif self._early:
            pause = min(_FIRST * 2 ** min(self._early - 1, 16), _LONGEST)
            self._early += 1
        else:
            pause = 0.0
            self._early = 1
        self._due = max(self._due, self._started + pause)
        return self.left(now)

    def left(self, now: float) -> float:
        """Return the seconds until one may be started."""
        return max(0.0, self._due - now)
