"""Whom a proxy has announced: the peer of a connection, where the socket's own is the proxy."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from twisted.internet.interfaces import IAddress

from tcplab.wire.escaping import escape


class Announced(NamedTuple):
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
