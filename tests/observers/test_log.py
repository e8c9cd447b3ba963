"""Tests for `tcplab.observers.log`."""

from __future__ import annotations

import io
import json
from collections import Counter
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver, MemoryReactorClock
from twisted.logger import (
    Logger,
    LogLevel,
    eventAsJSON,
    formatEvent,
    globalLogPublisher,
    textFileLogObserver,
)
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.events import Connection, Ending
from tcplab.observers import FaultLog, LogObserver, Observers
from tcplab.observers.log import FULL_LINES
from tcplab.protocols.factory import ConversationFactory
from tcplab.protocols.greeting import Ack
from tcplab.wire.reasons import Reason
from tests.support.socket_server import Serving, readAll


def connectionOf(
    peer: IAddress, host: IAddress, prefix: str = "Ack,1,127.0.0.1", number: int = 1
) -> Connection:
    return Connection(listener="ack", number=number, prefix=prefix, peer=peer, host=host)


TCP = connectionOf(IPv4Address("TCP", "127.0.0.1", 36702), IPv4Address("TCP", "127.0.0.1", 50544))
TCP6 = connectionOf(
    IPv6Address("TCP", "2001:db8::7", 36702), IPv6Address("TCP", "::1", 50544), "Ack,1,2001:db8::7"
)
UNIX = connectionOf(UNIXAddress(None), UNIXAddress("/run/lab.sock"), "Ack,1,unix")
FIN = Ending("peer", "fin", None, None, 2, 18, 0.012)


class Kept:
    """A `LogObserver` on a clock of its own, and every event that it logs."""

    def __init__(self, clock: Any = None) -> None:
        self.clock = clock or Clock()
        self.events: list[dict[str, Any]] = []
        self.times: list[float] = []

        class Keeping(LogObserver):
            log = Logger(observer=self.keep)

        self.observer = Keeping(self.clock)

    def keep(self, event: Any) -> None:
        self.events.append(event)
        self.times.append(self.clock.seconds())

    @property
    def lines(self) -> list[str]:
        return [f"[{event['log_system']}] {formatEvent(event)}" for event in self.events]

    def count(self, word: str) -> int:
        return sum(line.split("] ", 1)[1].startswith(word) for line in self.lines)

    @property
    def summaries(self) -> list[dict[str, Any]]:
        return [event for event in self.events if event["log_system"] == "tcplab"]

    def tell(self, what: str, times: int = 1) -> None:
        for _ in range(times):
            if what == "opened":
                self.observer.connectionOpened(TCP)
            elif what == "reported":
                self.observer.messageReported(TCP, b"hi")
            else:
                self.observer.connectionClosed(TCP, FIN)


