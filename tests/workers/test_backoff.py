"""The pace of restarts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.workers.backoff import SPACING, RestartBackoff


class PauseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.backoff = RestartBackoff(0.0)
        self.now = 0.0

    def die(self, served: float | None, killed: bool, after: float = 0.0) -> float:
        """Start one that dies after so long, and return the seconds to the next start."""
        self.now += self.backoff.remaining(self.now)
        begun = self.now
        self.backoff.started(begun)
        self.now += after
        self.backoff.exited(self.now, served, killed)
        return round(self.backoff.remaining(self.now) + after, 6)

    def test_served(self) -> None:
        """One that keeps dying is replaced later each time, one that served for long at once."""
        pauses = [self.die(0.01, False, 0.01) for _ in range(7)]
        self.assertEqual(pauses, [0.05, 0.05, 0.1, 0.2, 0.25, 0.25, 0.25])
        for _ in range(5):
            self.assertEqual(self.die(60.0, False, 60.0), 60)

    def test_otherDeaths(self) -> None:
        """They do not delay the next start."""
        self.die(0.1, True)
        for _ in range(50):
            self.backoff.exited(0.2, None, True)
        self.assertLessEqual(self.backoff.remaining(0.2), 0.05 + 1e-9)

    def test_afterAStorm(self) -> None:
        for _ in range(50):
            self.die(None, True)
        self.now += 6
        self.assertEqual(self.die(0.1, True), 0.05)

    def test_neverServed(self) -> None:
        """The next start is later each time, until one serves."""
        pauses = [self.die(None, False) for _ in range(8)]
        self.assertEqual(pauses, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5])
        self.backoff.served()
        self.assertEqual(self.die(None, False), 0.1)

    @settings(deadline=None, derandomize=True)
    @given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
    def test_atMost20StartsASecond(self, deaths: list[tuple[bool, bool]]) -> None:
        backoff, now, starts = RestartBackoff(0.0), 0.0, []
        for served, killed in deaths:
            backoff.exited(now, 0.01 if served else None, killed)
            now += backoff.remaining(now)
            starts.append(now)
            backoff.started(now)
        for first, last in zip(starts, starts[20:], strict=False):
            self.assertGreaterEqual(last - first, 20 * SPACING - 1e-6)
