"""Tests for `tcplab.observers.nonblocking`."""

from __future__ import annotations

import io
import json
import os
from typing import Any

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    LegacyLogObserverWrapper,
    Logger,
    LogPublisher,
    jsonFileLogObserver,
    textFileLogObserver,
)
from twisted.python import syslog
from twisted.python.logfile import LogFile
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.acceptor import OWN_PORT
from tcplab.observers.lineformat import formatJSON
from tcplab.observers.logfile import AppendedFile
from tcplab.observers.nonblocking import NonBlockingLog, makeNonBlocking


def plain(file: Any) -> FileLogObserver:
    return textFileLogObserver(file, timeFormat=None)


class NonBlockingCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = self.mktemp()

    def log(self, observer: Any, *lines: str) -> None:
        """Log through an observer whose lines are written by a thread."""
        writer = makeNonBlocking(observer)
        assert writer is not None
        log = Logger("here", observer=observer)
        writer.begin()
        for line in lines:
            log.info("{line}", line=line)
        writer.finish()

    def read(self, end: str = "") -> str:
        with open(self.path + end) as file:
            return file.read()

    def logFile(self) -> LogFile:
        """Make twistd's own log file."""
        file = LogFile(os.path.basename(self.path), os.path.dirname(self.path) or ".")
        self.addCleanup(lambda: file.closed or file.close())
        return file


class WritingTests(NonBlockingCase):
    """Each kind of observer writes what it wrote before, by a thread."""

    def test_logFile(self) -> None:
        """It is rotated as before; a device, which has no size, is not."""
        file = self.logFile()
        file.rotateLength = 10
        self.log(plain(file), "one", "\xfc")
        self.assertEqual(self.read(".1"), "- [here#info] one\n")
        self.assertEqual(self.read(), "- [here#info] \\xfc\n")
        null = LogFile("null", "/dev")
        self.addCleanup(null.close)
        writer = makeNonBlocking(plain(null))
        assert writer is not None
        writer._write(b"x")

    def test_streams(self) -> None:
        """Printable text, behind what the stream held back; bytes."""
        for mode, encoding, text in (
            ("w", "ascii", "before\n- [here#info] one\n- [here#info] \\xfc\n"),
            ("wb", None, "before\n- [here#info] one\n- [here#info] \\xfc\n"),
        ):
            with open(self.path, mode, encoding=encoding) as file:
                file.write(b"before\n" if "b" in mode else "before\n")
                self.log(plain(file), "one", "\xfc")
            self.assertEqual(self.read(), text)

    def test_JSON(self) -> None:
        """JSON and levels as twist has them."""
        with open(self.path, "w") as file:
            self.log(FilteringLogObserver(jsonFileLogObserver(file), []), "one", "two")
        self.assertRegex(self.read(), "^\x1e{.*one.*}\n\x1e{.*two.*}\n$")

    def test_syslog(self) -> None:
        """The priority and the text, printable: a NUL would end the text."""
        calls: list[tuple[int, str]] = []
        self.patch(syslog.SyslogObserver, "openlog", lambda *words: None)
        self.patch(syslog.SyslogObserver, "syslog", lambda _, *words: calls.append(words))
        observer = LegacyLogObserverWrapper(syslog.SyslogObserver("x").emit)
        self.log(observer, "one: two", "a\0b\xfc")
        priority = syslog.syslog.LOG_INFO
        self.assertEqual(calls, [(priority, "[-] one: two"), (priority, "[-] a\\x00b\\xfc")])

    def test_others(self) -> None:
        """Observers of other kinds stay as they are."""
        memory = io.StringIO()
        observer = plain(memory)
        legacy: Any = LegacyLogObserverWrapper(print)  # type: ignore[arg-type]
        for each in (observer, legacy, [].append):
            self.assertIsNone(makeNonBlocking(each))
        Logger("here", observer=observer).info("one")
        self.assertEqual(memory.getvalue(), "- [here#info] one\n")


class Beginner:
    """Begins to log, as Twisted's ``globalLogBeginner`` does."""

    def __init__(self) -> None:
        self.publisher = LogPublisher()
        self.settings: dict[str, Any] = {}

    def beginLoggingTo(self, observers: Any, **settings: Any) -> None:
        for each in observers:
            self.publisher.addObserver(each)
        self.settings = settings


class NonBlockingLogTests(NonBlockingCase):
    """The writing is taken over when logging begins."""

    def setUp(self) -> None:
        super().setUp()
        self.file = self.enterContext(open(self.path, "w"))
        self.beginner = Beginner()
        self.nonBlocking = NonBlockingLog(self.beginner)

    def test_takesOver(self) -> None:
        """Lines are written from `begin` on; other observers, and settings, are passed on."""
        seen: list[Any] = []
        observers = iter([plain(self.file), seen.append])
        self.beginner.beginLoggingTo(observers, redirectStandardIO=False)
        self.assertEqual(self.beginner.settings, {"redirectStandardIO": False})
        Logger("here", observer=self.beginner.publisher).info("one")
        self.assertEqual((self.read(), len(seen)), ("", 1))
        self.nonBlocking.begin()
        self.nonBlocking.finish()
        self.assertEqual(self.read(), "- [here#info] one\n")

    def test_once(self) -> None:
        """Observers of a later beginning stay as they are."""
        self.beginner.beginLoggingTo([])
        self.beginner.beginLoggingTo([plain(self.file)])
        Logger("here", observer=self.beginner.publisher).info("one")
        self.file.flush()
        self.assertEqual((self.read(), self.nonBlocking.writers), ("- [here#info] one\n", []))

    def test_formatAndFile(self) -> None:
        """In JSON; in a file of ours instead of twistd's log, which is opened again on demand."""
        path = self.mktemp()
        for file, where in ((None, self.path), (AppendedFile(path), path)):
            beginner: Any = Beginner()
            log = NonBlockingLog(beginner, formatJSON, file)
            beginner.beginLoggingTo([plain(self.file)])
            Logger("here", observer=beginner.publisher).info("one")
            log.begin()
            log.finish()
            with open(where) as written:
                self.assertEqual(json.loads(written.read())["text"], "one")
        os.rename(path, path + ".1")
        log.reopen()
        Logger("here", observer=beginner.publisher).info("two")
        log.finish()
        self.assertTrue(os.path.exists(path))

    def test_noise(self) -> None:
        """Twisted's warning about its cache of plugins, and its lines about our ports."""
        seen: list[Any] = []
        self.beginner.beginLoggingTo([seen.append])
        for text in ("Unable to write to plugin cache {path}", "Unable to say"):
            self.beginner.publisher({"format": text})
        self.beginner.publisher({"format": "Echo starting on 7", **OWN_PORT})
        self.assertEqual([each["format"] for each in seen], ["Unable to say"])
