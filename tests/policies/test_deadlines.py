"""Tests for `tcplab.policies.deadlines`, in memory and in a time that the tests let pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies import deadlines as module
from tcplab.policies import progress
from tcplab.policies.deadlines import Deadlines
from tcplab.protocols.conversation import Conversation
from tcplab.testing import connected
from tcplab.testing.memorytransport import MemoryReactor
from tests.support.memory_listener import MemoryListener, memoryClock, unacknowledged

STEP = 0.05  # seconds: less than the time between two checks


class DeadlinesTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(progress, "unacknowledgedBytes", unacknowledged)
        self.clock = memoryClock()
        self.listener = MemoryListener(self.clock)

    def watch(self, **limits: float | None) -> Deadlines:
        others: dict[str, Any] = {"handshake": None, "write": None}
        self.deadlines = Deadlines(**{**others, **limits}, clock=self.clock)
        self.deadlines.watch(self.listener)
        return self.deadlines

    def accept(self, *, tls: bool = False, listener: MemoryListener | None = None) -> Any:
        listener = listener or self.listener
        listener.tls = tls
        return listener.acceptOne()

    def wait(self, seconds: float, each: Callable[[], object] = lambda: None) -> None:
        """Let time pass, and do something in every step of it."""
        for _ in range(round(seconds / STEP)):
            each()
            self.clock.advance(STEP)

    def endsWithin(
        self, why: str | None, earliest: float, latest: float, each: Any = lambda: None
    ) -> None:
        """Let time pass until one more connection ends, for a reason and in its time."""
        number, start = len(self.listener.whys), self.clock.seconds()
        for _ in range(round((latest + 3 * STEP) / STEP)):
            each()
            self.clock.advance(STEP)
            if len(self.listener.whys) > number:
                break
        self.assertEqual(self.listener.whys[number:], [why])
        passed = self.clock.seconds() - start
        self.assertGreaterEqual(passed, earliest - 1e-6)
        self.assertLessEqual(passed, latest + 2 * STEP + 1e-6)

    def stays(self, transport: Any, seconds: float, each: Any = lambda: None) -> None:
        self.wait(seconds, each)
        self.assertTrue(transport.connected)

    @property
    def timers(self) -> int:
        return len(self.clock.getDelayedCalls())


class HandshakeTests(DeadlinesTestCase):
    def test_expired(self) -> None:
        """Not before the deadline, and soon after it, whenever the next check would be."""
        self.watch(handshake=5)
        for _ in range(7):
            self.accept(tls=True)
            self.endsWithin("handshake-timeout", 5, 5.2)
            self.wait(0.3)

    def test_oneAfterTheOther(self) -> None:
        """Each of a burst at its own time. Then checks are as rare as before."""
        self.watch(handshake=5)
        for number in range(20):
            transport = self.accept(tls=True)
            self.wait(0.1)
            if number % 2:
                self.listener.establish(transport)
        self.wait(6)
        self.assertEqual(self.listener.whys, ["handshake-timeout"] * 10)
        for ending in self.listener.told.endings:
            self.assertTrue(5 <= ending.seconds <= 5.2 + 2 * STEP + 1e-6)
        checks = set()
        self.wait(3, lambda: checks.add(self.clock.getDelayedCalls()[0].getTime()))
        self.assertLess(len(checks), 8)  # each half a second

    def test_absolute(self) -> None:
        """A byte now and then, in either direction, wins no time."""

        def trickle() -> None:
            transport.received += 1
            transport.say(1, taken=1)

        self.watch(handshake=5)
        transport = self.accept(tls=True)
        self.endsWithin("handshake-timeout", 5, 5.2, trickle)

    def test_established(self) -> None:
        self.watch(handshake=5)
        transport = self.accept(tls=True)
        self.wait(4.9)
        self.listener.establish(transport)
        self.stays(transport, 10)

    def test_writeDeadline(self) -> None:
        """In a handshake the kernel is asked only if the write deadline is shorter."""
        asked: list[Any] = []
        self.patch(progress, "unacknowledgedBytes", lambda each: asked.append(each) or 9)
        self.watch(handshake=5, write=30)
        self.accept(tls=True)
        self.wait(3)
        self.assertEqual(asked, [])
        self.deadlines.stop()
        self.listener.close()
        self.watch(handshake=60, write=5)
        self.accept(tls=True)
        self.endsWithin("write-timeout", 5, 5.5)

    def test_off(self) -> None:
        self.watch(handshake=None, write=5)
        self.stays(self.accept(tls=True), 60)


class IdleTests(DeadlinesTestCase):
    def test_expired(self) -> None:
        self.watch(idle=20)
        transport = self.accept()
        self.wait(3.3)
        transport.received += 1
        self.endsWithin("idle-timeout", 20, 21)

    def test_offByDefault(self) -> None:
        Deadlines(clock=self.clock).watch(self.listener)
        transport = self.accept()
        transport.say(5, taken=5)
        self.stays(transport, 600)

    def test_activity(self) -> None:
        """A byte in either direction, or one that the peer takes from the kernel."""
        self.watch(idle=2)
        received, sent, taken = (self.accept() for _ in range(3))
        taken.socket.window = 10**6
        taken.say(100_000)
        for number in range(10):
            self.wait(1.9, lambda: taken.take(200))
            received.received += 1
            sent.say(1, taken=1)
            self.assertEqual(self.listener.whys, [], number)

    def test_theRestTaken(self) -> None:
        """The time runs from when the last byte was taken."""
        self.watch(idle=20)
        transport = self.accept()
        transport.say(100)
        self.wait(15)
        transport.take(100)
        self.endsWithin("idle-timeout", 20, 21)

    def test_nothingTaken(self) -> None:
        """Bytes that wait for a peer that takes none are no activity."""
        self.watch(idle=2)
        self.accept().say(100)
        self.endsWithin("idle-timeout", 2, 2.2)


class WriteTests(DeadlinesTestCase):
    def test_byDefault(self) -> None:
        """30 s, whether the bytes wait in the kernel or in this process."""
        Deadlines(clock=self.clock).watch(self.listener)
        for window in (100_000, 1000):
            transport = self.accept()
            transport.socket.window = window
            self.wait(1.7)
            transport.say(100_000, taken=window // 2)
            self.endsWithin("write-timeout", 30, 31)

    def test_growReceiveBuffer(self) -> None:
        """It is called for connections with pending bytes only."""
        grown: list[object] = []
        self.patch(module, "growReceiveBuffer", grown.append)
        self.watch(write=30)
        pending, idle = self.accept(), self.accept()
        pending.say(60_000, taken=50_000)
        idle.say(60_000, taken=60_000)
        self.wait(3)
        self.assertEqual((set(grown), len(grown) > 1), ({pending}, True))

    def test_progress(self) -> None:
        """A slow reader keeps its connection, whether it takes much at once or little often."""
        self.watch(write=10)
        often, seldom = self.accept(), self.accept()
        for each in (often, seldom):
            each.socket.window = 10**6
            each.say(10**6)
        for _ in range(20):
            self.wait(9, lambda: often.take(4))
            seldom.take(1460)
        self.assertEqual(self.listener.whys, [])

    def test_trickle(self) -> None:
        """A peer that takes a byte now and then, as no kernel does, is reset."""
        self.watch(write=10)
        transport = self.accept()
        transport.say(60_000)
        self.endsWithin("write-timeout", 10, 11, lambda: transport.take(1))

    def test_littleAtATime(self) -> None:
        """Where little is sent, all that waited at a time is progress enough."""
        self.watch(write=10)
        transport = self.accept()

        def tick() -> None:  # there is always something on its way
            transport.say(1)
            transport.take(len(transport.socket.sendBuffer) - 3)

        self.stays(transport, 40, tick)
        self.assertLess(transport.sent, 10**3)

    def test_idleBefore(self) -> None:
        """The time runs from when something waits; while nothing does, there is no deadline."""
        self.watch(write=10)
        transport = self.accept()
        transport.say(10, taken=10)
        self.stays(transport, 60)
        transport.say(10)
        self.endsWithin("write-timeout", 10, 11)


class PrecisionTests(DeadlinesTestCase):
    """Never before the deadline, and later by a tenth of it, or 0.1 s, at most."""

    @settings(deadline=None, derandomize=True)
    @given(
        st.sampled_from([0.5, 1.0, 3.0, 10.0, 60.0]),
        st.lists(st.tuples(st.sampled_from("qrst"), st.floats(0.01, 1.2)), max_size=12),
    )
    def test_always(self, limit: float, events: list[tuple[str, float]]) -> None:
        """Whatever came before, and whenever: received, sent, taken, or nothing."""
        self.clock = memoryClock()
        self.listener = MemoryListener(self.clock)
        self.watch(handshake=limit, idle=limit, write=limit)
        transport = self.accept()
        last = 0.0
        for what, pause in events:
            self._pass(pause * limit)
            if not transport.connected:
                break
            last = self._do(what, transport, last)
        self._pass(2 * limit + 0.3)
        [ending] = self.listener.told.endings
        self.assertGreaterEqual(ending.seconds - last, limit - 1e-6)
        self.assertLessEqual(ending.seconds - last, limit + max(0.1, min(1.0, limit / 10)) + 1e-6)

    def _pass(self, seconds: float) -> None:
        while seconds > 0:
            calls = self.clock.getDelayedCalls()
            now = self.clock.seconds()
            due = min((each.getTime() for each in calls), default=now + seconds)
            step = min(seconds, max(due - now, 1e-9))
            self.clock.advance(step)
            seconds -= step

    def _do(self, what: str, transport: Any, last: float) -> float:
        queued = len(transport.socket.sendBuffer)
        if what == "q" or (what == "t" and not queued) or (what == "r" and queued):
            return last  # with bytes pending, one received is no progress
        if what == "r":
            transport.received += 1
        elif what == "s":
            transport.take(queued)
            transport.say(9)
        else:
            transport.take(9)
        return self.clock.seconds()


class LostTimeTests(DeadlinesTestCase):
    """Time in which the process was stopped or starved."""

    def test_gap(self) -> None:
        """It does not count, not even for a connection accepted just before it."""
        self.watch(handshake=5, idle=5, write=5)
        self.accept(tls=True)
        self.accept()
        self.accept().say(1000)
        self.wait(2.9)
        self.accept(tls=True)
        self.clock.advance(3600)
        self.wait(0.5)
        self.assertEqual(self.listener.whys, [])
        self.wait(3)
        reasons = ["handshake-timeout", "idle-timeout", "write-timeout"]
        self.assertCountEqual(self.listener.whys, reasons)
        self.wait(2)
        self.assertCountEqual(self.listener.whys, [*reasons, "handshake-timeout"])

    def test_readFirst(self) -> None:
        """What has arrived is read before a reset, and a connection may end by itself."""
        self.watch(idle=5)
        active, closed, _ = (self.accept() for _ in range(3))
        self.wait(5.1)

        def read() -> None:
            active.received += 1
            closed.end()

        self.clock.callLater(0, self.clock.callLater, 0, read)  # as it is after the timed calls
        self.clock.advance(60)
        self.wait(0.2)
        self.assertEqual((self.listener.whys, active.connected), ([None, "idle-timeout"], True))

    def test_clockIsSet(self) -> None:
        """Nor does a step of the clock count: reactors keep the time of day."""
        self.watch(handshake=5, idle=5, write=5)
        self.accept(tls=True)
        self.accept()
        self.wait(2)
        self.clock.rightNow -= 3600
        for call in self.clock.getDelayedCalls():
            call.reset(0)
        self.wait(4)
        self.assertCountEqual(self.listener.whys, ["handshake-timeout", "idle-timeout"])
        self.accept(tls=True)
        self.endsWithin("handshake-timeout", 5, 5.5)

    def test_starved(self) -> None:
        """A reactor that is always late resets late."""
        self.watch(write=5)
        self.accept().say(1)
        self.clock.pump([3] * 30)
        self.assertEqual(self.listener.whys, ["write-timeout"])


class CheckTests(DeadlinesTestCase):
    """One timer for all connections, and none without."""

    def test_noConnections(self) -> None:
        self.watch(handshake=5, idle=5, write=5)
        self.assertEqual(self.timers, 0)
        transport = self.accept()
        self.assertEqual(self.timers, 1)
        transport.end()
        self.assertEqual(self.timers, 0)
        self.accept()
        self.endsWithin("idle-timeout", 5, 5.5)
        self.assertEqual(self.timers, 0)

    def test_severalListeners(self) -> None:
        """One timer, as long as one of them has a connection, and open ones included."""
        other = MemoryListener(self.clock)
        self.accept(listener=other)
        self.wait(1)
        self.watch(idle=5).watch(other)
        every = [self.accept(listener=each) for each in [self.listener, other] * 50]
        self.assertEqual(self.timers, 1)
        for each in every[::2]:
            each.end()
        self.wait(6)
        self.assertEqual(self.listener.whys + other.whys, [None] * 50 + ["idle-timeout"] * 51)

    def test_noDeadline(self) -> None:
        self.watch(handshake=None, idle=None, write=None)
        self.accept(tls=True)
        self.assertEqual((self.timers, self.listener.policies), (0, ()))

    def test_forgets(self) -> None:
        """Nothing is kept of closed connections."""
        self.watch(handshake=50, idle=50, write=50)
        stay, go = ([self.accept(tls=True), self.accept()] for _ in range(2))
        for each in (*stay, *go):
            each.say(10)
        self.wait(1)
        for each in go:
            each.end()
        self.wait(1)
        for values in (self.deadlines._accepted, self.deadlines._activity, self.deadlines._goals):
            self.assertTrue(values.keys() <= set(stay))
            self.assertTrue(values)

    def test_stop(self) -> None:
        """No timer is left, and no connection reset; then all begins anew."""
        self.watch(idle=5)
        transport = self.accept()
        self.wait(3)
        self.deadlines.stop()
        self.assertEqual((self.timers, self.listener.policies), (0, ()))
        self.stays(transport, 10)
        self.deadlines.watch(self.listener)
        self.endsWithin("idle-timeout", 5, 6)

    def test_stoppedByAnEnd(self) -> None:
        self.watch(idle=5)
        self.accept()
        self.accept()
        self.patch(self.listener.told, "connectionClosed", lambda *_: self.deadlines.stop())
        self.wait(6)
        self.assertEqual((self.timers, self.listener.connections), (0, set()))

    def test_failure(self) -> None:
        """An exception does not end the checks."""
        self.watch(idle=5)
        transport = self.accept()
        transport.received = None
        self.assertRaises(TypeError, self.wait, 1)
        transport.received = 0
        self.endsWithin("idle-timeout", 4, 6)

    def test_refused(self) -> None:
        for name in ("handshake", "idle", "write"):
            for value in (0, -1, float("nan")):
                with self.assertRaisesRegex(ValueError, f"^{name} must be more than 0 seconds"):
                    Deadlines(**{name: value})  # type: ignore[arg-type]


class Turns(MemoryReactor):
    """As a reactor, do in one turn only what was scheduled before it."""

    def advance(self, amount: float) -> None:
        self.rightNow += amount
        for each in [each for each in self.calls if each.getTime() <= self.rightNow]:
            self.calls.remove(each)
            each.called = 1
            each.func(*each.args, **each.kw)


class ManyTests(DeadlinesTestCase):
    """Of many expired deadlines a few are handled in a turn."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = Turns(lambda: None)
        self.listener = MemoryListener(self.clock)
        self.watch(idle=5)
        for _ in range(120):
            self.accept()
        while len(self.open) == 120:
            self.clock.advance(STEP)

    @property
    def open(self) -> list[Any]:
        return [each for each in self.listener.connections if not each._aborting]

    def test_fewInATurn(self) -> None:
        for number in (70, 20, 0):
            self.assertEqual(len(self.open), number)
            self.clock.advance(0)
        self.clock.advance(0)
        self.assertEqual(self.timers, 0)

    def test_othersMeanwhile(self) -> None:
        """Connections accepted meanwhile have their own deadline."""
        self.accept()
        self.wait(6)
        self.assertEqual(self.listener.whys, ["idle-timeout"] * 121)

    def test_stoppedBetweenTwoTurns(self) -> None:
        self.deadlines.stop()
        self.wait(10)
        self.assertEqual(len(self.open), 70)


class ConversationTests(SynchronousTestCase):
    def test_lastBytesNeverTaken(self) -> None:
        """Lingering begins when all bytes have left; until then the write deadline counts."""

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
