"""Tests for `tcplab.faults.kinds.stall`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.spec import parseFault
from tcplab.faults.stage import End
from tests.support.fault_pipeline import Bench


class StallTests(SynchronousTestCase):
    """It stops reading."""

    def test_blocks(self) -> None:
        """The source pauses, whatever little is held; all of it goes on when it is over."""
        bench = Bench("stall,after=4B,for=2s")
        bench.say(b"abc")
        self.assertFalse(bench.full)
        bench.say(b"def")
        bench.finish()
        self.assertTrue(bench.full)
        self.assertEqual((bench.came, bench.hits), ([b"abc", b"d"], [("stall", 4)]))
        changes = bench.changes
        bench.clock.advance(2)
        self.assertEqual(bench.came, [b"abc", b"d", b"ef", End.FINISH])
        self.assertFalse(bench.full)
        self.assertGreater(bench.changes, changes)  # so that the source goes on

    def test_side(self) -> None:
        """Unless said otherwise it is what we read."""
        self.assertEqual(parseFault("stall").directions("upstream"), ("upstream",))
        self.assertEqual(parseFault("stall").directions("downstream"), ("downstream",))
        said = parseFault("stall,direction=both")
        self.assertEqual(said.directions("upstream"), ("downstream", "upstream"))
