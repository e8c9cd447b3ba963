"""Conversations that the tests of this room share."""

from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure

from tcplab.protocols.conversation import Conversation
from tcplab.wire.framing import Lines


class Keep(Conversation):
    """Keep what happens; none of the hooks calls super()."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def connectionMade(self) -> None:
        self.told.append("made")

    def messageReceived(self, message: bytes) -> None:
        self.told.append(message)

    def readConnectionLost(self) -> None:
        self.told.append("finished")

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.told.append("lost")


class KeepLines(Keep):
    framing = Lines


class Shout(Conversation):
    greeting = b"say something"
    framing = Lines

    def messageReceived(self, message: bytes) -> None:
        self.send(message.upper())
