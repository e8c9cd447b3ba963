"""Tests for `tcplab.wire.framing`."""

from __future__ import annotations

import contextlib
import gc
import struct
import tracemalloc
import weakref
from typing import Any

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


class Records(Lines):
    delimiter = b";"
    stripped = b""
    maxLength = 3


class Int8(Int32):
    prefix = struct.Struct("!B")


LONGEST, TOO_LONG = b"x" * 65536, b"x" * 65537

# The specification's own example.
HELLO = bytes.fromhex("31 32 3a 68 65 6c 6c 6f 20 77 6f 72 6c 64 21 2c")
ANY_BYTES = bytes(range(256)) + b",3:x,:"

#: A framing, the parts that arrive, the messages that they make, and the kind of error behind them.
OUTCOMES: tuple[tuple[Any, list[bytes], list[bytes], type[FramingError] | None], ...] = (
    # Lines end with a newline; one return before it belongs to it, also if they arrive apart.
    (Lines, [b"one\n\ntwo\nthr", b"ee\n"], [b"one", b"", b"two", b"three"], None),
    (Lines, [b"one\r\n\r\ntwo\r\r\na\rb\n"], [b"one", b"", b"two\r", b"a\rb"], None),
    (Lines, [b"one\r", b"\ntwo"], [b"one", b"two"], None),
    (Lines, [b"one\n"], [b"one"], None),
    (Lines, [b"one\r"], [b"one\r"], None),  # a return alone ends no line
    # The longest line, and longer ones, however they end.
    *((Lines, [LONGEST + end], [LONGEST], None) for end in (b"\n", b"\r\n", b"")),
    *((Lines, [LONGEST, end], [LONGEST], None) for end in (b"\n", b"\r\n", b"")),
    (Lines, [LONGEST + b"\r", b"\n"], [LONGEST], None),
    *(
        (Lines, [b"one\n", *parts], [b"one"], LineTooLong)
        for end in (b"\n", b"\r\n", b"", b"x", b"\r")
        for parts in ([TOO_LONG + end], [TOO_LONG, end])
    ),
    # A subclass sets the delimiter and the limit.
    (Records, [b"\n;two;thr"], [b"\n", b"two", b"thr"], None),
    (Records, [b"four;"], [], LineTooLong),
    # CRLF: nothing else is an end, and half of it may have arrived with the longest line.
    (
        CRLF,
        [b"one\ntwo\rthree\r\n\r\nfour\r\r\n\n\r\n"],
        [b"one\ntwo\rthree", b"", b"four\r", b"\n"],
        None,
    ),
    (CRLF, [b"one\r", b"\n", b"two"], [b"one", b"two"], None),
    (CRLF, [LONGEST + b"\r", b"\n"], [LONGEST], None),
    (CRLF, [LONGEST + b"\r"], [], LineTooLong),
    (CRLF, [LONGEST + b"x", b"\r\n"], [], LineTooLong),
    (FixedLength(3), [b"onetw"], [b"one"], IncompleteMessage),
    (FixedLength(3), [b"one"], [b"one"], None),
    # The limit is without the delimiter.
    (Delimited(b"--", 3), [b"one-", b"-"], [b"one"], None),
    (Delimited(b"--", 3), [b"four--"], [], MessageTooLong),
    (Delimited(b"--"), [b"one--two-"], [b"one"], IncompleteMessage),
    (Netstrings, [HELLO + b"0:,"], [b"hello world!", b""], None),
    (Netstrings, [Netstrings.frame(LONGEST)], [LONGEST], None),
    (Netstrings, [Netstrings.frame(ANY_BYTES)], [ANY_BYTES], None),
    (Netstrings, [b"1:a,\n1:b,"], [b"a"], NetstringError),  # nothing may stand between two
    (Netstrings, [b":,"], [], NetstringError),  # the empty string's length is 0, not nothing
    *(
        (Netstrings, [data], [], NetstringError)
        for data in (b"05:hello,", b"00:,", b"-1:x,", b"+1:x,", b" 5:hello,", b"5 :hello,")
    ),
    *(
        (Netstrings, [data], [], NetstringError)
        for data in (b"5hello,", b"hello", b"\n", b"1\n:x,", b"\xb2:ab,", b"1:a;")
    ),
    *((Netstrings, [b"5:hello,"[:end]], [], IncompleteMessage) for end in range(1, 8)),
    (Int32, [b"\0\0\0\5hello\0\0\0\0"], [b"hello", b""], None),
    (Int32, [Int32.frame(LONGEST)], [LONGEST], None),
    *((Int32, [b"\0\0\0\5hello"[:end]], [], IncompleteMessage) for end in range(1, 9)),
    (Int8, [Int8.frame(b"hello")], [b"hello"], None),
)


