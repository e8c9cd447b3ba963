"""Listeners and servings for the tests of how a lab ends: what they are told is kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred


class FakeConnection:
    """A connection of which only its place in the set matters."""

    accepted = 0.0
    established = True


class FakeListener:
    """
    A listener with connections that end when they are told to, or only when aborted.

    :ivar told: what it was told, in order.
    """

    def __init__(self, polite: bool = True, count: int = 2) -> None:
        self.polite = polite
        self.connections: set[Any] = {FakeConnection() for _ in range(count)}
        self.told: list[str] = []
        self.reasons: set[str] = set()
        self.policies: list[Any] = []
        self.ports: list[Any] = []
        self.waiting: list[Deferred[None]] = []

    @property
    def empty(self) -> bool:
        return not self.connections

    def addPort(self, port: object) -> bool:
        return True

    def addPolicy(self, policy: Any) -> None:
        self.policies.append(policy)

    def removePolicy(self, policy: Any) -> None:
        if policy in self.policies:
            self.policies.remove(policy)

    @property
    def suspended(self) -> bool:
        return bool(self.reasons)

    def suspend(self, reason: str) -> None:
        self.reasons.add(reason)

    def resume(self, reason: str) -> None:
        self.reasons.discard(reason)

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
        """End all connections, for one cause."""
        gone, self.connections = self.connections, set()
        for _ in gone:
            for guard in self.policies:
                guard.connectionClosed(SimpleNamespace(reason=why))
        waiting, self.waiting = self.waiting, []
        for deferred in waiting:
            deferred.callback(None)

    def whenEmpty(self) -> Deferred[None]:
        deferred: Deferred[None] = Deferred(self.waiting.remove)
        self.waiting.append(deferred)
        if not self.connections:
            self.end()
        return deferred


class FakeServing:
    """
    One listener, which takes its time to close.

    :ivar closing: who waits for that; ``None`` before it was asked to.
    """

    def __init__(self, listener: FakeListener) -> None:
        self.listener = listener
        self.closed = False
        self.closing: list[Deferred[None]] | None = None

    def stopListening(self) -> Deferred[None]:
        if self.closing is None:
            self.listener.told.append("stop")
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
