"""The user's side of a call: stdin and stdout, each throttled by the other side of the call."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure
from zope.interface import implementer

from tcplab.client.display import Display


# Without IHalfCloseableProtocol the end of stdin would close stdout too, before the answer came.
@implementer(IHalfCloseableProtocol)
class Console(Protocol):
    """
    Standard input and output of one call.

    Reading stdin pauses while the server doesn't take more, and receiving while stdout doesn't.

    :param display: how received bytes are shown.
    :param stdin: the descriptor to read.
    :param stdout: the descriptor to write.
    """

    transport: Any

    def __init__(self, reactor: Any, display: Display, stdin: int = 0, stdout: int = 1) -> None:
        self._reactor = reactor
        self._display = display
        self._stdin = stdin
        self._stdout = stdout
        self._call: Any = None
        self._closed: Deferred[None] = Deferred()
        self._lineBegun = False

    def open(self, call: Any, *, reading: bool) -> None:
        """
        Begin to print, and to read unless told otherwise.

        :param call: told what is ``typed`` (bytes), of ``inputFinished`` and of ``outputLost``.
        """
        self._call = call
        # mypy sees the Windows signature as well
        StandardIO(self, self._stdin, self._stdout, self._reactor)  # type: ignore[call-arg]
        self.transport.registerProducer(call.transport, True)
        if reading:
            call.transport.registerProducer(self.transport, True)
        else:
            self.transport.pauseProducing()

    def show(self, data: bytes) -> None:
        """Show received bytes."""
        self.print(self._display.feed(data))

    def print(self, text: bytes) -> None:
        """Write to stdout, as it is."""
        if text:
            self._lineBegun = not text.endswith(b"\n")
            self.transport.write(text)

    def close(self) -> Deferred[None]:
        """
        Show what was still held, and wait until stdout has taken everything.

        What is printed next, on a terminal, begins on a line of its own.
        """
        if self._call is None:
            return succeed(None)
        if self._closed.called:
            self.transport.loseConnection()  # stdin is not read any more either
            return succeed(None)
        self.print(self._display.finish())
        if self._lineBegun and os.isatty(self._stdout):
            self.print(b"\n")
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        return self._closed

    def dataReceived(self, data: bytes) -> None:
        """Tell what was typed."""
        self._call.typed(data)

    def readConnectionLost(self) -> None:
        """Tell that stdin has ended."""
        self._call.inputFinished()

    def writeConnectionLost(self) -> None:
        """Tell that whoever read stdout has gone."""
        self._over()
        self._call.outputLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Everything is written."""
        self._over()

    def _over(self) -> None:
        if not self._closed.called:
            self._closed.callback(None)
