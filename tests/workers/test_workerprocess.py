"""One worker as the first process sees it."""

from __future__ import annotations

from twisted.logger import formatEvent

from tcplab.workers.workerprocess import WorkerProcess, WorkerState
from tests.support.fake_workers import PoolHelper
from tests.support.log_capture import Logged


class Members(Logged, PoolHelper):
    def setUp(self) -> None:
        super().setUp()
        self.startPool(1)
        [self.process] = self.spawned.started

    @property
    def state(self) -> WorkerState:
        return self.process.state

    def test_from_the_start_to_the_end(self) -> None:
        found = [self.state]
        self.say(self.process, "ready")
        found.append(self.state)
        self.say(self.process, "serves")
        found.append(self.state)
        self.process.leave()
        found.append(self.state)
        self.die(self.process, 0)
        found.append(self.state)
        self.assertEqual(
            found,
            [
                WorkerState.STARTING,
                WorkerState.ACTIVATING,
                WorkerState.SERVING,
                WorkerState.DRAINING,
                WorkerState.EXITED,
            ],
        )
        self.assertEqual(self.words(self.process), ["serve", "leave"])
        self.assertEqual(self.process.lastState, WorkerState.DRAINING)

    def test_words_out_of_turn_and_unknown_ones(self) -> None:
        self.say(self.process, "serves")
        self.say(self.process, "what?")
        self.assertIs(self.state, WorkerState.STARTING)

    def test_name(self) -> None:
        self.assertEqual(str(self.process), "a new worker (pid 101)")
        self.say(self.process, "ready")
        self.assertEqual(str(self.process), "worker 1 (pid 101)")

    def test_it_is_stopped_before_it_serves(self) -> None:
        self.process.stop()
        self.assertEqual(self.transportOf(self.process).signals, ["KILL"])
        self.assertIs(self.state, WorkerState.DRAINING)

    def test_it_is_stopped(self) -> None:
        self.say(self.process, "ready")
        self.process.stop()
        self.assertEqual(self.words(self.process), ["serve", "stop"])

    def test_its_pipe_is_closed_before_its_end_is_known(self) -> None:
        self.transportOf(self.process).closed = True
        self.say(self.process, "ready")
        self.assertIs(self.state, WorkerState.ACTIVATING)
        self.process.leave()
        self.die(self.process)
        self.assertIs(self.state, WorkerState.EXITED)

    def test_one_that_is_gone_is_told_nothing(self) -> None:
        self.die(self.process)
        self.process.stop()
        self.process.abort()
        self.process.kill()
        self.assertEqual(self.words(self.process), [])

    def test_it_is_told_to_end_at_once(self) -> None:
        self.process.abort()
        self.assertEqual(self.words(self.process), ["abort"])

    def silentAfter(self, process: WorkerProcess) -> float:
        for number in range(1, 1000):
            if process.heartbeatLost():
                return number * 0.25
        return 0

    def test_one_that_starts_has_30_seconds(self) -> None:
        self.assertEqual(self.silentAfter(self.process), 30)

    def test_one_that_is_ready_has_6_and_is_told_of_once(self) -> None:
        self.say(self.process, "ready")
        self.process.row.heartbeat = 5
        self.process.heartbeatLost()
        self.assertEqual(self.silentAfter(self.process), 6)
        self.assertEqual(self.silentAfter(self.process), 0)

    def test_sign_of_life(self) -> None:
        self.say(self.process, "ready")
        for _ in range(100):
            self.process.row.heartbeat += 1
            self.assertFalse(self.process.heartbeatLost())

    def test_what_it_prints_is_told(self) -> None:
        self.process.childDataReceived(2, b"Fatal Python error\n")
        self.assertIn("Fatal Python error", [formatEvent(each) for each in self.events])

    def test_others_may_keep_its_pipes(self) -> None:
        process = self.process
        self.die(process, received=False)
        self.assertIn(process, self.pool._openPipes)
        self.clock.advance(1)
        self.assertNotIn(process, self.pool._openPipes)

    def test_how_it_ended(self) -> None:
        self.die(self.process, 3)
        self.assertEqual((self.process.status, self.process.killedBy), (3, ""))
        another = self.spawned.start(self.pool, 0)
        assert another is not None
        self.pool.processes.append(another)
        self.die(another)
        self.assertEqual((another.status, another.killedBy), (None, "SIGKILL"))
