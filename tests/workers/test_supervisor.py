"""The first process of several."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.logger import LogLevel

from tcplab.config.errors import SettingsError
from tcplab.config.options import fromWords
from tcplab.observers import Observers
from tcplab.server.drain import Drained
from tcplab.workers import supervisor
from tcplab.workers.supervisor import Supervisor
from tcplab.workers.workerprocess import WorkerState
from tests.support.fake_workers import FakeSpawner, PoolHelper
from tests.support.log_capture import Logged


class FakeWorkerSpawner(FakeSpawner):
    """Starts workers that are no processes."""

    connections = 5
    problem: SettingsError | None = None

    def __init__(self, words: Any, clock: Any, listeners: Any, size: int) -> None:
        super().__init__(clock)
        self.made = words, size

    def prepare(self) -> None:
        if self.problem is not None:
            raise self.problem


class WithClock:
    """The reactor, with a clock of its own, as if it were running."""

    def __init__(self, clock: Any) -> None:
        self.seconds, self.callLater = clock.seconds, clock.callLater

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)

    def callWhenRunning(self, function: Any) -> None:
        function()


class SupervisorTests(Logged, PoolHelper):
    def setUp(self) -> None:
        super().setUp()
        self.startPool(1)  # for its clock
        self.patch(supervisor, "WorkerSpawner", FakeWorkerSpawner)
        words = {"serve": ["echo@tcp:0:interface=127.0.0.1"], "workers": "2"}
        settings = fromWords(**words)  # type: ignore[arg-type]
        self.lab = Supervisor(settings, WithClock(self.clock), Observers(), words=words)
        self.spawned = self.lab._spawner  # type: ignore[assignment]
        self.pool = self.lab._pool
        self.addCleanup(reactor.iterate)
        self.addCleanup(self.close)

    def close(self) -> None:
        for serving in self.lab.listeners:
            serving.stopListening()

    def serving(self) -> None:
        self.lab.startService()
        for process in list(self.pool.processes):
            self.say(process, "ready")
            self.say(process, "serves")

    def end(self) -> None:
        for process in list(self.pool.processes):
            self.die(process, 0)
        reactor.iterate()

    def test_start(self) -> None:
        """It listens and accepts nothing itself; its workers start with the service."""
        self.lab.privilegedStartService()
        self.assertEqual(self.spawned.started, [])
        self.lab.startService()
        self.assertEqual(self.stages(), [WorkerState.STARTING] * 2)
        [listener] = self.lab.listeners
        self.assertTrue(listener.suspended)
        self.assertNotIn(listener.port, reactor.getReaders())
        self.assertEqual(self.spawned.made[1], 2)  # type: ignore[attr-defined]

    def test_serves(self) -> None:
        asked = self.lab.whenServing()
        self.assertNoResult(asked)
        self.serving()
        self.successResultOf(asked)
        self.successResultOf(self.lab.whenServing())

    def test_workersCannotServe(self) -> None:
        asked = self.lab.whenServing()
        self.lab.startService()
        self.die(self.pool.processes[0], 78)
        for each in (asked, self.lab.whenServing()):
            self.failureResultOf(each, SettingsError)

    def test_portsCannotBeShared(self) -> None:
        self.spawned.problem = SettingsError("no")  # type: ignore[attr-defined]
        self.lab.startService()
        self.failureResultOf(self.lab.whenServing(), SettingsError)

    def test_stoppedWhileStarting(self) -> None:
        asked = self.lab.whenServing()
        self.lab.startService()
        self.lab.stopService()
        self.failureResultOf(asked, CancelledError)

    def test_seed(self) -> None:
        """Workers have the same, chosen and logged once; without dice there is none."""
        self.assertNotIn("seed", self.spawned.made[0])  # type: ignore[attr-defined]
        for seed in (None, "7"):
            words = {"workers": "2", "faults": ["stall,probability=0.5"], "seed": seed}
            lab = Supervisor(fromWords(**words), reactor, Observers(), words=words)  # type: ignore[arg-type]
            chosen = lab._spawner.made[0]["seed"]  # type: ignore[attr-defined]
            self.assertEqual(chosen, seed or str(lab.faults.seed))
            self.assertEqual(fromWords(**{**words, "seed": chosen}).seed, lab.faults.seed)  # type: ignore[arg-type]
        self.assertEqual(len([line for line in self.lines() if "are random" in line]), 1)

    def test_restart(self) -> None:
        self.serving()
        self.lab.restart()
        self.assertIn("restarting: one worker after the other", self.lines())

    def test_drain(self) -> None:
        """The workers end first, then the ports close."""
        self.serving()
        ended = self.lab.drain()
        again = self.lab.drain()
        self.assertIsNotNone(self.lab.listeners[0].port)
        for number, process in enumerate(self.pool.processes):
            process.row.drained, process.row.aborted = 4, number
        self.end()
        self.assertEqual(self.successResultOf(ended), Drained(8, 1))
        self.assertEqual(self.successResultOf(again), Drained(8, 1))
        self.assertEqual(self.lab.drained, Drained(8, 1))
        self.assertIsNone(self.lab.listeners[0].port)
        self.assertEqual(
            self.lines(LogLevel.warn),
            ["drained=8 aborted=1 seconds=0.000, all workers together"],
        )

    def test_portsClose(self) -> None:
        """They do in time, whatever the workers do."""
        self.serving()
        self.lab.drain()
        self.clock.advance(0.2)
        self.assertIsNotNone(self.lab.listeners[0].port)
        self.clock.advance(0.1)
        self.assertIsNone(self.lab.listeners[0].port)
        self.end()
        self.assertEqual(self.lab.drained, Drained(0, 0))

    def test_drainBeforeStart(self) -> None:
        self.lab.listen()
        ended = self.lab.drain()
        reactor.iterate()
        self.assertEqual(self.successResultOf(ended), Drained(0, 0))

    def test_abort(self) -> None:
        self.serving()
        self.assertEqual(self.lab.abort(), 5)
        self.assertEqual([self.words(each)[-1] for each in self.pool.processes[:2]], ["abort"] * 2)
        self.lab.drain()
        self.assertEqual(self.lab.abort(), 5)
        self.clock.advance(1)
        self.assertEqual(self.transportOf(self.pool.processes[0]).signals, ["KILL"])
        self.end()
