"""Tests for `tcplab.faults.kinds.slicer`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.stage import End
from tests.support.fault_pipeline import Bench, cut, streams


class SlicerTests(SynchronousTestCase):
    """Small segments."""

    @settings(deadline=None, derandomize=True)
    @given(streams, st.integers(1, 30), st.integers(0, 29), st.integers(0, 5))
    def test_model(
        self, stream: tuple[bytes, set[int]], size: int, variation: int, delay: int
    ) -> None:
        """Every byte, in order, in pieces of the right size, then the end."""
        variation = min(variation, size - 1)
        bench = Bench(f"slicer,average_size={size},size_variation={variation},delay={delay}")
        bench.say(*cut(*stream))
        bench.finish()
        bench.idle()
        self.assertEqual((bench.data, bench.ends), (stream[0], [End.FINISH]))
        self.assertIs(bench.came[-1], End.FINISH)
        self.assertTrue(all(len(piece) <= size + variation for piece in bench.came[:-1]))

    def test_delay(self) -> None:
        """It is in microseconds unless typed otherwise."""
        bench = Bench("slicer,average_size=1,delay=10")
        bench.say(b"abc")
        bench.idle()
        for expected, got in zip((0, 1e-5, 2e-5), bench.times, strict=True):
            self.assertAlmostEqual(got, expected, 7)

    def test_sizes(self) -> None:
        """They vary around the average."""
        bench = Bench("slicer,average_size=10,size_variation=5")
        bench.say(bytes(10_000))
        bench.idle()
        self.assertEqual({len(piece) for piece in bench.came[:-1]}, set(range(5, 16)))
