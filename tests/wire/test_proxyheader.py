"""Tests for `tcplab.wire.proxyheader`."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.wire.proxyheader import InetAddress, ProxyHeader, unixPath, writeHeader
from tcplab.wire.proxyreader import HeaderReader
from tcplab.wire.proxytlvs import TLV, ProxyError, SSLInfo

ADA = InetAddress.of("192.0.2.1", 56324)
LAB = InetAddress.of("198.51.100.2", 443)
SIX = InetAddress.of("2001:db8::1", 56324)

PORTS = st.integers(0, 65535)
FOUR = st.builds(InetAddress, st.ip_addresses(v=4), PORTS)
SIXES = st.builds(InetAddress, st.ip_addresses(v=6), PORTS)
PATHS = st.binary(max_size=108).map(unixPath)
PLACES = st.tuples(FOUR, FOUR) | st.tuples(SIXES, SIXES) | st.tuples(PATHS, PATHS)
MORE = st.lists(st.builds(TLV, st.integers(0xE0, 0xEF), st.binary(max_size=50)), max_size=4)


def read(data: bytes) -> ProxyHeader:
    """Read a header that is all there is."""
    reader = HeaderReader()
    if reader.feed(data) != len(data) or reader.header is None:
        raise AssertionError(f"{data!r} is not one header")
    return reader.header


class WriteTests(SynchronousTestCase):
    def test_byteForByte(self) -> None:
        """The specification's own example of version 1, and version 2 as it reads."""
        source, destination = (
            InetAddress.of("192.168.0.1", 56324),
            InetAddress.of("192.168.0.11", 443),
        )
        line = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"
        self.assertEqual(writeHeader(1, source, destination), line)
        expected = "0d0a0d0a000d0a515549540a 21 11 000c c0000201 c6336402 dc04 01bb"
        self.assertEqual(writeHeader(2, ADA, LAB), bytes.fromhex(expected))

    def test_theLongestLines(self) -> None:
        """As many characters as the specification counts."""
        four = InetAddress.of("255.255.255.255", 65535)
        six = InetAddress.of(":".join(["ffff"] * 8), 65535)
        self.assertEqual(len(writeHeader(1, four, four)), 56)
        self.assertEqual(len(writeHeader(1, six, six)), 104)

    def test_anAddressOfIPv4BesideOneOfIPv6IsMapped(self) -> None:
        line = b"PROXY TCP6 ::ffff:c000:201 2001:db8::1 56324 56324\r\n"
        self.assertEqual(writeHeader(1, ADA, SIX), line)
        self.assertEqual(writeHeader(1, SIX, ADA).split()[3], b"::ffff:c000:201")
        source = read(writeHeader(2, ADA, SIX)).source
        self.assertEqual(source, InetAddress(IPv6Address("::ffff:192.0.2.1"), 56324))

    def test_version1HasNoWordsForTheRest(self) -> None:
        for places in ((), (b"/a", b"/b")):
            self.assertEqual(writeHeader(1, *places), b"PROXY UNKNOWN\r\n")
        self.assertEqual(writeHeader(1, ADA, LAB, datagrams=True), b"PROXY UNKNOWN\r\n")

    def test_withoutAddresses(self) -> None:
        self.assertEqual(read(writeHeader(2)), ProxyHeader(2))
        self.assertEqual(read(writeHeader(2, local=True)), ProxyHeader(2, "LOCAL"))
        self.assertEqual(len(writeHeader(2, local=True)), 16)

    def test_datagrams(self) -> None:
        for address, family in ((ADA, "UDP4"), (SIX, "UDP6"), (b"", "UNIX-DGRAM")):
            header = read(writeHeader(2, address, address, datagrams=True))
            self.assertEqual(header.family, family)

    @settings(deadline=None, derandomize=True)
    @given(st.sampled_from([1, 2]), PLACES, MORE, st.booleans())
    def test_whatIsWrittenIsRead(
        self, version: Any, places: tuple[Any, Any], tlvs: list[TLV], checksum: bool
    ) -> None:
        more: Any = {"tlvs": tlvs, "checksum": checksum} if version == 2 else {}
        header = read(writeHeader(version, *places, **more))
        if version == 1 and isinstance(places[0], bytes):
            self.assertEqual(header, ProxyHeader(1))
            return
        family = f"TCP{places[0].host.version}" if isinstance(places[0], InetAddress) else "UNIX"
        expected = ProxyHeader(version, "PROXY", family, *places, tuple(tlvs if more else ()))  # type: ignore[arg-type]
        self.assertEqual(header, expected)

    def test_whatCannotBeSaid(self) -> None:
        """Tags that are too long are a ProxyError."""
        alpn, long = [TLV(1, b"h2")], [TLV(0xE0, bytes(4066))]
        for version, places, more, kind in (
            (3, (), {}, ValueError),
            (1, (ADA, LAB), {"tlvs": alpn}, ValueError),
            (1, (ADA, LAB), {"checksum": True}, ValueError),
            (1, (), {"local": True}, ValueError),
            (2, (), {"checksum": True}, ValueError),
            (2, (), {"tlvs": alpn}, ValueError),
            (2, (ADA, LAB), {"local": True}, ValueError),
            (2, (ADA, b"/a"), {}, ValueError),
            (2, (ADA,), {}, ValueError),
            (2, (b"x" * 109, b""), {}, ValueError),
            (2, (ADA, LAB), {"tlvs": long}, ProxyError),
        ):
            with self.assertRaises(kind, msg=f"{version} {places} {more}"):
                writeHeader(version, *places, **more)  # type: ignore[arg-type]

    def test_theLongestHeader(self) -> None:
        header = writeHeader(2, ADA, LAB, tlvs=[TLV(0xE0, bytes(4065))])
        self.assertEqual(len(header), 4096)
        self.assertEqual(len(read(header).tlvs[0].value), 4065)


