"""What a worker reports."""

from __future__ import annotations

import fcntl
import os
from typing import Any

from twisted.logger import LogEvent, Logger, LogLevel, eventAsText, formatEvent
from twisted.python.failure import Failure

from tcplab.workers import logpipe
from tcplab.workers.logpipe import LogReceiver, LogSender
from tests.support.log_capture import Logged


class Thing:
    """Cannot be written as JSON."""

    name = "thing"


class Reports(Logged):
    def setUp(self) -> None:
        super().setUp()
        self.reader, self.writer = os.pipe()
        self.addCleanup(os.close, self.reader)
        self.addCleanup(lambda: self.writer and os.close(self.writer))
        self.sender = LogSender(self.writer)
        self.words: list[str] = []
        self.received: list[LogEvent] = []
        self.receiver = LogReceiver(self.words.append, self.received.append)
        self.receiver.name = "worker 2"
        self.log = Logger("a.name", observer=self.sender)

    def hear(self) -> list[LogEvent]:
        self.receiver.received(5, os.read(self.reader, 1 << 20), True)
        return self.received

    def text(self) -> str:
        return eventAsText(self.hear()[-1], includeTimestamp=False)


class SenderTests(Reports):
    def test_event(self) -> None:
        """Text, fields and level, with the number of the worker."""
        self.log.warn("took {seconds:.3f} s", seconds=1.23456, log_system="ack,1,::1")
        self.assertEqual(self.text(), "[worker 2,ack,1,::1] took 1.235 s")
        event = self.received[-1]
        self.assertEqual((event["seconds"], event["worker"]), (1.23456, "2"))
        self.assertEqual(event["log_format"], "took {seconds:.3f} s")
        self.assertIs(event["log_level"], LogLevel.warn)

    def test_texts(self) -> None:
        """Without a system of its own, with what is no value, in several lines."""
        for format, value, text in (
            ("hi", None, r"hi$"),
            ("{value.name} {value}", Thing(), r"thing <.*Thing object at .*>$"),
            ("{value}", "one\ntwo", r"one\ntwo$"),
        ):
            self.log.info(format, value=value)
            self.assertRegex(self.text(), r"^\[worker 2,a.name#info\] " + text)

    def test_failure(self) -> None:
        try:
            raise ValueError("so it is")
        except ValueError:
            self.log.failure("went wrong", Failure())
        text = self.text()
        self.assertIn("went wrong", text)
        self.assertIn("so it is", text)
        self.assertIn("test_logpipe.py", text)

    def test_brokenEvent(self) -> None:
        self.patch(logpipe, "eventAsJSON", lambda event: 1 / 0)
        self.log.info("hi")
        self.assertIn("an event that cannot be passed on: ZeroDivisionError", self.text())

    def test_words(self) -> None:
        """The reactor's own last line is left out."""
        self.log.info("Main loop terminated.")
        self.sender.sendState("ready")
        self.assertEqual((self.hear(), self.words), ([], ["ready"]))


class FullPipeTests(Reports):
    def test_unread(self) -> None:
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 4096)
        words = ["x" * 5000, "y"]
        for each in words:
            self.sender.sendState(each)
        with open(self.reader, closefd=False) as reader:
            self.assertEqual([reader.readline().strip() for _ in words], words)

    def test_noReader(self) -> None:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, self.reader)  # the number stays ours: another thread may open files
        os.close(nothing)
        self.sender.sendState("x")
        self.sender.sendState("y")
        self.sender.finish()
        # Its thread goes on trying, and would write into what has the descriptor's number next.
        self.sender._writer._lines.clear()


class ReceiverTests(Reports):
    def test_pieces(self) -> None:
        for piece in (b"re", b"ady\nser", b"ves\n"):
            self.receiver.received(5, piece, True)
        self.assertEqual(self.words, ["ready", "serves"])

    def test_printed(self) -> None:
        self.receiver.received(2, b"Fatal \x1b[31merror\n\nmore", False)
        self.receiver.received(1, b"out\n", False)
        said = [each for each in self.events if each.get("log_system") == "worker 2"]
        self.assertEqual([formatEvent(each) for each in said], ["Fatal \\x1b[31merror", "out"])

    def test_line_without_end(self) -> None:
        self.patch(logpipe, "_MAX_LINE", 10)
        self.receiver.received(2, b"x" * 20, False)
        self.assertEqual(formatEvent(self.events[-1]), "x" * 20)

    def test_nonsense(self) -> None:
        bad: Any = b'{"log_level": {"__class_uuid__": "no"}}\n{\n'
        self.receiver.received(5, bad, True)
        said = [each for each in self.events if each.get("log_system") == "worker 2"]
        self.assertEqual(len(said), 2)
