"""Ports on sockets that listen already: a reactor that adopts instead of binding."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.protocols.tls import TLSMemoryBIOFactory

from tcplab.server.inherited import Inherited

_INTERNET = (socket.AF_INET, socket.AF_INET6)


class AdoptingReactor:
    """
    A reactor whose ``listen...`` methods adopt the next inherited socket, whatever is asked for.

    So any endpoint string can be listened on, in the order in which they listen. All else is the
    reactor's own. (Twisted's ``adoptStreamPort`` leaves the socket blocking, opens a Unix socket to
    everybody, and removes its path in the end.)

    :param reactor: runs the ports.
    :param inherited: the sockets.
    """

    def __init__(self, reactor: Any, inherited: Inherited) -> None:
        self._reactor = reactor
        self._inherited = inherited

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """Adopt a TCP socket: it has its own address and its own backlog."""
        return self._adopt(AdoptedPort, self._inherited.next(*_INTERNET, port=port), factory)

    def listenSSL(
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: Any,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        """Adopt a TCP socket, and speak TLS."""
        secured: Any = TLSMemoryBIOFactory(contextFactory, False, factory)
        return self.listenTCP(port, secured, backlog, interface)

    def listenUNIX(
        self,
        address: str | bytes,
        factory: IProtocolFactory,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: int = 0,
    ) -> IListeningPort:
        """Adopt a Unix socket: its path, its mode and its lock are the business of who bound it."""
        return self._adopt(AdoptedUnixPort, self._inherited.next(socket.AF_UNIX), factory)

    def adoptStreamPort(
        self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory
    ) -> IListeningPort:
        """Adopt the next one here too: our descriptors have other numbers than the first's."""
        kind = AdoptedUnixPort if addressFamily == socket.AF_UNIX else AdoptedPort
        return self._adopt(kind, self._inherited.next(addressFamily), factory)

    def _adopt(self, kind: Any, found: socket.socket, factory: IProtocolFactory) -> IListeningPort:
        port: IListeningPort = kind(found, factory, self._reactor)
        port.startListening()
        return port


class _Adopted:
    """
    What both kinds have in common.

    Others have the socket too: to stop listening is to close our descriptor, not to shut it down.
    """

    _preexistingSocket: Any
    _closeSocket: Any

    def startListening(self: Any) -> None:
        """Accept from now on."""
        self.socket = found = self._preexistingSocket
        self._preexistingSocket = None
        self._shouldShutdown = False
        self._realPortNumber = found.getsockname()[1]
        self.fileno = found.fileno
        self.connected = 1
        self.numberAccepts = 100  # as Twisted's begin
        self.factory.doStart()
        self.startReading()

    def _logConnectionLostMsg(self) -> None:
        """Say nothing: it goes on listening, elsewhere."""


class AdoptedPort(_Adopted, tcp.Port):
    """A TCP port on a socket of others."""

    def __init__(self, found: socket.socket, factory: Any, reactor: Any) -> None:
        tcp.Port.__init__(self, None, factory, 0, found.getsockname()[0], reactor)  # type: ignore[arg-type]
        self._preexistingSocket = found


class AdoptedUnixPort(_Adopted, unix.Port):
    """A Unix port on a socket of others."""

    def __init__(self, found: socket.socket, factory: Any, reactor: Any) -> None:
        unix.Port.__init__(self, found.getsockname(), factory, reactor=reactor)
        self._preexistingSocket = found

    def connectionLost(self, reason: Any) -> None:
        """Leave the path where it is."""
        tcp.Port.connectionLost(self, reason)
