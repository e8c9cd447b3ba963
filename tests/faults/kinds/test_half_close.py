"""Tests for `tcplab.faults.kinds.half_close`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.stage import End
from tests.support.fault_pipeline import Bench


class HalfCloseTests(SynchronousTestCase):
    """FIN in one direction."""

    def test_finished(self) -> None:
        """What is said afterwards goes nowhere, except worse ends."""
        bench = Bench("half_close,match=bye")
        bench.say(b"a by", b"e and more", b"x")
        self.assertEqual(bench.came, [b"a by", b"e", End.HALF])
        bench.finish()
        bench.pipeline.head.end(End.RESET)
        self.assertEqual(bench.ends, [End.HALF, End.FINISH, End.RESET])
        self.assertEqual(bench.hits, [("half_close", 5)])
