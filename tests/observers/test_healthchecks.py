"""Tests for `tcplab.observers.healthchecks`, by the lines of the log."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import Logger, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.events import Connection, Ending
from tcplab.observers import LogObserver, healthchecks
from tcplab.observers.healthchecks import FORGOTTEN, HOLD, MINUTE, OTHERS
from tcplab.wire.reasons import Reason
from tests.support.observed_events import CONNECTION

CHECK = Ending("peer", "reset", None, 104, 0, 18, 0.0)
PROBE = CHECK._replace(why=Reason.PROBE, sent=0)
TALK = CHECK._replace(received=2)


class ChecksCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock: Any = Clock()
        self.start()

    def start(self) -> None:
        self.said: list[str] = []

        class Keeping(LogObserver):
            log = Logger(observer=lambda event: self.said.append(formatEvent(event)))

        self.observer, self.number = Keeping(self.clock), 0

    def open(self, host: str = "10.0.0.9", **changes: Any) -> Connection:
        self.number += 1
        peer = IPv4Address("TCP", host, 1) if host else UNIXAddress(None)
        opened = CONNECTION._replace(number=self.number, peer=peer, **changes)
        self.observer.connectionOpened(opened)
        return opened

    def close(self, ending: Ending = CHECK, **given: Any) -> None:
        self.observer.connectionClosed(self.open(**given), ending)

    def lines(self) -> list[str]:
        """Return the first word of each line since the last call."""
        said, self.said = self.said, []
        return [each.split()[0] for each in said]

    def check(self, count: int, lines: int, **given: Any) -> None:
        for _ in range(count):
            self.close(**given)
        self.assertEqual(self.lines(), ["server:", "closed"] * lines)


class CountTests(ChecksCase):
    def test_minutes(self) -> None:
        """The first three of an address have lines; the others are counted, a line a minute."""
        self.check(3, 3)
        self.check(60, 0)
        self.check(3, 3, host="10.0.0.8")
        self.clock.advance(MINUTE)
        self.assertEqual(
            self.said, ["checks=60 from 10.0.0.9: health checks without lines of their own"]
        )
        self.said.clear()
        self.check(2, 0)
        self.clock.advance(MINUTE)
        self.assertEqual(self.lines(), ["checks=2"])
        self.clock.advance(FORGOTTEN - MINUTE)
        self.check(4, 3)

    def test_reactorStops(self) -> None:
        """The rest is written then."""
        self.clock = MemoryReactorClock()
        self.start()
        self.check(5, 3)
        for function, args, kwargs in self.clock.triggers["after"]["shutdown"]:
            function(*args, **kwargs)
        self.assertEqual(self.lines(), ["checks=2"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_kinds(self) -> None:
        """What is a check, of an address whose checks have no lines any more, and what is none."""
        self.check(3, 3)
        for check, ending in (
            (True, CHECK),
            (True, CHECK._replace(how="fin", errno=None)),
            (True, CHECK._replace(by="server")),  # the answer met a reset
            (False, TALK),
            (False, CHECK._replace(by="server", how="fin")),  # a whole answer
            (False, CHECK._replace(by="server", why=Reason.IDLE_TIMEOUT)),
            (False, CHECK._replace(why=Reason.UPSTREAM)),
        ):
            self.check(1, 0 if check else 1, ending=ending)

    def test_probes(self) -> None:
        """Connections that ended before a handshake are never opened; they count alike."""
        for number in range(5):
            self.number += 1
            self.observer.connectionClosed(CONNECTION._replace(number=self.number), PROBE)
            self.assertEqual(self.lines(), ["closed"] if number < 3 else [])

    def test_local(self) -> None:
        """A proxy's own connection without a byte is only counted, even with a whole answer."""
        self.check(2, 0, local=True)
        self.check(1, 0, local=True, ending=CHECK._replace(by="server", how="fin"))
        self.check(1, 1, local=True, ending=TALK)
        self.observer.connectionClosed(CONNECTION._replace(local=True), PROBE)
        self.clock.advance(MINUTE)
        self.assertEqual(
            [each.partition(":")[0] for each in self.said],
            ["checks=3 from 10.0.0.9", "checks=1 from 127.0.0.1"],
        )

    def test_unix(self) -> None:
        """All peers of Unix sockets are one address."""
        self.check(4, 3, host="")

    def test_manyAddresses(self) -> None:
        """The one without a check for longest is forgotten; its count is not lost."""
        self.patch(healthchecks, "MAX_ADDRESSES", 2)
        self.patch(healthchecks, "FULL_LINES", 1)
        for host, count in (("10.0.0.1", 5), ("10.0.0.2", 6), ("10.0.0.1", 1), ("10.0.0.3", 4)):
            self.check(count, min(count, 3) if host != "10.0.0.1" or count > 1 else 0, host=host)
        self.check(3, 3, host="10.0.0.2")
        self.clock.advance(MINUTE)
        self.assertEqual(
            [each.partition(":")[0] for each in self.said],
            ["checks=1 from 10.0.0.3", f"checks=6 from {OTHERS}"],
        )


class HoldTests(ChecksCase):
    """The first line of a connection that may be a check waits, and none is lost."""

    def setUp(self) -> None:
        super().setUp()
        self.check(3, 3)

    def test_events(self) -> None:
        """It stands before the second one, however late that is."""
        for hook, values, line in (
            ("messageReported", (b"hi",), "Got"),
            ("faultHit", ("stall at=2",), "fault"),
            ("connectionClosed", (TALK,), "closed"),
        ):
            connection = self.open()
            self.assertEqual(self.lines(), [])
            getattr(self.observer, hook)(connection, *values)
            self.assertEqual(self.lines(), ["server:", line])
        self.clock.advance(HOLD)
        self.assertEqual(self.lines(), [])

    def test_burst(self) -> None:
        """Of connections of one second that are all open, those above three wait too."""
        self.start()
        opened = [self.open() for _ in range(9)]
        self.assertEqual(self.lines(), ["server:"] * 3)
        for each in opened[:8]:
            self.observer.connectionClosed(each, CHECK)
        self.assertEqual(self.lines(), ["closed"] * 3)
        self.clock.advance(HOLD)
        self.assertEqual(self.lines(), ["server:"])
        self.clock.advance(MINUTE)
        self.assertEqual(self.lines(), ["checks=5"])

    def test_silence(self) -> None:
        """A client that is silent for longer than a check has its line, each at its time."""
        first = self.open()
        self.clock.advance(HOLD / 2)
        self.open()
        self.clock.advance(HOLD / 2)
        self.assertEqual(self.lines(), ["server:"])
        self.clock.advance(HOLD / 2)
        self.assertEqual(self.lines(), ["server:"])
        self.observer.connectionClosed(first, CHECK)
        self.assertEqual(self.lines(), ["closed"])
