"""Tests for `tcplab.wire.framing`."""

from __future__ import annotations

import contextlib
import gc
import struct
import tracemalloc
import weakref

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.testing import StringTransport
from twisted.protocols.basic import Int32StringReceiver, NetstringReceiver
from twisted.trial.unittest import SynchronousTestCase

from tcplab.wire.framing import (
    CRLF,
    Delimited,
    FixedLength,
    Framing,
    FramingError,
    IncompleteMessage,
    Int32,
    Lines,
    LineTooLong,
    MessageTooLong,
    NetstringError,
    Netstrings,
    Stream,
)
from tests.support.framing_strategies import CUTS, FRAMED, MAKERS, WIRE, messages, outcome, pieces

quick = settings(deadline=None, derandomize=True)


class AnyFramingTests(SynchronousTestCase):
    @settings(quick, max_examples=300)
    @given(st.sampled_from(MAKERS), WIRE, CUTS)
    def test_piecesMakeNoDifference(
        self, make: type[Framing], data: bytes, cuts: list[int]
    ) -> None:
        whole, error = outcome(make(), [data])
        told, errorInPieces = outcome(make(), pieces(data, cuts))
        if make is Stream:
            whole, told = [b"".join(whole)], [b"".join(told)]
        self.assertEqual((told, errorInPieces), (whole, error))

    @settings(quick, max_examples=300)
    @given(st.sampled_from(MAKERS), st.binary(max_size=200), CUTS)
    def test_nothingButFramingErrorIsEverRaised(
        self, make: type[Framing], data: bytes, cuts: list[int]
    ) -> None:
        outcome(make(), pieces(data, cuts))  # lets no other error pass

    @settings(quick, max_examples=300)
    @given(st.sampled_from(FRAMED), st.lists(st.binary(max_size=6)), CUTS)
    def test_whatIsFramedComesBack(
        self, framing: type[Framing], said: list[bytes], cuts: list[int]
    ) -> None:
        said = [message.replace(b"\n", b"").rstrip(b"\r") for message in said]
        data = b"".join(map(framing.frame, said))
        self.assertEqual(outcome(framing(), pieces(data, cuts)), (said, None))

    @settings(quick, max_examples=300)
    @given(st.sampled_from(FRAMED), WIRE)
    def test_aMessageIsFramedWithoutLossOrRefused(
        self, framing: type[Framing], message: bytes
    ) -> None:
        try:
            data = framing.frame(message)
        except FramingError as error:
            self.assertRegex(str(error), r"\A[\x20-\x7e]+\Z")
        else:
            self.assertIn(message, data)
            told, error = outcome(framing(), [data])
            self.assertEqual((len(told), error), (1, None))

    @settings(quick, max_examples=200)
    @given(st.sampled_from(FRAMED), st.lists(st.binary(max_size=6)), WIRE, CUTS, st.data())
    def test_unreadGivesExactlyWhatWasNotDelivered(
        self,
        framing: type[Framing],
        said: list[bytes],
        rest: bytes,
        cuts: list[int],
        data: st.DataObject,
    ) -> None:
        framed = [framing.frame(m.replace(b"\n", b"").rstrip(b"\r")) for m in said]
        stream = b"".join(framed) + rest
        some = framing()
        delivered = 0
        for part in pieces(stream, cuts):
            some.feed(part)
            if delivered < len(framed) and data.draw(st.booleans()):
                delivered += some.next() is not None
        rest = stream[len(b"".join(framed[:delivered])) :]
        self.assertEqual(some.hasPartialMessage, bool(rest))
        self.assertEqual(some.unread(), rest)
        self.assertEqual(some.unread(), b"")
        self.assertIsNone(some.finish())

    @settings(quick, max_examples=300)
    @given(st.sampled_from(MAKERS), WIRE, CUTS)
    def test_afterUnreadTheStreamBeginsAnew(
        self, make: type[Framing], data: bytes, cuts: list[int]
    ) -> None:
        used = make()
        used.feed(b"1")  # the beginning of a message in any of them
        used.next()
        used.unread()
        self.assertEqual(outcome(used, pieces(data, cuts)), outcome(make(), pieces(data, cuts)))

    @settings(quick, max_examples=200)
    @given(st.sampled_from(MAKERS), WIRE, WIRE)
    def test_anErrorStays(self, make: type[Framing], data: bytes, more: bytes) -> None:
        framing = make()
        _, error = outcome(framing, [data])
        if error is None:
            return
        framing.feed(more)
        for ask in (framing.next, framing.finish, framing.next):
            with self.assertRaises(error[0]) as caught:
                ask()
            self.assertEqual(str(caught.exception), error[1])


