"""What may stand behind the addresses of a PROXY header, version 2: types, lengths, values."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = [
    "ALPN",
    "AUTHORITY",
    "CRC32C",
    "NETNS",
    "NOOP",
    "SSL",
    "TLV",
    "UNIQUE_ID",
    "ProxyError",
    "SSLInfo",
    "crc32c",
    "decodeText",
    "readTLVs",
    "writeTLVs",
]

ALPN, AUTHORITY, CRC32C, NOOP, UNIQUE_ID, SSL, NETNS = 0x01, 0x02, 0x03, 0x04, 0x05, 0x20, 0x30

# Within the value of SSL (section 2.2.6).
_VERSION, _NAME, _CIPHER, _SIGNATURE, _KEY = range(0x21, 0x26)

_LONGEST_UNIQUE_ID = 128  # section 2.2.5


class ProxyError(ValueError):
    """What came is no valid PROXY header; the text is one line, what was sent is escaped in it."""


class TLV(NamedTuple):
    """One type, and the value that was given for it."""

    type: int
    value: bytes


class SSLInfo(NamedTuple):
    """
    How the client speaks to the proxy, if that is TLS.

    :ivar client: bits: 1 it speaks TLS, 2 it gave a certificate in this connection, 4 in this TLS
        session.
    :ivar verified: it gave a certificate, and that was found good.
    :ivar version: of TLS, as ``TLSv1.3``.
    :ivar name: the common name in its certificate.
    :ivar cipher: as ``ECDHE-RSA-AES128-GCM-SHA256``.
    :ivar signature: how the proxy's own certificate is signed, as ``RSA-SHA256``.
    :ivar key: the key of the proxy's own certificate, as ``RSA2048``.
    """

    client: int
    verified: bool
    version: str | None = None
    name: str | None = None
    cipher: str | None = None
    signature: str | None = None
    key: str | None = None

    @classmethod
    def of(cls, value: bytes) -> SSLInfo:
        """
        Read the value of the type `SSL`.

        :raises ProxyError: it is malformed.
        """
        if len(value) < 5:
            raise ProxyError(f"an SSL value of {len(value)} bytes: it has 5 at least")
        inner: dict[int, bytes] = {}
        for kind, start, end in iterTLVs(value, 5):
            inner.setdefault(kind, value[start:end])
        texts = [
            decodeText(inner.get(kind), "utf-8" if kind == _NAME else "ascii")
            for kind in (_VERSION, _NAME, _CIPHER, _SIGNATURE, _KEY)
        ]
        return cls(value[0], not any(value[1:5]), *texts)


def iterTLVs(data: bytes, start: int) -> Iterator[tuple[int, int, int]]:
    """
    Go from one TLV to the next: yield the type, and where the value begins and ends.

    :raises ProxyError: the last one ends behind the end of ``data``.
    """
    while start < len(data):
        end = start + 3 + int.from_bytes(data[start + 1 : start + 3], "big")
        if start + 3 > len(data) or end > len(data):
            raise ProxyError(f"a TLV of type 0x{data[start]:02x} that ends behind the header's end")
        yield data[start], start + 3, end
        start = end


def readTLVs(header: bytes, start: int) -> tuple[TLV, ...]:
    """
    Read the TLVs of a whole header, and verify its checksum if there is one.

    :param start: where they begin.
    :return: all but the checksum and what is there for padding only.
    :raises ProxyError: one is malformed, or the checksum is wrong.
    """
    tlvs, checksums = [], []
    for kind, begin, end in iterTLVs(header, start):
        if kind == CRC32C:
            checksums.append((begin, end))
        elif kind != NOOP:
            tlvs.append(TLV(kind, header[begin:end]))
            _check(tlvs[-1])
    if checksums:
        _verify(header, checksums)
    return tuple(tlvs)


def writeTLVs(tlvs: Iterable[TLV]) -> bytes:
    """
    Write them one behind the other.

    :raises ProxyError: a value is malformed, or longer than can be said.
    """
    written = []
    for tlv in tlvs:
        _check(tlv)
        if len(tlv.value) > 0xFFFF:
            raise ProxyError(f"a TLV of {len(tlv.value)} bytes: 65535 can be said")
        written.append(bytes([tlv.type]) + len(tlv.value).to_bytes(2, "big") + tlv.value)
    return b"".join(written)


def _check(tlv: TLV) -> None:
    kind, value = tlv
    if kind == UNIQUE_ID and len(value) > _LONGEST_UNIQUE_ID:
        raise ProxyError(f"a unique ID of {len(value)} bytes: it has {_LONGEST_UNIQUE_ID} at most")
    if kind == AUTHORITY:
        decodeText(value, "utf-8")
    elif kind == NETNS:
        decodeText(value, "ascii")
    elif kind == SSL:
        SSLInfo.of(value)


def decodeText(value: bytes | None, encoding: str) -> str | None:
    """
    Decode a value that has to be text.

    :raises ProxyError: it is none.
    """
    try:
        return None if value is None else value.decode(encoding)
    except UnicodeDecodeError:
        raise ProxyError(f"a TLV that has to be text is no {encoding.upper()}") from None


# The checksum


def _verify(header: bytes, checksums: list[tuple[int, int]]) -> None:
    (begin, end), *others = checksums
    # Of two nobody could say whether the other counts as zeroes.
    if others or end - begin != 4:
        raise ProxyError("a checksum is one TLV of 4 bytes")
    without = header[:begin] + bytes(4) + header[end:]
    if crc32c(without) != int.from_bytes(header[begin:end], "big"):
        raise ProxyError("the checksum of the header is wrong")


@functools.cache
def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


def crc32c(data: bytes) -> int:
    """Compute the checksum of RFC 4960, Appendix B."""
    table, value = _table(), 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ table[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF
