"""Tests for `tcplab.observers.log`."""

from __future__ import annotations

import io
import json
from collections import Counter
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
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

from tcplab.listener.events import Ending
from tcplab.observers import FaultLog, LogObserver, Observers
from tcplab.observers.throttle import FULL_LINES
from tcplab.wire.proxytlvs import TLV
from tcplab.wire.reasons import Reason
from tests.support.observed_events import CONNECTION, ENDING, EVENTS

TCP = CONNECTION
TCP6 = TCP._replace(prefix="ack,1,2001:db8::7", peer=IPv6Address("TCP", "2001:db8::7", 36702))
UNIX = TCP._replace(prefix="ack,1,unix", peer=UNIXAddress(None))
TAGGED = UNIX._replace(tlvs=(TLV(0xEE, b"\1\4"),))

#: Each event by the name that a summary gives their number; the first word of its lines.
CALLS = dict(zip(("opened", "reported", "hits", "closed"), EVENTS.items(), strict=True))
WORDS = dict(zip(("server:", "Got", "fault", "closed"), CALLS, strict=True))


class LogCase(SynchronousTestCase):
    """A `LogObserver` on a clock of its own, and every event that it logs, with its time."""

    def setUp(self) -> None:
        self.start(Clock())

    def start(self, clock: Any) -> None:
        self.clock = clock
        self.events: list[Any] = []
        self.times: list[float] = []

        class Keeping(LogObserver):
            log = Logger(observer=self.keep)

        self.observer, self.number = Keeping(clock), 0

    def keep(self, event: Any) -> None:
        self.events.append(event)
        self.times.append(self.clock.seconds())

    def report(self, what: str, times: int = 1) -> None:
        name, values = CALLS[what]
        for _ in range(times):
            if what == "opened":  # each from another address: no health checks
                self.number += 1
                peer = IPv4Address("TCP", f"peer {self.number}", 1)
                values = (TCP._replace(number=self.number, peer=peer),)
            getattr(self.observer, name)(*values)

    @property
    def lines(self) -> list[str]:
        return [f"[{event['log_system']}] {formatEvent(event)}" for event in self.events]

    @property
    def summaries(self) -> list[dict[str, Any]]:
        return [event for event in self.events if event["log_system"] == "tcplab"]

    def assertSummaries(self, *opened: int) -> None:
        """Check how many summaries there are, and the connections opened in each."""
        self.assertEqual([event["opened"] for event in self.summaries], list(opened))


