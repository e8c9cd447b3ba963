"""The servers of the textbook that greet, hear one message, and hang up."""

from __future__ import annotations

from tcplab.protocols.conversation import Conversation
from tcplab.wire import texts


class Greeting(Conversation):
    """Say ``Hello from server!``, report the first message, hang up: the threaded hello server."""

    greeting = texts.GREETING

    def messageReceived(self, message: bytes) -> None:
        """Report the message and hang up."""
        self.report(message)
        self.hangUp()


class Ack(Greeting):
    """Say ``You are connected!``, report the first message, hang up: the recipe on port 50544."""

    greeting = texts.ACK
