"""Listeners and an endpoint for tests of a lab's start and end: what is asked of them is kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred

from tcplab.listener.listener import Listener
from tcplab.listener.policy import call
from tcplab.observers import Observers


class FakeEndpoint:
    """An endpoint whose outcome the test decides."""

    def __init__(self, result: Deferred[Any]) -> None:
        self.result = result

    def listen(self, factory: object) -> Deferred[Any]:
        return self.result


class FakeConnection:
    """A connection of which only its place in the set matters."""

    accepted = 0.0
    established = True


class FakeListener(Listener):
    """
    A listener with connections that end when they are asked to, or only when aborted.

    :ivar told: what was asked, in order.
    :ivar closing: what waits for the end of `stopListening`; ``None`` before it was called.
    """

    unserved = 0

    def __init__(self, polite: bool = True, count: int = 2) -> None:
        super().__init__("fake", Observers())
        self.fake(polite, count)

    def fake(self, polite: bool, count: int = 2) -> None:
        """Have as many connections."""
        self.polite = polite
        self.connections = {FakeConnection() for _ in range(count)}
        self.told: list[str] = []
        self.closed = False
        self.closing: list[Deferred[None]] | None = None

    @property
    def reasons(self) -> set[str]:
        return self._reasons

    def addPort(self, port: object) -> bool:
        return True

    def drain(self) -> None:
        self.told.append("drain")
        if self.polite:
            self.end()

    def abort(self) -> int:
        self.told.append("abort")
        count = len(self.connections)
        self.end()
        return count

    def end(self, why: str | None = None) -> None:
        """End all connections, for one reason."""
        gone, self.connections = self.connections, set()
        for _ in gone:
            call(self.hooks.closed, SimpleNamespace(reason=why))
        self.checkEmpty()

    def stopListening(self) -> Deferred[None]:
        if self.closing is None:
            self.told.append("stop")
            self.closing = []
        asked: Deferred[None] = Deferred()
        self.closing.append(asked)
        if self.closed:
            self.close()
        return asked

    def close(self) -> None:
        """Be closed, if it was asked to."""
        if self.closing is not None:
            self.closed = True
            for asked in self.closing:
                if not asked.called:
                    asked.callback(None)
