"""The workers, as many as there should be."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from tcplab.config.errors import SettingsError
from tcplab.server.drain import Drained
from tcplab.workers.workerprocess import WorkerProcess, WorkerState
from tests.support.fake_workers import FakeSpawner, PoolHelper
from tests.support.log_capture import Logged

#: Two serve, and one more starts.
COMPLETE = [WorkerState.SERVING, WorkerState.SERVING, WorkerState.STARTING]


class PoolCase(Logged, PoolHelper):
    @property
    def started(self) -> list[WorkerProcess]:
        return self.spawned.started

    def assertActivating(self, process: WorkerProcess, number: int) -> None:
        self.assertEqual((process.state, process.number), (WorkerState.ACTIVATING, number))


class StartTests(PoolCase):
    def test_size(self) -> None:
        self.startPool(3)
        self.assertEqual(self.stages(), [WorkerState.STARTING] * 3)
        for process in self.started[:3]:
            self.say(process, "ready")
        self.clock.advance(1)
        self.assertEqual([each.number for each in self.pool.processes], [1, 2, 3, 0])
        self.assertEqual(self.stages(), [WorkerState.ACTIVATING] * 3 + [WorkerState.STARTING])

    def test_allServing(self) -> None:
        self.startPool()
        for process in self.started[:2]:
            self.say(process, "ready")
            self.assertEqual(self.outcomes, [])
            self.say(process, "serves")
        self.assertEqual(self.outcomes, [None])
        self.assertIn("worker 1 (pid 101) serves", self.lines())

    def test_cannotServe(self) -> None:
        """One that has no valid settings, and none that can be started."""
        for most in (10000, 0):
            self.patch(FakeSpawner, "most", most)
            self.startPool()
            if most:
                self.die(self.started[0], 78)
            [failure] = self.outcomes
            self.assertIsInstance(failure.value, SettingsError)

    def test_startedLater(self) -> None:
        """One can be started at once, and the other later."""
        self.patch(FakeSpawner, "most", 1)
        self.startPool()
        self.assertEqual((self.outcomes, self.stages()), ([], [WorkerState.STARTING]))
        self.spawned.most = 9
        self.clock.advance(1)
        self.assertEqual(self.stages(), [WorkerState.STARTING] * 2)

    def test_noProcess(self) -> None:
        """While the system gives no process it goes on trying."""
        self.startServing()
        self.spawned.most = 0
        self.die(self.at(1))
        self.clock.advance(0.5)
        self.assertEqual(len(self.pool.processes), 2)
        self.spawned.most = 99
        self.clock.advance(2)
        self.assertEqual(len(self.pool.processes), 3)


class ExitTests(PoolCase):
    def test_replaced(self) -> None:
        """The one that is ready replaces it at once, and another gets ready."""
        self.startServing()
        ready = self.started[-1]
        lost = self.at(1)
        lost.row.connections = 7
        self.die(lost)
        self.assertActivating(ready, 1)
        [line] = self.lines(LogLevel.warn)
        self.assertEqual(
            line,
            "worker 1 (pid 101) was killed by SIGKILL after 1.0 s, with 7 connections;"
            " another takes its place",
        )
        self.assertEqual(self.spawned.freed, [lost])
        self.say(ready, "serves")
        self.clock.advance(1)
        self.assertEqual(self.stages(), COMPLETE)

    def test_activatingDies(self) -> None:
        """One that was to serve and dies is replaced too."""
        self.startServing()
        self.die(self.at(1))
        self.die(self.started[2])
        self.clock.advance(1)
        self.say(self.started[3], "ready")
        self.assertActivating(self.started[3], 1)

    def test_diesAtOnce(self) -> None:
        """One may exit while it is being started."""
        self.startServing()
        start = self.spawned.start

        def stillborn(*words: Any) -> WorkerProcess | None:
            process = start(*words)
            assert process is not None
            self.patch(self.spawned, "start", start)
            self.die(process, received=False)  # to start it is to ask whether it has ended
            return process

        self.patch(self.spawned, "start", stillborn)
        self.clock.advance(1)
        self.die(self.at(1))
        dead = self.started[3]
        self.assertNotIn(dead, self.pool.processes)
        self.assertEqual(self.spawned.freed.count(dead), 1)
        warned = self.lines(LogLevel.warn)
        self.assertIn("a new worker (pid 104) was killed by SIGKILL before", warned[-1])
        self.assertEqual(len(self.pool.processes), 2)
        self.clock.advance(1)
        self.assertEqual(len(self.pool.processes), 3)

    def test_atMost20ASecond(self) -> None:
        """Nor are there more lines than that."""
        self.startServing()
        before = len(self.started)
        for _ in range(1000):
            for process in list(self.pool.processes):
                self.die(process)
            self.clock.advance(0.001)
        count = len(self.started) - before
        self.assertLessEqual(count, 20)
        self.assertGreater(count, 2)
        lines = self.lines(LogLevel.warn)
        self.assertLessEqual(len(lines), 23)
        self.assertRegex(lines[-1], r"^a new worker \(pid \d+\) was killed .* before it served; ")
        self.assertRegex(lines[-1], r"another in 0\.\d+ s$")

    def test_neverServing(self) -> None:
        """Those that exit before they serve are replaced later each time."""
        self.startServing()
        before = len(self.started)
        for _ in range(600):
            for process in list(self.pool.processes):
                if process.servingSince is None:
                    self.die(process, 1)
            self.beat(0.25)
        self.assertLess(len(self.started) - before, 40)
        self.assertIn("ended: 1 before it served; another in 5 s", self.lines(LogLevel.warn)[-1])

    def test_heartbeatLost(self) -> None:
        self.startServing()
        stuck = self.at(2)
        self.beat(5, stuck)
        self.assertEqual(self.transportOf(stuck).signals, [])
        self.beat(5, stuck)
        self.assertEqual(self.transportOf(stuck).signals, ["KILL"])
        self.assertEqual(
            self.lines(LogLevel.warn), ["worker 2 (pid 102) does not answer any more: killed"]
        )


class RestartTests(PoolCase):
    def test_oneByOne(self) -> None:
        """Each serves before the one that it replaces leaves."""
        self.startServing()
        old = [self.at(1), self.at(2)]
        stale = self.started[-1]
        self.pool.restart()
        self.assertEqual(self.transportOf(stale).signals, ["KILL"])
        self.die(stale)
        for number in (1, 2):
            self.clock.advance(1)
            new = self.started[-1]
            self.say(new, "ready")
            self.assertActivating(new, number)
            self.assertEqual(self.words(old[number - 1]), ["serve"])
            self.say(new, "serves")
            self.assertEqual(self.words(old[number - 1]), ["serve", "leave"])
        self.assertEqual(self.lines()[-1], "restarted: every worker is a new one")
        self.assertEqual(self.lines(LogLevel.warn), [])
        for process in old:
            self.die(process, 0)
        self.clock.advance(1)
        self.assertEqual(self.lines(LogLevel.warn), [])
        self.assertEqual(self.stages(), COMPLETE)

    def test_newFails(self) -> None:
        """The old workers go on if a new one has no valid settings."""
        self.startServing()
        self.pool.restart()
        self.clock.advance(1)
        self.die(self.started[-1], 78)
        self.assertEqual(self.lines(LogLevel.error), ["not restarted: the old workers go on"])
        self.assertEqual(len(self.pool._inState(WorkerState.SERVING)), 2)
        self.clock.advance(1)
        self.say(self.started[-1], "ready")
        self.assertIs(self.started[-1].state, WorkerState.READY)

    def test_newIsKilled(self) -> None:
        """Another takes its place."""
        self.startServing()
        self.pool.restart()
        self.clock.advance(1)
        self.die(self.started[-1])
        self.clock.advance(1)
        self.say(self.started[-1], "ready")
        self.assertActivating(self.started[-1], 1)

    def test_again(self) -> None:
        self.startServing()
        self.pool.restart()
        self.pool.restart()
        for _ in range(2):
            self.clock.advance(1)
            self.say(self.started[-1], "ready")
            self.say(self.started[-1], "serves")
        self.assertEqual(self.lines()[-1], "restarted: every worker is a new one")

    def test_stopped(self) -> None:
        self.startServing()
        self.pool.stop()
        count = len(self.started)
        self.pool.restart()
        self.clock.advance(5)
        self.assertEqual(len(self.started), count)


class EndTests(PoolCase):
    def stop(self) -> list[Any]:
        ended: list[Any] = []
        self.pool.stop().addCallback(ended.append)
        return ended

    def test_drained(self) -> None:
        """All drain, and none is replaced."""
        self.startServing()
        serving, ready = self.started[:2], self.started[2]
        ended = self.stop()
        self.assertEqual([self.words(each)[-1] for each in serving], ["stop", "stop"])
        self.assertEqual(self.transportOf(ready).signals, ["KILL"])
        self.die(ready)
        for number, process in enumerate(serving):
            self.assertEqual(ended, [])
            process.row.drained, process.row.aborted = 3, number
            self.die(process, 0)
        self.assertEqual(ended, [Drained(6, 1)])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.started), 3)  # none was replaced
        self.assertEqual(self.lines(LogLevel.warn), [])

    def test_killed(self) -> None:
        """Connections of a worker that is killed are lost."""
        self.startServing(1)
        ended = self.stop()
        for process in list(self.pool.processes):
            process.row.connections = 4
            self.die(process)
        self.assertEqual(ended, [Drained(0, 8)])

    def test_openPipes(self) -> None:
        """It waits until everything is received, but for a second at most."""
        self.startServing(1)
        ended = self.stop()
        for process in list(self.pool.processes):
            self.die(process, 0, received=False)
        self.assertEqual(ended, [])
        self.clock.advance(1)
        self.assertEqual(ended, [Drained(0, 0)])

    def test_stuck(self) -> None:
        self.startServing(1)
        self.stop()
        stuck = self.started[0]
        self.beat(10, stuck)
        self.assertEqual(self.transportOf(stuck).signals, ["KILL"])

    def test_abortNow(self) -> None:
        self.startServing(1)
        self.stop()
        serving = self.started[0]
        self.pool.abortNow()
        self.assertEqual(self.words(serving)[-1], "abort")
        self.assertEqual(self.transportOf(serving).signals, [])
        self.clock.advance(1)
        self.assertEqual(self.transportOf(serving).signals, ["KILL"])

    def test_whileStarting(self) -> None:
        self.startPool()
        self.stop()
        [failure] = self.outcomes
        self.assertIsInstance(failure, Failure)
        self.assertIsInstance(failure.value, CancelledError)

    def test_beforeStart(self) -> None:
        self.startPool()
        pool = type(self.pool)(2, self.spawned, self.clock)
        ended: list[Any] = []
        pool.stop().addCallback(ended.append)
        pool.start()
        self.assertEqual(ended, [Drained(0, 0)])
        self.assertEqual(pool.processes, [])
