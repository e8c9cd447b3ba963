"""Tests for `tcplab.protocols.dialogue`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.dialogue import Dialogue, DialogueOver, Draining, PeerFinished, PeerSilent
from tcplab.testing import Peer, checkBehaviour, connected
from tcplab.wire.framing import CRLF, Lines, MessageTooLong, Netstrings
from tests.support.conversations import ending


class Recipe(Dialogue):
    framing = Lines

    async def converse(self) -> None:
        self.send(b"What is your name?")
        name = await self.receive(timeout=10)
        self.send(b"Hello, " + name + b"!")


class Scripted(Dialogue):
    """
    Do as the test says.

    :ivar outcome: what was returned, or the class of what was raised.
    """

    framing = Lines
    outcome: Any = None

    def __init__(self, script: Callable[[Any], Awaitable[Any]]) -> None:
        self._script = script

    async def converse(self) -> Any:
        try:
            self.outcome = await self._script(self)
        except BaseException as error:
            self.outcome = type(error)
            raise
        return self.outcome


def connect(script: Callable[[Any], Awaitable[Any]] = Dialogue.receive) -> tuple[Any, Peer]:
    """Connect a peer to a dialogue that does so."""
    dialogue = Scripted(script)
    return dialogue, connected(dialogue)


def silence(peer: Peer) -> None:
    peer.clock.advance(3)


class InputTests(SynchronousTestCase):
    """What is received, and in which pieces."""

    def test_recipe(self) -> None:
        """Send, receive, send; returning closes gracefully."""
        checkBehaviour(Recipe, b"Ann\n", b"What is your name?\nHello, Ann!\n")
        peer = connected(Recipe())
        self.assertEqual(peer.value(), b"What is your name?\n")

    def test_messages(self) -> None:
        """``async for`` gives every message, the last line without newline too."""

        async def script(dialogue: Dialogue) -> Any:
            return [message async for message in dialogue.messages()]

        dialogue, peer = connect(script)
        peer.finish(b"one\ntwo\nthree")
        self.assertEqual(dialogue.outcome, [b"one", b"two", b"three"])
        self.assertFalse(peer.connected)

    def test_bytes(self) -> None:
        """receiveExactly and receiveUntil pass by the framing, and give the rest back."""

        async def script(dialogue: Dialogue) -> Any:
            line = await dialogue.receive()
            four = await dialogue.receiveExactly(4)
            word = await dialogue.receiveUntil(b"; ")
            return line, four, word, await dialogue.receive()

        said = b"line\n4444word; last\n"
        for pieces in ([said], [bytes([byte]) for byte in said]):
            dialogue, peer = connect(script)
            for piece in pieces:
                peer.write(piece)
            self.assertEqual(dialogue.outcome, (b"line", b"4444", b"word", b"last"))

    def test_anotherFramingMeanwhile(self) -> None:
        """What is sent while bytes are awaited is framed as ever; a new framing is kept."""
        dialogue, peer = connect(lambda dialogue: dialogue.receiveExactly(4))
        dialogue.send(b"news")
        self.assertEqual(peer.value(), b"news\n")
        dialogue.framing = kept = CRLF()
        peer.write(b"4444rest")
        self.assertEqual(dialogue.outcome, b"4444")
        self.assertIs(dialogue.framing, kept)
        self.assertEqual(kept.unread(), b"rest")

    def test_anotherFraming(self) -> None:
        """It goes on with the bytes that were received."""

        async def script(dialogue: Dialogue) -> Any:
            first = await dialogue.receive()
            rest = dialogue.framing.unread()
            dialogue.framing = CRLF()
            dialogue.framing.feed(rest)
            return first, await dialogue.receive()

        dialogue, peer = connect(script)
        peer.write(b"one\ntwo\nthree\r\n")
        self.assertEqual(dialogue.outcome, (b"one", b"two\nthree"))

    def test_sleep(self) -> None:
        """sleep() takes its time from the connection's clock."""
        _, peer = connect(lambda dialogue: dialogue.sleep(5))
        peer.clock.advance(4)
        self.assertFalse(peer.ended)
        peer.clock.advance(1)
        self.assertTrue(peer.ended)

    def test_mistakes(self) -> None:
        """Two receives at once are refused; no converse() and a plain function are logged."""

        class Plain(Dialogue):
            def converse(self) -> None:  # type: ignore[override]
                self.send(b"x")

        dialogue, _ = connect()
        self.failureResultOf(Deferred.fromCoroutine(dialogue.receive()), RuntimeError)
        for kind in (Dialogue, Plain):
            self.assertTrue(connected(kind()).wasReset)
            self.assertEqual(len(self.flushLoggedErrors()), 1)


