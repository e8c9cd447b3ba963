"""Tests for `tcplab.policies.faults.doors`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies.faults.doors import DoorFault, Hang, Refuse


class DoorTests(SynchronousTestCase):
    """Faults of a listener."""

    def test_values(self) -> None:
        self.assertEqual((Refuse.kind, Hang.kind), ("refuse", "hang"))
        self.assertIsInstance(Refuse(), DoorFault)
        self.assertEqual(Hang.named(), {})
