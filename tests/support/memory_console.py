"""A console for calls in memory, and how a call has ended."""

from __future__ import annotations

from typing import Any

from tcplab.client.protocol import ClientProtocol
from tcplab.client.result import Outcome, Result


class MemoryConsole:
    """Keep what is printed; the user is played by calling what a console calls."""

    def __init__(self) -> None:
        self.printed = b""
        self.reading: bool | None = None
        self.transport = PausedProducer()

    def open(self, call: Any, *, reading: bool) -> None:
        self.reading = reading
        if reading:
            call.transport.registerProducer(self.transport, True)

    def show(self, data: bytes) -> None:
        self.printed += data

    def print(self, text: bytes) -> None:
        self.printed += text


class PausedProducer:
    """Stand for stdin, and remember whether it is asked to wait."""

    paused = False

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def stopProducing(self) -> None:
        self.paused = True


def ended(call: ClientProtocol) -> Result | None:
    """Return how a call ended; C{None} if it hasn't."""
    result = getattr(call.ended, "result", None)
    return result if isinstance(result, Result) else None


def outcome(call: ClientProtocol) -> Outcome | None:
    """Return the word for how a call ended."""
    ending = ended(call)
    return None if ending is None else ending.outcome
