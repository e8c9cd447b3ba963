"""Tests for `tcplab.client.display`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tcplab.client.display import Display, ForTerminal, HexDump, Nothing, Raw, display
from tests.support.tiers import processes

quick = settings(deadline=None, derandomize=True, max_examples=300)

TRICKY = st.sampled_from(
    [b"\r", b"\n", b"\t", b"\x1b", b"\xc3", b"\xa9", b"\xe2\x80", b"\xae", b"a", "é€😀".encode()]
)
WIRE = st.lists(st.one_of(TRICKY, st.binary(max_size=20))).map(b"".join)


def shown(make: Callable[[], Display], *chunks: bytes) -> bytes:
    """Show chunks to the end."""
    display = make()
    return b"".join(map(display.feed, chunks)) + display.finish()


def bytewise(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


class ForTerminalTests(SynchronousTestCase):
    def assertShown(self, data: bytes, text: str) -> None:
        self.assertEqual(shown(ForTerminal, data).decode(), text)
        self.assertEqual(shown(ForTerminal, *bytewise(data)).decode(), text)

    def test_textIsShownAsItIs(self) -> None:
        self.assertShown("Grüße, 世界 😀 \\n\tend\n".encode(), "Grüße, 世界 😀 \\n\tend\n")

    def test_escapeSequencesAreShownNotObeyed(self) -> None:
        self.assertShown(b"\x1b[2J\x07\x00\x7f", "\\x1b[2J\\x07\\x00\\x7f")

    def test_c1ControlsAreEscapedInUtf8AndAsBytes(self) -> None:
        self.assertShown(b"\xc2\x9b31m \x9b", "\\u009b31m \\x9b")

    def test_whatReordersTextIsEscaped(self) -> None:
        self.assertShown(
            "\u202egnp.exe\u2028\U000e0041".encode(), "\\u202egnp.exe\\u2028\\U000e0041"
        )

    def test_aReturnIsPassedOnOnlyBeforeANewline(self) -> None:
        self.assertShown(b"a\r\nb\rc\r\r\n\r", "a\r\nb\\rc\\r\r\n\\r")

    def test_bytesThatAreNoUtf8AreEscaped(self) -> None:
        self.assertShown(b"\xff\xe2\x82x\xc3", "\\xff\\xe2\\x82x\\xc3")

    def test_aCharacterIsShownAsSoonAsItIsComplete(self) -> None:
        display = ForTerminal()
        self.assertEqual(display.feed(b"a\xe2\x82"), b"a")
        self.assertEqual(display.feed(b"\xac"), "€".encode())

    def test_aTerminalOfAnotherEncodingGetsNoUtf8(self) -> None:
        # U+00DB is C3 9B in UTF-8, and 9B would begin a sequence on such a terminal.
        terminal = ForTerminal("latin-1")
        self.assertEqual(terminal.feed("Û€".encode()), b"\xdb\\u20ac")

    @quick
    @given(WIRE)
    def test_nothingThatCommandsATerminalIsEverPrinted(self, data: bytes) -> None:
        text = shown(ForTerminal, data).decode()
        rest = text.replace("\r\n", "").replace("\n", "").replace("\t", "")
        self.assertTrue(rest.isprintable(), rest)

    @quick
    @given(WIRE)
    def test_piecesMakeNoDifference(self, data: bytes) -> None:
        self.assertEqual(shown(ForTerminal, *bytewise(data)), shown(ForTerminal, data))


class HexDumpTests(SynchronousTestCase):
    def test_linesEndAtSixteenBytesAndTheEndIsExact(self) -> None:
        self.assertEqual(
            shown(HexDump, b"You are connected!"),
            b"00000000  59 6f 75 20 61 72 65 20  63 6f 6e 6e 65 63 74 65  |You are connecte|\n"
            b"00000010  64 21                                             |d!|\n"
            b"00000012\n",
        )

    def test_nothingIsNothing(self) -> None:
        self.assertEqual(shown(HexDump), b"")

    def test_aWholeLineHasNoRest(self) -> None:
        lines = shown(HexDump, bytes(16)).splitlines()
        self.assertEqual(lines[0][-18:], b"|................|")
        self.assertEqual(lines[1:], [b"00000010"])

    def test_whoWatchesSeesAnIncompleteLineAtOnce(self) -> None:
        dump = HexDump(atOnce=True)
        self.assertEqual(
            dump.feed(b"hi\n"),
            b"00000000  68 69 0a                                          |hi.|\n",
        )
        second = dump.feed(b"x" * 20).splitlines()
        self.assertEqual([line[:8] for line in second], [b"00000003", b"00000010"])
        self.assertEqual(dump.finish(), b"00000017\n")

    @quick
    @given(WIRE)
    def test_piecesMakeNoDifference(self, data: bytes) -> None:
        self.assertEqual(shown(HexDump, *bytewise(data)), shown(HexDump, data))

    @quick
    @given(WIRE)
    def test_theBytesCanBeReadBack(self, data: bytes) -> None:
        lines = shown(HexDump, data).decode().splitlines()
        self.assertEqual(b"".join(bytes.fromhex(line[10:58]) for line in lines), data)

    @processes
    def test_itIsWhatHexdumpWrites(self) -> None:
        program = shutil.which("hexdump")
        if program is None:
            raise SkipTest("hexdump is not installed")
        data = bytes(range(256)) + b"the end"
        done = subprocess.run([program, "-Cv"], input=data, stdout=subprocess.PIPE, check=True)
        self.assertEqual(shown(HexDump, data), done.stdout)


class ChoosingTests(SynchronousTestCase):
    def choose(self, **settings: bool) -> Display:
        chosen = {"terminal": False, "hexadecimal": False, "quiet": False, **settings}
        return display(encoding="utf-8", **chosen)

    def test_aFileGetsTheBytesThemselves(self) -> None:
        chosen = self.choose()
        self.assertIsInstance(chosen, Raw)
        self.assertEqual(shown(lambda: chosen, b"\x1b\xff"), b"\x1b\xff")

    def test_aTerminalIsProtected(self) -> None:
        self.assertIsInstance(self.choose(terminal=True), ForTerminal)

    def test_quietShowsNothing(self) -> None:
        chosen = self.choose(quiet=True, hexadecimal=True)
        self.assertIsInstance(chosen, Nothing)
        self.assertEqual(shown(lambda: chosen, b"hello"), b"")

    def test_aDumpIsOfCompleteLinesExceptOnATerminal(self) -> None:
        self.assertEqual(self.choose(hexadecimal=True).feed(b"hi"), b"")
        self.assertNotEqual(self.choose(hexadecimal=True, terminal=True).feed(b"hi"), b"")
