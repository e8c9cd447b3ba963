"""The scoreboard."""

from __future__ import annotations

import os
import time

from twisted.trial.unittest import SynchronousTestCase

from tcplab.workers import scoreboard
from tcplab.workers.scoreboard import Scoreboard, WorkerRow


class Boards(SynchronousTestCase):
    def setUp(self) -> None:
        descriptor = Scoreboard.create(4)
        self.board, self.another = Scoreboard(descriptor), Scoreboard(descriptor)
        os.close(descriptor)

    def inUse(self) -> WorkerRow:
        number = self.board.take()
        assert number is not None
        row = self.board.rows[number]
        row.accepting = 1
        row.beat()
        return row

    def test_what_one_writes_the_other_reads(self) -> None:
        row, seen = self.inUse(), self.another.rows[0]
        for name in ("pid", "accepting", "connections", "accepted", "drained", "aborted"):
            setattr(row, name, 7)
            self.assertEqual(getattr(seen, name), 7)
        self.assertGreater(seen.heartbeat, 0)
        self.assertLessEqual(seen.heartbeat, time.monotonic_ns())

    def test_total(self) -> None:
        for count in (1, 2, 3):
            self.inUse().connections = count
        self.assertEqual(self.another.total(), 6)

    def test_rows_are_taken_and_freed(self) -> None:
        self.assertEqual([self.board.take() for _ in range(5)], [0, 1, 2, 3, None])
        self.board.rows[1].connections = 9
        self.board.free(1)
        self.assertEqual(self.board.total(), 0)
        self.assertEqual(self.board.take(), 1)

    def test_rows_that_were_freed_are_not_looked_at(self) -> None:
        rows = [self.inUse() for _ in range(3)]
        self.board.free(2)
        self.board.free(1)
        rows[2].connections = 5
        self.assertEqual(self.another.total(), 0)

    def test_least_is_that_of_another(self) -> None:
        mine, second, third = (self.inUse() for _ in range(3))
        mine.connections, second.connections, third.connections = 1, 5, 3
        self.assertEqual(self.board.fewestOthers(mine), 3)

    def test_least_without_another(self) -> None:
        self.assertIsNone(self.board.fewestOthers(self.inUse()))

    def test_who_does_not_accept_is_not_counted_on(self) -> None:
        mine, other = self.inUse(), self.inUse()
        other.accepting = 0
        self.assertIsNone(self.board.fewestOthers(mine))
        self.assertEqual(self.board.total(), 0)

    def test_who_shows_no_sign_of_life_is_not_counted_on(self) -> None:
        mine, other = self.inUse(), self.inUse()
        self.patch(scoreboard, "STALE", -60.0)
        self.assertIsNone(self.board.fewestOthers(mine))
        self.patch(scoreboard, "STALE", 60.0)
        self.assertEqual(self.board.fewestOthers(mine), 0)
        self.patch(scoreboard, "STALE", time.monotonic() / 2)
        other.heartbeat = 0
        self.assertIsNone(self.board.fewestOthers(mine))
