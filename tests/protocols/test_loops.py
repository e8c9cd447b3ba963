"""Tests for `tcplab.protocols.loops`."""

from __future__ import annotations

from typing import Any

from twisted.internet.tcp import Connection
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.loops import LoopDetector

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
        self.assertIs(self.loops.connected(self.parent, Transport(CLIENT, HERE)), self.child)

    def test_mappedAddress(self) -> None:
        """An IPv4 address may be mapped."""
        self.loops.connected(self.parent, Transport(CLIENT, HERE))
        mapped = [(f"::ffff:{host}", port, 0, 0) for host, port in (CLIENT, HERE)]
        self.assertIs(self.loops.accepted(Node(self.factories[0], *mapped)), self.parent)

    def test_otherConnection(self) -> None:
        """The same ports elsewhere, and nodes without a factory, are no loop."""
        self.loops.connected(self.parent, Transport(CLIENT, ("127.0.0.1", 81)))
        self.assertIsNone(self.loops.accepted(self.child))
        self.loops.connected(Node(None, ("127.0.0.1", 1)), Transport(CLIENT, HERE))
        self.assertIsNone(self.loops.accepted(Node(None, CLIENT)))

    def test_forget(self) -> None:
        """Nothing is kept of what is forgotten; a later connection of its 4-tuple is."""
        later = Node(self.factories[0], CLIENT)
        self.loops.connected(self.parent, Transport(CLIENT, HERE))
        self.loops.accepted(self.child)
        self.loops.accepted(later)
        self.loops.forget(self.child)
        self.assertIs(self.loops.connected(self.parent, Transport(CLIENT, HERE)), later)
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