class InetTests(SynchronousTestCase):
    def test_whatIsNoAddress(self) -> None:
        for host, port in (("fe80::1%eth0", 1), ("lab", 1), ("192.0.2.1", -1), ("::1", 65536)):
            self.assertRaises(ValueError, InetAddress.of, host, port)


class HeaderTests(SynchronousTestCase):
    def test_whatElseWasSaid(self) -> None:
        ssl = b"\1\0\0\0\0\x21\0\7TLSv1.3"
        tlvs = [TLV(1, b"h2"), TLV(2, "grün".encode()), TLV(5, b"id"), TLV(0x30, b"blue")]
        header = read(writeHeader(2, ADA, LAB, tlvs=[*tlvs, TLV(0x20, ssl), TLV(1, b"h3")]))
        self.assertEqual(header.alpn, b"h2")
        self.assertEqual((header.authority, header.namespace), ("grün", "blue"))
        self.assertEqual(header.uniqueID, b"id")
        self.assertEqual(header.ssl, SSLInfo(1, False, "TLSv1.3"))

    def test_nothingElse(self) -> None:
        header = ProxyHeader(2)
        self.assertEqual((header.alpn, header.authority, header.uniqueID), (None,) * 3)
        self.assertEqual((header.namespace, header.ssl), (None, None))

    def test_valuesAreFrozenAndEqual(self) -> None:
        self.assertEqual(hash(read(writeHeader(2, ADA, LAB))), hash(read(writeHeader(2, ADA, LAB))))
        with self.assertRaises(AttributeError):
            ProxyHeader(2).version = 1  # type: ignore[misc]


class UnixPathTests(SynchronousTestCase):
    def test_paths(self) -> None:
        for field, expected in (
            (b"/run/lab" + bytes(100), b"/run/lab"),
            (b"/run/lab\0left over" + bytes(90), b"/run/lab"),
            (b"x" * 108, b"x" * 108),
            (bytes(108), b""),
            (b"\0abstract\0name" + bytes(94), b"\0abstract\0name"),
        ):
            self.assertEqual(unixPath(field), expected)
