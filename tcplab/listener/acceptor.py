"""Accept connections for a listener, with a back-off where ``accept()`` fails."""

from __future__ import annotations

import errno
import math
import socket
from typing import TYPE_CHECKING, Any

from twisted.internet import tcp, unix
from twisted.internet.address import IPv4Address
from twisted.logger import Logger

from tcplab.listener.refusal import TLS_INTERNAL_ERROR, refuse
from tcplab.listener.servertransport import Server, UnixServer
from tcplab.reactor.batchaccept import BATCH, BatchAcceptor, connectCorked, withScope

if TYPE_CHECKING:
    from tcplab.listener.listener import Listener
    from tcplab.listener.servertransport import ProxiedPeer


# Connections accepted before anything else is read, with TLS: about 150 us.
_TLS_BATCH = 8

# Seconds until accept() is tried again after it failed, doubled each time: as Go's net/http.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 1.0

# The peer's own end, told by accept() (RFC 793 leaves it to the system); the next may be well.
_CLIENT_ERRORS = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EPERM})

# Of them in a row, that is no longer somebody's impatience.
_MAX_CLIENT_ERRORS = 16

_logger = Logger("tcplab.reactor.accepting")


class ListenerAcceptor(BatchAcceptor):
    """
    Accepts for a listener: as many as that lets in, and after a while when accept() fails.

    Twisted's own port is told again at once when the system lacks something (40 % of a core and
    3,300 lines a second), and closes whoever waits when it lacks descriptors. This one leaves them
    in the backlog.

    :param plain: there is no TLS: a peer is here as soon as it is accepted.
    """

    def __init__(self, port: Any, listener: Listener, plain: bool) -> None:
        earlier = acceptorOf(port)
        if earlier is not None:
            earlier.detach()
        super().__init__(port)
        self.reactor = port.reactor
        self.listener = listener
        self._plain = plain
        self.batch = BATCH if plain else _TLS_BATCH
        self._pause = _FIRST_PAUSE
        self._retry: Any = None
        self._lastLogged = -math.inf, 0.0
        self._clientErrors = 0
        port.connectionLost = self.connectionLost
        if listener.suspended:
            self.suspend()
        self._unix = isinstance(port, unix.Port)
        self._host = _fixedHost(port)
        if not self._unix:
            # Handed on to those accepted. An answer leaves whole: nothing is won by waiting.
            port.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # When

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
        """Accept nobody until `resume`: they wait in the backlog."""
        self._port.pauseProducing()

    def resume(self) -> None:
        """Accept again, if nothing speaks against it."""
        if self._retry is None and not self.listener.suspended:
            self._port.resumeProducing()

    def acceptFailed(self, error: OSError) -> bool:
        """Wait a little, unless it was only somebody who waited that has gone."""
        if error.errno in _CLIENT_ERRORS and self._clientErrors < _MAX_CLIENT_ERRORS:
            self._clientErrors += 1
            return True
        if error.errno == errno.EINVAL:
            # It listens no more: shut down, perhaps by another process that has it too.
            self._port.stopReading()
            return False
        now = self._port.reactor.seconds()
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
        self._retry = self._port.reactor.callLater(self._pause, self._tryAgain)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return False

    def connectionLost(self, reason: Any) -> None:
        """Forget the port that closes."""
        self.detach()
        self._port.connectionLost(reason)

    def detach(self) -> None:
        """Leave the port to itself, or to another listener."""
        self.listener.removeAcceptor(self)
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        del self._port.connectionLost  # the class's own is called

    def _tryAgain(self) -> None:
        self._retry = None
        self.resume()

    # Whom

    def connect(
        self, client: socket.socket, address: Any, announced: ProxiedPeer | None = None
    ) -> None:
        """
        Make a connection of a socket, unless a guard refuses it.

        :param announced: the peer, where a proxy holds the other end of the socket.
        """
        self._pause = _FIRST_PAUSE
        self._clientErrors = 0
        port, listener = self._port, self.listener
        if port.addressFamily == socket.AF_INET6:
            address = _unmapped(address)
        if listener.hooks.admit:
            goodbye = listener.admit(announced.address if announced else address)
            if goodbye is not None:
                refuse(
                    client, goodbye if self._plain else goodbye and TLS_INTERNAL_ERROR, port.reactor
                )
                return
        peer = announced.peer if announced else self._peer(address)
        try:
            protocol = port.factory.buildProtocol(peer)
            if protocol is None:
                client.close()
                return
            kind = UnixServer if self._unix else Server
            transport = kind(client, protocol, address, port, listener.nextNumber(), port.reactor)
        except BaseException:
            client.close()  # nobody else would
            raise
        if announced:
            announced.of(transport)
        listener.connectionAccepted(transport, self._host, self._plain, peer)
        connectCorked(protocol, transport)

    def _peer(self, address: Any) -> Any:
        if not self._unix and len(address) == 2:
            return IPv4Address("TCP", *address)
        return self._port._buildAddr(address)


def acceptorOf(port: tcp.Port) -> ListenerAcceptor | None:
    """Return what accepts for a port, if a listener has it."""
    acceptor = getattr(port.doRead, "__self__", None)
    return acceptor if isinstance(acceptor, ListenerAcceptor) else None


def _unmapped(address: Any) -> Any:
    """Return who connected to an IPv6 socket: IPv4 if mapped (RFC 4291, 2.5.5.2)."""
    host = address[0].removeprefix("::ffff:")
    return (host, address[1]) if "." in host else withScope(address)


def _fixedHost(port: Any) -> Any:
    """Return the one address at which a port is reached, or ``None``: it depends on the peer."""
    host = port.getHost()
    return None if getattr(host, "host", None) in ("0.0.0.0", "::") else host
