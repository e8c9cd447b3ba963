"""Tests for `tcplab.faults.kinds.corrupt`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.dice import Dice
from tcplab.faults.kinds.corrupt import mask
from tests.support.fault_pipeline import Bench, cut, streams


class CorruptTests(SynchronousTestCase):
    """As many bytes, but some are others."""

    @settings(deadline=None, derandomize=True)
    @given(streams, st.integers(1, 40), st.integers(1, 8))
    def test_model(self, stream: tuple[bytes, set[int]], every: int, bits: int) -> None:
        """One byte in each block, with so many bits turned; however the bytes come."""
        data, places = stream
        text = f"corrupt,every={every}B,bits={bits}"
        bench, whole = Bench(text), Bench(text)
        bench.say(*cut(data, places))
        whole.say(data)
        self.assertEqual(bench.data, whole.data)
        self.assertEqual(len(bench.data), len(data))
        for start in range(0, len(data) - every + 1, every):
            block = zip(data[start : start + every], bench.data[start : start + every], strict=True)
            turned = [(was ^ now).bit_count() for was, now in block if was != now]
            self.assertEqual(turned, [bits])

    def test_told(self) -> None:
        """At the first byte that is another."""
        bench = Bench("corrupt,every=1KiB")
        bench.say(bytes(1024))
        (place,) = [at for at, byte in enumerate(bench.data) if byte]
        self.assertEqual(bench.hits, [("corrupt", place)])

    def test_mask(self) -> None:
        self.assertEqual({mask(Dice(1), n, 8) for n in range(20)}, {255})
        self.assertEqual({mask(Dice(1), n, 1) for n in range(200)}, {1 << n for n in range(8)})
