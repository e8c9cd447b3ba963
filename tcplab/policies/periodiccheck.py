"""A check that is repeated while there is something to check."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall

from tcplab.observers.throttle import Timed


class PeriodicCheck:
    """
    Call a function at intervals, with a clock that leaves out lost time.

    Time in which the process was stopped or starved is lost, and so is a step of the system's
    clock: no peer has caused it. At most twice the interval passes between two checks.

    :param timed: has the clock.
    :param interval: seconds between two checks.
    :param check: returns the seconds until the next check; ``None`` for none until `start`. If it
        raises an exception, it is called again after the interval.
    :ivar running: whether a check is due.
    :ivar now: seconds that have passed in checks, without lost time.
    :ivar passed: of these, the seconds since the check before.
    :ivar checkedAt: the clock's time of the last check, or of `start`.
    """

    def __init__(self, timed: Timed, interval: float, check: Callable[[], float | None]) -> None:
        self.running = False
        self.now = self.passed = self.checkedAt = 0.0
        self._timed = timed
        self._interval = interval
        self._check = check
        self._call: IDelayedCall | None = None
        self._stops = 0

    def start(self, delay: float | None = None) -> None:
        """Check after some seconds, the interval by default; a check that is due stays due."""
        if not self.running:
            clock = self._timed.clock
            self.checkedAt = clock.seconds()
            self.running = True
            self._call = clock.callLater(self._interval if delay is None else delay, self._run)

    def stop(self) -> None:
        """Check no more; `start` begins anew."""
        self._stops += 1
        self.running = False
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _run(self) -> None:
        self._call = None
        self.running = False
        self._advance()
        stops = self._stops
        delay: float | None = self._interval
        try:
            delay = self._check()
        finally:
            if delay is not None and stops == self._stops:
                if self._call is not None:
                    self._call.cancel()  # the check has called start() itself
                self.running = True
                self._call = self._timed.clock.callLater(delay, self._run)

    def _advance(self) -> None:
        seconds = self._timed.clock.seconds()
        self.passed = min(max(seconds - self.checkedAt, 0.0), 2 * self._interval)
        self.now += self.passed
        self.checkedAt = seconds
