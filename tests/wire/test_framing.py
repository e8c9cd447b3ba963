"""Stream, Lines, CRLF, Exactly, Until, one by one; what holds for all is in test_pieces."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.wire import framing as module
from tcplab.wire.framing import (
    CRLF,
    FRAMINGS,
    CutShort,
    Exactly,
    Framing,
    FramingError,
    Int32,
    Lines,
    LineTooLong,
    MessageTooLong,
    Netstrings,
    Stream,
    Until,
)
from tests.wire.feeding import messages, outcome


class NamesTests(SynchronousTestCase):
    def test_namesForTheCommandLine(self) -> None:
        self.assertEqual(
            FRAMINGS,
            {
                "stream": Stream,
                "lines": Lines,
                "crlf": CRLF,
                "netstrings": Netstrings,
                "int32": Int32,
            },
        )

    def test_everyErrorIsAFramingErrorAndAValueError(self) -> None:
        errors = [getattr(module, name) for name in module.__all__]
        errors = [e for e in errors if isinstance(e, type) and issubclass(e, Exception)]
        self.assertEqual(len(errors), 5)
        for error in errors:
            self.assertTrue(issubclass(error, FramingError) and issubclass(error, ValueError))

    def test_aMessageIs64KiBAtMostByDefault(self) -> None:
        for framing in (Lines, CRLF, Netstrings, Int32):
            self.assertEqual(framing.maxLength, 65536)
            self.assertEqual(len(framing.frame(b"x" * 65536)) - 65536 in range(1, 9), True)
            self.assertRaises(MessageTooLong, framing.frame, b"x" * 65537)


class StreamTests(SynchronousTestCase):
    def test_deliversWhateverHasCome(self) -> None:
        stream = Stream()
        self.assertIsNone(stream.next())
        stream.feed(b"one")
        self.assertEqual(stream.next(), b"one")
        self.assertIsNone(stream.next())
        stream.feed(b"two")
        stream.feed(b"three")
        self.assertEqual(stream.next(), b"twothree")

    def test_thePieceItselfIsDeliveredWithoutACopy(self) -> None:
        stream, data = Stream(), bytes(1000)
        stream.feed(data)
        self.assertIs(stream.next(), data)

    def test_anEmptyPieceIsNoMessage(self) -> None:
        stream = Stream()
        stream.feed(b"")
        self.assertIsNone(stream.next())

    def test_finishGivesWhatIsLeft(self) -> None:
        stream = Stream()
        self.assertIsNone(stream.finish())
        stream.feed(b"rest")
        self.assertEqual(stream.finish(), b"rest")
        self.assertIsNone(stream.finish())

    def test_frameAddsNothing(self) -> None:
        self.assertEqual(Stream.frame(b"any\nthing"), b"any\nthing")


class LinesTests(SynchronousTestCase):
    def test_splitsAtNewlines(self) -> None:
        lines = Lines()
        lines.feed(b"one\n\ntwo\nthr")
        self.assertEqual(messages(lines), [b"one", b"", b"two"])
        lines.feed(b"ee\n")
        self.assertEqual(messages(lines), [b"three"])

    def test_dropsOneReturnBeforeTheNewline(self) -> None:
        self.assertEqual(
            outcome(Lines(), [b"one\r\n\r\ntwo\r\r\na\rb\n"]),
            ([b"one", b"", b"two\r", b"a\rb"], None),
        )

    def test_returnAndNewlineMayComeApart(self) -> None:
        self.assertEqual(outcome(Lines(), [b"one\r", b"\ntwo"]), ([b"one", b"two"], None))

    def test_aLastLineWithoutNewlineIsAMessageOnceThePeerHasFinished(self) -> None:
        lines = Lines()
        lines.feed(b"one\ntwo")
        self.assertEqual(lines.finish(), b"one")
        self.assertEqual(lines.finish(), b"two")
        self.assertIsNone(lines.finish())

    def test_aLastReturnWithoutNewlineEndsNoLine(self) -> None:
        self.assertEqual(outcome(Lines(), [b"one\r"]), ([b"one\r"], None))

    def test_nothingIsLeftAfterTheLastNewline(self) -> None:
        self.assertEqual(outcome(Lines(), [b"one\n"]), ([b"one"], None))

    def test_frameAddsANewline(self) -> None:
        self.assertEqual(Lines.frame(b"one"), b"one\n")
        self.assertEqual(Lines.frame(b""), b"\n")

    def test_aNewlineWithinALineIsRefusedForItWouldBeTwo(self) -> None:
        for message in (b"\n", b"one\n", b"one\ntwo"):
            with self.assertRaisesRegex(FramingError, "it would arrive as two"):
                Lines.frame(message)

    def test_aLineThatEndsWithReturnIsSentAsItIs(self) -> None:
        self.assertEqual(Lines.frame(b"one\r"), b"one\r\n")

    def test_theLongestLine(self) -> None:
        line = b"x" * 65536
        for end in (b"\n", b"\r\n", b""):
            self.assertEqual(outcome(Lines(), [line + end]), ([line], None))
            self.assertEqual(outcome(Lines(), [line, end]), ([line], None))
        self.assertEqual(outcome(Lines(), [line + b"\r", b"\n"]), ([line], None))

    def test_aLineThatIsLongerIsAnErrorHoweverItEnds(self) -> None:
        error = (LineTooLong, "more than 65536 bytes without a delimiter")
        line = b"x" * 65537
        for end in (b"\n", b"\r\n", b"", b"x", b"\r"):
            self.assertEqual(outcome(Lines(), [b"one\n", line + end]), ([b"one"], error))
            self.assertEqual(outcome(Lines(), [b"one\n", line, end]), ([b"one"], error))

    def test_aLineThatNeverEndsIsAnErrorAtOnce(self) -> None:
        lines = Lines()
        lines.feed(b"x" * 65538)
        self.assertRaises(LineTooLong, lines.next)

    def test_aSubclassMaySetTheLimitAndTheDelimiter(self) -> None:
        class Records(Lines):
            delimiter = b";"
            optional = b""
            maxLength = 3

        self.assertEqual(outcome(Records(), [b"\n;two;thr"]), ([b"\n", b"two", b"thr"], None))
        self.assertEqual(Records.frame(b"a\nb"), b"a\nb;")
        self.assertRaises(LineTooLong, Records.frame, b"four")
        self.assertRaises(FramingError, Records.frame, b";")
        self.assertEqual(outcome(Records(), [b"four;"])[1][0], LineTooLong)


class CRLFTests(SynchronousTestCase):
    def test_splitsAtCRLFOnly(self) -> None:
        self.assertEqual(
            outcome(CRLF(), [b"one\ntwo\rthree\r\n\r\nfour\r\r\n\n\r\n"]),
            ([b"one\ntwo\rthree", b"", b"four\r", b"\n"], None),
        )

    def test_theTwoBytesMayComeApart(self) -> None:
        self.assertEqual(outcome(CRLF(), [b"one\r", b"\n", b"two"]), ([b"one", b"two"], None))

    def test_frameAddsCRLF(self) -> None:
        self.assertEqual(CRLF.frame(b"one"), b"one\r\n")
        self.assertEqual(CRLF.frame(b"o\nn\re\r"), b"o\nn\re\r\r\n")

    def test_aLineEndWithinALineIsRefused(self) -> None:
        self.assertRaises(FramingError, CRLF.frame, b"one\r\ntwo")

    def test_theLongestLineMayHaveHalfItsDelimiterYet(self) -> None:
        line = b"x" * 65536
        self.assertEqual(outcome(CRLF(), [line + b"\r", b"\n"]), ([line], None))
        self.assertEqual(outcome(CRLF(), [line + b"\r"])[1][0], LineTooLong)
        self.assertEqual(outcome(CRLF(), [line + b"x", b"\r\n"])[1][0], LineTooLong)


class ExactlyTests(SynchronousTestCase):
    def test_deliversSoManyBytes(self) -> None:
        exactly = Exactly(3)
        exactly.feed(b"on")
        self.assertIsNone(exactly.next())
        exactly.feed(b"etwoth")
        self.assertEqual(messages(exactly), [b"one", b"two"])
        self.assertEqual(exactly.unread(), b"th")

    def test_noBytesNeedNoInput(self) -> None:
        exactly = Exactly(0)
        self.assertEqual(exactly.next(), b"")
        exactly.feed(b"rest")
        self.assertEqual(exactly.next(), b"")
        self.assertEqual(exactly.unread(), b"rest")

    def test_fewerThanNoneAreRefused(self) -> None:
        self.assertRaises(ValueError, Exactly, -1)

    def test_cutShort(self) -> None:
        self.assertEqual(outcome(Exactly(3), [b"onetw"])[1][0], CutShort)
        self.assertEqual(outcome(Exactly(3), [b"one"]), ([b"one"], None))

    def test_whatWasCutShortCanStillBeRead(self) -> None:
        exactly = Exactly(3)
        exactly.feed(b"tw")
        self.assertRaises(CutShort, exactly.finish)
        self.assertEqual(exactly.unread(), b"tw")


class UntilTests(SynchronousTestCase):
    def test_deliversWhatStandsBeforeTheDelimiter(self) -> None:
        until = Until(b"\r\n.\r\n")
        until.feed(b"text\r\n.\r")
        self.assertIsNone(until.next())
        until.feed(b"\nrest")
        self.assertEqual(until.next(), b"text")
        self.assertEqual(until.unread(), b"rest")

    @settings(deadline=None, derandomize=True)
    @given(st.text("ab", min_size=1, max_size=4), st.text("ab", max_size=30))
    def test_aDelimiterThatOverlapsItself(self, delimiter: str, text: str) -> None:
        expected = text.encode().split(delimiter.encode())
        until = Until(delimiter.encode())
        told = []
        for character in text.encode():
            until.feed(bytes([character]))
            told += messages(until)
        self.assertEqual([*told, until.unread()], expected)

    def test_theLimitIsWithoutTheDelimiter(self) -> None:
        self.assertEqual(outcome(Until(b"--", 3), [b"one-", b"-"]), ([b"one"], None))
        self.assertEqual(outcome(Until(b"--", 3), [b"four--"])[1][0], MessageTooLong)
        until = Until(b"--", 3)
        until.feed(b"four-")
        self.assertRaises(MessageTooLong, until.next)

    def test_cutShort(self) -> None:
        self.assertEqual(outcome(Until(b"--"), [b"one--two-"])[1][0], CutShort)

    def test_anEmptyDelimiterIsRefused(self) -> None:
        self.assertRaises(ValueError, Until, b"")

    def test_itIsAFraming(self) -> None:
        self.assertIsInstance(Until(b"x"), Framing)
