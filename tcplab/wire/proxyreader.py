"""
The PROXY protocol, versions 1 and 2: a strict reader that takes a header in any pieces.

It holds to the words of HAProxy's ``doc/proxy-protocol.txt``. Where those leave a choice:

- A block of ``LOCAL``, or of an unspecified family or transport, is skipped unread.
- ``UNKNOWN`` in version 1 ends the line, or a space follows; what follows that is ignored up to the
  first CR LF.
- The dots of IPv4 may end an IPv6 address (RFC 4291, 2.2): HAProxy writes ``::ffff:192.0.2.1`` for
  a client that came by IPv4 to a socket for both. None is longer than the 39 characters there are
  room for.
- What is to be text has to be: a host name UTF-8, the name of a namespace ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any, NamedTuple

from tcplab.wire.escaping import escape
from tcplab.wire.proxyheader import (
    FAMILIES,
    MAX_LENGTH,
    SIGNATURE,
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
    Read one header.

    :param versions: those that are expected. No others are guessed at, nor whether there is one.
    :ivar header: what was read, as soon as it is whole.
    """

    def __init__(self, versions: frozenset[int] = frozenset((1, 2))) -> None:
        self.header: ProxyHeader | None = None
        self._versions = versions
        self._taken = b""
        self._problem: str | None = None

    def feed(self, data: bytes) -> int:
        """
        Take what belongs to the header.

        :return: how many of these bytes that were: all of them, until it is whole.
        :raises ProxyError: it can be no valid header any more, whatever else may come. That is
            known with the first byte that is wrong; of what version 2 says behind its length, when
            all of it has come.
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

    def finish(self) -> None:
        """
        Tell that nothing more comes.

        :raises ProxyError: the header is not whole, and has begun.
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


class _Field(NamedTuple):
    """
    A kind of word.

    :ivar name: what it is called in messages.
    :ivar read: makes a value of it; raises ``ValueError``.
    :ivar endings: of these one makes it whole if there is anything that does.
    """

    name: str
    read: Callable[[bytes], Any]
    endings: tuple[bytes, ...]

    def begins(self, word: bytes) -> bool:
        """Tell whether this is such a word or the beginning of one."""
        return any(self._reads(word + ending) for ending in self.endings)

    def _reads(self, word: bytes) -> bool:
        try:
            self.read(word)
        except ValueError:
            return False
        return True


def _ipv4(word: bytes) -> IPv4Address:
    # ASCII only, four numbers, no zeroes in front: as ipaddress has it since Python 3.9.5.
    return IPv4Address(word.decode("ascii"))


def _ipv6(word: bytes) -> IPv6Address:
    if not re.fullmatch(rb"[0-9A-Fa-f:.]{2,39}", word):  # no scope: it means nothing here
        raise AddressValueError(word)
    return IPv6Address(word.decode("ascii"))


def _port(word: bytes) -> int:
    if not re.fullmatch(rb"0|[1-9][0-9]{0,4}", word) or int(word) > 0xFFFF:
        raise ValueError(word)
    return int(word)


_DOTTED = (b"", b"0", b".0", b"0.0", b".0.0", b"0.0.0", b".0.0.0", b"0.0.0.0")
_PORT = _Field("port", _port, (b"", b"0"))
_KINDS = {
    b"TCP4": (_Field("IPv4 address", _ipv4, _DOTTED),) * 2 + (_PORT,) * 2,
    b"TCP6": (_Field("IPv6 address", _ipv6, (*_DOTTED, b":", b"::")),) * 2 + (_PORT,) * 2,
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
    words = line.split(b" ")[1:]
    family = words[0] if words else b""
    if family == b"UNKNOWN":
        return ProxyHeader(1)
    kinds = _KINDS.get(family)
    if kinds is None or len(words) != 5:
        raise ProxyError(f"no PROXY line: {_shown(line)}")
    values = [_value(kind, word, line) for kind, word in zip(kinds, words[1:], strict=True)]
    source, destination = InetAddress(values[0], values[2]), InetAddress(values[1], values[3])
    return ProxyHeader(1, "PROXY", family.decode("ascii"), source, destination)  # type: ignore[arg-type]


def _checkV1Prefix(line: bytes) -> None:
    words = line.split(b" ")[1:]
    if len(words) < 2:
        if words and not any(each.startswith(words[0]) for each in (*_KINDS, b"UNKNOWN")):
            raise ProxyError(f"no PROXY line: {_shown(line)}")
        return
    family, *words = words
    if family == b"UNKNOWN":
        return
    kinds = _KINDS.get(family)
    if kinds is None or len(words) > 4:
        raise ProxyError(f"no PROXY line: {_shown(line)}")
    for kind, word in zip(kinds, words[:-1], strict=False):
        _value(kind, word, line)
    last = kinds[len(words) - 1]
    if not last.begins(words[-1]):
        raise ProxyError(f"no {last.name}, '{escape(words[-1])}': {_shown(line)}")


def _value(kind: _Field, word: bytes, line: bytes) -> Any:
    try:
        return kind.read(word)
    except ValueError:
        raise ProxyError(f"no {kind.name}, '{escape(word)}': {_shown(line)}") from None


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
        least = _NAMES.get(data[13], ("", 0))[1]
    if len(data) > 14:
        _checkLength(data[14:16], least)
    if len(data) < 16:
        return None
    end = 16 + int.from_bytes(data[14:16], "big")
    return None if len(data) < end else (_readV2Body(data[:end], local), end)


def _checkLength(field: bytes, least: int) -> None:
    # With the first byte of it, a range of lengths is known.
    if int.from_bytes(field.ljust(2, b"\xff"), "big") < least:
        raise ProxyError(f"a PROXY header that is too short for its addresses of {least} bytes")
    if int.from_bytes(field.ljust(2, b"\0"), "big") > MAX_LENGTH - 16:
        raise ProxyError(f"a PROXY header of more than {MAX_LENGTH} bytes")


def _readV2Body(header: bytes, local: bool) -> ProxyHeader:
    if local:
        return ProxyHeader(2, "LOCAL")
    family, size = _NAMES.get(header[13], ("UNKNOWN", 0))
    if not size:
        return ProxyHeader(2)
    source, destination = _addresses(family, header[16 : 16 + size])
    tlvs = readTLVs(header, 16 + size)
    return ProxyHeader(2, "PROXY", family, source, destination, tlvs)  # type: ignore[arg-type]


def _addresses(family: str, data: bytes) -> tuple[InetAddress | bytes, InetAddress | bytes]:
    if family.startswith("UNIX"):
        return unixPath(data[:108]), unixPath(data[108:])
    kind: Any = IPv4Address if family.endswith("4") else IPv6Address
    size = (len(data) - 4) // 2
    hosts = kind(data[:size]), kind(data[size : 2 * size])
    ports = [int.from_bytes(data[at : at + 2], "big") for at in (2 * size, 2 * size + 2)]
    return InetAddress(hosts[0], ports[0]), InetAddress(hosts[1], ports[1])
