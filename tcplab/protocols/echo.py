"""Echo, and the lab's default behaviour: servers that return what they receive."""

from __future__ import annotations

from tcplab.protocols.conversation import Conversation
from tcplab.wire import texts


class Echo(Conversation):
    """
    Return every byte until the peer finishes (RFC 862).

    >>> peer = connected(Echo)
    >>> peer.write(b"hi")
    >>> peer.value()
    b'hi'
    """

    def messageReceived(self, message: bytes) -> None:
        """Return the message."""
        self.send(message)


class LabConversation(Echo):
    """
    Send ``You are connected!``, report the first message, return every byte: the default.

    >>> peer = connected(LabConversation)
    >>> peer.write(b"hi")
    >>> peer.value(), peer.messages
    (b'You are connected!hi', [b'hi'])
    """

    greeting = texts.ACK
    _reported = False

    def logPrefix(self) -> str:
        """Return the name that users type, as a class name: Lab."""
        return "Lab"

    def messageReceived(self, message: bytes) -> None:
        """Return the message; report the first one."""
        if not self._reported:
            self._reported = True
            self.report(message)
        self.send(message)
