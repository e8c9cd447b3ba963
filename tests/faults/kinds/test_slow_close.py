"""Tests for `tcplab.faults.kinds.slow_close`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.stage import End
from tests.support.fault_pipeline import Bench


class SlowCloseTests(SynchronousTestCase):
    """The end comes late."""

    def test_late(self) -> None:
        bench = Bench("slow_close,delay=2s")
        bench.say(b"a")
        bench.finish()
        self.assertEqual((bench.came, bench.hits), ([b"a"], [("slow_close", 1)]))
        bench.clock.advance(2)
        self.assertEqual(bench.came, [b"a", End.FINISH])

    def test_reset(self) -> None:
        """A reset waits for nothing, and what it overtook comes no more."""
        bench = Bench("slow_close,delay=2s")
        bench.finish()
        bench.pipeline.head.end(End.RESET)
        bench.run()
        self.assertEqual(bench.came, [End.RESET])

    def test_over(self) -> None:
        bench = Bench("slow_close,delay=2s")
        bench.finish()
        bench.pipeline.head.end(End.CLOSE)
        bench.remove("slow_close-1")
        self.assertEqual(bench.came, [End.CLOSE])
        bench.run()
        self.assertEqual(bench.came, [End.CLOSE])
