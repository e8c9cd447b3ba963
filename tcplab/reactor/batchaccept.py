"""Accept all connections in the listen queue of a port, and connect each at once."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp
from twisted.internet.interfaces import IProtocol, ITransport
from twisted.python import log

from tcplab.reactor.coalescing import CoalescingTransport

# Connections accepted before any other event: about a millisecond at 20 us each.
BATCH = 64


class BatchAcceptor:
    """
    The accept loop of a port; it replaces the port's ``doRead``.

    Bytes that a protocol writes in ``makeConnection`` leave in one send when that returns.
    """

    batch = BATCH

    def __init__(self, port: Any) -> None:
        self._port = port
        port.doRead = self.doRead

    def doRead(self) -> None:
        """Accept the connections that are in the queue."""
        port = self._port
        for _ in range(self.batch):
            if port.disconnecting or not self.mayAccept():
                return
            try:
                client, address = _accept(port)
            except BlockingIOError:
                return
            except OSError as error:
                if not self.acceptFailed(error):
                    return
            else:
                try:
                    self.connect(client, address)
                except BaseException:
                    log.err()

    def mayAccept(self) -> bool:
        """Tell whether to accept one more connection now."""
        return True

    def acceptFailed(self, error: OSError) -> bool:
        """Handle an error of accept(), here as Twisted does; tell whether to go on."""
        tcp.Port.doRead(self._port)
        return False

    def connect(self, client: socket.socket, address: Any) -> None:
        """Make a connection of an accepted socket."""
        port = self._port
        if port.addressFamily == socket.AF_INET6:
            address = withScope(address)
        protocol = port.factory.buildProtocol(port._buildAddr(address))
        if protocol is None:
            client.close()
            return
        number = port.sessionno
        port.sessionno = number + 1
        transport = port.transport(client, protocol, address, port, number, port.reactor)
        connectCorked(protocol, transport)


def connectCorked(protocol: IProtocol, transport: ITransport) -> None:
    """Call ``makeConnection`` of a protocol; the bytes that it writes leave in one send."""
    if not isinstance(transport, CoalescingTransport):
        protocol.makeConnection(transport)
        return
    transport.cork()
    try:
        protocol.makeConnection(transport)
    finally:
        transport.uncork()


def _accept(port: Any) -> tuple[socket.socket, Any]:
    # socket.accept() without the two enumerations that it looks up: a quarter of its time.
    fd, address = port.socket._accept()
    return socket.socket(port.addressFamily, port.socketType, 0, fd), address


def withScope(address: tuple[Any, ...]) -> tuple[Any, ...]:
    """Append the scope of an IPv6 address to its host, as Twisted does."""
    if not address[3]:
        return address
    host, _ = socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    return host, *address[1:]
