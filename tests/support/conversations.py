"""Conversations that several tests use."""

from __future__ import annotations

from twisted.python.failure import Failure

from tcplab.protocols.conversation import Conversation
from tcplab.testing import Peer
from tcplab.wire.framing import Lines


def ending(peer: Peer) -> tuple[str, str | None]:
    """Return how a peer's connection has ended, and why."""
    assert peer.ending is not None
    return peer.ending.how, peer.ending.why


class Recorder(Conversation):
    """
    Record which hooks are called; none of them calls super().

    :ivar events: a message, or ``made``, ``finished`` and ``lost``.
    """

    def __init__(self) -> None:
        self.events: list[bytes | str] = []

    def connectionMade(self) -> None:
        self.events.append("made")

    def messageReceived(self, message: bytes) -> None:
        self.events.append(message)

    def readConnectionLost(self) -> None:
        self.events.append("finished")

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.events.append("lost")


class LineRecorder(Recorder):
    framing = Lines


class Shout(Conversation):
    greeting = b"say something"
    framing = Lines

    def messageReceived(self, message: bytes) -> None:
        self.send(message.upper())
