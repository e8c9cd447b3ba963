"""The scoreboard: shared memory with a row of numbers for each worker."""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
import time
from collections.abc import Iterator

# Eight numbers of eight bytes for each worker: a cache line of its own.
_CELLS = 8
_BYTES = 8
_PID, _ACCEPTING, _CONNECTIONS, _HEARTBEAT, _ACCEPTED, _DRAINED, _ABORTED = range(7)

#: Seconds since its last heartbeat after which a worker is not relied on to accept. It beats every
#: `BEAT`; a turn of the reactor in which a behaviour computes may take some tenths.
STALE = 0.75
#: Seconds between two heartbeats.
BEAT = 0.25


class Scoreboard:
    """
    A row for each worker, written by that worker only.

    **Limit:** a single number is read whole; two numbers may be of different moments.

    :param descriptor: of the memory, from `create`; it may be closed afterwards.
    """

    def __init__(self, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        self._cells = memoryview(mmap.mmap(descriptor, size)).cast("q")
        # The first row holds the number of rows up to the last one in use.
        self.rows = [
            WorkerRow(self._cells, number) for number in range(1, size // _BYTES // _CELLS)
        ]

    @staticmethod
    def create(rows: int) -> int:
        """Make the memory for so many rows, and return its descriptor."""
        if sys.platform == "linux":
            descriptor = os.memfd_create("tcplab-workers")
        else:  # a file without a name
            descriptor, path = tempfile.mkstemp(prefix="tcplab-workers")
            os.unlink(path)
        os.ftruncate(descriptor, (rows + 1) * _CELLS * _BYTES)
        return descriptor

    def take(self) -> int | None:
        """Take a free row, in the supervisor; ``None`` if there is none."""
        for number, row in enumerate(self.rows):
            if not row.inUse:
                row.clear()
                row.inUse = True
                self._cells[0] = max(self._cells[0], number + 1)
                return number
        return None

    def free(self, number: int) -> None:
        """Free the row of a process that has exited."""
        self.rows[number].clear()
        self.rows[number].inUse = False
        while self._cells[0] and not self.rows[self._cells[0] - 1].inUse:
            self._cells[0] -= 1

    def _used(self) -> Iterator[WorkerRow]:
        return iter(self.rows[: self._cells[0]])

    def total(self) -> int:
        """Return the connections of all workers."""
        return sum(row.connections for row in self._used())

    def fewestOthers(self, besides: WorkerRow) -> int | None:
        """Return the fewest connections of another live worker that accepts, if there is one."""
        fresh = time.monotonic_ns() - int(STALE * 1e9)
        fewest = None
        for row in self._used():
            if row is not besides and row.accepting and row.heartbeat > fresh:
                fewest = row.connections if fewest is None else min(fewest, row.connections)
        return fewest


def _number(cell: int, doc: str) -> property:
    def read(row: WorkerRow) -> int:
        return row.cells[cell]

    def write(row: WorkerRow, value: int) -> None:
        row.cells[cell] = value

    return property(read, write, doc=doc)


class WorkerRow:
    """
    The numbers of one worker.

    :ivar inUse: the row belongs to a process. Only the supervisor sets it.
    """

    pid = _number(_PID, "The process; 0 until it runs.")
    accepting = _number(_ACCEPTING, "1 while it accepts connections.")
    connections = _number(_CONNECTIONS, "Its open connections.")
    heartbeat = _number(_HEARTBEAT, "Its last heartbeat, time.monotonic_ns().")
    accepted = _number(_ACCEPTED, "The connections that it has accepted in all.")
    drained = _number(_DRAINED, "Of its drain: the connections that ended in time.")
    aborted = _number(_ABORTED, "Of its drain: the connections that were aborted.")

    def __init__(self, cells: memoryview[int], number: int) -> None:
        self.cells = cells[number * _CELLS : (number + 1) * _CELLS]
        self.inUse = False

    def beat(self) -> None:
        """Record a heartbeat."""
        self.cells[_HEARTBEAT] = time.monotonic_ns()

    def clear(self) -> None:
        """Set every number to 0."""
        for cell in range(_CELLS):
            self.cells[cell] = 0
