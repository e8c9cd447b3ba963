"""A listening port and the connections it has accepted."""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from tcplab.listener.acceptor import ListenerAcceptor, acceptorOf
from tcplab.listener.events import Connection, Ending, Observer
from tcplab.listener.policy import (
    ListenerFilter,
    Policy,
    PolicyHooks,
    allAccept,
    call,
    firstRefusal,
)
from tcplab.reactor.stack import topProtocol
from tcplab.reactor.tls import enableHalfClose
from tcplab.wire.reasons import Reason

log = Logger("tcplab.reactor.port")


class Listener:
    """
    Watch the ports of one service: know each live connection, tell its beginning and its end.

    :ivar name: what the listener is called in the log and in the port file.
    :ivar observers: who is told.
    :ivar connections: the transports that are open now, those in a handshake too.
    :ivar hooks: the hooks of its policies, see `addPolicy`.
    :ivar suspended: whether no connection is accepted now, see `suspend`.
    :ivar filter: runs on accepted sockets first, if there is one, see `setFilter`.
    """

    _isOfPort = False

    def __init__(self, name: str, observers: Observer) -> None:
        self.name = name
        self.observers = observers
        self.connections: set[Any] = set()
        self.hooks = PolicyHooks()
        self.suspended = False
        self.filter: ListenerFilter | None = None
        self._waiting: list[Deferred[None]] = []
        self._number = 0
        self._acceptors: list[ListenerAcceptor] = []
        self._reasons: set[str] = set()
        self.draining = False

    @staticmethod
    def of(port: IListeningPort, name: str, observers: Observer) -> Listener | None:
        """
        Return the listener of a port; make one if there is none.

        It is for policies that come with an endpoint, as ``limit:`` does: a listener that adds the
        port later takes them over.

        :param name: of a new listener, or of one that was made here.
        :param observers: of a new listener.
        :return: ``None`` where `addPort` cannot add the port.
        """
        if not isinstance(port, tcp.Port):
            return None
        listener = _listenerOf(port)
        if listener is None:
            listener = Listener(name, observers)
            listener._isOfPort = True
            listener.addPort(port)
        elif listener._isOfPort:
            listener.name = name
        return listener

    def addPort(self, port: IListeningPort) -> bool:
        """
        Accept what connects to a port from now on, in the place of any other listener.

        The policies of a listener that was made by `of` watch this one from now on.

        :return: whether that is possible: the port must be one of Twisted's own stream ports.
        """
        if not isinstance(port, tcp.Port):
            return False
        self.draining = False
        earlier = _listenerOf(port)
        # Where there is TLS a peer is here once its handshake is through.
        acceptor = ListenerAcceptor(port, self, plain=not enableHalfClose(port.factory))
        self._acceptors.append(acceptor)
        if earlier is not None and earlier._isOfPort:
            self._takePolicies(earlier)
        for policy in self.hooks.policies:
            policy.useClock(acceptor.reactor)
        call(self.hooks.portAdded, self)
        return True

    def _takePolicies(self, other: Listener) -> None:
        for policy in other.policies:
            if other in policy.listeners:  # or it was stopped with one before it
                policy.stop()
                policy.watch(self)

    @property
    def ports(self) -> list[Any]:
        """The ports that are watched, and listen still."""
        return [acceptor.port for acceptor in self._acceptors]

    # Accepting

    def setFilter(self, filter: ListenerFilter) -> None:
        """Have everyone who connects from now on wait there first."""
        self.filter = filter

    def suspend(self, reason: str) -> None:
        """Accept nobody, until no reason not to is left: who connects waits in the backlog."""
        self._reasons.add(reason)
        self.suspended = True
        for acceptor in self._acceptors:
            acceptor.suspend()

    def resume(self, reason: str) -> None:
        """Take a reason not to accept away."""
        self._reasons.discard(reason)
        self.suspended = bool(self._reasons)
        if self.filter is not None:
            self.filter.resume()
        for acceptor in self._acceptors:
            acceptor.resume()

    def removeAcceptor(self, acceptor: ListenerAcceptor) -> None:
        """Accept no more for a port that is closed."""
        self._acceptors.remove(acceptor)

    @property
    def policies(self) -> tuple[Policy, ...]:
        """Its policies, in the order in which their hooks are called."""
        return tuple(self.hooks.policies)

    def addPolicy(self, policy: Policy, *, first: bool = False) -> None:
        """Call the hooks of a policy from now on, after those of the others, or ``first``."""
        self.hooks.add(policy, first)
        if self._acceptors:
            policy.useClock(self._acceptors[0].reactor)

    def removePolicy(self, policy: Policy) -> None:
        """Call the hooks of a policy no more; nothing happens if it is not there."""
        self.hooks.remove(policy)

    def mayAccept(self) -> bool:
        """Tell whether a connection may be accepted: neither `suspend` nor a policy says no."""
        return not self.suspended and allAccept(self.hooks.mayAccept)

    def admit(self, address: Any) -> bytes | None:
        """Ask the policies: return the bytes to refuse a peer with, ``None`` to admit it."""
        return firstRefusal(self.hooks.admit, address)

    def nextNumber(self) -> int:
        """Count one more connection."""
        self._number += 1
        return self._number

    def connectionAccepted(self, transport: Any, host: Any, here: bool, peer: Any = None) -> None:
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
        call(self.hooks.accepted, transport)
        if here:
            transport.connectionOpened()

    def connectionOpened(self, transport: Any) -> None:
        """Tell that a peer is here."""
        self.observers.connectionOpened(transport.connection)
        call(self.hooks.opened, transport)
        if self.draining:
            # The protocol has not been told of the handshake yet.
            transport.reactor.callLater(0, self._drainConnection, transport)

    def connectionClosed(self, transport: Any, ending: Ending) -> None:
        """Forget a transport and tell its end."""
        self.connections.discard(transport)
        self.observers.connectionClosed(transport.connection, ending)
        call(self.hooks.closed, transport)
        if not self.connections:
            self.checkEmpty()

    def checkEmpty(self) -> None:
        """Tell who waits for it that nobody is left, if that is so."""
        if self._waiting and self.empty:
            waiting, self._waiting = self._waiting, []
            for deferred in waiting:
                deferred.callback(None)

    # Ending them all

    @property
    def empty(self) -> bool:
        """Whether no connection is open, and none about to be."""
        return not (self.connections or self.filter)

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
        self.draining = True
        for transport in list(self.connections):
            self._drainConnection(transport)
        if self.filter is not None:
            self.filter.drain()

    def _drainConnection(self, transport: Any) -> None:
        """Ask one of them to finish, if it has begun."""
        if transport.established and transport in self.connections:
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
            transport.reason = Reason.ERROR
            transport.abortConnection()

    def abort(self) -> int:
        """Reset what is still open, and say how many that were."""
        if self.filter is not None:
            self.filter.abort()
        for transport in list(self.connections):
            transport.setReason(Reason.DRAIN_TIMEOUT)
            transport.abortConnection()
        return len(self.connections)


def _listenerOf(port: tcp.Port) -> Listener | None:
    acceptor = acceptorOf(port)
    listener = None if acceptor is None else acceptor.listener
    return listener if isinstance(listener, Listener) else None
