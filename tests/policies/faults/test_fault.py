"""Tests for `tcplab.policies.faults.fault`."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies.faults.delaying import Latency
from tcplab.policies.faults.fault import Fault
from tcplab.policies.faults.limits import LimitData


class FaultTests(SynchronousTestCase):
    """Faults are values."""

    def test_values(self) -> None:
        """Equal ones are equal, and none can be changed."""
        self.assertEqual(Latency(0.1), Latency(latency=0.1, jitter=0.0))
        fault: Any = Latency(0.1)
        with self.assertRaises(FrozenInstanceError):
            fault.latency = 2.0

    def test_fields(self) -> None:
        """Each field knows how it is read."""
        fields = LimitData.named()
        self.assertEqual(list(fields), ["bytes", "how"])
        self.assertEqual(fields["bytes"].metadata["read"]("1KiB"), 1024)
        self.assertEqual(fields["how"].metadata["read"]("reset"), "reset")
        self.assertRaises(ValueError, fields["how"].metadata["read"], "bang")

    def test_abstract(self) -> None:
        """A fault without a stage is none."""
        nothing: Any = None
        self.assertRaises(NotImplementedError, Fault().stage, nothing)
        self.assertFalse(Fault().rolls)
