"""The texts: the textbook's words, and a test for each sentence of RFC 864, 865, 867 and 868."""

from __future__ import annotations

import os
import struct
import time as clock
import unittest.mock
from calendar import timegm

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.wire import texts


def unixTime(*date: int) -> int:
    return timegm((*date, 0, 0, 0)[:6])


class TextbookTests(SynchronousTestCase):
    def test_words(self) -> None:
        """The acknowledgement is 18 bytes, without a newline."""
        self.assertEqual((texts.ACK, len(texts.ACK)), (b"You are connected!", 18))
        self.assertEqual(texts.GREETING, b"Hello from server!")


class TrimmedTests(SynchronousTestCase):
    def test_dropsOneLineEnd(self) -> None:
        for message, expected in [
            (b"", b""),
            (b"hi", b"hi"),
            (b"hi\n", b"hi"),
            (b"hi\r\n", b"hi"),
            (b"hi\n\n", b"hi\n"),
            (b"hi\r\n\r\n", b"hi\r\n"),
            (b"\n", b""),
            (b"\r\n", b""),
            (b"hi\r", b"hi\r"),
            (b"one\ntwo", b"one\ntwo"),
        ]:
            self.assertEqual(texts.withoutLineEnd(message), expected, message)


class ChargenTests(SynchronousTestCase):
    """RFC 864, "One popular pattern"."""

    lines = texts.CHARGEN_PATTERN.split(b"\r\n")[:-1]

    def test_ninetyFiveLinesOfSeventyTwoCharactersThenCRLF(self) -> None:
        self.assertEqual(len(texts.CHARGEN_PATTERN), 7030)
        self.assertEqual([len(line) for line in self.lines], [72] * 95)
        self.assertTrue(texts.CHARGEN_PATTERN.endswith(b"\r\n"))

    def test_asciiPrintingCharactersOnly(self) -> None:
        self.assertEqual(set(b"".join(self.lines)), set(range(0x20, 0x7F)))

    def test_firstLineOfTheRFC(self) -> None:
        line = b" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg"
        self.assertEqual(self.lines[0], line)

    def test_eachLineBeginsOneCharacterFurtherOn(self) -> None:
        for number, line in enumerate(self.lines):
            self.assertEqual(line, bytes(0x20 + (number + i) % 95 for i in range(72)))

    def test_theStreamHasNoEnd(self) -> None:
        self.assertEqual(texts.chargen(0, 3 * 7030), texts.CHARGEN_PATTERN * 3)
        self.assertEqual(texts.chargen(7029, 2), b"\n ")

    @settings(deadline=None, derandomize=True)
    @given(st.integers(0, 2**70), st.integers(0, 200_000))
    def test_anySliceIsThatOfTheEndlessStream(self, position: int, size: int) -> None:
        piece = texts.chargen(position, size)
        self.assertEqual(len(piece), size)
        first = position % 7030
        self.assertEqual(piece, (texts.CHARGEN_PATTERN * (size // 7030 + 2))[first : first + size])


class QuoteTests(SynchronousTestCase):
    """RFC 865, "Quote Syntax"."""

    def test_printingCharactersSpaceAndLineEndsOnly(self) -> None:
        self.assertRegex(texts.QUOTE, rb"\A([\x20-\x7e]+\r\n)+\Z")

    def test_lessThan512Characters(self) -> None:
        self.assertLess(len(texts.QUOTE), 512)


class DaytimeTests(SynchronousTestCase):
    """RFC 867."""

    def test_theRFCsOwnExample(self) -> None:
        self.assertEqual(
            texts.daytime(unixTime(1982, 2, 22, 17, 37, 43)),
            b"Monday, February 22, 1982 17:37:43-UTC\r\n",  # the RFC's Tuesday is a mistake
        )

    def test_everyWeekdayAndMonth(self) -> None:
        for day, month, expected in [
            (1, 1, b"Friday, January 1, "),
            (2, 2, b"Tuesday, February 2, "),
            (3, 3, b"Wednesday, March 3, "),
            (4, 4, b"Sunday, April 4, "),
            (3, 5, b"Monday, May 3, "),
            (3, 6, b"Thursday, June 3, "),
            (3, 7, b"Saturday, July 3, "),
            (8, 8, b"Sunday, August 8, "),
            (9, 9, b"Thursday, September 9, "),
            (10, 10, b"Sunday, October 10, "),
            (11, 11, b"Thursday, November 11, "),
            (12, 12, b"Sunday, December 12, "),
        ]:
            self.assertEqual(
                texts.daytime(unixTime(1982, month, day)), expected + b"1982 00:00:00-UTC\r\n"
            )

    def test_isJustOneLineOfPrintingCharacters(self) -> None:
        line = texts.daytime(1e9)
        self.assertEqual(line.splitlines(keepends=True), [line])
        self.assertRegex(line, rb"\A[\x20-\x7e]+\r\n\Z")

    def test_fractionsOfASecondAreDropped(self) -> None:
        self.assertEqual(texts.daytime(1.999), texts.daytime(1))
        self.assertEqual(texts.daytime(-0.5), texts.daytime(-1))

    def test_timeZoneOfTheMachineDoesNotMatter(self) -> None:
        before = texts.daytime(1e9)
        self.addCleanup(clock.tzset)
        with unittest.mock.patch.dict(os.environ, TZ="XXX-5"):
            clock.tzset()
            self.assertNotEqual(clock.localtime(1e9).tm_hour, clock.gmtime(1e9).tm_hour)
            self.assertEqual(texts.daytime(1e9), before)


class TimeTests(SynchronousTestCase):
    """RFC 868."""

    def test_dates(self) -> None:
        """The RFC's own table, the first second, and the last, after which it begins again."""
        for number, *date in (
            (2_208_988_800, 1970, 1, 1),
            (2_398_291_200, 1976, 1, 1),
            (2_524_521_600, 1980, 1, 1),
            (2_629_584_000, 1983, 5, 1),
            (2**32 - 1_297_728_000, 1858, 11, 17),  # its negative example, in two's complement
            (1, 1900, 1, 1, 0, 0, 1),
            (2**32 - 1, 2036, 2, 7, 6, 28, 15),
            (0, 2036, 2, 7, 6, 28, 16),
        ):
            self.assertEqual(texts.time(unixTime(*date)), struct.pack("!I", number))

    def test_isA32BitBinaryNumberInNetworkOrder(self) -> None:
        self.assertEqual(texts.time(1.75), b"\x83\xaa\x7e\x81")
