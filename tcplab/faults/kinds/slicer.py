"""The fault ``slicer``: small segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tcplab.faults.fault import Fault, sizeField, timeField
from tcplab.faults.stage import BufferingStage, End, Stage, StageContext


@dataclass(frozen=True)
class Slicer(Fault):
    """
    Send in slices.

    Each slice is passed to the kernel alone, and becomes a segment of its own.

    :ivar average_size: the mean length of a slice (bytes).
    :ivar size_variation: the most that a slice is longer or shorter, at random (bytes).
    :ivar delay: the time between two slices (seconds).
    """

    kind: ClassVar[str] = "slicer"
    average_size: int = sizeField("B")
    size_variation: int = sizeField("B", 0)
    delay: float = timeField("us", 0.0)

    def __post_init__(self) -> None:
        if not self.average_size:
            raise ValueError("average_size is 0: give 1B or more")
        if self.size_variation >= self.average_size:
            raise ValueError("size_variation must be less than average_size")

    def stage(self, context: StageContext) -> Stage:
        """Make the stage."""
        return _Slicing(context, self)

    @property
    def rolls(self) -> bool:
        """Whether it draws random numbers: for the sizes."""
        return self.size_variation > 0


class _Slicing(BufferingStage):
    def __init__(self, context: StageContext, fault: Slicer) -> None:
        super().__init__(context)
        self._fault = fault
        self._at = 0
        self._waiting = False

    def feed(self, data: bytes, at: int) -> None:
        self.context.hit(at)
        if not self._buffer:
            self._at = at
        super().feed(data, at)
        self._releaseSlice()

    def end(self, how: End) -> None:
        super().end(how)
        if not self._buffer:
            self.releaseBytes(0)

    def _releaseSlice(self) -> None:
        if self._waiting or not self._buffer:
            return
        size = self._size()
        self._waiting = True
        self._at += size
        self.releaseBytes(size)
        # One in each turn of the reactor, even without a delay: two in a turn would leave as one.
        self.context.later(self._fault.delay, self._continue)

    def _size(self) -> int:
        fault = self._fault
        if not fault.size_variation:
            return fault.average_size
        rolled = self.context.dice.integer(2 * fault.size_variation + 1, self._at)
        return fault.average_size - fault.size_variation + rolled

    def _continue(self) -> None:
        self._waiting = False
        self._releaseSlice()
