"""The TLVs of a PROXY header of version 2 (types, lengths, values), and its checksum."""

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
    "shownTLVs",
    "writeTLVs",
]

ALPN, AUTHORITY, CRC32C, NOOP, UNIQUE_ID, SSL, NETNS = 0x01, 0x02, 0x03, 0x04, 0x05, 0x20, 0x30

# Within the value of SSL (section 2.2.6).
#: Bits of ``client``: a certificate was sent, in this connection or in its session.
_CERTIFICATE = 2 | 4

_VERSION, _NAME, _CIPHER, _SIGNATURE, _KEY = range(0x21, 0x26)

_LONGEST_UNIQUE_ID = 128  # section 2.2.5


# What is shown of TLVs: a checksum is 4 bytes long, a unique ID 128 at most.
_SHOWN, _WORDS = 64, 8


class ProxyError(ValueError):
    """Bytes that are no valid PROXY header; the text is one line, the bytes in it are escaped."""


class TLV(NamedTuple):
    """One type with its value."""

    type: int
    value: bytes


class SSLInfo(NamedTuple):
    """
    The TLS between the client and the proxy.

    :ivar client: bits: 1 the client uses TLS, 2 it sent a certificate in this connection, 4 in this
        TLS session.
    :ivar verified: the client sent a certificate, and the proxy verified it.
    :ivar version: of TLS, as ``TLSv1.3``.
    :ivar name: the common name in the client's certificate.
    :ivar cipher: as ``ECDHE-RSA-AES128-GCM-SHA256``.
    :ivar signature: the signature algorithm of the proxy's certificate, as ``RSA-SHA256``.
    :ivar key: the key of the proxy's certificate, as ``RSA2048``.
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
        Parse the value of the type `SSL`.

        :raises ProxyError: the value is malformed.
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
        presented = bool(value[0] & 0b110)  # else there was nothing to verify, and the code is 0
        return cls(value[0], presented and not any(value[1:5]), *texts)


def iterTLVs(data: bytes, start: int) -> Iterator[tuple[int, int, int]]:
    """
    Yield the type of each TLV, and the start and end of its value.

    :raises ProxyError: the last one ends after the end of ``data``.
    """
    while start < len(data):
        end = start + 3 + int.from_bytes(data[start + 1 : start + 3], "big")
        if start + 3 > len(data) or end > len(data):
            raise ProxyError(f"a TLV of type 0x{data[start]:02x} that ends behind the header's end")
        yield data[start], start + 3, end
        start = end


def readTLVs(header: bytes, start: int) -> tuple[TLV, ...]:
    """
    Return the TLVs of a whole header, and verify its checksum if there is one.

    :param start: the position of the first.
    :return: all but the checksum and the padding.
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
    Return the bytes of TLVs, one after the other.

    :raises ProxyError: a value is malformed, or longer than 65535 bytes.
    """
    written = []
    for tlv in tlvs:
        _check(tlv)
        if len(tlv.value) > 0xFFFF:
            raise ProxyError(f"a TLV of {len(tlv.value)} bytes: at most 65535 can be sent")
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


def shownTLVs(tlvs: Iterable[TLV]) -> str:
    """
    Return TLVs as one printable word: ``02:6c6162,ee:0104``, type and value in hexadecimal.

    At most the first 64 bytes of a value are shown, and eight TLVs; dots stand for the rest.
    """
    words = [
        f"{kind:02x}:{value[:_SHOWN].hex()}{'...' if len(value) > _SHOWN else ''}"
        for kind, value in tlvs
    ]
    return ",".join(words[:_WORDS]) + (",..." if len(words) > _WORDS else "")


def decodeText(value: bytes | None, encoding: str) -> str | None:
    """
    Decode a value that has to be text.

    :raises ProxyError: the value is not in this encoding.
    """
    try:
        return None if value is None else value.decode(encoding)
    except UnicodeDecodeError:
        raise ProxyError(f"a TLV that has to be text is no {encoding.upper()}") from None


# The checksum


def _verify(header: bytes, checksums: list[tuple[int, int]]) -> None:
    (begin, end), *others = checksums
    # With two, it is undefined whether the other one counts as zeroes.
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
    """Return the checksum of RFC 4960, Appendix B."""
    table, value = _table(), 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ table[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF
