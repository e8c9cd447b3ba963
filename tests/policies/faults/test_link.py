"""Tests for `tcplab.policies.faults.link`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies.faults.stage import End
from tests.policies.faults.bench import Bench, cut, streams


class LinkTests(SynchronousTestCase):
    """From the trigger to the end."""

    def test_time(self) -> None:
        bench = Bench("bandwidth,rate=0,after=250ms,for=2s")
        bench.say(b"a")
        bench.clock.advance(0.25)
        bench.say(b"b")
        bench.clock.advance(1.99)
        self.assertEqual(bench.came, [b"a"])
        bench.clock.advance(0.01)
        bench.say(b"c")
        self.assertEqual(bench.came, [b"a", b"b", b"c"])
        self.assertEqual(bench.clock.getDelayedCalls(), [])

    @settings(deadline=None, derandomize=True)
    @given(streams, st.integers(0, 310))
    def test_bytes(self, stream: tuple[bytes, set[int]], after: int) -> None:
        """Exactly so many pass before, however they come."""
        bench = Bench(f"half_close,after={after}B")
        bench.say(*cut(*stream))
        self.assertEqual(bench.data, stream[0][:after])
        self.assertEqual(bool(bench.ends), len(stream[0]) >= after)

    def test_match(self) -> None:
        bench = Bench(r"timeout,match=a\,b\n")
        bench.say(b"xa,", b"b\ny")
        self.assertEqual(bench.data, b"xa,b\n")

    def test_waiting(self) -> None:
        """An end passes a fault that has not begun; that may begin all the same."""
        bench = Bench("reset_peer,after=1s")
        bench.finish()
        bench.clock.advance(1)
        self.assertEqual(bench.came, [End.FINISH, End.RESET])

    def test_offset(self) -> None:
        """Of what came before the fault began, too."""
        bench = Bench("corrupt,every=1B,bits=8,after=3B")
        bench.say(bytes(2), bytes(4))
        self.assertEqual((bench.data, bench.hits), (b"\0\0\0\xff\xff\xff", [("corrupt", 3)]))

    def test_lost(self) -> None:
        """Nothing remains of a connection that is lost."""
        bench = Bench("latency,latency=1s", "reset_peer,after=1s", "stall,for=2s")
        bench.say(b"a")
        bench.finish()
        bench.chain.lose()
        self.assertEqual((bench.clock.getDelayedCalls(), bench.came), ([], []))
