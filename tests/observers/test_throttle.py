"""Tests for `tcplab.observers.throttle`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.observers.throttle import INTERVAL, ThrottledLog


class StoppingReactor(MemoryReactorClock):
    """A reactor that keeps what it has to call at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.atEnd: list[Any] = []

    def addSystemEventTrigger(self, phase: str, event: str, function: Any) -> Any:
        assert (phase, event) == ("after", "shutdown")
        self.atEnd.append(function)
        return function

    def removeSystemEventTrigger(self, trigger: Any) -> None:
        self.atEnd.remove(trigger)


class ThrottledLogTests(SynchronousTestCase):
    """Every event is counted, and a line is written at most once a second."""

    def setUp(self) -> None:
        self.start(Clock())

    def start(self, clock: Any) -> None:
        self.clock = clock
        clock.advance(1000)
        self.logged: list[tuple[int, Any]] = []
        owner: Any = SimpleNamespace(clock=clock)
        self.throttled = ThrottledLog(lambda *line: self.logged.append(line), owner)

    def count(self, *events: object) -> None:
        for each in events:
            self.throttled.count(each)

    def assertLogged(self, *lines: tuple[int, Any]) -> None:
        """Check what was logged, and that nothing is left to do."""
        self.assertEqual(self.logged, list(lines))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_second(self) -> None:
        """The first is logged at once; the others at the end of the second, with the last one."""
        self.count("a")
        self.assertLogged((1, "a"))
        self.count("b", "c")
        self.clock.advance(INTERVAL * 0.99)
        self.assertEqual(self.logged, [(1, "a")])
        self.clock.advance(INTERVAL * 0.01)
        self.assertLogged((1, "a"), (2, "c"))

    def test_flood(self) -> None:
        """A line a second, however many events there are; and all are counted."""
        for _ in range(100):
            self.count(*range(100))
            self.clock.advance(0.1)
        self.assertLessEqual(len(self.logged), 11)
        self.clock.advance(INTERVAL)
        self.assertEqual(sum(count for count, _ in self.logged), 10_000)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_rare(self) -> None:
        """Events that are further apart are logged at once, as when the clock is set back."""
        for event in ("a", "b"):
            self.count(event)
            self.clock.advance(INTERVAL)
        self.count("c")
        self.clock.rightNow = 10.0
        self.count("d")
        self.assertLogged((1, "a"), (1, "b"), (1, "c"), (1, "d"))

    def test_flush(self) -> None:
        """What is not logged yet can be logged at once, if there is anything."""
        self.throttled.flush()
        self.assertLogged()
        self.count("a", "b")
        self.throttled.flush()
        self.assertLogged((1, "a"), (1, "b"))

    def test_reactorStops(self) -> None:
        """The rest is logged at the reactor's end; else nothing is left for it to do then."""
        self.start(reactor := StoppingReactor())
        self.count("a", "b")
        reactor.advance(INTERVAL)
        self.assertEqual(reactor.atEnd, [])
        self.count("c", "d")
        atEnd = reactor.atEnd.pop()  # as a reactor does, which cannot remove it after that
        atEnd()
        self.assertLogged((1, "a"), (1, "b"), (2, "d"))
