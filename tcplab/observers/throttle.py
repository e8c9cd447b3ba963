"""The rate limit of the log: so many lines a second, then one with the counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorCore, IReactorTime

#: Lines of a kind in a second; further ones are summarised. A line costs about 12 us, so that
#: logging stays below 1 % of a core (100 connections x 3 lines x 12 us = 3.6 ms a second).
FULL_LINES = 100

#: Seconds between two lines of a frequent event: it is seen to go on, and no disk fills.
INTERVAL = 1.0


class Timed(Protocol):
    """An object with a clock, at the latest when there is something to count."""

    clock: IReactorTime


class SummaryTimer:
    """
    Call a function after some seconds, but before the reactor ends: no count is lost.

    :param call: is called; it has cancelled the timer by then.
    """

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._delayed: IDelayedCall | None = None
        self._reactor: IReactorCore | None = None
        self._trigger: object = None

    @property
    def running(self) -> bool:
        """Whether the function is about to be called."""
        return self._delayed is not None

    def start(self, clock: IReactorTime, seconds: float) -> None:
        """Start; it must not run."""
        self._delayed = clock.callLater(seconds, self._expired)
        # When a server stops its timers never fire.
        self._reactor = IReactorCore(clock, None)
        if self._reactor is not None:
            self._trigger = self._reactor.addSystemEventTrigger("after", "shutdown", self._shutDown)

    def cancel(self) -> None:
        """Stop, if it runs."""
        delayed, self._delayed = self._delayed, None
        if delayed is not None and delayed.active():
            delayed.cancel()
        trigger, self._trigger = self._trigger, None
        if trigger is not None and self._reactor is not None:
            self._reactor.removeSystemEventTrigger(trigger)

    def _shutDown(self) -> None:
        self._trigger = None  # it is gone by itself
        if self.running:
            self._expired()

    def _expired(self) -> None:
        self.cancel()
        self._call()


class ThrottledLog:
    """
    Count events, and log the first at once, those that follow at most once a second.

    :param log: called with the number of events since its last call, and with the last of them.
    :param owner: has the clock.
    """

    def __init__(self, log: Callable[[int, Any], object], owner: Timed) -> None:
        self._log = log
        self._owner = owner
        self._count = 0
        self._last: Any = None
        self._logged: float | None = None
        self._timer = SummaryTimer(self.flush)

    def count(self, last: Any = None) -> None:
        """Count one more event."""
        self._count += 1
        self._last = last
        if self._timer.running:
            return
        clock = self._owner.clock
        since = INTERVAL if self._logged is None else clock.seconds() - self._logged
        if since >= INTERVAL or since < 0:  # or the clock was set back
            self.flush()
        else:
            self._timer.start(clock, INTERVAL - since)

    def flush(self) -> None:
        """Log at once what is not logged yet."""
        self._timer.cancel()
        if self._count:
            count, self._count = self._count, 0
            self._logged = self._owner.clock.seconds()
            self._log(count, self._last)
