"""Tests for `tcplab.policies.heaptrim`."""

from __future__ import annotations

import gc
import weakref

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies import heaptrim
from tcplab.policies.heaptrim import HeapTrim
from tests.policies.test_deadlines import FakeListener
from tests.support.fake_listeners import FakeConnection


class CrowdedListener(FakeListener):
    """Crowds come and go."""

    def come(self, number: int) -> None:
        for _ in range(number):
            transport = FakeConnection()
            self.connections.add(transport)
            for guard in self.policies:
                guard.connectionAccepted(transport)

    def go(self, number: int) -> None:
        for _ in range(number):
            self.connections.pop()


class TidyingTests(SynchronousTestCase):
    """When there is something to give back."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.trimmed = 0
        self.patch(heaptrim, "trim", self.trim)
        self.tidying = HeapTrim(clock=self.clock)
        self.listener = CrowdedListener()
        self.tidying.watch(self.listener)  # type: ignore[arg-type]

    def trim(self) -> None:
        self.trimmed += 1

    def wait(self, seconds: int) -> None:
        self.clock.pump([1.0] * seconds)

    def test_crowdGone(self) -> None:
        """Once for a crowd, within a second; and then there is no timer."""
        self.listener.come(100)
        self.wait(5)
        self.assertEqual(self.trimmed, 0)
        self.listener.go(100)
        self.wait(1)
        self.assertEqual(self.trimmed, 1)
        self.wait(5)
        self.assertEqual((self.trimmed, self.clock.getDelayedCalls()), (1, []))

    def test_mostGone(self) -> None:
        """Those who stay do not keep what the others have left."""
        self.listener.come(100)
        self.listener.go(49)
        self.wait(5)
        self.assertEqual(self.trimmed, 0)
        self.listener.go(1)
        self.wait(5)
        self.assertEqual(self.trimmed, 1)
        self.listener.go(24)
        self.wait(5)
        self.assertEqual(self.trimmed, 1)
        self.listener.go(1)
        self.wait(5)
        self.assertEqual(self.trimmed, 2)

    def test_oneAfterTheOther(self) -> None:
        """Many who come and go are a crowd too, but not more than once a second."""
        for _ in range(10):
            self.listener.come(1000)
            self.listener.go(1000)
            self.clock.advance(0.5)
        self.assertEqual(self.trimmed, 5)

    def test_few(self) -> None:
        """A few are none."""
        self.listener.come(15)
        self.listener.go(15)
        self.wait(5)
        self.assertEqual((self.trimmed, self.clock.getDelayedCalls()), (0, []))
        self.listener.come(1)
        self.listener.go(1)
        self.wait(5)
        self.assertEqual(self.trimmed, 1)

    def test_circles(self) -> None:
        """What only the garbage collector finds goes too, when the last one has left."""

        class Circle:
            def __init__(self) -> None:
                self.round = self

        gc.disable()
        self.addCleanup(gc.enable)
        left = weakref.ref(Circle())
        self.listener.come(20)
        self.listener.go(19)
        self.wait(2)
        self.assertIsNotNone(left())
        self.listener.come(20)
        self.listener.go(21)
        self.wait(2)
        self.assertIsNone(left())

    def test_whoIsThereAlready(self) -> None:
        """They count, and a listener that is watched twice counts once."""
        other = CrowdedListener()
        other.come(20)
        for _ in range(2):
            self.tidying.watch(other)  # type: ignore[arg-type]
        self.assertEqual(len(other.policies), 1)
        other.go(20)
        self.wait(1)
        self.assertEqual(self.trimmed, 1)

    def test_stop(self) -> None:
        """It leaves no timer, and begins anew."""
        self.listener.come(20)
        self.tidying.stop()
        self.tidying.stop()
        self.assertEqual((self.listener.policies, self.clock.getDelayedCalls()), ([], []))
        self.listener.go(20)
        self.tidying.watch(self.listener)  # type: ignore[arg-type]
        self.listener.come(15)
        self.listener.go(15)
        self.wait(5)
        self.assertEqual(self.trimmed, 0)


class TrimTests(SynchronousTestCase):
    def test_trim(self) -> None:
        """It does no harm, also where the C library has none."""
        heaptrim.trim()
        self.patch(heaptrim.ctypes, "CDLL", lambda _: object())
        heaptrim.trim()
