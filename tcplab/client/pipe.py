"""A client that sends its whole input, and prints the answer up to the server's end."""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from tcplab.client.protocol import ClientProtocol, UserInterface
from tcplab.client.result import Outcome, Result
from tcplab.reactor.stack import bufferedBytes


class PipeClient(ClientProtocol):
    """
    Send the input, half-close at its end, and read up to the server's end.

    A server may half-close before the input ends, and still read: the rest of the input is sent.
    **Limit:** after that, a pause of the input that is longer than the timeout closes.

    :param console: where the input is read and the answer printed.
    :param timeout: seconds that the input may pause after the server has finished.
    """

    def __init__(self, clock: IReactorTime, console: UserInterface, timeout: float) -> None:
        super().__init__(clock)
        self.console: UserInterface = console
        self._timeout = timeout
        self._inputEnded = False
        self._inputTimer: IDelayedCall | None = None

    def sessionStarted(self) -> None:
        """Start to read the input."""
        self.console.open(self, reading=True)

    def received(self, data: bytes) -> None:
        """Print received bytes."""
        self.console.show(data)

    def inputReceived(self, data: bytes) -> None:
        """Send a piece of the input."""
        self.send(data)
        if self._inputTimer is not None:
            self._inputTimer.reset(self._timeout)

    def inputEnded(self) -> None:
        """Half-close, or close if the server has finished too."""
        self._inputEnded = True
        self.transport.unregisterProducer()
        if self._inputTimer is not None:
            self.close()
        else:
            self.finishSending()

    def serverClosed(self) -> None:
        """Close, unless the input goes on."""
        if self._inputEnded:
            self.close()
        else:
            self._inputTimer = self.clock.callLater(self._timeout, self._inputTimedOut)

    def _inputTimedOut(self) -> None:
        # The server has finished. It may still be reading, if slowly.
        unsent, self._unsent = self._unsent, bufferedBytes(self.transport)
        if self._unsent not in (0, None, unsent):
            self._inputTimer = self.clock.callLater(self._timeout, self._inputTimedOut)
        elif self._unsent:
            self.abort(Result(Outcome.OTHER, "the server closed, and accepts no more of the input"))
        else:
            self.close()

    def close(self) -> None:
        """Close once all has been sent; the input is not read any more."""
        self.transport.unregisterProducer()
        super().close()

    def sessionLost(self, reason: Failure) -> None:
        """Stop the timer, and set the result."""
        if self._inputTimer is not None and self._inputTimer.active():
            self._inputTimer.cancel()
        super().sessionLost(reason)
