"""Tests for `tcplab.reactor.clock`."""

from __future__ import annotations

import gc
import time
import weakref
from types import SimpleNamespace
from typing import Any

from OpenSSL.SSL import Connection, Error
from twisted.internet.base import ReactorBase
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocolNegotiationFactory, IReactorSSL, IReactorTCP
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions, PrivateCertificate
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tcplab.reactor import clock
from tcplab.reactor.clock import (
    MonotonicPollReactor,
    TLSReactor,
    ignoreUnknownALPN,
    withTLSClock,
)
from tcplab.reactor.eager import EagerReactor
from tcplab.reactor.tls import enableHalfClose
from tests.support.certificates import handshake, localhostFile


class Pull:
    """A pull producer that counts what it is asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def resumeProducing(self) -> None:
        self.asked += 1

    def stopProducing(self) -> None:
        self.asked = -1


class ClockTests(SynchronousTestCase):
    """TLS keeps the time of its transport, whatever its factory was given."""

    def setUp(self) -> None:
        self.clock, self.other = Clock(), Clock()

    def connected(self) -> Any:
        factory = TLSMemoryBIOFactory(
            CertificateOptions(), True, Factory.forProtocol(Protocol), self.other
        )
        enableHalfClose(factory)
        tls: Any = factory.buildProtocol(None)
        transport: Any = StringTransport()
        transport.reactor = self.clock
        transport.readLimit = 0
        tls.makeConnection(transport)
        return tls

    def test_writes(self) -> None:
        """What was written waits for a turn of that reactor."""
        tls = self.connected()
        tls.write(b"x")
        self.assertEqual((len(self.clock.calls), len(self.other.calls)), (1, 0))

    def test_pullProducer(self) -> None:
        """That reactor asks it, until it is unregistered; after the end it is stopped."""
        tls = self.connected()
        pull = Pull()
        tls.registerProducer(pull, False)
        self.clock.advance(1)
        asked = pull.asked
        self.assertGreater(asked, 0)
        tls.unregisterProducer()
        self.clock.advance(1)
        self.clock.advance(1)
        self.assertEqual((pull.asked, self.clock.calls, self.other.calls), (asked, [], []))
        tls.connectionLost(Failure(ConnectionDone()))
        tls.registerProducer(pull, False)
        self.assertEqual(pull.asked, -1)

    def test_reactorThatIsDone(self) -> None:
        """It is not kept by its producers' scheduler."""
        tls = self.connected()
        tls.registerProducer(Pull(), False)
        tls.unregisterProducer()
        self.clock.advance(1)
        done = weakref.ref(self.clock)
        self.clock = self.other
        del tls
        gc.collect()
        self.assertIsNone(done())


class ReactorTests(SynchronousTestCase):
    """Endpoints are given a reactor whose TLS keeps that reactor's time."""

    def test_stock(self) -> None:
        """One of Twisted's is wrapped, and provides what it did."""
        stock = EPollReactor()
        self.addCleanup(stock._poller.close)
        wrapped = withTLSClock(stock)
        self.assertIsInstance(wrapped, TLSReactor)
        self.assertTrue(IReactorSSL.providedBy(wrapped) and IReactorTCP.providedBy(wrapped))
        self.assertIs(withTLSClock(wrapped), wrapped)

    def test_others(self) -> None:
        """Ours has such methods; any other object stays what it is."""
        eager = EagerReactor()
        self.addCleanup(eager._poller.close)
        for reactor in (eager, Clock()):
            self.assertIs(withTLSClock(reactor), reactor)


class TimeTests(SynchronousTestCase):
    def test_step(self) -> None:
        """It counts from the epoch, and a step of the wall clock changes nothing."""
        kinds: tuple[type[ReactorBase], ...] = (MonotonicPollReactor, EagerReactor)
        now = time.time()
        self.patch(time, "time", lambda: 0.0)
        for kind in kinds:
            before = kind.seconds()
            self.assertLess(abs(before - now), 60)
            self.assertGreaterEqual(kind.seconds(), before)

    def test_install(self) -> None:
        installed: list[object] = []
        self.patch(clock, "installReactor", installed.append)
        clock.install()
        self.assertIsInstance(installed[0], MonotonicPollReactor)


class ALPNTests(SynchronousTestCase):
    """What a server does with the protocols that a client offers."""

    def chosen(self, known: list[bytes], offered: list[bytes], factory: object = None) -> bytes:
        with open(localhostFile(), "rb") as file:
            loaded = PrivateCertificate.loadPEM(file.read())
        options = loaded.options()
        options._acceptableProtocols = known
        for _ in range(2):
            ignoreUnknownALPN(options)
        server = Connection(options.getContext())
        if factory is not None:
            server.set_app_data(SimpleNamespace(factory=SimpleNamespace(wrappedFactory=factory)))
        return bytes(handshake(server, offered=offered).get_alpn_proto_negotiated())

    def test_chosen(self) -> None:
        for known, offered, chosen in (
            ([], [b"h2", b"http/1.1"], b""),
            ([], [], b""),
            ([b"http/1.1"], [b"h2", b"http/1.1"], b"http/1.1"),
            ([b"b", b"a"], [b"a", b"b"], b"b"),
            ([b"http/1.1"], [], b""),
        ):
            self.assertEqual(self.chosen(known, offered), chosen)
            self.assertEqual(self.chosen(known, offered, Factory()), chosen)

    def test_factory(self) -> None:
        """A factory may have protocols of its own."""

        @implementer(IProtocolNegotiationFactory)
        class Negotiating(Factory):  # type: ignore[type-arg]
            def acceptableProtocols(self) -> list[bytes]:
                return [b"mine"]

        self.assertEqual(self.chosen([], [b"h2", b"mine"], Negotiating()), b"mine")

    def test_refused(self) -> None:
        """By the alert that says why."""
        error = self.assertRaises(Error, self.chosen, [b"http/1.1"], [b"h2"])
        self.assertIn("alert no application protocol", str(error))
