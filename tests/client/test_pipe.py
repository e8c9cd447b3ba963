"""Tests for `tcplab.client.pipe`."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.pipe import PipeClient
from tcplab.client.result import Outcome, Result
from tcplab.testing import connected
from tests.support.memory_console import MemoryConsole, ended, outcome

MUCH = bytes(1 << 20)


class PipeClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.console = MemoryConsole()
        self.client = PipeClient(self.clock, self.console, 5.0)
        self.peer = connected(self.client)

    def test_session(self) -> None:
        """The input is sent as it is, its end half-closes, and the answer is printed."""
        self.assertIs(self.console.reading, True)
        self.client.inputReceived(b"one\ntw")
        self.assertEqual(self.peer.value(), b"one\ntw")
        self.client.inputEnded()
        self.assertTrue(self.peer.ended)
        self.peer.finish(b"hello")
        self.assertEqual(self.console.printed, b"hello")
        self.assertEqual(ended(self.client), Result(Outcome.OK, "sent 6 bytes, received 5"))

    def test_noAnswer(self) -> None:
        """That a server closes without an answer is no success, unless nothing was sent."""
        self.client.inputReceived(b"one")
        self.client.inputEnded()
        self.peer.finish()
        why = "sent 3 bytes, and the server closed without an answer"
        self.assertEqual(ended(self.client), Result(Outcome.EOF, why))

    def test_silence(self) -> None:
        """After the end of the input, silence ends the session; bytes begin it anew."""
        for answer, shutdown, result in (
            (b"", True, Result(Outcome.SILENT, "sent 2 bytes, and nothing arrived in 3 s")),
            (b"pong", True, Result(Outcome.OK, "sent 2 bytes, received 4")),
            (b"pong", False, Result(Outcome.OK, "sent 2 bytes, received 4")),
        ):
            client = PipeClient(self.clock, self.console, 5.0)
            client.silenceTimeout, client.shutdown = 3.0, shutdown
            peer = connected(client)
            client.inputReceived(b"hi")
            self.clock.advance(9)
            client.inputEnded()
            self.assertIs(peer.ended, shutdown)
            self.clock.advance(2)
            peer.write(answer)
            self.clock.advance(2)
            self.clock.advance(1)
            peer.finish()
            self.assertEqual(ended(client), result)

    def test_silenceOfOurOwn(self) -> None:
        """While stdout takes nothing, or the server receives, there is no silence."""
        self.client.silenceTimeout = 3.0
        self.client.inputReceived(b"hi")
        self.client.inputEnded()
        self.console.blocked = True
        self.clock.advance(3)
        self.console.blocked = False
        self.clock.advance(2)
        self.assertIsNone(ended(self.client))
        self.clock.advance(1)
        self.assertIs(outcome(self.client), Outcome.SILENT)

    def test_crlf(self) -> None:
        """Each newline is sent as CR LF, once, however the input is cut."""
        self.client.crlf = True
        for data in (b"one\ntwo\r", b"\n", b"\n\r\n", b"three"):
            self.client.inputReceived(data)
        self.assertEqual(self.peer.value(), b"one\r\ntwo\r\n\r\n\r\nthree")

    def test_backPressure(self) -> None:
        """Input pauses while the server does not read; all is sent before the half-close."""
        self.peer.reading = False
        self.client.inputReceived(MUCH)
        self.peer.write(b"")
        self.assertTrue(self.console.transport.paused)
        self.peer.resume()
        self.assertFalse(self.console.transport.paused)
        self.peer.reading = False
        self.client.inputReceived(MUCH)
        self.client.inputEnded()
        self.assertFalse(self.peer.ended)
        self.peer.resume()
        self.assertEqual((len(self.peer.value()), self.peer.ended), (2 * len(MUCH), True))

    def test_serverFinishesFirst(self) -> None:
        """The rest of the input is sent; a pause longer than the timeout ends it."""
        for endOfInput in True, False:
            client = PipeClient(self.clock, self.console, 5.0)
            peer = connected(client)
            peer.finish(b"hello")
            self.clock.advance(4)
            client.inputReceived(b"the rest")
            self.assertEqual(peer.value(), b"the rest")
            self.clock.advance(4)
            self.assertIsNone(ended(client))
            if endOfInput:
                client.inputEnded()
            self.clock.advance(0 if endOfInput else 1)
            peer.value()
            self.assertIs(outcome(client), Outcome.OK)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_serverFinishesAndReadsSlowly(self) -> None:
        """The client waits while the server takes anything; then it resets."""
        self.peer.reading = False
        self.client.inputReceived(MUCH)
        self.peer.finish()
        self.clock.advance(5)
        self.peer.read(1000)
        self.clock.advance(5)
        self.assertIsNone(ended(self.client))
        self.clock.advance(5)
        self.peer.write(b"")
        why = "the server closed, and accepts no more of the input"
        self.assertEqual(ended(self.client), Result(Outcome.OTHER, why))

    def test_reset(self) -> None:
        """A reset leaves no timer."""
        self.peer.finish()
        self.peer.reset()
        self.client.inputReceived(b"more")
        self.peer.value()
        self.assertIs(outcome(self.client), Outcome.RESET)
        self.assertEqual(self.clock.getDelayedCalls(), [])
