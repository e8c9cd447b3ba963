"""Tests for `tcplab.wire.proxyreader`; `tests.support.proxyreference` is a second reading."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.wire.proxyheader import InetAddress, ProxyHeader, writeHeader
from tcplab.wire.proxyreader import HeaderReader, ProxyError
from tcplab.wire.proxytlvs import TLV
from tests.support.framing_strategies import CUTS, pieces
from tests.support.proxyfuzz import case, differences, fuzz, header, read
from tests.support.proxyreference import BAD, MORE, verdict

ADA = InetAddress.of("192.0.2.1", 56324)
LAB = InetAddress.of("198.51.100.2", 443)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
SEEDS = st.integers(0, 2**32 - 1)


def first(data: bytes) -> tuple[str, int]:
    """Feed byte by byte; return the verdict and how many bytes it took."""
    reader = HeaderReader()
    for at in range(len(data)):
        try:
            reader.feed(data[at : at + 1])
        except ProxyError:
            return "bad", at + 1
        if reader.header is not None:
            return "ok", at + 1
    return "more", len(data)


class LineTests(SynchronousTestCase):
    """Section 2.1."""

    def test_addresses(self) -> None:
        reader = HeaderReader()
        line = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
        self.assertEqual(reader.feed(line + b"GET / HTTP/1.1\r\n"), len(line))
        self.assertEqual(reader.header, ProxyHeader(1, "PROXY", "TCP4", ADA, LAB))

    def test_whatIsValid(self) -> None:
        for line in (
            b"PROXY UNKNOWN\r\n",
            b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
            b"PROXY UNKNOWN \r\n",
            b"PROXY UNKNOWN \xff\x00 lone \r and \n\r\n",
            b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n",
            b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n",
            b"PROXY TCP6 :: ::1 0 65535\r\n",
            b"PROXY TCP6 2001:db8::1 127.0.0.1 51512 22\r\n",  # nginx, from IPv6 to IPv4
            b"PROXY TCP4 192.0.2.1 2001:db8::1 51512 22\r\n",
            b"PROXY TCP6 " + b" ".join([b":".join([b"FfFf"] * 8)] * 2) + b" 65535 65535\r\n",
            b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c000:201 1 2\r\n",
            b"PROXY TCP6 0:0:0:0:0:ffff:192.0.2.1 1:2:3:4:5:6:7:: 1 2\r\n",
        ):
            self.assertEqual(first(line), ("ok", len(line)), line)

    def test_whatIsNotAndWithWhichByteThatIsKnown(self) -> None:
        for known, rest in (
            (b"G", b"ET / HTTP/1.1\r\n"),
            (b"\x16", b"\x03\x01"),
            (b"p", b"roxy"),
            (b" ", b"PROXY"),
            (b"PROXY\r", b"\n"),
            (b"PROXY\t", b"TCP4"),
            (b"PROXY  ", b"TCP4 "),
            (b"PROXY \r", b"\n"),
            (b"PROXY TCP5", b" "),
            (b"PROXY t", b"cp4 "),
            (b"PROXY TCP4\r", b"\n"),
            (b"PROXY TCP4  ", b"1.2.3.4"),
            (b"PROXY UNKNOWNX", b"\r\n"),
            (b"PROXY UNKNOWN\n", b""),
            (b"PROXY UNKNOWN\rx", b"\r\n"),
            (b"PROXY TCP4 999", b".2.3.4"),
            (b"PROXY TCP4 01", b".2.3.4"),
            (b"PROXY TCP4 1.2.3 ", b"4"),
            (b"PROXY TCP4 1.2.3.4.", b"5"),
            (b"PROXY TCP4 :", b":1"),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 00", b" 1\r\n"),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1_", b"0 1\r\n"),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 +", b"1 1\r\n"),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 \xb2", b" 1\r\n"),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 65536", b" 1\r\n"),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 ", b"\r\n"),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n", b""),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\r", b"\n"),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 \r", b"\n"),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r", b"\n"),
            (b"PROXY TCP4 \x1b", b"[31mEVIL"),
            (b"PROXY TCP6 1.", b"2.3.4 1.2.3.4 1 1\r\n"),
            (b"PROXY TCP4 1:", b": 1.2.3.4 1 1\r\n"),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4:", b": 1 1\r\n"),
            (b"PROXY TCP6 fe80::1%", b"eth0"),
            (b"PROXY TCP6 1::2::", b"3"),
            (b"PROXY TCP6 12345", b"::"),
            (b"PROXY TCP6 :1", b"::"),
            (b"PROXY TCP6 1:2:3:4:5:6:7:8:", b"9"),
            (b"PROXY TCP6 1:2:3 ", b"::"),
            (b"PROXY TCP6 ::1.2.3.04", b" "),
            (b"PROXY TCP6 0000:0000:0000:0000:0000:ffff:100.10", b"0.1.1"),
            (b"PROXY UNKNOWN " + b"f" * 92, b"\r\n"),
            (b"PROXY UNKNOWN " + b"f" * 91 + b"\r\r", b"\n"),
        ):
            self.assertEqual(first(known + rest), ("bad", len(known)), known + rest)
            reader = HeaderReader()
            self.assertRaises(ProxyError, reader.feed, known + rest)

    def test_anEndlessLineIsNotKept(self) -> None:
        reader = HeaderReader()
        self.assertRaises(ProxyError, reader.feed, b"PROXY UNKNOWN " + b"f" * 60000)
        self.assertLessEqual(len(reader._taken), 4096)


class BlockTests(SynchronousTestCase):
    """Section 2.2."""

    def test_addresses(self) -> None:
        reader = HeaderReader()
        block = writeHeader(2, ADA, LAB, tlvs=[TLV(1, b"h2")], checksum=True)
        self.assertEqual(reader.feed(block + b"\x16\x03\x01"), len(block))
        expected = ProxyHeader(2, "PROXY", "TCP4", ADA, LAB, (TLV(1, b"h2"),))
        self.assertEqual(reader.header, expected)

    def test_aBlockOfTheProxysOwnIsSkippedWhateverItHolds(self) -> None:
        for family, body in (
            (0x00, b""),
            (0x11, b"short"),
            (0xFF, b"\3\0\4nope"),
            (0x31, b"x" * 9),
        ):
            block = SIGNATURE + bytes([0x20, family, 0, len(body)]) + body
            self.assertEqual(read([block, b"more"])[1:], (len(block), _local()), block)

    def test_aBlockWithoutAFamilyOrATransportIsSkippedToo(self) -> None:
        for family in (0x00, 0x01, 0x02, 0x10, 0x20, 0x30):
            block = SIGNATURE + bytes([0x21, family, 0, 5]) + b"\xff" * 5
            reader = HeaderReader()
            self.assertEqual(reader.feed(block), 21)
            self.assertEqual(reader.header, ProxyHeader(2))

    def test_whatIsNotAndWithWhichByteThatIsKnown(self) -> None:
        for known, rest in (
            (b"\r\r", b""),
            (SIGNATURE[:11] + b"\r", b""),
            (SIGNATURE + b"\x01", b""),
            (SIGNATURE + b"\x11", b""),
            (SIGNATURE + b"\x22", b""),
            (SIGNATURE + b"\x31", b""),
            (SIGNATURE + b"\x21\x13", b""),
            (SIGNATURE + b"\x21\x41", b""),
            (SIGNATURE + b"\x21\x11\x10", b""),
            (SIGNATURE + b"\x20\x00\x0f\xf1", b""),
            (SIGNATURE + b"\x21\x11\x00\x0b", b"x" * 11),
            (SIGNATURE + b"\x21\x21\x00\x23", b"x" * 35),
            (SIGNATURE + b"\x21\x31\x00\xd7", b"x" * 215),
            (SIGNATURE + b"\x21\x11\x00\x0d" + b"x" * 13, b""),
            (SIGNATURE + b"\x21\x11\x00\x0f" + b"x" * 12 + b"\1\0\1", b"2"),
            (writeHeader(2, ADA, LAB, checksum=True)[:-1] + b"!", b""),
        ):
            self.assertEqual(first(known + rest), ("bad", len(known)), known + rest)

    def test_theLongest(self) -> None:
        block = SIGNATURE + b"\x20\x00\x0f\xf0" + bytes(4080)
        self.assertEqual(read([block + b"x"])[1], 4096)


class ReaderTests(SynchronousTestCase):
    """What holds for both."""

    def test_onlyWhatIsExpected(self) -> None:
        line, block = writeHeader(1, ADA, LAB), writeHeader(2, ADA, LAB)
        for data, versions in ((line, {2}), (block, {1})):
            reader = HeaderReader(frozenset(versions))
            error = self.assertRaises(ProxyError, reader.feed, data[:1])
            self.assertIn(f"of version {min(versions)}", str(error))
            self.assertEqual(read([data], tuple({1, 2} - versions))[0], "ok")

    def test_verdictsStay(self) -> None:
        reader = HeaderReader()
        problem = str(self.assertRaises(ProxyError, reader.feed, b"hello"))
        self.assertEqual(str(self.assertRaises(ProxyError, reader.feed, b"PROXY")), problem)
        reader = HeaderReader()
        reader.feed(b"PROXY UNKNOWN\r\n")
        self.assertEqual(reader.feed(b"whatever"), 0)
        self.assertEqual(reader.header, ProxyHeader(1))

    def test_theEnd(self) -> None:
        HeaderReader().finish()
        reader = HeaderReader()
        reader.feed(b"PROXY ")
        error = self.assertRaises(ProxyError, reader.finish)
        self.assertIn("cut short", str(error))
        reader.feed(b"UNKNOWN\r\n")
        reader.finish()

    def test_problemsAreOnePrintableLine(self) -> None:
        chance = random.Random(4)
        for _ in range(500):
            reader = HeaderReader()
            try:
                reader.feed(case(chance))
                reader.finish()
            except ProxyError as error:
                self.assertRegex(str(error), r"\A[\x20-\x7e]{10,700}\Z")

    @settings(deadline=None, derandomize=True)
    @given(SEEDS, CUTS)
    def test_everyValidHeaderIsReadInAnyPieces(self, seed: int, cuts: list[int]) -> None:
        data = header(random.Random(seed))
        expected = read([data])
        self.assertEqual(expected[:2], ("ok", len(data)), data)
        self.assertEqual(read(pieces(data + b"rest", cuts)), expected)
        for at in range(len(data)):
            self.assertEqual(read([data[:at], data[at:] + b"rest"]), expected)

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(SEEDS)
    def test_verdictsAreMonotone(self, seed: int) -> None:
        """What is whole or wrong stays so, whatever follows; what needs more has had no verdict."""
        data = case(random.Random(seed))
        before: Any = MORE
        for size in range(len(data) + 1):
            now = read([data[:size]])
            self.assertIn(before, (MORE, now), data[:size])
            before = now

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(
        st.binary(max_size=120), st.sampled_from([b"", b"PROXY TCP", SIGNATURE, SIGNATURE + b"!"])
    )
    @example(b"", b"")
    def test_anyBytes(self, data: bytes, begin: bytes) -> None:
        self.assertEqual(differences(begin + data), [])

    def test_aSecondReadingOfTheSpecificationAgrees(self) -> None:
        """In every cut."""
        counts, wrong = fuzz(3000, seed=1)
        self.assertEqual(wrong, [])
        self.assertGreater(min(counts.values()), 50, counts)

    def test_theSecondReadingItself(self) -> None:
        line = b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n"
        places = (b"\1\2\3\4", 9), (b"\5\6\7\10", 10)
        told = (1, "PROXY", "TCP4", *places, ())
        self.assertEqual(verdict(line + b"x"), ("ok", len(line), told))
        self.assertEqual([verdict(line[:-1]), verdict(b"PROXY TCP4 1.2.3.256")], [MORE, BAD])
        self.assertEqual(verdict(SIGNATURE + b"\x20\0\0\0"), ("ok", 16, _local()))


def _local() -> tuple[Any, ...]:
    return 2, "LOCAL", None, None, None, ()
