"""Standard input and output of a session, with flow control between them and the connection."""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer, IReactorFDSet
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.process import ProcessReader, ProcessWriter
from twisted.python.failure import Failure
from zope.interface import implementer

from tcplab.client.display import Display
from tcplab.client.protocol import ClientProtocol
from tcplab.client.result import Result, fromOutputError
from tcplab.reactor.interfaces import StreamTransport
from tcplab.reactor.stack import bufferedBytes


class Output(ProcessWriter):
    """
    Standard output.

    :ivar errno: the error of the last write; 0: there was none.
    """

    errno = 0

    def writeSomeData(self, data: bytes) -> int | BaseException:
        """Write what fits; keep the error, which Twisted drops."""
        if not data:  # a full device fails even for no bytes
            return 0
        try:
            written = os.write(self.fd, data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as problem:
            self.errno = problem.errno or 0
            return CONNECTION_LOST
        if written == len(data) and self.enableReadHack:
            self.startReading()  # a pipe without a reader is reported as readable
        return written


@implementer(IPushProducer)
class ConnectionProducer:
    """
    The connection as what stdout pauses and resumes; the loss of stdout does not close it.

    :param transport: the connection.
    :ivar paused: stdout accepts no more at the moment.
    """

    def __init__(self, transport: StreamTransport) -> None:
        self._transport = transport
        self.paused = False

    def pauseProducing(self) -> None:
        """Stop receiving."""
        self.paused = True
        self._transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Receive again."""
        self.paused = False
        self._transport.resumeProducing()

    def stopProducing(self) -> None:
        """Do nothing: ``outputLost`` of the client is called next, with the reason."""


def _isStderr(descriptor: int) -> bool:
    try:
        return os.path.sameopenfile(descriptor, 2)
    except OSError:  # stderr is closed
        return False


@implementer(IPushProducer)
class Console:
    """
    Standard input and output of one session.

    Stdin is not read while the server accepts no more. Nothing is received while stdout accepts no
    more.

    :param display: turns received bytes into what is printed.
    :param stdin: the descriptor to read.
    :param stdout: the descriptor to write.
    """

    _client: ClientProtocol
    _output: Output
    _receiving: ConnectionProducer

    def __init__(
        self, reactor: IReactorFDSet, display: Display, stdin: int = 0, stdout: int = 1
    ) -> None:
        self._reactor = reactor
        self._display = display
        self._stdin = stdin
        self._stdout = stdout
        self._input: ProcessReader | None = None
        self._opened = False
        self._outputClosed = False
        self._outputResult: Result | None = None
        self._closing: Deferred[Result | None] | None = None
        self._midLine = False

    def open(self, client: ClientProtocol, *, reading: bool) -> None:
        """
        Start to print what a client receives.

        :param client: its ``outputLost`` is called if stdout is lost.
        :param reading: read stdin, and call the client's ``inputReceived`` and ``inputEnded``.
        """
        self._client = client
        self._opened = True
        self._output = Output(self._reactor, self, "stdout", self._stdout)
        self._receiving = ConnectionProducer(client.transport)
        self._output.registerProducer(self._receiving, True)
        if reading:
            self._input = ProcessReader(self._reactor, self, "stdin", self._stdin)
            client.transport.registerProducer(self, True)

    @property
    def blocked(self) -> bool:
        """Whether stdout accepts no more at the moment, so that nothing is received."""
        return self._opened and self._receiving.paused

    def show(self, data: bytes) -> None:
        """Print received bytes as the display shows them."""
        self.print(self._display.feed(data))

    def print(self, text: bytes) -> None:
        """Write bytes to stdout."""
        if text:
            self._midLine = not text.endswith(b"\n")
            self._output.write(text)

    def close(self) -> Deferred[Result | None]:
        """
        Print what the display has held back, and wait until stdout has taken everything.

        On a terminal, and in a file that stderr is too, the next line begins in the first column.

        :return: fires with a `Result` if stdout was lost before that, else with ``None``.
        """
        if not self._opened:
            return succeed(None)
        self.stopProducing()
        if self._outputClosed:
            return succeed(self._outputResult)
        self._closing = Deferred()
        self.print(self._display.finish())
        if self._midLine and (os.isatty(self._stdout) or _isStderr(self._stdout)):
            self.print(b"\n")
        self._output.unregisterProducer()
        self._output.loseConnection()
        return self._closing

    # Called by the transport, as the server accepts no more, and again accepts more

    def pauseProducing(self) -> None:
        """Pause reading stdin."""
        if self._input is not None:
            self._input.pauseProducing()

    def resumeProducing(self) -> None:
        """Resume reading stdin."""
        if self._input is not None:
            self._input.resumeProducing()

    def stopProducing(self) -> None:
        """Stop reading stdin for good."""
        self.pauseProducing()
        self._input = None

    # Called by the descriptors

    def childDataReceived(self, name: str, data: bytes) -> None:
        """Pass input to the client."""
        self._client.inputReceived(data)

    def childConnectionLost(self, name: str, reason: Failure) -> None:
        """Pass on the end of stdin, or handle that of stdout."""
        if name == "stdin":
            self._input = None
            self._client.inputEnded()
        else:
            self._outputEnded(reason)

    def _outputEnded(self, reason: Failure) -> None:
        """Stdout has ended: lost, unless `close` asked for it and nothing is left."""
        self._outputClosed = True
        if self._closing is None:
            self._outputResult = fromOutputError(self._output.errno)
            self._client.outputLost(self._outputResult)
            return
        if bufferedBytes(self._output) or not reason.check(ConnectionDone):
            self._outputResult = fromOutputError(self._output.errno)
        self._closing.callback(self._outputResult)
