"""
A listening port and the connections it has accepted.

States of a listener: it is *open*; *suspended* while any reason for that stands, so that clients
wait in the listen queue; *draining* from `Listener.drain` until a port is added again; *empty*
while it has no connection and its filter no socket.

What calls what: a port calls its `ListenerAcceptor`, which asks `Listener.mayAccept`, accepts, and
hands the socket to the filter, if there is one. Then it asks `Listener.admit`, makes a transport,
and calls `Listener.connectionAccepted`. The transport calls `Listener.connectionOpened`, at once or
after its TLS handshake, and at the end `Listener.connectionClosed`. In each of these the listener
reports to its observers, then calls the hooks of its policies. It calls a transport only to drain
or reset it.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet import tcp
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger

from tcplab.listener.acceptor import ListenerAcceptor, acceptorOf
from tcplab.listener.events import Connection, Ending, Observer
from tcplab.listener.oneshot import OneShot
from tcplab.listener.policy import (
    ListenerFilter,
    Policy,
    PolicyHooks,
    allAccept,
    call,
    firstRefusal,
)
from tcplab.listener.servertransport import ObservedTransport
from tcplab.reactor.interfaces import StreamTransport
from tcplab.reactor.stack import topProtocol
from tcplab.reactor.tls import enableHalfClose
from tcplab.wire.reasons import Reason

log = Logger("tcplab.reactor.port")


class Listener:
    """
    The ports of one service and their connections, with their policies and observers.

    :ivar name: the name of the listener in the log and in the port file.
    :ivar observers: the observers of its connections. All hooks are called: an object that has only
        some of them goes into a `tcplab.observers.Observers`.
    :ivar connections: the transports of open connections, those in a handshake too.
    :ivar hooks: the hooks of its policies.
    :ivar suspended: no connection is accepted now, see `suspend`.
    :ivar draining: connections are asked to finish, see `drain`.
    :ivar descriptors: file descriptors that a connection takes.
    :ivar filter: runs on accepted sockets before connections are made of them; ``None`` for none.
    """

    descriptors = 1
    _isOfPort = False

    def __init__(self, name: str, observers: Observer) -> None:
        self.name = name
        self.observers = observers
        self.connections: set[ObservedTransport] = set()
        self.hooks = PolicyHooks()
        self.suspended = False
        self.draining = False
        self.filter: ListenerFilter | None = None
        self._emptied: OneShot[None] | None = None
        self._number = 0
        self._acceptors: list[ListenerAcceptor] = []
        self._reasons: set[str] = set()

    # Ports

    @staticmethod
    def of(port: IListeningPort, name: str, observers: Observer) -> Listener | None:
        """
        Return the listener of a port; make one if there is none.

        It is for policies that come with an endpoint, as ``limit:`` does: a listener to which the
        port is added later takes them over.

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
        Accept the connections of a port from now on; another listener of the port loses it.

        The policies of a listener that was made by `of` watch this one from now on.

        :return: whether that is possible: the port must be one of Twisted's own stream ports.
        """
        if not isinstance(port, tcp.Port):
            return False
        self.draining = False
        earlier = _listenerOf(port)
        # With TLS a connection is established when its handshake is complete.
        acceptor = ListenerAcceptor(port, self, plain=not enableHalfClose(port.factory))
        self._acceptors.append(acceptor)
        if earlier is not None and earlier._isOfPort:
            self._takePolicies(earlier)
        self.observers.useClock(acceptor.reactor)
        for policy in self.hooks.policies:
            policy.useClock(acceptor.reactor)
        call(self.hooks.portAdded, self)
        return True

    def _takePolicies(self, other: Listener) -> None:
        for policy in other.policies:
            if other in policy.listeners:  # or it was stopped with one before it
                policy.stop()
                policy.watch(self)

    def removeAcceptor(self, acceptor: ListenerAcceptor) -> None:
        """Forget the acceptor of a port that closes, or that another listener takes."""
        self._acceptors.remove(acceptor)

    @property
    def ports(self) -> list[Any]:
        """Its ports that listen."""
        return [acceptor.port for acceptor in self._acceptors]

    # Policies

    @property
    def policies(self) -> tuple[Policy, ...]:
        """Its policies, in the order in which their hooks are called."""
        return tuple(self.hooks.policies)

    def addPolicy(self, policy: Policy, *, first: bool = False) -> None:
        """Call the hooks of a policy from now on: after those of the others, or ``first``."""
        self.hooks.add(policy, first)
        if self._acceptors:
            policy.useClock(self._acceptors[0].reactor)

    def removePolicy(self, policy: Policy) -> None:
        """Call the hooks of a policy no more; a policy that was not added is ignored."""
        self.hooks.remove(policy)

    def setFilter(self, filter: ListenerFilter) -> None:
        """Run this filter on every accepted socket before a connection is made."""
        self.filter = filter

    def suspend(self, reason: str) -> None:
        """Stop accepting, until every reason is taken back by `resume`."""
        self._reasons.add(reason)
        self.suspended = True
        for acceptor in self._acceptors:
            acceptor.suspend()

    def resume(self, reason: str) -> None:
        """Take back a reason of `suspend`."""
        self._reasons.discard(reason)
        self.suspended = bool(self._reasons)
        if self.filter is not None:
            self.filter.resume()
        for acceptor in self._acceptors:
            acceptor.resume()

    # Questions of acceptors, and reports of transports

    def mayAccept(self) -> bool:
        """Tell whether to accept one more connection: neither `suspend` nor a policy forbids it."""
        return not self.suspended and (not self.hooks.mayAccept or allAccept(self.hooks.mayAccept))

    def admit(self, address: object) -> bytes | None:
        """Return the bytes to refuse a peer with, ``None`` to admit it, as the policies say."""
        return firstRefusal(self.hooks.admit, address)

    def nextNumber(self) -> int:
        """Return the number of the next connection."""
        self._number += 1
        return self._number

    def connectionAccepted(
        self,
        transport: ObservedTransport,
        host: IAddress | None,
        established: bool,
        peer: IAddress | None = None,
    ) -> None:
        """
        Add the transport of a new connection.

        :param host: the local address; ``None``: ask the transport.
        :param established: there is no handshake.
        :param peer: the address of the peer; ``None``: ask the transport.
        """
        transport.listener = self
        transport.accepted = transport.reactor.seconds()
        transport.logstr = f"{self.name},{transport.sessionno},{transport.peerName}"
        transport.connection = Connection(
            self.name,
            transport.sessionno,
            transport.logstr,
            peer or transport.getPeer(),
            host or cast(StreamTransport, transport).getHost(),
            transport.local,
            () if transport.proxied is None else transport.proxied.header.tlvs,
        )
        self.connections.add(transport)
        call(self.hooks.accepted, transport)
        if established:
            transport.connectionOpened()

    def connectionOpened(self, transport: ObservedTransport) -> None:
        """Report a connection as open, its handshake being complete."""
        self.observers.connectionOpened(transport.connection)
        call(self.hooks.opened, transport)
        if self.draining:
            # The protocol does not know of the handshake yet.
            transport.reactor.callLater(0, self._drainConnection, transport)

    def connectionClosed(self, transport: ObservedTransport, ending: Ending) -> None:
        """Forget a transport, and report its end."""
        self.connections.discard(transport)
        self.observers.connectionClosed(transport.connection, ending)
        call(self.hooks.closed, transport)
        if not self.connections:
            self.checkEmpty()

    # The end of all connections

    @property
    def empty(self) -> bool:
        """Whether there is no connection, and no socket in the filter."""
        return not (self.connections or self.filter)

    def whenEmpty(self) -> Deferred[None]:
        """Fire as soon as the listener is `empty`."""
        if self.empty:
            return succeed(None)
        if self._emptied is None:
            self._emptied = OneShot()
        return self._emptied.wait()

    def checkEmpty(self) -> None:
        """Fire the results of `whenEmpty` if the listener is empty now."""
        if self._emptied is not None and self.empty:
            emptied, self._emptied = self._emptied, None
            emptied.fire(None)

    def drain(self) -> None:
        """
        Ask every connection to finish.

        A protocol without ``connectionDraining`` is closed when all it wrote has been sent. A
        connection in a handshake is asked after that.
        """
        self.draining = True
        for transport in list(self.connections):
            self._drainConnection(transport)
        if self.filter is not None:
            self.filter.drain()

    def _drainConnection(self, transport: ObservedTransport) -> None:
        if not (transport.established and transport in self.connections):
            return
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
        """Reset all connections, and return their number; reset the sockets in the filter."""
        if self.filter is not None:
            self.filter.abort()
        for transport in list(self.connections):
            transport.setReason(Reason.DRAIN_TIMEOUT)
            transport.abortConnection()
        return len(self.connections)


class WrappingEndpoint:
    """
    An endpoint that listens where another one does, with policies on its port (`Listener.of`).

    :ivar endpoint: the other endpoint.
    """

    def __init__(self, endpoint: IStreamServerEndpoint) -> None:
        self.endpoint = endpoint


def _listenerOf(port: tcp.Port) -> Listener | None:
    acceptor = acceptorOf(port)
    listener = None if acceptor is None else acceptor.listener
    return listener if isinstance(listener, Listener) else None
