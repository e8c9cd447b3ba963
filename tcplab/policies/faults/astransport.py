"""What a protocol meets in the place of its transport's own methods while faults apply to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tcplab.policies.faults.stage import End

if TYPE_CHECKING:
    from tcplab.policies.faults.cut import Cut
    from tcplab.policies.faults.outlets import ToProtocol, ToTransport
    from tcplab.policies.faults.source import Source


class AsTransport:
    """The half of a `tcplab.policies.faults.filter.Filter` that its protocol sees."""

    if TYPE_CHECKING:  # what Filter has
        beneath: Any
        closing: bool
        cut: Cut
        paused: bool
        source: Source
        toProtocol: ToProtocol
        toTransport: ToTransport

        def changed(self, asked: bool = False) -> None: ...
        def keepPlace(self) -> None: ...
        def out(self, what: bytes | End) -> None: ...

    def write(self, data: bytes) -> None:
        """Say bytes."""
        if data and not self.cut.begun:
            self.keepPlace()
            self.out(bytes(data))
            self.changed()

    def writeSequence(self, pieces: Iterable[bytes]) -> None:
        """Say pieces."""
        self.write(b"".join(pieces))

    def loseWriteConnection(self) -> None:
        """Finish speaking."""
        if not self.cut.begun:
            self.out(End.FINISH)
            self.changed()

    def loseConnection(self) -> None:
        """End, when all that was said has left, and a registered producer has finished."""
        if not (self.closing or self.cut.begun):
            self.closing = True
            self.changed()
            self._endIfFree()
            self.changed()

    def _endIfFree(self) -> None:
        if self.toTransport.ended:
            self.beneath.loseConnection()  # a producer has nobody left to write to
        elif self.source.producer is None:
            self.out(End.FINISH)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let a producer control the flow of what is said."""
        self.source.register(producer, streaming)

    def unregisterProducer(self) -> None:
        """Forget it."""
        self.source.unregister()
        if self.closing and not self.cut.begun:
            self._endIfFree()

    def pauseProducing(self) -> None:
        """Want nothing."""
        self.paused = True
        self.changed()

    def resumeProducing(self) -> None:
        """Want more."""
        self.paused = False
        self.toProtocol.deliver()
        self.changed(asked=True)
