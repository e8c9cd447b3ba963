"""Tests for `tcplab.policies.deadlines`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies import deadlines, progress
from tcplab.policies.deadlines import Deadlines
from tcplab.protocols.conversation import Conversation
from tcplab.testing import connected

STEP = 0.05  # seconds: less than the time between two looks


class FakeListener:
    """Has connections, and tells guards of them."""

    def __init__(self) -> None:
        self.connections: set[Any] = set()
        self.policies: list[Any] = []

    def addPolicy(self, policy: Any) -> None:
        self.policies.append(policy)

    def removePolicy(self, policy: Any) -> None:
        self.policies.remove(policy)


class Fake:
    """The transport of a peer that does as the test says."""

    protocol = None
    dataBuffer = b""
    offset = _tempDataLen = 0
    received = sent = queued = 0
    why: str | None = None
    ended: float | None = None
    connected = True

    def __init__(self, listener: FakeListener, clock: Clock, opened: bool) -> None:
        self.listener = listener
        self.clock = clock
        self.established = opened
        self.accepted = clock.seconds()
        listener.connections.add(self)
        for guard in listener.policies:
            guard.connectionAccepted(self)

    def setReason(self, why: str) -> None:
        self.why = why

    def abortConnection(self) -> None:
        self.ended = self.clock.seconds()
        self.gone()

    def gone(self) -> None:
        self.connected = False
        self.listener.connections.discard(self)
        for guard in self.listener.policies:
            guard.connectionClosed(self)

    def say(self, size: int, taken: int = 0) -> None:
        """Send so much; the peer takes a part."""
        self.sent += size
        self.queued += size - taken

    def take(self, size: int) -> None:
        """The peer takes so much of what the kernel has."""
        self.queued -= min(size, self.queued)


class DeadlinesTestCase(SynchronousTestCase):
    """Deadlines on connections that are faked, in a time that stands still by itself."""

    def setUp(self) -> None:
        # The kernel's part of what waits.
        self.patch(progress, "unacknowledgedBytes", lambda each: each.queued + len(each.dataBuffer))
        self.clock = Clock()
        self.listener = FakeListener()

    def watch(self, **limits: float | None) -> Deadlines:
        usual: dict[str, Any] = {"handshake": None, "write": None}
        deadlines = Deadlines(**{**usual, **limits}, clock=self.clock)
        deadlines.watch(self.listener)  # type: ignore[arg-type]
        return deadlines

    def accept(self, *, opened: bool = True) -> Fake:
        return Fake(self.listener, self.clock, opened)

    def wait(self, seconds: float, each: Callable[[], object] = lambda: None) -> None:
        """Let time pass as it does, doing something in every step of it."""
        for _ in range(round(seconds / STEP)):
            each()
            self.clock.advance(STEP)

    def endsBetween(self, fake: Fake, start: float, earliest: float, latest: float) -> None:
        assert fake.ended is not None
        self.assertGreaterEqual(fake.ended - start, earliest - 1e-6)
        self.assertLessEqual(fake.ended - start, latest + 1e-6)


class HandshakeTests(DeadlinesTestCase):
    """A handshake has its time, and no more."""

    def test_over(self) -> None:
        """Who is not through in time is ended: not before, and soon after."""
        self.watch(handshake=5)
        for _ in range(7):  # at different distances from the next look
            fake = self.accept(opened=False)
            self.wait(6)
            self.endsBetween(fake, fake.accepted, 5, 5.2 + STEP)
            self.assertEqual(fake.why, "handshake-timeout")
            self.wait(0.3)

    def test_oneAfterTheOther(self) -> None:
        """Each of a crowd has its own end. Then looks are as rare as ever."""
        self.watch(handshake=5)
        crowd = []
        for number in range(20):
            crowd.append(self.accept(opened=False))
            self.wait(0.1)
            crowd[-1].established = number % 2 == 0
        self.wait(6)
        for each in crowd[::2]:
            self.assertIsNone(each.ended)
        for each in crowd[1::2]:
            self.endsBetween(each, each.accepted, 5, 5.2 + STEP)
        looks = set()
        self.wait(3, lambda: looks.add(self.clock.getDelayedCalls()[0].getTime()))
        self.assertLess(len(looks), 8)  # each half a second

    def test_bytesDoNotRenewIt(self) -> None:
        """It is absolute: a byte now and then wins no time, in either direction."""

        def trickle() -> None:
            fake.received += 1
            fake.say(1, taken=1)

        self.watch(handshake=5)
        fake = self.accept(opened=False)
        self.wait(6, trickle)
        self.endsBetween(fake, fake.accepted, 5, 5.2 + STEP)

    def test_through(self) -> None:
        """Who is through in time stays."""
        self.watch(handshake=5)
        fake = self.accept(opened=False)
        self.wait(4.9)
        fake.established = True
        self.wait(10)
        self.assertIsNone(fake.ended)

    def test_theKernelIsNotAsked(self) -> None:
        """What waits for one in a handshake is looked at only if that has more time."""
        asked: list[Fake] = []
        self.patch(progress, "unacknowledgedBytes", lambda each: asked.append(each) or 0)
        self.watch(handshake=5, write=30)
        self.accept(opened=False)
        self.wait(3)
        self.assertEqual(asked, [])

    def test_stuckInIt(self) -> None:
        """Who does not read in a handshake has the shorter of the two deadlines."""
        self.watch(handshake=60, write=5)
        fake = self.accept(opened=False)
        fake.say(1000)
        self.wait(10)
        self.assertEqual(fake.why, "write-timeout")

    def test_off(self) -> None:
        """It may be without limit."""
        self.watch(handshake=None, write=5)
        fake = self.accept(opened=False)
        self.wait(60)
        self.assertIsNone(fake.ended)


class IdleTests(DeadlinesTestCase):
    """Who has nothing to say for long goes."""

    def test_over(self) -> None:
        """It comes no earlier than it should, and not much later."""
        self.watch(idle=20)
        fake = self.accept()
        self.wait(3.3)
        fake.received += 1
        start = self.clock.seconds()
        self.wait(25)
        self.endsBetween(fake, start, 20, 21)
        self.assertEqual(fake.why, "idle-timeout")

    def test_offUnlessSet(self) -> None:
        """By default they may be as quiet as they like."""
        Deadlines(clock=self.clock).watch(self.listener)  # type: ignore[arg-type]
        fake = self.accept()
        fake.say(5, taken=5)
        self.wait(600)
        self.assertIsNone(fake.ended)

    def test_received(self) -> None:
        """A byte that comes renews it."""
        self.watch(idle=2)
        fake = self.accept()
        for _ in range(5):
            self.wait(1.9)
            fake.received += 1
        self.assertIsNone(fake.ended)

    def test_sent(self) -> None:
        """So does a byte that is sent."""
        self.watch(idle=2)
        fake = self.accept()
        for _ in range(5):
            self.wait(1.9)
            fake.say(1, taken=1)
        self.assertIsNone(fake.ended)

    def test_onItsWay(self) -> None:
        """Who takes what our kernel has is not idle, though this process does nothing."""
        self.watch(idle=2)
        fake = self.accept()
        fake.say(100_000)
        self.wait(20, lambda: fake.take(200))
        self.assertIsNone(fake.ended)

    def test_theRestTaken(self) -> None:
        """The time runs from when the last byte was taken."""
        self.watch(idle=20)
        fake = self.accept()
        fake.say(100)
        self.wait(15)
        fake.take(100)
        start = self.clock.seconds()
        self.wait(25)
        self.endsBetween(fake, start, 20, 21)

    def test_sentIntoTheVoid(self) -> None:
        """What waits for a peer that takes nothing keeps it no longer."""
        self.watch(idle=2)
        fake = self.accept()
        fake.say(100)
        self.wait(3)
        self.assertEqual(fake.why, "idle-timeout")


class WriteTests(DeadlinesTestCase):
    """A peer must take what waits for it."""

    def test_isItHeardOf(self) -> None:
        """Of whom something waits for, and of nobody else, it is seen whether it can be heard."""
        asked: list[object] = []
        self.patch(deadlines, "growReceiveBuffer", asked.append)
        self.watch(write=30)
        fake, other = self.accept(), self.accept()
        fake.say(100_000, taken=50_000)
        other.say(100_000, taken=100_000)
        self.wait(3)
        self.assertEqual((set(asked), len(asked) > 1), ({fake}, True))

    def test_inTheKernel(self) -> None:
        """Also when all of it is in the kernel."""
        self.watch(write=30)
        fake = self.accept()
        self.wait(1.7)
        fake.say(100_000, taken=50_000)
        start = self.clock.seconds()
        self.wait(40)
        self.endsBetween(fake, start, 30, 31)
        self.assertEqual(fake.why, "write-timeout")

    def test_inThisProcess(self) -> None:
        """Also when the kernel has nothing of it, as for a Unix socket."""
        self.watch(write=30)
        fake = self.accept()
        fake.dataBuffer = b"hello"
        self.wait(40)
        self.assertEqual(fake.why, "write-timeout")

    def test_byDefault(self) -> None:
        """The time is 30 s."""
        Deadlines(clock=self.clock).watch(self.listener)  # type: ignore[arg-type]
        fake = self.accept()
        fake.say(1)
        self.wait(35)
        self.endsBetween(fake, 0, 30, 31)

    def test_progress(self) -> None:
        """One that reads slowly is not ended, whether it takes much at once or little often."""
        self.watch(write=10)
        often, seldom = self.accept(), self.accept()
        for fake in (often, seldom):
            fake.say(10**6)
        for _ in range(20):
            self.wait(9, lambda: often.take(4))
            seldom.take(1460)
        self.assertIsNone(often.ended)
        self.assertIsNone(seldom.ended)

    def test_trickle(self) -> None:
        """One that takes a byte now and then, as no honest kernel does, is."""
        self.watch(write=10)
        fake = self.accept()
        fake.say(10**6)
        self.wait(11, lambda: fake.take(1))
        self.assertEqual(fake.why, "write-timeout")

    def test_littleAtATime(self) -> None:
        """Who is sent little takes little: all that waited at a time is enough."""
        self.watch(write=10)
        fake = self.accept()

        def tick() -> None:  # there is always something on its way
            fake.say(1)
            fake.take(fake.queued - 3)

        self.wait(40, tick)
        self.assertIsNone(fake.ended)
        self.assertLess(fake.sent, 10**3)

    def test_quietBefore(self) -> None:
        """The time runs from when something waits, not from when the last was taken."""
        self.watch(write=10)
        fake = self.accept()
        fake.say(10, taken=10)
        self.wait(60)
        fake.say(10)
        start = self.clock.seconds()
        self.wait(15)
        self.endsBetween(fake, start, 10, 11)

    def test_nothingWaits(self) -> None:
        """Nobody is asked to take what is not there."""
        self.watch(write=1)
        fake = self.accept()
        fake.say(10, taken=10)
        self.wait(60)
        self.assertIsNone(fake.ended)


class PrecisionTests(DeadlinesTestCase):
    """It ends no earlier than the deadline, and a tenth of it later, or 0.1 s, at most."""

    @settings(deadline=None, derandomize=True)
    @given(
        st.sampled_from([0.5, 1.0, 3.0, 10.0, 60.0]),
        st.lists(st.tuples(st.sampled_from("qrst"), st.floats(0.01, 1.2)), max_size=12),
    )
    def test_always(self, limit: float, events: list[tuple[str, float]]) -> None:
        """Whatever came before, and whenever: received, sent, taken, or nothing."""
        clock, listener = Clock(), FakeListener()
        deadlines = Deadlines(handshake=limit, idle=limit, write=limit, clock=clock)
        deadlines.watch(listener)  # type: ignore[arg-type]
        fake = Fake(listener, clock, opened=True)
        last = 0.0
        for what, pause in events:
            self._pass(clock, pause * limit)
            if fake.ended is not None:
                break
            last = self._do(what, fake, last)
        self._pass(clock, 2 * limit + 0.3)
        self.endsBetween(fake, last, limit, limit + max(0.1, min(1.0, limit / 10)))

    def _pass(self, clock: Clock, seconds: float) -> None:
        while seconds > 0:
            calls = clock.getDelayedCalls()
            due = min((each.getTime() for each in calls), default=clock.seconds() + seconds)
            step = min(seconds, max(due - clock.seconds(), 1e-9))
            clock.advance(step)
            seconds -= step

    def _do(self, what: str, fake: Fake, last: float) -> float:
        if what == "q":
            return last
        if what == "t" and not fake.queued:
            return last
        if what == "r" and fake.queued:
            return last  # it would not be idle, but stuck
        if what == "s" and fake.queued:
            fake.take(fake.queued)
        {"r": self._receive, "s": lambda each: each.say(9), "t": lambda each: each.take(9)}[what](
            fake
        )
        return fake.clock.seconds()

    def _receive(self, fake: Fake) -> None:
        fake.received += 1


class StoppedTests(DeadlinesTestCase):
    """What the process was stopped for is nobody's fault."""

    def test_theGapDoesNotCount(self) -> None:
        """Nobody is ended for the time in which nobody was here to serve."""
        self.watch(handshake=5, idle=5, write=5)
        every = [self.accept(opened=False), self.accept(), self.accept()]
        every[2].say(1000)
        self.wait(3)
        self.clock.advance(3600)
        self.wait(0.5)
        self.assertEqual([each.ended for each in every], [None] * 3)
        self.wait(3)
        whys = ["handshake-timeout", "idle-timeout", "write-timeout"]
        self.assertCountEqual([each.why for each in every], whys)

    def test_whatCameMeanwhileIsReadFirst(self) -> None:
        """Not even who was about to be ended, if it had spoken before we were here again."""
        self.watch(idle=5)
        fake, silent = self.accept(), self.accept()
        self.wait(5.1)

        def read() -> None:
            fake.received += 1

        self.clock.callLater(0, self.clock.callLater, 0, read)  # as it is after the timed calls
        self.clock.advance(60)
        self.assertIsNone(fake.ended)
        self.assertEqual(silent.why, "idle-timeout")

    def test_whoLeftMeanwhile(self) -> None:
        """Nor is anything done to one that has ended by itself."""
        self.watch(idle=5)
        fake = self.accept()
        self.wait(5.1)
        self.clock.callLater(0, self.clock.callLater, 0, fake.gone)
        self.clock.advance(60)
        self.assertEqual((fake.why, fake.ended), (None, None))

    def test_theClockIsSet(self) -> None:
        """Nor for a clock that is set, be it back: reactors keep the time of day."""
        self.watch(handshake=5, idle=5, write=5)
        every = [self.accept(opened=False), self.accept()]
        self.wait(2)
        self.clock.rightNow -= 3600
        for call in self.clock.getDelayedCalls():
            call.reset(0)
        self.wait(4)
        self.assertNotIn(None, [each.ended for each in every])
        late = self.accept(opened=False)
        self.wait(6)
        self.endsBetween(late, late.accepted, 5, 5.5)

    def test_acceptedMeanwhile(self) -> None:
        """Who was accepted before a gap has not waited for its length."""
        self.watch(handshake=5)
        self.accept()
        self.wait(0.1)
        fake = self.accept(opened=False)
        self.clock.advance(3600)
        self.wait(3.5)
        self.assertIsNone(fake.ended)
        self.wait(2)
        self.assertEqual(fake.why, "handshake-timeout")

    def test_starved(self) -> None:
        """A loop that is always late ends them late, but it ends them."""
        self.watch(write=5)
        fake = self.accept()
        fake.say(1)
        for _ in range(30):
            self.clock.advance(3)
        self.assertEqual(fake.why, "write-timeout")


