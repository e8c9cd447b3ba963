"""The peer of a connection in memory: a test sends, reads and resets as a client does."""

from __future__ import annotations

import errno
import inspect
from typing import Any, TypeAlias

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol

from tcplab.listener.events import Connection, Ending
from tcplab.listener.listener import Listener
from tcplab.observers import Observers
from tcplab.testing.memorytransport import MemoryReactor, MemorySocket, MemoryTransport
from tcplab.wire.texts import notBytes

#: What `connected` accepts; a text, since Twisted 25.5 has no ``Factory[Any]`` at run time.
Connectable: TypeAlias = (
    "IProtocol | IProtocolFactory | Protocol | Factory[Any] | type[Protocol] | type[Factory[Any]]"
)


class Peer:
    """
    The peer of a protocol, over a connection in memory.

    Each method returns after all that follows from it has happened, except what waits for a timer.

    >>> peer = connected(Ack)
    >>> peer.finish(b"hi")
    >>> peer.value(), peer.ended, peer.wasReset, peer.messages
    (b'You are connected!', True, False, [b'hi'])

    :ivar clock: a ``twisted.internet.task.Clock``: ``peer.clock.advance(2)`` lets two seconds pass.
    :ivar protocol: the protocol under test.
    :ivar transport: the transport of the protocol.
    :ivar listener: the listener of the connection: ``peer.listener.drain()`` drains it.
    :ivar reading: the peer reads. While it does not, the connection takes `window` bytes.
    :ivar readLimit: the bytes that one method or property reads at most, so that an endless stream
        does not hang a test.
    :ivar messages: the messages that the protocol has reported.
    :ivar ending: how the connection ended; ``None`` while it is open.
    """

    def __init__(self, protocol: IProtocol) -> None:
        self.clock = MemoryReactor(self._run)
        self.messages: list[bytes] = []
        self.ending: Ending | None = None
        self.reading = True
        self.readLimit = 2**20
        self._socket = MemorySocket()
        self._value = bytearray()
        self.listener = Listener("memory", Observers(self))
        self.protocol: Any = protocol
        address = ("127.0.0.1", 36702)
        self.transport = MemoryTransport(self._socket, protocol, address, None, 1, self.clock)
        self.listener.connectionAccepted(self.transport, None, established=True)
        protocol.makeConnection(self.transport)
        self._run()

    # The observer of the connection

    def messageReported(self, connection: Connection, message: bytes) -> None:
        """Keep a reported message."""
        self.messages.append(message)

    def connectionClosed(self, connection: Connection, ending: Ending) -> None:
        """Keep how the connection ended."""
        self.ending = ending

    # What the peer does

    def write(self, data: bytes) -> None:
        """Send bytes to the protocol."""
        if not isinstance(data, bytes):
            raise notBytes("write()", data)
        self._socket.deliver(data)
        self._run()

    def finish(self, data: bytes = b"") -> None:
        """Send bytes with FIN right behind them; go on reading."""
        if not isinstance(data, bytes):
            raise notBytes("finish()", data)
        self._socket.deliver(data)
        self._socket.peerFinished = True
        self._run()

    def reset(self) -> None:
        """Reset the connection, as a crash or ``SO_LINGER`` of 0 does."""
        self._socket.error = errno.ECONNRESET
        self._run()

    def read(self, size: int) -> None:
        """Read this many bytes, although ``reading`` is off."""
        self._take(size)
        self._run()

    def resume(self) -> None:
        """Turn ``reading`` on, and read what is there."""
        self.reading = True
        self._run()

    # What the peer sees

    def value(self) -> bytes:
        """Return all bytes that the peer has read since `clear`."""
        self._run()
        return bytes(self._value)

    def clear(self) -> None:
        """Drop the bytes read so far."""
        self._run()
        self._value.clear()

    @property
    def ended(self) -> bool:
        """Whether the peer has read up to the FIN or RST of the server."""
        self._run()
        return self._socket.finished and not self._socket.sendBuffer

    @property
    def connected(self) -> bool:
        """Whether the connection is open; a half-closed one is."""
        self._run()
        return self.ending is None

    @property
    def wasReset(self) -> bool:
        """Whether the server has reset the connection."""
        self._run()
        return self._socket.closed == "reset"

    @property
    def window(self) -> int:
        """The bytes that the connection takes while the peer does not read [64 KiB]."""
        return self._socket.window

    @window.setter
    def window(self, size: int) -> None:
        self._socket.window = size

    def _run(self) -> None:
        left = self.readLimit
        while self.clock.turn() or (self.reading and left and self._socket.sendBuffer):
            if self.reading:
                left -= self._take(left)
            if left <= 0 and not self._socket.writable:
                break

    def _take(self, size: int) -> int:
        taken = self._socket.sendBuffer[:size]
        del self._socket.sendBuffer[:size]
        self._value += taken
        return len(taken)


def connected(protocol: Connectable) -> Peer:
    r"""
    Connect a protocol to a `Peer` in memory.

    >>> peer = connected(Echo)
    >>> peer.write(b"hi")
    >>> peer.value()
    b'hi'

    A `Conversation` takes its deadlines from the peer's clock.

    :param protocol: a protocol, or a class or factory that makes one.
    :raises TypeError: there is no protocol to connect; the text says why.
    """
    made: object = protocol
    if isinstance(protocol, type) and any(
        each.implementedBy(protocol) for each in (IProtocol, IProtocolFactory)
    ):
        made = _made(protocol)
    if IProtocolFactory.providedBy(made):
        built = made.buildProtocol(IPv4Address("TCP", "127.0.0.1", 36702))
        if built is None:
            raise TypeError(f"{made} refuses the connection")
        return Peer(built)
    if not IProtocol.providedBy(made):
        raise TypeError(f"connected() takes a Protocol, its class or a factory, not {protocol!r}")
    if isinstance(made, Protocol) and made.connected:
        name = type(made).__name__
        raise TypeError(f"this {name} has had a connection: make another one, {name}()")
    return Peer(made)


def _made(found: type) -> object:
    needed = [
        each.name
        for each in inspect.signature(found).parameters.values()
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    if needed:
        raise TypeError(
            f"{found.__name__} cannot be made without {', '.join(needed)}:"
            f" give it made, {found.__name__}({', '.join(f'{name}=...' for name in needed)})"
        )
    return found()
