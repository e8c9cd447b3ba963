"""Tests for `tcplab.protocols.upstream`; see those of forward and relay for what it is used for."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.defer import fail
from twisted.internet.error import ConnectBindError, ConnectionLost
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols import ConversationFactory, Forward, Lines
from tcplab.protocols import upstream as upstreammodule
from tcplab.protocols.upstream import LoopDetector, Upstream
from tcplab.testing import connected
from tests.support.memory_servers import Joining, Joint, Servers

HERE = ("127.0.0.1", 80)
CLIENT = ("127.0.0.1", 40_000)


class Transport(Connection):
    """A transport that is its own socket."""

    def __init__(self, host: Any, peer: Any) -> None:
        self.socket = self
        self._host, self._peer = host, peer

    def getsockname(self) -> Any:
        return self._host

    def getpeername(self) -> Any:
        return self._peer


class Node:
    """A conversation that was accepted from a peer."""

    def __init__(self, factory: object, peer: Any, host: Any = HERE) -> None:
        self.factory = factory
        self.raw: Any = Transport(host, peer)


class LoopDetectorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.loops: LoopDetector[Any] = LoopDetector()
        self.factories = [object() for _ in range(3)]
        self.parent = Node(self.factories[0], ("127.0.0.1", 39_999))
        self.child = Node(self.factories[0], CLIENT)

    def dial(self, node: Any = None, host: Any = HERE) -> Any:
        """Let a node, by default the parent, connect; return the node that it leads back to."""
        return self.loops.connected(node or self.parent, Transport(CLIENT, host))

    def chain(self, *numbers: int) -> list[Any]:
        """Let each node connect to the next one; return the place that each leads back to."""
        loops: LoopDetector[Any] = LoopDetector()
        found, nodes = [], []
        for place, number in enumerate(numbers):
            client = ("127.0.0.1", 40_000 + place)
            node = Node(self.factories[number], client)
            if nodes:
                self.assertIsNone(loops.connected(nodes[-1], Transport(client, HERE)))
            parent = loops.accepted(node)
            found.append(None if parent is None else nodes.index(parent))
            nodes.append(node)
        return found

    def test_chain(self) -> None:
        """A loop is detected where it closes; a chain is none."""
        for numbers, found in (
            ((0, 1, 2), [None, None, None]),
            ((0, 0), [None, 0]),
            ((0, 1, 0), [None, None, 1]),
        ):
            self.assertEqual(self.chain(*numbers), found)

    def test_order(self) -> None:
        """Either end of a connection may be seen first."""
        self.loops.accepted(self.parent)
        self.assertIsNone(self.loops.accepted(self.child))
        self.assertIs(self.dial(), self.child)

    def test_mappedAddress(self) -> None:
        """An IPv4 address may be mapped."""
        self.dial()
        mapped = [(f"::ffff:{host}", port, 0, 0) for host, port in (CLIENT, HERE)]
        self.assertIs(self.loops.accepted(Node(self.factories[0], *mapped)), self.parent)

    def test_otherConnection(self) -> None:
        """The same ports elsewhere, and nodes without a factory, are no loop."""
        self.dial(host=("127.0.0.1", 81))
        self.assertIsNone(self.loops.accepted(self.child))
        self.dial(Node(None, ("127.0.0.1", 1)))
        self.assertIsNone(self.loops.accepted(Node(None, CLIENT)))

    def test_forget(self) -> None:
        """Nothing is kept of what is forgotten; a later connection of its 4-tuple is."""
        later = Node(self.factories[0], CLIENT)
        self.dial()
        self.loops.accepted(self.child)
        self.loops.accepted(later)
        self.loops.forget(self.child)
        self.assertIs(self.dial(), later)
        self.loops.forget(self.parent)
        self.loops.forget(later)
        self.assertFalse(any(vars(self.loops).values()))
        self.assertIsNone(self.loops.accepted(self.child))

    def test_otherSockets(self) -> None:
        """Unix sockets, closed ones and transports without a socket are left out."""
        for host, peer in (("", ""), (b"", "/1"), ("", OSError)):
            self.assertIsNone(self.loops.accepted(Node(self.factories[0], peer, host)))
        self.child.raw = object()
        self.assertIsNone(self.loops.accepted(self.child))
        self.assertIsNone(self.loops.connected(self.child, object()))


def forward(to: str = "tcp:a:1", **settings: Any) -> Any:
    return ConversationFactory(Forward, to=to, **settings).buildProtocol(None)


def link(servers: Servers | None = None, conversation: Any = None) -> Joint:
    joint = Joint(conversation or Forward(), servers)
    joint.settle()
    return joint


class ConnectTests(Joining):
    def test_endpoint(self) -> None:
        """The setting names the endpoint; its reactor is that of the connection."""
        asked: list[Any] = []

        def endpoint(name: str, reactor: object) -> Servers:
            asked.append((name, reactor))
            return Servers()

        conversation = forward("tcp:example.org:7")
        self.patch(upstreammodule, "clientEndpoint", endpoint)
        peer = connected(conversation)
        self.assertEqual(asked, [("tcp:example.org:7", peer.clock)])

    def test_settings(self) -> None:
        """The server's side has the settings of the client's."""
        joint = link(conversation=forward(framing=Lines, lingerTimeout=7.0, maxUnsent=9))
        upstream = joint.server.protocol
        self.assertIsInstance(upstream.framing, Lines)
        self.assertEqual((upstream.lingerTimeout, upstream.maxUnsent), (7.0, 9))
        self.assertEqual(upstream.logPrefix(), joint.client.transport.logPrefix())

    def test_secondAddress(self) -> None:
        """The second of two addresses that answer is reset."""

        class Two(Servers):
            def connect(self, factory: Any) -> Any:
                first = super().connect(factory)
                super().connect(factory)
                return first

        joint = link(Two())
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
            joint = link()
            end(joint)
            joint.settle()
            self.assertTrue(joint.client.wasReset)
            self.assertEqual(joint.why, "upstream")

    def test_noDescriptors(self) -> None:
        """The connection to the server is tried again until there is one, or time is over."""

        class Full(Servers):
            def connect(self, factory: Any) -> Any:
                problem = ConnectBindError(errno.EMFILE, "Too many open files")
                return fail(problem) if self.refuses else super().connect(factory)

        for refusals, how in ((3, None), (9, "reset")):
            joint = Joint(Forward(), Full(refuses=True))
            joint.client.write(b"hi")
            joint.advance(refusals)
            joint.servers.refuses = False
            joint.advance(0.2)
            self.assertEqual(joint.client.ending and joint.client.ending.how, how)
            if how is None:
                self.assertEqual(joint.told(joint.server), b"hi")
                joint.finish()
            self.assertOver(joint)

    def test_closedByThen(self) -> None:
        """No server is connected for a connection that is closing already."""

        class Leaving(Forward):
            def connectionMade(self) -> None:
                self.hangUp()

        joint = link(conversation=Leaving())
        self.assertEqual(joint.servers.peers, [])
        self.assertTrue(joint.client.ended)


class LoopTests(Joining):
    def test_bothEnds(self) -> None:
        """A loop is reset at both its ends, whichever is seen first."""
        for seen in ("accepted", "connected"):
            loops: LoopDetector[Any] = LoopDetector()
            self.patch(upstreammodule, "LOOPS", loops)
            other = link()
            self.patch(loops, seen, lambda *_, other=other: other.conversation)
            joint = link()
            for each in (other, joint):
                self.assertTrue(each.client.wasReset)
                self.assertEqual(each.why, "loop")