class OverTests(SynchronousTestCase):
    """How a dialogue ends early."""

    def assertOver(self, dialogue: Any, peer: Peer, error: type[DialogueOver]) -> None:
        self.assertIs(dialogue.outcome, error)
        self.assertTrue(peer.ended)
        peer.finish()
        self.assertFalse(peer.wasReset)
        self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_family(self) -> None:
        """Each reason is a DialogueOver, and no kind of another."""
        kinds = (Draining, PeerFinished, PeerSilent)
        for kind in kinds:
            self.assertTrue(issubclass(kind, DialogueOver))
            self.assertEqual([each for each in kinds if issubclass(kind, each)], [kind])
        self.assertEqual(DialogueOver.__mro__[1], Exception)

    def test_early(self) -> None:
        """FIN, also in a counted message; silence, to which half a message does not put an end."""
        for script, said, end, error in (
            (Dialogue.receive, b"", Peer.finish, PeerFinished),
            (lambda dialogue: dialogue.receiveExactly(4), b"abc", Peer.finish, PeerFinished),
            (lambda dialogue: dialogue.receive(timeout=3), b"half", silence, PeerSilent),
            (Dialogue.receive, b"", lambda peer: peer.listener.drain(), Draining),
        ):
            dialogue, peer = connect(script)
            peer.write(said)
            end(peer)
            self.assertOver(dialogue, peer, error)

    def test_timeoutGivesBackWhatCame(self) -> None:
        """After a timeout the bytes that were received are still there."""

        async def script(dialogue: Dialogue) -> Any:
            try:
                await dialogue.receiveExactly(10, timeout=1)
            except PeerSilent:
                return await dialogue.receive()

        dialogue, peer = connect(script)
        peer.write(b"half")
        peer.clock.advance(1)
        peer.write(b" a line\n")
        self.assertEqual(dialogue.outcome, b"half a line")

    def test_drainingLater(self) -> None:
        """A dialogue that is not receiving is delivered what was received first."""

        async def busy(dialogue: Dialogue) -> Any:
            await dialogue.sleep(5)
            dialogue.send(await dialogue.receive())
            return await dialogue.receive()

        dialogue, peer = connect(busy)
        peer.write(b"in hand\n")
        peer.listener.drain()
        peer.clock.advance(5)
        self.assertEqual(peer.value(), b"in hand\n")
        self.assertOver(dialogue, peer, Draining)

    def test_otherException(self) -> None:
        """Any other exception is logged once and aborts."""

        async def script(dialogue: Dialogue) -> None:
            await dialogue.receive()
            raise ZeroDivisionError

        _, peer = connect(script)
        peer.write(b"x\n")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(ending(peer), ("reset", "error"))

    def test_invalidInput(self) -> None:
        """Input that is no message closes gracefully, without a traceback."""

        class Nets(Scripted):
            framing = Netstrings  # type: ignore[assignment]

        for said in (b"nonsense", b"5:ab"):
            peer = connected(Nets(Dialogue.receive))
            peer.finish(said)
            self.assertEqual(ending(peer), ("fin", "error"))

    def test_limit(self) -> None:
        """receiveUntil gives up after ``limit`` bytes without a delimiter."""
        dialogue, peer = connect(lambda dialogue: dialogue.receiveUntil(b"\n", limit=10))
        peer.write(b"x" * 20)
        self.assertTrue(issubclass(dialogue.outcome, MessageTooLong))

    def test_reset(self) -> None:
        """A reset cancels the coroutine, whatever it awaits; nothing is logged."""

        async def stubborn(dialogue: Dialogue) -> Any:
            try:
                await dialogue.receive()
            except CancelledError:
                return await dialogue.receive()  # is cancelled at once

        for script in (
            lambda dialogue: dialogue.receive(timeout=60),
            lambda dialogue: dialogue.sleep(3600),
            stubborn,
        ):
            dialogue, peer = connect(script)
            peer.reset()
            self.assertIs(dialogue.outcome, CancelledError)
            self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_hangUpInside(self) -> None:
        """A coroutine that waits after hangUp() is cancelled at the end."""

        async def script(dialogue: Dialogue) -> None:
            dialogue.send(b"bye")
            dialogue.hangUp()
            await dialogue.receive()

        dialogue, peer = connect(script)
        self.assertEqual((peer.value(), peer.ended), (b"bye\n", True))
        peer.finish()
        self.assertFalse(peer.connected)
        self.assertIs(dialogue.outcome, CancelledError)


