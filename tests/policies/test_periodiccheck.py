"""Tests for `tcplab.policies.periodiccheck`."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies.periodiccheck import PeriodicCheck


class PeriodicCheckTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.times: list[float] = []
        self.check: Callable[[], float | None] = lambda: 2.0
        self.checks = PeriodicCheck(self, 2.0, self._check)

    def _check(self) -> float | None:
        self.times.append(self.clock.seconds() - 1000)
        return self.check()

    def test_repeats(self) -> None:
        """After the interval, then after what the check returns; start() changes nothing."""
        self.checks.start()
        self.check = lambda: 0.5
        self.checks.start(0.1)
        self.clock.pump([0.5] * 6)
        self.assertEqual((self.times, self.checks.running), ([2.0, 2.5, 3.0], True))

    def test_stops(self) -> None:
        """By stop(), also within the check, or when the check returns None."""
        self.checks.start(1)
        self.checks.stop()
        self.checks.stop()
        self.clock.advance(5)
        self.assertEqual(self.times, [])
        for check in (lambda: None, lambda: self.checks.stop() or 1.0):
            self.check = check
            self.checks.start(1)
            self.clock.pump([1] * 3)
            self.assertFalse(self.checks.running)
        self.assertEqual((len(self.times), self.clock.getDelayedCalls()), (2, []))

    def test_startedWithinTheCheck(self) -> None:
        """A start stays where the check returns None; else what it returns counts."""
        for result, due in ((None, 7.0), (3.0, 3.0)):
            self.check = lambda: self.checks.start(7) or result  # noqa: B023
            self.checks.start(1)
            self.clock.advance(1)
            [call] = self.clock.getDelayedCalls()
            self.assertEqual(call.getTime() - self.clock.seconds(), due)
            self.checks.stop()

    def test_failure(self) -> None:
        """The exception is raised, and the check repeated."""
        self.check = lambda: 1 // 0  # type: ignore[assignment]
        self.checks.start()
        for _ in range(2):
            self.assertRaises(ZeroDivisionError, self.clock.advance, 2)
        self.assertEqual(self.times, [2.0, 4.0])

    def test_lostTime(self) -> None:
        """Of a gap, and of a clock that is set back, no more than two intervals pass."""
        self.checks.start()
        for step, passed, now in ((2, 2, 2), (3, 3, 5), (3600, 4, 9), (-3600, 0, 9), (2, 2, 11)):
            self.clock.rightNow += step
            [call] = self.clock.getDelayedCalls()
            call.reset(0)
            self.clock.advance(0)
            self.assertEqual((self.checks.passed, self.checks.now), (passed, now))
            self.assertEqual(self.checks.checkedAt, self.clock.seconds())

    def test_startedAnew(self) -> None:
        """The time between stop() and start() does not pass."""
        self.checks.start()
        self.clock.advance(2)
        self.checks.stop()
        self.clock.advance(100)
        self.checks.start()
        self.clock.advance(2)
        self.assertEqual((self.checks.passed, self.checks.now), (2, 4))
