"""Tests for `tcplab.policies.deadlines`, in memory and in a time that the tests let pass."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies import deadlines as module
from tcplab.policies import progress
from tcplab.policies.deadlines import Deadlines
from tcplab.testing.memorytransport import MemoryReactor
from tests.support.memory_listener import MemoryListener, memoryClock, unacknowledged

STEP = 0.05  # seconds: less than the time between two checks


def nothing(transport: Any) -> None: ...


def receives(transport: Any) -> None:
    transport.received += 1


def sends(size: int, taken: int = 0) -> Callable[[Any], None]:
    return lambda transport: transport.say(size, taken)


def takes(size: int) -> Callable[[Any], None]:
    return lambda transport: transport.take(size)


def trickles(transport: Any) -> None:
    """Exchange a byte in each direction."""
    receives(transport)
    transport.say(1, taken=1)


def lags(transport: Any) -> None:
    """Send a byte, and have three on their way at any time."""
    transport.say(1)
    transport.take(len(transport.socket.sendBuffer) - 3)


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
        transport = listener.acceptOne()
        transport.socket.window = 50_000
        return transport

    def wait(self, seconds: float, each: Callable[[], object] = lambda: None) -> None:
        """Let time pass, and do something in every step of it."""
        for _ in range(round(seconds / STEP)):
            each()
            self.clock.advance(STEP)

    def endsWithin(
        self,
        why: str,
        earliest: float,
        latest: float,
        each: Callable[[], object] = lambda: None,
        what: str | None = None,
    ) -> None:
        """Let time pass until one more connection ends, for a reason and in its time."""
        number, start = len(self.listener.whys), self.clock.seconds()
        while len(self.listener.whys) == number and self.clock.seconds() - start < 2 * latest:
            self.wait(STEP, each)
        self.assertEqual(self.listener.whys[number:], [why], what)
        passed = self.clock.seconds() - start
        self.assertGreaterEqual(passed, earliest - 1e-6, what)
        self.assertLessEqual(passed, latest + 2 * STEP + 1e-6, what)

    @property
    def timers(self) -> int:
        return len(self.clock.getDelayedCalls())


class ExpiryTests(DeadlinesTestCase):
    def test_reset(self) -> None:
        """What begins a deadline, and what wins no time; one takes steps of 0.05 s meanwhile."""
        for what, limits, first, meanwhile, why, latest in (
            ("a slow handshake", {"handshake": 5}, nothing, trickles, "handshake-timeout", 5.2),
            ("no byte", {"idle": 20}, nothing, nothing, "idle-timeout", 21),
            ("no byte taken", {"idle": 2}, sends(100), nothing, "idle-timeout", 2.2),
            ("pending here", {"write": 5}, sends(99_999, 500), nothing, "write-timeout", 5.5),
            ("in the kernel", {"write": 5}, sends(9999, 500), nothing, "write-timeout", 5.5),
            ("less than any window", {"write": 5}, sends(9999), takes(1), "write-timeout", 5.5),
        ):
            self.watch(**limits)
            transport = self.accept(tls="handshake" in limits)
            first(transport)
            [deadline] = limits.values()
            self.endsWithin(why, deadline, latest, partial(meanwhile, transport), what)
            self.deadlines.stop()

    def test_kept(self) -> None:
        """What is progress, and where no deadline is set."""
        for what, limits, first, meanwhile in (
            ("a byte received", {"idle": 1}, nothing, receives),
            ("a byte sent", {"idle": 1}, nothing, sends(1, 1)),
            ("a segment taken in time", {"idle": 1}, sends(50_000), takes(200)),
            ("a slow reader", {"write": 2}, sends(50_000), takes(20)),
            ("little sent, all of it taken", {"write": 2}, sends(3), lags),
            ("nothing pending", {"write": 2}, sends(9, 9), nothing),
        ):
            self.watch(**limits)
            transport = self.accept()
            first(transport)
            self.wait(10, partial(meanwhile, transport))
            self.assertTrue(transport.connected, what)
            self.deadlines.stop()

    def test_defaults(self) -> None:
        """5 s for a handshake and 30 s for bytes; a connection may be idle."""
        Deadlines(clock=self.clock).watch(self.listener)
        idle, pending = self.accept(), self.accept()
        self.accept(tls=True)
        pending.say(9)
        self.endsWithin("handshake-timeout", 5, 5.2)
        self.endsWithin("write-timeout", 25 - STEP, 26)
        self.wait(600)
        self.assertTrue(idle.connected)

    def test_growReceiveBuffer(self) -> None:
        """It is called for connections with pending bytes only."""
        grown: list[object] = []
        self.patch(module, "growReceiveBuffer", grown.append)
        self.watch(write=30)
        pending, idle = self.accept(), self.accept()
        pending.say(40_000, taken=30_000)
        idle.say(40_000, taken=40_000)
        self.wait(3)
        self.assertEqual((set(grown), len(grown) > 1), ({pending}, True))

    def test_values(self) -> None:
        """More than 0; without a deadline the policy does nothing."""
        self.watch()
        self.assertEqual(self.listener.policies, ())
        for name in ("handshake", "idle", "write"):
            for value in (0, -1, float("nan")):
                with self.assertRaisesRegex(ValueError, f"^{name} must be more than 0 seconds"):
                    Deadlines(**{name: value})  # type: ignore[arg-type]


class HandshakeTests(DeadlinesTestCase):
    def test_oneAfterTheOther(self) -> None:
        """Each of a burst at its own time. Then checks are as rare as before."""
        self.watch(handshake=5, idle=10, write=30)
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
        self.wait(1.5, lambda: checks.add(self.clock.getDelayedCalls()[0].getTime()))
        self.assertLess(len(checks), 5)  # each half a second

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
        self.watch(handshake=None, write=5)
        self.accept(tls=True)
        self.endsWithin("write-timeout", 5, 5.5)


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
        """It does not count, not even for a new connection; nor does a clock that is set back."""
        for gap in (3600, -3600):
            self.watch(handshake=5, idle=5, write=5)
            self.accept(tls=True)
            self.accept()
            self.accept().say(1000)
            self.wait(2.9)
            self.accept(tls=True)
            self.clock.rightNow += gap
            for call in self.clock.getDelayedCalls():
                call.reset(0)
            self.wait(0.5)
            self.assertEqual(self.listener.whys, [])
            self.wait(3)
            reasons = ["handshake-timeout", "idle-timeout", "write-timeout"]
            self.assertCountEqual(self.listener.whys, reasons)
            self.wait(2)
            self.assertCountEqual(self.listener.whys, [*reasons, "handshake-timeout"])
            self.deadlines.stop()
            self.listener.told.endings.clear()

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
        for closed in (True, False):
            transport = self.accept()
            self.assertEqual(self.timers, 1)
            transport.end() if closed else self.endsWithin("idle-timeout", 5, 5.5)
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
        self.accept()
        self.wait(3)
        self.deadlines.stop()
        self.assertEqual((self.timers, self.listener.policies), (0, ()))
        self.wait(10)
        self.accept()
        self.deadlines.watch(self.listener)
        self.wait(4.9)
        self.assertEqual(self.listener.whys, [])
        self.patch(self.listener.told, "connectionClosed", lambda *_: self.deadlines.stop())
        self.wait(1)  # now it is stopped in the middle of a check
        self.assertEqual((self.timers, self.listener.connections), (0, set()))


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
        """Connections accepted meanwhile have their own deadline."""
        self.accept()
        for number in (71, 21, 1):
            self.assertEqual(len(self.open), number)
            self.clock.advance(0)
        self.wait(6)
        self.assertEqual((self.listener.whys, self.timers), (["idle-timeout"] * 121, 0))

    def test_stoppedBetweenTwoTurns(self) -> None:
        self.deadlines.stop()
        self.wait(10)
        self.assertEqual(len(self.open), 70)
