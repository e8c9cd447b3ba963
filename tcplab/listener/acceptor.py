"""Accept connections for a listener, with a back-off where ``accept()`` fails."""

from __future__ import annotations

import errno
import math
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from twisted.internet import tcp, unix
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IDelayedCall, IFileDescriptorReceiver
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.python import log
from twisted.python.failure import Failure

from tcplab.listener.peeraddress import unmapped
from tcplab.listener.policy import ListenerFilter, PolicyHooks
from tcplab.listener.refusal import TLS_INTERNAL_ERROR, dropSYNs, refuse
from tcplab.listener.servertransport import ObservedTransport, ProxiedPeer, Server, UnixServer
from tcplab.reactor.batchaccept import BATCH, BatchAcceptor, connectCorked

# Connections accepted before anything else is read, with TLS: about 150 us.
_TLS_BATCH = 8

# From <asm-generic/socket.h>; Python has no name for it.
_SO_PASSRIGHTS = 83

# Connections of a crowd: a port's `onMany` is called for each.
_MANY = 64

# Seconds until accept() is tried again after it failed, doubled each time: as Go's net/http.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 1.0

# Errors of one client, which accept() reports (RFC 793 leaves it to the system). They affect
# no other client.
_CLIENT_ERRORS = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EPERM})

# In a row; more of them are no accident.
_MAX_CLIENT_ERRORS = 16

#: The log context of Twisted's own lines about the ports of listeners, which twistd's log leaves
#: out: the listener has its own.
OWN_PORT = {"system": "tcplab.port"}

_logger = Logger("tcplab.reactor.accepting")


class AcceptingListener(Protocol):
    """What an acceptor needs of its listener."""

    name: str
    suspended: bool
    hooks: PolicyHooks
    filter: ListenerFilter | None

    def mayAccept(self) -> bool: ...

    def admit(self, address: object) -> bytes | None: ...

    def nextNumber(self) -> int: ...

    def connectionAccepted(
        self, transport: ObservedTransport, host: IAddress | None, established: bool, peer: IAddress
    ) -> None: ...

    def removeAcceptor(self, acceptor: ListenerAcceptor, /) -> None: ...


