"""Tests for `tcplab.reactor.unwatched`."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.endpoints import clientFromString, quoteStringArgument
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tcplab.reactor import eager, unwatched
from tcplab.reactor.corked import Corked


class KindTests(SynchronousTestCase):
    """Each is Twisted's own transport, corked; what they do, Twisted's own suites test."""

    def test_kinds(self) -> None:
        """The cork comes before what it corks."""
        for kind, stock in (
            (unwatched.TCPServer, tcp.Server),
            (unwatched.TCPClient, tcp.Client),
            (unwatched.UnixServer, unix.Server),
            (unwatched.UnixClient, unix.Client),
        ):
            order = kind.__mro__
            self.assertLess(order.index(Corked), order.index(stock))
            self.assertIs(kind.write, Corked.write)


class Goes(Protocol):
    """A server's side, that ends at once."""

    def connectionMade(self) -> None:
        self.transport.loseConnection()  # type: ignore[union-attr]


class Stops(Protocol):
    """A client's side, that ends the reactor."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.transport.reactor.stop()  # type: ignore[union-attr]


class PartingTests(SynchronousTestCase):
    """A connection that is over keeps nothing alive that the garbage collector must look for."""

    def setUp(self) -> None:
        self.reactor = eager.EagerReactor()
        self.addCleanup(self.reactor.disconnectAll)
        self.serving = Factory.forProtocol(Goes)
        self.serving.noisy = False
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)

    def run_(self) -> None:
        self.reactor.run(installSignalHandlers=False)

    def held(self, where: str) -> Any:
        """Connect to an endpoint, and return a weak reference to what was the transport."""
        found: list[Any] = []
        connecting = clientFromString(self.reactor, where).connect(Factory.forProtocol(Stops))
        connecting.addCallback(lambda protocol: found.append(weakref.ref(protocol.transport)))
        self.run_()
        return found[0]

    def test_tcp(self) -> None:
        port = self.reactor.listenTCP(0, self.serving, interface="127.0.0.1")
        self.assertIsNone(self.held(f"tcp:127.0.0.1:{port.getHost().port}")())

    def test_unix(self) -> None:
        path = self.mktemp()
        self.reactor.listenUNIX(path, self.serving)
        self.assertIsNone(self.held(f"unix:{quoteStringArgument(path)}")())

    def test_failed(self) -> None:
        """An endpoint's connector lets go of the factory that it was for."""
        port = self.reactor.listenTCP(0, self.serving, interface="127.0.0.1")
        where = f"tcp:127.0.0.1:{port.getHost().port}"
        port.stopListening()
        factory = Factory.forProtocol(Stops)
        found = weakref.ref(factory)
        connecting = clientFromString(self.reactor, where).connect(factory)
        connecting.addErrback(lambda _: self.reactor.stop())
        self.run_()
        del factory, connecting
        self.assertIsNone(found())

    def test_again(self) -> None:
        """Who has a connector of his own may connect again."""

        class Again(ClientFactory):
            noisy = False
            lost = 0

            def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
                self.lost += 1
                if self.lost == 1:
                    connector.connect()
                else:
                    connector.reactor.callLater(0, connector.connect)

            def buildProtocol(self, addr: Any) -> Protocol:
                return Protocol() if self.lost < 2 else Stops()

        port = self.reactor.listenTCP(0, self.serving, interface="127.0.0.1")
        factory = Again()
        self.reactor.connectTCP("127.0.0.1", port.getHost().port, factory)
        self.run_()
        self.assertEqual(factory.lost, 3)
