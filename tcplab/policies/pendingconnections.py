"""Connections that are accepted and whose PROXY header has not been read yet."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IDelayedCall
from twisted.python import log
from twisted.python.failure import Failure

from tcplab.listener.policy import ConnectionMaker, PolicyListener
from tcplab.listener.servertransport import ProxiedPeer
from tcplab.wire.proxyheader import MAX_LENGTH, InetAddress
from tcplab.wire.proxyreader import HeaderReader, ProxyError, ProxyHeader
from tcplab.wire.reasons import Reason

#: With this SO_LINGER close() resets a connection.
_RESET = struct.pack("ii", 1, 0)

#: Seconds that pending connections have when the listener drains. The header arrives with the first
#: segment, which may be lost, and is sent again after 0.2 to 1 s (RFC 6298).
DRAIN_GRACE = 1.0


class PendingConnection(FileDescriptor):
    """
    An accepted connection whose PROXY header is incomplete; it reads that, and no byte behind it.

    :ivar socket: the socket.
    :ivar address: the address of the other end, as ``accept()`` gave it.
    :ivar maker: makes a connection of the socket.
    """

    connected: bool

    def __init__(
        self,
        filter: ProxyHeaderFilter,
        client: socket.socket,
        address: object,
        maker: ConnectionMaker,
    ) -> None:
        super().__init__(maker.reactor)
        self.socket = client
        self.address = address
        self.maker = maker
        self.fileno = client.fileno  # type: ignore[method-assign]
        self._filter = filter
        self._reader = HeaderReader(filter.versions)
        self._deadline: IDelayedCall | None = None

    def start(self) -> None:
        """Read what has arrived; if the header is incomplete, wait for the rest."""
        self.socket.setblocking(False)
        self.connected = True
        self.doRead()
        if self.connected:
            if self._filter.deadline is not None:
                self._expireIn(self._filter.deadline)
            self.startReading()
            self._filter.add(self)

    def _expireIn(self, seconds: float) -> None:
        self._deadline = self.maker.reactor.callLater(seconds, self._expired, seconds)

    def _expired(self, seconds: float) -> None:
        self._deadline = None
        problem = f"no whole PROXY header came in {seconds:g} s"
        if not self._reader.begun:
            # With the client's first bytes, which waits for a greeting: both wait for ever.
            problem += ", and no byte: a proxy has to send it before the client sends"
        self.refuse(Reason.HANDSHAKE_TIMEOUT, problem)

    def refuse(self, reason: Reason, problem: str) -> None:
        """Reset this connection, and report it."""
        self._filter.refuse(self, reason, problem)

    def shortenDeadline(self, seconds: float) -> None:
        """Expire after this time, if not earlier."""
        if self._deadline is None:
            self._expireIn(seconds)
        elif self._deadline.getTime() - self.maker.reactor.seconds() > seconds:
            self._deadline.reset(seconds)

    def doRead(self) -> None:
        """Read what there is of the header, and not a byte behind it."""
        try:
            # Peek first, then take all of it: bytes left in the kernel wake the reactor again.
            data = self.socket.recv(MAX_LENGTH, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        try:
            if not data:
                self._reader.finish()
                self.close()
                self._filter.closed(self)
                return
            size = self._reader.feed(data)
        except ProxyError as problem:
            self.refuse(Reason.HEADER, str(problem))
            return
        with suppress(OSError):  # the next read of the connection meets it again
            while size and (taken := self.socket.recv(size)):
                size -= len(taken)
        if self._reader.header is not None:
            self._stop()
            self._filter.headerRead(self, self._reader.header)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self.connected = False
        self.stopReading()

    def close(self, *, reset: bool = False) -> None:
        """Close the socket, or reset it."""
        if self.connected:
            self._stop()
        if reset:
            with suppress(OSError):
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.socket.close()

    def connectionLost(self, reason: Failure) -> None:
        """Reset the socket: the connection is lost, or the reactor disconnects all."""
        if self.connected:
            self.close(reset=True)
            self._filter.closed(self)


class ProxyHeaderFilter:
    """
    Read the PROXY header of accepted sockets, then make connections of them.

    A socket of an untrusted address is reset before a byte is read. Of the others exactly the
    header is read, so that the connection, TLS included, finds the socket as after accept.

    :param listener: the listener that accepts.
    :param versions: the versions of the header that are expected.
    :param deadline: seconds for it; ``None`` for no limit.
    :param pending: the pending connections of all listeners, in the order of accept.
    :param maxPending: their number at most.
    :param trusts: tells whether an address, as accept() gives it, may name other peers.
    :param onRefused: called with the name of the listener, the address, the reason and the problem.
    """

    def __init__(
        self,
        listener: PolicyListener,
        *,
        versions: frozenset[int],
        deadline: float | None,
        pending: dict[PendingConnection, None],
        maxPending: int,
        trusts: Callable[[object], bool],
        onRefused: Callable[[str, object, Reason, str], None],
    ) -> None:
        self.versions = versions
        self.deadline = deadline
        self._listener = listener
        self._allPending = pending
        self._maxPending = maxPending
        self._trusts = trusts
        self._onRefused = onRefused
        self._pending: set[PendingConnection] = set()
        self._ready: dict[PendingConnection, ProxyHeader] = {}

    def __len__(self) -> int:
        return len(self._pending) + len(self._ready)

    def accepted(self, client: socket.socket, address: object, maker: ConnectionMaker) -> None:
        """Read the header of a socket that was accepted."""
        connection = PendingConnection(self, client, address, maker)
        if self._trusts(address):
            connection.start()
        else:
            problem = "it is not one of the proxies that are listed"
            self.refuse(connection, Reason.HEADER, problem)

    # Called by pending connections

    def add(self, connection: PendingConnection) -> None:
        """Add a pending connection; reset the oldest one if there are too many."""
        pending, most = self._allPending, self._maxPending
        self._pending.add(connection)
        pending[connection] = None
        if len(pending) > most:
            oldest = next(iter(pending))  # perhaps of another listener
            oldest.refuse(Reason.HEADER, f"{most} later connections wait for their headers")

    def refuse(self, connection: PendingConnection, reason: Reason, problem: str) -> None:
        """Reset a connection, and report it."""
        self._onRefused(self._listener.name, connection.address, reason, problem)
        connection.close(reset=True)
        self.closed(connection)

    def closed(self, connection: PendingConnection) -> None:
        """Forget a connection that has ended."""
        if connection in self._pending:
            self._pending.remove(connection)
            del self._allPending[connection]
        self._listener.checkEmpty()

    def headerRead(self, connection: PendingConnection, header: ProxyHeader) -> None:
        """Make a connection, as soon as the listener accepts."""
        if connection in self._pending:
            self._pending.remove(connection)
            del self._allPending[connection]
        self._ready[connection] = header
        self.resume()

    # Called by the listener

    def resume(self) -> None:
        """Make connections of the sockets with a complete header, while the listener accepts."""
        listener, ready = self._listener, self._ready
        while ready and (listener.draining or listener.mayAccept()):
            connection = next(iter(ready))
            header = ready.pop(connection)
            peer, local = proxiedPeer(header), header.command == "LOCAL"
            try:
                connection.maker.connectFiltered(connection.socket, connection.address, peer, local)
            except BaseException:
                log.err()  # as the acceptor does
            if not listener.connections:
                listener.checkEmpty()

    def drain(self) -> None:
        """Make connections of the sockets with a complete header; the others have a little time."""
        self.resume()
        for connection in list(self._pending):
            connection.shortenDeadline(DRAIN_GRACE)

    def abort(self) -> None:
        """Reset all sockets without a report: no observer knows them."""
        for connection in [*self._pending, *self._ready]:
            self._ready.pop(connection, None)
            connection.close(reset=True)
            self.closed(connection)


def proxiedPeer(header: ProxyHeader) -> ProxiedPeer | None:
    """Return the peer that a header names; ``None`` for the other end of the socket itself."""
    source = header.source
    if source is None:
        return None
    if not isinstance(source, InetAddress):
        return ProxiedPeer(UNIXAddress(source or None), header)
    host = source.host
    if host.version == 6 and host.ipv4_mapped is not None:
        host = host.ipv4_mapped
    kind = IPv4Address if host.version == 4 else IPv6Address
    transport: Any = header.family[:3]  # Twisted's types know no other families
    return ProxiedPeer(kind(transport, str(host), source.port), header)
