"""Twistd's own log observers, with a thread that does their writing."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable, Iterable
from typing import Any

from twisted.logger import FileLogObserver, FilteringLogObserver, LegacyLogObserverWrapper
from twisted.python.logfile import LogFile
from twisted.python.syslog import SyslogObserver

from tcplab.observers.logwriter import LogWriter


class DescriptorWriter:
    """
    Write whole lines to a descriptor; a line that a full disk cut short is repeated on a new line.

    :param number: of the descriptor.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._cut = False

    def __call__(self, line: bytes) -> None:
        """Write a line; block as long as that takes."""
        left = memoryview(b"\n" + line if self._cut else line)
        while left:
            try:
                count = os.write(self._number, left)
            except BlockingIOError:  # a program that shares it has set it to
                ready = select.poll()
                ready.register(self._number, select.POLLOUT)
                ready.poll()
            else:
                self._cut = count < len(left)
                left = left[count:]


class _RotatedFile:
    """Write whole lines to twistd's log file, which is rotated; likewise."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._cut = False

    def __call__(self, line: bytes) -> None:
        file = self._file
        file.write(b"\n" + line if self._cut else line)
        # It counts what it was given; a full disk may have taken only a part of that.
        size = file._file.tell()
        self._cut = size < file.size
        if self._cut:
            file.size = size
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _Output:
    """Stands in the place of the file of a ``FileLogObserver``."""

    def __init__(self, writer: LogWriter, encoding: str) -> None:
        self._writer = writer
        self._encoding = encoding

    def write(self, text: str | bytes) -> None:
        """Take a text."""
        # A character that has no code must not cost the line.
        self._writer.put(
            text if isinstance(text, bytes) else text.encode(self._encoding, "backslashreplace")
        )

    def flush(self) -> None:
        """Do nothing: no text waits here."""


def makeNonBlocking(observer: object) -> LogWriter | None:
    """
    Have a thread do the writing of a log observer from now on.

    :return: the writer; ``None`` for an observer of an unknown kind, which stays as it is.
    """
    while isinstance(observer, FilteringLogObserver):
        observer = observer._observer
    if isinstance(observer, FileLogObserver):
        return _nonBlockingFile(observer)
    if isinstance(observer, LegacyLogObserverWrapper):
        syslog = getattr(observer.legacyObserver, "__self__", None)
        if isinstance(syslog, SyslogObserver):
            return _nonBlockingSyslog(syslog)
    return None


def _nonBlockingFile(observer: Any) -> LogWriter | None:
    file = observer._outFile
    if isinstance(file, LogFile):
        # A device, /dev/null say, has no size.
        writer = LogWriter(_RotatedFile(file) if os.path.isfile(file.path) else file.write)
    else:
        try:
            number = file.fileno()
        except (AttributeError, OSError):  # it is in memory, say
            return None
        file.flush()
        writer = LogWriter(DescriptorWriter(number))
    observer._outFile = _Output(writer, getattr(file, "encoding", None) or "utf-8")
    return writer


def _nonBlockingSyslog(observer: Any) -> LogWriter:
    say = observer.syslog

    def write(line: bytes) -> None:
        priority, _, text = line.partition(b" ")
        say(int(priority), text.decode("utf-8", "backslashreplace"))

    writer = LogWriter(write)

    def take(priority: int, text: str) -> None:
        writer.put(f"{priority} {text}".replace("\0", "\\0").encode("utf-8", "backslashreplace"))

    observer.syslog = take
    return writer


class NonBlockingLog:
    """
    Wait until twistd or twist begins to log, and take over the writing of its observers.

    :param beginner: where logging begins: Twisted's ``globalLogBeginner``.
    """

    def __init__(self, beginner: Any) -> None:
        self._beginner = beginner
        self._usual: Callable[..., object] = beginner.beginLoggingTo
        self.writers: list[LogWriter] = []
        beginner.beginLoggingTo = self._beginLoggingTo

    def _beginLoggingTo(self, observers: Iterable[Any], *args: Any, **settings: Any) -> None:
        self._beginner.beginLoggingTo = self._usual
        observers = list(observers)
        self.writers += [each for each in map(makeNonBlocking, observers) if each is not None]
        self._usual(observers, *args, **settings)

    def begin(self) -> None:
        """Begin to write. Call it when the process does not fork any more."""
        for each in self.writers:
            each.begin()

    def finish(self) -> None:
        """Write the rest. Call it at the end of the process."""
        for each in self.writers:
            each.finish()
