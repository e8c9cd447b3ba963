"""Tests for `tcplab.server.drain`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel

from tcplab.server.drain import Drained, ListenersDrain, whenEmpty
from tcplab.wire.reasons import Reason
from tests.support.fake_listeners import FakeListener
from tests.support.log_capture import Logged


class Draining(Logged):
    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))

    def begun(
        self,
        *listeners: FakeListener,
        delay: float = 0,
        timeout: float | None = 15,
        closed: bool = True,
    ) -> Deferred[Drained]:
        self.listeners: Any = listeners
        self.drain = ListenersDrain(self.listeners, self.clock, delay=delay, timeout=timeout)
        done = self.drain.run()
        if closed:
            self.close()
        return done

    def close(self) -> None:
        for serving in self.listeners:
            serving.close()
        self.clock.advance(0)


class StepsTests(Draining):
    def test_order(self) -> None:
        """The ports close, the reactor turns to read what has arrived, then conversations end."""
        listeners = FakeListener(), FakeListener()
        done = self.begun(*listeners, closed=False)
        for listener in listeners:
            listener.close()
            self.assertEqual(listener.told, ["stop"])
        self.clock.advance(0)
        for listener in listeners:
            self.assertEqual(listener.told, ["stop", "drain", "abort"])
        self.assertEqual(self.successResultOf(done), (4, 0))

    def test_delay(self) -> None:
        """It accepts meanwhile; connections that end in the delay are not counted."""
        listener = FakeListener(count=3)
        done = self.begun(listener, delay=3)
        self.clock.advance(2.9)
        self.assertEqual(listener.told, [])
        listener.connections.pop()
        self.clock.advance(0.1)
        self.assertEqual(listener.told, ["stop"])
        self.close()
        self.assertEqual(self.successResultOf(done), (2, 0))

    def test_once(self) -> None:
        listener = FakeListener()
        first = self.begun(listener, closed=False)
        second = self.drain.run()
        self.close()
        for done in (first, second, self.drain.run()):
            self.assertEqual(self.successResultOf(done), (2, 0))
        self.assertEqual(listener.told.count("stop"), 1)


class DeadlineTests(Draining):
    def test_rest(self) -> None:
        """It ends so long after the ports began to close, and the rest is aborted."""
        for label, listeners, delay, closed, seconds, outcome in (
            ("one is left", (False, True), 0, 0, 15, (2, 2)),
            ("from the end of accepting", (False,), 10, 10, 15, (0, 2)),
            ("ports that close late", (False,), 0, 10, 5, (0, 2)),
            ("a port that never closes: a second more", (True,), 0, None, 16, (2, 0)),
        ):
            fakes = [FakeListener(polite=polite) for polite in listeners]
            done = self.begun(*fakes, delay=delay, closed=False)
            if closed is not None:
                self.clock.advance(closed)
                self.close()
            self.clock.pump([1.0] * (seconds - 1) + [0.9])
            self.assertNoResult(done)
            self.clock.advance(0.1)
            self.assertEqual(self.successResultOf(done), outcome, label)

    def test_stuck(self) -> None:
        """A connection that cannot be aborted is awaited for a second more."""
        stuck = FakeListener(polite=False)
        self.patch(stuck, "end", lambda: None)
        done = self.begun(stuck)
        self.clock.advance(15)
        self.assertNoResult(done)
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(done), (0, 2))

    def test_none(self) -> None:
        stuck = FakeListener(polite=False)
        done = self.begun(stuck, timeout=None)
        self.clock.advance(1e9)
        self.assertNoResult(done)
        stuck.end()
        self.assertEqual(self.successResultOf(done), (2, 0))


class LossesTests(Draining):
    def test_listenQueue(self) -> None:
        """Clients that were reset in the listen queue count as aborted."""
        listener = FakeListener()
        listener.unserved = 3
        done = self.begun(listener)
        self.assertEqual(self.successResultOf(done), (2, 3))

    def test_reasons(self) -> None:
        """A connection that is reset because its peer reads nothing counts as aborted."""
        for why, outcome in (
            (Reason.UNREAD, (0, 2)),
            (Reason.WRITE_TIMEOUT, (0, 2)),
            (Reason.LINGER_TIMEOUT, (2, 0)),
            (Reason.IDLE_TIMEOUT, (2, 0)),
            (None, (2, 0)),
        ):
            listener = FakeListener(polite=False)
            done = self.begun(listener)
            listener.end(why)
            self.assertEqual(listener.policies, ())
            self.assertEqual(self.successResultOf(done), outcome)

    def test_countedOnce(self) -> None:
        one, two = FakeListener(polite=False), FakeListener(polite=False, count=3)
        done = self.begun(one, two)
        one.end(Reason.UNREAD)
        self.clock.advance(15)
        self.assertEqual(self.successResultOf(done), (0, 5))


class AbortTests(Draining):
    def test_whileConnectionsEnd(self) -> None:
        for timeout in (15, None):
            done = self.begun(FakeListener(polite=False), timeout=timeout)
            self.assertEqual([self.drain.abortNow(), self.drain.abortNow()], [2, 0])
            self.assertEqual(self.successResultOf(done), (0, 2))

    def test_before(self) -> None:
        """During the delay, and while ports close, which is awaited."""
        for delay in (60, 0):
            listener = FakeListener()
            done = self.begun(listener, delay=delay, closed=False)
            self.drain.abortNow()
            self.assertNoResult(done)
            self.close()
            self.assertEqual(self.successResultOf(done), (0, 2))
            self.assertEqual(listener.told, ["stop", "abort"])


class LogTests(Draining):
    def test_lines(self) -> None:
        self.begun(FakeListener(polite=False), FakeListener(), delay=2)
        self.clock.advance(2)
        self.close()
        self.clock.advance(15)
        found = ["accepting for 2 s more, then draining", "draining: 4 connected, 15 s to finish"]
        self.assertEqual(self.lines(), found)
        self.assertEqual(self.lines(LogLevel.warn), ["drained=2 aborted=2 seconds=15.000"])
        self.events.clear()
        self.begun(FakeListener(), timeout=None)
        self.assertEqual(self.lines()[0], "draining: 2 connected, no limit")
        self.events.clear()
        self.begun(FakeListener(count=0))
        self.assertEqual(self.lines(), ["drained=0 aborted=0 seconds=0.000"])


class WhenEmptyTests(Logged):
    def waiting(self, *listeners: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(whenEmpty(listeners))

    def test_atOnce(self) -> None:
        self.successResultOf(self.waiting(FakeListener(count=0)))
        self.successResultOf(self.waiting())

    def test_together(self) -> None:
        one, two = FakeListener(), FakeListener()
        waiting = self.waiting(one, two)
        one.end()
        one.connections.add("another")
        two.end()
        self.assertNoResult(waiting)
        one.end()
        self.successResultOf(waiting)

    def test_cancelled(self) -> None:
        one = FakeListener()
        waiting = self.waiting(one, FakeListener())
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        one.end()  # what was cancelled is called no more
