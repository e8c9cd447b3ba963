"""The lines of a log: as text, or as JSON, in printable ASCII."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from twisted.logger import (
    FileLogObserver,
    LogEvent,
    LogLevel,
    formatEvent,
    formatEventAsClassicLogText,
)
from twisted.python.failure import Failure

from tcplab.wire.escaping import printable

#: Returns the line of an event, with its newline; ``None``: it has none.
LineFormat = Callable[[LogEvent], str | None]

#: Bytes of a line of JSON, with its newline.
MAX_JSON = 300

#: Bytes for the text at least: other texts, as the name of a listener, are cut to these sizes.
_TEXT, _SIZES = 60, (60, 30, 15)

#: The fields of an event of a connection, in the order of the line.
FIELDS = (
    *("listener", "number", "peer", "by", "how", "why", "errno"),
    *("received", "sent", "seconds", "checks", "tlv"),
)


def formatText(event: LogEvent) -> str | None:
    """
    Return the line of an event as Twisted's own log has it, but printable.

    Further lines of one event, of a traceback say, are indented: no text can look like a new line.
    """
    return printableLines(formatEventAsClassicLogText(event))


def printableLines(text: str | None) -> str | None:
    """Make what Twisted writes for an event printable; JSON of its own is, and stays as it is."""
    if not text or text[0] == "\x1e":  # which comes before each object (RFC 7464)
        return text
    if text.isascii() and text[:-1].isprintable():
        return text  # nearly always: it saves a third of the line's time
    lines = text.rstrip("\n\t").replace("\n\t", "\n    ").split("\n")
    return "\n".join(map(printable, lines)) + "\n"


def formatJSON(event: LogEvent) -> str | None:
    """
    Return the line of an event as one JSON object, of `MAX_JSON` bytes at most.

    Its field ``event`` is ``opened``, ``message``, ``fault``, ``closed`` or ``checks``; ``log`` for
    all other lines. What does not apply is left out.
    """
    kind = event.get("event", "log")
    text = _text(event) if kind == "log" else str(event.get("text", ""))
    if kind == "log" and not text:
        return None
    values = {"time": _time(event), "event": kind, **_level(event)}
    if kind != "log":
        found = {name: event.get(name) for name in FIELDS}
        values |= {name: _plain(value) for name, value in found.items() if value is not None}
    if "seconds" in values:
        values["seconds"] = round(values["seconds"], 3)
    for size in _SIZES:
        if len(_line(values, "")) <= MAX_JSON - _TEXT:
            break
        values = {name: _short(value, size) for name, value in values.items()}
    line = _line(values, text)
    while len(line) > MAX_JSON and text:
        text = _short(text, len(text) - max(len(line) - MAX_JSON, 4))
        line = _line(values, text)
    return line


def jsonLogObserver(outFile: Any) -> FileLogObserver:
    """
    Make an observer of Twisted's log that writes one JSON object a line to a file.

    :param outFile: a text file, as ``sys.stdout``.
    """
    return FileLogObserver(outFile, formatJSON)


#: What can be chosen, by name.
FORMATS: dict[str, LineFormat] = {"text": formatText, "json": formatJSON}


def _line(values: dict[str, Any], text: str) -> str:
    if text:
        values = {**values, "text": text}
    return json.dumps(values, separators=(",", ":"), default=str) + "\n"


def _plain(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value


def _short(value: Any, size: int) -> Any:
    if not isinstance(value, str) or len(value) <= size:
        return value
    return value[: max(0, size - 3)] + "..." if size > 3 else ""


def _time(event: LogEvent) -> str:
    seconds = event.get("log_time") or event.get("time") or 0.0
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _level(event: LogEvent) -> dict[str, object]:
    """Return what a line of the log has besides its text."""
    found: dict[str, object] = {}
    if "event" not in event:
        found["level"] = (event.get("log_level") or LogLevel.info).name
        found["system"] = printable(str(event.get("log_system") or event.get("log_namespace", "-")))
    if "worker" in event:
        worker = str(event["worker"])
        found["worker"] = int(worker) if worker.isdecimal() else worker
    return found


def _text(event: LogEvent) -> str:
    text = formatEvent(event)
    failure = event.get("log_failure")
    if isinstance(failure, Failure):
        kind = failure.type.__name__ if failure.type is not None else ""
        where = ""
        if failure.frames:
            _, file, line, *_ = failure.frames[-1]
            where = f" ({PurePath(file).name}:{line})"
        text = f"{text}: {kind}: {failure.getErrorMessage()}{where}"
    return printable(text.replace("\n", "\\n"))
