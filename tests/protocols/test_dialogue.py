"""Tests for `tcplab.protocols.dialogue`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.dialogue import Dialogue, DialogueOver, Draining, PeerFinished, PeerSilent
from tcplab.testing import Peer, checkBehaviour, connected
from tcplab.wire.framing import CRLF, Lines, MessageTooLong
from tcplab.wire.lengthprefix import Netstrings


class FamilyTests(SynchronousTestCase):
    """One name catches them all, and nothing else."""

    def test_family(self) -> None:
        """Each is a DialogueOver, and no kind of another."""
        kinds = (Draining, PeerFinished, PeerSilent)
        for kind in kinds:
            self.assertTrue(issubclass(kind, DialogueOver))
            self.assertEqual([each for each in kinds if issubclass(kind, each)], [kind])
        self.assertEqual(DialogueOver.__mro__[1], Exception)


class Recipe(Dialogue):
    framing = Lines

    async def converse(self) -> None:
        self.send(b"What is your name?")
        name = await self.receive(timeout=10)
        self.send(b"Hello, " + name + b"!")


class Keep(Dialogue):
    """Do as the test says, and keep how it ended."""

    framing = Lines
    outcome: Any = None

    async def converse(self) -> Any:
        try:
            self.outcome = await self.say()
        except BaseException as e:
            self.outcome = type(e)
            raise
        return self.outcome

    async def say(self) -> Any:
        return await self.receive()


class TopToBottomTests(SynchronousTestCase):
    """A dialogue reads as it runs."""

    def test_recipe(self) -> None:
        """Send, receive, send; returning hangs up politely."""
        peer = connected(Recipe())
        self.assertEqual(peer.value(), b"What is your name?\n")
        peer.write(b"An")
        peer.write(b"n\n")
        self.assertEqual(peer.value(), b"What is your name?\nHello, Ann!\n")
        self.assertTrue(peer.ended)
        peer.finish()
        self.assertFalse(peer.wasReset)
        self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_manners(self) -> None:
        """The conformance kit finds nothing."""
        checkBehaviour(self, Recipe, b"Ann\n", b"What is your name?\nHello, Ann!\n")

    def test_manyMessages(self) -> None:
        """async for gives every message, the last line without newline too."""

        class Count(Dialogue):
            framing = Lines

            async def converse(self) -> None:
                number = 0
                async for message in self.messages():
                    number += len(message)
                self.send(b"%d" % number)

        peer = connected(Count())
        peer.finish(b"one\ntwo\nthree")
        self.assertEqual((peer.value(), peer.connected), (b"11\n", False))

    def test_bytes(self) -> None:
        """receiveExactly and receiveUntil take bytes past any framing, and give the rest back."""

        class Mixed(Keep):
            async def say(self) -> Any:
                line = await self.receive()
                four = await self.receiveExactly(4)
                word = await self.receiveUntil(b"; ")
                return line, four, word, await self.receive()

        for chunks in (
            [b"line\n4444word; last\n"],
            [bytes([b]) for b in b"line\n4444word; last\n"],
        ):
            mixed = Mixed()
            peer = connected(mixed)
            for chunk in chunks:
                peer.write(chunk)
            self.assertEqual(mixed.outcome, (b"line", b"4444", b"word", b"last"))

    def test_sendsMeanwhileAreFramed(self) -> None:
        """While raw bytes are awaited, what is sent keeps its framing."""

        class Raw(Keep):
            async def say(self) -> Any:
                return await self.receiveExactly(4)

        raw = Raw()
        peer = connected(raw)
        raw.send(b"news")
        self.assertEqual(peer.value(), b"news\n")

    def test_sleep(self) -> None:
        """sleep() takes the connection's time."""

        class Late(Keep):
            async def say(self) -> Any:
                await self.sleep(5)
                self.send(b"late")

        peer = connected(Late())
        peer.clock.advance(4)
        self.assertEqual(peer.value(), b"")
        peer.clock.advance(1)
        self.assertEqual(peer.value(), b"late\n")

    def test_oneAtATime(self) -> None:
        """Two receives at once are a mistake, and said to be."""
        keep = Keep()
        connected(keep)
        self.failureResultOf(Deferred.fromCoroutine(keep.receive()), RuntimeError)

    def test_noConverse(self) -> None:
        """A dialogue without converse() is a mistake, logged once."""
        peer = connected(Dialogue())
        self.assertFalse(peer.connected)
        self.assertEqual(len(self.flushLoggedErrors(NotImplementedError)), 1)


