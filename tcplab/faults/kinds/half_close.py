"""The fault ``half_close``: a FIN in one direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tcplab.faults.fault import Fault
from tcplab.faults.stage import End, Stage, StageContext


@dataclass(frozen=True)
class HalfClose(Fault):
    """
    Send FIN in one direction.

    Later bytes of that direction are dropped. The other direction goes on.
    """

    kind: ClassVar[str] = "half_close"

    @property
    def atOnce(self) -> bool:
        """Whether it happens in a moment: always."""
        return True

    def stage(self, context: StageContext) -> Stage:
        """Make the stage."""
        return _HalfClosed(context)


class _HalfClosed(Stage):
    discards = True

    def begin(self) -> None:
        self.context.hit()
        self.out.end(End.HALF)

    def feed(self, data: bytes, at: int) -> None:
        pass

    def end(self, how: End) -> None:
        if how is not End.HALF:
            self.out.end(how)  # it may be the end of both directions
