"""Tests for `tcplab.policies.listenqueue`."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import LogLevel

from tcplab.policies import listenqueue
from tcplab.policies.listenqueue import ListenQueueLog
from tests.support.log_capture import Logged
from tests.support.memory_listener import MemoryListener


class ListenQueueTests(Logged):
    def setUp(self) -> None:
        super().setUp()
        self.patch(listenqueue, "NETSTAT", self.mktemp())
        self.count(7, 9)
        self.clock = Clock()
        self.listener = MemoryListener(self.clock)
        self.policy = ListenQueueLog(self.clock)
        self.policy.portAdded(self.listener)
        self.policy.watch(self.listener)

    def count(self, overflows: int, drops: int) -> None:
        with open(listenqueue.NETSTAT, "w") as file:
            file.write("TcpExt: SyncookiesSent ListenOverflows ListenDrops\n")
            file.write(f"TcpExt: 1 {overflows} {drops}\nIpExt: InNoRoutes\nIpExt: 1\n")

    def said(self) -> list[str]:
        lines, self.events[:] = self.lines(LogLevel.warn), []
        whose = "a listen queue of this machine was full, this lab's or another program's: "
        return [line.removeprefix(whose).partition(";")[0] for line in lines]

    def test_rises(self) -> None:
        """A line at once, and then one a minute with all that came since."""
        self.clock.pump([1] * 10)
        self.assertEqual(self.said(), [])
        self.count(10, 13)
        self.clock.pump([1] * 10)
        self.assertEqual(self.said(), ["overflows=3 drops=4"])
        for number in range(50):
            self.count(11 + number, 14)
            self.clock.advance(1)
        self.assertEqual(self.said(), [])
        self.clock.pump([1] * 20)
        self.assertEqual(self.said(), ["overflows=50 drops=1"])

    def test_noCounters(self) -> None:
        """A file of another form, or none, is no reason to fail."""
        with open(listenqueue.NETSTAT, "w") as file:
            file.write("TcpExt: a\nTcpExt: 1\n")
        self.clock.pump([1] * 10)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.patch(listenqueue, "NETSTAT", "/gone")
        ListenQueueLog(self.clock).portAdded(self.listener)
        self.assertEqual((self.said(), self.clock.getDelayedCalls()), ([], []))

    def test_stop(self) -> None:
        """No timer is left."""
        self.policy.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
