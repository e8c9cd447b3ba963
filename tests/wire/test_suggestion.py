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

    def test_synonyms(self) -> None:
        """Another word for a known one counts before the spelling."""
        for typed, suggestion in (
            ("Lag", " (did you mean latency?)"),
            ("stal", " (did you mean stall?)"),
        ):
            self.assertEqual(
                suggest(typed, ["flag", "latency", "stall"], {"lag": "latency"}), suggestion
            )
