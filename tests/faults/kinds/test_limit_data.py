"""Tests for `tcplab.faults.kinds.limit_data`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.stage import End
from tests.support.fault_pipeline import Bench, cut, streams


class LimitDataTests(SynchronousTestCase):
    """An exact prefix, then the end."""

    @settings(deadline=None, derandomize=True)
    @given(streams, st.integers(0, 310), st.sampled_from(["fin", "reset"]))
    def test_model(self, stream: tuple[bytes, set[int]], limit: int, how: str) -> None:
        """However the bytes come."""
        bench = Bench(f"limit_data,bytes={limit},how={how}")
        data = stream[0]
        bench.say(*cut(*stream))
        bench.finish()
        self.assertEqual(bench.data, data[:limit])
        cutting = End.CLOSE if how == "fin" else End.RESET
        self.assertEqual(bench.ends, [cutting if len(data) >= limit else End.FINISH])
        self.assertEqual(bench.hits, [("limit_data", limit)] if len(data) >= limit else [])

    def test_behindLatency(self) -> None:
        """The end comes behind the bytes, whatever else holds them."""
        bench = Bench("limit_data,bytes=2,how=reset", "latency,latency=10")
        bench.say(b"abc")
        self.assertEqual(bench.came, [])
        bench.idle()
        self.assertEqual(bench.came, [b"ab", End.RESET])
