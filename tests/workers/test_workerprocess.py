"""One worker as the first process sees it."""

from __future__ import annotations

from twisted.logger import formatEvent

from tcplab.workers.workerprocess import WorkerProcess, WorkerState
from tests.support.fake_workers import PoolHelper
from tests.support.log_capture import Logged


class WorkerProcessTests(Logged, PoolHelper):
    def setUp(self) -> None:
        super().setUp()
        self.startPool(1)
        [self.process] = self.spawned.started

    @property
    def state(self) -> WorkerState:
        return self.process.state

    def test_states(self) -> None:
        """From the start to the exit."""
        found = [self.state]
        for step in (
            lambda: self.say(self.process, "ready"),
            lambda: self.say(self.process, "serves"),
            self.process.leave,
            lambda: self.die(self.process, 0),
        ):
            step()
            found.append(self.state)
        names = ["STARTING", "ACTIVATING", "SERVING", "DRAINING", "EXITED"]
        self.assertEqual(found, [WorkerState[name] for name in names])
        self.assertEqual(self.words(self.process), ["serve", "leave"])
        self.assertEqual(self.process.lastState, WorkerState.DRAINING)

    def test_otherWords(self) -> None:
        self.say(self.process, "serves")
        self.say(self.process, "what?")
        self.assertIs(self.state, WorkerState.STARTING)

    def test_name(self) -> None:
        self.assertEqual(str(self.process), "a new worker (pid 101)")
        self.say(self.process, "ready")
        self.assertEqual(str(self.process), "worker 1 (pid 101)")

    def test_stopped(self) -> None:
        """Before it serves it is killed."""
        self.process.abort()
        self.say(self.process, "ready")
        self.process.stop()
        self.assertEqual(self.words(self.process), ["abort", "serve", "stop"])
        another = self.another()
        another.stop()
        self.assertEqual(self.transportOf(another).signals, ["KILL"])
        self.assertIs(another.state, WorkerState.DRAINING)

    def test_closedPipe(self) -> None:
        """It is closed before the exit is known."""
        self.transportOf(self.process).closed = True
        self.say(self.process, "ready")
        self.assertIs(self.state, WorkerState.ACTIVATING)
        self.process.leave()
        self.die(self.process)
        self.assertIs(self.state, WorkerState.EXITED)

    def test_exited(self) -> None:
        """It is sent nothing any more."""
        self.die(self.process)
        self.process.stop()
        self.process.abort()
        self.process.kill()
        self.assertEqual(self.words(self.process), [])

    def silentAfter(self, process: WorkerProcess) -> float:
        for number in range(1, 1000):
            if process.heartbeatLost():
                return number * 0.25
        return 0

    def test_heartbeatLost(self) -> None:
        """After 30 seconds while it starts, then after 6, and once."""
        self.assertEqual(self.silentAfter(self.process), 30)
        self.say(self.process, "ready")
        self.process.row.heartbeat = 5
        self.process.heartbeatLost()
        self.assertEqual(self.silentAfter(self.process), 6)
        self.assertEqual(self.silentAfter(self.process), 0)

    def test_heartbeat(self) -> None:
        self.say(self.process, "ready")
        for _ in range(100):
            self.process.row.heartbeat += 1
            self.assertFalse(self.process.heartbeatLost())

    def test_printed(self) -> None:
        self.process.childDataReceived(2, b"Fatal Python error\n")
        self.assertIn("Fatal Python error", [formatEvent(each) for each in self.events])

    def test_openPipes(self) -> None:
        """Other processes may keep them: they are awaited for a second."""
        process = self.process
        self.die(process, received=False)
        self.assertIn(process, self.pool._openPipes)
        self.clock.advance(1)
        self.assertNotIn(process, self.pool._openPipes)

    def another(self) -> WorkerProcess:
        """Start one more."""
        another = self.spawned.start(self.pool, 0)
        assert another is not None
        self.pool.processes.append(another)
        return another

    def test_status(self) -> None:
        self.die(self.process, 3)
        self.assertEqual((self.process.status, self.process.killedBy), (3, ""))
        self.die(another := self.another())
        self.assertEqual((another.status, another.killedBy), (None, "SIGKILL"))
