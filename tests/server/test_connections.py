"""What a service knows of its connections."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.server.connections import Connections
from tests.support.lab_service import ServingLab
from tests.support.memory_listener import MemoryListener, memoryClock


class ConnectionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.one, self.two = (MemoryListener(memoryClock()) for _ in range(2))
        self.one.name, self.two.name = "one", "two"
        self.connections = Connections([self.one, self.two], most=2)

    def known(self) -> list[tuple[str, int, bool]]:
        """Name the listener and the number of each, and whether it is open."""
        return [(*each.connection[:2], each.ending is None) for each in self.connections]

    def test_order(self) -> None:
        """The last that ended, in the order of their ends, then the open ones by number."""
        opened = [listener.acceptOne() for listener in (self.two, self.two, *[self.one] * 11)]
        second, first, third, *_ = opened
        for transport in (third, second, first):
            transport.end()
        open_ = [("one", number, True) for number in range(2, 12)]
        self.assertEqual(self.known(), [("two", 1, False), ("two", 2, False), *open_])
        self.assertEqual(len(self.connections.ended()), 2)
        self.assertEqual(len(self.connections.live()), 10)
        self.assertEqual(len(self.connections), 12)

    def test_others(self) -> None:
        """The listener's own observers are still told, once; other listeners are not watched."""
        other = MemoryListener(memoryClock())
        for listener in (self.one, other):
            listener.acceptOne().end()
        self.assertEqual(len(self.one.told.endings), 1)
        self.assertEqual(self.known(), [("one", 1, False)])


class OfServiceTests(ServingLab):
    """``service.connections``, on real sockets."""

    async def test_connections(self) -> None:
        """Until the property is used there is no observer and no list."""
        service = self.lab()
        [listener] = service.listeners
        before = listener.observers
        await self.exchange(b"hello")
        await service.whenEmpty()
        self.assertIs(listener.observers, before)
        self.assertEqual(len(service.connections), 0)
        self.assertIs(service.connections, service.connections)
        with self.connect() as sock:
            sock.sendall(b"hello")
            await self.talk(sock.recv, 5)
            [live] = service.connections
            self.assertIsNone(live.ending)
            self.assertEqual(live.connection.peer.port, sock.getsockname()[1])  # type: ignore[attr-defined]
        await service.whenEmpty()
        [record] = service.connections
        self.assertEqual((record.ending.why, record.ending.sent), (None, 5))  # type: ignore[union-attr]
