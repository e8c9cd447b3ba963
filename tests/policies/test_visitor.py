"""Tests for `tcplab.policies.visitor`: one connection, on a clock of the test's."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies.visitor import Visitor
from tests.policies.announcing import BLOCK, LINE


class Room:
    """An anteroom, and who decides on those in it, that writes down what it is told."""

    versions = frozenset((1, 2))
    deadline: float | None = 5.0

    def __init__(self) -> None:
        self.keeper = self
        self.told: list[Any] = []

    def enter(self, visitor: Visitor) -> None:
        self.told.append("waits")

    def leave(self, visitor: Visitor) -> None: ...

    def gone(self) -> None:
        self.told.append("gone")

    def refuse(self, visitor: Visitor, why: str, problem: str) -> None:
        self.told.append(why)
        visitor.reset()

    def announced(self, visitor: Visitor, header: Any) -> None:
        self.told.append(header.family)


class VisitorTests(SynchronousTestCase):
    def come(self, data: bytes = b"") -> Visitor:
        """Have somebody come with some bytes."""
        self.reactor = MemoryReactorClock()
        self.room = Room()
        self.peer, client = socket.socketpair()
        self.addCleanup(self.peer.close)
        self.addCleanup(client.close)
        self.peer.sendall(data)
        visitor = Visitor(self.room, client, b"", None, self.reactor)  # type: ignore[arg-type]
        visitor.come()
        return visitor

    def say(self, visitor: Visitor, data: bytes) -> None:
        self.peer.sendall(data)
        visitor.doRead()

    def left(self) -> None:
        """Nothing is left behind in the reactor."""
        self.assertEqual((self.reactor.getReaders(), self.reactor.getDelayedCalls()), ([], []))

    def test_aHeaderThatIsThereAtOnceNeedsNoReactor(self) -> None:
        visitor = self.come(BLOCK + b"\x16rest")
        self.assertEqual(self.room.told, ["TCP4"])
        self.assertEqual(visitor.socket.recv(100), b"\x16rest")
        self.left()

    def test_theRestOfOneThatIsNotIsAwaited(self) -> None:
        visitor = self.come(LINE[:5])
        self.assertEqual(self.room.told, ["waits"])
        self.assertEqual(self.reactor.getReaders(), [visitor])
        self.say(visitor, LINE[5:-1])
        visitor.doRead()  # woken in vain
        self.say(visitor, b"\nrest")
        self.assertEqual(self.room.told, ["waits", "TCP4"])
        self.assertEqual(visitor.socket.recv(100), b"rest")
        self.left()

    def test_whatHasComeOfItDoesNotStayInTheKernel(self) -> None:
        """It would wake the reactor again and again."""
        visitor = self.come(BLOCK[:-1])
        self.assertRaises(BlockingIOError, visitor.socket.recv, 1, socket.MSG_DONTWAIT)

    def test_theDeadlineIsAbsolute(self) -> None:
        visitor = self.come()
        for at in range(10):
            self.reactor.advance(0.499)
            self.say(visitor, LINE[at : at + 1])
        self.assertEqual(self.room.told, ["waits"])
        self.reactor.advance(0.011)
        self.assertEqual(self.room.told, ["waits", "handshake-timeout"])
        self.left()

    def test_withoutADeadline(self) -> None:
        self.patch(Room, "deadline", None)
        visitor = self.come()
        self.reactor.advance(1e9)
        visitor.hurry(1.0)
        self.assertEqual(self.room.told, ["waits"])
        self.reactor.advance(1.0)
        self.assertEqual(self.room.told, ["waits", "handshake-timeout"])

    def test_toHurryLeavesNoMoreTime(self) -> None:
        visitor = self.come()
        visitor.hurry(9.0)
        self.reactor.advance(4.5)
        visitor.hurry(1.0)
        self.reactor.advance(0.5)
        self.assertEqual(self.room.told, ["waits", "handshake-timeout"])

    def test_whatIsWrongIsKnownAtOnce(self) -> None:
        visitor = self.come(b"PROXY T")
        self.say(visitor, b"x")
        self.assertEqual(self.room.told, ["waits", "header"])
        self.assertEqual(visitor.socket.fileno(), -1)
        self.left()

    def test_itMayLeaveBeforeItSaysAnything(self) -> None:
        visitor = self.come()
        self.peer.close()
        visitor.doRead()
        self.assertEqual((self.room.told, visitor.socket.fileno()), (["waits", "gone"], -1))
        self.left()

    def test_butNotInTheMiddle(self) -> None:
        visitor = self.come(LINE[:9])
        self.peer.close()
        visitor.doRead()
        self.assertEqual(self.room.told, ["waits", "header"])

    def test_theReactorMayEndIt(self) -> None:
        visitor = self.come(LINE[:9])
        for _ in range(2):
            visitor.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((self.room.told, visitor.socket.fileno()), (["waits", "gone"], -1))
        self.left()
