"""Accept all connections that wait at a port, and connect each at once."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp
from twisted.python import log

from tcplab.reactor.coalescing import CoalescingTransport

# Accepted before anything else is heard: about a millisecond at 20 us each.
BATCH = 64


class BatchAcceptor:
    """
    Accepts for a port, in the place of its ``doRead``.

    What a protocol writes in ``makeConnection`` leaves in one send when that returns.
    """

    batch = BATCH

    def __init__(self, port: Any) -> None:
        self._port = port
        port.doRead = self.doRead

    def doRead(self) -> None:
        """Accept who waits."""
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
        """Deal with an accept() that failed, here as Twisted does; tell whether to go on."""
        tcp.Port.doRead(self._port)
        return False

    def connect(self, client: socket.socket, address: Any) -> None:
        """Make a connection of a socket."""
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


def connectCorked(protocol: Any, transport: Any) -> None:
    if not isinstance(transport, CoalescingTransport):
        protocol.makeConnection(transport)
        return
    transport.cork()
    try:
        protocol.makeConnection(transport)
    finally:
        transport.uncork()


def _accept(port: Any) -> tuple[socket.socket, Any]:
    # As socket.accept(), without the two enumerations that it looks up: a quarter of its time.
    fd, address = port.socket._accept()
    return socket.socket(port.addressFamily, port.socketType, 0, fd), address


def withScope(address: Any) -> Any:
    """Write the scope of an IPv6 address behind it, where it has one, as Twisted does."""
    if not address[3]:
        return address
    host, _ = socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    return host, *address[1:]
