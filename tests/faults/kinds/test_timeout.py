"""Tests for `tcplab.faults.kinds.timeout`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.stage import End
from tests.support.fault_pipeline import Bench


class TimeoutTests(SynchronousTestCase):
    """Nothing passes."""

    def test_closed(self) -> None:
        bench = Bench("timeout,timeout=500")
        bench.say(b"a")
        bench.finish()
        bench.clock.advance(0.499)
        self.assertEqual(bench.came, [])
        bench.clock.advance(0.001)
        self.assertEqual((bench.came, bench.hits), ([End.CLOSE], [("timeout", 0)]))

    def test_never(self) -> None:
        """0, the default, is for ever; memory does not grow."""
        bench = Bench("timeout")
        bench.say(bytes(2**20))
        bench.finish()
        bench.run()
        self.assertEqual((bench.came, bench.pipeline.held, bench.full), ([], 0, False))
        self.assertTrue(bench.discards)

    def test_halfAnAnswer(self) -> None:
        """``after=10B``: then silence."""
        bench = Bench("timeout,after=10B")
        bench.say(b"123456789")
        self.assertEqual(bench.hits, [])
        bench.say(b"0ab", b"cd")
        self.assertEqual((bench.data, bench.hits), (b"1234567890", [("timeout", 10)]))

    def test_taken(self) -> None:
        """A stream has no holes: it is closed when the fault is taken away after bytes were."""
        bench = Bench("timeout")
        bench.say(b"a")
        bench.remove("timeout-1")
        self.assertEqual(bench.came, [End.CLOSE])

    def test_nothingTaken(self) -> None:
        """It goes on if nothing was lost; an end that was held back comes then."""
        bench = Bench("timeout,for=2s")
        bench.clock.advance(2)
        bench.say(b"a")
        self.assertEqual(bench.came, [b"a"])
        bench = Bench("timeout,for=2s")
        bench.finish()
        bench.clock.advance(2)
        self.assertEqual(bench.came, [End.FINISH])
