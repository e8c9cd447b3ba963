"""The client's end of one connection, from the handshake to a graceful close."""

from __future__ import annotations

import re
import typing
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IReactorTime,
    ISSLTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from tcplab.client.result import HandshakeFailed, Outcome, Result, fromConnectionLost
from tcplab.reactor.stack import bufferedBytes, canHalfClose, keepUrgentData, removeEndpointWrapper
from tcplab.reactor.tls import HalfClosingTLS


class UserInterface(typing.Protocol):
    """The user's end of a session: where the client reads its input and prints."""

    def open(self, client: ClientProtocol, *, reading: bool) -> None:
        """
        Start to print what the client receives.

        :param reading: read the input as well, and call the client's ``inputReceived`` and
            ``inputEnded``.
        """

    def show(self, data: bytes) -> None:
        """Print received bytes."""

    @property
    def blocked(self) -> bool:
        """Whether the output accepts no more at the moment, so that nothing is received."""

    def close(self) -> Deferred[Result | None]:
        """Print the rest; fires with a `Result` if the output was lost, else ``None``."""


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class ClientProtocol(Protocol):
    """
    The client's end of one connection; each subclass is one way to use it.

    Hooks, none of which needs ``super()``: `sessionStarted`, `received`, `serverClosed`,
    `sessionLost`, `inputReceived`, `inputEnded`. The first call of `setResult` ends the session.

    :ivar established: fires when the connection is made, on TLS after the handshake; fails with
        `HandshakeFailed`.
    :ivar ended: fires with the `Result`, once.
    :ivar bytesSent: how many bytes were given to the transport.
    :ivar bytesReceived: how many bytes were received.
    :ivar lingerTimeout: seconds that a lingering close waits for the server to finish.
    :ivar silenceTimeout: seconds of silence that end the session once all is sent; ``None``: no
        limit.
    :ivar shutdown: send FIN once all is sent.
    :ivar crlf: send each newline as CR LF.
    :ivar console: where the input is read, and where the client prints; ``None``: nowhere.
    """

    # A server answers a FIN within one round trip, and none in use takes more than a second. A
    # server that ignores it must not delay a health check any longer.
    lingerTimeout = 1.0
    silenceTimeout: float | None = None
    shutdown = True
    crlf = False
    console: UserInterface | None = None

    transport: Any

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self.established: Deferred[None] = Deferred(lambda _: self._abortConnection())
        self.ended: Deferred[Result] = Deferred()
        self.bytesSent = 0
        self.bytesReceived = 0
        self._closing = False
        self._lingerTimer: IDelayedCall | None = None
        self._silenceTimer: IDelayedCall | None = None
        self._unsent: int | None = 0
        self._lastSent = b""

    # Hooks

    def sessionStarted(self) -> None:
        """The connection is made, and the handshake of TLS complete."""

    def received(self, data: bytes) -> None:
        """Bytes have arrived from the server."""

    def serverClosed(self) -> None:
        """The server has sent FIN or close_notify: nothing more will arrive. Default: close."""
        self.close()

    def sessionLost(self, reason: Failure) -> None:
        """The connection has ended. Default: the result is `resultOf` the reason."""
        self.setResult(self.resultOf(reason))

    def inputReceived(self, data: bytes) -> None:
        """The user has typed or piped bytes."""

    def inputEnded(self) -> None:
        """The user's input has ended."""

    # For subclasses

    def send(self, data: bytes) -> None:
        """Send bytes."""
        if self.crlf:
            followsReturn = data.startswith(b"\n") and self._lastSent == b"\r"
            self._lastSent = data[-1:]
            data = data[:followsReturn] + re.sub(rb"(?<!\r)\n", b"\r\n", data[followsReturn:])
        self.bytesSent += len(data)
        self.transport.write(data)

    def finishSending(self) -> None:
        """All is sent: half-close, and await the end of the server or its silence."""
        if self.shutdown:
            self.halfClose()
        if self.silenceTimeout is not None:
            self._silenceTimer = self.clock.callLater(self.silenceTimeout, self._silent)

    def _silent(self) -> None:
        assert self.silenceTimeout is not None
        unsent, self._unsent = self._unsent, bufferedBytes(self.transport)
        taken = self._unsent not in (0, None, unsent)  # the server receives what is sent
        if taken or (self.console is not None and self.console.blocked):
            self._silenceTimer = self.clock.callLater(self.silenceTimeout, self._silent)
            return
        result = self.ok()
        if self.bytesSent and not self.bytesReceived:
            why = f"sent {self.bytesSent} bytes, and nothing arrived in {self.silenceTimeout:g} s"
            result = Result(Outcome.SILENT, why)
        if not self.shutdown:
            self.lingeringClose(result)
            return
        self._closing, self._result = True, result
        self.setResult(result)
        self.close()

    def halfClose(self) -> None:
        """Finish sending once all has been sent; go on receiving."""
        if canHalfClose(self.transport):
            self.transport.loseWriteConnection()
        else:
            # Twisted's own TLS: this sends close_notify, and goes on receiving until the peer's.
            self.transport.loseConnection()

    def close(self) -> None:
        """Close once all has been sent, after the server has finished."""
        self.transport.loseConnection()

    def lingeringClose(self, result: Result) -> None:
        """
        Close gracefully: half-close, discard what arrives, and close after the server's FIN.

        After ``lingerTimeout`` seconds without a FIN the connection is reset.
        """
        if self._closing:
            return
        self._closing = True
        self._result = result
        self._lingerTimer = self.clock.callLater(self.lingerTimeout, self._abortConnection)
        self.transport.resumeProducing()
        self.halfClose()

    def abort(self, result: Result) -> None:
        """Reset the connection."""
        self._closing = True
        self._result = result
        self._abortConnection()

    def outputLost(self, result: Result) -> None:
        """Reset the connection: the output accepts no more."""
        failed = self._closing and self._result.outcome is not Outcome.OK
        self.abort(self._result if failed else result)

    def setResult(self, result: Result) -> None:
        """Fire ``ended``; later calls have no effect."""
        if not self.ended.called:
            self.ended.callback(result)

    def ok(self) -> Result:
        """Return the result of a session that ended cleanly; an answer may be missing."""
        if self.bytesSent and not self.bytesReceived:
            why = f"sent {self.bytesSent} bytes, and the server closed without an answer"
            return Result(Outcome.EOF, why)
        return Result(Outcome.OK, f"sent {self.bytesSent} bytes, received {self.bytesReceived}")

    def resultOf(self, reason: Failure) -> Result:
        """Return the result of a session that ended for this reason."""
        if self.isTruncated():
            return Result(
                Outcome.TLS,
                "the server ended without close_notify: the answer may be incomplete",
            )
        if reason.check(ConnectionDone):
            return self.ok()
        return fromConnectionLost(reason.value)

    def isTruncated(self) -> bool:
        """Tell whether TLS ended without the server's close_notify."""
        return isinstance(self.transport, HalfClosingTLS) and self.transport.truncated

    def _abortConnection(self) -> None:
        self.transport.abortConnection()

    # Called by the transport

    def connectionMade(self) -> None:
        """Start the session; on TLS the handshake is first."""
        removeEndpointWrapper(self.transport, self)
        keepUrgentData(self.transport)
        if not ISSLTransport.providedBy(self.transport):
            self._start()

    def handshakeCompleted(self) -> None:
        """Start the session on TLS."""
        self._start()

    def _start(self) -> None:
        if not self.established.called:
            self.established.callback(None)
            self.sessionStarted()

    def dataReceived(self, data: bytes) -> None:
        """Count the bytes and deliver them; during a lingering close they are discarded."""
        if not self._closing:
            self.bytesReceived += len(data)
            if self.silenceTimeout and self._silenceTimer and self._silenceTimer.active():
                self._silenceTimer.reset(self.silenceTimeout)
            self.received(data)

    def readConnectionLost(self) -> None:
        """Call `serverClosed`, or complete a lingering close."""
        if self._closing:
            self.close()
        else:
            self.serverClosed()

    def writeConnectionLost(self) -> None:
        """Our FIN has been sent."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End the session, or fail ``established``."""
        for timer in (self._lingerTimer, self._silenceTimer):
            if timer is not None and timer.active():
                timer.cancel()
        if not self.established.called:
            self.established.errback(HandshakeFailed(reason))
        elif self._closing:
            self.setResult(self._result)
        else:
            self.sessionLost(reason)
