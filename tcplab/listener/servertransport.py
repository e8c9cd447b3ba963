"""The transport of an accepted connection: it counts, keeps errno, and reports how it ended."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import termios
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from twisted.internet import error, tcp, unix
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from tcplab.listener.events import Connection, Ending
from tcplab.reactor.coalescing import CoalescingTransport
from tcplab.reactor.transports import CoalescingUnixTransport
from tcplab.wire.escaping import escape
from tcplab.wire.reasons import Reason

if TYPE_CHECKING:
    from tcplab.listener.listener import Listener


class ProxiedPeer(NamedTuple):
    """
    What was announced of one connection.

    :ivar peer: who it is.
    :ivar header: all that was said, as it was read.
    """

    peer: IAddress
    header: Any

    @property
    def address(self) -> Any:
        """The peer's address as ``accept()`` would have given it."""
        host = getattr(self.peer, "host", None)
        return b"" if host is None else (host, getattr(self.peer, "port", 0))

    @property
    def name(self) -> str:
        """What the peer is called in front of its log lines."""
        host = getattr(self.peer, "host", None)
        if host is not None:
            return str(host)
        return escape(os.fsencode(getattr(self.peer, "name", None) or b"unix"))

    def of(self, transport: Any) -> None:
        """
        Have a transport name this peer as its own, before anybody is told of it.

        Its class still knows who holds the other end of the socket, ``type(transport).getPeer``,
        and ``announced`` is the header.
        """
        peer = self.peer
        transport.announced = self.header
        transport.getPeer = lambda: peer
        behaviour = transport._getLogPrefix(transport.protocol)
        transport.logstr = f"{behaviour},{transport.sessionno},{self.name}"


# Kernel states (include/net/tcp_states.h) in which the peer's FIN or RST has arrived.
_PEER_ENDED = frozenset({7, 8, 9, 11})  # CLOSE, CLOSE_WAIT, LAST_ACK, CLOSING


class ObservedTransport:
    """
    What `Server` and `UnixServer` add to Twisted's own.

    :ivar listener: who accepted it, and is told.
    :ivar connection: the value that observers are told.
    :ivar established: the peer has been told of: at once, with TLS after the handshake.
    :ivar reason: our own cause for ending it.
    """

    listener: Listener
    connection: Connection
    established = False
    reason: Reason | None = None
    accepted = 0.0
    _endedBy: Literal["peer", "server"] | None = None

    def connectionOpened(self) -> None:
        """Tell that a peer is here, now that any handshake is through."""
        if self.established:
            return  # the handshake that is through now was STARTTLS's
        self.established = True
        self.listener.connectionOpened(self)

    def messageReported(self, message: bytes) -> None:
        """Tell a message that the behaviour found worth telling."""
        self.listener.observers.messageReported(self.connection, message)

    # Who ended first, and why

    def setReason(self, reason: Reason) -> None:
        """Say why we are about to end this connection; the first cause given stays."""
        if self.reason is None:
            self.reason = reason

    def markEnded(self, who: Literal["peer", "server"]) -> None:
        """Note that this side has finished; whoever finished first stays noted."""
        if self._endedBy is None:
            # The peer's FIN may be here already, behind data that we have not read.
            self._endedBy = "peer" if who == "peer" or self._peerHasEnded() else "server"

    def _peerHasEnded(self: Any) -> bool:
        info: bytes = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        return info[0] in _PEER_ENDED

    def _closeWriteConnection(self) -> None:
        self.markEnded("server")
        super()._closeWriteConnection()  # type: ignore[misc]

    def abortConnection(self: Any) -> None:
        """Reset the connection; what was written and not sent is dropped."""
        if self.connected:
            self.markEnded("server")
        super().abortConnection()  # type: ignore[misc]

    # How it ended

    def connectionLost(self: Any, reason: Failure) -> None:
        """End, and tell it: the protocol, then the listener."""
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

    def _wireOutcome(self: Any, reason: Failure) -> Literal["fin", "reset", "timeout"]:
        if self.errno is None and self.checkedAt != self.sent:
            waiting = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if waiting:
                self.errno = waiting
        if self.errno == errno.ETIMEDOUT:
            return "timeout"
        if self.errno or isinstance(reason.value, error.ConnectionAborted):
            return "reset"
        # Behind a FIN that we have read there is nothing.
        if self._endedBy != "peer" and self._unreadBytes():
            return "reset"
        return "fin"

    def _unreadBytes(self: Any) -> int:
        # Linux answers a close() with unread bytes by a reset (RFC 2525, 2.17).
        buffer = fcntl.ioctl(self.socket, termios.FIONREAD, b"\0\0\0\0")
        return int(struct.unpack("i", buffer)[0])

    def _ending(self: Any, reason: Failure, how: Literal["fin", "reset", "timeout"]) -> Ending:
        why = self.reason
        if why is None:
            if not self.established:
                why = Reason.HANDSHAKE
            elif not isinstance(reason.value, error.ConnectionClosed):
                why = Reason.ERROR
        seconds = max(0.0, self.reactor.seconds() - self.accepted)
        return Ending(self._endedBy, how, why, self.errno, self.received, self.sent, seconds)


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


class Server(ObservedTransport, CoalescingTransport, tcp.Server):
    """An accepted TCP connection."""

    def __init__(
        self, sock: Any, protocol: Any, client: Any, server: Any, number: int, reactor: Any
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
        # Of nearly all kinds it is the name, and to ask takes long.
        kind = type(protocol)
        usual = getattr(kind, "logPrefix", None) is Protocol.logPrefix
        prefix = kind.__name__ if usual else self._getLogPrefix(protocol)
        self.logstr = f"{prefix},{number},{client[0]}"
        self._tempDataBuffer: list[bytes] = []
        self._tempDataLen = 0
        self._begin()
        reactor.addReader(self)
        self.connected = 1

    @property
    def hostname(self) -> object:  # type: ignore[override]
        """Who is at the other end."""
        return self.client[0]

    def __repr__(self) -> str:
        behaviour = self.logstr.partition(",")[0]
        return f"<{behaviour} #{self.sessionno} on {self.server._realPortNumber}>"

    def getHost(self) -> IPv4Address | IPv6Address:
        """Return our own address, IPv4 for an IPv4 peer of an IPv6 socket."""
        host, port = self.socket.getsockname()[:2]
        return self._addressType("TCP", host.removeprefix("::ffff:") if "." in host else host, port)


class UnixServer(ObservedTransport, CoalescingUnixTransport, unix.Server):
    """An accepted connection of a Unix socket; descriptors may be passed over it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        # Its peer may have no name, or have chosen any.
        hostname: Any = self.hostname
        name = escape(os.fsencode(hostname or b"unix"))
        self.logstr = self.logstr.removesuffix(str(hostname)) + name

    def _peerHasEnded(self) -> bool:
        try:
            return self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
