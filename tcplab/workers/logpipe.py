"""The pipe on which a worker sends its log and its state to the supervisor."""

from __future__ import annotations

import json
from collections.abc import Callable

from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    eventAsJSON,
    eventFromJSON,
    formatEvent,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from tcplab.observers.logfile import DescriptorWriter
from tcplab.observers.logwriter import LogWriter
from tcplab.wire.escaping import escape

log = Logger("tcplab.server.reports")

#: The reactor's last event: of no interest for each worker.
_REACTOR_STOPPED = "Main loop terminated."
#: The key of the text of an event.
_TEXT = "log_said"
#: The key of the text of its exception.
_PROBLEM = "log_problem"
#: Bytes of one line; a traceback has some thousand.
_MAX_LINE = 1 << 18


@implementer(ILogObserver)
class LogSender:
    """
    Send log events and states to the supervisor.

    It never blocks. **Limit:** if the supervisor does not read, events are dropped and counted.

    :param descriptor: the pipe's.
    """

    def __init__(self, descriptor: int) -> None:
        self._writer = LogWriter(DescriptorWriter(descriptor))
        self._writer.begin()

    def __call__(self, event: LogEvent) -> None:
        """Send a log event."""
        if event.get("log_format") == _REACTOR_STOPPED:
            return
        failure = event.get("log_failure")
        problem = {_PROBLEM: failure.getErrorMessage()} if isinstance(failure, Failure) else {}
        try:
            # Flattening loses the format specifications of an event, so its text is sent too, and
            # that of an exception.
            text = eventAsJSON({**event, **problem, _TEXT: formatEvent(event)})
        except Exception as e:
            text = json.dumps({"log_format": f"an event that cannot be passed on: {e!r:.200}"})
        self._put(text)

    def sendState(self, word: str) -> None:
        """Send the state of this worker."""
        self._put(word)

    def _put(self, text: str) -> None:
        self._writer.put(text.encode("utf-8", "backslashreplace") + b"\n")

    def finish(self) -> None:
        """Write the rest, and wait for that a little."""
        self._writer.finish()


class LogReceiver:
    """
    Receive the log and the states of one worker, in the supervisor.

    :param onState: called with each state.
    :param publish: called with each log event.
    :ivar name: the worker's, in the log.
    """

    def __init__(
        self, onState: Callable[[str], object], publish: Callable[[LogEvent], object]
    ) -> None:
        self._onState = onState
        self._publish = publish
        self._partial: dict[int, bytes] = {}
        self.name = "worker"

    def received(self, descriptor: int, data: bytes, isPipe: bool) -> None:
        """
        Take data that a worker has written.

        :param descriptor: to which it was written.
        :param isPipe: it is the pipe of a `LogSender`, and not standard output or error.
        """
        *lines, rest = (self._partial.get(descriptor, b"") + data).split(b"\n")
        if len(rest) > _MAX_LINE:
            lines, rest = [*lines, rest], b""
        self._partial[descriptor] = rest
        for line in lines:
            if isPipe:
                self._message(line.decode("utf-8", "backslashreplace"))
            elif line:
                self._printed(line)

    def _message(self, line: str) -> None:
        if not line.startswith("{"):
            self._onState(line)
            return
        try:
            event = eventFromJSON(line)
        except (ValueError, KeyError, TypeError, AttributeError):
            self._printed(line.encode())
            return
        event.pop("log_flattened", None)
        text = event.pop(_TEXT, None)
        if text is not None and formatEvent(event) != text:  # an object of it was not sent
            event["log_format"] = "{said}"
            event["said"] = text
        if _PROBLEM in event:
            event["log_failure"].value = Exception(event.pop(_PROBLEM))
        event["log_system"] = f"{self.name},{_system(event)}"
        event["worker"] = self.name.removeprefix("worker ")
        self._publish(event)

    def _printed(self, line: bytes) -> None:
        log.warn("{text}", log_system=self.name, text=escape(line, 1000))


def _system(event: LogEvent) -> str:
    """Name the system of an event as Twisted's own log would."""
    system = event.get("log_system")
    if system is not None:
        return str(system)
    level = event.get("log_level") or LogLevel.info
    return f"{event.get('log_namespace', '-')}#{getattr(level, 'name', level)}"