class LineTests(LogCase):
    """Each line is word for word as in the recipe, and as tools look for it."""

    def test_lines(self) -> None:
        """The peer's address; a fault and its place; an end with our cause and the system's."""
        opened, hit, closed = "connectionOpened", "faultHit", "connectionClosed"
        linger = Ending("server", "reset", Reason.LINGER_TIMEOUT, None, 0, 0, 2.0)
        reset = Ending("peer", "reset", None, 104, 1, 1, 0.5)
        silent = Ending("peer", "timeout", Reason.ERROR, 9999, 1, 1, 900.0)
        for hook, values, line in (
            (opened, (TCP,), "server: got connection from = 127.0.0.1 and port = 36702"),
            (opened, (TCP6,), "server: got connection from = 2001:db8::7 and port = 36702"),
            (opened, (UNIX,), "server: got connection from = unix"),
            (opened, (TAGGED,), "server: got connection from = unix tlv=ee:0104"),
            (hit, (TCP, "reset_peer at=1024"), "fault reset_peer at=1024"),
            (hit, (None, "refuse listener=echo"), "fault refuse listener=echo"),
            (closed, (TCP, ENDING), "closed by=peer how=fin received=2 sent=18 seconds=0.012"),
            (
                *(closed, (TCP, reset)),
                "closed by=peer how=reset errno=ECONNRESET received=1 sent=1 seconds=0.500",
            ),
            (
                *(closed, (TCP, linger)),
                "closed by=server how=reset why=linger-timeout received=0 sent=0 seconds=2.000",
            ),
            (
                *(closed, (TCP, linger._replace(why=Reason.HANDSHAKE, detail="http {request}"))),
                "closed by=server how=reset why=handshake received=0 sent=0 seconds=2.000:"
                " http {request}",
            ),
            (
                *(closed, (TCP, silent)),
                "closed by=peer how=timeout why=error errno=9999 received=1 sent=1 seconds=900.000",
            ),
        ):
            getattr(self.observer, hook)(*values)
            tag = "tcplab" if values[0] is None else values[0].prefix
            self.assertEqual(self.lines[-1], f"[{tag}] {line}")

    def test_messages(self) -> None:
        """
        Without a space behind the colon, as in the recipe.

        One line end at the end is the terminal's, a second one is the peer's. 500 bytes are shown
        whole, and of more the first 500. A peer forges no line, and fills in no field.
        """
        for message, text in (
            (b"hi", "hi"),
            (b"", ""),
            (b"hi\n", "hi"),
            (b"hi\r\n", "hi"),
            (b"hi\n\n", r"hi\n"),
            (b"hi\r", r"hi\r"),
            (b"\nhi", r"\nhi"),
            (b"x" * 500 + b"\r\n", "x" * 500),
            (b"x" * 501, "x" * 500 + "..."),
            (
                b"hi\n[ack,2,127.0.0.1] closed by=peer\x1b[2J{number}\\",
                r"hi\n[ack,2,127.0.0.1] closed by=peer\x1b[2J{number}" + "\\\\",
            ),
        ):
            self.observer.messageReported(TCP, message)
            self.assertEqual(self.lines[-1], f"[ack,1,127.0.0.1] Got the message:{text}")

    @settings(deadline=None, derandomize=True)
    @given(st.binary(max_size=300))
    @example(bytes(range(256)))
    @example(b"\xff" * 100_000)
    def test_anyMessage(self, message: bytes) -> None:
        """One line, printable ASCII, of bounded length."""
        self.setUp()
        out = io.StringIO()
        self.observer.messageReported(TCP, message)
        textFileLogObserver(out, timeFormat=None)(self.events[0])
        line = out.getvalue()
        self.assertEqual(line[-1], "\n")
        self.assertLessEqual(set(line[:-1]), set(map(chr, range(0x20, 0x7F))))
        self.assertLessEqual(len(line), len("- [ack,1,127.0.0.1] Got the message:...\n") + 4 * 500)


class EventTests(LogCase):
    """The events behind the lines have named fields, for a log in JSON."""

    def test_fields(self) -> None:
        """The connection and the values by their names; an absent value is null, not missing."""
        reset = Ending("server", "reset", Reason.UNREAD, 32, 7, 9, 1.23456)
        for hook, values, fields in (
            ("connectionOpened", (TCP6,), {"host": "2001:db8::7", "port": 36702}),
            ("connectionOpened", (UNIX,), {"host": None, "port": None}),
            ("messageReported", (TCP, b"h\xe9\n"), {"text": r"h\xe9"}),
            ("faultHit", (TCP, "stall at=2"), {"fault": "stall at=2"}),
            ("connectionClosed", (TCP, reset), {**reset._asdict(), "errno": "EPIPE"}),
            ("connectionClosed", (TCP, ENDING), ENDING._asdict()),
        ):
            getattr(self.observer, hook)(*values)
            fields |= {"listener": "ack", "number": 1, "log_system": values[0].prefix}
            self.assertLessEqual(fields.items(), json.loads(eventAsJSON(self.events[-1])).items())
            self.assertEqual(self.events[-1]["log_level"], LogLevel.info)

    def test_clock(self) -> None:
        """Without a clock each has its line; the first clock that is offered stays."""
        published = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        log, clocks = LogObserver(), [Clock(), Clock()]
        for offered, lines, timers in (([], 101, [0, 0]), (clocks, 100, [1, 0])):
            for each in offered:
                log.useClock(each)
            before = len(published)
            for number in range(FULL_LINES + 1):
                peer = IPv4Address("TCP", f"peer {number}", 1)
                log.connectionOpened(TCP._replace(number=number, peer=peer))
            self.assertEqual(len(published) - before, lines)
            self.assertEqual([len(each.getDelayedCalls()) for each in clocks], timers)
        namespaces = {event["log_namespace"] for event in published}
        self.assertEqual(namespaces, {"tcplab.observers.log.LogObserver"})

    def test_faultLog(self) -> None:
        """A `FaultLog` writes hits as the log does, and nothing else."""
        published = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        group = Observers(FaultLog(Clock()))
        for hook, values in EVENTS.items():
            getattr(group, hook)(*values)
        self.assertEqual([formatEvent(each) for each in published], ["fault stall at=2"])


