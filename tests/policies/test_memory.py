"""Tests for `tcplab.policies.memory`."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

from twisted.internet.testing import EventLoggingObserver
from twisted.logger import Logger, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies import memory as module
from tcplab.policies import progress
from tcplab.policies.memory import Cgroup, HeapTrim, MemoryPressure, handshakeLimit, memoryCgroup
from tests.support.memory_listener import MemoryListener, memoryClock, unacknowledged

MIB = 2**20


class CgroupTests(SynchronousTestCase):
    """In a folder that looks like ``/sys/fs/cgroup``."""

    def setUp(self) -> None:
        self.root = Path(self.mktemp())

    def write(self, path: str, text: object) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def find(self, *own: str) -> Cgroup | None:
        self.write("own", "\n".join(own))
        return memoryCgroup(self.root / "own", self.root)

    def test_limit(self) -> None:
        """The lowest of all limits, in either version, and in a container."""
        v1, size = "memory.limit_in_bytes", 160 * MIB
        for files, own, limit in (
            ({"a.slice/b/memory.max": size}, ["0::/a.slice/b"], size),
            # The controller of version 1 may share its folder with another.
            ({f"memory/a/{v1}": size, f"cpu/a/{v1}": 1}, ["5:cpu:/a", "4:rdma,memory:/a"], size),
            # Where there are both, version 2 has a folder of its own, and no limit.
            ({f"memory/a/{v1}": size, "unified/a/procs": ""}, ["4:memory:/a", "0::/a"], size),
            ({"a/memory.max": 5, "a/b/memory.max": 7, "a/b/c/memory.max": "max"}, ["0::/a/b/c"], 5),
            # A container may show the path of the host, and mount its own cgroup as the root.
            ({f"memory/{v1}": size}, ["4:memory:/docker/abc"], size),
            ({"a/memory.max": "max"}, ["0::/a"], None),
            ({f"memory/a/{v1}": 9223372036854771712}, ["4:memory:/a"], None),
            ({}, ["0::/a", "4:memory:/a", "4:cpu:/a"], None),
            ({}, [], None),
        ):
            self.root = Path(self.mktemp())
            for path, text in files.items():
                self.write(path, text)
            found = self.find(*own)
            self.assertEqual(found and found.limit, limit, own)
        self.assertIsNone(memoryCgroup(self.root / "nowhere", self.root))

    def test_used(self) -> None:
        """Without the page cache, which is read above half of the limit only."""
        for own, folder, limit, used, prefix in (
            ("0::/a", "a", "memory.max", "memory.current", ""),
            ("4:memory:/a", "memory/a", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
        ):
            self.write(f"{folder}/{limit}", 160 * MIB)
            found = self.find(own)
            assert found is not None
            self.assertEqual(found.used(), 0)  # there is no file, as after a move of the process
            cache = f"{prefix}active_file {10 * MIB}\n{prefix}inactive_file {20 * MIB}"
            self.write(f"{folder}/memory.stat", f"active_files 5\n{cache}")
            for current, expected in ((100, 70), (79, 79)):
                self.write(f"{folder}/{used}", current * MIB)
                self.assertEqual(found.used(), expected * MIB)


def nothing(peer: Any) -> None: ...


class FakeCgroup:
    """A limit of 100 MiB, and how much of it is used."""

    limit = 100 * MIB

    def __init__(self) -> None:
        self.percent = 40
        self.asked = 0

    def used(self) -> int:
        self.asked += 1
        return self.percent * MIB


class MemoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = memoryClock()
        self.cgroup: Any = FakeCgroup()
        self.trimmed = self.freed = 0
        self.logged = EventLoggingObserver()
        self.patch(module, "log", Logger(observer=self.logged))
        self.patch(progress, "unacknowledgedBytes", unacknowledged)
        self.patch(module, "trim", self.trim)
        self.memory = MemoryPressure(self.cgroup, clock=self.clock)
        self.all: list[Any] = []
        self.listener = self.watched()

    def watched(self) -> MemoryListener:
        listener = MemoryListener(self.clock)
        self.memory.watch(listener)
        return listener

    def trim(self) -> None:
        self.trimmed += 1
        self.cgroup.percent -= self.freed
        self.freed = 0

    def wait(self, seconds: float) -> None:
        self.clock.pump([0.1] * round(10 * seconds))

    def connect(self, number: int) -> None:
        known = set(self.all)
        for _ in range(number):
            self.listener.connect((f"10.0.0.{self.listener.nextNumber()}", 1))
        self.all += sorted(self.listener.connections - known, key=lambda each: each.sessionno)

    def stuck(self, number: int) -> None:
        self.connect(number)
        for each in self.all:
            each.say(1000)

    def gone(self) -> list[int]:
        """Return which connections are reset: the numbers in the order of accept."""
        self.clock.advance(0)
        return [number for number, each in enumerate(self.all) if not each.connected]

    def test_buffers(self) -> None:
        """From half of the limit on smaller ones, for open connections and new ones."""
        self.connect(2)
        self.all[0].readLimit = 100
        self.wait(5)
        self.assertEqual((self.all[1].readLimit, self.all[1].bufferSize), (196608, 65536))
        self.cgroup.percent = 50
        self.wait(0.1)
        self.connect(1)
        limits = [(each.readLimit, each.bufferSize) for each in self.all]
        self.assertEqual(limits, [(100, 16384), (16384, 16384), (16384, 16384)])

    def test_longestStuck(self) -> None:
        """As many as suffice are reset, after a second, in the order in which they got stuck."""
        self.cgroup.percent = 60
        self.stuck(3)
        self.wait(0.5)
        self.stuck(12)
        self.wait(0.8)
        self.cgroup.percent = 76  # a MiB too much: five at 256 KiB
        self.wait(0.1)
        self.assertEqual(self.gone(), [0, 1, 2])
        while len(self.gone()) == 3:
            self.wait(0.1)
        self.assertEqual(len(self.gone()), 3 + 5)
        self.assertEqual(set(self.listener.whys), {"memory"})

    def test_stuck(self) -> None:
        """From three quarters on one is reset at least, if its peer takes nothing for a second."""
        for percent, each, shed in (
            (40, nothing, 0),
            (75, nothing, 1),
            (75, lambda peer: peer.take(1), 0),
            (75, lambda peer: peer.take(1000), 0),
        ):
            self.listener.close()
            self.wait(1)
            self.cgroup.percent, self.all = percent, []
            self.stuck(3)
            for _ in range(12):
                self.wait(0.1)
                for peer in self.listener.connections:
                    each(peer)
            self.assertEqual((len(self.gone()), self.trimmed > 0), (shed, percent == 75))
            self.assertEqual(self.listener.reasons, [])

    def test_progressSinceTheSearch(self) -> None:
        """A peer that has taken bytes just now is not reset."""
        self.cgroup.percent = 60
        self.stuck(1)
        self.wait(1.3)
        self.all[0].take(1)
        self.cgroup.percent = 76
        self.wait(0.1)
        self.assertEqual(self.gone(), [])

    def test_handshakes(self) -> None:
        """A connection in its handshake is stuck, whatever its peer sends and takes."""
        self.connect(1)
        self.listener.tls = True
        self.connect(1)
        self.cgroup.percent = 80
        for _ in range(15):
            self.wait(0.1)
            if self.all[1].connected:
                self.all[1].say(1, taken=1)
        self.assertEqual(self.gone(), [1])

    def test_trimFirst(self) -> None:
        """Free memory is returned before a connection is reset, or accepting paused."""
        self.cgroup.percent = 60
        self.stuck(3)
        self.wait(2)
        self.cgroup.percent, self.freed = 95, 50
        self.wait(0.1)
        self.assertEqual((self.gone(), self.listener.reasons), ([], []))
        self.assertEqual((self.trimmed, self.cgroup.percent), (1, 45))

    def test_lostTime(self) -> None:
        """Time in which the process was stopped does not count."""
        self.cgroup.percent = 75
        self.stuck(3)
        self.wait(0.1)
        self.clock.advance(100)
        self.wait(0.3)
        self.assertEqual(self.gone(), [])

    def test_accepting(self) -> None:
        """Sixteen at a time under pressure; none when nearly no memory is left."""
        other = self.watched()
        self.cgroup.percent = 80
        self.connect(50)
        self.assertEqual((len(self.listener.connections), other.reasons), (16, ["memory"]))
        self.wait(0.1)
        self.assertEqual(len(self.listener.connections), 32)
        self.cgroup.percent = 90
        self.wait(1)
        self.assertEqual(len(self.listener.connections), 32)
        self.cgroup.percent = 40
        self.wait(0.1)
        self.assertEqual((len(self.listener.connections), self.listener.reasons), (50, []))
        self.assertEqual(other.reasons, [])

    def test_watchedLater(self) -> None:
        """Such a listener is suspended too; after a stop its open connections are checked."""
        self.cgroup.percent = 95
        self.connect(20)
        self.assertEqual(self.watched().reasons, ["memory"])
        self.memory.stop()
        self.assertEqual((self.listener.policies, self.listener.reasons), ((), []))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.memory.watch(self.listener)
        self.cgroup.percent = 75
        self.stuck(0)
        self.wait(1.2)
        self.assertEqual(len(self.gone()), 1)

    def test_noConnections(self) -> None:
        """The kernel is asked only while accepting is paused, which ends as with connections."""
        self.cgroup.percent = 95
        self.connect(20)
        self.listener.close()
        self.wait(1)
        self.assertEqual(len(self.listener.backlog), 4)
        self.cgroup.percent = 40
        self.wait(0.1)
        self.assertEqual(len(self.listener.backlog), 0)
        self.listener.close()
        self.wait(0.1)
        asked = self.cgroup.asked
        self.wait(10)
        self.assertEqual((self.cgroup.asked, self.clock.getDelayedCalls()), (asked, []))

    def test_limit(self) -> None:
        """Without one the policy does nothing; an eighth of it is for handshakes."""
        listener = MemoryListener(self.clock)
        memory = MemoryPressure(None, clock=self.clock)
        memory.watch(listener)
        memory.stop()
        self.assertEqual((listener.policies, handshakeLimit(None)), ((), float("inf")))
        self.assertEqual(handshakeLimit(self.cgroup), 12.5 * MIB // (48 * 1024))

    def test_log(self) -> None:
        """At most once a second, with the numbers."""
        self.cgroup.percent = 92
        self.connect(100)
        self.stuck(0)
        self.wait(1.3)
        text = "memory used=92MiB limit=100MiB"
        paused, shed = [formatEvent(event) for event in self.logged]
        self.assertEqual(paused, f"paused=1 why={text}: new clients wait in the listen queue")
        self.assertRegex(shed, rf"^shed=1 why={text} last=10.0.0.\d+$")


class HeapTrimTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = memoryClock()
        self.trimmed = 0
        self.patch(module, "trim", self.trim)
        self.policy = HeapTrim(clock=self.clock)
        self.listener = MemoryListener(self.clock)
        self.policy.watch(self.listener)

    def trim(self) -> None:
        self.trimmed += 1

    def open(self, number: int) -> None:
        self.listener.connect(*[("192.0.2.1", 1)] * number)

    def close(self, number: int) -> None:
        for transport in list(self.listener.connections)[:number]:
            transport.end()

    def trims(self, seconds: int) -> int:
        """Return how many there are in some seconds."""
        self.trimmed = 0
        self.clock.pump([1.0] * seconds)
        return self.trimmed

    def test_burst(self) -> None:
        """Within a second, once, where half of the open connections have closed, and sixteen."""
        for opened, closed, trims in (
            (15, 15, 0),
            (1, 1, 1),  # the sixteenth
            (100, 0, 0),
            (0, 49, 0),
            (0, 1, 1),
            (0, 24, 0),  # of the 50 that are left
            (0, 26, 1),
        ):
            self.open(opened)
            self.close(closed)
            self.assertEqual((self.trims(1), self.trims(5)), (trims, 0), (opened, closed))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_oneAfterTheOther(self) -> None:
        """Short connections add up, but not to more than one trim a second."""
        self.trimmed = 0
        for _ in range(10):
            self.open(100)
            self.close(100)
            self.clock.advance(0.5)
        self.assertEqual(self.trimmed, 5)

    def test_cycles(self) -> None:
        """The garbage collector runs when the last connection has closed."""

        class Cycle:
            def __init__(self) -> None:
                self.cycle = self

        gc.disable()
        self.addCleanup(gc.enable)
        left = weakref.ref(Cycle())
        self.open(20)
        self.close(19)
        self.assertEqual((self.trims(2), left() is None), (1, False))
        self.open(20)
        self.close(21)
        self.assertEqual((self.trims(2), left() is None), (1, True))

    def test_watchedLater(self) -> None:
        """Open connections count."""
        other = MemoryListener(self.clock)
        other.connect(*[("192.0.2.1", 1)] * 20)
        self.policy.watch(other)
        other.close()
        self.assertEqual(self.trims(1), 1)

    def test_stop(self) -> None:
        """No timer is left, and counting begins anew."""
        self.open(20)
        self.policy.stop()
        self.policy.stop()
        self.assertEqual((self.listener.policies, self.clock.getDelayedCalls()), ((), []))
        self.close(20)
        self.policy.watch(self.listener)
        self.open(15)
        self.close(15)
        self.assertEqual(self.trims(5), 0)


class TrimTests(SynchronousTestCase):
    def test_trim(self) -> None:
        """With glibc, and without."""
        module.trim()
        self.patch(module.ctypes, "CDLL", lambda _: object())
        module.trim()
