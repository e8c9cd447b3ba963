"""Tests for `tcplab.faults.pipeline`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.pipeline import HIGH_WATER, TriggerMatcher
from tcplab.faults.spec import Trigger
from tcplab.faults.stage import End
from tests.support.fault_pipeline import Bench, cut, streams


def passed(watch: TriggerMatcher, pieces: list[bytes]) -> int | None:
    """Count the bytes that pass before it begins."""
    total = 0
    for piece in pieces:
        size = watch.bytesBefore(piece)
        if size is not None:
            return total + size
        total += len(piece)
    return None


class TriggerMatcherTests(SynchronousTestCase):
    """The moment at which a fault begins."""

    @settings(deadline=None, derandomize=True)
    @given(st.integers(1, 40), st.binary(max_size=50), st.sets(st.integers(0, 50)))
    def test_afterBytes(self, after: int, data: bytes, places: set[int]) -> None:
        """Behind exactly so many bytes, however they come."""
        expected = after if len(data) >= after else None
        self.assertEqual(
            passed(TriggerMatcher(Trigger(afterBytes=after)), cut(data, places)), expected
        )

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(
        st.text("ab", min_size=1, max_size=4),
        st.text("ab", max_size=40),
        st.sets(st.integers(0, 40)),
    )
    def test_match(self, match: str, text: str, places: set[int]) -> None:
        """Behind the bytes, even if they come in pieces."""
        at = text.find(match)
        expected = at + len(match) if at >= 0 else None
        watch = TriggerMatcher(Trigger(match=match.encode()))
        self.assertEqual(passed(watch, cut(text.encode(), places)), expected)

    def test_never(self) -> None:
        """Without a trigger of bytes all of them pass."""
        self.assertIsNone(TriggerMatcher(Trigger()).bytesBefore(b"x"))


class ActiveFaultTests(SynchronousTestCase):
    """From the trigger to the end."""

    @settings(deadline=None, derandomize=True)
    @given(streams, st.integers(0, 310))
    def test_bytes(self, stream: tuple[bytes, set[int]], after: int) -> None:
        """Exactly so many pass before, however they come."""
        bench = Bench(f"half_close,after={after}B")
        bench.say(*cut(*stream))
        self.assertEqual(bench.data, stream[0][:after])
        self.assertEqual(bool(bench.ends), len(stream[0]) >= after)

    def test_lost(self) -> None:
        """Nothing remains of a connection that is lost."""
        bench = Bench("latency,latency=1s", "reset_peer,after=1s", "stall,for=2s")
        bench.say(b"a")
        bench.finish()
        bench.pipeline.discard()
        self.assertEqual((bench.clock.getDelayedCalls(), bench.came), ([], []))


#: They keep every byte, and the order.
HARMLESS = (
    "latency,latency=100",
    "latency,latency=10,jitter=30",
    "latency,latency=50,after=20B",
    "latency,latency=50,match=a,for=90ms",
    "bandwidth,rate=1",
    "bandwidth,rate=5,after=30ms,for=40ms",
    "bandwidth,rate=0,for=3s",
    "slicer,average_size=7,size_variation=3,delay=500",
    "slicer,average_size=1,after=11B",
    "slow_close,delay=30",
    "stall,after=15B,for=200ms",
    "stall,after=10ms,for=20ms",
)


class PipelineTests(SynchronousTestCase):
    """
    Faults, one behind the other.

    `tests.faults.test_filter_models` has them in all orders, on both directions of a connection.
    """

    def test_order(self) -> None:
        """As they were given: what is cut behind a corrupted byte, and what before it."""
        corrupt, cutting = "corrupt,every=1B,bits=8", "half_close,match=\\xff"
        for faults, data in (((corrupt, cutting), b"\xff"), ((cutting, corrupt), b"\xff\xff")):
            bench = Bench(*faults)
            bench.say(b"\0\0")
            self.assertEqual(bench.data, data)

    def test_full(self) -> None:
        """All that its links hold, together."""
        bench = Bench("bandwidth,rate=0,after=1B", "bandwidth,rate=0")
        bench.say(bytes(HIGH_WATER - 1))
        self.assertEqual((bench.pipeline.held, bench.full), (HIGH_WATER - 1, False))
        bench.say(b"x")
        self.assertTrue(bench.full)

    def test_empty(self) -> None:
        bench = Bench()
        bench.say(b"a")
        bench.finish()
        bench.remove("unknown")
        self.assertEqual(bench.came, [b"a", End.FINISH])

    def test_startedLater(self) -> None:
        """Links may wait for a handshake."""
        bench = Bench()
        bench.add("latency,latency=1")
        bench.pipeline.start()
        bench.say(b"a")
        self.assertEqual(bench.came, [])
