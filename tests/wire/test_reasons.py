"""Tests for `tcplab.wire.reasons`."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from tcplab.wire.reasons import Reason


class ReasonTests(SynchronousTestCase):
    """A reason is text: log lines, JSON and comparisons know no other."""

    def test_text(self) -> None:
        for each in Reason:
            self.assertEqual(each, each.name.lower().replace("_", "-"))
            self.assertEqual((f"{each}", json.loads(json.dumps(each))), (each.value, each.value))
