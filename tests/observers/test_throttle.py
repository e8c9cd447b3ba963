"""Tests for `tcplab.observers.throttle`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.observers.throttle import INTERVAL, ThrottledLog


class Settable(Clock):
    """A clock that can be set, as the system's can."""

    def set(self, to: float) -> None:
        self.rightNow = to


class ThrottledLogTests(SynchronousTestCase):
    """Never a silent drop, never a flood."""

    def setUp(self) -> None:
        self.clock = Settable()
        self.clock.set(1000.0)
        self.told: list[tuple[int, Any]] = []
        self.summary = self.on(self.clock)

    def on(self, clock: Any) -> ThrottledLog:
        owner: Any = SimpleNamespace(clock=clock)
        return ThrottledLog(lambda count, last: self.told.append((count, last)), owner)

    def test_theFirstIsToldAtOnce(self) -> None:
        """Alone, it leaves nothing to be told, and no timer."""
        self.summary.count("a")
        self.assertEqual(self.told, [(1, "a")])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_whatFollowsIsCounted(self) -> None:
        """It is told at the end of the second, with the last of it."""
        for each in ("a", "b", "c"):
            self.summary.count(each)
        self.clock.advance(INTERVAL * 0.99)
        self.assertEqual(self.told, [(1, "a")])
        self.clock.advance(INTERVAL * 0.01)
        self.assertEqual(self.told, [(1, "a"), (2, "c")])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_aFlood(self) -> None:
        """A line a second, whatever comes; and all is counted."""
        for _ in range(100):
            for _ in range(100):
                self.summary.count()
            self.clock.advance(0.1)
        self.assertLessEqual(len(self.told), 11)
        self.clock.advance(INTERVAL)
        self.assertEqual(sum(count for count, _ in self.told), 10_000)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nowAndThen(self) -> None:
        """What happens less often is told at once each time."""
        for each in range(3):
            self.summary.count(each)
            self.clock.advance(INTERVAL)
        self.assertEqual(self.told, [(1, 0), (1, 1), (1, 2)])

    def test_flush(self) -> None:
        """What is not told yet can be told at once, and then no timer is left."""
        self.summary.flush()
        self.assertEqual(self.told, [])
        self.summary.count("a")
        self.summary.count("b")
        self.summary.flush()
        self.assertEqual(self.told, [(1, "a"), (1, "b")])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_clockSetBack(self) -> None:
        """A clock that is set back an hour does not silence it for one."""
        self.summary.count("a")
        self.clock.set(10.0)
        self.summary.count("b")
        self.assertEqual(self.told, [(1, "a"), (1, "b")])

    def test_theEnd(self) -> None:
        """A reactor that stops has what is not told yet told at the end."""
        reactor = MemoryReactorClock()
        summary = self.on(reactor)
        for each in ("a", "b", "c"):
            summary.count(each)
        [told] = reactor.triggers["after"]["shutdown"]
        told[0]()
        self.assertEqual(self.told, [(1, "a"), (2, "c")])
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_nothingIsLeftWithTheReactor(self) -> None:
        """Once it is told, the reactor has nothing to do at its end: summaries come and go."""

        class Counting(MemoryReactorClock):
            added = 0

            def addSystemEventTrigger(self, *args: Any) -> Any:
                self.added += 1
                return args

            def removeSystemEventTrigger(self, trigger: Any) -> None:
                self.added -= 1

        reactor = Counting()
        summary = self.on(reactor)
        for _ in range(3):
            summary.count()
        self.assertEqual(reactor.added, 1)
        reactor.advance(INTERVAL)
        self.assertEqual((reactor.added, self.told), (0, [(1, None), (2, None)]))