class LineTests(SynchronousTestCase):
    """Each line is word for word what people know from the recipe, and what tools look for."""

    def setUp(self) -> None:
        self.kept = Kept()
        self.observer = self.kept.observer

    def test_opened(self) -> None:
        """With the address and the port of the peer, if it has them."""
        for connection in (TCP, TCP6, UNIX):
            self.observer.connectionOpened(connection)
        self.assertEqual(
            self.kept.lines,
            [
                "[Ack,1,127.0.0.1] server: got connection from = 127.0.0.1 and port = 36702",
                "[Ack,1,2001:db8::7] server: got connection from = 2001:db8::7 and port = 36702",
                "[Ack,1,unix] server: got connection from = unix",
            ],
        )

    def test_closed(self) -> None:
        """How, then our own cause, then the system's number; seconds to the millisecond."""
        for ending, line in (
            (
                ("peer", "fin", None, None, 2, 18, 0.0123),
                "by=peer how=fin received=2 sent=18 seconds=0.012",
            ),
            (
                ("server", "reset", Reason.LINGER_TIMEOUT, None, 0, 0, 2.0),
                "by=server how=reset why=linger-timeout received=0 sent=0 seconds=2.000",
            ),
            (
                ("peer", "reset", None, 104, 1, 1, 0.5),
                "by=peer how=reset errno=104 received=1 sent=1 seconds=0.500",
            ),
            (
                ("peer", "timeout", Reason.ERROR, 110, 1, 1, 900.0),
                "by=peer how=timeout why=error errno=110 received=1 sent=1 seconds=900.000",
            ),
        ):
            self.observer.connectionClosed(TCP, Ending(*ending))  # type: ignore[arg-type]
            self.assertEqual(self.kept.lines[-1], f"[Ack,1,127.0.0.1] closed {line}")

    def test_fault(self) -> None:
        """Its name, and where it hit; before there is a connection, the listener."""
        self.observer.faultHit(TCP, "reset_peer at=1024")
        self.observer.faultHit(None, "refuse listener=echo")
        self.assertEqual(
            self.kept.lines,
            ["[Ack,1,127.0.0.1] fault reset_peer at=1024", "[tcplab] fault refuse listener=echo"],
        )

    def test_messages(self) -> None:
        """
        Without a space behind the colon, as in the recipe.

        One line end at the end is the terminal's doing, a second one is the peer's. 200 bytes are
        shown whole, and of more the first 200. A peer forges no line, and fills in no field.
        """
        for message, text in (
            (b"hi", "hi"),
            (b"", ""),
            (b"hi\n", "hi"),
            (b"hi\r\n", "hi"),
            (b"hi\n\n", r"hi\n"),
            (b"hi\r", r"hi\r"),
            (b"\nhi", r"\nhi"),
            (b"x" * 200, "x" * 200),
            (b"x" * 200 + b"\r\n", "x" * 200),
            (b"x" * 201, "x" * 200 + "..."),
            (b"x" * 100_000, "x" * 200 + "..."),
            (
                b"hi\n[Ack,2,127.0.0.1] closed by=peer\x1b[2J{number}\\",
                r"hi\n[Ack,2,127.0.0.1] closed by=peer\x1b[2J{number}" + "\\\\",
            ),
        ):
            self.observer.messageReported(TCP, message)
            self.assertEqual(self.kept.lines[-1], f"[Ack,1,127.0.0.1] Got the message:{text}")

    @settings(deadline=None, derandomize=True)
    @given(st.binary(max_size=300))
    @example(bytes(range(256)))
    def test_whateverThePeerSays(self, message: bytes) -> None:
        """One line, printable ASCII, of bounded length."""
        kept, out = Kept(), io.StringIO()
        kept.observer.messageReported(TCP, message)
        textFileLogObserver(out, timeFormat=None)(kept.events[0])
        line = out.getvalue()
        self.assertEqual(line[-1], "\n")
        self.assertLessEqual(set(line[:-1]), set(map(chr, range(0x20, 0x7F))))
        self.assertLessEqual(len(line), len("- [Ack,1,127.0.0.1] Got the message:...\n") + 4 * 200)


