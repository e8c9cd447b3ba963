"""Tell what happens often at most once a second, with a count: no silence, and no flood."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tcplab.listener.policy import Timed

#: Seconds between two lines: enough to see that it goes on, and nobody's disk fills.
INTERVAL = 1.0


class ThrottledLog(Timed):
    """
    Count what happens, and have it told: the first at once, what follows at most once a second.

    :param say: called with the number of times since it was called last, and with what the last
        of them was.
    :param clock: what the seconds are counted with; ``None`` means the global reactor.
    """

    def __init__(self, say: Callable[[int, Any], object], clock: Any = None) -> None:
        self._say = say
        self._clock = clock
        self._count = 0
        self._last: Any = None
        self._told: float | None = None
        self._waiting: Any = None
        self._trigger: Any = None

    def note(self, last: Any = None) -> None:
        """Count one more."""
        self._count += 1
        self._last = last
        if self._waiting is not None:
            return
        since = INTERVAL if self._told is None else self._time().seconds() - self._told
        if since >= INTERVAL or since < 0:  # or the clock was set back
            self.tell()
        else:
            self._wait(INTERVAL - since)

    def tell(self) -> None:
        """Tell at once what has not been told yet."""
        self._wait(None)
        if self._count:
            count, self._count = self._count, 0
            self._told = self._time().seconds()
            self._say(count, self._last)

    def _wait(self, seconds: float | None) -> None:
        if self._waiting is not None and self._waiting.active():
            self._waiting.cancel()
        self._waiting = None if seconds is None else self._time().callLater(seconds, self.tell)
        self._beforeTheEnd()

    def _beforeTheEnd(self) -> None:
        # When a server stops its timers never fire.
        reactor = self._time()
        if self._waiting is not None:
            add = getattr(reactor, "addSystemEventTrigger", None)
            self._trigger = add and add("after", "shutdown", self._atTheEnd)
        elif self._trigger is not None:
            trigger, self._trigger = self._trigger, None
            reactor.removeSystemEventTrigger(trigger)

    def _atTheEnd(self) -> None:
        self._trigger = None
        self.tell()
