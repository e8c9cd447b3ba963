"""The pace of restarts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.server.pace import SPACING, Pace


class Pauses(SynchronousTestCase):
    def setUp(self) -> None:
        self.pace = Pace(0.0)

    def test_who_has_served_for_long_is_replaced_at_once(self) -> None:
        for _ in range(5):
            self.assertEqual(self.pace.died(100.0, 60.0, False), 0)

    def test_who_keeps_dying_is_waited_for(self) -> None:
        pauses = [self.pace.died(0.0, 0.1, False) for _ in range(6)]
        self.assertEqual(pauses, [0, 0.05, 0.1, 0.2, 0.25, 0.25])

    def test_a_storm_is_over(self) -> None:
        for _ in range(50):
            self.pace.died(0.0, None, True)
        self.assertLessEqual(self.pace.left(0.0), 0.25)
        self.assertEqual(self.pace.died(6.0, 0.1, True), 0)

    def test_who_never_serves_is_waited_for_longer(self) -> None:
        now, pauses = 0.0, []
        for _ in range(11):
            pauses.append(round(self.pace.died(now, None, False), 6))
            now = max(now + pauses[-1], self.pace._due)
        self.assertEqual(pauses[:4], [0.1, 0.2, 0.4, 0.8])
        self.assertEqual(pauses[-1], 5.0)

    def test_one_that_serves_ends_that(self) -> None:
        for _ in range(5):
            self.pace.died(0.0, None, False)
        self.pace.served()
        self.assertAlmostEqual(self.pace.died(10.0, None, False), 0.1)

    @settings(deadline=None, derandomize=True)
    @given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
    def test_never_more_than_20_starts_a_second(self, deaths: list[tuple[bool, bool]]) -> None:
        pace, now, starts = Pace(0.0), 0.0, []
        for served, killed in deaths:
            pace.died(now, 0.01 if served else None, killed)
            now += pace.left(now)
            starts.append(now)
            pace.started(now)
        for first, last in zip(starts, starts[20:], strict=False):
            self.assertGreaterEqual(last - first, 20 * SPACING - 1e-6)
