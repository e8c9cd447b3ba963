"""Where connections wait for the header in which a proxy announces them."""

from __future__ import annotations

import socket
from typing import Any, Protocol

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.python import log

from tcplab.policies.visitor import Visitor
from tcplab.reactor.accepting import PatientAcceptor
from tcplab.reactor.announced import Announced
from tcplab.reactor.port import Listener
from tcplab.wire.proxyheader import Inet
from tcplab.wire.proxyprotocol import ProxyHeader

#: Seconds that those have who wait when the server wants to end: the header comes with the first
#: segment, which may have been lost, and is sent again after 0.2 to 1 s (RFC 6298).
GRACE = 1.0


class Doorkeeper(Protocol):
    """
    Who decides on those who wait.

    :ivar versions: of the header that are expected.
    :ivar deadline: seconds for it; ``None``: for ever.
    :ivar waiting: all who wait, in the order in which they came.
    :ivar most: how many those may be.
    """

    versions: frozenset[int]
    deadline: float | None
    waiting: dict[Visitor, None]
    most: int

    def trusts(self, address: Any) -> bool: ...

    def refused(self, listener: str, address: Any, why: str, problem: str) -> None: ...


class Anteroom:
    """
    Have those who connect to one listener announced before they are let in.

    Who is not trusted is reset before a byte is read. Of the others exactly the header is read, so
    that all that follows, TLS too, finds the socket as if it had been accepted just now.
    """

    def __init__(self, keeper: Doorkeeper, listener: Listener) -> None:
        self.keeper = keeper
        self._listener = listener
        self._visitors: set[Visitor] = set()
        self._ready: dict[Visitor, Announced | None] = {}
        self._draining = False

    def __len__(self) -> int:
        return len(self._visitors) + len(self._ready)

    def open(self, acceptor: PatientAcceptor) -> None:
        """Take in whom this acceptor accepts from now on."""
        self._draining = False
        welcome, reactor = acceptor.welcome, acceptor.reactor

        def receive(client: socket.socket, address: Any) -> None:
            self._receive(Visitor(self, client, address, welcome, reactor))

        acceptor.welcome = receive  # type: ignore[method-assign, assignment]

    def _receive(self, visitor: Visitor) -> None:
        if self.keeper.trusts(visitor.address):
            visitor.come()
        else:
            self.refuse(visitor, "header", "it is not one of the proxies that are listed")

    # What visitors tell

    def enter(self, visitor: Visitor) -> None:
        """Have somebody wait; who has waited longest goes where there are too many."""
        waiting = self.keeper.waiting
        self._visitors.add(visitor)
        waiting[visitor] = None
        if len(waiting) > self.keeper.most:
            oldest = next(iter(waiting))
            oldest.refuse("header", f"{self.keeper.most} who came later wait for theirs")

    def leave(self, visitor: Visitor) -> None:
        """Forget somebody."""
        if visitor in self._visitors:
            self._visitors.remove(visitor)
            del self.keeper.waiting[visitor]

    def refuse(self, visitor: Visitor, why: str, problem: str) -> None:
        """Send somebody away, and say so."""
        self.keeper.refused(self._listener.name, visitor.address, why, problem)
        visitor.reset()
        self._listener.emptied()

    def gone(self) -> None:
        """Tell that somebody has left without a word."""
        self._listener.emptied()

    def announced(self, visitor: Visitor, header: ProxyHeader) -> None:
        """Let somebody in, as soon as the listener accepts."""
        self._ready[visitor] = announcedBy(header)
        self.resume()

    # What the listener tells

    def resume(self) -> None:
        """Let in who is ready, while the listener accepts."""
        while self._ready and (self._draining or not self._listener.suspended):
            visitor = next(iter(self._ready))
            self._letIn(visitor, self._ready.pop(visitor))

    def _letIn(self, visitor: Visitor, announced: Announced | None) -> None:
        try:
            visitor.welcome(visitor.socket, visitor.address, announced)
        except BaseException:
            log.err()  # as where it would have been accepted
        self._listener.emptied()  # unless it has a connection now

    def drain(self) -> None:
        """Let in who is ready; the others have a little time."""
        self._draining = True
        self.resume()
        for visitor in list(self._visitors):
            visitor.hurry(GRACE)

    def abort(self) -> None:
        """Reset them all, without a word: they have been nobody yet."""
        for visitor in [*self._visitors, *self._ready]:
            visitor.reset()
        self._ready.clear()


def announcedBy(header: ProxyHeader) -> Announced | None:
    """Return whom a header announces; ``None`` for who holds the socket: the proxy itself."""
    source = header.source
    if source is None:
        return None
    if not isinstance(source, Inet):
        return Announced(UNIXAddress(source or None), header)
    host: Any = source.host
    host = getattr(host, "ipv4_mapped", None) or host
    kind: Any = IPv4Address if host.version == 4 else IPv6Address
    return Announced(kind(header.family[:3], str(host), source.port), header)
