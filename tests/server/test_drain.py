"""How a lab ends: one thing after the other, with an end to each."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel

from tcplab.server.drain import Drained, ListenersDrain, whenEmpty
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


class InOrder(Draining):
    def test_accepts_nobody_then_tells_everyone(self) -> None:
        listeners = FakeListener(), FakeListener()
        done = self.begun(*listeners)
        self.assertEqual(self.successResultOf(done), (4, 0))
        for listener in listeners:
            self.assertEqual(listener.told[:2], ["stop", "drain"])

    def test_tells_nobody_before_what_has_arrived_is_read(self) -> None:
        listener = FakeListener()
        done = self.begun(listener, closed=False)
        self.listeners[0].close()
        self.assertEqual(listener.told, ["stop"])
        self.clock.advance(0)  # a turn of the reactor
        self.assertEqual(listener.told, ["stop", "drain", "abort"])
        self.successResultOf(done)

    def test_accepts_during_the_delay(self) -> None:
        listener = FakeListener()
        done = self.begun(listener, delay=3)
        self.clock.advance(2.9)
        self.assertEqual(listener.told, [])
        self.clock.advance(0.1)
        self.assertEqual(listener.told, ["stop"])
        self.close()
        self.assertEqual(self.successResultOf(done), (2, 0))

    def test_who_comes_and_goes_during_the_delay_is_not_counted(self) -> None:
        listener = FakeListener(count=0)
        done = self.begun(listener, delay=3)
        listener.connections = FakeListener(count=3).connections
        self.clock.advance(1)
        listener.connections = FakeListener(count=1).connections
        self.clock.advance(2)
        self.close()
        self.assertEqual(self.successResultOf(done), (1, 0))

    def test_waits_for_the_last_one(self) -> None:
        listeners = FakeListener(polite=False), FakeListener(polite=False)
        done = self.begun(*listeners)
        listeners[1].end()
        self.assertNoResult(done)
        listeners[0].end()
        self.assertEqual(self.successResultOf(done), (4, 0))

    def test_nobody_is_there(self) -> None:
        self.assertEqual(self.successResultOf(self.begun(FakeListener(count=0))), (0, 0))

    def test_is_run_once_for_each_who_asks(self) -> None:
        listener = FakeListener()
        first = self.begun(listener, closed=False)
        second = self.drain.run()
        self.close()
        for done in (first, second, self.drain.run()):
            self.assertEqual(self.successResultOf(done), (2, 0))
        self.assertEqual(listener.told.count("stop"), 1)


class Deadline(Draining):
    def test_the_rest_is_aborted(self) -> None:
        stuck, polite = FakeListener(polite=False), FakeListener()
        done = self.begun(stuck, polite)
        self.clock.advance(14.9)
        self.assertNoResult(done)
        self.clock.advance(0.1)
        self.assertEqual(self.successResultOf(done), (2, 2))

    def test_counts_from_the_end_of_accepting(self) -> None:
        done = self.begun(FakeListener(polite=False), delay=10)
        self.clock.advance(10)
        self.close()
        self.clock.advance(14.9)
        self.assertNoResult(done)
        self.clock.advance(0.1)
        self.assertEqual(self.successResultOf(done), (0, 2))

    def test_holds_for_ports_that_do_not_close(self) -> None:
        listener = FakeListener(polite=False)
        done = self.begun(listener, closed=False)
        self.clock.advance(10)
        self.close()
        self.clock.advance(5)
        self.assertEqual(self.successResultOf(done), (0, 2))

    def test_port_that_never_closes_is_waited_for_a_second_more(self) -> None:
        done = self.begun(FakeListener(), closed=False)
        self.clock.advance(15)
        self.assertNoResult(done)
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(done), (2, 0))

    def test_who_cannot_even_be_aborted_is_waited_for_a_second(self) -> None:
        stuck = FakeListener(polite=False)
        self.patch(stuck, "end", lambda: None)
        done = self.begun(stuck)
        self.clock.advance(15)
        self.assertNoResult(done)
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(done), (0, 2))

    def test_none_is_for_ever(self) -> None:
        stuck = FakeListener(polite=False)
        done = self.begun(stuck, timeout=None)
        self.clock.advance(1e9)
        self.assertNoResult(done)
        stuck.end()
        self.assertEqual(self.successResultOf(done), (2, 0))


class Losing(Draining):
    def ended(self, why: str) -> tuple[int, int]:
        listener = FakeListener(polite=False)
        done = self.begun(listener)
        listener.end(why)
        self.assertEqual(listener.policies, ())
        return self.successResultOf(done)

    def test_who_is_reset_because_it_reads_nothing_is_aborted(self) -> None:
        for why in ("unread", "write-timeout"):
            self.assertEqual(self.ended(why), (0, 2))

    def test_who_had_read_everything_is_not(self) -> None:
        for why in ("linger-timeout", "handshake-timeout", "idle-timeout", "error"):
            self.assertEqual(self.ended(why), (2, 0))

    def test_nobody_is_counted_twice(self) -> None:
        one, two = FakeListener(polite=False), FakeListener(polite=False, count=3)
        done = self.begun(one, two)
        one.end("unread")
        self.clock.advance(15)
        self.assertEqual(self.successResultOf(done), (0, 5))


class Hurrying(Draining):
    def test_aborts_at_once(self) -> None:
        listener = FakeListener(polite=False)
        done = self.begun(listener)
        self.assertEqual(self.drain.abortNow(), 2)
        self.assertEqual(self.successResultOf(done), (0, 2))

    def test_during_the_delay(self) -> None:
        listener = FakeListener()
        done = self.begun(listener, delay=60)
        self.drain.abortNow()
        self.close()
        self.assertEqual(self.successResultOf(done), (0, 2))
        self.assertEqual(listener.told, ["stop", "abort"])

    def test_while_the_ports_close_lets_them_close(self) -> None:
        done = self.begun(FakeListener(), closed=False)
        self.drain.abortNow()
        self.assertNoResult(done)
        self.close()
        self.assertEqual(self.successResultOf(done), (0, 2))

    def test_without_a_deadline(self) -> None:
        done = self.begun(FakeListener(polite=False), timeout=None)
        self.drain.abortNow()
        self.assertEqual(self.successResultOf(done), (0, 2))

    def test_again_changes_nothing(self) -> None:
        done = self.begun(FakeListener(polite=False))
        self.drain.abortNow()
        self.assertEqual(self.drain.abortNow(), 0)
        self.assertEqual(self.successResultOf(done), (0, 2))


class Saying(Draining):
    def test_how_many_and_how_long(self) -> None:
        self.begun(FakeListener(polite=False), FakeListener(), delay=2)
        self.clock.advance(2)
        self.close()
        self.clock.advance(15)
        self.assertEqual(
            self.lines(),
            [
                "accepting for 2 s more, then draining",
                "draining: 4 connected, 15 s to finish",
            ],
        )
        self.assertEqual(self.lines(LogLevel.warn), ["drained=2 aborted=2 seconds=15.000"])

    def test_nothing_but_the_outcome_when_nobody_is_there(self) -> None:
        self.begun(FakeListener(count=0))
        self.assertEqual(self.lines(), ["drained=0 aborted=0 seconds=0.000"])

    def test_without_a_deadline(self) -> None:
        self.begun(FakeListener(), timeout=None)
        self.assertEqual(self.lines()[0], "draining: 2 connected, no limit")


class WhenEmpty(Logged):
    def waiting(self, *listeners: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(whenEmpty(listeners))

    def test_at_once_when_nobody_is_there(self) -> None:
        self.successResultOf(self.waiting(FakeListener(count=0)))
        self.successResultOf(self.waiting())

    def test_all_at_the_same_time(self) -> None:
        one, two = FakeListener(), FakeListener()
        waiting = self.waiting(one, two)
        one.end()
        one.connections.add("another")
        two.end()
        self.assertNoResult(waiting)
        one.end()
        self.successResultOf(waiting)

    def test_can_be_cancelled(self) -> None:
        one = FakeListener()
        waiting = self.waiting(one, FakeListener())
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        one.end()  # what was cancelled is called no more
