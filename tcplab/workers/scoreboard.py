"""The scoreboard: what workers tell each other and the first process, in memory they share."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterator

# Eight numbers of eight bytes for each worker: a cache line of its own, which no other writes to.
_CELLS = 8
_BYTES = 8
_PID, _ACCEPTING, _CONNECTIONS, _HEARTBEAT, _ACCEPTED, _DRAINED, _ABORTED = range(7)

#: Seconds after which a worker that shows no sign of life is not counted on to accept. It beats
#: every `BEAT`; a turn of the reactor in which a behaviour computes may take some tenths.
STALE = 0.75
#: Seconds between two heartbeats.
BEAT = 0.25


class Scoreboard:
    """
    A row for each worker. Only its owner writes to it; a number is read whole, but not all at once.

    :param descriptor: of the memory, from `create`; it may be closed afterwards.
    """

    def __init__(self, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        self._cells = memoryview(mmap.mmap(descriptor, size)).cast("q")
        # The first row has the number of those in use: no need to look at the others.
        self.rows = [
            WorkerRow(self._cells, number) for number in range(1, size // _BYTES // _CELLS)
        ]

    @staticmethod
    def create(rows: int) -> int:
        """Make the memory for so many, and return its descriptor."""
        descriptor = os.memfd_create("tcplab-workers")
        os.ftruncate(descriptor, (rows + 1) * _CELLS * _BYTES)
        return descriptor

    def take(self) -> int | None:
        """Take an empty row, the first process does; ``None`` if there is none."""
        for number, row in enumerate(self.rows):
            if not row.inUse:
                row.clear()
                row.inUse = True
                self._cells[0] = max(self._cells[0], number + 1)
                return number
        return None

    def free(self, number: int) -> None:
        """Empty the row of a process that is gone."""
        self.rows[number].clear()
        self.rows[number].inUse = False
        while self._cells[0] and not self.rows[self._cells[0] - 1].inUse:
            self._cells[0] -= 1

    def _used(self) -> Iterator[WorkerRow]:
        return iter(self.rows[: self._cells[0]])

    def total(self) -> int:
        """Count the connections of all."""
        return sum(row.connections for row in self._used())

    def fewestOthers(self, besides: WorkerRow) -> int | None:
        """Return the fewest connections of another that accepts and lives; ``None``: no such."""
        fresh = time.monotonic_ns() - int(STALE * 1e9)
        fewestOthers = None
        for row in self._used():
            if row is not besides and row.accepting and row.heartbeat > fresh:
                fewestOthers = (
                    row.connections if fewestOthers is None else min(fewestOthers, row.connections)
                )
        return fewestOthers


def _number(cell: int, what: str) -> property:
    def read(row: WorkerRow) -> int:
        return row.cells[cell]

    def write(row: WorkerRow, value: int) -> None:
        row.cells[cell] = value

    return property(read, write, doc=what)


class WorkerRow:
    """
    What one worker tells.

    :ivar inUse: it belongs to a process; known to the first one only.
    """

    pid = _number(_PID, "Of its process; 0 until it runs.")
    accepting = _number(_ACCEPTING, "1 while it accepts newcomers.")
    connections = _number(_CONNECTIONS, "How many it has open.")
    heartbeat = _number(_HEARTBEAT, "The last time it showed a sign of life, time.monotonic_ns().")
    accepted = _number(_ACCEPTED, "How many it has accepted in all.")
    drained = _number(_DRAINED, "Of its drain: how many have ended in time.")
    aborted = _number(_ABORTED, "Of its drain: how many had to be aborted.")

    def __init__(self, cells: memoryview[int], number: int) -> None:
        self.cells = cells[number * _CELLS : (number + 1) * _CELLS]
        self.inUse = False

    def beat(self) -> None:
        """Show a sign of life."""
        self.cells[_HEARTBEAT] = time.monotonic_ns()

    def clear(self) -> None:
        """Be as new."""
        for cell in range(_CELLS):
            self.cells[cell] = 0
