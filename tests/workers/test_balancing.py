"""How workers share new connections."""

from __future__ import annotations

import socket
import time
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.listener import Listener
from tcplab.observers import Observers
from tcplab.workers.balancing import AcceptBalancer
from tcplab.workers.scoreboard import Scoreboard, WorkerRow


class SocketListener(Listener):
    """A listener whose port is a real socket, which may have a backlog."""

    def __init__(self, test: SynchronousTestCase) -> None:
        super().__init__("test", Observers())
        self.socket = socket.create_server(("127.0.0.1", 0))
        test.addCleanup(self.socket.close)

    @property
    def ports(self) -> list[Any]:
        return [self.socket] if self.socket.fileno() >= 0 else []


class BalancingCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.board = Scoreboard(Scoreboard.create(4))
        self.mine, self.other = self.row(), self.row()
        self.clock = Clock()
        self.balance()

    def row(self) -> WorkerRow:
        number = self.board.take()
        assert number is not None
        row = self.board.rows[number]
        row.accepting = 1
        row.heartbeat = time.monotonic_ns() + 10**12  # it lives
        return row

    def balance(self, most: int | None = None) -> None:
        self.listener = SocketListener(self)
        self.balancer = AcceptBalancer(self.board, self.mine, most, self.clock)
        self.balancer.watch(self.listener)

    def accept(self, number: int = 1) -> None:
        for _ in range(number):
            self.balancer.connectionAccepted(None)
            self.listener.mayAccept()  # as an acceptor asks, to go on

    def close(self, number: int = 1) -> None:
        for _ in range(number):
            self.balancer.connectionClosed(None)

    def clientWaits(self) -> None:
        peer = socket.create_connection(self.listener.socket.getsockname())
        self.addCleanup(peer.close)

    @property
    def held(self) -> bool:
        return self.listener.suspended


class LeadTests(BalancingCase):
    def test_lead(self) -> None:
        """A worker that is far ahead holds back for a moment, in the middle of a batch."""
        self.accept(8)
        self.assertFalse(self.held)
        self.accept()
        self.assertTrue(self.held)
        self.clock.advance(0.01)
        self.assertFalse(self.held)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((self.mine.connections, self.mine.accepted), (9, 9))
        self.assertFalse(self.listener.mayAccept())  # before it accepts it looks again
        self.assertTrue(self.held)
        self.other.connections = 5
        self.clock.advance(0.01)
        self.assertTrue(self.listener.mayAccept())

    def test_clientsWait(self) -> None:
        """Those that no other worker accepts it accepts, as many more as it was ahead."""
        self.accept(9)
        self.clientWaits()
        self.clock.advance(0.01)
        self.assertTrue(self.listener.mayAccept())
        self.accept(7)
        self.assertFalse(self.held)
        self.accept()
        self.assertTrue(self.held)

    def test_othersAcceptAgain(self) -> None:
        """It is as strict as before then."""
        self.accept(9)
        self.clientWaits()
        self.clock.advance(0.01)
        for connections, held in ((9, False), (0, True)):
            self.other.connections = connections
            self.accept()
            self.assertEqual(self.held, held)

    def test_alone(self) -> None:
        """Workers that do not accept, or have no heartbeat, do not count."""
        for name, value in (("accepting", 0), ("heartbeat", 1)):
            self.other = self.row()
            self.board.rows[1].accepting = 0
            setattr(self.other, name, value)
            self.accept(100)
            self.assertFalse(self.held, name)

    def test_closed(self) -> None:
        """Room that a connection leaves is used at once."""
        self.accept(9)
        for connections in (8, 7):
            self.close()
            self.assertFalse(self.held)
            self.assertEqual((self.mine.connections, self.mine.accepted), (connections, 9))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_draining(self) -> None:
        """All that wait are accepted."""
        self.accept(9)
        self.balancer.draining = True
        self.balancer.resume()
        self.accept(100)
        self.assertFalse(self.held)

    def test_stop(self) -> None:
        self.accept(9)
        for _ in range(2):
            self.balancer.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closedPort(self) -> None:
        self.accept(9)
        self.listener.socket.close()
        self.clock.advance(0.01)
        self.assertFalse(self.held)


class LimitTests(BalancingCase):
    def test_total(self) -> None:
        """The limit is one of all workers together, also while they drain."""
        for draining in (False, True):
            self.balance(20)
            self.mine.connections, self.other.connections = 0, 15
            self.balancer.draining = draining
            self.accept(4)
            self.assertFalse(self.held)
            self.accept()
            self.assertTrue(self.held)

    def test_full(self) -> None:
        """A client waits until a connection is closed, here or in another worker."""
        self.balance(5)
        self.clientWaits()
        self.accept(5)
        for _ in range(100):
            self.clock.advance(0.01)
            self.assertFalse(self.listener.mayAccept())
        self.close()
        self.assertTrue(self.listener.mayAccept())
        self.other.connections = 1
        self.assertFalse(self.listener.mayAccept())
        self.other.connections = 0
        self.clock.advance(0.01)
        self.assertTrue(self.listener.mayAccept())

    def test_lead(self) -> None:
        """Clients that wait because of the limit allow no larger lead."""
        self.balance(20)
        self.clientWaits()
        self.other.connections = 5
        self.accept(15)
        for _ in range(10):
            self.clock.advance(0.01)
            self.assertFalse(self.listener.mayAccept())
        self.close()
        self.assertFalse(self.listener.mayAccept())
