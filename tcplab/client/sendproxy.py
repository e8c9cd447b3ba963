"""The header of the PROXY protocol, sent by the client before all else, TLS too."""

from __future__ import annotations

from typing import cast

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from tcplab.reactor.stack import removeEndpointWrapper
from tcplab.wire.proxyheader import InetAddress, writeHeader


class SendProxyFactory(Factory):
    """
    Send a header on each connection before the protocol of another factory starts.

    The header names the connection's own addresses, as a proxy's does for its health checks.

    :param factory: builds the protocols; they can half-close.
    :param version: the version of the header, 1 or 2.
    """

    noisy = False

    def __init__(self, factory: IProtocolFactory, version: int) -> None:
        self._factory = factory
        self._version = version

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Build a protocol of the other factory, below one that sends the header."""
        protocol = self._factory.buildProtocol(cast(IAddress, addr))
        return None if protocol is None else _HeaderSender(protocol, self._version)


@implementer(IHalfCloseableProtocol)
class _HeaderSender(Protocol):
    """
    Send the header, then leave the connection to the protocol.

    It stays between them only where an endpoint has a protocol of its own on the transport.
    """

    def __init__(self, wrappedProtocol: IProtocol, version: int) -> None:
        self.wrappedProtocol = wrappedProtocol
        self._halves = IHalfCloseableProtocol(wrappedProtocol)
        self._version = version

    def connectionMade(self) -> None:
        """Send the header, and connect the protocol."""
        transport = self.transport
        assert transport is not None
        source, destination = _address(transport.getHost()), _address(transport.getPeer())
        transport.write(writeHeader(self._version, source, destination))
        removeEndpointWrapper(transport, self)
        if isinstance(transport, Connection) and transport.protocol is self:
            transport.protocol = self.wrappedProtocol
        self.wrappedProtocol.makeConnection(transport)

    def dataReceived(self, data: bytes) -> None:
        """Pass on bytes."""
        self.wrappedProtocol.dataReceived(data)

    def readConnectionLost(self) -> None:
        """Pass on the server's FIN."""
        self._halves.readConnectionLost()

    def writeConnectionLost(self) -> None:
        """Pass on the client's FIN."""
        self._halves.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass on the end."""
        self.wrappedProtocol.connectionLost(reason)


def _address(address: IAddress) -> InetAddress | bytes:
    if isinstance(address, UNIXAddress):
        return address.name or b""
    inet = cast(IPv4Address | IPv6Address, address)
    return InetAddress.of(inet.host.partition("%")[0], inet.port)
