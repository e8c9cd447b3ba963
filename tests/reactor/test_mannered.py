"""Tests for `tcplab.reactor.mannered`."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.conversation import Conversation
from tcplab.protocols.echo import Echo
from tcplab.reactor.mannered import Mannered, plainly, teach, unteach
from tcplab.reactor.tls import HalfClosingTLS, TLSFactory
from tcplab.testing import Peer, connected
from tcplab.testing import peer as module
from tests.reactor.steps import StockTransport


class Asked:
    """Write down what is asked."""

    def __init__(self) -> None:
        self.book: list[Any] = []

    def loseConnection(self) -> None:
        self.book.append("end")

    def loseWriteConnection(self) -> None:
        self.book.append("finish")

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.book.append((producer, streaming))

    def unregisterProducer(self) -> None:
        self.book.append("unregister")


ALL = ["end", "finish", (None, True), "unregister"]


def askAll(transport: Any) -> None:
    transport.loseConnection()
    transport.loseWriteConnection()
    transport.registerProducer(None, True)
    transport.unregisterProducer()


class Counter:
    """Produce nothing; count."""

    def __init__(self) -> None:
        self.stopped = 0

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def stopProducing(self) -> None:
        self.stopped += 1


class Kinds(SynchronousTestCase):
    """Transports of every kind."""

    def ours(self) -> Any:
        return connected(Protocol()).transport

    def stock(self) -> Any:
        self.patch(module, "MemoryTransport", StockTransport)
        return Peer(Protocol()).transport

    def wrapped(self, below: Any) -> ProtocolWrapper:
        wrapper = ProtocolWrapper(WrappingFactory(Factory()), Protocol())
        wrapper.makeConnection(below)
        return wrapper

    def all(self) -> list[Any]:
        stock, other = self.stock(), self.stock()
        self.patch(module, "MemoryTransport", self.original)
        wrapped = [self.wrapped(below) for below in (self.ours(), other)]
        return [self.ours(), stock, *wrapped, StringTransport()]

    def setUp(self) -> None:
        self.original = module.MemoryTransport


class TeachTests(Kinds):
    """Whoever has been taught is asked in a transport's place."""

    def test_asked(self) -> None:
        """For all four, and nothing happens on the transport itself."""
        for transport in self.all():
            if not hasattr(transport, "loseWriteConnection"):
                continue
            self.assertIs(teach(transport, asked := Asked()), None)
            askAll(transport)
            self.assertEqual(asked.book, ALL)
            self.assertFalse(transport.disconnecting)
            self.assertIs(getattr(transport, "producer", None), None)

    def test_nobody(self) -> None:
        """With nobody to ask, each is as ever."""
        transport = self.ours()
        transport.registerProducer(producer := Counter(), True)
        self.assertIs(transport.producer, producer)
        transport.unregisterProducer()
        self.assertIs(transport.producer, None)
        transport.loseWriteConnection()
        self.assertTrue(transport._writeDisconnecting)
        transport.loseConnection()
        self.assertTrue(transport.disconnecting)

    def test_handedOver(self) -> None:
        """The next one is told who was asked before; the earlier one takes nothing back."""
        for transport in self.all():
            first, second = Asked(), Asked()
            teach(transport, first)
            self.assertIs(teach(transport, second), first)
            unteach(transport, first)
            transport.loseConnection()
            self.assertEqual((first.book, second.book), ([], ["end"]))
            unteach(transport, second)
            transport.loseConnection()
            self.assertEqual(second.book, ["end"])

    def test_nothingStaysBehind(self) -> None:
        """A transport is afterwards as it was before."""
        for transport in self.all():
            before = dict(vars(transport))
            for asked in (Asked(), Asked()):
                teach(transport, asked)
            unteach(transport, asked)
            after = dict(vars(transport))
            self.assertIs(after.pop("manners", None), None)
            self.assertEqual(after, before)

    def test_untaughtTwice(self) -> None:
        """Nor is it harmed by somebody who was never asked."""
        for transport in self.all():
            before = dict(vars(transport))
            unteach(transport, Asked())
            self.assertEqual(vars(transport), before)


