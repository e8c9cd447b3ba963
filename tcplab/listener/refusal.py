"""The end of a connection that is refused: a text that arrives, and nothing else."""

from __future__ import annotations

import socket
import sys
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


# From <linux/in.h> and <linux/in6.h>: packets with a lower TTL are dropped, for protocols that
# speak to neighbours only (RFC 5082). A TTL of 255 is rare in a SYN: Linux begins with 64, Windows
# with 128. (A packet filter, SO_ATTACH_FILTER, takes rights that not every user has.)
_IP_MINTTL, _IPV6_MINHOPCOUNT = 21, 73
_MAX_TTL = 255


def dropSYNs(sock: socket.socket, drop: bool = True) -> bool:
    """
    Drop the SYNs of new clients on a listening TCP socket, which send them again after a second.

    A handshake that is under way is completed. Its connection drops packets as well, until this is
    called for it with ``False``.

    :return: whether the system can.
    """
    if sys.platform != "linux":
        return False
    ttl = _MAX_TTL if drop else 0
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MINHOPCOUNT, ttl)
    sock.setsockopt(socket.IPPROTO_IP, _IP_MINTTL, ttl)  # through :: too
    return True


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
