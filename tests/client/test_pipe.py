"""Tests for `tcplab.client.pipe`."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.pipe import PipeClient
from tcplab.client.result import Outcome
from tcplab.testing import connected
from tests.support.memory_console import MemoryConsole, ended, outcome


class PipedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.console = MemoryConsole()
        self.call = PipeClient(self.clock, self.console, 5.0)
        self.peer = connected(self.call)

    def test_stdinIsReadAndSentAsItIs(self) -> None:
        self.assertIs(self.console.reading, True)
        self.call.inputReceived(b"one\ntw")
        self.assertEqual(self.peer.value(), b"one\ntw")

    def test_whatComesIsShown(self) -> None:
        self.peer.write(b"hello")
        self.assertEqual(self.console.printed, b"hello")

    def test_theEndOfStdinIsAHalfClose(self) -> None:
        self.call.inputReceived(b"hi")
        self.call.inputEnded()
        self.assertTrue(self.peer.ended)
        self.peer.finish(b"hello")
        self.assertEqual(self.console.printed, b"hello")
        ending = ended(self.call)
        assert ending is not None
        self.assertEqual((ending.outcome, ending.why), (Outcome.OK, "sent 2 bytes, received 5"))

    def test_stdinWaitsWhileTheServerDoesNotRead(self) -> None:
        self.peer.reading = False
        self.call.inputReceived(bytes(1 << 20))
        self.peer.write(b"")
        self.assertTrue(self.console.transport.paused)
        self.peer.resume()
        self.assertFalse(self.console.transport.paused)
        self.assertEqual(len(self.peer.value()), 1 << 20)

    def test_everythingIsSentBeforeTheHalfClose(self) -> None:
        self.peer.reading = False
        self.call.inputReceived(bytes(1 << 20))
        self.call.inputEnded()
        self.assertFalse(self.peer.ended)
        self.peer.resume()
        self.assertEqual(len(self.peer.value()), 1 << 20)
        self.assertTrue(self.peer.ended)

    def test_aServerThatFinishesFirstStillGetsTheRest(self) -> None:
        self.peer.finish(b"hello")
        self.call.inputReceived(b"the rest")
        self.assertIsNone(ended(self.call))
        self.call.inputEnded()
        self.assertEqual(self.peer.value(), b"the rest")
        self.assertIs(outcome(self.call), Outcome.OK)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_aServerThatHasFinishedIsNotKeptForAnInputThatDoesNotCome(self) -> None:
        self.peer.finish()
        self.clock.advance(4)
        self.call.inputReceived(b"still there")
        self.assertEqual(self.peer.value(), b"still there")
        self.clock.advance(4)
        self.assertIsNone(ended(self.call))
        self.clock.advance(1)
        self.peer.value()
        self.assertIs(outcome(self.call), Outcome.OK)

    def test_aServerThatHasFinishedAndReadsSlowlyIsWaitedFor(self) -> None:
        self.peer.reading = False
        self.call.inputReceived(bytes(1 << 20))
        self.peer.finish()
        self.clock.advance(5)
        self.peer.read(1000)
        self.clock.advance(5)
        self.assertIsNone(ended(self.call))

    def test_aServerThatHasFinishedAndTakesNothingMoreIsLeft(self) -> None:
        self.peer.reading = False
        self.call.inputReceived(bytes(1 << 20))
        self.peer.finish()
        self.clock.advance(5)
        self.clock.advance(5)
        self.peer.write(b"")
        ending = ended(self.call)
        assert ending is not None
        self.assertIs(ending.outcome, Outcome.OTHER)
        self.assertIn("no more of the input", ending.why)

    def test_aResetIsToldAndNothingIsLeftBehind(self) -> None:
        self.peer.finish()
        self.peer.reset()
        self.call.inputReceived(b"more")
        self.peer.value()
        self.assertIs(outcome(self.call), Outcome.RESET)
        self.assertEqual(self.clock.getDelayedCalls(), [])
