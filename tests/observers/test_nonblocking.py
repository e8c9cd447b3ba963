"""Tests for `tcplab.observers.nonblocking`."""

from __future__ import annotations

import errno
import io
import os
import threading
from typing import Any

from twisted.logger import (
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


class Full:
    """
    A disk in the place of ``os.write``.

    :ivar room: bytes that it takes.
    """

    def __init__(self, case: SynchronousTestCase, room: int) -> None:
        self.room = room
        self.data = b""
        case.patch(os, "write", self.write)

    def write(self, number: int, data: Any) -> int:
        taken = bytes(data)[: self.room]
        if not taken:
            raise OSError(errno.ENOSPC, "full")
        self.room -= len(taken)
        self.data += taken
        return len(taken)


class DescriptorTests(SynchronousTestCase):
    def test_long_line(self) -> None:
        out, into = os.pipe()
        self.addCleanup(os.close, out)
        line = b"x" * 300_000 + b"\n"
        writing = threading.Thread(target=lambda: (DescriptorWriter(into)(line), os.close(into)))
        writing.start()
        with open(out, "rb", closefd=False) as reader:
            self.assertEqual(reader.read(), line)
        writing.join()

    def test_one_that_does_not_block_is_waited_for(self) -> None:
        out, into = os.pipe()
        self.addCleanup(os.close, out)
        os.set_blocking(into, False)
        line = b"x" * 300_000
        writing = threading.Thread(target=lambda: (DescriptorWriter(into)(line), os.close(into)))
        writing.start()
        with open(out, "rb", closefd=False) as reader:
            self.assertEqual(reader.read(), line)
        writing.join()

    def test_what_was_cut_short_is_said_again_on_a_new_line(self) -> None:
        disk = Full(self, 5)
        write = DescriptorWriter(99)
        write(b"one\n")
        for _ in range(2):
            self.assertRaises(OSError, write, b"two\n")
        disk.room = 99
        write(b"two\n")
        write(b"three\n")
        self.assertEqual(disk.data, b"one\nt\ntwo\nthree\n")

    def test_what_failed_as_a_whole_is_only_said_again(self) -> None:
        disk = Full(self, 0)
        write = DescriptorWriter(99)
        self.assertRaises(OSError, write, b"one\n")
        disk.room = 99
        write(b"one\n")
        self.assertEqual(disk.data, b"one\n")


class Watched(SynchronousTestCase):
    def say(self, observer: Any, *lines: str) -> None:
        """Log through an observer whose lines are written by a thread."""
        writer = makeNonBlocking(observer)
        assert writer is not None
        log = Logger("here", observer=observer)
        writer.begin()
        for line in lines:
            log.info("{line}", line=line)
        writer.finish()


class LogFileTests(Watched):
    def setUp(self) -> None:
        self.path = self.mktemp()
        self.file = LogFile(os.path.basename(self.path), os.path.dirname(self.path) or ".")
        self.addCleanup(lambda: self.file.closed or self.file.close())

    def read(self, end: str = "") -> str:
        with open(self.path + end) as file:
            return file.read()

    def test_written(self) -> None:
        self.say(textFileLogObserver(self.file, timeFormat=None), "one", "\xfc")
        self.assertEqual(self.read(), "- [here#info] one\n- [here#info] \xfc\n")

    def test_rotated(self) -> None:
        self.file.rotateLength = 10
        self.say(textFileLogObserver(self.file, timeFormat=None), "one", "two")
        self.assertEqual(self.read(".1"), "- [here#info] one\n")
        self.assertEqual(self.read(), "- [here#info] two\n")

    def test_what_was_cut_short_is_said_again_on_a_new_line(self) -> None:
        observer = textFileLogObserver(self.file, timeFormat=None)
        writer = makeNonBlocking(observer)
        assert writer is not None
        write = writer._write
        usual, self.file._file = self.file._file, _Narrow(self.file._file, 5)  # type: ignore
        write(b"one\n")
        problem = self.assertRaises(OSError, write, b"two\n")
        self.assertEqual(problem.errno, errno.ENOSPC)
        self.file._file = usual
        write(b"two\n")
        self.assertEqual(self.read(), "one\nt\ntwo\n")
        self.assertEqual(self.file.size, 10)

    def test_device(self) -> None:
        file = LogFile("null", "/dev")
        self.addCleanup(file.close)
        writer = makeNonBlocking(textFileLogObserver(file))
        assert writer is not None
        writer._write(b"x")


class _Narrow:
    """A file on a disk that is nearly full."""

    def __init__(self, file: Any, room: int) -> None:
        self._file = file
        self._room = room

    def tell(self) -> int:
        return int(self._file.tell())

    def write(self, data: bytes) -> None:
        self._file.write(data[: self._room])
        self._room -= min(len(data), self._room)


class StreamTests(Watched):
    def setUp(self) -> None:
        self.path = self.mktemp()

    def test_text(self) -> None:
        with open(self.path, "w", encoding="ascii") as file:
            self.say(textFileLogObserver(file, timeFormat=None), "one", "\xfc")
        with open(self.path) as file:
            self.assertEqual(file.read(), "- [here#info] one\n- [here#info] \\xfc\n")

    def test_bytes(self) -> None:
        with open(self.path, "wb") as file:
            self.say(textFileLogObserver(file, timeFormat=None), "\xfc")
        with open(self.path) as file:
            self.assertEqual(file.read(), "- [here#info] \xfc\n")

    def test_JSON_and_levels_as_twist_has_them(self) -> None:
        with open(self.path, "w") as file:
            self.say(FilteringLogObserver(jsonFileLogObserver(file), []), "one", "two")
        with open(self.path) as file:
            self.assertRegex(file.read(), "^\x1e{.*one.*}\n\x1e{.*two.*}\n$")

    def test_what_it_held_back_comes_first(self) -> None:
        with open(self.path, "w") as file:
            file.write("before\n")
            self.say(textFileLogObserver(file, timeFormat=None), "after")
        with open(self.path) as file:
            self.assertEqual(file.read(), "before\n- [here#info] after\n")


class SyslogTests(Watched):
    def test_priority_and_text(self) -> None:
        said: list[tuple[int, str]] = []
        self.patch(syslog.SyslogObserver, "openlog", lambda *words: None)
        self.patch(syslog.SyslogObserver, "syslog", lambda _, *words: said.append(words))
        observer = LegacyLogObserverWrapper(syslog.SyslogObserver("x").emit)
        self.say(observer, "one: two", "a\0b")
        priority = syslog.syslog.LOG_INFO
        self.assertEqual(said, [(priority, "[-] one: two"), (priority, "[-] a\\0b")])


class Others(SynchronousTestCase):
    def test_they_stay_as_they_are(self) -> None:
        memory = io.StringIO()
        observer = textFileLogObserver(memory, timeFormat=None)
        self.assertIs(makeNonBlocking(observer), None)
        self.assertIs(makeNonBlocking(LegacyLogObserverWrapper(print)), None)  # type: ignore[arg-type]
        self.assertIs(makeNonBlocking([].append), None)
        Logger("here", observer=observer).info("one")
        self.assertEqual(memory.getvalue(), "- [here#info] one\n")


class Beginner:
    """Begins to log."""

    def __init__(self) -> None:
        self.publisher = LogPublisher()
        self.settings: dict[str, Any] = {}

    def beginLoggingTo(self, observers: Any, **settings: Any) -> None:
        for each in observers:
            self.publisher.addObserver(each)
        self.settings = settings


class UnhurriedLogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = self.mktemp()
        self.file = self.enterContext(open(self.path, "w"))
        self.beginner = Beginner()
        self.log = NonBlockingLog(self.beginner)

    def read(self) -> str:
        with open(self.path) as file:
            return file.read()

    def test_it_takes_over_when_logging_begins(self) -> None:
        seen: list[Any] = []
        observers = iter([textFileLogObserver(self.file, timeFormat=None), seen.append])
        self.beginner.beginLoggingTo(observers, redirectStandardIO=False)
        self.assertEqual(self.beginner.settings, {"redirectStandardIO": False})
        Logger("here", observer=self.beginner.publisher).info("one")
        self.assertEqual(self.read(), "")
        self.log.begin()
        self.log.finish()
        self.assertEqual(self.read(), "- [here#info] one\n")
        self.assertEqual(len(seen), 1)

    def test_once(self) -> None:
        self.beginner.beginLoggingTo([])
        observer = textFileLogObserver(self.file, timeFormat=None)
        self.beginner.beginLoggingTo([observer])
        Logger("here", observer=self.beginner.publisher).info("one")
        self.file.flush()
        self.assertEqual(self.read(), "- [here#info] one\n")
        self.assertEqual(self.log.writers, [])
