"""Which server answered, and who does it think the peer is?"""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from tcplab.protocols.conversation import Conversation
from tcplab.reactor.stack import bottomTransport
from tcplab.wire.escaping import escape


class WhoAmI(Conversation):
    """
    Send one line, ``name= host= peer= via= pid=``, and hang up: for whoever stands behind a proxy.

    ``host`` is our own address and ``peer`` the real peer's; ``via`` is the proxy that it came
    through, and empty without one. No value holds a space: it is ``\\x20`` then.

    :cvar name: what this server is called; empty means the machine's host name.
    """

    name: str = ""

    def connectionMade(self) -> None:
        """Send the line and hang up."""
        self.write(f"{' '.join(f'{key}={value}' for key, value in self._facts())}\n".encode())
        self.hangUp()

    def _facts(self) -> list[tuple[str, str]]:
        beneath = bottomTransport(self.transport)
        neighbour = type(beneath).getPeer(beneath)  # whatever stands before it now
        return [
            ("name", _escaped(self.name or socket.gethostname())),
            ("host", _formatted(self.transport.getHost())),
            ("peer", _formatted(self.peer)),
            ("via", "" if neighbour == self.peer else _formatted(neighbour)),
            ("pid", str(os.getpid())),
        ]


def _formatted(address: Any) -> str:
    """Write an address as one word; a Unix socket's is its path, or ``unix`` when it has none."""
    if isinstance(address, IPv6Address):
        return _escaped(f"[{address.host}]:{address.port}")
    if isinstance(address, IPv4Address):
        return _escaped(f"{address.host}:{address.port}")
    if isinstance(address, UNIXAddress):
        return _escaped(os.fsdecode(address.name or b"unix"))
    return _escaped(str(address))


def _escaped(text: str) -> str:
    """Escape what would not be one printable word."""
    data = text.encode("utf-8", "surrogateescape")
    return escape(data, limit=len(data)).replace(" ", "\\x20")
