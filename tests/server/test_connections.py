"""What a service knows of its connections."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.events import Connection, Ending
from tcplab.listener.listener import Listener
from tcplab.observers import Observers
from tcplab.server.connections import ConnectionRecord, Connections
from tests.support.lab_service import ServingLab
from tests.support.socket_server import Told

ENDING = Ending("peer", "fin", None, None, 1, 2, 3.0)


class FakeTransport:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection


def connection(listener: str, number: int) -> Connection:
    nobody: Any = None
    return Connection(listener, number, "", nobody, nobody)


class ConnectionsTests(SynchronousTestCase):
    """On listeners without ports."""

    def setUp(self) -> None:
        self.told = Told()
        self.one, self.two = (Listener(name, Observers(self.told)) for name in ("one", "two"))
        self.connections = Connections([self.one, self.two], most=2)

    def end(self, listener: Listener, number: int) -> None:
        listener.observers.connectionClosed(connection(listener.name, number), ENDING)

    def test_live(self) -> None:
        """By listener and number, in whatever order the listener has them."""
        for listener, number in ((self.two, 1), (self.one, 11), (self.one, 9), (self.one, 10)):
            listener.connections.add(FakeTransport(connection(listener.name, number)))
        known = [(*each.connection[:2], each.ending) for each in self.connections.live()]
        self.assertEqual(
            known, [("one", 9, None), ("one", 10, None), ("one", 11, None), ("two", 1, None)]
        )
        self.assertEqual(list(self.connections), list(self.connections.live()))
        self.assertEqual(len(self.connections), 4)

    def test_ended(self) -> None:
        """The last ones, in the order of their ends."""
        for listener, number in ((self.one, 2), (self.two, 1), (self.one, 1)):
            self.end(listener, number)
        expected = [
            ConnectionRecord(connection("two", 1), ENDING),
            ConnectionRecord(connection("one", 1), ENDING),
        ]
        self.assertEqual(list(self.connections.ended()), expected)
        self.assertEqual(list(self.connections), expected)
        self.assertEqual(len(self.connections), 2)

    def test_others(self) -> None:
        """Who was told is told still, once; another service's listeners are its own."""
        other = Listener("other", self.one.observers)
        self.end(self.one, 1)
        self.assertEqual(self.told.endings, [ENDING])
        self.assertEqual(len(Connections([other])), 0)


class OfServiceTests(ServingLab):
    """``service.connections``, on real sockets."""

    async def test_eachOnesEnding(self) -> None:
        service = self.lab("limit_data,bytes=3,conn=2")
        connections = service.connections
        self.assertIs(service.connections, connections)
        for _ in range(2):
            await self.exchange(b"hello")
        await service.whenEmpty()
        known = [
            (each.connection.number, each.ending.why, each.ending.sent)
            for each in connections
            if each.ending is not None
        ]
        self.assertEqual(known, [(1, None, 5), (2, "fault", 3)])

    async def test_whoIsConnected(self) -> None:
        service = self.lab()
        with self.connect() as sock:
            sock.sendall(b"hello")
            await self.talk(sock.recv, 5)
            [live] = service.connections
            self.assertEqual(
                (live.ending, live.connection.peer.port), (None, sock.getsockname()[1])
            )  # type: ignore[attr-defined]
        await service.whenEmpty()
        self.assertEqual([each.ending is None for each in service.connections], [False])

    async def test_nobodyIsWatchedUntilItIsAskedFor(self) -> None:
        """No observer, no list: nothing is done for a connection."""
        service = self.lab()
        [serving] = service.listeners
        before = serving.observers
        await self.exchange(b"hello")
        await service.whenEmpty()
        self.assertIs(serving.observers, before)
        self.assertEqual(len(service.connections), 0)
