"""A listening port and the connections it has accepted."""

from __future__ import annotations

import os
import socket
from typing import Any, cast

from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from tcplab.reactor.beneath import speaker
from tcplab.reactor.connection import Connection, Ending, Watcher
from tcplab.reactor.tls import halfClosing
from tcplab.reactor.transport import Server, UnixServer
from tcplab.wire.escaping import escape

log = Logger()


class Listener:
    """
    Watch the ports of one service: know each live connection, tell its beginning and its end.

    :ivar name: what the listener is called in the log and in the port file.
    :ivar observers: who is told.
    :ivar connections: the transports that are open now, those in a handshake too.
    """

    def __init__(self, name: str, observers: Watcher) -> None:
        self.name = name
        self.observers = observers
        self.connections: set[Any] = set()
        self._waiting: list[Deferred[None]] = []
        self._number = 0
        self._lastHost: Any = None
        self._lastName: Any = None

    def watch(self, port: IListeningPort) -> bool:
        """
        Have the transports of what this port accepts from now on counted and told.

        :return: whether the port can be watched: it must be one of Twisted's own stream ports.
        """
        if not isinstance(port, tcp.Port):
            return False
        handshake = halfClosing(port.factory)
        kind = UnixServer if isinstance(port, unix.Port) else Server

        def accept(
            sock: socket.socket, protocol: Any, client: Any, port: Any, number: int, reactor: Any
        ) -> Any:
            self._number += 1  # Twisted counts for each port, and from 0
            transport = kind(sock, protocol, _mapped(client), port, self._number, reactor)
            self._accepted(transport, handshake)
            return transport

        port.transport = cast(Any, accept)  # Twisted only calls it
        return True

    def _accepted(self, transport: Any, handshake: bool) -> None:
        transport.listener = self
        if isinstance(transport, UnixServer):
            # Its peer may have no name, or have chosen any.
            hostname: Any = transport.hostname
            name = escape(os.fsencode(hostname or b"unix"))
            transport.logstr = transport.logstr.removesuffix(str(hostname)) + name
        transport.connection = Connection(
            self.name,
            transport.sessionno,
            transport.logstr,
            transport.getPeer(),
            self._host(transport),
        )
        transport.accepted = transport.reactor.seconds()
        transport.setTcpNoDelay(True)  # an answer leaves whole: nothing is won by waiting for more
        self.connections.add(transport)
        if not handshake:
            transport.connectionOpened()

    def _host(self, transport: Any) -> Any:
        # Nearly always the same one: ten thousand connections need not keep it ten thousand times.
        name = transport.socket.getsockname()
        if name != self._lastName:
            self._lastName, self._lastHost = name, transport.getHost()
        return self._lastHost

    def closed(self, transport: Any, ending: Ending) -> None:
        """Forget a transport and tell its end."""
        self.connections.discard(transport)
        self.observers.connectionClosed(transport.connection, ending)
        if not self.connections:
            waiting, self._waiting = self._waiting, []
            for deferred in waiting:
                deferred.callback(None)

    # Ending them all

    def whenEmpty(self) -> Deferred[None]:
        """Fire as soon as no connection is open."""
        if not self.connections:
            return succeed(None)
        deferred: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(deferred)
        return deferred

    def drain(self) -> None:
        """
        Ask every conversation to finish in its own time.

        A protocol that has no ``connectionDraining`` is closed when what it wrote has left; a peer
        that has not finished its handshake is aborted.
        """
        for transport in list(self.connections):
            if transport.opened:
                self._drain(transport)
            else:
                transport.abortConnection()

    def _drain(self, transport: Any) -> None:
        protocol = speaker(transport)
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
        for transport in list(self.connections):
            transport.because("drain-timeout")
            transport.abortConnection()
        return len(self.connections)


def _mapped(client: Any) -> Any:
    """Give an IPv4 peer of an IPv6 socket (RFC 4291, 2.5.5.2) its IPv4 address."""
    if isinstance(client, tuple) and len(client) == 4 and client[0].startswith("::ffff:"):
        host = client[0].removeprefix("::ffff:")
        if "." in host:
            return (host, client[1])
    return client
