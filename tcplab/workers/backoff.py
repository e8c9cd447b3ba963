"""Back-off between restarts of workers that keep exiting."""

from __future__ import annotations

import math

#: Seconds from one start to the next, at least: 20 a second.
SPACING = 0.05
#: Seconds of serving, or of quiet, after which an earlier exit no longer counts.
_STEADY = 5.0
#: Seconds from one start to the next when workers exit after serving, or are killed: doubled each
#: time, from the second on. So the back-off is over soon after a storm is.
_FIRST, _LONGEST = 0.05, 0.25
#: When they exit by themselves before they serve: something has to be repaired first.
_FAILED, _LONGEST_FAILED = 0.1, 5.0


class RestartBackoff:
    """
    When the next worker may be started.

    :param now: the time, in seconds; all times are of that clock.
    """

    def __init__(self, now: float) -> None:
        self._due = now
        self._early = 0
        self._failed = 0
        self._lastExit = now
        self._lastStart = -math.inf

    def started(self, now: float) -> None:
        """Count a start."""
        self._lastStart = now
        self._due = max(self._due, now + SPACING)

    def served(self) -> None:
        """Forget failed starts: a worker has begun to serve."""
        self._failed = 0

    def exited(self, now: float, served: float | None, killed: bool) -> float:
        """
        Count an exit, and return the seconds until the next start.

        :param served: the seconds for which the worker served; ``None`` if it did not begin.
        :param killed: by a signal, and not by itself.
        """
        if now - self._lastExit > _STEADY or (served or 0) > _STEADY:
            self._early = 0
        self._lastExit = now
        if served is None and not killed:
            pause = min(_FAILED * 2 ** min(self._failed, 16), _LONGEST_FAILED)
            self._failed += 1
        elif self._early:
            pause = min(_FIRST * 2 ** min(self._early - 1, 16), _LONGEST)
            self._early += 1
        else:
            pause = 0.0
            self._early = 1
        self._due = max(self._due, self._lastStart + pause)
        return self.remaining(now)

    def remaining(self, now: float) -> float:
        """Return the seconds until a worker may be started."""
        return max(0.0, self._due - now)