class EventTests(SynchronousTestCase):
    """The events behind the lines have named fields, for those who log JSON."""

    def setUp(self) -> None:
        self.kept = Kept()

    def parsed(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(eventAsJSON(self.kept.events[-1]))
        return event

    def test_everyLineSaysWhichConnection(self) -> None:
        """The listener's name, the connection's number and its prefix are in each."""
        for what in ("opened", "reported", "closed"):
            self.kept.tell(what)
            event = self.parsed()
            self.assertEqual((event["listener"], event["number"]), ("ack", 1))
            self.assertEqual(event["log_system"], "Ack,1,127.0.0.1")
            self.assertEqual(self.kept.events[-1]["log_level"], LogLevel.info)

    def test_fields(self) -> None:
        """The values of a line by their names; what is not there is null, not missing."""
        observer = self.kept.observer
        observer.connectionOpened(TCP6)
        event = self.parsed()
        self.assertEqual((event["host"], event["port"]), ("2001:db8::7", 36702))
        observer.connectionOpened(UNIX)
        event = self.parsed()
        self.assertEqual((event["host"], event["port"]), (None, None))
        observer.messageReported(TCP, b"h\xe9\n")
        self.assertEqual(self.parsed()["text"], r"h\xe9")
        for ending in Ending("server", "reset", Reason.UNREAD, 32, 7, 9, 1.23456), FIN:
            observer.connectionClosed(TCP, ending)
            self.assertLessEqual(ending._asdict().items(), self.parsed().items())

    def test_publishedForAll(self) -> None:
        """They go where all of Twisted's log goes, under the observer's own namespace."""
        published = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        LogObserver(Clock()).connectionOpened(TCP)
        [event] = published
        self.assertEqual(event["log_namespace"], "tcplab.observers.log.LogObserver")

    def test_clock(self) -> None:
        """Without a clock each has its line; the first clock that is offered stays."""
        published = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        log, clocks = LogObserver(), [Clock(), Clock()]
        for _ in range(FULL_LINES + 1):
            log.connectionOpened(TCP)
        self.assertEqual(len(published), FULL_LINES + 1)
        for each in clocks:
            log.useClock(each)
        for _ in range(FULL_LINES + 1):
            log.connectionOpened(TCP)
        self.assertEqual(len(published), 2 * FULL_LINES + 1)
        self.assertEqual([len(each.getDelayedCalls()) for each in clocks], [1, 0])


class StormTests(SynchronousTestCase):
    """Above 100 a second of a kind, one summary a second with exact counts."""

    def setUp(self) -> None:
        self.kept = Kept()
        self.clock = self.kept.clock

    def counts(self, event: dict[str, Any]) -> tuple[int, ...]:
        names = ("opened", "reported", "closed", "received", "sent")
        return tuple(event[name] for name in names)

    def test_hundredAreNoStorm(self) -> None:
        """A hundred of each kind in one second have their lines, and nothing is summed up."""
        for what in ("opened", "reported", "closed"):
            self.kept.tell(what, 100)
        self.clock.pump([0.5] * 6)
        self.assertEqual(len(self.kept.events), 300)
        self.assertEqual(self.kept.summaries, [])

    def test_oneMoreIs(self) -> None:
        """The hundred and first has no line; the summary counts it, and says what it is."""
        self.kept.tell("opened", 101)
        self.assertEqual(len(self.kept.events), 100)
        self.clock.advance(1)
        self.assertEqual(len(self.kept.events), 101)
        self.assertEqual(
            self.kept.lines[-1],
            "[tcplab] in one second: 101 connections opened, 0 messages, 0 closed"
            " (received=0 sent=0); only the first 100 of a kind have lines above",
        )

    def test_hits(self) -> None:
        """Those of faults too."""
        for at in range(150):
            self.kept.observer.faultHit(TCP, f"corrupt at={at}")
        self.clock.advance(1)
        self.assertEqual(len(self.kept.events), 101)
        self.assertIn("0 messages, 150 faults, 0 closed", self.kept.lines[-1])

    def test_kindsAreCountedApart(self) -> None:
        """A storm of one kind takes no lines from another; the summary counts them all."""
        self.kept.tell("opened", 1_000)
        self.kept.tell("closed", 40)
        self.kept.tell("reported", 100)
        self.assertEqual(
            [self.kept.count(word) for word in ("server:", "Got", "closed")], [100, 100, 40]
        )
        self.clock.advance(1)
        [summary] = self.kept.summaries
        self.assertEqual(self.counts(summary), (1_000, 100, 40, 80, 720))

    def test_atTheEndOfTheSecond(self) -> None:
        """The summary comes when its second is over: not before, not at every event."""
        self.clock.advance(41.25)
        self.kept.tell("opened", 150)
        self.clock.advance(0.5)
        self.kept.tell("opened", 150)
        self.clock.advance(0.125)
        self.assertEqual(self.kept.summaries, [])
        self.clock.advance(0.125)
        [summary] = self.kept.summaries
        self.assertEqual((summary["opened"], self.kept.times[-1]), (300, 42.0))

    def test_theStormIsOver(self) -> None:
        """Then every line is there again; the summary is not repeated, and no timer runs."""
        self.kept.tell("opened", 500)
        self.clock.advance(1)
        self.clock.pump([1] * 5)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.kept.tell("opened", 100)
        self.clock.pump([1] * 5)
        self.assertEqual(len(self.kept.summaries), 1)
        self.assertEqual(self.kept.count("server:"), 200)

    def test_slowDropsAreNoStorm(self) -> None:
        """A thousand in ten seconds are a hundred a second."""
        for _ in range(1_000):
            self.kept.tell("opened")
            self.clock.advance(1 / 64)  # exact in binary, as the clock adds it up
        self.assertEqual((len(self.kept.events), self.kept.summaries), (1_000, []))

    def test_reactorIsLate(self) -> None:
        """What is told in the next second, before the timer had its turn, is not of this one."""
        self.kept.tell("opened", 150)
        self.clock.rightNow += 1.5
        self.kept.tell("opened", 3)
        self.assertEqual([each["opened"] for each in self.kept.summaries], [150])
        self.assertEqual(self.kept.count("server:"), 103)
        self.clock.pump([1] * 3)
        self.assertEqual(len(self.kept.summaries), 1)

    def test_clockIsSetBack(self) -> None:
        """A clock that is set back by an hour silences nobody for an hour."""
        self.clock.advance(7200)
        self.kept.tell("opened", 150)
        self.clock.rightNow -= 3600
        self.kept.tell("opened")
        self.assertEqual([each["opened"] for each in self.kept.summaries], [150])
        self.assertEqual(self.kept.count("server:"), 101)

    def test_serverStopsInTheMiddle(self) -> None:
        """A summary that waits when the reactor stops is said then: nothing is dropped silently."""
        kept = Kept(MemoryReactorClock())
        kept.tell("opened", 150)
        kept.tell("closed", 150)
        [(function, args, kwargs)] = kept.clock.triggers["after"]["shutdown"]
        function(*args, **kwargs)
        self.assertEqual([self.counts(each)[:3] for each in kept.summaries], [(150, 0, 150)])
        self.assertEqual(kept.clock.getDelayedCalls(), [])

    def test_serverStopsQuietly(self) -> None:
        """However many storms there were, none is summed up twice."""
        kept = Kept(MemoryReactorClock())
        for _ in range(3):
            kept.tell("opened", 150)
            kept.clock.advance(1)
        for function, args, kwargs in kept.clock.triggers["after"]["shutdown"]:
            function(*args, **kwargs)
        self.assertEqual(len(kept.summaries), 3)


KINDS = ("opened", "reported", "closed")
LINE = {"server:": "opened", "Got": "reported", "closed": "closed"}

steps = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sampled_from([1, 2, 60, 99, 100, 101, 250]))
    | st.tuples(st.just("wait"), st.sampled_from([0.125, 0.25, 0.5, 0.875, 1.0, 1.5, 3.0])),
    max_size=25,
)