class BoundedTests(SynchronousTestCase):
    """A peer that sends faster than the coroutine receives has to wait."""

    def test_notAwaited(self) -> None:
        """While nothing is awaited nothing is read; then all is received, FIN last."""

        async def script(dialogue: Dialogue) -> Any:
            await dialogue.sleep(3600)
            return [len(message) async for message in dialogue.messages()]

        dialogue, peer = connect(script)
        for _ in range(2001):
            peer.write(b"x" * 999 + b"\n")
        peer.finish()
        self.assertLessEqual(peer.transport.received, 2 * 65536)
        peer.clock.advance(3600)
        self.assertEqual(dialogue.outcome, [999] * 2001)

    def test_answersDoNotPileUp(self) -> None:
        """While the peer does not read its answers no more messages are received."""

        async def script(dialogue: Any) -> None:
            dialogue.received = 0
            async for message in dialogue.messages():
                dialogue.received += 1
                dialogue.write(message * 10_000)

        dialogue, peer = connect(script)
        peer.reading = False
        peer.write(b"a\n" * 20_000)
        self.assertLess(dialogue.received, 30)
        peer.readLimit = 2**30
        peer.resume()
        peer.finish()
        self.assertEqual(len(peer.value()), 20_000 * 10_000)


class FirstMistakeTests(SynchronousTestCase):
    def test_logged(self) -> None:
        """A converse() without async, a receive() without await: what to write."""

        class Plain(Dialogue):
            def converse(self) -> None:  # type: ignore[override]
                self.send(b"hi")

        class Forgetful(Dialogue):
            async def converse(self) -> None:
                self.waiting = self.receive()
                self.send(self.waiting)  # type: ignore[arg-type]

        for kind, says in (
            (Plain, "Plain.converse is no coroutine: write async def"),
            (Forgetful, "send() takes bytes, not coroutine: write await before it"),
        ):
            peer = connected(kind)
            self.assertTrue(peer.wasReset)
            self.assertEqual([str(e.value) for e in self.flushLoggedErrors(TypeError)], [says])
            if kind is Forgetful:
                peer.protocol.waiting.close()


class ResultTests(SynchronousTestCase):
    """result() fires when converse() is over, whenFinished() when nothing can be lost any more."""

    def test_returned(self) -> None:
        """Each fires at its time, and at once after that."""
        dialogue, peer = connect()
        result, finished = dialogue.result(), dialogue.whenFinished()
        for cancelled in (dialogue.result(), dialogue.whenFinished()):
            cancelled.cancel()
            self.failureResultOf(cancelled, CancelledError)
        self.assertNoResult(result)
        peer.write(b"result\n")
        self.assertEqual(self.successResultOf(result), b"result")
        self.assertEqual(self.successResultOf(dialogue.result()), b"result")
        self.assertNoResult(finished)
        peer.finish()
        self.assertEqual(self.successResultOf(finished), b"result")
        self.assertEqual(self.successResultOf(dialogue.whenFinished()), b"result")

    def test_failure(self) -> None:
        """Both fail with a DialogueOver or the reason of the loss; unused, nothing is logged."""
        for end, error in ((Peer.finish, PeerFinished), (Peer.reset, ConnectionLost)):
            dialogue, peer = connect()
            waiting = dialogue.result(), dialogue.whenFinished()
            end(peer)
            for each in (*waiting, dialogue.result()):
                self.failureResultOf(each, error)
            end(connect()[1])

    def test_lost(self) -> None:
        """What converse() returns or raises once the connection is lost does not count."""

        async def stubborn(dialogue: Any) -> Any:
            try:
                return await dialogue.receive()
            except CancelledError:
                return "too late"

        dialogue, peer = connect(stubborn)
        result = dialogue.result()
        peer.reset()
        self.failureResultOf(result, ConnectionLost)
        self.assertEqual(dialogue.outcome, "too late")
        self.failureResultOf(dialogue.whenFinished(), ConnectionLost)
