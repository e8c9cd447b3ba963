"""Connections that are accepted and whose PROXY header has not been read yet."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.main import CONNECTION_DONE
from twisted.python import log
from twisted.python.failure import Failure

from tcplab.listener.policy import ConnectionMaker, PolicyListener
from tcplab.listener.servertransport import ProxiedPeer
from tcplab.wire.proxyheader import MAX_LENGTH, InetAddress
from tcplab.wire.proxyreader import HeaderReader, ProxyError, ProxyHeader
from tcplab.wire.reasons import Reason

#: Has close() reset a connection.
_RESET = struct.pack("ii", 1, 0)


class PendingConnection(FileDescriptor):
    """
    Read the header of one connection, and nothing else.

    :ivar socket: the connection.
    :ivar address: where it comes from, as accept() gave it.
    :ivar welcome: makes of the socket what it would have been without an anteroom.
    """

    def __init__(
        self,
        room: ProxyHeaderFilter,
        client: socket.socket,
        address: Any,
        welcome: Callable[..., Any],
        reactor: Any,
    ) -> None:
        super().__init__(reactor)
        self.socket = client
        self.address = address
        self.welcome = welcome
        self.fileno = client.fileno  # type: ignore[method-assign]
        self._clock = reactor
        self._room = room
        self._reader = HeaderReader(room.keeper.versions)
        self._deadline: Any = None

    def come(self) -> None:
        """Read what has come with them; if that was not all, wait for the rest."""
        self.socket.setblocking(False)
        self.connected = 1
        self.doRead()
        if self.connected:
            if self._room.keeper.deadline is not None:
                self._wait(self._room.keeper.deadline)
            self.startReading()
            self._room.enter(self)

    def _wait(self, seconds: float) -> None:
        self._deadline = self._clock.callLater(seconds, self._late, seconds)

    def _late(self, seconds: float) -> None:
        self.refuse(Reason.HANDSHAKE_TIMEOUT, f"no whole PROXY header came in {seconds:g} s")

    def hurry(self, seconds: float) -> None:
        """Leave no more time than that."""
        if self._deadline is None:
            self._wait(seconds)
        elif self._deadline.getTime() - self._clock.seconds() > seconds:
            self._deadline.reset(seconds)

    def doRead(self) -> None:
        """Read of the header what there is, and not a byte behind it."""
        try:
            # To look first, and take then: what is left unread would wake us again and again.
            data = self.socket.recv(MAX_LENGTH, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        try:
            if data:
                self._take(self._reader.feed(data))
            else:
                self._ended()
        except ProxyError as problem:
            self.refuse(Reason.HEADER, str(problem))
            return
        header = self._reader.header
        if header is not None:
            self._leave()
            self._room.announced(self, header)

    def _take(self, size: int) -> None:
        with suppress(OSError):  # whoever reads next finds it again
            while size and (taken := self.socket.recv(size)):
                size -= len(taken)

    def _ended(self) -> None:
        # To connect and leave is how balancers look whether somebody is there.
        self._reader.finish()
        self._leave()
        self.socket.close()
        self._room.gone()

    def refuse(self, why: Reason, problem: str) -> None:
        """Send them away, and say why."""
        self._room.refuse(self, why, problem)

    def reset(self) -> None:
        """Reset the connection."""
        self._leave()
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.socket.close()

    def _leave(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        if self.connected:
            super().connectionLost(Failure(CONNECTION_DONE))
        self._room.leave(self)

    def connectionLost(self, reason: Failure) -> None:
        """Leave: the connection is over, or the reactor itself."""
        if self.connected:
            self.reset()
            self._room.gone()


#: Seconds that those have who wait when the server wants to end: the header comes with the first
#: segment, which may have been lost, and is sent again after 0.2 to 1 s (RFC 6298).
DRAIN_GRACE = 1.0


class ProxyRules(Protocol):
    """
    Who decides on those who wait.

    :ivar versions: of the header that are expected.
    :ivar deadline: seconds for it; ``None``: for ever.
    :ivar waiting: all who wait, in the order in which they came.
    :ivar most: how many those may be.
    """

    versions: frozenset[int]
    deadline: float | None
    waiting: dict[PendingConnection, None]
    most: int

    def trusts(self, address: Any) -> bool: ...

    def refused(self, listener: str, address: Any, why: Reason, problem: str) -> None: ...


class ProxyHeaderFilter:
    """
    Have those who connect to one listener announced before they are let in.

    Who is not trusted is reset before a byte is read. Of the others exactly the header is read, so
    that all that follows, TLS too, finds the socket as if it had been accepted just now.
    """

    def __init__(self, keeper: ProxyRules, listener: PolicyListener) -> None:
        self.keeper = keeper
        self._listener = listener
        self._visitors: set[PendingConnection] = set()
        self._ready: dict[PendingConnection, ProxiedPeer | None] = {}

    def __len__(self) -> int:
        return len(self._visitors) + len(self._ready)

    def accepted(self, client: socket.socket, address: Any, maker: ConnectionMaker) -> None:
        """Take in a socket that was accepted."""
        welcome, reactor = maker.connectFiltered, maker.reactor
        self._receive(PendingConnection(self, client, address, welcome, reactor))

    def _receive(self, visitor: PendingConnection) -> None:
        if self.keeper.trusts(visitor.address):
            visitor.come()
        else:
            self.refuse(visitor, Reason.HEADER, "it is not one of the proxies that are listed")

    # What visitors tell

    def enter(self, visitor: PendingConnection) -> None:
        """Have somebody wait; who has waited longest goes where there are too many."""
        waiting = self.keeper.waiting
        self._visitors.add(visitor)
        waiting[visitor] = None
        if len(waiting) > self.keeper.most:
            oldest = next(iter(waiting))
            oldest.refuse(Reason.HEADER, f"{self.keeper.most} who came later wait for theirs")

    def leave(self, visitor: PendingConnection) -> None:
        """Forget somebody."""
        if visitor in self._visitors:
            self._visitors.remove(visitor)
            del self.keeper.waiting[visitor]

    def refuse(self, visitor: PendingConnection, why: Reason, problem: str) -> None:
        """Send somebody away, and say so."""
        self.keeper.refused(self._listener.name, visitor.address, why, problem)
        visitor.reset()
        self._listener.checkEmpty()

    def gone(self) -> None:
        """Tell that somebody has left without a word."""
        self._listener.checkEmpty()

    def announced(self, visitor: PendingConnection, header: ProxyHeader) -> None:
        """Let somebody in, as soon as the listener accepts."""
        self._ready[visitor] = announcedBy(header)
        self.resume()

    # What the listener tells

    def resume(self) -> None:
        """Let in who is ready, while the listener accepts."""
        while self._ready and (self._listener.draining or self._listener.mayAccept()):
            visitor = next(iter(self._ready))
            self._letIn(visitor, self._ready.pop(visitor))

    def _letIn(self, visitor: PendingConnection, announced: ProxiedPeer | None) -> None:
        try:
            visitor.welcome(visitor.socket, visitor.address, announced)
        except BaseException:
            log.err()  # as where it would have been accepted
        self._listener.checkEmpty()  # unless it has a connection now

    def drain(self) -> None:
        """Let in who is ready; the others have a little time."""
        self.resume()
        for visitor in list(self._visitors):
            visitor.hurry(DRAIN_GRACE)

    def abort(self) -> None:
        """Reset them all, without a word: they have been nobody yet."""
        for visitor in [*self._visitors, *self._ready]:
            visitor.reset()
        self._ready.clear()


def announcedBy(header: ProxyHeader) -> ProxiedPeer | None:
    """Return whom a header announces; ``None`` for who holds the socket: the proxy itself."""
    source = header.source
    if source is None:
        return None
    if not isinstance(source, InetAddress):
        return ProxiedPeer(UNIXAddress(source or None), header)
    host: Any = source.host
    host = getattr(host, "ipv4_mapped", None) or host
    kind: Any = IPv4Address if host.version == 4 else IPv6Address
    return ProxiedPeer(kind(header.family[:3], str(host), source.port), header)
