"""Tests for `tcplab.protocols.upstream`; see those of forward and relay for what it is used for."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols import ConversationFactory, Echo, Forward, Lines
from tcplab.protocols import upstream as upstreammodule
from tcplab.protocols.upstream import Upstream
from tcplab.testing import connected
from tests.support.memory_servers import Joint, Servers


class CallTests(SynchronousTestCase):
    def test_theEndpointIsWhatTheSettingSays(self) -> None:
        factory = ConversationFactory(Forward, to="tcp:example.org:7")
        forward: Any = factory.buildProtocol(None)
        called = []
        self.patch(
            upstreammodule,
            "clientEndpoint",
            lambda where, reactor: called.append(where) or Servers(),
        )
        connected(forward)
        self.assertEqual(called, ["tcp:example.org:7"])

    def test_theServersSideHasTheSettingsOfTheClients(self) -> None:
        forward = ConversationFactory(
            Forward, to="tcp:a:1", framing=Lines, lingerTimeout=7.0, maxUnsent=9
        ).buildProtocol(None)
        joint = Joint(forward)
        joint.settle()
        upstream = joint.server.protocol
        self.assertIsInstance(upstream, Upstream)
        self.assertIsInstance(upstream.framing, Lines)
        self.assertEqual((upstream.lingerTimeout, upstream.maxUnsent), (7.0, 9))

    def test_aSecondAddressThatAnswersTooIsNotWanted(self) -> None:
        class Two(Servers):
            def connect(self, factory: Any) -> Any:
                first = super().connect(factory)
                super().connect(factory)
                return first

        joint = Joint(Forward(), Two())
        joint.settle()
        first, second = joint.servers.peers
        self.assertTrue(second.wasReset)
        joint.client.write(b"hi")
        joint.settle()
        self.assertEqual(first.value(), b"hi")

    def test_aCallThatIsAnsweredTooLateIsEnded(self) -> None:
        class Stubborn(Servers):
            def _cancel(self, deferred: Any) -> None:
                self.cancelled += 1

        servers = Stubborn()
        servers.hangs = True
        joint = Joint(Forward(), servers)
        joint.advance(5.1)
        waiting, servers._waiting = servers._waiting, []
        servers._made(waiting[0][0])
        joint.settle()
        self.assertTrue(joint.server.wasReset)
        self.assertFalse(joint.client.connected)

    def test_nobodyIsCalledForAConnectionThatIsOverByThen(self) -> None:
        class Leaving(Forward):
            def connectionMade(self) -> None:
                self.hangUp()

        joint = Joint(Leaving())
        joint.settle()
        self.assertEqual(joint.servers.peers, [])
        self.assertTrue(joint.client.ended)


class CircleTests(SynchronousTestCase):
    def test_isCutOnBothItsEnds(self) -> None:
        class Lineage:
            child: Any = None

            def accepted(self, child: Any) -> None: ...

            def connected(self, parent: Any, transport: Any) -> Any:
                return self.child

            def forget(self, conversation: Any) -> None: ...

        lineage = Lineage()
        self.patch(upstreammodule, "LOOPS", lineage)
        other = Joint(Forward())
        other.settle()
        lineage.child = other.conversation
        joint = Joint(Forward())
        joint.settle()
        for each in (other, joint):
            self.assertTrue(each.client.wasReset)
            assert each.client.ending is not None
            self.assertEqual(each.client.ending.why, "loop")


class ListeningTests(SynchronousTestCase):
    def test_whatLeadsBackIsRefused(self) -> None:
        factory = ConversationFactory(Forward, to="tcp:127.0.0.1:7")
        here = IPv4Address("TCP", "0.0.0.0", 7)
        problem = self.assertRaises(ValueError, factory.checkListening, here)
        self.assertIn("name another server", str(problem))
        factory.checkListening(IPv4Address("TCP", "0.0.0.0", 8))

    def test_othersMayListenAnywhere(self) -> None:
        ConversationFactory(Echo).checkListening(IPv4Address("TCP", "0.0.0.0", 7))
