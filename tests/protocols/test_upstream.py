"""Tests for `tcplab.protocols.upstream`; see those of forward and relay for what it is used for."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from tcplab.protocols import ConversationFactory, Echo, Forward, Lines
from tcplab.protocols import upstream as upstreammodule
from tcplab.protocols.loops import LoopDetector
from tcplab.protocols.upstream import Upstream
from tcplab.testing import connected
from tests.support.memory_servers import Joining, Joint, Servers


class ConnectTests(Joining):
    def test_endpoint(self) -> None:
        """The setting names the endpoint; its reactor is that of the connection."""
        asked: list[Any] = []

        def endpoint(name: str, reactor: object) -> Servers:
            asked.append((name, reactor))
            return Servers()

        forward = ConversationFactory(Forward, to="tcp:example.org:7").buildProtocol(None)
        self.patch(upstreammodule, "clientEndpoint", endpoint)
        peer = connected(forward)
        self.assertEqual(asked, [("tcp:example.org:7", peer.clock)])

    def test_settings(self) -> None:
        """The server's side has the settings of the client's."""
        factory = ConversationFactory(
            Forward, to="tcp:a:1", framing=Lines, lingerTimeout=7.0, maxUnsent=9
        )
        joint = Joint(factory.buildProtocol(None))
        joint.settle()
        upstream = joint.server.protocol
        self.assertIsInstance(upstream, Upstream)
        self.assertIsInstance(upstream.framing, Lines)
        self.assertEqual((upstream.lingerTimeout, upstream.maxUnsent), (7.0, 9))

    def test_secondAddress(self) -> None:
        """The second of two addresses that answer is reset."""

        class Two(Servers):
            def connect(self, factory: Any) -> Any:
                first = super().connect(factory)
                super().connect(factory)
                return first

        joint = Joint(Forward(), Two())
        joint.settle()
        first, second = joint.servers.peers
        self.assertTrue(second.wasReset)
        joint.send(joint.client, b"hi")
        self.assertEqual(first.value(), b"hi")

    def test_tooLate(self) -> None:
        """A server that is connected after the time is over is reset."""

        class Stubborn(Servers):
            def _cancel(self, deferred: Any) -> None:
                self.cancelled += 1

        joint = Joint(Forward(), Stubborn(hangs=True))
        joint.advance(5.1)
        (factory, _), joint.servers._waiting = joint.servers._waiting[0], []
        joint.servers._made(factory)
        joint.settle()
        self.assertTrue(joint.server.wasReset)
        self.assertFalse(joint.client.connected)

    def test_handshake(self) -> None:
        """A server lost in the TLS handshake is one that cannot be connected to."""

        class Handshaking(Upstream):
            def _begin(self) -> None:
                pass

        self.patch(upstreammodule, "Upstream", Handshaking)
        for end in (
            lambda joint: joint.server.protocol._connectionLost(Failure(ConnectionLost())),
            lambda joint: joint.advance(5.1),
        ):
            joint = Joint(Forward())
            joint.settle()
            end(joint)
            joint.settle()
            self.assertTrue(joint.client.wasReset)
            self.assertEqual(joint.why, "upstream")

    def test_closedByThen(self) -> None:
        """No server is connected for a connection that is closing already."""

        class Leaving(Forward):
            def connectionMade(self) -> None:
                self.hangUp()

        joint = Joint(Leaving())
        joint.settle()
        self.assertEqual(joint.servers.peers, [])
        self.assertTrue(joint.client.ended)


class LoopTests(Joining):
    def test_bothEnds(self) -> None:
        """A loop is reset at both its ends, whichever is seen first."""
        for seen in ("accepted", "connected"):
            loops: LoopDetector[Any] = LoopDetector()
            self.patch(upstreammodule, "LOOPS", loops)
            other = Joint(Forward())
            other.settle()
            self.patch(loops, seen, lambda *_, other=other: other.conversation)
            joint = Joint(Forward())
            joint.settle()
            for each in (other, joint):
                self.assertTrue(each.client.wasReset)
                self.assertEqual(each.why, "loop")


class ListeningTests(Joining):
    def test_itself(self) -> None:
        """A behaviour may be served anywhere, but for the port that it would connect to."""
        factory = ConversationFactory(Forward, to="tcp:127.0.0.1:7")
        here, next = (IPv4Address("TCP", "0.0.0.0", port) for port in (7, 8))
        problem = self.assertRaises(ValueError, factory.checkListening, here)
        self.assertIn("name another server", str(problem))
        factory.checkListening(next)
        ConversationFactory(Echo).checkListening(here)