class OverTests(SynchronousTestCase):
    """How a dialogue ends before its end."""

    def over(self, keep: Keep, peer: Peer, error: type[DialogueOver]) -> None:
        self.assertTrue(peer.ended)
        self.assertIs(keep.outcome, error)
        peer.finish()
        self.assertFalse(peer.wasReset)
        self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_peerFinished(self) -> None:
        """A peer that finishes while it is awaited ends it politely."""
        keep = Keep()
        peer = connected(keep)
        peer.finish()
        self.over(keep, peer, PeerFinished)

    def test_finishedInTheMiddle(self) -> None:
        """So does one that finishes in the middle of a counted message."""

        class Exact(Keep):
            async def say(self) -> Any:
                return await self.receiveExactly(4)

        keep = Exact()
        peer = connected(keep)
        peer.finish(b"abc")
        self.over(keep, peer, PeerFinished)

    def test_finishedLongAgo(self) -> None:
        """Messages that came before the end are received first."""

        class Late(Keep):
            async def say(self) -> Any:
                await self.sleep(5)
                return [message async for message in self.messages()]

        keep = Late()
        peer = connected(keep)
        peer.finish(b"one\ntwo\n")
        peer.clock.advance(5)
        self.assertEqual(keep.outcome, [b"one", b"two"])

    def test_silent(self) -> None:
        """A peer that says nothing in time is hung up on."""

        class Impatient(Keep):
            async def say(self) -> Any:
                return await self.receive(timeout=3)

        keep = Impatient()
        peer = connected(keep)
        peer.write(b"not a whole line")
        peer.clock.advance(3)
        self.over(keep, peer, PeerSilent)

    def test_timeoutGivesBackWhatCame(self) -> None:
        """After a timeout the bytes that came are still there."""

        class Again(Keep):
            async def say(self) -> Any:
                try:
                    await self.receiveExactly(10, timeout=1)
                except PeerSilent:
                    return await self.receive()

        keep = Again()
        peer = connected(keep)
        peer.write(b"half")
        peer.clock.advance(1)
        peer.write(b" a line\n")
        self.assertEqual(keep.outcome, b"half a line")

    def test_draining(self) -> None:
        """A dialogue that waits for its peer ends when the server drains."""
        keep = Keep()
        peer = connected(keep)
        peer.listener.drain()
        self.over(keep, peer, Draining)

    def test_drainingLater(self) -> None:
        """One that is busy is told at its next receive, after the messages that are here."""

        class Busy(Keep):
            async def say(self) -> Any:
                await self.sleep(5)
                self.send(await self.receive())
                return await self.receive()

        keep = Busy()
        peer = connected(keep)
        peer.write(b"in hand\n")
        peer.listener.drain()
        peer.clock.advance(5)
        self.assertEqual(peer.value(), b"in hand\n")
        self.over(keep, peer, Draining)

    def test_otherException(self) -> None:
        """Any other exception is logged once and aborts."""

        class Bad(Keep):
            async def say(self) -> Any:
                await self.receive()
                raise ZeroDivisionError

        peer = connected(Bad())
        peer.write(b"x\n")
        self.assertTrue(peer.wasReset)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        assert peer.ending is not None
        self.assertEqual(peer.ending.why, "error")

    def test_nonsense(self) -> None:
        """Input that is no message ends it politely, with no traceback."""

        class Nets(Keep):
            framing = Netstrings

        peer = connected(Nets())
        peer.write(b"nonsense")
        self.assertTrue(peer.ended)
        peer.finish()
        assert peer.ending is not None
        self.assertEqual((peer.ending.how, peer.ending.why), ("fin", "error"))

    def test_limit(self) -> None:
        """receiveUntil does not wait for a delimiter for ever."""

        class Limited(Keep):
            async def say(self) -> Any:
                return await self.receiveUntil(b"\n", limit=10)

        keep = Limited()
        connected(keep).write(b"x" * 20)
        self.assertTrue(issubclass(keep.outcome, MessageTooLong))

    def test_reset(self) -> None:
        """A reset cancels the coroutine: its finally blocks run, and nothing is logged."""

        class Careful(Keep):
            released = False

            async def say(self) -> Any:
                try:
                    return await self.receive(timeout=60)
                finally:
                    self.released = True

        keep = Careful()
        peer = connected(keep)
        peer.reset()
        self.assertTrue(keep.released)
        self.assertIs(keep.outcome, CancelledError)
        self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_resetWhileAsleep(self) -> None:
        """It wakes one that sleeps or flushes, too."""

        class Asleep(Keep):
            async def say(self) -> Any:
                await self.sleep(3600)

        keep = Asleep()
        peer = connected(keep)
        peer.reset()
        self.assertIs(keep.outcome, CancelledError)
        self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_afterTheLossNothingComes(self) -> None:
        """One that will not be cancelled cannot wait for a peer that is gone."""

        class Stubborn(Keep):
            async def say(self) -> Any:
                try:
                    await self.receive()
                except CancelledError:
                    return await self.receive()

        keep = Stubborn()
        connected(keep).reset()
        self.assertIs(keep.outcome, CancelledError)

    def test_hangUpInside(self) -> None:
        """One that hangs up itself and goes on waiting is cancelled at the end."""

        class Leaving(Keep):
            async def say(self) -> Any:
                self.send(b"bye")
                self.hangUp()
                await self.receive()

        keep = Leaving()
        peer = connected(keep)
        self.assertEqual((peer.value(), peer.ended), (b"bye\n", True))
        peer.finish()
        self.assertFalse(peer.connected)
        self.assertIs(keep.outcome, CancelledError)


