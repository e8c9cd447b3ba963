"""The PROXY protocol from the client's side: its header is said before all else, TLS too."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from tcplab.wire.proxyheader import InetAddress, writeHeader


class SendProxyFactory(Factory):
    """
    Have what a factory builds begin with a header, as a proxy would say it for its own check.

    :param factory: what is to begin behind it.
    :param version: of the header, 1 or 2.
    """

    noisy = False

    def __init__(self, factory: Any, version: int) -> None:
        self._factory = factory
        self._version = version

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Return what the factory builds; it finds the header sent."""
        protocol = self._factory.buildProtocol(addr)
        if protocol is not None:
            begin = protocol.makeConnection
            protocol.makeConnection = partial(_announced, begin, self._version)
        return protocol


def _announced(begin: Callable[[Any], None], version: int, transport: Any) -> None:
    source, destination = _placeOf(transport.getHost()), _placeOf(transport.getPeer())
    transport.write(writeHeader(version, source, destination))
    begin(transport)


def _placeOf(address: Any) -> InetAddress | bytes:
    if isinstance(address, UNIXAddress):
        return address.name or b""
    return InetAddress.of(address.host.partition("%")[0], address.port)
