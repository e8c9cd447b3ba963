"""The fault ``stall``: nothing is read, and the peer sees a window of zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tcplab.faults.fault import Fault
from tcplab.faults.stage import BufferingStage, Stage, StageContext


@dataclass(frozen=True)
class Stall(Fault):
    """
    Stop reading, until the window closes.

    By default it acts on the direction that we read: upstream, or downstream for a client's
    endpoint. The other direction has no window of ours: what is written waits, and its producer is
    paused.
    """

    kind: ClassVar[str] = "stall"
    readingSide: ClassVar[bool] = True

    @property
    def endless(self) -> bool:
        """Whether it may keep a connection open without end: always."""
        return True

    def stage(self, context: StageContext) -> Stage:
        """Make the stage."""
        return _Stalled(context)


class _Stalled(BufferingStage):
    blocked = True

    def begin(self) -> None:
        self.context.hit()

    def release(self) -> None:
        self.blocked = False
        super().release()
