"""Tests for `tcplab.faults.kinds.reset_peer`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.kinds.reset_peer import ResetPeer
from tcplab.faults.stage import End
from tests.support.fault_pipeline import Bench


class ResetPeerTests(SynchronousTestCase):
    """A reset."""

    def test_atOnce(self) -> None:
        bench = Bench("reset_peer")
        bench.say(b"a")
        bench.finish()
        self.assertEqual((bench.came, bench.hits), ([End.RESET], [("reset_peer", 0)]))
        self.assertTrue(bench.discards)

    def test_later(self) -> None:
        """What passes until then passes."""
        bench = Bench("reset_peer,timeout=500")
        bench.say(b"a")
        bench.clock.advance(0.499)
        bench.say(b"b")
        bench.clock.advance(0.001)
        bench.say(b"c")
        self.assertEqual(bench.came, [b"a", b"b", End.RESET])
        self.assertEqual(bench.hits, [("reset_peer", 2)])

    def test_finishedBefore(self) -> None:
        bench = Bench("reset_peer,timeout=500")
        bench.finish()
        bench.run()
        self.assertEqual(bench.came, [End.FINISH, End.RESET])

    def test_atAByte(self) -> None:
        bench = Bench("reset_peer,after=1KiB")
        bench.say(bytes(1000), bytes(1000))
        self.assertEqual((len(bench.data), bench.ends), (1024, [End.RESET]))
        self.assertEqual(bench.hits, [("reset_peer", 1024)])

    def test_atOnceOrNot(self) -> None:
        self.assertEqual((ResetPeer().atOnce, ResetPeer(1.0).atOnce), (True, False))