class BoundTests(SynchronousTestCase):
    """What is kept is bounded, and nothing is kept alive."""

    def test_afterAnErrorNothingMoreIsKept(self) -> None:
        for make, wrong in [(Lines, b"x" * 70000), (FRAMED[2], b"no netstring")]:
            framing = make()
            framing.feed(wrong)
            self.assertRaises(FramingError, framing.next)
            framing.feed(b"more")
            self.assertEqual(framing.unread(), wrong)
            self.assertRaises(FramingError, framing.next)

    def test_anIdleFramingKeepsNoMemory(self) -> None:
        framing = Lines()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before, _ = tracemalloc.get_traced_memory()
        framing.feed(b"x" * 60000 + b"\n")
        self.assertEqual(len(framing.next() or b""), 60000)
        after, _ = tracemalloc.get_traced_memory()
        self.assertLess(after - before, 10_000)

    def test_linesWithoutEndInSmallPiecesKeepAFewMessagesAtMost(self) -> None:
        framing = Lines()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for _ in range(20_000):
            framing.feed(b"y" * 37 + b"\n" + b"y" * 3)  # never at rest between two lines
            messages(framing)
        framing.feed(b"z" * 60_000)
        messages(framing)
        size, _ = tracemalloc.get_traced_memory()
        self.assertLess(size, 4 * 65536 + 10_000)

    def test_anErrorDoesNotKeepTheFramingAlive(self) -> None:
        framing = FRAMED[2]()
        framing.feed(b"x")
        gc.disable()
        self.addCleanup(gc.enable)
        with contextlib.suppress(FramingError):  # assertRaises would keep the traceback
            framing.next()
        gone = weakref.ref(framing)
        del framing
        self.assertIsNone(gone())


class CostTests(SynchronousTestCase):
    """The cost is linear: counted in bytes that are looked at or moved, not in seconds."""

    def test_lookingForTheEndOfALongLineBeginsWhereTheLastSearchEnded(self) -> None:
        framing = Lines()
        for size in range(1000, 60_000, 1000):
            framing.feed(b"x" * 1000)
            framing.next()
            self.assertEqual(framing._searched, size)

    def test_smallPiecesLengthenTheBufferInPlace(self) -> None:
        framing = Lines()
        framing.feed(b"xxx")
        framing.feed(b"x")
        buffer = framing._buffer
        for _ in range(1000):
            framing.feed(b"x")
        self.assertIs(framing._buffer, buffer)

    def test_manyMessagesInOnePieceAreNotMoved(self) -> None:
        framing = Lines()
        framing.feed(b"x\n" * 10_000)
        buffer = framing._buffer
        for _ in range(9_999):
            framing.next()
        self.assertIs(framing._buffer, buffer)


