"""Who is one peer, where connections are counted by whom they come from."""

from __future__ import annotations

import socket
from typing import Any

_MAPPED = bytes(10) + b"\xff\xff"


def peerKey(address: Any) -> str | None:
    """
    Name who is counted as one peer: an IPv4 address, or the network of an IPv6 address.

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


def connectionPeerKey(transport: Any) -> str | None:
    """Name the peer of a connection, as it has been announced."""
    address = transport.connection.peer
    return peerKey((getattr(address, "host", None), getattr(address, "port", None)))
