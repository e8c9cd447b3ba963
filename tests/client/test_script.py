"""Tests for `tcplab.client.script`."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.result import Outcome
from tcplab.client.script import ExpectPattern, ExpectText, Script, ScriptClient, Send, Step
from tcplab.testing import Peer, connected
from tests.support.memory_console import MemoryConsole, ended
from tests.support.memory_console import outcome as outcomeOf

quick = settings(deadline=None, derandomize=True, max_examples=200)


def text(data: bytes) -> ExpectText:
    return ExpectText(data)


def pattern(data: bytes) -> ExpectPattern:
    return ExpectPattern(re.compile(data))


def outcome(steps: list[Step], chunks: list[bytes]) -> tuple[bytes, int, bool, str]:
    """Perform a script; return what was sent, how far it came, and what is left over."""
    script = Script(steps)
    sent = script.start()
    for chunk in chunks:
        sent += script.feed(chunk)
    return sent, script.position, script.onlyPrefix, script.unmatched


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    begin = 0
    for end in [*sorted({cut for cut in cuts if cut < len(data)}), len(data)]:
        yield data[begin:end]
        begin = end


WIRE = st.lists(st.sampled_from([b"a", b"b", b"ab", b"aab", b"\n"])).map(b"".join)
CUTS = st.lists(st.integers(0, 40))
WORDS = st.lists(st.sampled_from([b"a", b"b"]), min_size=1, max_size=5).map(b"".join)
TEXTS = WORDS.map(text)
PATTERNS = st.sampled_from([b"a+", b"b.a", b"^a", b"(?m)^b", b"a|bb", b"[^b]+b"]).map(pattern)
SENDS = st.sampled_from([Send(b"1"), Send(b"22")])


class PerformingTests(SynchronousTestCase):
    def test_whatIsSaidFirstIsSentAtOnce(self) -> None:
        script = Script([Send(b"a"), Send(b"b"), text(b"x"), Send(b"c")])
        self.assertEqual(script.start(), b"ab")
        self.assertEqual(script.expecting, text(b"x"))

    def test_whatFollowsAnExpectationIsSentWhenItIsMet(self) -> None:
        script = Script([text(b"name?"), Send(b"Ada\n")])
        self.assertEqual(script.start(), b"")
        self.assertEqual(script.feed(b"Your name"), b"")
        self.assertEqual(script.feed(b"? "), b"Ada\n")
        self.assertIsNone(script.expecting)

    def test_oneChunkCanMeetSeveralExpectations(self) -> None:
        sent, position, *_ = outcome([text(b"a"), Send(b"1"), text(b"b"), Send(b"2")], [b"ab"])
        self.assertEqual((sent, position), (b"12", 4))

    def test_matchingContinuesAfterThePreviousMatch(self) -> None:
        self.assertEqual(outcome([text(b"aa"), text(b"aa")], [b"aaa"])[1], 1)
        self.assertEqual(outcome([text(b"aa"), text(b"aa")], [b"aaaa"])[1], 2)

    def test_whatCameBeforeASendMayStillBeExpectedAfterIt(self) -> None:
        self.assertEqual(outcome([text(b"a"), Send(b"1"), text(b"c")], [b"abc"])[1], 3)

    def test_onlyAScriptThatEndsByAMatchEndsTheConversation(self) -> None:
        self.assertTrue(Script([Send(b"a"), text(b"b")]).endsWithExpectation)
        self.assertFalse(Script([text(b"b"), Send(b"a")]).endsWithExpectation)
        self.assertFalse(Script([]).endsWithExpectation)


class JudgingTests(SynchronousTestCase):
    def judge(self, step: Step, *chunks: bytes) -> tuple[bool, str]:
        return outcome([step], list(chunks))[2:]

    def test_nothingIsABeginning(self) -> None:
        self.assertEqual(self.judge(text(b"hello")), (True, ""))
        self.assertEqual(self.judge(pattern(b"hello")), (True, ""))

    def test_thePrefixOfATextIsABeginning(self) -> None:
        self.assertEqual(self.judge(text(b"hello"), b"he", b"ll"), (True, "hell"))

    def test_anythingBeforeATextIsNoBeginningOfIt(self) -> None:
        self.assertEqual(self.judge(text(b"hello"), b"> hell"), (False, "> hell"))
        self.assertEqual(self.judge(text(b"hello"), b"x"), (False, "x"))

    def test_aPatternHasNoBeginnings(self) -> None:
        self.assertEqual(self.judge(pattern(b"hello"), b"hell"), (False, "hell"))

    def test_whatIsLeftAfterAMatchCounts(self) -> None:
        self.assertEqual(outcome([text(b"a"), text(b"bb")], [b"ab"])[2:], (True, "b"))
        self.assertEqual(outcome([text(b"a"), text(b"bb")], [b"ac"])[2:], (False, "c"))

    def test_aFinishedScriptWaitsForNothing(self) -> None:
        self.assertEqual(outcome([text(b"a")], [b"abc"])[1:3], (1, True))

    def test_whatCameInsteadIsEscapedAndCut(self) -> None:
        script = Script([text(b"never")])
        script.start()
        script.feed(b"\x1b[31m")
        self.assertEqual(script.unmatched, "\\x1b[31m")
        for _ in range(300):
            script.feed(b"y")
        self.assertEqual(script.unmatched, "\\x1b[31m" + "y" * 195 + "...")


class PatternTests(SynchronousTestCase):
    def test_theMatchThatEndsFirstIsTaken(self) -> None:
        self.assertEqual(outcome([pattern(b"a+"), text(b"aa")], [b"aaa"])[1], 2)

    def test_theCaretIsThePlaceAfterThePreviousMatch(self) -> None:
        self.assertEqual(outcome([text(b"a"), pattern(b"^b")], [b"ab"])[1], 2)
        self.assertEqual(outcome([text(b"a"), pattern(b"^b")], [b"acb"])[1], 1)

    def test_theCaretIsNotWhereMuchWasForgotten(self) -> None:
        script = Script([pattern(b"^b")])
        script.start()
        script.feed(b"c" * 100_000)
        for _ in range(3):
            script.feed(b"b" * ExpectPattern.window)
        self.assertEqual(script.position, 0)

    def test_aMatchLaterThanTheWindowIsFound(self) -> None:
        script = Script([pattern(b"x[0-9]+y")])
        script.start()
        for _ in range(5):
            script.feed(b"c" * 100_000)
        script.feed(b"x12")
        script.feed(b"3y")
        self.assertEqual(script.position, 1)


class BoundTests(SynchronousTestCase):
    def test_memoryIsBoundedWhateverComesInVain(self) -> None:
        for step in text(b"never" * 100), pattern(b"never"):
            script = Script([step])
            script.start()
            script.feed(bytes(1 << 20))
            tracemalloc.start()
            self.addCleanup(tracemalloc.stop)
            for _ in range(20):
                script.feed(bytes(1 << 20))
            held, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            self.assertLess(held, 1 << 19)


class AnyPiecesTests(SynchronousTestCase):
    @quick
    @given(st.lists(st.one_of(TEXTS, PATTERNS, SENDS), max_size=5), WIRE, CUTS)
    def test_piecesMakeNoDifference(self, steps: list[Step], data: bytes, cuts: list[int]) -> None:
        whole = outcome(steps, [data])
        self.assertEqual(outcome(steps, list(pieces(data, cuts))), whole)
        self.assertEqual(outcome(steps, [bytes([byte]) for byte in data]), whole)

    @quick
    @given(st.lists(WORDS, min_size=1, max_size=4), WIRE)
    def test_textsAreFoundOneAfterTheOther(self, words: list[bytes], data: bytes) -> None:
        left, met = data, 0
        for word in words:
            _, found, after = left.partition(word)
            if not found:
                break
            left, met = after, met + 1
        _, position, onlyPrefix, _ = outcome([text(word) for word in words], [data])
        self.assertEqual(position, met)
        if met < len(words):
            self.assertEqual(onlyPrefix, words[met].startswith(left))


class Scripted(SynchronousTestCase):
    def play(self, *steps: Step) -> Peer:
        """Begin a script."""
        self.clock = Clock()
        self.console = MemoryConsole()
        self.call = ScriptClient(self.clock, Script(steps), 5.0, self.console)
        return connected(self.call)

    def assertEnded(self, outcome: Outcome, why: str) -> None:
        ending = ended(self.call)
        assert ending is not None
        self.assertEqual((ending.outcome, ending.why), (outcome, why))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class MeetingTests(Scripted):
    def test_stdinIsNotRead(self) -> None:
        self.play(ExpectText(b"hello"))
        self.assertIs(self.console.reading, False)

    def test_aMatchedLastExpectationHangsUp(self) -> None:
        peer = self.play(Send(b"hi"), ExpectText(b"hello"))
        self.assertEqual(peer.value(), b"hi")
        peer.write(b"say hello!")
        self.assertTrue(peer.ended)
        peer.write(b"more")
        peer.finish()
        self.assertEnded(Outcome.OK, "sent 2 bytes, received 10")
        self.assertEqual(self.console.printed, b"say hello!")

    def test_anExpectationWithNothingSentWaitsForTheGreeting(self) -> None:
        peer = self.play(ExpectText(b"You are connected!"), Send(b"hi\n"), ExpectText(b"hi"))
        self.assertEqual(peer.value(), b"")
        peer.write(b"You are connected!")
        self.assertEqual(peer.value(), b"hi\n")
        self.assertFalse(peer.ended)

    def test_afterALastSendItHalfClosesAndReadsToTheEnd(self) -> None:
        peer = self.play(ExpectText(b"?"), Send(b"hi"))
        peer.write(b"name?")
        self.assertEqual(peer.value(), b"hi")
        self.assertTrue(peer.ended)
        self.clock.advance(3600)
        peer.finish(b"hello")
        self.assertEnded(Outcome.OK, "sent 2 bytes, received 10")
        self.assertEqual(self.console.printed, b"name?hello")

    def test_withoutAConsoleNothingIsPrinted(self) -> None:
        call = ScriptClient(Clock(), Script([ExpectText(b"a")]), 5.0)
        connected(call).finish(b"a")
        self.assertIs(outcomeOf(call), Outcome.OK)


class WaitingInVainTests(Scripted):
    def test_nothingInTimeIsSilent(self) -> None:
        peer = self.play(ExpectText(b"hello"))
        self.clock.advance(4.9)
        self.assertFalse(peer.ended)
        self.clock.advance(0.1)
        peer.finish()
        self.assertEnded(Outcome.SILENT, "expected 'hello', but nothing came in 5 s")

    def test_onlyABeginningInTimeIsSilent(self) -> None:
        peer = self.play(ExpectText(b"hello"))
        peer.write(b"he")
        self.clock.advance(5)
        peer.finish()
        self.assertEnded(Outcome.SILENT, "expected 'hello', but only 'he' came in 5 s")

    def test_somethingElseInTimeIsUnexpected(self) -> None:
        peer = self.play(ExpectText(b"hello"))
        peer.write(b"220 \x1b[1m")
        self.clock.advance(5)
        peer.finish()
        self.assertEnded(Outcome.UNEXPECTED, r"expected 'hello', but '220 \x1b[1m' came in 5 s")

    def test_theServersEndWithNothingIsEof(self) -> None:
        self.play(ExpectText(b"hello")).finish()
        self.assertEnded(
            Outcome.EOF, "expected 'hello', but nothing came before the server finished"
        )

    def test_theServersEndWithABeginningIsEof(self) -> None:
        self.play(ExpectText(b"hello")).finish(b"hell")
        self.assertEnded(
            Outcome.EOF, "expected 'hello', but only 'hell' came before the server finished"
        )

    def test_theServersEndWithSomethingElseIsUnexpected(self) -> None:
        self.play(ExpectText(b"hello")).finish(b"bye")
        self.assertEnded(
            Outcome.UNEXPECTED, "expected 'hello', but 'bye' came before the server finished"
        )

    def test_anExpressionIsNamedAsSuch(self) -> None:
        self.play(ExpectPattern(re.compile(b"^2\\d\\d "))).finish(b"554 no\r\n")
        self.assertEnded(
            Outcome.UNEXPECTED,
            r"expected a match of '^2\\d\\d ', but '554 no\r\n' came before the server finished",
        )

    def test_whatCameIsPrintedAllTheSame(self) -> None:
        self.play(ExpectText(b"hello")).finish(b"bye")
        self.assertEqual(self.console.printed, b"bye")

    def test_aResetIsAReset(self) -> None:
        peer = self.play(ExpectText(b"hello"))
        peer.write(b"bye")
        peer.reset()
        self.assertEnded(Outcome.RESET, "the connection was reset")

    def test_everyExpectationHasItsOwnTime(self) -> None:
        peer = self.play(ExpectText(b"a"), ExpectText(b"b"))
        self.clock.advance(4)
        peer.write(b"a")
        self.clock.advance(4)
        self.assertFalse(peer.ended)
        self.clock.advance(1)
        self.assertTrue(peer.ended)
        peer.finish()
        self.assertIs(outcomeOf(self.call), Outcome.SILENT)

    def test_whatIsNotAwaitedDoesNotProlongTheTime(self) -> None:
        peer = self.play(ExpectText(b"a"))
        self.clock.advance(4)
        peer.write(b"b")
        self.clock.advance(1)
        self.assertTrue(peer.ended)
