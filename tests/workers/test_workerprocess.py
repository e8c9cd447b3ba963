"""One worker as the first process sees it."""

from __future__ import annotations

from twisted.logger import formatEvent

from tcplab.workers.workerprocess import WorkerProcess, WorkerState
from tests.support.fake_workers import Acting
from tests.support.log_capture import Logged


class Members(Logged, Acting):
    def setUp(self) -> None:
        super().setUp()
        self.begin(1)
        [self.member] = self.recruits.started

    @property
    def stage(self) -> WorkerState:
        return self.member.stage

    def test_from_the_start_to_the_end(self) -> None:
        found = [self.stage]
        self.say(self.member, "ready")
        found.append(self.stage)
        self.say(self.member, "serves")
        found.append(self.stage)
        self.member.leave()
        found.append(self.stage)
        self.die(self.member, 0)
        found.append(self.stage)
        self.assertEqual(
            found,
            [
                WorkerState.STARTING,
                WorkerState.CALLED,
                WorkerState.SERVING,
                WorkerState.LEAVING,
                WorkerState.GONE,
            ],
        )
        self.assertEqual(self.words(self.member), ["serve", "leave"])
        self.assertEqual(self.member.before, WorkerState.LEAVING)

    def test_words_out_of_turn_and_unknown_ones(self) -> None:
        self.say(self.member, "serves")
        self.say(self.member, "what?")
        self.assertIs(self.stage, WorkerState.STARTING)

    def test_name(self) -> None:
        self.assertEqual(str(self.member), "a new worker (pid 101)")
        self.say(self.member, "ready")
        self.assertEqual(str(self.member), "worker 1 (pid 101)")

    def test_it_is_stopped_before_it_serves(self) -> None:
        self.member.stop()
        self.assertEqual(self.process(self.member).signals, ["KILL"])
        self.assertIs(self.stage, WorkerState.LEAVING)

    def test_it_is_stopped(self) -> None:
        self.say(self.member, "ready")
        self.member.stop()
        self.assertEqual(self.words(self.member), ["serve", "stop"])

    def test_its_pipe_is_closed_before_its_end_is_known(self) -> None:
        self.process(self.member).closed = True
        self.say(self.member, "ready")
        self.assertIs(self.stage, WorkerState.CALLED)
        self.member.leave()
        self.die(self.member)
        self.assertIs(self.stage, WorkerState.GONE)

    def test_one_that_is_gone_is_told_nothing(self) -> None:
        self.die(self.member)
        self.member.stop()
        self.member.abort()
        self.member.kill()
        self.assertEqual(self.words(self.member), [])

    def test_it_is_told_to_end_at_once(self) -> None:
        self.member.abort()
        self.assertEqual(self.words(self.member), ["abort"])

    def silentAfter(self, member: WorkerProcess) -> float:
        for number in range(1, 1000):
            if member.silent():
                return number * 0.25
        return 0

    def test_one_that_starts_has_30_seconds(self) -> None:
        self.assertEqual(self.silentAfter(self.member), 30)

    def test_one_that_is_ready_has_6_and_is_told_of_once(self) -> None:
        self.say(self.member, "ready")
        self.member.row.heartbeat = 5
        self.member.silent()
        self.assertEqual(self.silentAfter(self.member), 6)
        self.assertEqual(self.silentAfter(self.member), 0)

    def test_sign_of_life(self) -> None:
        self.say(self.member, "ready")
        for _ in range(100):
            self.member.row.heartbeat += 1
            self.assertFalse(self.member.silent())

    def test_what_it_prints_is_told(self) -> None:
        self.member.childDataReceived(2, b"Fatal Python error\n")
        self.assertIn("Fatal Python error", [formatEvent(each) for each in self.events])

    def test_others_may_keep_its_pipes(self) -> None:
        member = self.member
        self.die(member, heard=False)
        self.assertIn(member, self.crew._unheard)
        self.clock.advance(1)
        self.assertNotIn(member, self.crew._unheard)

    def test_how_it_ended(self) -> None:
        self.die(self.member, 3)
        self.assertEqual((self.member.status, self.member.killer), (3, ""))
        another = self.recruits.start(self.crew, 0)
        assert another is not None
        self.crew.members.append(another)
        self.die(another)
        self.assertEqual((another.status, another.killer), (None, "SIGKILL"))
