"""The address of a peer, IPv4 where it is mapped to IPv6, and the key by which it is counted."""

from __future__ import annotations

import socket
from typing import Any, Protocol

from twisted.internet.address import IPv4Address, IPv6Address

from tcplab.listener.events import Connection
from tcplab.reactor.batchaccept import withScope

_MAPPED = bytes(10) + b"\xff\xff"


class _Accepted(Protocol):
    @property
    def connection(self) -> Connection: ...


def unmapped(address: Any) -> Any:
    """Return the address of a client of an IPv6 socket: IPv4 if mapped (RFC 4291, 2.5.5.2)."""
    host = address[0].removeprefix("::ffff:")
    return (host, address[1]) if "." in host else withScope(address)


def peerKey(address: object) -> str | None:
    """
    Return the key of a peer: its IPv4 address, or the /64 network of its IPv6 address.

    :param address: as ``accept()`` gives it.
    :return: ``None`` for a Unix socket.
    """
    host = address[0] if isinstance(address, tuple) and address else None
    if not isinstance(host, str) or not host:
        return None
    if ":" not in host:
        return host
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    if packed.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed[:8] + bytes(8)) + "/64"


def connectionPeerKey(transport: _Accepted) -> str | None:
    """Return the key of the peer of a connection; behind a proxy the peer that it speaks for."""
    peer = transport.connection.peer
    return peerKey((peer.host,)) if isinstance(peer, (IPv4Address, IPv6Address)) else None