class ErrorTests(SynchronousTestCase):
    def test_everyErrorIsAFramingErrorAndAValueError(self) -> None:
        for error in (FramingError, MessageTooLong, LineTooLong, IncompleteMessage, NetstringError):
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
            stripped = b""
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
        exactly = FixedLength(3)
        exactly.feed(b"on")
        self.assertIsNone(exactly.next())
        exactly.feed(b"etwoth")
        self.assertEqual(messages(exactly), [b"one", b"two"])
        self.assertEqual(exactly.unread(), b"th")

    def test_noBytesNeedNoInput(self) -> None:
        exactly = FixedLength(0)
        self.assertEqual(exactly.next(), b"")
        exactly.feed(b"rest")
        self.assertEqual(exactly.next(), b"")
        self.assertEqual(exactly.unread(), b"rest")

    def test_fewerThanNoneAreRefused(self) -> None:
        self.assertRaises(ValueError, FixedLength, -1)

    def test_cutShort(self) -> None:
        self.assertEqual(outcome(FixedLength(3), [b"onetw"])[1][0], IncompleteMessage)
        self.assertEqual(outcome(FixedLength(3), [b"one"]), ([b"one"], None))

    def test_whatWasCutShortCanStillBeRead(self) -> None:
        exactly = FixedLength(3)
        exactly.feed(b"tw")
        self.assertRaises(IncompleteMessage, exactly.finish)
        self.assertEqual(exactly.unread(), b"tw")


class UntilTests(SynchronousTestCase):
    def test_deliversWhatStandsBeforeTheDelimiter(self) -> None:
        until = Delimited(b"\r\n.\r\n")
        until.feed(b"text\r\n.\r")
        self.assertIsNone(until.next())
        until.feed(b"\nrest")
        self.assertEqual(until.next(), b"text")
        self.assertEqual(until.unread(), b"rest")

    @settings(deadline=None, derandomize=True)
    @given(st.text("ab", min_size=1, max_size=4), st.text("ab", max_size=30))
    def test_aDelimiterThatOverlapsItself(self, delimiter: str, text: str) -> None:
        expected = text.encode().split(delimiter.encode())
        until = Delimited(delimiter.encode())
        told = []
        for character in text.encode():
            until.feed(bytes([character]))
            told += messages(until)
        self.assertEqual([*told, until.unread()], expected)

    def test_theLimitIsWithoutTheDelimiter(self) -> None:
        self.assertEqual(outcome(Delimited(b"--", 3), [b"one-", b"-"]), ([b"one"], None))
        self.assertEqual(outcome(Delimited(b"--", 3), [b"four--"])[1][0], MessageTooLong)
        until = Delimited(b"--", 3)
        until.feed(b"four-")
        self.assertRaises(MessageTooLong, until.next)

    def test_cutShort(self) -> None:
        self.assertEqual(outcome(Delimited(b"--"), [b"one--two-"])[1][0], IncompleteMessage)

    def test_anEmptyDelimiterIsRefused(self) -> None:
        self.assertRaises(ValueError, Delimited, b"")

    def test_itIsAFraming(self) -> None:
        self.assertIsInstance(Delimited(b"x"), Framing)