class ListenerAcceptor(BatchAcceptor):
    """
    Accepts connections for a listener, and pauses for a while where accept() fails.

    Twisted's own port is called again at once when the system lacks something (40 % of a core and
    3,300 lines a second). When it lacks descriptors it closes the clients in the listen queue; this
    one leaves them there.

    :param plain: there is no TLS: a connection is established as soon as it is accepted.
    :ivar onMany: called once for every 64 connections.
    """

    def __init__(self, port: Any, listener: AcceptingListener, plain: bool) -> None:
        earlier = acceptorOf(port)
        if earlier is not None:
            earlier.detach()
        super().__init__(port)
        self.reactor = port.reactor
        self.listener = listener
        self._plain = plain
        self.batch = BATCH if plain else _TLS_BATCH
        self._pause = _FIRST_PAUSE
        self._retry: IDelayedCall | None = None
        self._lastLogged = -math.inf, 0.0
        self._clientErrors = 0
        self._closing = False
        self.onMany: Callable[[], object] = lambda: None
        port.connectionLost = self.connectionLost
        if listener.suspended:
            self.suspend()
        self._unix = isinstance(port, unix.Port)
        self._transport: type[UnixServer | Server] = UnixServer if self._unix else Server
        self._host = _fixedHost(port)
        if self._unix:
            _refuseDescriptors(port)
        else:
            # Accepted sockets inherit both. An answer is sent whole: a delay gains nothing. Urgent
            # data stays in the stream (RFC 6093, 6): else the kernel would put it beside.
            port.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)

    # The port

    @property
    def port(self) -> Any:
        """The port it accepts for."""
        return self._port

    def mayAccept(self) -> bool:
        """Tell whether to accept one more connection now."""
        listener = self.listener
        if self._retry is not None or listener.suspended:
            return False
        return not listener.hooks.mayAccept or listener.mayAccept()

    def suspend(self) -> None:
        """Stop accepting until `resume`: clients wait in the listen queue."""
        self._port.pauseProducing()

    def resume(self) -> None:
        """Accept again, unless there is another reason not to."""
        if self._retry is None and not self.listener.suspended:
            self._port.resumeProducing()

    def acceptFailed(self, error: OSError) -> bool:
        """Pause, unless the error is of one client only; tell whether to go on."""
        if error.errno in _CLIENT_ERRORS and self._clientErrors < _MAX_CLIENT_ERRORS:
            self._clientErrors += 1
            return True
        if error.errno == errno.EINVAL:
            # The socket listens no more: shut down, perhaps by another process that has it too.
            self._port.stopReading()
            return False
        now = self.reactor.seconds()
        if self._pause > self._lastLogged[1] or now - self._lastLogged[0] > 0.9:
            # A success now and then begins the pauses anew, but not the lines.
            self._lastLogged = now, self._pause
            _logger.warn(
                "{listener}: cannot accept: {error}; trying again in {seconds:.3f} s",
                listener=self.listener.name,
                error=error,
                seconds=self._pause,
            )
        self.suspend()
        self._retry = self.reactor.callLater(self._pause, self._tryAgain)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return False

    def _tryAgain(self) -> None:
        self._retry = None
        self.resume()

    def connectionLost(self, reason: Failure) -> None:
        """Detach: the port closes."""
        self.detach()
        log.callWithContext(OWN_PORT, self._port.connectionLost, reason)

    def detach(self) -> None:
        """Accept for the port no more: it closes, or another listener takes it."""
        if vars(self._port).get("connectionLost") != self.connectionLost:
            return  # detached already: a port that was closing was taken by another listener
        self.listener.removeAcceptor(self)
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        del self._port.connectionLost  # the class's own is called

    # Connections

    def closeSoon(self) -> bool:
        """
        Accept only clients whose handshake is under way, before the port closes.

        :return: whether the system can.
        """
        self._closing = not self._unix and dropSYNs(self._port.socket)
        return self._closing

    def connect(self, client: socket.socket, address: Any) -> None:
        """Make a connection of an accepted socket; the listener's filter, if any, comes first."""
        if self._closing:
            dropSYNs(client, False)
        filter = self.listener.filter
        if filter is None:
            self.connectFiltered(client, address)
        else:
            filter.accepted(client, address, self)

    def connectFiltered(
        self,
        client: socket.socket,
        address: Any,
        proxied: ProxiedPeer | None = None,
        local: bool = False,
    ) -> None:
        """
        Make a connection of a socket, unless a policy refuses it.

        :param address: of the other end, as ``accept()`` gave it.
        :param proxied: the peer that a proxy at the other end speaks for.
        :param local: a proxy at the other end speaks for itself (PROXY ``LOCAL``).
        """
        self._pause, self._clientErrors = _FIRST_PAUSE, 0
        port, listener = self._port, self.listener
        address = unmapped(address) if port.addressFamily == socket.AF_INET6 else address
        if listener.hooks.admit:
            refusal = listener.admit(proxied.address if proxied else address)
            if refusal is not None:
                self._refuse(client, refusal)
                return
        peer = proxied.peer if proxied else self._peer(address)
        try:
            protocol = port.factory.buildProtocol(peer)
            if protocol is None:
                client.close()
                return
            number = listener.nextNumber()
            if not number % _MANY:
                self.onMany()
            transport = self._transport(
                client, protocol, address, port, number, port.reactor, peer=proxied
            )
        except BaseException:
            client.close()  # it has no other owner
            raise
        transport.local = local
        listener.connectionAccepted(transport, self._host, self._plain, peer)
        connectCorked(protocol, transport)

    def _refuse(self, client: socket.socket, refusal: bytes) -> None:
        if refusal and not self._plain:
            refusal = TLS_INTERNAL_ERROR
        refuse(client, refusal, self._port.reactor)

    def _peer(self, address: Any) -> IAddress:
        if not self._unix and len(address) == 2:
            return IPv4Address("TCP", *address)
        peer: IAddress = self._port._buildAddr(address)
        return peer


def _refuseDescriptors(port: Any) -> None:
    # Where no protocol of the port takes them, the kernel refuses descriptors at the sender: since
    # Linux 6.16. Accepted sockets inherit it. Without it they are received, and closed.
    factory = port.factory
    while isinstance(factory, WrappingFactory):
        factory = factory.wrappedFactory
    protocol = factory.protocol if isinstance(factory, Factory) else None
    if isinstance(protocol, type) and not IFileDescriptorReceiver.implementedBy(protocol):
        with suppress(OSError):
            port.socket.setsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS, 0)


def acceptorOf(port: tcp.Port) -> ListenerAcceptor | None:
    """Return the acceptor of a port, if a listener has it."""
    acceptor = getattr(port.doRead, "__self__", None)
    return acceptor if isinstance(acceptor, ListenerAcceptor) else None


def _fixedHost(port: tcp.Port) -> IAddress | None:
    """Return the one address of a port, or ``None``: it depends on the connection."""
    host: IAddress = port.getHost()
    anyHost = isinstance(host, (IPv4Address, IPv6Address)) and host.host in ("0.0.0.0", "::")
    return None if anyHost else host