class PlainlyTests(Kinds):
    """Whoever is asked can do what he is asked for."""

    def test_notAskedAgain(self) -> None:
        """On any transport, and he stays asked."""
        for transport in self.all():
            teach(transport, asked := Asked())
            plain = plainly(transport)
            plain.registerProducer(producer := Counter(), True)
            self.assertEqual(asked.book, [])
            below = transport if hasattr(type(transport), "producer") else transport.transport
            self.assertIs(below.producer, producer)
            plain.unregisterProducer()
            self.assertIs(below.producer, None)
            plain.loseConnection()
            self.assertEqual(asked.book, [])
            self.assertTrue(below.disconnecting)
            transport.loseConnection()
            self.assertEqual(asked.book, ["end"])

    def test_halfClose(self) -> None:
        """Also what a wrapper has of what it wraps only."""
        for transport in (self.ours(), self.wrapped(self.ours())):
            teach(transport, asked := Asked())
            plainly(transport).loseWriteConnection()
            self.assertEqual(asked.book, [])
            self.assertTrue(transport._writeDisconnecting)

    def test_missing(self) -> None:
        """A method that a transport has not is missing as ever, and he stays asked."""

        class Poor:
            def loseConnection(self) -> None: ...

        transport: Any = Poor()
        teach(transport, asked := Asked())
        self.assertEqual(set(vars(transport)), {"loseConnection"})
        self.assertRaises(AttributeError, getattr, plainly(transport), "loseWriteConnection")
        transport.loseConnection()
        self.assertEqual(asked.book, ["end"])

    def test_methodFails(self) -> None:
        """One that fails fails for whoever called it, and he stays asked."""

        class Failing:
            def loseConnection(self) -> None:
                raise ZeroDivisionError

        transport: Any = Failing()
        teach(transport, asked := Asked())
        self.assertRaises(ZeroDivisionError, plainly(transport).loseConnection)
        transport.loseConnection()
        self.assertEqual(asked.book, ["end"])


class LayerTests(Kinds):
    """Each layer is asked for itself."""

    def test_wrapper(self) -> None:
        """What a wrapper is taught, what it wraps is not."""
        below = self.ours()
        wrapper = self.wrapped(below)
        teach(wrapper, asked := Asked())
        below.loseConnection()
        self.assertEqual(asked.book, [])
        self.assertTrue(below.disconnecting)

    def test_tls(self) -> None:
        """TLS is mannered itself; it ends what is below when it likes."""
        below = self.ours()
        nothing: Any = None
        tls = HalfClosingTLS(
            TLSFactory(CertificateOptions(), True, nothing), Protocol(), _connectWrapped=False
        )
        self.assertIsInstance(tls, Mannered)
        tls.makeConnection(below)
        teach(tls, asked := Asked())
        askAll(tls)
        self.assertEqual(asked.book, ALL)
        self.assertIs(below.manners, None)
        self.assertFalse(below.disconnecting)
        unteach(tls, asked)
        tls.abortConnection()


class ConversationTests(Kinds):
    """Between two conversations on one transport there is one producer at a time."""

    def handOver(self, peer: Peer) -> Conversation:
        first = peer.protocol
        second = Echo()
        peer.transport.protocol = second
        second.makeConnection(peer.transport)
        self.assertIs(peer.transport.producer, second.flow)
        self.assertIsNot(peer.transport.producer, first.flow)
        return second

    def test_ours(self) -> None:
        """On our transport."""
        peer = connected(Conversation())
        self.handOver(peer)
        peer.write(b"hello")
        self.assertEqual(peer.value(), b"hello")
        peer.finish()
        self.assertFalse(peer.connected)

    def test_stock(self) -> None:
        """On Twisted's own; at the end nothing covers its methods."""
        self.patch(module, "MemoryTransport", StockTransport)
        peer = Peer(Conversation())
        transport = peer.transport
        self.handOver(peer)
        peer.write(b"hello")
        self.assertEqual(peer.value(), b"hello")
        peer.finish()
        self.assertFalse(peer.connected)
        self.assertEqual({"loseConnection", "registerProducer"} & set(vars(transport)), set())

    def test_habit(self) -> None:
        """``transport.loseConnection()`` is as polite as the conversation's own end."""

        class Habit(Conversation):
            def messageReceived(self, message: bytes) -> None:
                transport: Any = self.transport
                transport.write(b"bye")
                transport.loseConnection()

        for kind in (self.original, StockTransport):
            self.patch(module, "MemoryTransport", kind)
            peer = Peer(Habit())
            peer.write(b"x")
            self.assertEqual((peer.value(), peer.ended, peer.connected), (b"bye", True, True))
            peer.write(b"what is said meanwhile is dropped")
            peer.finish()
            self.assertEqual((peer.connected, peer.wasReset), (False, False))
