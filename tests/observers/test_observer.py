"""Tests for `tcplab.observers.observer`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partialmethod
from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tcplab.observers import FaultLog, LogObserver, Observer, Observers
from tcplab.protocols.echo import LabConversation
from tcplab.testing import connected
from tests.support.observed_events import EVENTS

NAMES = list(EVENTS)


@dataclass
class Writer:
    """
    Write all events into a book; equal to any other of the same name, as dataclasses are.

    :ivar broken: fail in each hook.
    :ivar meanwhile: called in the first hook.
    """

    name: str
    book: list[Any] = field(compare=False)
    broken: bool = field(default=False, compare=False)
    meanwhile: Callable[[], object] | None = field(default=None, compare=False)

    def _write(self, *event: object) -> None:
        self.book.append((self.name, *event))
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        if self.broken:
            raise RuntimeError("a bug of the observer")

    connectionOpened = partialmethod(_write, "connectionOpened")
    messageReported = partialmethod(_write, "messageReported")
    faultHit = partialmethod(_write, "faultHit")
    connectionClosed = partialmethod(_write, "connectionClosed")


class GroupCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.book: list[Any] = []

    def writer(self, name: str, broken: bool = False, meanwhile: Any = None) -> Writer:
        return Writer(name, self.book, broken, meanwhile)

    def report(self, group: Any, *names: str) -> None:
        """Report these events, or all."""
        for name, values in EVENTS.items():
            if not names or name in names:
                getattr(group, name)(*values)

    @property
    def events(self) -> list[tuple[str, str]]:
        """The names of observers, and of what each was called for."""
        return [entry[:2] for entry in self.book]


class GroupTests(GroupCase):
    """A group calls the hooks that each observer has."""

    def test_order(self) -> None:
        """Each event reaches all, with the very values, in the order given, in groups too."""
        self.report(Observers(Observers(self.writer("a")), self.writer("b")))
        self.assertEqual(
            self.book, [(each, name, *values) for name, values in EVENTS.items() for each in "ab"]
        )

    def test_missingHooks(self) -> None:
        """Any object is an observer; what it inherits from Observer is not called."""
        messages: list[bytes] = []
        some = SimpleNamespace(messageReported=lambda _, message: messages.append(message))
        group = Observers(object(), some, Observer())
        self.report(group)
        self.assertEqual(messages, [b"hi"])
        self.assertEqual(sum(map(len, group._hooks.values())), 1)
        self.report(Observers())

    def test_addAndRemove(self) -> None:
        """Of two that are equal the very one is removed; another object cannot be."""
        first, second = self.writer("first"), self.writer("second")
        group = Observers(first)
        self.report(group, "connectionOpened")
        group.add(second)
        self.report(group, "messageReported")
        group.remove(first)
        self.report(group, "faultHit")
        opened, reported, hit = NAMES[:3]
        self.assertEqual(
            self.events,
            [("first", opened), ("first", reported), ("second", reported), ("second", hit)],
        )
        for other in object(), self.writer("second"):
            self.assertRaises(ValueError, group.remove, other)

    def test_clock(self) -> None:
        """Observers without a clock get the one that is offered, also later."""
        clock, given = Clock(), Clock()
        logs = [LogObserver(), LogObserver(given), FaultLog()]
        group = Observers(*logs)
        group.useClock(clock)
        group.add(late := LogObserver())
        self.assertEqual([logs[0]._clock, logs[1]._clock], [clock, given])  # type: ignore[union-attr]
        self.assertIs(logs[2]._log._clock, clock)  # type: ignore[union-attr]
        self.assertIs(late._clock, clock)

        class Broken(Observer):
            def useClock(self, clock: object) -> None:
                raise RuntimeError

        group.add(Broken())
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class FailingTests(GroupCase):
    """To observe a connection must not break it."""

    def test_removed(self) -> None:
        """An observer that fails is logged once and called no more; the others miss nothing."""
        for name in NAMES:
            self.book.clear()
            logged = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
            broken = self.writer("broken", broken=True)
            group = Observers(self.writer("a"), broken, self.writer("b"))
            self.report(group, name)
            self.report(group)
            others = [name, *NAMES]
            for observer, calls in (("broken", [name]), ("a", others), ("b", others)):
                self.assertEqual([call for by, call in self.events if by == observer], calls)
            [event] = [each for each in logged if "log_failure" in each]
            self.assertIs(event["observer"], broken)
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_equalsAreNotConfused(self) -> None:
        """The one that failed is removed, not another that is equal to it; several may fail."""
        group = Observers(
            self.writer("same"), *(self.writer("same", broken=True) for _ in range(3))
        )
        self.report(group, "messageReported")
        self.report(group, "faultHit")
        self.assertEqual(self.events, [("same", "messageReported")] * 4 + [("same", "faultHit")])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 3)

    def failing(self, act: Callable[[Observers, Writer], object]) -> list[tuple[str, str]]:
        """Have an observer act in its hook, and fail; return the last two events."""
        group = Observers()
        broken = self.writer("broken", True, lambda: act(group, broken))
        group.add(broken)
        group.add(self.writer("b"))
        self.report(group, "connectionOpened", "connectionClosed")
        return self.events[-2:]

    def test_reentrant(self) -> None:
        """A hook that fails may have removed its observer, or have had it fail before."""
        rest = [("b", "connectionOpened"), ("b", "connectionClosed")]
        self.assertEqual(self.failing(lambda group, broken: group.remove(broken)), rest)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.failing(lambda group, _: self.report(group, "faultHit")), rest)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)

    def test_theConnectionGoesOn(self) -> None:
        """The conversation notices nothing, and its end is reported to the others."""
        peer = connected(LabConversation())
        peer.listener.observers.add(self.writer("broken", broken=True))  # type: ignore[attr-defined]
        peer.finish(b"hi")
        self.assertEqual(peer.value(), b"You are connected!hi")
        self.assertEqual((peer.messages, self.events), ([b"hi"], [("broken", "messageReported")]))
        self.assertFalse(peer.wasReset)
        self.assertIsNotNone(peer.ending)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