class LookingTests(DeadlinesTestCase):
    """One look for all, and none for nobody."""

    def test_idleLoop(self) -> None:
        """While nobody is connected nothing happens."""
        self.watch(handshake=5, idle=5, write=5)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        fake = self.accept()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        fake.gone()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        again = self.accept()
        self.wait(7)
        self.assertEqual(again.why, "idle-timeout")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_oneTimer(self) -> None:
        """Many connections of several listeners cost one timer."""
        deadlines = self.watch(idle=5)
        other = FakeListener()
        deadlines.watch(other)  # type: ignore[arg-type]
        every = [self.accept() for _ in range(50)]
        every += [Fake(other, self.clock, opened=True) for _ in range(50)]
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.wait(6)
        self.assertEqual({each.why for each in every}, {"idle-timeout"})

    def test_oneListenerEmpty(self) -> None:
        """It goes on as long as anyone is connected to any of them."""
        deadlines = self.watch(idle=5)
        other = FakeListener()
        deadlines.watch(other)  # type: ignore[arg-type]
        here, there = self.accept(), Fake(other, self.clock, opened=True)
        here.gone()
        self.wait(6)
        self.assertEqual(there.why, "idle-timeout")

    def test_nothingToLookFor(self) -> None:
        """Without a deadline nobody looks."""
        self.watch(handshake=None, idle=None, write=None)
        self.accept(opened=False)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.listener.policies, [])

    def test_whoIsThereAlready(self) -> None:
        """Those who are connected when it begins are looked after too."""
        fake = self.accept()
        self.wait(1)
        self.watch(idle=5)
        self.wait(6)
        self.assertEqual(fake.why, "idle-timeout")

    def test_twice(self) -> None:
        """To watch a listener again changes nothing."""
        deadlines = self.watch(idle=5)
        deadlines.watch(self.listener)  # type: ignore[arg-type]
        self.assertEqual(self.listener.policies, [deadlines])

    def test_forgetsGone(self) -> None:
        """Nothing is kept of who has gone."""
        deadlines = self.watch(handshake=50, idle=50, write=50)
        stays = [self.accept(opened=False), self.accept()]
        gone = [self.accept(opened=False), self.accept()]
        for each in (*stays, *gone):
            each.say(10)
        self.wait(1)
        for each in gone:
            each.gone()
        self.wait(1)
        for memory in (deadlines._accepted, deadlines._activity, deadlines._goals):
            self.assertTrue(memory.keys() <= set(stays))
            self.assertTrue(memory)

    def test_stop(self) -> None:
        """Stopped it leaves no timer behind, and ends nobody; it may begin anew."""
        deadlines = self.watch(idle=5)
        fake = self.accept()
        self.wait(3)
        deadlines.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.listener.policies, [])
        self.wait(10)
        self.assertIsNone(fake.ended)
        deadlines.watch(self.listener)  # type: ignore[arg-type]
        self.wait(4.9)
        self.assertIsNone(fake.ended)
        self.wait(1)
        self.assertEqual(fake.why, "idle-timeout")

    def test_stoppedByAnEnd(self) -> None:
        """Also when it is the end of a connection that stops it."""
        deadlines = self.watch(idle=5)
        first, second = self.accept(), self.accept()
        first.gone = second.gone = deadlines.stop  # type: ignore[method-assign]
        self.wait(6)
        self.assertEqual({first.why, second.why}, {"idle-timeout"})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_goesOnAfterAFailure(self) -> None:
        """A failure is not the end of all looking."""
        self.watch(idle=5)
        fake = self.accept()
        good, fake.received = fake.received, None  # type: ignore[assignment]
        self.assertRaises(TypeError, self.wait, 1)
        fake.received = good
        self.wait(6)
        self.assertEqual(fake.why, "idle-timeout")

    def test_refuses(self) -> None:
        """A deadline of no time is none."""
        for name in ("handshake", "idle", "write"):
            for value in (0, -1, float("nan")):
                with self.assertRaisesRegex(ValueError, f"^{name} must be more than 0 seconds"):
                    Deadlines(**{name: value})  # type: ignore[arg-type]


