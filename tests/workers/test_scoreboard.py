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

    def test_shared(self) -> None:
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

    def test_rows(self) -> None:
        """They are taken and freed; a row that was freed is not looked at."""
        self.assertEqual([self.board.take() for _ in range(5)], [0, 1, 2, 3, None])
        self.board.rows[1].connections = 9
        self.board.free(1)
        self.assertEqual(self.board.total(), 0)
        self.board.free(3)
        self.board.free(2)
        self.board.rows[2].connections = 5
        self.assertEqual(self.another.total(), 0)
        self.assertEqual(self.board.take(), 1)

    def test_fewestOthers(self) -> None:
        """The least of the others that accept and have a heartbeat."""
        mine = self.inUse()
        self.assertIsNone(self.board.fewestOthers(mine))
        second, third = self.inUse(), self.inUse()
        mine.connections, second.connections, third.connections = 1, 5, 3
        self.assertEqual(self.board.fewestOthers(mine), 3)
        third.accepting = 0
        self.assertEqual(self.board.fewestOthers(mine), 5)
        self.assertEqual(self.board.total(), 9)
        for stale, fewest in ((-60.0, None), (60.0, 5), (time.monotonic() / 2, 5)):
            self.patch(scoreboard, "STALE", stale)
            self.assertEqual(self.board.fewestOthers(mine), fewest)
        second.heartbeat = 0
        self.assertIsNone(self.board.fewestOthers(mine))
