"""Tests for `tcplab.testing.conformance`: the kit passes good behaviours, and finds each fault."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.wire import Discard as StockDiscard
from twisted.protocols.wire import Echo as StockEcho
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tcplab.protocols import Ack, Conversation, ConversationFactory, Dialogue, Echo, LabConversation
from tcplab.reactor.stack import reactorOf
from tcplab.testing import checkBehaviour
from tcplab.wire.framing import Lines

LINE = b"hello\n"


@implementer(IHalfCloseableProtocol)
class PoliteProtocol(Protocol):
    """A plain protocol that half-closes, drains and pauses."""

    transport: Any
    ending = False

    def connectionMade(self) -> None:
        self.transport.registerProducer(self.transport, True)

    def dataReceived(self, data: bytes) -> None:
        if not self.ending:
            self.transport.write(data)

    def readConnectionLost(self) -> None:
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None: ...

    def connectionDraining(self) -> None:
        self.ending = True
        self.transport.unregisterProducer()
        self.transport.loseWriteConnection()
        self.timer = reactorOf(self.transport).callLater(2, self.transport.abortConnection)

    def connectionLost(self, reason: Any = None) -> None:
        if self.ending and self.timer.active():
            self.timer.cancel()


class Shout(Conversation):
    framing = Lines

    def messageReceived(self, message: bytes) -> None:
        self.send(message.upper())


class LateAnswer(Dialogue):
    framing = Lines

    async def converse(self) -> None:
        lines = [message async for message in self.messages()]
        await self.sleep(7)
        self.send(b"%d lines" % len(lines))


# Each of these has one fault, and says which.


class LosesPending(Conversation):
    """Drops its late answer when the peer finishes."""

    timer: Any = None

    def messageReceived(self, message: bytes) -> None:
        self.timer = self.timer or reactorOf(self.transport).callLater(1, self.write, message)

    def readConnectionLost(self) -> None:
        self.hangUp()

    def connectionLost(self, reason: Any = None) -> None:
        if self.timer is not None and self.timer.active():
            self.timer.cancel()


class OnlyWhileWritable(Echo):
    """Drops what a slow peer has no room for."""

    def messageReceived(self, message: bytes) -> None:
        for i in range(len(message)):
            if self.writable:
                self.write(message[i : i + 1])


class OneWordMore(Echo):
    def readConnectionLost(self) -> None:
        self.write(b"bye")
        self.hangUp()


class LeavesTimer(Echo):
    def connectionMade(self) -> None:
        self.timer = reactorOf(self.transport).callLater(3600, self.abort)


class LeavesTimerAtReset(LeavesTimer):
    """Cleans up at an orderly end only."""

    def readConnectionLost(self) -> None:
        self.timer.cancel()
        self.hangUp()


class ClosesUnread(Protocol):
    """Closes after the first read, whatever else has arrived."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"bye")
        self.transport.loseConnection()


class Hangs(Dialogue):
    async def converse(self) -> None:
        self.write(await self.receive())
        await Deferred()


def faulty(kind: Any = Echo, **replaced: Any) -> Any:
    """Derive a behaviour with one fault: methods or settings of a good one are replaced."""
    return type("Faulty", (kind,), replaced)


def ignore(*args: object) -> None: ...


def fail(*args: object) -> None:
    raise RuntimeError("a bug of the subclass")


Multiplies = faulty(
    Protocol, dataReceived=lambda self, data: self.transport.write(data * 1_000_000)
)
SegmentsAreMessages = faulty(messageReceived=lambda self, message: self.write(b"%d" % len(message)))
LosesLastByte = faulty(messageReceived=lambda self, message: self.write(message[:-1]))
NeverEnds = faulty(readConnectionLost=ignore)
HalfEnds = faulty(readConnectionLost=lambda self: self.transport.loseWriteConnection())
Resets = faulty(readConnectionLost=lambda self: self.abort())
LingersForEver = faulty(Ack, lingerTimeout=10_000_000)
IgnoresDrain = faulty(connectionDraining=ignore)
AbortsOnDrain = faulty(connectionDraining=lambda self: self.abort())
LingersForEverOnDrain = faulty(
    connectionDraining=lambda self: self.hangUp(), lingerTimeout=10_000_000
)
Raises = faulty(messageReceived=fail)
RaisesAtTheEnd = faulty(readConnectionLost=fail)
#: Registers a producer that never finishes, so that the transport does not either.
KeepsProducer = faulty(
    connectionMade=lambda self: self.transport.registerProducer(self, True),
    pauseProducing=ignore,
    resumeProducing=ignore,
    stopProducing=ignore,
)


