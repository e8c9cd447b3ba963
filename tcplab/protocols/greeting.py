"""Greeting and Ack: the textbook's servers that greet, report one message and close."""

from __future__ import annotations

from tcplab.protocols.conversation import Conversation
from tcplab.wire import texts


class Greeting(Conversation):
    """
    Send ``Hello from server!``, report the first message, close: the threaded hello server.

    >>> connected(Greeting).value()
    b'Hello from server!'
    """

    greeting = texts.GREETING

    def messageReceived(self, message: bytes) -> None:
        """Report the message and close."""
        self.report(message)
        self.hangUp()


class Ack(Greeting):
    """
    Send ``You are connected!``, report the first message, close: the ack server on port 50544.

    >>> peer = connected(Ack)
    >>> peer.write(b"hi")
    >>> peer.value(), peer.messages, peer.ended
    (b'You are connected!', [b'hi'], True)
    """

    greeting = texts.ACK
