"""Tests for `tcplab.observers.lineformat`."""

from __future__ import annotations

import io
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import Logger, LogLevel, jsonFileLogObserver
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.events import Ending
from tcplab.observers import LogObserver, jsonLogObserver
from tcplab.observers.lineformat import MAX_JSON, formatJSON, formatText, printableLines
from tcplab.wire.reasons import Reason
from tests.support.observed_events import CONNECTION

PRINTABLE = set(map(chr, range(0x20, 0x7F)))
TIME = {"log_time": 1_800_000_000.1234}
#: Of every event of a connection.
TALK = {"listener": "ack", "number": 1, "peer": "127.0.0.1:36702"}


class FormatCase(SynchronousTestCase):
    def failed(self) -> dict[str, Any]:
        """Return the event of an exception whose text would forge a line."""
        events: list[Any] = []
        try:
            raise ValueError("\x1b[31mred\r\n2027 forged \xe9")
        except ValueError:
            Logger("here", observer=events.append).failure("hook failed")
        return {**events[0], **TIME}


class TextTests(FormatCase):
    def test_failure(self) -> None:
        """A traceback is indented, and printable."""
        first, *lines = str(formatText(self.failed())).splitlines()
        self.assertTrue(first.endswith("[here#critical] hook failed"), first)
        self.assertEqual(
            lines[-2:], ["    builtins.ValueError: \\x1b[31mred\\r", "    2027 forged \\xe9"]
        )
        self.assertEqual({each[:4] for each in lines}, {"    "})

    def test_others(self) -> None:
        """What has no text has no line; JSON of Twisted's own stays."""
        self.assertIsNone(formatText({}))
        out = io.StringIO()
        jsonFileLogObserver(out)({"log_format": "\xe9"})
        self.assertEqual(printableLines(out.getvalue()), out.getvalue())


class JSONTests(FormatCase):
    def lines(self, observer: type[LogObserver] = LogObserver) -> list[dict[str, Any]]:
        return [json.loads(each) for each in self.out.getvalue().splitlines()]

    def setUp(self) -> None:
        self.out = io.StringIO()

        class Writing(LogObserver):
            log = Logger(observer=jsonLogObserver(self.out))

        self.observer = Writing()

    def test_events(self) -> None:
        """The fields of each event; what does not apply is left out."""
        refused = Ending("server", "fin", Reason.HANDSHAKE, None, 79, 0, 0.00412, "http request")
        lost = Ending("peer", "reset", None, 32, 7, 9, 1.0)
        talk, observer = CONNECTION, self.observer
        observer.connectionOpened(talk)
        observer.messageReported(talk, b"h\xe9\n")
        observer.faultHit(talk, "stall at=2")
        observer.faultHit(None, "refuse listener=ack")
        observer.connectionClosed(talk, refused)
        observer.connectionClosed(talk, lost)
        observer._logChecks(60, "10.0.0.9")
        lines = [json.loads(each) for each in self.out.getvalue().splitlines()]
        for line in lines:
            self.assertRegex(line.pop("time"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(
            lines,
            [
                {"event": "opened", **TALK},
                {"event": "message", **TALK, "text": r"h\xe9"},
                {"event": "fault", **TALK, "text": "stall at=2"},
                {"event": "fault", "text": "refuse listener=ack"},
                {
                    **{"event": "closed", **TALK, "by": "server", "how": "fin", "why": "handshake"},
                    **{"received": 79, "sent": 0, "seconds": 0.004, "text": "http request"},
                },
                {
                    **{"event": "closed", **TALK, "by": "peer", "how": "reset", "errno": "EPIPE"},
                    **{"received": 7, "sent": 9, "seconds": 1.0},
                },
                {"event": "checks", "peer": "10.0.0.9", "checks": 60},
            ],
        )

    def test_otherLines(self) -> None:
        """Every line is an object; an exception is one line, with its place."""
        line = {"time": "2027-01-15T08:00:00.123Z", "event": "log", "level": "info", "system": "-"}
        for event, more in (
            ({"log_format": "{a}", "a": "\x1b"}, {"text": r"\x1b"}),
            (
                {"log_format": "one\ntwo", "log_system": "tcplab", "log_level": LogLevel.warn},
                {"level": "warn", "system": "tcplab", "text": r"one\ntwo"},
            ),
            ({"log_format": "hi", "worker": "2"}, {"worker": 2, "text": "hi"}),
        ):
            self.assertEqual(json.loads(str(formatJSON({**TIME, **event}))), {**line, **more})
        self.assertIsNone(formatJSON({}))
        text = json.loads(str(formatJSON(self.failed())))["text"]
        self.assertRegex(
            text,
            r"^hook failed: ValueError: \\x1b\[31mred\\r\\n2027 forged \\xe9"
            r" \(test_lineformat\.py:\d+\)$",
        )

    @settings(deadline=None, derandomize=True)
    @given(st.text(max_size=400), st.text(max_size=400), st.integers(0, 10**15))
    def test_anyEvent(self, text: str, name: str, number: int) -> None:
        """One printable line of at most 300 bytes, and one object, whatever is in the event."""
        closed = {"event": "closed", "how": "reset", "why": "handshake-timeout", "errno": name}
        for event in (
            {"log_format": "{text}", "text": text, "log_system": name},
            {**closed, "listener": name, "peer": name, "number": number, "text": text},
        ):
            line = formatJSON({**TIME, **event})
            if line is not None:
                self.assertLessEqual(len(line), MAX_JSON)
                self.assertLessEqual(set(line[:-1]), PRINTABLE)
                self.assertEqual(json.loads(line)["event"], event.get("event", "log"))
