"""Tests for `tcplab.protocols.loops`."""

from __future__ import annotations

from typing import Any

from twisted.internet.tcp import Connection
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.loops import LoopDetector

HERE = ("127.0.0.1", 80)


class Socket:
    def __init__(self, own: Any, peer: Any) -> None:
        self._own, self._peer = own, peer

    def getsockname(self) -> Any:
        return self._own

    def getpeername(self) -> Any:
        return self._peer


class Transport(Connection):
    def __init__(self, own: Any, peer: Any) -> None:
        self.socket = Socket(own, peer)


class Node:
    """A conversation that was accepted from a peer."""

    def __init__(self, factory: object, peer: Any, own: Any = HERE) -> None:
        self.factory = factory
        self.raw: Any = Transport(own, peer)


class LineageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.lineage = LoopDetector()
        self.factories = [object() for _ in range(3)]

    def chain(self, *numbers: int) -> list[Any]:
        """Let each node be called by the one before it; return what was said of each."""
        said, nodes = [], []
        for place, number in enumerate(numbers):
            way = ("127.0.0.1", 40_000 + place)
            node = Node(self.factories[number], way)
            if nodes:
                self.assertIsNone(self.lineage.connected(nodes[-1], Transport(way, HERE)))
            parent = self.lineage.accepted(node)
            said.append(None if parent is None else nodes.index(parent))
            nodes.append(node)
        return said

    def test_aChainIsNoCircle(self) -> None:
        self.assertEqual(self.chain(0, 1, 2), [None, None, None])

    def test_aCircleIsSeenWhereItCloses(self) -> None:
        self.assertEqual(self.chain(0, 0), [None, 0])
        self.lineage = LoopDetector()
        self.assertEqual(self.chain(0, 1, 0), [None, None, 1])

    def test_inWhateverOrderTheEndsAreSeen(self) -> None:
        way = ("127.0.0.1", 40_000)
        parent = Node(self.factories[0], ("127.0.0.1", 39_999))
        child = Node(self.factories[0], way)
        self.lineage.accepted(parent)
        self.assertIsNone(self.lineage.accepted(child))
        self.assertIs(self.lineage.connected(parent, Transport(way, HERE)), child)

    def test_anIPv4AddressMayBeMapped(self) -> None:
        way = ("127.0.0.1", 40_000)
        parent = Node(self.factories[0], ("127.0.0.1", 39_999))
        self.lineage.connected(parent, Transport(way, HERE))
        child = Node(
            self.factories[0], ("::ffff:127.0.0.1", 40_000, 0, 0), ("::ffff:127.0.0.1", 80, 0, 0)
        )
        self.assertIs(self.lineage.accepted(child), parent)

    def test_samePortsElsewhereAreAnotherConnection(self) -> None:
        way = ("127.0.0.1", 40_000)
        parent = Node(self.factories[0], ("127.0.0.1", 39_999))
        self.lineage.connected(parent, Transport(way, ("127.0.0.1", 81)))
        self.assertIsNone(self.lineage.accepted(Node(self.factories[0], way)))

    def test_whatIsForgottenIsNoCircleAnyMore(self) -> None:
        way = ("127.0.0.1", 40_000)
        parent = Node(self.factories[0], ("127.0.0.1", 39_999))
        self.lineage.accepted(parent)
        self.lineage.connected(parent, Transport(way, HERE))
        self.lineage.forget(parent)
        self.assertIsNone(self.lineage.accepted(Node(self.factories[0], way)))

    def test_nothingIsKeptOfWhatIsForgotten(self) -> None:
        nodes = [Node(self.factories[0], ("127.0.0.1", port)) for port in (1, 2)]
        self.lineage.accepted(nodes[0])
        self.lineage.connected(nodes[0], Transport(("127.0.0.1", 2), HERE))
        self.lineage.accepted(nodes[1])
        for node in nodes:
            self.lineage.forget(node)
        self.assertFalse(any(vars(self.lineage).values()))

    def test_whoHasNoFactoryIsNobodysChild(self) -> None:
        parent = Node(None, ("127.0.0.1", 1))
        self.lineage.connected(parent, Transport(("127.0.0.1", 2), HERE))
        self.assertIsNone(self.lineage.accepted(Node(None, ("127.0.0.1", 2))))

    def test_unixSocketsAndOthersAreNotLookedAt(self) -> None:
        for own, peer in (("", ""), (b"", "/1"), ("", OSError)):
            self.assertIsNone(self.lineage.accepted(Node(self.factories[0], peer, own)))
        node = Node(self.factories[0], None)
        node.raw = object()
        self.assertIsNone(self.lineage.accepted(node))
        self.assertIsNone(self.lineage.connected(node, object()))
