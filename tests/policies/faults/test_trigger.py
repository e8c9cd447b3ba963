"""Tests for `tcplab.policies.faults.trigger`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies.faults.trigger import Trigger, Watch
from tests.policies.faults.bench import cut


def passed(watch: Watch, pieces: list[bytes]) -> int | None:
    """Count the bytes that pass before it begins."""
    total = 0
    for piece in pieces:
        size = watch.through(piece)
        if size is not None:
            return total + size
        total += len(piece)
    return None


class WatchTests(SynchronousTestCase):
    """The moment at which a fault begins."""

    @settings(deadline=None, derandomize=True)
    @given(st.integers(1, 40), st.binary(max_size=50), st.sets(st.integers(0, 50)))
    def test_afterBytes(self, after: int, data: bytes, places: set[int]) -> None:
        """Behind exactly so many bytes, however they come."""
        expected = after if len(data) >= after else None
        self.assertEqual(passed(Watch(Trigger(afterBytes=after)), cut(data, places)), expected)

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(
        st.text("ab", min_size=1, max_size=4),
        st.text("ab", max_size=40),
        st.sets(st.integers(0, 40)),
    )
    def test_match(self, match: str, text: str, places: set[int]) -> None:
        """Behind the bytes, even if they come in pieces."""
        at = text.find(match)
        expected = at + len(match) if at >= 0 else None
        watch = Watch(Trigger(match=match.encode()))
        self.assertEqual(passed(watch, cut(text.encode(), places)), expected)

    def test_never(self) -> None:
        """Without a trigger of bytes all of them pass."""
        self.assertIsNone(Watch(Trigger()).through(b"x"))
