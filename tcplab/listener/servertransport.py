"""The transport of an accepted connection: it counts, keeps errno, and reports how it ended."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import sys
import termios
import typing
from collections.abc import Collection
from typing import Any, Literal, NamedTuple

from twisted.internet import error, tcp, unix
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress, IFileDescriptorReceiver, IProtocol
from twisted.python.failure import Failure

from tcplab.listener.events import Connection, Ending, Observer
from tcplab.reactor import transports
from tcplab.reactor.coalescing import CoalescingTransport
from tcplab.reactor.stack import keepUrgentData
from tcplab.reactor.transports import CoalescingUnixTransport
from tcplab.wire.escaping import escape
from tcplab.wire.proxyheader import ProxyHeader
from tcplab.wire.reasons import Reason

_Socket = socket.socket


class ProxiedPeer(NamedTuple):
    """
    The peer that a proxy speaks for.

    :ivar peer: its address.
    :ivar header: the PROXY header that names it.
    """

    peer: IAddress
    header: ProxyHeader

    @property
    def address(self) -> tuple[str, int] | bytes:
        """The peer's address as ``accept()`` would have given it."""
        if isinstance(self.peer, (IPv4Address, IPv6Address)):
            return self.peer.host, self.peer.port
        return b""

    @property
    def name(self) -> str:
        """The name of the peer in the tag of its log lines."""
        if isinstance(self.peer, (IPv4Address, IPv6Address)):
            return self.peer.host
        name = self.peer.name if isinstance(self.peer, UNIXAddress) else None
        return escape(os.fsencode(name or b"unix"))


# Kernel states (include/net/tcp_states.h) in which the peer's FIN or RST has arrived.
_PEER_ENDED = frozenset({7, 8, 9, 11})  # CLOSE, CLOSE_WAIT, LAST_ACK, CLOSING

_Outcome = Literal["fin", "reset", "timeout"]


class ConnectionOwner(typing.Protocol):
    """
    What a transport needs of the listener that accepted it.

    :ivar observers: the observers of its connections.
    """

    observers: Observer

    @property
    def connections(self) -> Collection[ObservedTransport]: ...

    def connectionOpened(self, transport: ObservedTransport, /) -> None:
        """The handshake of a connection is complete."""

    def connectionClosed(self, transport: ObservedTransport, ending: Ending, /) -> None:
        """A connection has ended."""


class ObservedTransport(CoalescingTransport):
    """
    An accepted connection: it reports its start, its messages and its end to its listener.

    :ivar listener: the listener that accepted it.
    :ivar connection: the connection as observers know it.
    :ivar accepted: the time of accept, in seconds of the reactor.
    :ivar established: the connection has been reported as open: at once, or after a TLS handshake.
    :ivar reason: our own cause for its end.
    :ivar detail: more about that cause, printable.
    :ivar proxied: the peer that a proxy speaks for; ``None`` without one.
    :ivar local: a proxy made the connection for itself, as the PROXY header says (``LOCAL``).
    :ivar logstr: the tag of its log lines: its listener sets it.
    """

    listener: ConnectionOwner
    connection: Connection
    accepted = 0.0
    established = False
    reason: Reason | None = None
    detail = ""
    proxied: ProxiedPeer | None = None
    local = False
    _endedBy: Literal["peer", "server"] | None = None

    # Of Twisted's own classes
    bufferSize: int
    connected: Any
    logstr = ""
    protocol: Any
    reactor: Any
    sessionno: int
    socket: _Socket

    # A proxy's connection

    def getPeer(self) -> IAddress:
        """Return the address of the peer; behind a proxy that of the peer it speaks for."""
        return self._neighbour() if self.proxied is None else self.proxied.peer

    def _neighbour(self) -> IAddress:
        address: IAddress = super().getPeer()  # type: ignore[misc]
        return address

    @property
    def proxy(self) -> IAddress | None:
        """The address of the proxy at the other end of the socket; ``None`` without one."""
        return None if self.proxied is None else self._neighbour()

    @property
    def announced(self) -> ProxyHeader | None:
        """The PROXY header of the connection; ``None`` without one."""
        return None if self.proxied is None else self.proxied.header

    @property
    def peerName(self) -> str:
        """The name of the peer in the tag of the connection's log lines."""
        raise NotImplementedError

    # Reports

    def connectionOpened(self) -> None:
        """Report the connection as open, now that any handshake is complete."""
        if self.established:
            return  # the handshake that is complete now was STARTTLS's
        self.established = True
        self.listener.connectionOpened(self)

    def messageReported(self, message: bytes) -> None:
        """Report a message that the behaviour received."""
        self.listener.observers.messageReported(self.connection, message)

    def setReason(self, reason: Reason, detail: str = "") -> None:
        """Record why this side is about to end the connection; the first reason stays."""
        if self.reason is None:
            self.reason = reason
            if detail:
                self.detail = detail

    def markEnded(self, side: Literal["peer", "server"]) -> None:
        """Record which side has finished; the first one stays."""
        if self._endedBy is None:
            # The peer's FIN may be here already, behind data that is not read yet.
            self._endedBy = "peer" if side == "peer" or self._peerHasEnded() else "server"

    def _peerHasEnded(self) -> bool:
        if sys.platform != "linux":
            return self._readsEnd()
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        return info[0] in _PEER_ENDED

    def _readsEnd(self) -> bool:
        # Whether the peer's FIN or RST has arrived and no byte is before it.
        try:
            return self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _closeWriteConnection(self) -> None:
        self.markEnded("server")
        super()._closeWriteConnection()  # type: ignore[misc]

    def abortConnection(self) -> None:
        """Reset the connection; what was not sent is dropped."""
        if self.connected:
            self.markEnded("server")
        super().abortConnection()

    # The end

    def connectionLost(self, reason: Failure) -> None:
        """Close the socket, and report the end: to the protocol, then to the listener."""
        if not hasattr(self, "socket"):
            return  # twice, see twisted.internet.tcp.Connection.connectionLost
        self._spill()
        how = self._wireOutcome(reason)
        if self._endedBy is None:
            lost = self.errno or isinstance(reason.value, error.ConnectionLost)
            self.markEnded("peer" if lost else "server")
        # Behind a FIN that was read close() says all that shutdown() would.
        self._shouldShutdown = self._endedBy != "peer"
        try:
            _close(self, reason)
        finally:
            self.listener.connectionClosed(self, self._ending(reason, how))

    def _wireOutcome(self, reason: Failure) -> _Outcome:
        if self.errno is None and self.checkedAt != self.sent:
            waiting = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if waiting:
                self.errno = waiting
        if self.errno == errno.ETIMEDOUT:
            return "timeout"
        if self.errno or isinstance(reason.value, error.ConnectionAborted):
            return "reset"
        # Behind a FIN that was read there are no bytes.
        if self._endedBy != "peer" and self._unreadBytes():
            return "reset"
        return "fin"

    def _unreadBytes(self) -> int:
        # Linux answers a close() with unread bytes by a reset (RFC 2525, 2.17).
        buffer = fcntl.ioctl(self.socket, termios.FIONREAD, b"\0\0\0\0")
        return int(struct.unpack("i", buffer)[0])

    def _ending(self, reason: Failure, how: _Outcome) -> Ending:
        why = self.reason
        if why is None:
            if not self.established:
                probe = self._endedBy == "peer" and not self.received
                why = Reason.PROBE if probe else Reason.HANDSHAKE
            elif not isinstance(reason.value, error.ConnectionClosed):
                why = Reason.ERROR
        assert self._endedBy is not None
        seconds = max(0.0, self.reactor.seconds() - self.accepted)
        counts = self.received, self.sent
        return Ending(self._endedBy, how, why, self.errno, *counts, seconds, self.detail)


