"""The end of a connection that is refused: a text that arrives, and nothing else."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python.failure import Failure

#: Seconds in which the peer may read the text, as long as a conversation's lingering close.
LINGER = 2.0

#: Refusals at once; above that a connection is closed without a text: refusing must cost little.
MAX_PENDING = 600

#: The refusal over TLS, where a text means nothing: TLS's "internal error" (RFC 8446, 6.2).
TLS_INTERNAL_ERROR = b"\x15\x03\x01\x00\x02\x02\x50"


class Refusal(FileDescriptor):
    """
    Send a text on an accepted socket, finish, and discard what the peer still sends.

    An immediate close would reset the connection of a peer that is sending, and the reset destroys
    the text (RFC 2525, 2.17).

    :cvar waiting: the number of refusals that are not closed yet.
    """

    waiting = 0

    def __init__(self, client: socket.socket, text: bytes, reactor: Any) -> None:
        super().__init__(reactor)
        self._socket = client
        self.connected = 1
        client.setblocking(False)
        Refusal.waiting += 1
        self._deadline = reactor.callLater(LINGER, self.connectionLost, Failure(CONNECTION_LOST))
        self.startReading()
        try:
            client.send(text)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            self.connectionLost(Failure(CONNECTION_LOST))

    def fileno(self) -> int:
        """Return the descriptor of the socket."""
        return self._socket.fileno()

    def doRead(self) -> Any:
        """Discard bytes until the peer has finished too."""
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        return None if data else CONNECTION_DONE

    def connectionLost(self, reason: Failure) -> None:
        """Close the socket."""
        if self.connected:
            super().connectionLost(reason)
            Refusal.waiting -= 1
            if self._deadline.active():
                self._deadline.cancel()
            self._socket.close()


def refuse(client: socket.socket, text: bytes, reactor: Any) -> None:
    """Close an accepted socket after a text has arrived; with an empty text, at once."""
    if text and Refusal.waiting < MAX_PENDING:
        Refusal(client, text, reactor)
    else:
        client.close()