class BoundedTests(SynchronousTestCase):
    """A peer that sends faster than the coroutine reads waits."""

    def test_notAwaited(self) -> None:
        """While nothing is awaited nothing is read."""

        class Asleep(Keep):
            async def say(self) -> Any:
                await self.sleep(3600)
                return [len(message) async for message in self.messages()]

        keep = Asleep()
        peer = connected(keep)
        peer.write(b"x" * 999 + b"\n")
        for _ in range(2000):
            peer.write(b"x" * 999 + b"\n")
        self.assertLessEqual(peer.transport.received, 2 * 65536)
        peer.clock.advance(3600)
        peer.finish()
        self.assertEqual(keep.outcome, [999] * 2001)

    def test_answersDoNotPileUp(self) -> None:
        """While the peer does not read its answers no more questions are received."""

        class Tenfold(Keep):
            heard = 0

            async def say(self) -> Any:
                async for message in self.messages():
                    self.heard += 1
                    self.write(message * 10_000)

        keep = Tenfold()
        peer = connected(keep)
        peer.reading = False
        peer.write(b"a\n" * 20_000)
        self.assertLess(keep.heard, 30)
        peer.appetite = 2**30
        peer.resume()
        peer.finish()
        self.assertEqual(len(peer.value()), 20_000 * 10_000)


class WhenFinishedTests(SynchronousTestCase):
    """whenFinished() gives converse's result, when nothing can be lost any more."""

    def test_result(self) -> None:
        """It fires at the connection's end."""
        keep = Keep()
        peer = connected(keep)
        finished = keep.whenFinished()
        peer.write(b"result\n")
        self.assertNoResult(finished)
        peer.finish()
        self.assertEqual(self.successResultOf(finished), b"result")
        self.assertEqual(self.successResultOf(keep.whenFinished()), b"result")

    def test_over(self) -> None:
        """It fails with a DialogueOver."""
        keep = Keep()
        peer = connected(keep)
        finished = keep.whenFinished()
        peer.finish()
        self.failureResultOf(finished, PeerFinished)

    def test_lost(self) -> None:
        """It fails with the reason for which the connection was lost."""
        keep = Keep()
        peer = connected(keep)
        finished = keep.whenFinished()
        peer.reset()
        self.failureResultOf(finished, ConnectionLost)

    def test_nobodyAsks(self) -> None:
        """What nobody asked for is no unhandled error."""
        connected(Keep()).finish()


class FramingTests(SynchronousTestCase):
    """A dialogue takes any framing, and may change it."""

    def test_switch(self) -> None:
        """Another framing goes on with what has come."""

        class Switch(Keep):
            async def say(self) -> Any:
                first = await self.receive()
                rest = self.framing.unread()
                self.framing = CRLF()
                self.framing.feed(rest)
                return first, await self.receive()

        keep = Switch()
        connected(keep).write(b"one\ntwo\nthree\r\n")
        self.assertEqual(keep.outcome, (b"one", b"two\nthree"))


class DefinitionTests(SynchronousTestCase):
    """A dialogue that is none."""

    def test_plainFunction(self) -> None:
        """A converse that is no coroutine is a failure like another: logged once, aborted."""

        class Plain(Dialogue):
            def converse(self) -> None:  # type: ignore[override]
                self.send(b"x")

        peer = connected(Plain())
        self.assertTrue(peer.wasReset)
        self.assertEqual(len(self.flushLoggedErrors()), 1)
