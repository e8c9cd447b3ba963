"""The user's side of a call: stdin and stdout, each throttled by the other side of the call."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.process import ProcessReader, ProcessWriter
from twisted.python.failure import Failure
from zope.interface import implementer

from tcplab.client.display import Display
from tcplab.client.result import Result, fromOutputError
from tcplab.reactor.stack import bufferedBytes


class Output(ProcessWriter):
    """
    Standard output.

    :ivar errno: why the system took no more; 0 if it did not say.
    """

    errno = 0

    def writeSomeData(self, data: bytes) -> int | BaseException:
        """Write what fits, and remember which error there was: Twisted does not tell."""
        if not data:  # a device that is full refuses even nothing
            return 0
        try:
            written = os.write(self.fd, data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as problem:
            self.errno = problem.errno or 0
            return CONNECTION_LOST
        if written == len(data) and self.enableReadHack:
            self.startReading()  # that the reader has gone is told as something to read
        return written


@implementer(IPushProducer)
class ConnectionProducer:
    """
    What stdout throttles: the connection, which must not be closed politely when stdout is lost.

    :param transport: the connection.
    """

    def __init__(self, transport: Any) -> None:
        self.pauseProducing = transport.pauseProducing
        self.resumeProducing = transport.resumeProducing

    def stopProducing(self) -> None:
        """Leave it to the call, which is told next why stdout was lost."""


@implementer(IPushProducer)
class Console:
    """
    Standard input and output of one call.

    Reading stdin pauses while the server doesn't take more, and receiving while stdout doesn't.

    :param display: how received bytes are shown.
    :param stdin: the descriptor to read.
    :param stdout: the descriptor to write.
    """

    def __init__(self, reactor: Any, display: Display, stdin: int = 0, stdout: int = 1) -> None:
        self._reactor = reactor
        self._display = display
        self._stdin = stdin
        self._stdout = stdout
        self._call: Any = None
        self._input: Any = None
        self._output: Any = None
        self._over = False
        self._lost: Result | None = None
        self._closing: Deferred[Result | None] | None = None
        self._lineBegun = False

    def open(self, call: Any, *, reading: bool) -> None:
        """
        Begin to print, and to read unless told otherwise.

        :param call: told what is ``typed`` (bytes), of ``inputFinished``, and of ``outputLost``
            with the `Result` that this is.
        """
        self._call = call
        self._output = Output(self._reactor, self, "stdout", self._stdout)
        self._output.registerProducer(ConnectionProducer(call.transport), True)
        if reading:
            self._input = ProcessReader(self._reactor, self, "stdin", self._stdin)
            call.transport.registerProducer(self, True)

    def show(self, data: bytes) -> None:
        """Show received bytes."""
        self.print(self._display.feed(data))

    def print(self, text: bytes) -> None:
        """Write to stdout, as it is."""
        if text:
            self._lineBegun = not text.endswith(b"\n")
            self._output.write(text)

    def close(self) -> Deferred[Result | None]:
        """
        Show what was still held, and wait until stdout has taken everything, or refused it.

        What is printed next, on a terminal, begins on a line of its own.

        :return: how it ended if something was refused, else ``None``.
        """
        if self._call is None:
            return succeed(None)
        self.stopProducing()
        if self._over:
            return succeed(self._lost)
        self._closing = Deferred()
        self.print(self._display.finish())
        if self._lineBegun and os.isatty(self._stdout):
            self.print(b"\n")
        self._output.unregisterProducer()
        self._output.loseConnection()
        return self._closing

    # What the connection tells when the server takes no more, and takes more again

    def pauseProducing(self) -> None:
        """Stop reading stdin for a while."""
        if self._input is not None:
            self._input.pauseProducing()

    def resumeProducing(self) -> None:
        """Read stdin again."""
        if self._input is not None:
            self._input.resumeProducing()

    def stopProducing(self) -> None:
        """Read stdin no more."""
        self.pauseProducing()
        self._input = None

    # What the descriptors tell

    def childDataReceived(self, name: str, data: bytes) -> None:
        """Tell what was typed."""
        self._call.typed(data)

    def childConnectionLost(self, name: str, reason: Failure) -> None:
        """Tell that stdin has ended, or that stdout has."""
        if name == "stdin":
            self._input = None
            self._call.inputFinished()
        else:
            self._outputEnded(reason)

    def _outputEnded(self, reason: Failure) -> None:
        """Judge the end of stdout: it is ours only if we asked for it and nothing is left over."""
        self._over = True
        if self._closing is None:
            self._lost = fromOutputError(self._output.errno)
            self._call.outputLost(self._lost)
            return
        if bufferedBytes(self._output) or not reason.check(ConnectionDone):
            self._lost = fromOutputError(self._output.errno)
        self._closing.callback(self._lost)
