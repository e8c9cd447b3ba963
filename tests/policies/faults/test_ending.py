"""Tests for `tcplab.policies.faults.ending`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies.faults.ending import ResetPeer
from tcplab.policies.faults.stage import End
from tests.policies.faults.bench import Bench


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
        self.assertEqual((bench.came, bench.chain.held, bench.chain.full), ([], 0, False))
        self.assertTrue(bench.chain.swallows)

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
        bench.chain.remove("timeout-1")
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


class ResetPeerTests(SynchronousTestCase):
    """A reset."""

    def test_atOnce(self) -> None:
        bench = Bench("reset_peer")
        bench.say(b"a")
        bench.finish()
        self.assertEqual((bench.came, bench.hits), ([End.RESET], [("reset_peer", 0)]))
        self.assertTrue(bench.chain.swallows)

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


class HalfCloseTests(SynchronousTestCase):
    """FIN in one direction."""

    def test_finished(self) -> None:
        """What is said afterwards goes nowhere, except worse ends."""
        bench = Bench("half_close,match=bye")
        bench.say(b"a by", b"e and more", b"x")
        self.assertEqual(bench.came, [b"a by", b"e", End.HALF])
        bench.finish()
        bench.chain.end(End.RESET)
        self.assertEqual(bench.ends, [End.HALF, End.FINISH, End.RESET])
        self.assertEqual(bench.hits, [("half_close", 5)])
