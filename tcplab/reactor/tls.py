"""
TLS that can half-close: close_notify ends one direction, as FIN does for plain TCP.

RFC 8446, 6.1: close_notify "notifies the recipient that the sender will not send any more
messages". The other direction goes on. Twisted's own TLS ends both at once, and drops what was
written in the same turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Literal, cast

from OpenSSL.SSL import SENT_SHUTDOWN, Error, WantReadError, ZeroReturnError
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    ILoggingContext,
    IProtocol,
    IProtocolFactory,
)
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.tcp import Connection
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from tcplab.reactor.clock import ReactorTLS, ignoreUnknownALPN
from tcplab.reactor.coalescing import spliceOf
from tcplab.reactor.connecterrors import explain, tlsReason
from tcplab.reactor.interfaces import ContextFactory
from tcplab.reactor.stack import bufferedBytes, reportingTransport, setReason
from tcplab.wire.reasons import Reason


@implementer(IHalfCloseableProtocol)
class HalfClosingTLS(ReactorTLS):
    """
    TLS between a transport and a protocol, with half-close in both directions.

    The peer's close_notify is ``readConnectionLost`` of a protocol that provides
    ``IHalfCloseableProtocol``. The connection of any other protocol is closed, once all that it
    wrote has been sent.

    :ivar truncated: the peer's FIN came without a close_notify: the bytes received may have been
        cut short on the way.
    """

    truncated = False
    transport: Any
    wrappedProtocol: Any
    write: Any
    _peerFinished = False
    _writeFinished = False

    def makeConnection(self, transport: Any) -> None:
        """Begin the handshake on a transport."""
        # Each byte is in memory several times while it is decrypted and encrypted again.
        transport.readLimit = 16384
        super().makeConnection(transport)

    def logPrefix(self) -> str:
        """Return the name of the wrapped protocol: TLS has no name of its own in the log."""
        protocol = self.wrappedProtocol
        named = ILoggingContext.providedBy(protocol)
        return str(protocol.logPrefix() if named else type(protocol).__name__)

    # The handshake

    def _checkHandshakeStatus(self) -> None:
        if self._aborted:
            return
        try:
            self._tlsConnection.do_handshake()
        except WantReadError:
            self._flushSendBIO()
        except Error:
            self._tlsShutdownFinished(Failure())
        else:
            if self._aborted:
                return  # by a callback that verified the certificate
            self._handshakeDone = True
            reporting = reportingTransport(self.transport)
            if reporting is not None:
                reporting.connectionOpened()
            if IHandshakeListener.providedBy(self.wrappedProtocol):
                self.wrappedProtocol.handshakeCompleted()
            if self._writeFinished:
                self._finishWriting()

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        if reason is not None:
            self._explain(reason)
        super()._tlsShutdownFinished(reason)

    def failVerification(self, reason: Failure) -> None:
        """Abort the handshake: the certificate is for another name."""
        self._explain(reason)
        super().failVerification(reason)

    def _explain(self, reason: Failure) -> None:
        explain(reason.value, self._tlsConnection)
        detail = tlsReason(reason.value)
        if detail:  # or the connection has ended, which its transport reports
            why = Reason.ERROR if self._handshakeDone else Reason.HANDSHAKE
            setReason(self.transport, why, detail)

    def _notify(self, ended: Literal["peer", "server"]) -> None:
        reporting = reportingTransport(self.transport)
        if reporting is not None:
            reporting.markEnded(ended)

    def dataReceived(self, data: bytes) -> None:
        """Decrypt bytes; stop reading while answers of TLS itself pile up unsent."""
        super().dataReceived(data)
        # KeyUpdate (RFC 8446, 4.6.3) is answered without a message that flow control could stop.
        if self._producer is not None and (bufferedBytes(self.transport) or 0) > 2**17:
            self.transport.pauseProducing()  # the producer resumes it once all has been sent

    # The peer finishes

    def _flushReceiveBIO(self) -> None:
        while not (self._lostTLSConnection or self._peerFinished):
            try:
                data = self._tlsConnection.recv(2**15)
            except WantReadError:
                break
            except ZeroReturnError:
                self._closeNotifyReceived()
            except Error:
                self._tlsShutdownFinished(Failure())
            else:
                if not self._aborted:
                    ProtocolWrapper.dataReceived(self, data)
        # The socket is closed, and this is None, if the protocol had already finished.
        if self._tlsConnection is not None:
            self._flushSendBIO()

    def _closeNotifyReceived(self) -> None:
        self._peerFinished = True
        self._notify("peer")
        self._aggregator.flush()
        halves = IHalfCloseableProtocol(self.wrappedProtocol, None)
        if self.disconnecting:
            self._closeNotifyAnswered()
        elif halves is not None:
            halves.readConnectionLost()
        else:
            self._shutdownTLS()
            self._tlsShutdownFinished(None)

    def _closeNotifyAnswered(self) -> None:
        # loseConnection() ended both directions; if it has sent all, only this was missing.
        if self._tlsConnection.get_shutdown() & SENT_SHUTDOWN:
            self._tlsShutdownFinished(None)

    def readConnectionLost(self) -> None:
        """Handle the FIN of the socket: a truncation, unless a close_notify came before."""
        if self._peerFinished:
            return
        self._peerFinished = True
        if not self._writeFinished:
            # After our own close_notify many peers just close, and nothing is lost.
            self.truncated = True
            self._reason = Failure(CONNECTION_LOST)
        halves = IHalfCloseableProtocol(self.wrappedProtocol, None)
        if halves is not None and self._handshakeDone and not self.disconnecting:
            halves.readConnectionLost()
        else:
            self.transport.connectionLost(Failure(CONNECTION_LOST))

    # We finish

    def loseWriteConnection(self) -> None:
        """Send all bytes written, then close_notify and FIN; reading goes on."""
        if self._writeFinished or self.disconnecting or self._lostTLSConnection:
            return
        self._aggregator.flush()
        self._writeFinished = True
        self.write = _discard  # OpenSSL takes a write after close_notify for a broken connection
        if self._handshakeDone:
            self._finishWriting()

    def _finishWriting(self) -> None:
        if self._appSendBuffer or self._producer is not None:
            return
        self._notify("server")
        with suppress(Error):  # as in TLSMemoryBIOProtocol._shutdownTLS
            self._tlsConnection.shutdown()
        self._flushSendBIO()
        self.transport.loseWriteConnection()

    def _unbufferPendingWrites(self) -> None:
        super()._unbufferPendingWrites()
        if self._writeFinished:
            self._finishWriting()

    def unregisterProducer(self) -> None:
        super().unregisterProducer()
        if self._writeFinished:
            self._finishWriting()

    def writeConnectionLost(self) -> None:
        """Pass on that our FIN has been sent."""
        halves = IHalfCloseableProtocol(self.wrappedProtocol, None)
        if halves is not None:
            halves.writeConnectionLost()

    def writeSequence(self, sequence: Iterable[bytes]) -> None:
        """Write several pieces as one."""
        self.write(b"".join(sequence))

    def abortConnection(self) -> None:
        """Reset the connection, unless it is over."""
        if self._tlsConnection is not None:
            super().abortConnection()

    def _shutdownTLS(self) -> None:
        self._notify("server")
        super()._shutdownTLS()
        if self._peerFinished and self._tlsConnection is not None:
            # The peer sent FIN without close_notify: it will not answer ours.
            self.transport.loseConnection()


def _discard(data: bytes) -> None:
    """Replace ``write`` after the end: a closed transport drops bytes."""


class TLSFactory(TLSMemoryBIOFactory):
    """Wrap the protocols of a factory in `HalfClosingTLS`, on either side of a connection."""

    protocol = HalfClosingTLS


def startTLS(transport: Any, protocol: IProtocol, contextFactory: ContextFactory) -> HalfClosingTLS:
    """
    Insert TLS between a transport and its protocol.

    The handshake begins with ``makeConnection(transport)`` of the object returned.

    :raises RuntimeError: there is something else between the two already.
    """
    above: object = transport.protocol if isinstance(transport, Connection) else None
    splice = spliceOf(transport)
    if splice is not None and splice is above:
        above = splice.wrappedProtocol  # the splice stays below TLS
    if above is not protocol:
        raise RuntimeError("startTLS: the conversation does not speak through a socket of its own")
    if not transport._tlsClientDefault:
        ignoreUnknownALPN(contextFactory)
    # The side that connected is the client, as in ITLSTransport.startTLS.
    nothing = cast(IProtocolFactory, None)  # no factory is wrapped: the protocol exists already
    factory = TLSFactory(contextFactory, transport._tlsClientDefault, nothing, transport.reactor)
    tls = HalfClosingTLS(factory, protocol, _connectWrapped=False)
    transport.protocol = tls
    return tls


def enableHalfClose(factory: object) -> bool:
    """
    Make every TLS layer that a port's factory builds able to half-close.

    :return: whether there is one.
    """
    found = False
    while isinstance(factory, WrappingFactory):
        if isinstance(factory, TLSMemoryBIOFactory):
            factory.protocol = HalfClosingTLS
            found = True
        factory = factory.wrappedFactory
    return found
