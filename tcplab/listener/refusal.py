"""The end of a connection that is refused: a goodbye that arrives, and nothing else."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python.failure import Failure

#: Seconds in which the peer may take the goodbye, as long as a conversation's polite end.
LINGER = 2.0

#: At once; whoever is refused above that is closed without ado, so that refusing costs little.
MAX_PENDING = 600

#: To whom a text means nothing: TLS's "internal error" (RFC 8446, 6.2).
TLS_INTERNAL_ERROR = b"\x15\x03\x01\x00\x02\x02\x50"


class Refusal(FileDescriptor):
    """
    Say goodbye on an accepted socket, finish, and drop what the peer still says.

    To close at once would reset a peer that is sending, and the reset destroys the goodbye
    (RFC 2525, 2.17).
    """

    waiting = 0

    def __init__(self, client: socket.socket, goodbye: bytes, reactor: Any) -> None:
        super().__init__(reactor)
        self._socket = client
        self.fileno = client.fileno  # type: ignore[method-assign]
        self.connected = 1
        client.setblocking(False)
        Refusal.waiting += 1
        self._deadline = reactor.callLater(LINGER, self.connectionLost, Failure(CONNECTION_LOST))
        self.startReading()
        try:
            client.send(goodbye)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            self.connectionLost(Failure(CONNECTION_LOST))

    def doRead(self) -> Any:
        """Drop what comes, until the peer has finished too."""
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        return None if data else CONNECTION_DONE

    def connectionLost(self, reason: Failure) -> None:
        """Close."""
        if self.connected:
            super().connectionLost(reason)
            Refusal.waiting -= 1
            if self._deadline.active():
                self._deadline.cancel()
            self._socket.close()


def refuse(client: socket.socket, goodbye: bytes, reactor: Any) -> None:
    """End a connection that was accepted and is not wanted; with an empty goodbye, at once."""
    if goodbye and Refusal.waiting < MAX_PENDING:
        Refusal(client, goodbye, reactor)
    else:
        client.close()
