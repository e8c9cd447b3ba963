"""The fault ``limit_data``: the connection ends behind a number of bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tcplab.faults.fault import Fault, endField, sizeField
from tcplab.faults.stage import LimitingStage, Stage, StageContext


@dataclass(frozen=True)
class LimitData(Fault):
    """
    End the connection after some bytes.

    Exactly ``bytes`` bytes pass.

    :ivar bytes: the bytes that pass.
    :ivar how: the end: FIN or RST.
    """

    kind: ClassVar[str] = "limit_data"
    bytes: int = sizeField("B")
    how: str = endField()

    def stage(self, context: StageContext) -> Stage:
        """Make the stage."""
        return _LimitedBytes(context, self)


class _LimitedBytes(LimitingStage):
    def __init__(self, context: StageContext, fault: LimitData) -> None:
        super().__init__(context, fault.how)
        self._left = fault.bytes

    def begin(self) -> None:
        if not self._left:
            self.endConnection()

    def feed(self, data: bytes, at: int) -> None:
        data = data[: self._left]
        self._left -= len(data)
        super().feed(data, at)
        if not self._left:
            self.endConnection(at + len(data))
