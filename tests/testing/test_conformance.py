"""Tests for `tcplab.testing.conformance`: a kit that cannot fail is worth nothing."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.wire import Discard as StockDiscard
from twisted.protocols.wire import Echo as StockEcho
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tcplab.protocols.conversation import Conversation
from tcplab.protocols.dialogue import Dialogue
from tcplab.protocols.echo import Echo, LabConversation
from tcplab.protocols.factory import ConversationFactory
from tcplab.protocols.greeting import Ack
from tcplab.reactor.stack import reactorOf
from tcplab.testing import checkBehaviour
from tcplab.wire.framing import Lines

SAY = b"hello\n"


class KitTests(SynchronousTestCase):
    """What all the tests of the kit do."""

    def assertFails(
        self, check: str, factory: Any, say: bytes = SAY, expect: Any = SAY, reason: str = ""
    ) -> None:
        """Check that the kit fails, at this check, and says so."""
        error = self.assertRaises(self.failureException, checkBehaviour, self, factory, say, expect)
        self.assertIn(f"{check}: {reason}", str(error))


# Good manners


@implementer(IHalfCloseableProtocol)
class PoliteProtocol(Protocol):
    """A plain protocol can have good manners too; it takes more words."""

    ending = False

    def connectionMade(self) -> None:
        self.transport.registerProducer(self.transport, True)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        if not self.ending:
            self.transport.write(data)  # type: ignore[union-attr]

    def readConnectionLost(self) -> None:
        self.transport.unregisterProducer()  # type: ignore[union-attr]
        self.transport.loseConnection()  # type: ignore[union-attr]

    def writeConnectionLost(self) -> None: ...

    def connectionDraining(self) -> None:
        self.ending = True
        self.transport.unregisterProducer()  # type: ignore[union-attr]
        self.transport.loseWriteConnection()  # type: ignore[union-attr]
        clock = reactorOf(self.transport)
        self.timer = clock.callLater(2, self.transport.abortConnection)  # type: ignore[union-attr]

    def connectionLost(self, reason: Any = None) -> None:
        if self.ending and self.timer.active():
            self.timer.cancel()


class Shout(Conversation):
    framing = Lines

    def messageReceived(self, message: bytes) -> None:
        self.send(message.upper())


class TakesItsTime(Dialogue):
    """Answer when the peer has finished, and think about it first."""

    framing = Lines

    async def converse(self) -> None:
        said = [message async for message in self.messages()]
        await self.sleep(7)
        self.send(b"%d lines" % len(said))


class GoodMannersTests(KitTests):
    """The kit has nothing to say against behaviours that keep them."""

    def test_conversations(self) -> None:
        """Ours: what ends by itself, what goes on, what is framed."""
        checkBehaviour(self, ConversationFactory(Echo), SAY, SAY)
        checkBehaviour(self, ConversationFactory(Ack), SAY, b"You are connected!")
        checkBehaviour(self, ConversationFactory(LabConversation), SAY, b"You are connected!" + SAY)
        checkBehaviour(self, ConversationFactory(Shout), b"one\ntwo", b"ONE\nTWO\n")
        checkBehaviour(self, ConversationFactory(Conversation), SAY, b"")

    def test_plainProtocols(self) -> None:
        """They need more words for it, but they can."""
        checkBehaviour(self, Factory.forProtocol(PoliteProtocol), SAY, SAY)
        checkBehaviour(self, Factory.forProtocol(PoliteProtocol), SAY * 10_000, SAY * 10_000)

    def test_classes(self) -> None:
        """A class will do for a factory."""
        checkBehaviour(self, Shout, b"one\ntwo", b"ONE\nTWO\n")

    def test_expectationsThatAreFunctions(self) -> None:
        """Where the answer is not always the same, a function tells whether it is right."""
        checkBehaviour(self, Shout, SAY, lambda answer: answer.startswith(b"HELL"))

    def test_slowThinkers(self) -> None:
        """Who answers late is not impolite."""
        checkBehaviour(self, TakesItsTime, b"one\ntwo\nthree", b"3 lines\n")

    def test_manyBytes(self) -> None:
        """More than what waits before a conversation stops reading."""
        data = bytes(range(256)) * 1_000
        checkBehaviour(self, ConversationFactory(Echo), data, data)

    def test_nothingSaid(self) -> None:
        """A peer that finishes without a word."""
        checkBehaviour(self, ConversationFactory(LabConversation), b"", b"You are connected!")


# Bad manners


class Drops(Conversation):
    """Drop what it has not said yet as soon as the peer finishes."""

    waiting: Any = None

    def messageReceived(self, message: bytes) -> None:
        if self.waiting is None:
            self.waiting = reactorOf(self.transport).callLater(1, self.say)
            self.said = b""
        self.said += message

    def say(self) -> None:
        self.waiting = None
        self.write(self.said)

    def readConnectionLost(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
        self.hangUp()

    def connectionLost(self, reason: Failure | None = None) -> None:
        if self.waiting is not None and self.waiting.active():
            self.waiting.cancel()


class Multiplies(Protocol):
    """A plain protocol with much to say."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data * 1_000_000)  # type: ignore[union-attr]


