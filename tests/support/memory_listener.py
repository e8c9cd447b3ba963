"""A listener whose connections are in memory, for tests of policies in a time of their own."""

from __future__ import annotations

from typing import Any

from twisted.internet.main import CONNECTION_DONE
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from tcplab.listener.listener import Listener
from tcplab.observers import Observers
from tcplab.reactor.stack import bufferedBytes
from tcplab.testing.memorytransport import MemoryReactor, MemorySocket, MemoryTransport
from tests.support.socket_server import Told


def memoryClock() -> MemoryReactor:
    """Make a clock that transports take for their reactor."""
    return MemoryReactor(lambda: None)


def unacknowledged(transport: Any) -> int:
    """Count what `MemoryTransport.take` has not taken, as the kernel counts for TCP."""
    return len(transport.socket.sendBuffer) + (bufferedBytes(transport) or 0)


class Transport(MemoryTransport):
    """The server's own transport; its peer does what the test says."""

    def say(self, size: int, taken: int = 0) -> None:
        """Give bytes to the kernel; the peer takes a part of them."""
        self.write(bytes(size))
        self.doWrite()
        self.take(taken)

    def take(self, size: int) -> None:
        """Let the peer take bytes from the kernel."""
        del self.socket.sendBuffer[:size]

    def end(self) -> None:
        """Let the peer close the connection."""
        self.connectionLost(Failure(CONNECTION_DONE))


class MemoryListener(Listener):
    """
    A listener without a port.

    :param tls: a connection is established only by `establish`.
    :ivar backlog: addresses of clients that wait.
    :ivar refusals: what refused peers were sent.
    :ivar told: an observer of its connections.
    """

    def __init__(self, clock: MemoryReactor, tls: bool = False) -> None:
        self.told = Told()
        super().__init__("test", Observers(self.told))
        self.clock = clock
        self.tls = tls
        self.backlog: list[Any] = []
        self.refusals: list[bytes] = []

    def connect(self, *addresses: tuple[Any, ...]) -> None:
        """Connect clients: they are accepted unless the listener is suspended."""
        self.backlog += addresses
        self.accept()

    def accept(self) -> None:
        while self.backlog and self.mayAccept():
            self.acceptOne(self.backlog.pop(0))

    def resume(self, reason: str) -> None:
        super().resume(reason)
        self.accept()

    def acceptOne(self, address: tuple[Any, ...] = ("192.0.2.1", 1)) -> Any:
        """Accept a connection, and return its transport; ``None`` if it is refused."""
        refusal = self.admit(address)
        if refusal is not None:
            self.refusals.append(refusal)
            return None
        socket: Any = MemorySocket()
        transport = Transport(socket, Protocol(), address, None, self.nextNumber(), self.clock)
        self.connectionAccepted(transport, None, not self.tls)
        return transport

    def establish(self, *transports: Any) -> None:
        """Complete handshakes."""
        for transport in transports:
            transport.connectionOpened()

    def close(self, *transports: Any) -> None:
        """Close connections, by default all."""
        for transport in transports or list(self.connections):
            transport.end()

    @property
    def reasons(self) -> list[str]:
        """Why it is suspended, without what tells one policy from another."""
        return sorted(reason.partition(" ")[0] for reason in self._reasons)

    @property
    def whys(self) -> list[str | None]:
        """The reasons of all ends."""
        return [ending.why for ending in self.told.endings]
