"""How workers share who connects."""

from __future__ import annotations

import socket
import time
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.workers.balancing import AcceptBalancer
from tcplab.workers.scoreboard import Scoreboard, WorkerRow


class FakeListener:
    """Knows why it is suspended."""

    connections = ()

    def __init__(self, port: Any) -> None:
        self.ports = [port]
        self.reasons: set[str] = set()
        self.policies: list[object] = []

    def addPolicy(self, policy: object) -> None:
        self.policies.append(policy)

    def removePolicy(self, policy: object) -> None:
        self.policies.remove(policy)

    def suspend(self, reason: str) -> None:
        self.reasons.add(reason)

    def resume(self, reason: str) -> None:
        self.reasons.discard(reason)


class FakePort:
    """Counts how often it accepts, if it may; on a real socket, which may have a backlog."""

    balancer: AcceptBalancer

    def __init__(self, test: SynchronousTestCase) -> None:
        self.accepted = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        test.addCleanup(self.socket.close)
        self.fileno = self.socket.fileno

    def doRead(self) -> None:
        self.accepted += self.balancer.mayAccept()


class FakeServing:
    """Both."""

    def __init__(self, test: SynchronousTestCase) -> None:
        self.port = FakePort(test)
        self.listener = FakeListener(self.port)


class SharingCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.board = Scoreboard(Scoreboard.create(4))
        self.mine, self.other = self.row(), self.row()
        self.clock = Clock()
        self.share()

    def row(self) -> WorkerRow:
        number = self.board.take()
        assert number is not None
        row = self.board.rows[number]
        row.accepting = 1
        row.heartbeat = time.monotonic_ns() + 10**12  # it lives
        return row

    def share(self, most: int | None = None) -> None:
        self.serving = FakeServing(self)
        self.balancer = AcceptBalancer(self.board, self.mine, most, self.clock)
        self.serving.port.balancer = self.balancer
        self.balancer.watch(self.serving.listener)

    def come(self, number: int = 1) -> None:
        for _ in range(number):
            self.balancer.connectionAccepted(None)
            self.balancer.mayAccept()  # as an acceptor asks, to go on

    def go(self, number: int = 1) -> None:
        for _ in range(number):
            self.balancer.connectionClosed(None)

    def somebodyWaits(self) -> None:
        peer = socket.create_connection(self.serving.port.socket.getsockname())
        self.addCleanup(peer.close)

    @property
    def held(self) -> bool:
        return bool(self.serving.listener.reasons)


class Evenly(SharingCase):
    def test_counts(self) -> None:
        self.come(3)
        self.go()
        self.assertEqual((self.mine.connections, self.mine.accepted), (2, 3))

    def test_a_little_ahead(self) -> None:
        self.come(8)
        self.assertFalse(self.held)

    def test_far_ahead_it_holds_back_in_the_middle_of_a_batch(self) -> None:
        self.come(9)
        self.assertTrue(self.held)

    def test_it_accepts_again_after_a_moment(self) -> None:
        self.come(9)
        self.clock.advance(0.01)
        self.assertFalse(self.held)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_before_it_accepts_it_looks_again(self) -> None:
        self.come(9)
        self.clock.advance(0.01)
        self.serving.port.doRead()
        self.assertEqual(self.serving.port.accepted, 0)
        self.assertTrue(self.held)
        self.other.connections = 5
        self.clock.advance(0.01)
        self.serving.port.doRead()
        self.assertEqual(self.serving.port.accepted, 1)

    def test_whom_nobody_fetches_it_fetches(self) -> None:
        self.come(9)
        self.somebodyWaits()
        self.clock.advance(0.01)
        self.serving.port.doRead()
        self.assertEqual(self.serving.port.accepted, 1)
        self.come(7)  # as many more as it was ahead: it holds back anew
        self.assertFalse(self.held)
        self.come()
        self.assertTrue(self.held)

    def test_when_the_others_fetch_again_it_is_as_strict_as_before(self) -> None:
        self.come(9)
        self.somebodyWaits()
        self.clock.advance(0.01)
        self.other.connections = 9
        self.come()
        self.other.connections = 0
        self.come()
        self.assertTrue(self.held)

    def test_alone_it_takes_all(self) -> None:
        self.other.accepting = 0
        self.come(100)
        self.assertFalse(self.held)

    def test_others_that_are_silent_do_not_count(self) -> None:
        self.other.heartbeat = 1
        self.come(100)
        self.assertFalse(self.held)

    def test_room_that_is_made_is_used_at_once(self) -> None:
        self.come(9)
        self.go()
        self.assertFalse(self.held)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_in_the_end_all_who_wait_are_taken(self) -> None:
        self.come(9)
        self.balancer.draining = True
        self.balancer.resume()
        self.come(100)
        self.assertFalse(self.held)

    def test_stop_leaves_no_timer(self) -> None:
        self.come(9)
        self.balancer.stop()
        self.balancer.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_port_that_is_closed(self) -> None:
        self.come(9)
        self.serving.listener.ports = []
        self.clock.advance(0.01)
        self.assertFalse(self.held)


class InAll(SharingCase):
    def test_limit_is_of_all(self) -> None:
        self.share(20)
        self.other.connections = 15
        self.come(4)
        self.assertFalse(self.held)
        self.come()
        self.assertTrue(self.held)

    def test_who_waits_waits(self) -> None:
        self.share(5)
        self.somebodyWaits()
        self.come(5)
        for _ in range(100):
            self.clock.advance(0.01)
            self.serving.port.doRead()
        self.assertEqual(self.serving.port.accepted, 0)
        self.go()
        self.serving.port.doRead()
        self.assertEqual(self.serving.port.accepted, 1)

    def test_who_leaves_another_makes_room_too(self) -> None:
        self.share(5)
        self.other.connections = 5
        self.serving.port.doRead()
        self.other.connections = 4
        self.clock.advance(0.01)
        self.serving.port.doRead()
        self.assertEqual(self.serving.port.accepted, 1)

    def test_limit_holds_in_the_end_too(self) -> None:
        self.share(5)
        self.balancer.draining = True
        self.come(5)
        self.assertTrue(self.held)
