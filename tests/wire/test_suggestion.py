"""Tests for `tcplab.wire.suggestion`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.wire.suggestion import suggest


class SuggestTests(SynchronousTestCase):
    def test_suggest(self) -> None:
        """Case, hyphens and underscores make no difference."""
        for typed, names, suggestion in (
            ("ehco", ["lab", "echo"], " (did you mean echo?)"),
            ("linger-timeout", ["framing", "lingerTimeout"], " (did you mean lingerTimeout?)"),
            ("LINGERTIMEOUT", ["framing", "lingerTimeout"], " (did you mean lingerTimeout?)"),
            ("linger_timeout", ["framing", "lingerTimeout"], " (did you mean lingerTimeout?)"),
            ("zzz", ["lab", "echo"], ""),
            ("lab", [], ""),
        ):
            self.assertEqual(suggest(typed, names), suggestion)
