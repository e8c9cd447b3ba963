"""Tests for `tcplab.client.scripted`."""

from __future__ import annotations

import re

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.outcomes import Outcome
from tcplab.client.script import ExpectPattern, ExpectText, Script, Send, Step
from tcplab.client.scripted import ScriptedCall
from tcplab.testing import Peer, connected
from tests.client.calling import MemoryConsole, ended, outcome


class Scripted(SynchronousTestCase):
    def play(self, *steps: Step) -> Peer:
        """Begin a script."""
        self.clock = Clock()
        self.console = MemoryConsole()
        self.call = ScriptedCall(self.clock, Script(steps), 5.0, self.console)  # type: ignore[arg-type]
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
        call = ScriptedCall(Clock(), Script([ExpectText(b"a")]), 5.0)
        connected(call).finish(b"a")
        self.assertIs(outcome(call), Outcome.OK)


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
        self.assertIs(outcome(self.call), Outcome.SILENT)

    def test_whatIsNotAwaitedDoesNotProlongTheTime(self) -> None:
        peer = self.play(ExpectText(b"a"))
        self.clock.advance(4)
        peer.write(b"b")
        self.clock.advance(1)
        self.assertTrue(peer.ended)
