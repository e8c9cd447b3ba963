"""Tests for `tcplab.faults.fault`."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.fault import Fault, count, isTime, seconds, size
from tcplab.faults.kinds.latency import Latency
from tcplab.faults.kinds.limit_data import LimitData


class UnitsTests(SynchronousTestCase):
    """Amounts as people type them."""

    def test_amounts(self) -> None:
        for text, value in (("250ms", 0.25), ("2s", 2.0), ("10us", 1e-5), ("1.5min", 90.0)):
            self.assertAlmostEqual(seconds(text), value, 9)
            self.assertTrue(isTime(text))
        for text, value in (("10B", 10), ("64KiB", 65536), ("1MB", 10**6), ("0.5KiB", 512)):
            self.assertEqual(size(text), value)
            self.assertFalse(isTime(text))

    def test_bare(self) -> None:
        """A number alone has the unit that Toxiproxy gives it there, and nowhere else any."""
        self.assertAlmostEqual(seconds("100", "ms"), 0.1)
        self.assertAlmostEqual(seconds("100s", "ms"), 100.0)
        self.assertEqual(size("3", "KB"), 3000)
        self.assertIn("ms or 2s", str(self.assertRaises(ValueError, seconds, "100")))
        self.assertIn("a bare number is us", str(self.assertRaises(ValueError, seconds, "", "us")))
        self.assertRaises(ValueError, size, "100")

    def test_mistakes(self) -> None:
        for text in ("", "s", "-1s", "1 s", "1e3s", "1h", "1S", "10B", "\u0661s", "nan", "1s2s"):
            self.assertNotIn("\n", str(self.assertRaises(ValueError, seconds, text)))
        for text in ("", "B", "-1B", "1kb", "0.3B", "2s", "0x10B", "1 KiB"):
            self.assertIn("64KiB", str(self.assertRaises(ValueError, size, text)))

    @settings(deadline=None, derandomize=True)
    @given(st.text(max_size=8))
    def test_anything(self, text: str) -> None:
        """Whatever is typed is an amount or a ValueError."""
        for read in (seconds, size):
            try:
                value: Any = read(text, None)  # type: ignore[operator]
            except ValueError:
                continue
            self.assertGreaterEqual(value, 0)

    def test_counts(self) -> None:
        self.assertEqual(count(1, 8)("8"), 8)
        for text in ("0", "9", "1B", "", "1.0", "-1", "9" * 5000):
            self.assertIn("from 1 to 8", str(self.assertRaises(ValueError, count(1, 8), text)))


class FaultTests(SynchronousTestCase):
    """Faults are values."""

    def test_values(self) -> None:
        """Equal ones are equal, none can be changed, and each field knows how it is read."""
        self.assertEqual(Latency(0.1), Latency(latency=0.1, jitter=0.0))
        fault: Any = Latency(0.1)
        with self.assertRaises(FrozenInstanceError):
            fault.latency = 2.0
        read = {name: field.metadata["read"] for name, field in LimitData.named().items()}
        self.assertEqual(list(read), ["bytes", "how"])
        self.assertEqual((read["bytes"]("1KiB"), read["how"]("reset")), (1024, "reset"))
        self.assertRaises(ValueError, read["how"], "bang")

    def test_abstract(self) -> None:
        """A fault without a stage is none."""
        nothing: Any = None
        self.assertRaises(NotImplementedError, Fault().stage, nothing)
        self.assertFalse(Fault().rolls)
