"""What holds for every framing, whatever the bytes and however they are cut."""

from __future__ import annotations

import contextlib
import gc
import tracemalloc
import weakref

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.wire.framing import FramingError, Lines, Stream
from tcplab.wire.pieces import Framing
from tests.wire.feeding import CUTS, FRAMED, MAKERS, WIRE, messages, outcome, pieces

quick = settings(deadline=None, derandomize=True)


class AnyFramingTests(SynchronousTestCase):
    @settings(quick, max_examples=1000)
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

    @settings(quick, max_examples=500)
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
        self.assertEqual(some.midway, bool(rest))
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

    @settings(quick, max_examples=500)
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