class KitTests(SynchronousTestCase):
    def test_good(self) -> None:
        """Conversations and plain protocols, a late answer, much data, none; a function expects."""
        much = bytes(range(256)) * 300
        polite = Factory.forProtocol(PoliteProtocol)
        for factory, send, expect in (
            (ConversationFactory(Echo), LINE, LINE),
            (ConversationFactory(Echo), much, much),
            (ConversationFactory(Ack), LINE, b"You are connected!"),
            (ConversationFactory(LabConversation), LINE, b"You are connected!" + LINE),
            (ConversationFactory(LabConversation), b"", b"You are connected!"),
            (ConversationFactory(Conversation), LINE, b""),
            (Shout, b"one\ntwo", b"ONE\nTWO\n"),
            (Shout, LINE, lambda answer: answer.startswith(b"HELL")),
            (LateAnswer, b"one\ntwo\nthree", b"3 lines\n"),
            (polite, LINE, LINE),
            (polite, LINE * 2_000, LINE * 2_000),
            (Factory.forProtocol(StockDiscard), LINE, b""),
        ):
            checkBehaviour(factory, send, expect)  # type: ignore[arg-type]

    def test_bad(self) -> None:
        """The check that fails is named, with its reason."""
        much = b"x" * 100_000
        stock, closes = Factory.forProtocol(StockEcho), Factory.forProtocol(ClosesUnread)
        told, end = "the peer received ", "the protocol did not finish"
        there, reset = "the connection is", "the connection was reset"
        behaviour: Any
        for check, reason, behaviour, send, expect in (
            ("whole", f"{told}b'hello', not", LosesLastByte, LINE, LINE),
            ("whole", rf"{told}b'hello\nbye', not", OneWordMore, LINE, LINE),
            ("whole", told, Echo, LINE, lambda answer: False),
            ("whole", f"{told}b''", LosesPending, LINE, LINE),
            ("whole", end, NeverEnds, LINE, LINE),
            ("whole", end, Hangs, LINE, LINE),
            ("whole", there, HalfEnds, LINE, LINE),
            ("whole", "timers stay behind", LeavesTimer, LINE, LINE),
            ("whole", reset, Resets, LINE, LINE),
            ("whole", reset, closes, LINE * 10_000, b"bye"),
            ("whole", told, Raises, LINE, LINE),
            ("whole", reset, RaisesAtTheEnd, LINE, LINE),
            ("bytewise", told, SegmentsAreMessages, b"hello", b"5"),
            ("bytewise", reset, closes, LINE, b"bye"),
            ("halfClosed", told, Factory.forProtocol(Multiplies), b"x", b"x" * 10**6),
            ("slowReader", told, stock, LINE, LINE),  # Twisted's own
            ("slowReader", told, OnlyWhileWritable, much, much),
            ("silentPeer", there, LingersForEver, LINE, b"You are connected!"),
            ("reset", "timers stay behind", LeavesTimerAtReset, LINE, LINE),
            ("drained", "the protocol did not finish, although", IgnoresDrain, LINE, LINE),
            ("drained", reset, AbortsOnDrain, LINE, LINE),
            ("drainedAndSilent", there, LingersForEverOnDrain, LINE, LINE),
            ("lost", "loseConnection() did not close", KeepsProducer, LINE, LINE),
        ):
            error = self.assertRaises(AssertionError, checkBehaviour, behaviour, send, expect)
            self.assertIn(f"{check}: {reason}", str(error))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)

    def test_mistakes(self) -> None:
        """The test case is deprecated; text and an instance are refused."""
        checkBehaviour(self, Echo, LINE, LINE)
        checkBehaviour(testCase=self, factory=Echo, send=LINE, expect=LINE)
        warnings = self.flushWarnings()
        self.assertEqual([each["category"] for each in warnings], [DeprecationWarning] * 2)
        self.assertIn("write checkBehaviour(factory, send, expect)", warnings[0]["message"])
        wrong: Any
        for wrong, says in (
            ((Echo, "hi", LINE), "checkBehaviour(): send takes bytes, not str: write .encode()"),
            ((Echo, LINE, "hi"), "checkBehaviour(): expect takes bytes, not str"),
            ((Echo(), LINE, LINE), "give the class Echo, not Echo()"),
        ):
            error = self.assertRaises(TypeError, checkBehaviour, *wrong)
            self.assertIn(says, str(error))

    def test_longAnswersAreCut(self) -> None:
        """The text of a failure shows the first bytes, and how many there are."""
        much = b"x" * 100_000
        error = self.assertRaises(AssertionError, checkBehaviour, LosesLastByte, much, much)
        self.assertLess(len(str(error)), 1_000)
        self.assertIn("... (100000 bytes)", str(error))
