"""Tests for `tcplab.observers.nonblocking`."""

from __future__ import annotations

import errno
import io
import os
import threading
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

from tcplab.observers.nonblocking import DescriptorWriter, NonBlockingLog, makeNonBlocking


class FullDisk:
    """A file on a disk that has room for some bytes."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.data = b""

    def tell(self) -> int:
        return len(self.data)

    def write(self, data: bytes | memoryview) -> int:
        taken = bytes(data)[: self.room]
        self.room -= len(taken)
        self.data += taken
        return len(taken)

    def osWrite(self, number: int, data: memoryview) -> int:
        """Write as ``os.write`` does, which fails where nothing is taken."""
        count = self.write(data)
        if not count:
            raise OSError(errno.ENOSPC, "full")
        return count


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


class FullDiskTests(NonBlockingCase):
    """A line that a full disk cut short is repeated on a new line."""

    def test_descriptor(self) -> None:
        """A line that failed as a whole is only repeated."""
        for room, data in ((5, b"one\nt\ntwo\nthree\n"), (4, b"one\ntwo\nthree\n")):
            disk = FullDisk(room)
            self.patch(os, "write", disk.osWrite)
            write = DescriptorWriter(99)
            write(b"one\n")
            for _ in range(2):
                self.assertRaises(OSError, write, b"two\n")
            disk.room = 99
            write(b"two\n")
            write(b"three\n")
            self.assertEqual(disk.data, data)

    def test_logFile(self) -> None:
        """The size of the file, by which it is rotated, stays right."""
        file = self.logFile()
        writer = makeNonBlocking(plain(file))
        assert writer is not None
        disk = FullDisk(5)
        self.patch(file, "_file", disk)
        writer._write(b"one\n")
        problem = self.assertRaises(OSError, writer._write, b"two\n")
        disk.room = 99
        writer._write(b"two\n")
        self.assertEqual((problem.errno, disk.data), (errno.ENOSPC, b"one\nt\ntwo\n"))
        self.assertEqual(file.size, len(disk.data))


class WritingTests(NonBlockingCase):
    """Each kind of observer writes what it wrote before, by a thread."""

    def test_longLine(self) -> None:
        """A pipe that takes a part of a line takes the rest later, blocking or not."""
        line = b"x" * 300_000 + b"\n"

        def write(into: int) -> None:
            DescriptorWriter(into)(line)
            os.close(into)

        for blocking in (True, False):
            out, into = os.pipe()
            os.set_blocking(into, blocking)
            thread = threading.Thread(target=write, args=(into,))
            thread.start()
            with open(out, "rb") as reader:
                self.assertEqual(reader.read(), line)
            thread.join()

    def test_logFile(self) -> None:
        """It is rotated as before; a device, which has no size, is not."""
        file = self.logFile()
        file.rotateLength = 10
        self.log(plain(file), "one", "\xfc")
        self.assertEqual(self.read(".1"), "- [here#info] one\n")
        self.assertEqual(self.read(), "- [here#info] \xfc\n")
        null = LogFile("null", "/dev")
        self.addCleanup(null.close)
        writer = makeNonBlocking(plain(null))
        assert writer is not None
        writer._write(b"x")

    def test_streams(self) -> None:
        """Text in the stream's encoding, behind what the stream held back; bytes."""
        for mode, encoding, text in (
            ("w", "ascii", "before\n- [here#info] one\n- [here#info] \\xfc\n"),
            ("wb", None, "before\n- [here#info] one\n- [here#info] \xfc\n"),
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
        """The priority and the text; a NUL would end the text."""
        calls: list[tuple[int, str]] = []
        self.patch(syslog.SyslogObserver, "openlog", lambda *words: None)
        self.patch(syslog.SyslogObserver, "syslog", lambda _, *words: calls.append(words))
        observer = LegacyLogObserverWrapper(syslog.SyslogObserver("x").emit)
        self.log(observer, "one: two", "a\0b")
        priority = syslog.syslog.LOG_INFO
        self.assertEqual(calls, [(priority, "[-] one: two"), (priority, "[-] a\\0b")])

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
