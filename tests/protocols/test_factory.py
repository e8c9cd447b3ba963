"""Tests for `tcplab.protocols.factory`."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tcplab.protocols.conversation import Conversation
from tcplab.protocols.dialogue import Dialogue
from tcplab.protocols.echo import Echo
from tcplab.protocols.factory import ConversationFactory, settingsOf
from tcplab.testing import connected
from tcplab.wire.framing import CRLF, Lines, Stream

OWN = {"clock", "framing", "greeting", "lingerTimeout", "maxUnsent"}


class Shout(Conversation):
    """A conversation with settings of its own."""

    greeting = b"say something"
    framing = Lines
    suffix = b"!"
    words: ClassVar[list[bytes]] = [b"some"]
    _kept = 0

    def messageReceived(self, message: bytes) -> None:
        self._kept += 1
        self.send(message.upper() + self.suffix)

    def louder(self) -> None:
        """Be no setting."""

    @property
    def volume(self) -> int:
        """Be none either."""
        return self._kept

    @classmethod
    def loudest(cls) -> None:
        """Nor this."""

    @staticmethod
    def loud() -> None:
        """Nor this."""


class SettingsTests(SynchronousTestCase):
    """A conversation's settings are its public attributes that are no methods."""

    def test_ofEveryConversation(self) -> None:
        """The five that are documented, and nothing of the machinery or of Twisted's."""
        self.assertEqual(set(settingsOf(Conversation)), OWN)
        self.assertEqual(set(settingsOf(Echo)), OWN)

    def test_ofADialogue(self) -> None:
        """A dialogue has no others."""
        self.assertEqual(set(settingsOf(Dialogue)), OWN)

    def test_ofASubclass(self) -> None:
        """Its own are added; methods, properties and private attributes are none."""
        self.assertEqual(set(settingsOf(Shout)), OWN | {"suffix", "words"})

    def test_defaults(self) -> None:
        """They come with their defaults, the subclass's before its parent's."""
        settings = settingsOf(Shout)
        self.assertEqual(settings["greeting"], b"say something")
        self.assertIs(settings["framing"], Lines)
        self.assertEqual((settings["lingerTimeout"], settings["maxUnsent"]), (2.0, 2**20))
        self.assertIsNone(settings["clock"])

    def test_whatAConnectionNeeds(self) -> None:
        """What a connected conversation keeps on itself is no setting of its class."""
        peer = connected(Shout())
        peer.write(b"hi\n")
        self.assertEqual(set(settingsOf(type(peer.protocol))), OWN | {"suffix", "words"})
        peer.finish()