class OutcomeTests(SynchronousTestCase):
    """What comes of the bytes that arrive, and of messages that are framed."""

    def test_messages(self) -> None:
        for made, parts, told, kind in OUTCOMES:
            framing = made() if isinstance(made, type) else made
            came, error = outcome(framing, parts)
            about = f"{framing} {[part[:20] for part in parts]}"
            self.assertEqual((came, error and error[0]), (told, kind), about)

    def test_texts(self) -> None:
        for framing, data, text in (
            (Lines(), TOO_LONG, "more than 65536 bytes without a delimiter"),
            (Netstrings(), b"1:a;", "comma"),
        ):
            self.assertIn(text, outcome(framing, [data])[1][1])

    def test_tooLongIsAnErrorAtOnce(self) -> None:
        """The rest need not arrive first: neither an end nor what a length promises."""
        for framing, data in (
            (Lines, b"x" * 65538),
            (lambda: Delimited(b"--", 3), b"four-"),
            *((Netstrings, length) for length in (b"65537:", b"65537", b"100000", b"9" * 100_000)),
            *((Int32, struct.pack("!I", length)) for length in (65537, 2**31, 2**32 - 1)),
        ):
            made: Framing = framing()
            made.feed(data)
            self.assertRaises(MessageTooLong, made.next)

    def test_frame(self) -> None:
        for framing, message, framed in (
            (Stream, b"any\nthing", b"any\nthing"),
            (Lines, b"one", b"one\n"),
            (Lines, b"", b"\n"),
            (Lines, b"one\r", b"one\r\n"),
            (Records, b"a\nb", b"a\nb;"),
            (CRLF, b"one", b"one\r\n"),
            (CRLF, b"o\nn\re\r", b"o\nn\re\r\r\n"),
            (Netstrings, b"hello world!", HELLO),
            (Netstrings, b"", b"0:,"),
            (Int32, b"hello", b"\0\0\0\5hello"),
            (Int8, b"x" * 255, b"\xff" + b"x" * 255),
        ):
            self.assertEqual(framing.frame(message), framed)

    def test_frameRefuses(self) -> None:
        """A message that would arrive as two, or that is too long."""
        for framing, message, kind in (
            *((Lines, message, FramingError) for message in (b"\n", b"one\n", b"one\ntwo")),
            (CRLF, b"one\r\ntwo", FramingError),
            (Records, b";", FramingError),
            (Records, b"four", LineTooLong),
            (Int8, b"x" * 256, MessageTooLong),
            *((each, TOO_LONG, MessageTooLong) for each in (Lines, CRLF, Netstrings, Int32)),
        ):
            error = self.assertRaises(kind, framing.frame, message)
            if kind is FramingError:
                self.assertIn("it would arrive as two", str(error))

    def test_theDefaultLimit(self) -> None:
        for framing in (Lines, CRLF, Netstrings, Int32):
            self.assertEqual(framing.maxLength, 65536)
            self.assertIn(len(framing.frame(LONGEST)) - 65536, range(1, 9))

    def test_finish(self) -> None:
        """The messages that are there, then the rest: a last line, or the rest of a stream."""
        for framing, data, told in (
            (Lines(), b"one\ntwo", [b"one", b"two"]),
            (Stream(), b"rest", [b"rest"]),
            (Stream(), b"", []),
        ):
            framing.feed(data)
            self.assertEqual([framing.finish() for _ in told], told)
            self.assertIsNone(framing.finish())


class StreamTests(SynchronousTestCase):
    def test_deliversWhateverHasArrived(self) -> None:
        stream = Stream()
        for fed, message in (((), None), ((b"one",), b"one"), ((b"two", b"three"), b"twothree")):
            for data in fed:
                stream.feed(data)
            self.assertEqual(stream.next(), message)
            self.assertIsNone(stream.next())

    def test_thePieceItselfIsDeliveredWithoutACopy(self) -> None:
        stream, data = Stream(), bytes(1000)
        stream.feed(data)
        self.assertIs(stream.next(), data)


class UnreadTests(SynchronousTestCase):
    """The rest stays for another framing."""

    def test_fixedLength(self) -> None:
        exactly = FixedLength(3)
        exactly.feed(b"on")
        self.assertIsNone(exactly.next())
        exactly.feed(b"etwoth")
        self.assertEqual(messages(exactly), [b"one", b"two"])
        self.assertRaises(IncompleteMessage, exactly.finish)
        self.assertEqual(exactly.unread(), b"th")

    def test_noBytesNeedNoInput(self) -> None:
        exactly = FixedLength(0)
        self.assertEqual(exactly.next(), b"")
        exactly.feed(b"rest")
        self.assertEqual(exactly.next(), b"")
        self.assertEqual(exactly.unread(), b"rest")

    def test_delimited(self) -> None:
        until = Delimited(b"\r\n.\r\n")
        until.feed(b"text\r\n.\r")
        self.assertIsNone(until.next())
        until.feed(b"\nrest")
        self.assertEqual(until.next(), b"text")
        self.assertEqual(until.unread(), b"rest")

    @quick
    @given(st.text("ab", min_size=1, max_size=4), st.text("ab", max_size=30))
    def test_aDelimiterThatOverlapsItself(self, delimiter: str, text: str) -> None:
        expected = text.encode().split(delimiter.encode())
        until = Delimited(delimiter.encode())
        told = []
        for character in text.encode():
            until.feed(bytes([character]))
            told += messages(until)
        self.assertEqual([*told, until.unread()], expected)

    def test_refused(self) -> None:
        """A negative length, an empty delimiter."""
        self.assertRaises(ValueError, FixedLength, -1)
        self.assertRaises(ValueError, Delimited, b"")


class TwistedTests(SynchronousTestCase):
    """Twisted's own receivers understand what is framed here, and are understood."""

    def receiver(self, kind: Any) -> tuple[Any, list[bytes], StringTransport]:
        receiver, told, transport = kind(), list[bytes](), StringTransport()
        receiver.stringReceived = told.append
        receiver.makeConnection(transport)
        return receiver, told, transport

    @quick
    @given(
        st.sampled_from([(Netstrings, NetstringReceiver), (Int32, Int32StringReceiver)]),
        st.lists(st.binary()),
        CUTS,
    )
    def test_both(self, kinds: tuple[Any, Any], said: list[bytes], cuts: list[int]) -> None:
        framing, stock = kinds
        receiver, told, transport = self.receiver(stock)
        for message in said:
            receiver.sendString(message)
        self.assertEqual(outcome(framing(), pieces(transport.value(), cuts)), (said, None))
        receiver.dataReceived(b"".join(map(framing.frame, said)))
        self.assertEqual(told, said)
