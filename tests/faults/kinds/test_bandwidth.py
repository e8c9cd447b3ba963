"""Tests for `tcplab.faults.kinds.bandwidth`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.kinds.bandwidth import BURST
from tcplab.faults.stage import End
from tests.support.fault_pipeline import Bench


class BandwidthTests(SynchronousTestCase):
    """A token bucket in bytes."""

    @settings(deadline=None, derandomize=True)
    @given(
        st.integers(1, 500),
        st.lists(st.tuples(st.floats(0, 0.2), st.integers(1, 20000)), max_size=8),
    )
    def test_model(self, rate: int, said: list[tuple[float, int]]) -> None:
        """At no time more has passed than a burst and the rate allow; in the end all has."""
        bench = Bench(f"bandwidth,rate={rate}")
        sent = b""
        for gap, size in said:
            bench.run(gap, steps=4)
            data = bytes(n % 251 for n in range(len(sent), len(sent) + size))
            sent += data
            bench.say(data)
        bench.finish()
        bench.idle()
        self.assertEqual((bench.data, bench.ends), (sent, [End.FINISH]))
        self.assertIs(bench.came[-1], End.FINISH)
        passed = 0
        for at, piece in zip(bench.times, bench.came[:-1], strict=False):
            passed += len(piece)
            most = max(1.0, rate * 1000 * BURST) + at * rate * 1000
            self.assertLessEqual(passed, most + 1)

    def test_rate(self) -> None:
        """100 KB at 10 KB/s take ten seconds, less a burst."""
        bench = Bench("bandwidth,rate=10")
        bench.say(bytes(100_000))
        bench.idle()
        self.assertAlmostEqual(bench.times[-1], 10.0 - BURST, 3)
