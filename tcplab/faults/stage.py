"""A stage: what one fault does to the bytes of one direction of one connection."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from tcplab.faults.dice import Dice


class End(Enum):
    """
    The end of a direction, which travels behind its bytes.

    :cvar FINISH: the sender has finished.
    :cvar HALF: a fault finishes in the sender's place.
    :cvar CLOSE: a fault closes the connection gracefully.
    :cvar RESET: a fault resets the connection.
    """

    FINISH = auto()
    HALF = auto()
    CLOSE = auto()
    RESET = auto()


class Sink(Protocol):
    """The next stop of bytes and of the end behind them."""

    def feed(self, data: bytes) -> None: ...

    def end(self, how: End) -> None: ...


class StageContext(Protocol):
    """
    What a stage works with besides bytes.

    :ivar dice: the random numbers of this fault on this connection.
    """

    dice: Dice

    def seconds(self) -> float:
        """Return the time of the connection's clock."""

    def later(self, delay: float, call: Callable[[], object]) -> None:
        """Call this after a delay in seconds, unless the fault ends before."""

    def hit(self, at: int | None = None) -> None:
        """Report that the fault acts, at this byte; ``None``: at the next one."""


class Stage:
    """
    Pass everything on; the stage of a fault overrides what it does differently.

    `begin` is called first, then `feed`, then `end`. A stage passes on bytes and then an end. It
    knows neither transport nor protocol.

    :ivar out: the next stop.
    :ivar held: bytes that are held here; a small piece counts for the memory that it takes.
    :ivar blocked: the source is to pause, however little is held.
    :ivar discards: bytes are dropped, and so is the end.
    """

    held = 0
    blocked = False
    discards = False

    def __init__(self, context: StageContext) -> None:
        self.context = context
        self.out: Sink

    def begin(self) -> None:
        """Begin: the fault acts from here on."""

    def feed(self, data: bytes, at: int) -> None:
        """Take bytes; the first one is the ``at``-th of this direction, counted from 0."""
        self.out.feed(data)

    def end(self, how: End) -> None:
        """Take the end."""
        self.out.end(how)

    def release(self) -> None:
        """Pass on what is held: the fault is over. Neither bytes nor an end follow."""


class BufferingStage(Stage):
    """A stage that holds bytes in their order, and then the end."""

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        self._buffer = bytearray()
        self._ending: End | None = None

    def feed(self, data: bytes, at: int) -> None:
        """Hold these bytes too."""
        self._buffer += data
        self.held = len(self._buffer)

    def end(self, how: End) -> None:
        """Hold the end; a later one replaces it, since it may be worse."""
        self._ending = how

    def releaseBytes(self, size: int) -> None:
        """Pass on at most ``size`` bytes, and the end if none are left."""
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        self.held = len(self._buffer)
        if data:
            self.out.feed(data)
        if self._ending is not None and not self._buffer:
            ending, self._ending = self._ending, None
            self.out.end(ending)

    def release(self) -> None:
        """Pass on everything."""
        self.releaseBytes(len(self._buffer))


ENDS = {"fin": End.CLOSE, "reset": End.RESET}


class LimitingStage(Stage):
    """A stage that passes everything on until it ends the connection."""

    def __init__(self, context: StageContext, how: str) -> None:
        super().__init__(context)
        self._how = ENDS[how]

    def endConnection(self, at: int | None = None) -> None:
        """End the connection behind this byte, and discard everything from here on."""
        if not self.discards:
            self.discards = True
            self.context.hit(at)
            self.out.end(self._how)

    def feed(self, data: bytes, at: int) -> None:
        if not self.discards:
            self.out.feed(data)

    def end(self, how: End) -> None:
        if not self.discards:
            self.out.end(how)
