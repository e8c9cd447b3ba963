"""Tests for `tcplab.faults.kinds.limit_time`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.stage import End
from tests.support.fault_pipeline import Bench


class LimitTimeTests(SynchronousTestCase):
    """The same by time."""

    def test_both(self) -> None:
        for how, end in (("fin", End.CLOSE), ("reset", End.RESET)):
            bench = Bench(f"limit_time,time=2s,how={how}")
            bench.say(b"a")
            bench.clock.advance(1.99)
            bench.say(b"b")
            self.assertEqual(bench.hits, [])
            bench.clock.advance(0.01)
            bench.say(b"c")
            bench.finish()
            self.assertEqual(bench.came, [b"a", b"b", end])
            self.assertEqual(bench.hits, [("limit_time", 2)])

    def test_noTime(self) -> None:
        self.assertEqual(Bench("limit_time,time=0s").came, [End.CLOSE])

    def test_finished(self) -> None:
        """Whoever has finished is cut off all the same, for the other direction."""
        bench = Bench("limit_time,time=2s")
        bench.finish()
        bench.clock.advance(2)
        self.assertEqual(bench.came, [End.FINISH, End.CLOSE])