class OnlyWhileWritable(Echo):
    """Say nothing to a peer that is slow."""

    def messageReceived(self, message: bytes) -> None:
        for i in range(len(message)):
            if self.writable:
                self.write(message[i : i + 1])


class ChunksAreMessages(Conversation):
    """Take what one read gave for a message, as everybody does at first."""

    def messageReceived(self, message: bytes) -> None:
        self.write(b"%d" % len(message))


class TalksTooMuch(Echo):
    """Say one word more at the end."""

    def readConnectionLost(self) -> None:
        self.write(b"bye")
        self.hangUp()


class NeverEnds(Echo):
    """Go on when the peer has finished."""

    def readConnectionLost(self) -> None: ...


class HalfEnds(Echo):
    """Finish, and keep the connection."""

    def readConnectionLost(self) -> None:
        self.transport.loseWriteConnection()


class WaitsForEver(Ack):
    """Wait for the peer's end as long as it takes."""

    lingerTimeout = 10_000_000


class Deaf(Echo):
    """Not know what draining is."""

    def connectionDraining(self) -> None: ...


class AbortsWhenDrained(Echo):
    """End at once when told to drain."""

    def connectionDraining(self) -> None:
        self.abort()


class WaitsForEverWhenDrained(Echo):
    """Finish when told to drain, and wait for the peer as long as it takes."""

    def connectionDraining(self) -> None:
        self.lingerTimeout = 10_000_000
        self.hangUp()


class LeavesATimer(Echo):
    """Plan something, and forget that it has."""

    def connectionMade(self) -> None:
        reactorOf(self.transport).callLater(3600, self.connectionMade)


class LeavesATimerAtAReset(Echo):
    """Clean up at an orderly end only."""

    def connectionMade(self) -> None:
        self.timer = reactorOf(self.transport).callLater(3600, self.abort)

    def readConnectionLost(self) -> None:
        self.timer.cancel()
        self.hangUp()


class Resets(Echo):
    """Abort where others hang up."""

    def readConnectionLost(self) -> None:
        self.abort()


