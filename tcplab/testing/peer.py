"""The other end of a connection in memory."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IProtocolFactory

from tcplab.listener.events import Connection, Ending
from tcplab.listener.listener import Listener
from tcplab.observers import Observers
from tcplab.testing.memorytransport import MemoryReactor, MemorySocket, MemoryTransport


class Peer:
    """
    The other end of a connection in memory.

    :ivar clock: a ``twisted.internet.task.Clock``: ``peer.clock.advance(2)`` lets two seconds pass.
    :ivar protocol: what it talks to.
    :ivar transport: the server's transport.
    :ivar reading: whether the peer reads; while it does not, 64 KiB fit in the kernel's stead.
    :ivar appetite: bytes it reads at most for each thing it does, so that an endless stream ends.
    :ivar messages: what was reported.
    :ivar ending: how it ended, once it has.
    """

    def __init__(self, protocol: Any) -> None:
        self.clock = MemoryReactor(self._run)
        self.messages: list[bytes] = []
        self.ending: Ending | None = None
        self.reading = True
        self.appetite = 2**20
        self._socket = MemorySocket()
        self._value = bytearray()
        self.listener = Listener("memory", Observers(self))
        self.protocol = protocol
        address = ("127.0.0.1", 36702)
        self.transport = MemoryTransport(self._socket, protocol, address, None, 1, self.clock)
        self.listener.connectionAccepted(self.transport, None, established=True)
        protocol.makeConnection(self.transport)
        self._run()

    # An observer of its own connection

    def messageReported(self, connection: Connection, message: bytes) -> None:
        """Keep what was reported."""
        self.messages.append(message)

    def connectionClosed(self, connection: Connection, ending: Ending) -> None:
        """Keep how it ended."""
        self.ending = ending

    # What it does

    def write(self, data: bytes) -> None:
        """Send bytes to the server."""
        self._socket.arrive(data)
        self._run()

    def finish(self, data: bytes = b"") -> None:
        """Send a last word, if any, and FIN right behind it; go on reading."""
        self._socket.arrive(data)
        self._socket.peerFinished = True
        self._run()

    def reset(self) -> None:
        """Break the connection, as a crash or ``SO_LINGER`` of 0 does."""
        self._socket.error = errno.ECONNRESET
        self._run()

    def read(self, size: int) -> None:
        """Read that much, although ``reading`` is off."""
        self._take(size)
        self._run()

    def resume(self) -> None:
        """Read again what waits, and from now on."""
        self.reading = True
        self._run()

    # What it sees, once all that can happen has happened

    def value(self) -> bytes:
        """Return all that came from the server since `clear`."""
        self._run()
        return bytes(self._value)

    def clear(self) -> None:
        """Forget what came."""
        self._run()
        self._value.clear()

    @property
    def ended(self) -> bool:
        """Whether the server has finished, and the peer has read to that end."""
        self._run()
        return self._socket.finished and not self._socket.going

    @property
    def connected(self) -> bool:
        """Whether the server still has the connection."""
        self._run()
        return self.ending is None

    @property
    def wasReset(self) -> bool:
        """Whether the server broke the connection instead of finishing it."""
        self._run()
        return self._socket.closed == "reset"

    @property
    def window(self) -> int:
        """How many bytes fit on the way to a peer that does not read."""
        return self._socket.window

    @window.setter
    def window(self, size: int) -> None:
        self._socket.window = size

    def _run(self) -> None:
        left = self.appetite
        while self.clock.turn() or (self.reading and left and self._socket.going):
            if self.reading:
                left -= self._take(left)
            if left <= 0 and not self._socket.writable:
                break

    def _take(self, size: int) -> int:
        taken = self._socket.going[:size]
        del self._socket.going[:size]
        self._value += taken
        return len(taken)


def connected(protocol: Any) -> Peer:
    """
    Connect a protocol, or a new one of a class or a factory, to a `Peer` in memory.

    A `Conversation` takes its deadlines from the peer's clock.
    """
    if IProtocolFactory.providedBy(protocol):
        protocol = protocol.buildProtocol(IPv4Address("TCP", "127.0.0.1", 36702))
    elif isinstance(protocol, type):
        protocol = protocol()
    return Peer(protocol)