class Turns(Clock):
    """A clock that, as a reactor, does in one turn only what was asked for before it."""

    def advance(self, amount: float) -> None:
        self.rightNow += amount
        for each in [each for each in self.calls if each.getTime() <= self.rightNow]:
            self.calls.remove(each)
            each.called = 1
            each.func(*each.args, **each.kw)


class ManyTests(DeadlinesTestCase):
    """Of many whose time is over a few are ended in a turn: others are heard in between."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = Turns()
        self.deadlines = self.watch(idle=5)
        self.fakes = [self.accept() for _ in range(120)]
        while self.living == 120:
            self.clock.advance(STEP)

    @property
    def living(self) -> int:
        return sum(each.connected for each in self.fakes)

    def test_fewInATurn(self) -> None:
        for living in (70, 20, 0):
            self.assertEqual(self.living, living)
            self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_itGoesOnLooking(self) -> None:
        fake = self.accept()
        self.wait(6)
        self.assertEqual(fake.why, "idle-timeout")

    def test_stoppedBetweenTwoTurns(self) -> None:
        """Who was late is nobody's any more."""
        self.deadlines.stop()
        self.wait(10)
        self.assertEqual(self.living, 70)


class ConversationTests(SynchronousTestCase):
    """What a conversation does by itself, and what its deadlines do for it."""

    def test_lastWordsThatNeverLeave(self) -> None:
        """It lingers once all has left; who takes nothing of it is ended."""

        class Farewell(Conversation):
            def messageReceived(self, message: bytes) -> None:
                self.write(bytes(500_000))
                self.hangUp()

        peer = connected(Farewell)
        Deadlines(clock=peer.clock).watch(peer.listener)
        peer.reading = False
        peer.write(b"the end?")
        peer.clock.pump([0.5] * 59)
        self.assertTrue(peer.connected)
        peer.clock.pump([0.5] * 4)
        assert peer.ending is not None
        self.assertEqual(peer.ending.why, "write-timeout")
