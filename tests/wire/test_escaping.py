"""Escapes, there and back."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.wire.escaping import escape, unescape


class EscapeTests(SynchronousTestCase):
    def test_bytes(self) -> None:
        """Printable ASCII stays; a backslash is doubled, so that no escape can be forged."""
        printable = "".join(map(chr, range(0x20, 0x7F))).replace("\\", "")
        for data, text in (
            (printable.encode("ascii"), printable),
            (b"\\n", r"\\n"),
            (b"\\x1b", r"\\x1b"),
            (b"\n\r\t", r"\n\r\t"),
            (b"\x00\x1b\x7f\x80\xff", r"\x00\x1b\x7f\x80\xff"),
            ("ü".encode(), r"\xc3\xbc"),
        ):
            self.assertEqual(escape(data), text)

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
    def test_texts(self) -> None:
        for text, data in (
            (r"a\nb\rc\td\\e\0f\x1b\xFF", b"a\nb\rc\td\\e\0f\x1b\xff"),
            (r"\\n\\\n", b"\\n\\\n"),  # what follows a doubled backslash is not escaped
            (r"\012", b"\x0012"),  # zero is one byte whatever follows
            ("grüß\n", "grüß\n".encode()),  # other text is UTF-8
            (b"caf\xe9".decode("utf-8", "surrogateescape"), b"caf\xe9"),  # an argument that was not
        ):
            self.assertEqual(unescape(text), data)

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
