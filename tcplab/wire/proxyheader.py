"""
A header of the PROXY protocol as a value, and its writer; `tcplab.wire.proxyreader` reads it.

The specification is HAProxy's ``doc/proxy-protocol.txt``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal, NamedTuple

from tcplab.wire.proxytlvs import (
    ALPN,
    AUTHORITY,
    CRC32C,
    NETNS,
    SSL,
    TLV,
    UNIQUE_ID,
    ProxyError,
    SSLInfo,
    crc32c,
    decodeText,
    writeTLVs,
)

__all__ = [
    "FAMILIES",
    "MAX_LENGTH",
    "SIGNATURE",
    "InetAddress",
    "ProxyHeader",
    "unixPath",
    "writeHeader",
]

#: The first bytes of version 2.
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

#: The bytes of a whole header of version 2 at most; the specification has no number of its own. The
#: longest addresses, a unique ID and the names of a host and a certificate are about 1,000 bytes.
#: nginx has the same limit.
MAX_LENGTH = 4096

Family = Literal["TCP4", "UDP4", "TCP6", "UDP6", "UNIX", "UNIX-DGRAM", "UNKNOWN"]

#: The byte of version 2 for the family and the transport, and the length of both addresses.
FAMILIES: dict[Family, tuple[int, int]] = {
    "TCP4": (0x11, 12),
    "UDP4": (0x12, 12),
    "TCP6": (0x21, 36),
    "UDP6": (0x22, 36),
    "UNIX": (0x31, 216),
    "UNIX-DGRAM": (0x32, 216),
}

_LONGEST_PATH = 108  # of a Unix socket, section 2.2


class InetAddress(NamedTuple):
    """An IP address and a port."""

    host: IPv4Address | IPv6Address
    port: int

    @classmethod
    def of(cls, host: str, port: int) -> InetAddress:
        """
        Parse the text of an IP address.

        :raises ValueError: the text is no address, or has a scope, which is valid on one host only.
        """
        address = ip_address(host)
        scope = address.scope_id if isinstance(address, IPv6Address) else None
        if not 0 <= port <= 0xFFFF or scope is not None:
            raise ValueError(f"{host} and {port} cannot be announced")
        return cls(address, port)


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """
    What a proxy reports of the client's connection.

    :ivar version: of the protocol, 1 or 2.
    :ivar command: ``PROXY``: the connection is a client's; ``LOCAL``: it is the proxy's own, as for
        a health check, and the addresses of the connection itself are the right ones.
    :ivar family: ``UNKNOWN`` where the proxy does not report the client: again the addresses of the
        connection itself are all that is known.
    :ivar source: the client's address; the path of a Unix socket is bytes, empty without a name.
        ``None`` where the family is unknown.
    :ivar destination: the address that the client connected to.
    :ivar tlvs: further values in their order, without the checksum and padding.
    """

    version: Literal[1, 2]
    command: Literal["PROXY", "LOCAL"] = "PROXY"
    family: Family = "UNKNOWN"
    source: InetAddress | bytes | None = None
    destination: InetAddress | bytes | None = None
    tlvs: tuple[TLV, ...] = ()

    def tlv(self, type: int) -> bytes | None:
        """Return the value of the first TLV of a type, or ``None``."""
        return next((tlv.value for tlv in self.tlvs if tlv.type == type), None)

    @property
    def alpn(self) -> bytes | None:
        """The application protocol, as in TLS."""
        return self.tlv(ALPN)

    @property
    def authority(self) -> str | None:
        """The host name that the client requested, as in TLS's SNI."""
        return decodeText(self.tlv(AUTHORITY), "utf-8")

    @property
    def uniqueID(self) -> bytes | None:
        """The proxy's identifier of the connection."""
        return self.tlv(UNIQUE_ID)

    @property
    def namespace(self) -> str | None:
        """The proxy's network namespace."""
        return decodeText(self.tlv(NETNS), "ascii")

    @property
    def ssl(self) -> SSLInfo | None:
        """The TLS between the client and the proxy."""
        value = self.tlv(SSL)
        return None if value is None else SSLInfo.of(value)


# To write one


