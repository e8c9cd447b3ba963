"""Tests for `tcplab.listener.oneshot`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.oneshot import OneShot


class OneShotTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.shot = OneShot[int]()
        self.before = [self.shot.wait() for _ in range(3)]

    def test_result(self) -> None:
        self.assertFalse(self.shot.fired)
        self.assertNoResult(self.before[0])
        succeed(7).addBoth(self.shot.fire)
        for deferred in [*self.before, self.shot.wait()]:
            self.assertEqual(self.successResultOf(deferred), 7)
        self.assertTrue(self.shot.fired)

    def test_failure(self) -> None:
        """Each caller receives it, and none is left for the log."""
        fail(KeyError()).addBoth(self.shot.fire)
        for deferred in [*self.before, self.shot.wait()]:
            self.failureResultOf(deferred, KeyError)

    def test_cancelled(self) -> None:
        self.before[1].cancel()
        self.failureResultOf(self.before[1], CancelledError)
        self.shot.fire(7)
        self.assertEqual([self.successResultOf(self.before[each]) for each in (0, 2)], [7, 7])

    def test_reentrant(self) -> None:
        """A callback may wait again, and cancel another Deferred."""
        self.before[0].addCallback(lambda _: self.shot.wait())
        self.before[1].addErrback(lambda failure: failure.trap(CancelledError) and None)
        self.before[0].addCallback(lambda value: self.before[1].cancel() or value)
        self.shot.fire(7)
        self.assertEqual(self.successResultOf(self.before[0]), 7)
        self.assertIsNone(self.successResultOf(self.before[1]))
        self.assertEqual(self.successResultOf(self.before[2]), 7)