class BuildingTests(SynchronousTestCase):
    """It builds conversations of one class."""

    def test_interface(self) -> None:
        """It is a factory as any other of Twisted's, and quiet."""
        factory = ConversationFactory(Shout)
        verifyObject(IProtocolFactory, factory)
        self.assertIs(factory.protocol, Shout)
        self.assertIs(factory.noisy, False)

    def test_saysNothingItself(self) -> None:
        """Starting and stopping are not logged: the server says where it listens."""
        events: list[Any] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        factory = ConversationFactory(Shout)
        factory.doStart()
        factory.doStop()
        self.assertEqual(events, [])

    def test_build(self) -> None:
        """Each connection has a conversation of its own, which knows its factory."""
        factory = ConversationFactory(Shout)
        address = IPv4Address("TCP", "127.0.0.1", 36702)
        one, two = factory.buildProtocol(address), factory.buildProtocol(None)
        self.assertIsInstance(one, Shout)
        self.assertIsNot(one, two)
        self.assertIs(one.factory, factory)

    def test_defaults(self) -> None:
        """Without settings it is as the class says."""
        peer = connected(ConversationFactory(Shout))
        peer.write(b"hi\n")
        self.assertEqual(peer.value(), b"say something\nHI!\n")

    def test_overrides(self) -> None:
        """Settings override the class's, in what this factory builds and nowhere else."""
        louder = ConversationFactory(Shout, greeting=b"louder", framing=CRLF, suffix=b"!!")
        for factory, expected in (
            (louder, b"louder\r\nHI!!\r\n"),
            (ConversationFactory(Shout), b"say something\nHI!\n"),
            (louder, b"louder\r\nHI!!\r\n"),
        ):
            peer = connected(factory)
            peer.write(b"hi\r\n")
            self.assertEqual(peer.value(), expected)

    def test_framingIsMadeAnew(self) -> None:
        """Two connections of one factory do not read each other's halves."""
        factory = ConversationFactory(Shout, framing=CRLF, greeting=b"")
        one, two = connected(factory), connected(factory)
        one.write(b"one")
        two.write(b"two\r\n")
        one.write(b"\r\n")
        self.assertEqual((one.value(), two.value()), (b"ONE!\r\n", b"TWO!\r\n"))

    def test_lingerTimeout(self) -> None:
        """The linger time that was set is the one that counts."""
        peer = connected(ConversationFactory(Shout, lingerTimeout=7))
        peer.protocol.hangUp()
        peer.clock.advance(0)
        peer.clock.advance(6.9)
        self.assertTrue(peer.connected)
        peer.clock.advance(0.2)
        self.assertFalse(peer.connected)

    def test_maxUnsent(self) -> None:
        """And so is the bound on what may wait for a peer."""
        peer = connected(ConversationFactory(Shout, maxUnsent=1000, framing=Stream))
        peer.reading, peer.window = False, 0
        for _ in range(300):
            peer.protocol.write(b"x" * 1000)
            peer.clock.advance(0)
        self.assertFalse(peer.connected)
        assert peer.ending is not None
        self.assertEqual(peer.ending.why, "unread")

    def test_clock(self) -> None:
        """A clock of one's own keeps the deadlines."""
        clock = Clock()
        peer = connected(ConversationFactory(Shout, clock=clock))
        peer.protocol.hangUp()
        peer.clock.pump([1.0] * 60)
        self.assertTrue(peer.connected)
        clock.advance(2.1)
        peer.clock.advance(0)
        self.assertFalse(peer.connected)

    def test_unknownSetting(self) -> None:
        """A setting that is not there is refused at once, and the line names those that are."""
        error = self.assertRaises(TypeError, ConversationFactory, Shout, greting=b"hi")
        self.assertEqual(
            str(error),
            "Shout has no setting 'greting'; it has clock, framing, greeting, lingerTimeout,"
            " maxUnsent, suffix, words",
        )

    def test_whatIsNoSetting(self) -> None:
        """Methods, properties, what is private, the machinery's and Twisted's are refused."""
        for name in (
            "messageReceived",
            "louder",
            "loud",
            "loudest",
            "volume",
            "peer",
            "writable",
            "_kept",
            "flow",
            "started",
            "ending",
            "_dataHook",
            "peerFinished",
            "transport",
            "factory",
            "connected",
            "__class__",
        ):
            error = self.assertRaises(TypeError, ConversationFactory, Shout, **{name: 1})
            self.assertIn(f"no setting {name!r}", str(error))

    def test_logPrefix(self) -> None:
        """The log speaks of what is served, not of its factory; a class of any name."""
        self.assertEqual(ConversationFactory(Shout).logPrefix(), "Shout")
        self.assertEqual(connected(ConversationFactory(Shout)).transport.logstr[:6], "Shout,")

    def test_subclassing(self) -> None:
        """A factory with state that its conversations share needs nothing more."""

        class Counting(ConversationFactory):
            count = 0

        class Counts(Conversation):
            def connectionMade(self) -> None:
                assert isinstance(self.factory, Counting)
                self.factory.count += 1

        factory = Counting(Counts)
        connected(factory)
        connected(factory)
        self.assertEqual(factory.count, 2)

    def test_worksWithoutIt(self) -> None:
        """A conversation needs no factory of ours."""
        peer = connected(Shout())
        self.assertIsNone(peer.protocol.factory)
        peer.write(b"hi\n")
        self.assertEqual(peer.value(), b"say something\nHI!\n")


class MistakeTests(SynchronousTestCase):
    """What its author wrote wrong is told when the factory is made, not to every peer."""

    def test_framing(self) -> None:
        """A name or an instance is no framing."""
        for wrong in ("lines", Lines()):
            error = self.assertRaises(TypeError, ConversationFactory, Echo, framing=wrong)
            self.assertIn("give the class itself", str(error))

    def test_greeting(self) -> None:
        """Text is no bytes."""
        error = self.assertRaises(TypeError, ConversationFactory, Echo, greeting="hello")
        self.assertIn("give bytes", str(error))

    def test_numbers(self) -> None:
        """Text, or less than nothing, is no number of seconds or bytes; nor is it on the class."""

        class Hasty(Echo):
            lingerTimeout = "2"  # type: ignore[assignment]

        wrong: Any
        for wrong in (-1, "2", None):
            for name, advice in (("lingerTimeout", "seconds"), ("maxUnsent", "bytes")):
                error = self.assertRaises(TypeError, ConversationFactory, Echo, **{name: wrong})
                self.assertIn(f"{name} is {wrong!r}: give {advice}", str(error))
        error = self.assertRaises(TypeError, ConversationFactory, Hasty)
        self.assertIn("Hasty: lingerTimeout is '2'", str(error))

    def test_nothingToSay(self) -> None:
        """A dialogue has to say how it goes."""

        class Mute(Dialogue):
            pass

        for each in (Dialogue, Mute):
            error = self.assertRaises(TypeError, ConversationFactory, each)
            self.assertIn(f"{each.__name__} has no converse(): write it", str(error))
