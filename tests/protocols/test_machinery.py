"""Tests for `tcplab.protocols.machinery`."""

from __future__ import annotations

from twisted.internet.protocol import Factory
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.conversation import Conversation
from tcplab.protocols.dialogue import Dialogue
from tcplab.protocols.echo import Echo
from tcplab.protocols.factory import ConversationFactory
from tcplab.testing import connected
from tcplab.wire.framing import FramingError, Lines, Netstrings
from tests.protocols.conversations import Keep, KeepLines, Shout


class DefinitionTests(SynchronousTestCase):
    """What is said when a class is made."""

    def test_coroutineHook(self) -> None:
        """A hook that is a coroutine would never run: that is said when the class is made."""
        with self.assertRaises(TypeError) as caught:

            class Wrong(Conversation):
                async def messageReceived(self, message: bytes) -> None:  # type: ignore[override]
                    pass

        self.assertIn("use Dialogue", str(caught.exception))
        self.assertIn("Wrong.messageReceived", str(caught.exception))


class FailureTests(SynchronousTestCase):
    """An exception in a hook is logged once and ends that connection only."""

    def check(self, conversation: Conversation, *said: bytes, finish: bool = False) -> None:
        peer = connected(conversation)
        for piece in said:
            peer.write(piece)
        if finish:
            peer.finish()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertFalse(peer.connected)
        assert peer.ending is not None
        self.assertEqual((peer.ending.how, peer.ending.why), ("reset", "error"))
        self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_connectionMade(self) -> None:
        class Bad(Conversation):
            def connectionMade(self) -> None:
                raise ZeroDivisionError

        self.check(Bad())

    def test_messageReceived(self) -> None:
        class Bad(Conversation):
            framing = Lines

            def messageReceived(self, message: bytes) -> None:
                raise ZeroDivisionError

        self.check(Bad(), b"one\ntwo\nthree\n")

    def test_readConnectionLost(self) -> None:
        class Bad(Conversation):
            def readConnectionLost(self) -> None:
                raise ZeroDivisionError

        self.check(Bad(), finish=True)

    def test_connectionLost(self) -> None:
        """In connectionLost it is logged, and nothing stays behind."""

        class Bad(Conversation):
            def connectionLost(self, reason: Failure | None = None) -> None:
                raise ZeroDivisionError

        peer = connected(Bad())
        peer.finish()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertFalse(peer.connected)
        self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_answerThatCannotBeFramed(self) -> None:
        """It is the hook's failure, told with its traceback; the peer has said nothing wrong."""

        class TwoLines(Conversation):
            framing = Lines

            def messageReceived(self, message: bytes) -> None:
                self.send(b"one\ntwo")

        class Asks(Dialogue):
            framing = Lines

            async def converse(self) -> None:
                await self.receive()
                self.send(b"one\ntwo")

        for kind, said, finish in (
            (TwoLines, b"hello\nand more\n", False),
            (TwoLines, b"the last line", True),
            (Asks, b"hello\n", False),
        ):
            peer = connected(kind())
            peer.write(said)
            if finish:
                peer.finish()
            self.assertEqual(len(self.flushLoggedErrors(FramingError)), 1)
            assert peer.ending is not None
            self.assertEqual((peer.ending.how, peer.ending.why), ("reset", "error"))

    def test_badInput(self) -> None:
        """Input that cannot be understood ends politely, without a traceback."""

        class Nets(Keep):
            framing = Netstrings

        keep = Nets()
        peer = connected(keep)
        peer.write(b"3:abc,nonsense")
        self.assertEqual(keep.told, ["made", b"abc"])
        self.assertTrue(peer.ended)
        peer.finish()
        assert peer.ending is not None
        self.assertEqual((peer.ending.how, peer.ending.why), ("fin", "error"))

    def test_cutShort(self) -> None:
        """A netstring cut short is an error, not a message."""

        class Nets(Keep):
            framing = Netstrings

        keep = Nets()
        peer = connected(keep)
        peer.finish(b"5:ab")
        self.assertEqual(keep.told, ["made", "lost"])
        assert peer.ending is not None
        self.assertEqual(peer.ending.why, "error")

    def test_lineTooLong(self) -> None:
        """A line without end is refused before it fills the memory."""
        keep = KeepLines()
        peer = connected(keep)
        for _ in range(3):
            peer.write(b"x" * 65536)
        self.assertEqual(keep.told, ["made"])
        self.assertTrue(peer.ended)


class StraightTests(SynchronousTestCase):
    """Bytes go straight through only as long as nothing else is asked for."""

    def test_anotherFraming(self) -> None:
        """Who takes another framing in the middle speaks and hears in it from then on."""

        class Turning(Keep):
            def messageReceived(self, message: bytes) -> None:
                super().messageReceived(message)
                self.send(message.upper())
                self.framing = Lines()

        peer = connected(Turning())
        peer.write(b"raw")
        peer.write(b"one\ntw")
        self.assertEqual(peer.protocol.told, ["made", b"raw", b"one"])
        self.assertEqual(peer.value(), b"RAWONE\n")

    def test_congested(self) -> None:
        """What comes while answers wait keeps its order, and goes straight again afterwards."""
        peer = connected(Echo())
        peer.window, peer.reading = 10, False
        for number in range(100):
            peer.write(b"%04d" % number * 1000)
        self.assertIsNone(peer.protocol._straight)
        peer.resume()
        expected = b"".join(b"%04d" % number * 1000 for number in range(100))
        self.assertEqual(peer.value(), expected)
        self.assertIs(peer.protocol._straight, peer.protocol.framing)

    def test_attention(self) -> None:
        """Whoever pays attention is asked, until he does so no more."""
        peer = connected(Echo())
        answers = [False, True]
        peer.protocol.heed(answers.pop)
        peer.write(b"yes")
        peer.write(b"no")
        peer.protocol.heed(None)
        peer.write(b"again")
        self.assertEqual((peer.value(), answers), (b"yesagain", []))


class AloneTests(SynchronousTestCase):
    """A Conversation needs neither our factory nor our transport."""

    def test_forProtocol(self) -> None:
        """Twisted's plain factory builds a working one."""
        peer = connected(Factory.forProtocol(Shout))
        peer.finish(b"hi\n")
        self.assertEqual(peer.value(), b"say something\nHI\n")
        self.assertFalse(peer.connected)

    def test_stringTransport(self) -> None:
        """Twisted's own transport for tests serves too."""
        transport = StringTransport()
        shout = Shout()
        shout.makeConnection(transport)
        shout.dataReceived(b"hi\n")
        self.assertEqual(transport.value(), b"say something\nHI\n")
        shout.readConnectionLost()
        self.assertTrue(transport.disconnecting)

    def test_insideWrapper(self) -> None:
        """Inside a wrapper of Twisted's policies it ends politely too."""

        class Quiet(WrappingFactory):
            noisy = False

        peer = connected(Quiet(ConversationFactory(Shout)))
        peer.write(b"hi\n")
        self.assertEqual(peer.value(), b"say something\nHI\n")
        peer.protocol.wrappedProtocol.hangUp()
        self.assertTrue(peer.ended)
        peer.finish()
        self.assertFalse(peer.connected)
        self.assertFalse(peer.wasReset)
