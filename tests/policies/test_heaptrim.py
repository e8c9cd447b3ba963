"""Tests for `tcplab.policies.heaptrim`."""

from __future__ import annotations

import gc
import weakref

from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies import heaptrim
from tcplab.policies.heaptrim import HeapTrim
from tests.support.memory_listener import MemoryListener, memoryClock


class HeapTrimTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = memoryClock()
        self.trimmed = 0
        self.patch(heaptrim, "trim", self.trim)
        self.policy = HeapTrim(clock=self.clock)
        self.listener = MemoryListener(self.clock)
        self.policy.watch(self.listener)

    def trim(self) -> None:
        self.trimmed += 1

    def open(self, number: int) -> None:
        for _ in range(number):
            self.listener.acceptOne()

    def close(self, number: int) -> None:
        for transport in list(self.listener.connections)[:number]:
            transport.end()

    def trims(self, seconds: int) -> int:
        """Return how many there are in some seconds."""
        self.trimmed = 0
        self.clock.pump([1.0] * seconds)
        return self.trimmed

    def test_allClosed(self) -> None:
        """Once for a burst, within a second; then there is no timer."""
        self.open(100)
        self.assertEqual(self.trims(5), 0)
        self.close(100)
        self.assertEqual((self.trims(1), self.trims(5)), (1, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_mostClosed(self) -> None:
        """Half of them, and half of the rest."""
        self.open(100)
        for closed, trims in ((49, 0), (1, 1), (24, 0), (1, 1)):
            self.close(closed)
            self.assertEqual(self.trims(5), trims)

    def test_oneAfterTheOther(self) -> None:
        """Short connections add up, but not to more than one trim a second."""
        self.trimmed = 0
        for _ in range(10):
            self.open(100)
            self.close(100)
            self.clock.advance(0.5)
        self.assertEqual(self.trimmed, 5)

    def test_few(self) -> None:
        self.open(15)
        self.close(15)
        self.assertEqual((self.trims(5), self.clock.getDelayedCalls()), (0, []))
        self.open(1)
        self.close(1)
        self.assertEqual(self.trims(5), 1)

    def test_cycles(self) -> None:
        """The garbage collector runs when the last connection has closed."""

        class Cycle:
            def __init__(self) -> None:
                self.cycle = self

        gc.disable()
        self.addCleanup(gc.enable)
        left = weakref.ref(Cycle())
        self.open(20)
        self.close(19)
        self.assertEqual((self.trims(2), left() is None), (1, False))
        self.open(20)
        self.close(21)
        self.assertEqual((self.trims(2), left() is None), (1, True))

    def test_watchedLater(self) -> None:
        """Open connections count."""
        other = MemoryListener(self.clock)
        for _ in range(20):
            other.acceptOne()
        self.policy.watch(other)
        other.close()
        self.assertEqual(self.trims(1), 1)

    def test_stop(self) -> None:
        """No timer is left, and counting begins anew."""
        self.open(20)
        self.policy.stop()
        self.policy.stop()
        self.assertEqual((self.listener.policies, self.clock.getDelayedCalls()), ((), []))
        self.close(20)
        self.policy.watch(self.listener)
        self.open(15)
        self.close(15)
        self.assertEqual(self.trims(5), 0)


class TrimTests(SynchronousTestCase):
    def test_trim(self) -> None:
        """With glibc, and without."""
        heaptrim.trim()
        self.patch(heaptrim.ctypes, "CDLL", lambda _: object())
        heaptrim.trim()