class CountTests(SynchronousTestCase):
    """Whatever the bursts, who reads the log knows how many there were."""

    @settings(deadline=None, derandomize=True, max_examples=150)
    @given(steps)
    def test_linesAndSummariesAddUp(self, script: list[tuple[str, Any]]) -> None:
        """A second has its lines, or a hundred of a kind and a summary that is exact."""
        kept = Kept()
        told: dict[int, Counter[str]] = {}
        for what, how in script:
            if what == "wait":
                kept.clock.advance(how)
            else:
                kept.tell(what, how)
                told.setdefault(int(kept.clock.seconds()), Counter())[what] += how
        kept.clock.advance(2)

        lines: dict[int, Counter[str]] = {}
        summed: dict[int, Counter[str]] = {}
        for event, time in zip(kept.events, kept.times, strict=True):
            if event["log_system"] == "tcplab":
                second = max(lines)  # the one whose lines stand above
                self.assertNotIn(second, summed)
                summed[second] = Counter({kind: event[kind] for kind in KINDS})
            else:
                kind = LINE[formatEvent(event).split()[0]]
                lines.setdefault(int(time), Counter())[kind] += 1

        for second, counts in told.items():
            shown = {kind: min(100, counts[kind]) for kind in KINDS}
            self.assertEqual({kind: lines[second][kind] for kind in KINDS}, shown)
            if max(counts.values()) > 100:
                self.assertEqual(summed.pop(second), counts)
        self.assertEqual(summed, {})
        self.assertEqual(kept.clock.getDelayedCalls(), [])


class FaultLogTests(SynchronousTestCase):
    def test_hitsOnly(self) -> None:
        """It has nothing to be told but hits, and writes them as the log does."""
        log = FaultLog(Clock())
        events = EventLoggingObserver()
        globalLogPublisher.addObserver(events)
        self.addCleanup(globalLogPublisher.removeObserver, events)
        tell = Observers(log)
        tell.connectionOpened(TCP)
        tell.messageReported(TCP, b"hi")
        tell.faultHit(TCP, "stall at=2")
        tell.connectionClosed(TCP, FIN)
        self.assertEqual([formatEvent(each) for each in events], ["fault stall at=2"])


class ServedTests(Serving):
    """The log of a real connection, as Twisted's own text log writes it."""

    async def test_threeLines(self) -> None:
        """The recipe's own words under Twisted's own prefix, then ours."""
        told = await self.serve(ConversationFactory(Ack))
        self.listener.observers = Observers(LogObserver(), told)
        out = io.StringIO()
        write = textFileLogObserver(out, timeFormat=None)
        globalLogPublisher.addObserver(write)
        self.addCleanup(globalLogPublisher.removeObserver, write)

        def client() -> int:
            with self.connect() as sock:
                sock.sendall(b"hi\n")
                readAll(sock)
                return int(sock.getsockname()[1])

        port = await self.talk(client)
        ending = await told.ending()
        self.assertEqual(
            [line for line in out.getvalue().splitlines() if "[Ack,1," in line],
            [
                f"- [Ack,1,127.0.0.1] server: got connection from = 127.0.0.1 and port = {port}",
                "- [Ack,1,127.0.0.1] Got the message:hi",
                "- [Ack,1,127.0.0.1] closed by=server how=fin received=3 sent=18"
                f" seconds={ending.seconds:.3f}",
            ],
        )
