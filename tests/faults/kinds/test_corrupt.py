"""Tests for `tcplab.faults.kinds.corrupt`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.dice import Dice
from tcplab.faults.kinds.corrupt import Corrupt, mask
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

    def test_seeded(self) -> None:
        def corrupted(seed: int) -> bytes:
            bench = Bench("corrupt,every=10B", seed=seed)
            bench.say(bytes(1000))
            return bench.data

        self.assertEqual(corrupted(1), corrupted(1))
        self.assertNotEqual(corrupted(1), corrupted(2))

    def test_told(self) -> None:
        """At the first byte that is another."""
        bench = Bench("corrupt,every=1KiB")
        bench.say(bytes(1024))
        (place,) = [at for at, byte in enumerate(bench.data) if byte]
        self.assertEqual(bench.hits, [("corrupt", place)])

    def test_mask(self) -> None:
        self.assertEqual({mask(Dice(1), n, 8) for n in range(20)}, {255})
        self.assertEqual({mask(Dice(1), n, 1) for n in range(200)}, {1 << n for n in range(8)})

    def test_values(self) -> None:
        self.assertRaises(ValueError, Corrupt, 0)
        self.assertRaises(ValueError, Corrupt, 1, 9)
        self.assertTrue(Corrupt(1).rolls)
