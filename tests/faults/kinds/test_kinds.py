"""Tests for `tcplab.faults.kinds`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.kinds import KINDS
from tcplab.faults.parse import parseFault


class KindsTests(SynchronousTestCase):
    """All faults there are."""

    def test_names(self) -> None:
        self.assertEqual(
            " ".join(KINDS),
            "latency bandwidth slicer limit_data limit_time timeout slow_close reset_peer"
            " half_close stall corrupt refuse hang",
        )

    def test_documented(self) -> None:
        """Each field is explained, and can be read."""
        for kind in KINDS.values():
            for name, field in kind.named().items():
                self.assertIn(f":ivar {name}:", kind.__doc__ or "")
                self.assertTrue(callable(field.metadata["read"]))

    def test_endless(self) -> None:
        """What keeps a connection until somebody ends it."""
        for text, endless in (
            ("timeout", True),
            ("timeout,timeout=1", False),
            ("stall", True),
            ("bandwidth,rate=0", True),
            ("bandwidth,rate=1", False),
            ("latency,latency=1", False),
        ):
            self.assertEqual(parseFault(text).fault.endless, endless, text)
