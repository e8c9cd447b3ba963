"""A listening port and the connections it has accepted."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet import tcp
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from tcplab.listener.acceptor import ListenerAcceptor
from tcplab.listener.events import Connection, Ending, Observer
from tcplab.listener.policy import Guards, goodbye, tell
from tcplab.reactor.stack import topProtocol
from tcplab.reactor.tls import enableHalfClose

log = Logger("tcplab.reactor.port")


class ListenerFilter(Protocol):
    """
    Where those wait who have been accepted, until it is known who they are.

    They are no connections of the listener's yet. It lets them in by an acceptor's ``welcome``, as
    that stood before `open`.
    """

    def __len__(self) -> int: ...

    def open(self, acceptor: ListenerAcceptor) -> None:
        """Take in whom this acceptor accepts from now on, in the place of its ``welcome``."""

    def resume(self) -> None:
        """Let in who is ready and had to wait because the listener was suspended."""

    def drain(self) -> None:
        """The listener accepts nobody any more, and wants to end."""

    def abort(self) -> None:
        """Send all away."""


class Listener:
    """
    Watch the ports of one service: know each live connection, tell its beginning and its end.

    :ivar name: what the listener is called in the log and in the port file.
    :ivar observers: who is told.
    :ivar connections: the transports that are open now, those in a handshake too.
    :ivar guards: who decides on those who connect, see `guard`.
    :ivar anteroom: where they wait before that, if anywhere, see `receive`.
    """

    def __init__(self, name: str, observers: Observer) -> None:
        self.name = name
        self.observers = observers
        self.connections: set[Any] = set()
        self.guards = Guards()
        self.anteroom: ListenerFilter | None = None
        self._waiting: list[Deferred[None]] = []
        self._number = 0
        self._acceptors: list[ListenerAcceptor] = []
        self._reasons: set[str] = set()
        self._draining = False

    def watch(self, port: IListeningPort) -> bool:
        """
        Have the transports of what this port accepts from now on counted and told.

        Policies that came with the port, from its endpoint, watch this listener from now on.

        :return: whether the port can be watched: it must be one of Twisted's own stream ports.
        """
        if not isinstance(port, tcp.Port):
            return False
        self._draining = False
        # Where there is TLS a peer is here once its handshake is through.
        acceptor = ListenerAcceptor(port, self, plain=not enableHalfClose(port.factory))
        self._acceptors.append(acceptor)
        if self.anteroom is not None:
            self.anteroom.open(acceptor)
        for policy in getattr(port, "policies", ()):
            policy.stop()
            policy.watch(self)
        tell(self.guards.hooks("portWatched"), self)
        return True

    @property
    def ports(self) -> list[Any]:
        """The ports that are watched, and listen still."""
        return [acceptor.port for acceptor in self._acceptors]

    # Accepting

    def receive(self, anteroom: ListenerFilter) -> None:
        """Have everyone who connects from now on wait there first."""
        self.anteroom = anteroom
        for acceptor in self._acceptors:
            anteroom.open(acceptor)

    def suspend(self, reason: str) -> None:
        """Accept nobody, until no reason not to is left: who connects waits in the backlog."""
        self._reasons.add(reason)
        for acceptor in self._acceptors:
            acceptor.suspend()

    def resume(self, reason: str) -> None:
        """Take a reason not to accept away."""
        self._reasons.discard(reason)
        if self.anteroom is not None:
            self.anteroom.resume()
        for acceptor in self._acceptors:
            acceptor.resume()

    def forget(self, acceptor: ListenerAcceptor) -> None:
        """Accept no more for a port that is closed."""
        self._acceptors.remove(acceptor)

    @property
    def suspended(self) -> bool:
        """Whether nobody is accepted now."""
        return bool(self._reasons)

    def guard(self, guard: object) -> None:
        """Have this object asked for everyone who connects, and told what becomes of them."""
        self.guards.append(guard)

    def refusal(self, address: Any) -> bytes | None:
        """Ask the guards: return the goodbye for whom one refuses, ``None`` for who may come in."""
        return goodbye(self.guards.admitting, address)

    def next(self) -> int:
        """Count one more connection."""
        self._number += 1
        return self._number

    def accepted(self, transport: Any, host: Any, here: bool, peer: Any = None) -> None:
        """
        Take a new transport in.

        :param host: our own address; ``None``: ask.
        :param here: there is no handshake to wait for.
        :param peer: who connected; ``None``: ask.
        """
        transport.listener = self
        transport.accepted = transport.reactor.seconds()
        transport.connection = Connection(
            self.name,
            transport.sessionno,
            transport.logstr,
            peer or transport.getPeer(),
            host or transport.getHost(),
        )
        self.connections.add(transport)
        tell(self.guards.accepting, transport)
        if here:
            transport.connectionOpened()

    def opened(self, transport: Any) -> None:
        """Tell that a peer is here."""
        self.observers.connectionOpened(transport.connection)
        tell(self.guards.opening, transport)
        if self._draining:
            # The protocol has not been told of the handshake yet.
            transport.reactor.callLater(0, self.drainOne, transport)

    def closed(self, transport: Any, ending: Ending) -> None:
        """Forget a transport and tell its end."""
        self.connections.discard(transport)
        self.observers.connectionClosed(transport.connection, ending)
        tell(self.guards.leaving, transport)
        if not self.connections:
            self.emptied()

    def emptied(self) -> None:
        """Tell who waits for it that nobody is left, if that is so."""
        if self._waiting and self.empty:
            waiting, self._waiting = self._waiting, []
            for deferred in waiting:
                deferred.callback(None)

    # Ending them all

    @property
    def empty(self) -> bool:
        """Whether no connection is open, and none about to be."""
        return not (self.connections or self.anteroom)

    def whenEmpty(self) -> Deferred[None]:
        """Fire as soon as no connection is open, and none about to be."""
        if self.empty:
            return succeed(None)
        deferred: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(deferred)
        return deferred

    def drain(self) -> None:
        """
        Ask every conversation to finish in its own time.

        A protocol that has no ``connectionDraining`` is closed when what it wrote has left. A peer
        that has not finished its handshake is asked when it has.
        """
        self._draining = True
        for transport in list(self.connections):
            self.drainOne(transport)
        if self.anteroom is not None:
            self.anteroom.drain()

    def drainOne(self, transport: Any) -> None:
        """Ask one of them to finish, if it has begun."""
        if transport.opened and transport in self.connections:
            self._drain(transport)

    def _drain(self, transport: Any) -> None:
        protocol: Any = topProtocol(transport)
        try:
            if hasattr(protocol, "connectionDraining"):
                protocol.connectionDraining()
            else:
                protocol.transport.loseConnection()
        except Exception:
            log.failure("connectionDraining failed", log_system=transport.logstr)
            transport.why = "error"
            transport.abortConnection()

    def abort(self) -> int:
        """Reset what is still open, and say how many that were."""
        if self.anteroom is not None:
            self.anteroom.abort()
        for transport in list(self.connections):
            transport.because("drain-timeout")
            transport.abortConnection()
        return len(self.connections)