class NetstringsTests(SynchronousTestCase):
    """https://cr.yp.to/proto/netstrings.txt"""

    def test_theSpecificationsOwnExamples(self) -> None:
        hello = bytes.fromhex("31 32 3a 68 65 6c 6c 6f 20 77 6f 72 6c 64 21 2c")
        self.assertEqual(Netstrings.frame(b"hello world!"), hello)
        self.assertEqual(outcome(Netstrings(), [hello + b"0:,"]), ([b"hello world!", b""], None))
        self.assertEqual(Netstrings.frame(b""), b"0:,")

    def test_whatIsNoNetstring(self) -> None:
        for data in (
            b":,",  # the empty string's length is 0, not nothing
            b"05:hello,",
            b"00:,",
            b"-1:x,",
            b"+1:x,",
            b" 5:hello,",
            b"5 :hello,",
            b"5hello,",
            b"hello",
            b"\n",
            b"1\n:x,",
            b"\xb2:ab,",
        ):
            self.assertEqual(outcome(Netstrings(), [data])[1][0], NetstringError, data)

    def test_nothingMayStandBetweenTwo(self) -> None:
        told, error = outcome(Netstrings(), [b"1:a,\n1:b,"])
        self.assertEqual((told, error[0]), ([b"a"], NetstringError))

    def test_theCommaIsRequired(self) -> None:
        told, error = outcome(Netstrings(), [b"1:a;"])
        self.assertEqual((told, error[0]), ([], NetstringError))
        self.assertIn("comma", error[1])

    def test_theLengthIsCheckedBeforeTheStringIsRead(self) -> None:
        for data in (b"65537:", b"65537", b"100000", b"9" * 100_000):
            netstrings = Netstrings()
            netstrings.feed(data)
            self.assertRaises(MessageTooLong, netstrings.next)

    def test_theLongest(self) -> None:
        message = b"x" * 65536
        self.assertEqual(outcome(Netstrings(), [Netstrings.frame(message)]), ([message], None))

    def test_cutShort(self) -> None:
        for end in range(1, len(b"5:hello,")):
            self.assertEqual(outcome(Netstrings(), [b"5:hello,"[:end]])[1][0], IncompleteMessage)

    def test_aStringOfAnyBytes(self) -> None:
        message = bytes(range(256)) + b",3:x,:"
        self.assertEqual(outcome(Netstrings(), [Netstrings.frame(message)]), ([message], None))

    @settings(deadline=None, derandomize=True)
    @given(st.lists(st.binary()))
    def test_twistedsOwnReceiverUnderstandsIt(self, said: list[bytes]) -> None:
        receiver, told = NetstringReceiver(), []
        receiver.stringReceived = told.append
        receiver.makeConnection(StringTransport())
        receiver.dataReceived(b"".join(map(Netstrings.frame, said)))
        self.assertEqual(told, said)


class Int32Tests(SynchronousTestCase):
    def test_lengthInFourBytesBigEndian(self) -> None:
        self.assertEqual(Int32.frame(b"hello"), b"\0\0\0\5hello")
        self.assertEqual(outcome(Int32(), [b"\0\0\0\5hello\0\0\0\0"]), ([b"hello", b""], None))

    def test_theLengthIsCheckedBeforeTheMessageIsRead(self) -> None:
        for length in (65537, 2**31, 2**32 - 1):
            framing = Int32()
            framing.feed(struct.pack("!I", length))
            self.assertRaises(MessageTooLong, framing.next)

    def test_theLongest(self) -> None:
        message = b"x" * 65536
        self.assertEqual(outcome(Int32(), [Int32.frame(message)]), ([message], None))

    def test_cutShort(self) -> None:
        for end in range(1, len(b"\0\0\0\5hello")):
            self.assertEqual(outcome(Int32(), [b"\0\0\0\5hello"[:end]])[1][0], IncompleteMessage)

    def test_aSubclassMaySetThePrefix(self) -> None:
        class Int8(Int32):
            prefix = struct.Struct("!B")

        self.assertEqual(outcome(Int8(), [Int8.frame(b"hello")]), ([b"hello"], None))
        self.assertEqual(Int8.frame(b"x" * 255)[:2], b"\xffx")
        self.assertRaises(MessageTooLong, Int8.frame, b"x" * 256)

    @settings(deadline=None, derandomize=True)
    @given(st.lists(st.binary()), st.lists(st.integers(1, 8), max_size=40))
    def test_twistedsOwnSendsAndUnderstandsIt(self, said: list[bytes], cuts: list[int]) -> None:
        receiver, told, transport = Int32StringReceiver(), [], StringTransport()
        receiver.stringReceived = told.append
        receiver.makeConnection(transport)
        for message in said:
            receiver.sendString(message)
        self.assertEqual(outcome(Int32(), pieces(transport.value(), cuts)), (said, None))
        receiver.dataReceived(b"".join(map(Int32.frame, said)))
        self.assertEqual(told, said)
