"""Tests for `tcplab.faults.fault`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.fault import ListenerFault
from tcplab.faults.kinds.hang import Hang
from tcplab.faults.kinds.refuse import Refuse


class DoorTests(SynchronousTestCase):
    """Faults of a listener."""

    def test_values(self) -> None:
        self.assertEqual((Refuse.kind, Hang.kind), ("refuse", "hang"))
        self.assertIsInstance(Refuse(), ListenerFault)
        self.assertEqual(Hang.named(), {})