def _close(transport: Any, reason: Failure) -> None:
    """Do what Twisted's Connection.connectionLost and the one above it do."""
    transport.disconnected, transport.connected = 1, 0
    if transport.producer is not None:
        transport.producer.stopProducing()
        transport.producer = None
    transport.reactor.removeReader(transport)
    transport.reactor.removeWriter(transport)
    transport._closeSocket(not isinstance(reason.value, error.ConnectionAborted))
    protocol = transport.protocol
    del transport.protocol, transport.socket, transport.fileno
    protocol.connectionLost(reason)


class Server(ObservedTransport, tcp.Server):
    """
    An accepted TCP connection.

    :param client: the address of the other end, as ``accept()`` gave it.
    :param server: the port.
    :param number: of the connection, on its listener.
    :param peer: the peer that a proxy at the other end speaks for.
    """

    def __init__(
        self,
        sock: Any,
        protocol: IProtocol,
        client: Any,
        server: Any,
        number: int,
        reactor: Any,
        peer: ProxiedPeer | None = None,
    ) -> None:
        # As twisted.internet.tcp.Server and the three above it, but for the text of __repr__.
        sock.setblocking(False)
        self.socket = sock
        self.fileno = sock.fileno
        self.protocol = protocol
        self.reactor = reactor
        self.server = server
        self.client = client
        self.sessionno = number
        if len(client) != 2:
            self._addressType = IPv6Address
        if peer is not None:
            self.proxied = peer
        self._tempDataBuffer: list[bytes] = []
        self._tempDataLen = 0
        self._begin()
        reactor.addReader(self)
        self.connected = 1

    @property
    def peerName(self) -> str:
        """The peer's host."""
        return str(self.client[0]) if self.proxied is None else self.proxied.name

    @property
    def hostname(self) -> object:  # type: ignore[override]
        """The host at the other end of the socket."""
        return self.client[0]

    def __repr__(self) -> str:
        listener = self.logstr.partition(",")[0]
        return f"<{listener} #{self.sessionno} on {self.server._realPortNumber}>"

    def getHost(self) -> IPv4Address | IPv6Address:
        """Return the local address, IPv4 for an IPv4 peer of an IPv6 socket."""
        host, port = self.socket.getsockname()[:2]
        return self._addressType("TCP", host.removeprefix("::ffff:") if "." in host else host, port)


class UnixServer(ObservedTransport, CoalescingUnixTransport, unix.Server):
    """
    An accepted connection of a Unix socket; descriptors may be passed over it.

    :param peer: the peer that a proxy at the other end speaks for.
    """

    def __init__(self, *args: Any, peer: ProxiedPeer | None = None) -> None:
        super().__init__(*args)
        keepUrgentData(self)  # a Unix port does not hand it on
        if peer is not None:
            self.proxied = peer

    @property
    def peerName(self) -> str:
        """The peer's name; the socket at the other end may have none, or have chosen any."""
        hostname: Any = self.hostname
        return (
            escape(os.fsencode(hostname or b"unix")) if self.proxied is None else self.proxied.name
        )

    def _peerHasEnded(self) -> bool:
        return self._readsEnd()

    def _ancillaryLevelSOLSOCKETTypeSCMRIGHTS(self, data: bytes) -> None:
        # Descriptors that the peer has passed.
        if IFileDescriptorReceiver.providedBy(self.protocol):
            super()._ancillaryLevelSOLSOCKETTypeSCMRIGHTS(data)
            return
        descriptors = memoryview(data).cast("i").tolist()
        if not transports.CLOSER.close(descriptors, self.reactor.seconds()):
            self.abortConnection()
