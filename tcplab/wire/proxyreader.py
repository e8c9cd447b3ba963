"""
The PROXY protocol, versions 1 and 2: a strict reader that accepts a header in any pieces.

It follows HAProxy's ``doc/proxy-protocol.txt`` to the letter. Where that leaves a choice:

- The body of ``LOCAL``, or of an unspecified family or transport, is skipped unread.
- ``UNKNOWN`` in version 1 ends the line, or is followed by a space. The rest up to the first CR LF
  is ignored.
- The dots of IPv4 may end an IPv6 address (RFC 4291, 2.2): HAProxy writes ``::ffff:192.0.2.1`` for
  an IPv4 client of a socket for both. No address is longer than 39 characters.
- Text has to be valid: a host name UTF-8, the name of a namespace ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Generic, NamedTuple, TypeVar

from tcplab.wire.escaping import escape
from tcplab.wire.proxyheader import (
    FAMILIES,
    MAX_LENGTH,
    SIGNATURE,
    Family,
    InetAddress,
    ProxyHeader,
    unixPath,
)
from tcplab.wire.proxytlvs import ProxyError, readTLVs

__all__ = ["HeaderReader", "ProxyError", "ProxyHeader"]

_LONGEST_LINE = 107  # with its CR LF, section 2.1

_NAMES = {code: (name, size) for name, (code, size) in FAMILIES.items()}


class HeaderReader:
    """
    The reader of one header.

    :param versions: those that are accepted. The reader never guesses whether there is a header.
    :ivar header: the header, as soon as it is whole.
    """

    def __init__(self, versions: frozenset[int] = frozenset((1, 2))) -> None:
        self.header: ProxyHeader | None = None
        self._versions = versions
        self._taken = b""
        self._problem: str | None = None

    def feed(self, data: bytes) -> int:
        """
        Add the next bytes; those after the header are left alone.

        :return: how many of these bytes belong to the header: all, until it is whole.
        :raises ProxyError: no further bytes can make a valid header. That is known with the first
            byte that is wrong; after the length in version 2, with the last byte of the header.
        """
        if self._problem is not None:
            raise ProxyError(self._problem)
        if self.header is not None:
            return 0
        before = len(self._taken)
        self._taken += data[: MAX_LENGTH - before]
        try:
            found = self._read()
        except ProxyError as e:
            self._problem = str(e)
            raise
        if found is None:
            return len(data)
        self.header, end = found
        return end - before

    @property
    def begun(self) -> bool:
        """Whether a byte was received."""
        return bool(self._taken)

    def finish(self) -> None:
        """
        Note the end of the stream.

        :raises ProxyError: a header has begun, and is not whole.
        """
        if self.header is None and self._taken:
            raise ProxyError(f"a PROXY header that was cut short: {_shown(self._taken)}")

    def _read(self) -> tuple[ProxyHeader, int] | None:
        data = self._taken
        if 2 in self._versions and SIGNATURE.startswith(data[:12]):
            return _readV2(data)
        if 1 in self._versions and b"PROXY ".startswith(data[:6]):
            return _parseV1(data)
        versions = " or ".join(map(str, sorted(self._versions)))
        raise ProxyError(f"no PROXY header of version {versions}: {_shown(data)}")


def _shown(data: bytes) -> str:
    return f"'{escape(data, _LONGEST_LINE)}'"


# Version 1: a line

_T = TypeVar("_T")
_Host = IPv4Address | IPv6Address


class _Field(NamedTuple, Generic[_T]):
    """
    A kind of word in a line.

    :ivar name: of the kind, for messages.
    :ivar read: parses a word; raises ``ValueError``.
    :ivar endings: one of these makes any beginning of a valid word a valid word.
    """

    name: str
    read: Callable[[bytes], _T]
    endings: tuple[bytes, ...]

    def parse(self, word: bytes, line: bytes) -> _T:
        """
        Return the value of a word.

        :raises ProxyError: the word is not valid; the text quotes the line.
        """
        try:
            return self.read(word)
        except ValueError:
            raise ProxyError(f"no {self.name}, '{escape(word)}': {_shown(line)}") from None

    def begins(self, word: bytes) -> bool:
        """Tell whether a word is valid, or the beginning of a valid one."""
        return any(self._reads(word + ending) for ending in self.endings)

    def _reads(self, word: bytes) -> bool:
        try:
            self.read(word)
        except ValueError:
            return False
        return True


def _ipv4(word: bytes) -> IPv4Address:
    # ASCII only, four numbers, no leading zeroes: as ipaddress requires since Python 3.9.5.
    return IPv4Address(word.decode("ascii"))


def _ipv6(word: bytes) -> IPv6Address:
    if not re.fullmatch(rb"[0-9A-Fa-f:.]{2,39}", word):  # no scope: it is valid on one host only
        raise AddressValueError(word)
    return IPv6Address(word.decode("ascii"))


def _ip(word: bytes) -> _Host:
    return _ipv6(word) if b":" in word else IPv4Address(word.decode("ascii"))


def _port(word: bytes) -> int:
    if not re.fullmatch(rb"0|[1-9][0-9]{0,4}", word) or int(word) > 0xFFFF:
        raise ValueError(word)
    return int(word)


_DOTTED = (b"", b"0", b".0", b"0.0", b".0.0", b"0.0.0", b".0.0.0", b"0.0.0.0")
_PORT = _Field("port", _port, (b"", b"0"))
# nginx writes the family of the client, and the server's address as it is, of either family.
_DESTINATION = _Field("IP address", _ip, (*_DOTTED, b":", b"::"))
_HOSTS: dict[bytes, tuple[Family, _Field[_Host]]] = {
    b"TCP4": ("TCP4", _Field("IPv4 address", _ipv4, _DOTTED)),
    b"TCP6": ("TCP6", _Field("IPv6 address", _ipv6, (*_DOTTED, b":", b"::"))),
}


def _parseV1(data: bytes) -> tuple[ProxyHeader, int] | None:
    end = data.find(b"\r\n", 0, _LONGEST_LINE)
    if end >= 0:
        return _readV1(data[:end]), end + 2
    ended = data.endswith(b"\r")
    if len(data) >= _LONGEST_LINE - (not ended):
        raise ProxyError(f"a PROXY line without an end: {_shown(data[:_LONGEST_LINE])}")
    if ended:
        _readV1(data[:-1])
    else:
        _checkV1Prefix(data)
    return None


def _readV1(line: bytes) -> ProxyHeader:
    _, family, *words = line.split(b" ")
    if family == b"UNKNOWN":
        return ProxyHeader(1)
    if family not in _HOSTS or len(words) != 4:
        raise ProxyError(f"no PROXY line: {_shown(line)}")
    name, field = _HOSTS[family]
    hosts = field.parse(words[0], line), _DESTINATION.parse(words[1], line)
    ports = _PORT.parse(words[2], line), _PORT.parse(words[3], line)
    source, destination = map(InetAddress, hosts, ports)
    return ProxyHeader(1, "PROXY", name, source, destination)


def _checkV1Prefix(line: bytes) -> None:
    words = line.split(b" ")[1:]
    if len(words) < 2:
        if words and not any(each.startswith(words[0]) for each in (*_HOSTS, b"UNKNOWN")):
            raise ProxyError(f"no PROXY line: {_shown(line)}")
        return
    family, *words = words
    if family == b"UNKNOWN":
        return
    if family not in _HOSTS or len(words) > 4:
        raise ProxyError(f"no PROXY line: {_shown(line)}")
    _, host = _HOSTS[family]
    fields: tuple[_Field[_Host] | _Field[int], ...] = (host, _DESTINATION, _PORT, _PORT)
    *whole, (last, word) = zip(fields, words, strict=False)
    for field, value in whole:
        field.parse(value, line)
    if not last.begins(word):
        raise ProxyError(f"no {last.name}, '{escape(word)}': {_shown(line)}")


# Version 2: a block


def _readV2(data: bytes) -> tuple[ProxyHeader, int] | None:
    local = False
    least = 0
    if len(data) > 12:
        if data[12] not in (0x20, 0x21):
            raise ProxyError(f"a PROXY header of version and command 0x{data[12]:02x}")
        local = data[12] == 0x20
    if len(data) > 13 and not local:
        if data[13] > 0x32 or data[13] & 0x0F > 2:
            raise ProxyError(f"a PROXY header of family and transport 0x{data[13]:02x}")
        least = _NAMES[data[13]][1] if data[13] in _NAMES else 0
    if len(data) > 14:
        _checkLength(data[14:16], least)
    if len(data) < 16:
        return None
    end = 16 + int.from_bytes(data[14:16], "big")
    return None if len(data) < end else (_readV2Body(data[:end], local), end)


def _checkLength(field: bytes, least: int) -> None:
    # The first of its two bytes leaves a range of lengths.
    if int.from_bytes(field.ljust(2, b"\xff"), "big") < least:
        raise ProxyError(f"a PROXY header that is too short for its addresses of {least} bytes")
    if int.from_bytes(field.ljust(2, b"\0"), "big") > MAX_LENGTH - 16:
        raise ProxyError(f"a PROXY header of more than {MAX_LENGTH} bytes")


def _readV2Body(header: bytes, local: bool) -> ProxyHeader:
    if local:
        return ProxyHeader(2, "LOCAL")
    if header[13] not in _NAMES:
        return ProxyHeader(2)
    family, size = _NAMES[header[13]]
    source, destination = _addresses(family, header[16 : 16 + size])
    tlvs = readTLVs(header, 16 + size)
    return ProxyHeader(2, "PROXY", family, source, destination, tlvs)


def _addresses(family: str, data: bytes) -> tuple[InetAddress | bytes, InetAddress | bytes]:
    if family.startswith("UNIX"):
        return unixPath(data[:108]), unixPath(data[108:])
    kind = IPv4Address if family.endswith("4") else IPv6Address
    size = (len(data) - 4) // 2
    hosts = kind(data[:size]), kind(data[size : 2 * size])
    ports = [int.from_bytes(data[at : at + 2], "big") for at in (2 * size, 2 * size + 2)]
    return InetAddress(hosts[0], ports[0]), InetAddress(hosts[1], ports[1])