steps = st.lists(
    st.tuples(st.sampled_from(list(CALLS)), st.sampled_from([1, 2, 60, 99, 100, 101, 250]))
    | st.tuples(st.just("wait"), st.sampled_from([0.125, 0.25, 0.5, 0.875, 1.0, 1.5, 3.0])),
    max_size=25,
)


class SummaryTests(LogCase):
    """Above 100 a second of a kind, one summary a second with exact counts."""

    @settings(deadline=None, derandomize=True, max_examples=150)
    @given(steps)
    @example([(kind, 100) for kind in CALLS])
    @example([(kind, 101) for kind in CALLS])
    @example([("opened", 1_000), ("closed", 40), ("reported", 100)])
    @example([("opened", 10), ("wait", 0.125)] * 100)
    def test_linesAndSummariesAddUp(self, script: list[tuple[str, Any]]) -> None:
        """A second has its lines, or a hundred of a kind and a summary that is exact."""
        self.setUp()
        reported: dict[int, Counter[str]] = {}
        for what, how in script:
            if what == "wait":
                self.clock.advance(how)
            else:
                self.report(what, how)
                reported.setdefault(int(self.clock.seconds()), Counter())[what] += how
        self.clock.advance(2)

        lines: dict[int, Counter[str]] = {}
        summed: dict[int, Counter[str]] = {}
        for event, time in zip(self.events, self.times, strict=True):
            if event["log_system"] == "tcplab":
                second = max(lines)  # the one whose lines stand above
                self.assertNotIn(second, summed)
                summed[second] = Counter({kind: event[kind] for kind in CALLS})
            else:
                kind = WORDS[formatEvent(event).split()[0]]
                lines.setdefault(int(time), Counter())[kind] += 1

        for second, counts in reported.items():
            shown = {kind: min(100, counts[kind]) for kind in CALLS}
            self.assertEqual({kind: lines[second][kind] for kind in CALLS}, shown)
            if max(counts.values()) > 100:
                self.assertEqual(summed.pop(second), counts)
        self.assertEqual(summed, {})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_text(self) -> None:
        """It has the counts, those of faults if there are any, and says what is missing."""
        for hits, words in ((0, ""), (2, "2 faults, ")):
            self.report("opened", 101)
            self.report("closed", 40)
            self.report("hits", hits)
            self.clock.advance(1)
            self.assertEqual(
                self.lines[-1],
                f"[tcplab] in one second: 101 connections opened, 0 messages, {words}40 closed"
                " (received=80 sent=720); only the first 100 of a kind have lines above",
            )

    def test_endOfTheSecond(self) -> None:
        """The summary is written when its second is over: not before, not at every event."""
        self.clock.advance(41.25)
        self.report("opened", 150)
        self.clock.advance(0.5)
        self.report("opened", 150)
        self.clock.advance(0.125)
        self.assertSummaries()
        self.clock.advance(0.125)
        self.assertSummaries(300)
        self.assertEqual(self.times[-1], 42.0)

    def test_lateOrSetBack(self) -> None:
        """Events of another second are not counted to this one, though its timer did not run."""
        for change in (1.5, -3600):
            self.start(Clock())
            self.clock.advance(7200)
            self.report("opened", 150)
            self.clock.rightNow += change
            self.report("opened", 3)
            self.assertSummaries(150)
            self.assertEqual(len(self.events), 104)
            self.clock.pump([1] * 3)
            self.assertSummaries(150)

    def test_reactorStops(self) -> None:
        """A summary that waits when the reactor stops is written then, and no other again."""
        self.start(MemoryReactorClock())
        for seconds in (1, 1, 0):
            self.report("opened", 150)
            self.clock.advance(seconds)
        for function, args, kwargs in self.clock.triggers["after"]["shutdown"]:
            function(*args, **kwargs)
        self.assertSummaries(150, 150, 150)
        self.assertEqual(self.clock.getDelayedCalls(), [])
