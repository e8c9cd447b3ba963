"""Escapes, there and back."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.wire.escaping import escape, unescape


class EscapeTests(SynchronousTestCase):
    def test_printableAsciiStaysAsItIs(self) -> None:
        text = "".join(map(chr, range(0x20, 0x7F))).replace("\\", "")
        self.assertEqual(escape(text.encode("ascii")), text)

    def test_backslashIsDoubledSoThatNothingCanBeForged(self) -> None:
        self.assertEqual(escape(b"\\n"), r"\\n")
        self.assertNotEqual(escape(b"\\x1b"), escape(b"\x1b"))

    def test_namedControlCharacters(self) -> None:
        self.assertEqual(escape(b"\n\r\t"), r"\n\r\t")

    def test_otherBytesAreHexadecimal(self) -> None:
        self.assertEqual(escape(b"\x00\x1b\x7f\x80\xff"), r"\x00\x1b\x7f\x80\xff")
        self.assertEqual(escape("ü".encode()), r"\xc3\xbc")

    def test_cutsAtLimitBytesOfInput(self) -> None:
        self.assertEqual(escape(b"x" * 200), "x" * 200)
        self.assertEqual(escape(b"x" * 201), "x" * 200 + "...")
        self.assertEqual(escape(b"\n\n\n", limit=2), r"\n\n...")
        self.assertEqual(escape(b"", limit=0), "")

    @settings(deadline=None, derandomize=True)
    @given(st.binary())
    def test_nothingButPrintableAsciiComesOut(self, data: bytes) -> None:
        self.assertTrue(all(0x20 <= ord(c) <= 0x7E for c in escape(data)))


class UnescapeTests(SynchronousTestCase):
    def test_escapes(self) -> None:
        self.assertEqual(unescape(r"a\nb\rc\td\\e\0f\x1b\xFF"), b"a\nb\rc\td\\e\0f\x1b\xff")

    def test_doubledBackslashDoesNotEscapeWhatFollows(self) -> None:
        self.assertEqual(unescape(r"\\n\\\n"), b"\\n\\\n")

    def test_zeroIsOneByteWhateverFollows(self) -> None:
        self.assertEqual(unescape(r"\012"), b"\x0012")

    def test_otherTextIsUTF8(self) -> None:
        self.assertEqual(unescape("grüß\n"), "grüß\n".encode())

    def test_argumentThatWasNoUTF8GivesItsVeryBytes(self) -> None:
        self.assertEqual(unescape(b"caf\xe9".decode("utf-8", "surrogateescape")), b"caf\xe9")

    def test_badEscapesAreRefusedWithOneClearLine(self) -> None:
        for text, message in [
            ("a\\", "a backslash at the end"),
            ("\\x", "needs two hexadecimal digits"),
            ("\\x4", "needs two hexadecimal digits"),
            ("\\x4g", "needs two hexadecimal digits"),
            ("\\x 1", "needs two hexadecimal digits"),
            ("\\q", r"unknown escape \\q"),
            ("\\N", r"unknown escape \\N"),
            ("\\\n", r"unknown escape \\\\n"),
            ("\\ü", "unknown escape"),
            ("\ud800", "no valid Unicode"),
        ]:
            with self.assertRaisesRegex(ValueError, message) as caught:
                unescape(text)
            self.assertRegex(str(caught.exception), r"\A[\x20-\x7e]+\Z")

    @settings(deadline=None, derandomize=True)
    @given(st.binary())
    def test_givesBackWhatWasEscaped(self, data: bytes) -> None:
        self.assertEqual(unescape(escape(data, limit=len(data))), data)

    @settings(deadline=None, derandomize=True)
    @given(st.text(st.sampled_from("\\xnrt0aF\nü\ud800")) | st.text())
    @example("\\")
    def test_anyTextGivesBytesOrValueErrorOfOneLine(self, text: str) -> None:
        try:
            unescape(text)
        except ValueError as error:
            self.assertRegex(str(error), r"\A[\x20-\x7e]+\Z")