class HangsUpInTheFace(Protocol):
    """Close after the first word, as the stock examples do."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"bye")  # type: ignore[union-attr]
        self.transport.loseConnection()  # type: ignore[union-attr]


class Raises(Echo):
    def messageReceived(self, message: bytes) -> None:
        raise RuntimeError("a bug of the subclass")


class RaisesAtTheEnd(Echo):
    def readConnectionLost(self) -> None:
        raise RuntimeError("a bug of the subclass")


class KeepsItsProducer(Echo):
    """Register a producer that never finishes, so that nothing else does."""

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def stopProducing(self) -> None: ...


class Hangs(Dialogue):
    """Await something that never happens, when it should say something."""

    async def converse(self) -> None:
        self.write(await self.receive())
        await Deferred()


class AnswersWithLess(Echo):
    """Lose the last byte."""

    def messageReceived(self, message: bytes) -> None:
        self.write(message[:-1])


class BadMannersTests(KitTests):
    """Each lapse is found, by the check whose name says which."""

    def test_stockEcho(self) -> None:
        """Twisted's own echo loses what a slow reader has not read when it finishes."""
        self.assertFails("slowReader", Factory.forProtocol(StockEcho))

    def test_muchToSay(self) -> None:
        """More than the kernel takes at once is lost even to a fast one whose end comes early."""
        factory = Factory.forProtocol(Multiplies)
        self.assertFails("halfClosed", factory, b"x", b"x" * 1_000_000, "the peer was told")

    def test_longAnswersAreCut(self) -> None:
        """What is said of a long answer can be read."""
        data = b"x" * 100_000
        error = self.assertRaises(
            self.failureException, checkBehaviour, self, AnswersWithLess, data, data
        )
        self.assertLess(len(str(error)), 1_000)
        self.assertIn("... (100000 bytes)", str(error))

    def test_anotherStockProtocol(self) -> None:
        """One that says nothing has nothing to lose, and closes when it is told to."""
        checkBehaviour(self, Factory.forProtocol(StockDiscard), SAY, b"")

    def test_wrongAnswer(self) -> None:
        """The answer is compared, to its last byte."""
        self.assertFails("whole", AnswersWithLess, reason="the peer was told b'hello', not")
        self.assertFails("whole", TalksTooMuch, reason=r"the peer was told b'hello\nbye', not")
        self.assertFails("whole", Echo, expect=lambda answer: False)

    def test_losesAnAnswerAtTheHalfClose(self) -> None:
        """What is owed when the peer finishes has to be paid."""
        self.assertFails("whole", Drops, reason="the peer was told b''")

    def test_losesWhatASlowReaderIsTold(self) -> None:
        """A peer that is slow is told as much as any other."""
        data = b"x" * 100_000
        self.assertFails("slowReader", OnlyWhileWritable, data, data)

    def test_takesChunksForMessages(self) -> None:
        """In small pieces the same is said."""
        self.assertFails("bytewise", ChunksAreMessages, b"hello", b"5")

    def test_neverEnds(self) -> None:
        """The peer's end has to be answered."""
        self.assertFails("whole", NeverEnds, reason="the peer was not told the end")
        self.assertFails("whole", Hangs, reason="the peer was not told the end")
        self.assertFails("whole", HalfEnds, reason="the connection is still there")

    def test_waitsForEver(self) -> None:
        """Nobody may be waited for for ever."""
        self.assertFails(
            "silentPeer",
            WaitsForEver,
            expect=b"You are connected!",
            reason="the connection is still there",
        )

    def test_neverEndsAfterADrain(self) -> None:
        """Told to drain, it has to end."""
        self.assertFails("drained", Deaf, reason="it goes on")

    def test_abortsWhenDrained(self) -> None:
        """Not by breaking off in the middle of a word."""
        self.assertFails("drained", AbortsWhenDrained, reason="the connection was reset")

    def test_waitsForEverWhenDrained(self) -> None:
        """And not only if the peer is so kind."""
        self.assertFails(
            "drainedAndSilent", WaitsForEverWhenDrained, reason="the connection is still there"
        )

    def test_leavesATimer(self) -> None:
        """Nothing may stay behind."""
        self.assertFails("whole", LeavesATimer, reason="timers stay behind")

    def test_leavesATimerAtAReset(self) -> None:
        """Not after a reset either."""
        self.assertFails("reset", LeavesATimerAtAReset, reason="timers stay behind")

    def test_resets(self) -> None:
        """The end has to be an orderly one."""
        self.assertFails("whole", Resets, reason="the connection was reset")

    def test_hangsUpInTheFace(self) -> None:
        """To close while the peer still speaks is a reset as well."""
        factory = Factory.forProtocol(HangsUpInTheFace)
        self.assertFails("bytewise", factory, SAY, b"bye", "the connection was reset")
        self.assertFails("whole", factory, SAY * 10_000, b"bye", "the connection was reset")

    def test_raises(self) -> None:
        """A bug is no manners."""
        self.assertFails("whole", Raises)
        self.assertFails("whole", RaisesAtTheEnd, reason="the connection was reset")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)

    def test_loseConnectionIsWithoutEffect(self) -> None:
        """Twisted's own word for the end has to end it."""
        self.assertFails("lost", KeepsItsProducer, reason="loseConnection() did not end it")
