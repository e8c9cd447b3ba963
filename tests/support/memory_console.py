"""A user's console for clients in memory, and the result of a session."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed

from tcplab.client.protocol import ClientProtocol
from tcplab.client.result import Outcome, Result


class MemoryConsole:
    """Keep what is printed; a test plays the user by calling the client's hooks."""

    blocked = False

    def __init__(self) -> None:
        self.printed = b""
        self.reading: bool | None = None
        self.transport = PausedProducer()

    def open(self, client: ClientProtocol, *, reading: bool) -> None:
        self.reading = reading
        if reading:
            client.transport.registerProducer(self.transport, True)

    def show(self, data: bytes) -> None:
        self.printed += data

    def close(self) -> Deferred[Result | None]:
        return succeed(None)


class PausedProducer:
    """Stand for stdin, and keep whether it is paused."""

    paused = False

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def stopProducing(self) -> None:
        self.paused = True


def ended(client: ClientProtocol) -> Result | None:
    """Return the result of a session; C{None} while it goes on."""
    results: list[Result] = []
    client.ended.addCallback(lambda result: results.append(result) or result)
    return results[0] if results else None


def outcome(client: ClientProtocol) -> Outcome | None:
    """Return the outcome of a session; C{None} while it goes on."""
    result = ended(client)
    return None if result is None else result.outcome
