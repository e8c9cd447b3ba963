"""Tests for `tcplab.faults.kinds.latency`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.stage import End
from tests.support.fault_pipeline import Bench


class LatencyTests(SynchronousTestCase):
    """Each byte leaves later."""

    @settings(deadline=None, derandomize=True)
    @given(
        st.lists(st.tuples(st.floats(0, 0.3), st.binary(min_size=1, max_size=20)), max_size=20),
        st.integers(0, 200),
    )
    def test_jitter(self, said: list[tuple[float, bytes]], jitter: int) -> None:
        """Nothing is lost or overtaken; each comes in its time, or with the one before."""
        bench = Bench(f"latency,latency=100,jitter={jitter}")
        times = []
        for gap, data in said:
            bench.run(gap, steps=3)
            times.append(bench.clock.seconds())
            bench.say(data)
        bench.finish()
        bench.idle()
        self.assertEqual(bench.came, [*[data for _, data in said], End.FINISH])
        earliest = 0.0
        for put, got in zip(times, bench.times, strict=False):
            self.assertGreaterEqual(got, put + max(0.0, 0.1 - jitter / 1000) - 0.001)
            self.assertLessEqual(got, max(earliest, put + 0.1 + jitter / 1000) + 0.101)
            earliest = max(earliest, got)

    def test_manySmallPieces(self) -> None:
        """They weigh more than their bytes."""
        bench = Bench("latency,latency=100")
        bench.say(*[b"x"] * 1024)
        self.assertTrue(bench.full)
        bench.clock.advance(0.1)
        self.assertEqual((bench.full, bench.pipeline.held), (False, 0))
