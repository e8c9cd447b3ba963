"""WhoAmI: the server's name and both addresses of the connection, as the server sees them."""

from __future__ import annotations

import os
import socket

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from tcplab.protocols.conversation import Conversation
from tcplab.reactor.stack import bottomTransport, proxied
from tcplab.wire.escaping import escape
from tcplab.wire.proxytlvs import shownTLVs


class WhoAmI(Conversation):
    """
    Send one line, ``name= host= peer= via= pid=``, and close: it shows which server answered.

    ``host`` is the server's address and ``peer`` the client's, also behind a proxy. ``via`` is the
    proxy's, and empty without one. ``tlv=`` follows if the proxy sent TLVs, as in ``ee:0104``: type
    and value in hexadecimal. A space in a value is written ``\\x20``.

    >>> connected(ConversationFactory(WhoAmI, name="one")).value()[:40]
    b'name=one host=127.0.0.1:50544 peer=127.0'

    :cvar name: the server's name; empty means the machine's host name.
    """

    name: str = ""

    def connectionMade(self) -> None:
        """Send the line and close."""
        self.write(f"{' '.join(f'{key}={value}' for key, value in self._fields())}\n".encode())
        self.hangUp()

    def _fields(self) -> list[tuple[str, str]]:
        beneath = bottomTransport(self.transport)
        said = proxied(beneath)
        neighbour = said.proxy or beneath.getPeer()
        fields = [
            ("name", _escaped(self.name or socket.gethostname())),
            ("host", _formatted(self.transport.getHost())),
            ("peer", _formatted(self.peer)),
            ("via", "" if neighbour == self.peer else _formatted(neighbour)),
            ("pid", str(os.getpid())),
        ]
        if said.header is not None and said.header.tlvs:
            fields.append(("tlv", shownTLVs(said.header.tlvs)))
        return fields


def _formatted(address: object) -> str:
    """Format an address as one word; a Unix socket's is its path, or ``unix`` without one."""
    if isinstance(address, IPv6Address):
        return _escaped(f"[{address.host}]:{address.port}")
    if isinstance(address, IPv4Address):
        return _escaped(f"{address.host}:{address.port}")
    if isinstance(address, UNIXAddress):
        return _escaped(os.fsdecode(address.name or b"unix"))
    return _escaped(str(address))


def _escaped(text: str) -> str:
    """Escape all that is not part of one printable word."""
    data = text.encode("utf-8", "surrogateescape")
    return escape(data, limit=len(data)).replace(" ", "\\x20")
