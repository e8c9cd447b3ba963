"""A call that passes stdin to the server, whole, and shows what comes back to its end."""

from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure

from tcplab.client.console import Console
from tcplab.client.protocol import ClientProtocol
from tcplab.client.result import Outcome, Result
from tcplab.reactor.stack import bufferedBytes


class PipeClient(ClientProtocol):
    """
    Send stdin, half-close at its end, and read to the server's end.

    A server may finish before stdin does, and still read: what is left of stdin is sent all the
    same. But nobody waits for ever for the rest of an input that doesn't come, to be sent to a
    server that may be gone.

    :param timeout: seconds that stdin may say nothing, once the server has finished.
    """

    def __init__(self, clock: Any, console: Console, timeout: float) -> None:
        super().__init__(clock)
        self.console = console
        self._timeout = timeout
        self._inputFinished = False
        self._patience: Any = None
        self._left: int | None = None

    def callBegun(self) -> None:
        """Begin to read stdin."""
        self.console.open(self, reading=True)

    def received(self, data: bytes) -> None:
        """Show what came."""
        self.console.show(data)

    def typed(self, data: bytes) -> None:
        """Send what was read."""
        self.say(data)
        if self._patience is not None:
            self._patience.reset(self._timeout)

    def inputFinished(self) -> None:
        """Half-close, or leave if the server has finished too."""
        self._inputFinished = True
        self.transport.unregisterProducer()
        if self._patience is not None:
            self.leave()
        else:
            self.halfClose()

    def serverFinished(self) -> None:
        """Leave, unless there is still something to send."""
        if self._inputFinished:
            self.leave()
        else:
            self._patience = self.clock.callLater(self._timeout, self._noMoreInput)

    def _noMoreInput(self) -> None:
        """Leave a server that has finished, or one that takes nothing more."""
        left = bufferedBytes(self.transport)
        if left and left != self._left:
            self._left = left
            self._patience = self.clock.callLater(self._timeout, self._noMoreInput)
        elif left:
            self.cutOff(
                Result(Outcome.OTHER, "the server finished, and takes no more of the input")
            )
        else:
            self.leave()

    def leave(self) -> None:
        """Close, once all is sent; stdin is not read any more."""
        self.transport.unregisterProducer()
        super().leave()

    def callLost(self, reason: Failure) -> None:
        """Tell how it ended."""
        if self._patience is not None and self._patience.active():
            self._patience.cancel()
        super().callLost(reason)
