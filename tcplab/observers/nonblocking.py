"""Twistd's own log observers, with a thread that does their writing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import IO, Any, cast

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    LegacyLogObserverWrapper,
    LogEvent,
    Logger,
)
from twisted.python.logfile import LogFile
from twisted.python.syslog import SyslogObserver

from tcplab.listener.acceptor import OWN_PORT
from tcplab.observers.lineformat import LineFormat, formatText, printableLines
from tcplab.observers.logfile import AppendedFile, DescriptorWriter, RotatedFile
from tcplab.observers.logwriter import LogWriter
from tcplab.wire.escaping import printable

log = Logger("tcplab.observers.nonblocking")


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


def makeNonBlocking(observer: object, format: LineFormat = formatText) -> LogWriter | None:
    """
    Have a thread do the writing of a log observer from now on, and make its lines printable.

    :param format: of the lines of a file; as text they stay as they are, but printable.
    :return: the writer; ``None`` for an observer of an unknown kind, which stays as it is.
    """
    while isinstance(observer, FilteringLogObserver):
        observer = observer._observer
    if isinstance(observer, FileLogObserver):
        return _nonBlockingFile(observer, format)
    if isinstance(observer, LegacyLogObserverWrapper):
        syslog = getattr(observer.legacyObserver, "__self__", None)
        if isinstance(syslog, SyslogObserver):
            return _nonBlockingSyslog(syslog)
    return None


def _nonBlockingFile(observer: Any, format: LineFormat) -> LogWriter | None:
    file = observer._outFile
    if isinstance(file, LogFile):
        # A device, /dev/null say, has no size.
        rotated = RotatedFile(file)
        plain = os.path.isfile(file.path)
        writer = LogWriter(rotated, reopen=rotated.reopen) if plain else LogWriter(file.write)
    else:
        try:
            number = file.fileno()
        except (AttributeError, OSError):  # it is in memory, say
            return None
        file.flush()
        writer = LogWriter(DescriptorWriter(number))
    observer._outFile = _Output(writer, getattr(file, "encoding", None) or "utf-8")
    own: LineFormat = observer.formatEvent
    chosen = format if format is not formatText else lambda event: printableLines(own(event))
    observer.formatEvent = chosen
    return writer


def _nonBlockingSyslog(observer: Any) -> LogWriter:
    say = observer.syslog

    def write(line: bytes) -> None:
        priority, _, text = line.partition(b" ")
        say(int(priority), text.decode("ascii"))

    writer = LogWriter(write)

    def take(priority: int, text: str) -> None:
        writer.put(f"{priority} {printable(text)}".encode("ascii"))

    observer.syslog = take
    return writer


def withoutNoise(observer: Callable[[LogEvent], object]) -> Callable[[LogEvent], None]:
    """
    Keep some of Twisted's lines from an observer.

    Without the right to write beside its plugins it warns in each log; all that it costs is some
    milliseconds of the start. Of each port that opens or closes it has a line, as a listener has.
    """

    def observe(event: LogEvent) -> None:
        cache = str(event.get("format", "")).startswith("Unable to write to plugin cache")
        if not cache and event.get("system") != OWN_PORT["system"]:
            observer(event)

    return observe


class NonBlockingLog:
    """
    Wait until twistd or twist begins to log, and take over the writing of its observers.

    :param beginner: where logging begins: Twisted's ``globalLogBeginner``.
    :param format: of the lines.
    :param file: where the lines go instead of twistd's own log.
    """

    def __init__(
        self, beginner: Any, format: LineFormat = formatText, file: AppendedFile | None = None
    ) -> None:
        self._beginner = beginner
        self._usual: Callable[..., object] = beginner.beginLoggingTo
        self._format = format
        self._file = file
        self.writers: list[LogWriter] = []
        beginner.beginLoggingTo = self._beginLoggingTo

    def _beginLoggingTo(self, observers: Iterable[Any], *args: Any, **settings: Any) -> None:
        self._beginner.beginLoggingTo = self._usual
        if self._file is None:
            observers = list(observers)
            found = [makeNonBlocking(each, self._format) for each in observers]
            self.writers += [each for each in found if each is not None]
        else:
            writer = LogWriter(self._file, reopen=self._file.reopen)
            observers = [FileLogObserver(cast("IO[str]", _Output(writer, "ascii")), self._format)]
            self.writers.append(writer)
        self._usual(map(withoutNoise, observers), *args, **settings)

    def begin(self) -> None:
        """Begin to write. Call it when the process does not fork any more."""
        for each in self.writers:
            each.begin()

    def reopen(self) -> None:
        """Open the log's files again: they were moved away."""
        found = [each.reopen for each in self.writers if each.reopen is not None]
        for reopen in found:
            reopen()
        text = "the log file is opened again" if found else "there is no log file to open again"
        log.info("SIGUSR1: {text}", log_system="tcplab", text=text)

    def finish(self) -> None:
        """Write the rest. Call it at the end of the process."""
        for each in self.writers:
            each.finish()
