"""What a worker reports to the first process: its log, and how far it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    eventAsJSON,
    eventFromJSON,
    formatEvent,
)
from zope.interface import implementer

from tcplab.observers.logwriter import LogWriter
from tcplab.observers.nonblocking import DescriptorWriter
from tcplab.wire.escaping import escape

log = Logger("tcplab.server.reports")

#: The reactor's, which nobody wants to hear of each worker.
_LAST_WORDS = "Main loop terminated."
#: The key of the text of an event.
_SAID = "log_said"
#: Of one line; a traceback has some thousand.
_LONGEST = 1 << 18


@implementer(ILogObserver)
class LogSender:
    """
    Write to the first process. It never blocks: who is served matters more than who is told.

    :param descriptor: a pipe's.
    """

    def __init__(self, descriptor: int) -> None:
        self._writer = LogWriter(DescriptorWriter(descriptor))
        self._writer.begin()

    def __call__(self, event: LogEvent) -> None:
        """Pass a log event on."""
        if event.get("log_format") == _LAST_WORDS:
            return
        try:
            # Of its own format an event loses what stands behind a colon, when it is flattened.
            text = eventAsJSON({**event, _SAID: formatEvent(event)})
        except Exception as e:
            text = json.dumps({"log_format": f"an event that cannot be passed on: {e!r:.200}"})
        self._line(text)

    def say(self, word: str) -> None:
        """Say how far we are."""
        self._line(word)

    def _line(self, text: str) -> None:
        self._writer.put(text.encode("utf-8", "backslashreplace") + b"\n")

    def finish(self) -> None:
        """Write the rest, and wait for that a little."""
        self._writer.finish()


class LogReceiver:
    """
    Hear one worker in the first process.

    :param say: called with each word that is no log event.
    :param publish: is given the events.
    """

    def __init__(self, say: Callable[[str], object], publish: Callable[[LogEvent], object]) -> None:
        self._say = say
        self._publish = publish
        self._lines: dict[int, bytes] = {}
        self.name = "worker"

    def received(self, descriptor: int, data: bytes, reported: bool) -> None:
        """
        Take what a descriptor of the worker has brought.

        :param reported: by a `LogSender`; what else it may say are words of Python or of a library.
        """
        *lines, rest = (self._lines.get(descriptor, b"") + data).split(b"\n")
        if len(rest) > _LONGEST:
            lines, rest = [*lines, rest], b""
        self._lines[descriptor] = rest
        for line in lines:
            if reported:
                self._report(line.decode("utf-8", "backslashreplace"))
            elif line:
                self._raw(line)

    def _report(self, line: str) -> None:
        if not line.startswith("{"):
            self._say(line)
            return
        try:
            event = eventFromJSON(line)
        except (ValueError, KeyError, TypeError, AttributeError):
            self._raw(line.encode())
            return
        event.pop("log_flattened", None)
        said = event.pop(_SAID, None)
        if said is not None and formatEvent(event) != said:  # it was of an object that is not here
            event["log_format"] = "{said}"
            event["said"] = said
        event["log_system"] = f"{self.name},{_system(event)}"
        event["worker"] = self.name.removeprefix("worker ")
        self._publish(event)

    def _raw(self, line: bytes) -> None:
        log.warn("{text}", log_system=self.name, text=escape(line, 1000))


def _system(event: dict[str, Any]) -> str:
    """Name the system of an event as Twisted's own log would."""
    system = event.get("log_system")
    if system is not None:
        return str(system)
    level = event.get("log_level") or LogLevel.info
    return f"{event.get('log_namespace', '-')}#{getattr(level, 'name', level)}"
