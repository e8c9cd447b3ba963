"""Tests for `tcplab.policies.timing`."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies.timing import Timed


class TimedTests(SynchronousTestCase):
    def test_itsOwnClock(self) -> None:
        timed = Timed()
        timed._clock = clock = Clock()
        self.assertIs(timed._time(), clock)

    def test_theGlobalReactor(self) -> None:
        self.assertIs(Timed()._time(), reactor)
