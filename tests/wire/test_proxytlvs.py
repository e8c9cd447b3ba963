"""Tests for `tcplab.wire.proxytlvs`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.wire.proxytlvs import (
    ALPN,
    AUTHORITY,
    CRC32C,
    NETNS,
    NOOP,
    SSL,
    TLV,
    UNIQUE_ID,
    ProxyError,
    SSLInfo,
    crc32c,
    readTLVs,
    shownTLVs,
    writeTLVs,
)
from tests.support import proxyreference

TLVS = st.lists(
    st.builds(TLV, st.integers(0xE0, 0xFF) | st.just(ALPN), st.binary(max_size=300)), max_size=5
)


class ReadTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True)
    @given(TLVS)
    def test_whatIsWrittenIsRead(self, tlvs: list[TLV]) -> None:
        self.assertEqual(readTLVs(b"head" + writeTLVs(tlvs), 4), tuple(tlvs))

    def test_paddingIsLeftOut(self) -> None:
        data = writeTLVs([TLV(NOOP, b""), TLV(ALPN, b"h2"), TLV(NOOP, bytes(9))])
        self.assertEqual(readTLVs(data, 0), (TLV(ALPN, b"h2"),))

    def test_everyCutButThoseBetweenTwo(self) -> None:
        data = writeTLVs([TLV(ALPN, b"h2"), TLV(0xE0, b"")])
        for size in range(len(data)):
            if size in (0, 5):
                readTLVs(data[:size], 0)
            else:
                self.assertRaises(ProxyError, readTLVs, data[:size], 0)

    def test_whatIsMalformed(self) -> None:
        for kind, value in (
            (AUTHORITY, b"\xff"),
            (AUTHORITY, b"\xc0\x80"),
            (NETNS, "grün".encode()),
            (UNIQUE_ID, bytes(129)),
            (SSL, bytes(4)),
            (SSL, bytes(5) + b"\x21"),
            (SSL, bytes(5) + b"\x21\0\1"),
            (SSL, bytes(5) + b"\x21\0\1\xff"),
            (SSL, bytes(5) + b"\x23\0\2\xc3\xa9"),
        ):
            self.assertRaises(ProxyError, readTLVs, _raw(kind, value), 0)
            self.assertRaises(ProxyError, writeTLVs, [TLV(kind, value)])
        self.assertRaises(ProxyError, writeTLVs, [TLV(0xE0, bytes(65536))])

    def test_theLargestThatAreAllowed(self) -> None:
        tlvs = [TLV(UNIQUE_ID, bytes(128)), TLV(0xE0, bytes(65535)), TLV(SSL, bytes(5))]
        self.assertEqual(readTLVs(writeTLVs(tlvs), 0), tuple(tlvs))


class ChecksumTests(SynchronousTestCase):
    def test_theCheckValue(self) -> None:
        """RFC 3720, B.4, and the usual one."""
        self.assertEqual(crc32c(b"123456789"), 0xE3069283)
        self.assertEqual(crc32c(bytes(32)), 0x8A9136AA)
        self.assertEqual(crc32c(b"\xff" * 32), 0x62A8AB43)

    @settings(deadline=None, derandomize=True)
    @given(st.binary(max_size=200))
    def test_bitByBit(self, data: bytes) -> None:
        self.assertEqual(crc32c(data), proxyreference.crc32c(data))

    def test_everyOtherBitIsNoticed(self) -> None:
        header = _checked(b"head" + _raw(ALPN, b"h2"))
        self.assertEqual(readTLVs(header, 4), (TLV(ALPN, b"h2"),))
        for at in range(len(header)):
            if not 4 <= at < 12:  # a changed type or length changes what there is to check
                spoilt = header[:at] + bytes([header[at] ^ 1]) + header[at + 1 :]
                self.assertRaises(ProxyError, readTLVs, spoilt, 4)

    def test_itNeedNotBeTheLast(self) -> None:
        zeroes = _raw(CRC32C, bytes(4)) + _raw(ALPN, b"h2")
        header = _raw(CRC32C, crc32c(zeroes).to_bytes(4, "big")) + _raw(ALPN, b"h2")
        self.assertEqual(readTLVs(header, 0), (TLV(ALPN, b"h2"),))

    def test_thereIsOneOfFourBytes(self) -> None:
        for size in (0, 3, 5):
            self.assertRaises(ProxyError, readTLVs, _raw(CRC32C, bytes(size)), 0)
        second = _raw(CRC32C, bytes(4))
        first = _raw(CRC32C, crc32c(second + second).to_bytes(4, "big"))
        self.assertRaises(ProxyError, readTLVs, first + second, 0)


class SecuredTests(SynchronousTestCase):
    def test_fields(self) -> None:
        """All of them, none, one that is unknown, and one that is there twice: the first counts."""
        texts = ["TLSv1.3", "grün.example", "TLS_AES_128_GCM_SHA256", "RSA-SHA256", "RSA2048"]
        inner = writeTLVs([TLV(0x21 + at, text.encode()) for at, text in enumerate(texts)])
        for value, expected in (
            (b"\x07\0\0\0\0" + inner, SSLInfo(7, True, *texts)),
            (b"\x03\0\0\0\x01", SSLInfo(3, False)),
            (b"\x01\0\0\0\0", SSLInfo(1, False)),  # no certificate: nothing was verified
            (b"\0\0\0\0\0", SSLInfo(0, False)),
            (b"\x03\0\0\0\0" + _raw(0x28, b"\xff\xff"), SSLInfo(3, True)),
            (
                b"\x05\0\0\0\0" + _raw(0x21, b"TLSv1.3") + _raw(0x21, b"TLSv1.2"),
                SSLInfo(5, True, "TLSv1.3"),
            ),
        ):
            self.assertEqual(SSLInfo.of(value), expected)


class ShownTests(SynchronousTestCase):
    def test_shown(self) -> None:
        """A bounded word."""
        self.assertEqual(shownTLVs([TLV(2, b"lab"), TLV(0xEE, b"")]), "02:6c6162,ee:")
        cut = "01:" + "00" * 64 + "...,"
        self.assertEqual(shownTLVs([TLV(1, bytes(65))] * 9), cut * 8 + "...")


def _raw(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


def _checked(header: bytes) -> bytes:
    zeroes = header + _raw(CRC32C, bytes(4))
    return header + _raw(CRC32C, crc32c(zeroes).to_bytes(4, "big"))