def writeHeader(
    version: int,
    source: InetAddress | bytes | None = None,
    destination: InetAddress | bytes | None = None,
    *,
    local: bool = False,
    datagrams: bool = False,
    tlvs: Iterable[TLV] = (),
    checksum: bool = False,
) -> bytes:
    """
    Return the bytes of a header.

    An IPv4 address beside one of IPv6 is mapped (RFC 4291, 2.5.5.2), as HAProxy does it. Version 1
    has no words for Unix sockets and datagrams: they are ``UNKNOWN``, as is no address.

    :param local: the connection is the proxy's own; version 2 only, and without addresses.
    :param datagrams: the client used UDP, or datagrams of a Unix socket.
    :param checksum: add one; version 2 only, with addresses.
    :raises ValueError: the protocol has no way to write this.
    """
    source, destination = _sameFamily(source, destination)
    family = _family(source, datagrams)
    tlvs = tuple(tlvs)
    if version == 1:
        if local or tlvs or checksum:
            raise ValueError("version 1 has addresses and nothing else")
        return _line(family, source, destination)
    if version != 2:
        raise ValueError(f"there is no version {version}")
    if (local and source is not None) or (source is None and (tlvs or checksum)):
        # A reader ignores what follows LOCAL, or no addresses.
        raise ValueError("TLVs and a checksum need addresses, and LOCAL has none")
    command = 0x20 if local else 0x21
    code, _ = FAMILIES.get(family, (0, 0))
    return _block(command, code, _packed(source, destination), tlvs, checksum)


def _sameFamily(
    source: InetAddress | bytes | None, destination: InetAddress | bytes | None
) -> tuple[InetAddress | bytes | None, InetAddress | bytes | None]:
    if isinstance(source, InetAddress) and isinstance(destination, InetAddress):
        if source.host.version != destination.host.version:
            return _mapped(source), _mapped(destination)
    elif type(source) is not type(destination):
        raise ValueError("source and destination are of different kinds")
    return source, destination


def _mapped(address: InetAddress) -> InetAddress:
    if isinstance(address.host, IPv6Address):
        return address
    return InetAddress(IPv6Address(bytes(10) + b"\xff\xff" + address.host.packed), address.port)


def _family(source: InetAddress | bytes | None, datagrams: bool) -> Family:
    if source is None:
        return "UNKNOWN"
    if isinstance(source, InetAddress):
        if source.host.version == 4:
            return "UDP4" if datagrams else "TCP4"
        return "UDP6" if datagrams else "TCP6"
    return "UNIX-DGRAM" if datagrams else "UNIX"


def _line(
    family: str, source: InetAddress | bytes | None, destination: InetAddress | bytes | None
) -> bytes:
    if family not in ("TCP4", "TCP6"):
        return b"PROXY UNKNOWN\r\n"
    assert isinstance(source, InetAddress)
    assert isinstance(destination, InetAddress)
    words = ["PROXY", family, _text(source.host), _text(destination.host)]
    return f"{' '.join(words)} {source.port} {destination.port}\r\n".encode("ascii")


def _text(host: IPv4Address | IPv6Address) -> str:
    # Python 3.13 writes mapped addresses with dots; the specification has none in IPv6.
    if isinstance(host, IPv6Address) and host.ipv4_mapped is not None:
        high, low = divmod(int(host.ipv4_mapped), 0x10000)
        return f"::ffff:{high:x}:{low:x}"
    return str(host)


def _packed(source: InetAddress | bytes | None, destination: InetAddress | bytes | None) -> bytes:
    if isinstance(source, InetAddress) and isinstance(destination, InetAddress):
        ports = source.port.to_bytes(2, "big") + destination.port.to_bytes(2, "big")
        return source.host.packed + destination.host.packed + ports
    if isinstance(source, bytes) and isinstance(destination, bytes):
        if max(len(source), len(destination)) > _LONGEST_PATH:
            raise ValueError(f"the path of a Unix socket has {_LONGEST_PATH} bytes at most")
        return source.ljust(_LONGEST_PATH, b"\0") + destination.ljust(_LONGEST_PATH, b"\0")
    return b""


def _block(
    command: int, family: int, addresses: bytes, tlvs: Iterable[TLV], checksum: bool
) -> bytes:
    rest = addresses + writeTLVs(tlvs)
    if checksum:
        rest += bytes([CRC32C, 0, 4]) + bytes(4)
    header = SIGNATURE + bytes([command, family]) + len(rest).to_bytes(2, "big") + rest
    if len(header) > MAX_LENGTH:
        raise ProxyError(f"a header of {len(header)} bytes: {MAX_LENGTH} is the most")
    return header[:-4] + crc32c(header).to_bytes(4, "big") if checksum else header


def unixPath(field: bytes) -> bytes:
    """
    Return the path in a field of 108 bytes.

    An abstract name of Linux begins with a zero byte and may contain others. **Limit:** zeroes at
    its end are lost, since the field is padded with zeroes.
    """
    return field.rstrip(b"\0") if field.startswith(b"\0") else field.partition(b"\0")[0]
