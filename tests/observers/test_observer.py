"""Tests for `tcplab.observers.observer`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.events import Connection, Ending
from tcplab.observers import Observer, Observers
from tcplab.protocols.echo import LabConversation
from tcplab.testing import connected

CONNECTION = Connection(
    listener="lab",
    number=1,
    prefix="Lab,1,127.0.0.1",
    peer=IPv4Address("TCP", "127.0.0.1", 36702),
    host=IPv4Address("TCP", "127.0.0.1", 50544),
)
ENDING = Ending("peer", "fin", None, None, 2, 18, 0.012)


class Writer:
    """Write all it is told into a book that others write into too."""

    def __init__(self, name: str, book: list[Any]) -> None:
        self.name, self.book = name, book

    def connectionOpened(self, connection: Connection) -> None:
        self.book.append((self.name, "opened", connection))

    def messageReported(self, connection: Connection, message: bytes) -> None:
        self.book.append((self.name, "reported", connection, message))

    def connectionClosed(self, connection: Connection, ending: Ending) -> None:
        self.book.append((self.name, "closed", connection, ending))


class OnlyMessages:
    """An observer with one hook."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    def messageReported(self, connection: Connection, message: bytes) -> None:
        self.messages.append(message)


class Broken:
    """Raise at every word."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def connectionOpened(self, connection: Connection) -> None:
        self.told.append("opened")
        raise RuntimeError("a bug of the observer")

    def messageReported(self, connection: Connection, message: bytes) -> None:
        self.told.append("reported")
        raise RuntimeError("a bug of the observer")

    def connectionClosed(self, connection: Connection, ending: Ending) -> None:
        self.told.append("closed")
        raise RuntimeError("a bug of the observer")


@dataclass
class Equal:
    """Equal to any other that has the same name, as dataclasses are."""

    name: str
    broken: bool = field(default=False, compare=False)
    told: list[bytes] = field(default_factory=list, compare=False)

    def messageReported(self, connection: Connection, message: bytes) -> None:
        self.told.append(message)
        if self.broken:
            raise RuntimeError("a bug of the observer")


def tellAll(group: Any) -> None:
    group.connectionOpened(CONNECTION)
    group.messageReported(CONNECTION, b"hi")
    group.connectionClosed(CONNECTION, ENDING)


class TellingTests(SynchronousTestCase):
    """A group tells each observer what it can hear."""

    def test_allInOrder(self) -> None:
        """Each is told everything, with the very values, in the order given."""
        book: list[Any] = []
        tellAll(Observers(Writer("a", book), Writer("b", book)))
        self.assertEqual(
            book,
            [
                ("a", "opened", CONNECTION),
                ("b", "opened", CONNECTION),
                ("a", "reported", CONNECTION, b"hi"),
                ("b", "reported", CONNECTION, b"hi"),
                ("a", "closed", CONNECTION, ENDING),
                ("b", "closed", CONNECTION, ENDING),
            ],
        )

    def test_nobody(self) -> None:
        """A group of none is told in vain."""
        tellAll(Observers())

    def test_hits(self) -> None:
        """Faults are told to those who want to hear of them."""
        told: list[Any] = []

        class Hears:
            def faultHit(self, connection: Connection | None, text: str) -> None:
                told.append((connection, text))

        group = Observers(OnlyMessages(), Hears())
        group.faultHit(None, "refuse listener=echo")
        self.assertEqual(told, [(None, "refuse listener=echo")])

    def test_missingHooks(self) -> None:
        """An observer has the hooks it wants; any object is an observer."""
        some = OnlyMessages()
        tellAll(Observers(object(), some, Observer()))
        self.assertEqual(some.messages, [b"hi"])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_groupInAGroup(self) -> None:
        """A group is an observer too."""
        book: list[Any] = []
        tellAll(Observers(Observers(Writer("inner", book)), Writer("outer", book)))
        self.assertEqual([entry[0] for entry in book], ["inner", "outer"] * 3)

    def test_add(self) -> None:
        """One that joins is told from then on, after the others."""
        book: list[Any] = []
        group = Observers(Writer("a", book))
        group.connectionOpened(CONNECTION)
        group.add(Writer("late", book))
        group.messageReported(CONNECTION, b"hi")
        self.assertEqual(
            [entry[:2] for entry in book],
            [("a", "opened"), ("a", "reported"), ("late", "reported")],
        )

    def test_remove(self) -> None:
        """One that leaves is told no more; the others are."""
        book: list[Any] = []
        leaving, staying = Writer("leaving", book), Writer("staying", book)
        group = Observers(leaving, staying)
        group.connectionOpened(CONNECTION)
        group.remove(leaving)
        group.messageReported(CONNECTION, b"hi")
        self.assertEqual(
            [entry[:2] for entry in book],
            [("leaving", "opened"), ("staying", "opened"), ("staying", "reported")],
        )

    def test_removeAStranger(self) -> None:
        """One that is not in the group cannot leave it, equal to a member or not."""
        group = Observers(Equal("same"))
        self.assertRaises(ValueError, group.remove, object())
        self.assertRaises(ValueError, group.remove, Equal("same"))

    def test_removeTakesTheVeryOne(self) -> None:
        """Of two that are equal, the one that was named leaves."""
        first, second = Equal("same"), Equal("same")
        group = Observers(first, second)
        group.remove(second)
        group.messageReported(CONNECTION, b"hi")
        self.assertEqual((first.told, second.told), ([b"hi"], []))


class FailingTests(SynchronousTestCase):
    """Watching must not break what is watched."""

    def test_droppedAfterItsFirstFailure(self) -> None:
        """One that raises is logged once and told nothing more, by any hook."""
        broken = Broken()
        group = Observers(broken)
        tellAll(group)
        tellAll(group)
        self.assertEqual(broken.told, ["opened"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_logNamesIt(self) -> None:
        """The log says which observer failed."""
        logged = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        broken = Broken()
        Observers(broken).connectionOpened(CONNECTION)
        [event] = [each for each in logged if "log_failure" in each]
        self.assertIs(event["observer"], broken)
        self.flushLoggedErrors(RuntimeError)

    def test_othersAreStillTold(self) -> None:
        """Those before it and behind it miss nothing, not even what it failed at."""
        book: list[Any] = []
        tellAll(Observers(Writer("a", book), Broken(), Writer("b", book)))
        self.assertEqual(
            [entry[:2] for entry in book],
            [(name, what) for what in ("opened", "reported", "closed") for name in ("a", "b")],
        )
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_severalFail(self) -> None:
        """Each failure is logged; none hides another."""
        group = Observers(Broken(), Broken(), Broken())
        tellAll(group)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 3)

    def test_equalsAreNotConfused(self) -> None:
        """It is the one that raised who is dropped, not another that is equal to it."""
        good, bad = Equal("same"), Equal("same", broken=True)
        group = Observers(good, bad)
        group.messageReported(CONNECTION, b"1")
        group.messageReported(CONNECTION, b"2")
        self.assertEqual((good.told, bad.told), ([b"1", b"2"], [b"1"]))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_leavesAndThenRaises(self) -> None:
        """One that takes itself out and raises all the same harms nobody."""
        group = Observers()

        class Leaver:
            def connectionOpened(self, connection: Connection) -> None:
                group.remove(self)
                raise RuntimeError("a last word")

        some = OnlyMessages()
        group.add(Leaver())
        group.add(some)
        tellAll(group)
        self.assertEqual(some.messages, [b"hi"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_raisesWithinItsOwnFailure(self) -> None:
        """One whose failing hook makes it be told again, and fail again, harms nobody."""
        group = Observers()

        class Deep:
            def connectionOpened(self, connection: Connection) -> None:
                group.connectionClosed(connection, ENDING)
                raise RuntimeError("outer")

            def connectionClosed(self, connection: Connection, ending: Ending) -> None:
                raise RuntimeError("inner")

        book: list[Any] = []
        group.add(Deep())
        group.add(Writer("b", book))
        group.connectionOpened(CONNECTION)
        self.assertEqual([entry[1] for entry in book], ["closed", "opened"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)

    def test_theConnectionGoesOn(self) -> None:
        """The conversation that is watched notices nothing, and its end is told to the others."""
        peer = connected(LabConversation())
        broken = Broken()
        peer.listener.observers.add(broken)  # type: ignore[attr-defined]
        peer.write(b"hi")
        peer.finish()
        self.assertEqual(peer.value(), b"You are connected!hi")
        self.assertEqual((peer.messages, broken.told), ([b"hi"], ["reported"]))
        self.assertFalse(peer.wasReset)
        self.assertIsNotNone(peer.ending)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
