"""Tests for `tcplab.policies.memory`."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import Logger, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies import memory as module
from tcplab.policies.memory import MemoryPressure, handshakeLimit

MIB = 2**20


class FakeCgroup:
    """A limit of 100 MiB, and what is used of it."""

    limit = 100 * MIB

    def __init__(self) -> None:
        self.percent = 40
        self.asked = 0

    def used(self) -> int:
        self.asked += 1
        return self.percent * MIB


class FakeProgress:
    """Knows of each connection what it is told."""

    def mayHavePending(self, transports: Any) -> list[Any]:
        return [each for each in transports if each.waiting or not each.established]

    def measure(self, transport: FakeTransport) -> tuple[int, int]:
        return transport.taken, transport.waiting

    def prune(self) -> None:
        pass


class FakeTransport:
    """A connection for whom something may wait."""

    def __init__(self, listener: FakeListener, number: int) -> None:
        self.connected = self.established = True
        self.accepted = 0.0
        self.readLimit, self.bufferSize = 131072, 65536
        self.taken = self.waiting = 0
        self.why = ""
        self.connection = self
        self.peer = IPv4Address("TCP", f"10.0.0.{number}", 1)
        self._listener = listener

    def setReason(self, why: str) -> None:
        self.why = why

    def abortConnection(self) -> None:
        self.connected = False
        self._listener.connections.remove(self)


class FakeListener:
    """Accepts who connects, unless it is suspended."""

    def __init__(self) -> None:
        self.connections: list[FakeTransport] = []
        self.policies: list[Any] = []
        self.reasons: set[str] = set()
        self.backlog = 0
        self.number = 0

    def addPolicy(self, policy: Any) -> None:
        self.policies.append(policy)

    def removePolicy(self, policy: Any) -> None:
        self.policies.remove(policy)

    def suspend(self, reason: str) -> None:
        self.reasons.add(reason)

    def resume(self, reason: str) -> None:
        self.reasons.remove(reason)
        self.connect(0)

    def connect(self, number: int) -> None:
        self.backlog += number
        while self.backlog and not self.reasons:
            self.backlog -= 1
            self.number += 1
            transport = FakeTransport(self, self.number)
            self.connections.append(transport)
            for guard in self.policies:
                guard.connectionAccepted(transport)


class MemoryTests(SynchronousTestCase):
    """Who goes, who waits, and who notices nothing."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.cgroup = FakeCgroup()
        self.trimmed = 0
        self.freed = 0
        self.logged = EventLoggingObserver()
        self.patch(module, "log", Logger(observer=self.logged))
        self.patch(module, "Progress", FakeProgress)
        self.patch(module, "trim", self.trim)
        self.memory = MemoryPressure(self.cgroup, clock=self.clock)  # type: ignore[arg-type]
        self.listener = self.watched()

    def watched(self) -> FakeListener:
        listener = FakeListener()
        self.memory.watch(listener)  # type: ignore[arg-type]
        return listener

    def trim(self) -> None:
        self.trimmed += 1
        self.cgroup.percent -= self.freed
        self.freed = 0

    def wait(self, seconds: float) -> None:
        self.clock.pump([0.1] * round(10 * seconds))

    def stuck(self, number: int) -> list[FakeTransport]:
        self.listener.connect(number)
        for each in self.listener.connections:
            each.waiting = 1000
        return list(self.listener.connections)

    def gone(self) -> list[int]:
        return [int(each.peer.host.rpartition(".")[2]) for each in self.all if not each.connected]

    def test_enough(self) -> None:
        """While it is not tight nobody notices anything."""
        self.all = self.stuck(100)
        self.wait(5)
        self.assertEqual((self.gone(), self.listener.reasons, self.trimmed), ([], set(), 0))
        self.assertEqual((self.all[0].readLimit, self.all[0].bufferSize), (131072, 65536))

    def test_smallerBuffers(self) -> None:
        """From half of it on, for those who are there and for those who come; but not larger."""
        self.listener.connect(2)
        self.listener.connections[0].readLimit = 100
        self.cgroup.percent = 50
        self.wait(0.1)
        self.listener.connect(1)
        limits = [(each.readLimit, each.bufferSize) for each in self.listener.connections]
        self.assertEqual(limits, [(100, 16384), (16384, 16384), (16384, 16384)])

    def test_theLongestStuckGoes(self) -> None:
        """As many as it takes, after a second, in the order in which they got stuck."""
        self.cgroup.percent = 60
        self.all = self.stuck(3)
        self.wait(0.5)
        self.listener.connect(12)
        self.all = self.stuck(0)
        self.wait(0.8)
        self.cgroup.percent = 76  # a MiB too much: five at 256 KiB
        self.wait(0.1)
        self.assertEqual(self.gone(), [1, 2, 3])
        while len(self.gone()) == 3:
            self.wait(0.1)
        self.assertEqual(len(self.gone()), 3 + 5)
        self.assertEqual({each.why for each in self.all if not each.connected}, {"memory"})

    def test_atLeastOne(self) -> None:
        """At three quarters exactly."""
        self.cgroup.percent = 75
        self.all = self.stuck(3)
        self.wait(1.2)
        self.assertEqual(self.gone(), [1])

    def test_whoGetsOnStays(self) -> None:
        """However slowly; also who takes something between two looks at all of them."""
        self.cgroup.percent = 75
        self.all = self.stuck(3)
        for _ in range(30):
            self.wait(0.1)
            for each in self.all:
                each.taken += 1
        self.assertEqual(self.gone(), [])

    def test_whoWaitsForNothingStays(self) -> None:
        self.listener.connect(5)
        self.all = list(self.listener.connections)
        self.cgroup.percent = 99
        self.wait(10)
        self.assertEqual(self.gone(), [])

    def test_handshakes(self) -> None:
        """Who does not finish one is stuck, whatever it says and takes."""
        self.listener.connect(2)
        self.all = list(self.listener.connections)
        self.all[1].established = False
        self.cgroup.percent = 80
        for _ in range(15):
            self.wait(0.1)
            self.all[1].taken += 1
        self.assertEqual(self.gone(), [2])

    def test_freeMemoryFirst(self) -> None:
        """What is only not given back costs nobody its connection."""
        self.cgroup.percent = 60
        self.all = self.stuck(3)
        self.wait(2)
        self.cgroup.percent, self.freed = 95, 50
        self.wait(0.1)
        self.assertEqual((self.gone(), self.listener.reasons), ([], set()))
        self.assertEqual((self.trimmed, self.cgroup.percent), (1, 45))

    def test_timeThatWasNobodys(self) -> None:
        """When the process was stopped nobody was stuck."""
        self.cgroup.percent = 75
        self.all = self.stuck(3)
        self.wait(0.1)
        self.clock.advance(100)
        self.wait(0.3)
        self.assertEqual(self.gone(), [])

    def test_newcomersWait(self) -> None:
        """When it is tight sixteen come in at a time; when nearly nothing is left, nobody does."""
        other = self.watched()
        self.cgroup.percent = 80
        self.listener.connect(50)
        self.assertEqual((len(self.listener.connections), len(other.reasons)), (16, 1))
        self.wait(0.1)
        self.assertEqual(len(self.listener.connections), 32)
        self.cgroup.percent = 90
        self.wait(1)
        self.assertEqual(len(self.listener.connections), 32)
        self.cgroup.percent = 40
        self.wait(0.1)
        self.assertEqual((len(self.listener.connections), self.listener.reasons), (50, set()))
        self.assertEqual(other.reasons, set())

    def test_newcomersWaitForNobody(self) -> None:
        """Accepting goes on when memory is there again, though nobody is connected any more."""
        self.cgroup.percent = 95
        self.listener.connect(20)
        for each in list(self.listener.connections):
            each.abortConnection()
        self.wait(1)
        self.assertEqual(self.listener.backlog, 4)
        self.cgroup.percent = 40
        self.wait(0.1)
        self.assertEqual(self.listener.backlog, 0)

    def test_watchedMeanwhile(self) -> None:
        """One that is watched later waits too; and one with connections is looked after."""
        self.cgroup.percent = 95
        self.listener.connect(20)
        self.assertEqual(len(self.watched().reasons), 1)
        self.memory.stop()
        self.memory.watch(self.listener)  # type: ignore[arg-type]
        self.cgroup.percent = 75
        self.all = self.stuck(0)
        self.wait(1.2)
        self.assertEqual(len(self.gone()), 1)

    def test_rest(self) -> None:
        """While nobody is connected nothing is asked."""
        self.listener.connect(1)
        self.wait(1)
        self.listener.connections[0].abortConnection()
        self.wait(0.1)
        asked = self.cgroup.asked
        self.wait(10)
        self.assertEqual(self.cgroup.asked, asked)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop(self) -> None:
        """It leaves nobody waiting, and no timer."""
        self.cgroup.percent = 95
        self.listener.connect(20)
        self.memory.stop()
        self.assertEqual((self.listener.policies, self.listener.reasons), ([], set()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_noLimit(self) -> None:
        """Then it is as if it were not there."""
        listener = FakeListener()
        memory = MemoryPressure(None, clock=self.clock)
        memory.watch(listener)  # type: ignore[arg-type]
        self.assertEqual(listener.policies, [])
        memory.stop()

    def test_log(self) -> None:
        """Both are told, with the numbers, and at most once a second."""
        self.cgroup.percent = 92
        self.listener.connect(100)
        self.all = self.stuck(0)
        self.wait(1.3)
        lines = [formatEvent(event) for event in self.logged]
        self.assertEqual(
            lines,
            [
                "paused=1 why=memory used=92MiB limit=100MiB: who connects waits in the backlog",
                "shed=1 why=memory used=92MiB limit=100MiB last=10.0.0.1",
            ],
        )

    def test_handshakesThatMayBe(self) -> None:
        """An eighth of the memory is for them."""
        self.assertEqual(handshakeLimit(self.cgroup), 12.5 * MIB // (48 * 1024))  # type: ignore[arg-type]
        self.assertEqual(handshakeLimit(None), float("inf"))
