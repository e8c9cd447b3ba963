"""
TLS that can half-close: close_notify ends one direction, as FIN does for plain TCP.

RFC 8446, 6.1: close_notify "notifies the recipient that the sender will not send any more
messages"; the other direction goes on. Twisted's own TLS ends both at once and drops what was
written in the same turn. This module relies on the private parts of ``TLSMemoryBIOProtocol``
that ``tests.reactor.test_tls`` names one by one.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from OpenSSL.SSL import SENT_SHUTDOWN, Error, WantReadError, ZeroReturnError
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener
from twisted.internet.main import CONNECTION_LOST
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from tcplab.reactor.coalescing import spliceOf
from tcplab.reactor.tlsclock import ReactorTLS


@implementer(IHalfCloseableProtocol)
class _HalfClosing(ReactorTLS):
    """What `HalfClosingTLS` does."""

    truncated = False
    transport: Any
    wrappedProtocol: Any
    write: Any
    _peerFinished = False
    _writeFinished = False

    def makeConnection(self, transport: Any) -> None:
        """Begin the handshake on a transport."""
        # While it is decrypted and encrypted again every byte is held several times over.
        transport.readLimit = 16384
        super().makeConnection(transport)

    def logPrefix(self) -> str:
        """Log under the name of what is served: TLS is not a conversation of its own."""
        return str(_prefixOf(self.wrappedProtocol))

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
                return  # by whoever looked at the certificate meanwhile
            self._handshakeDone = True
            self._tell("connectionOpened")
            if IHandshakeListener.providedBy(self.wrappedProtocol):
                self.wrappedProtocol.handshakeCompleted()
            if self._writeFinished:
                self._finishWriting()

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        if reason is not None and not self._handshakeDone:
            self._tell("setReason", "handshake")
        super()._tlsShutdownFinished(reason)

    def _tell(self, what: str, *args: object) -> None:
        # The transport below may be any: only those of a Listener have ears.
        tell = getattr(self.transport, what, None)
        if tell is not None:
            tell(*args)

    def dataReceived(self, data: bytes) -> None:
        """Decrypt what came; read no more while our own answers to the protocol of TLS pile up."""
        super().dataReceived(data)
        # KeyUpdate (RFC 8446, 4.6.3) is answered without a message that flow control could stop.
        if self._producer is not None and self._unsent() > 2**17:
            self.transport.pauseProducing()  # until all has left: its producer resumes it

    def _unsent(self) -> int:
        return len(getattr(self.transport, "dataBuffer", b"")) + getattr(
            self.transport, "_tempDataLen", 0
        )

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
        # A protocol that had already finished closes the socket on the way here.
        if self._tlsConnection is not None:
            self._flushSendBIO()

    def _closeNotifyReceived(self) -> None:
        self._peerFinished = True
        self._tell("markEnded", "peer")
        self._aggregator.flush()
        halves = IHalfCloseableProtocol(self.wrappedProtocol, None)
        if self.disconnecting:
            self._answered()
        elif halves is not None:
            halves.readConnectionLost()
        else:
            self._shutdownTLS()
            self._tlsShutdownFinished(None)

    def _answered(self) -> None:
        # Both directions were ended by loseConnection(); if it has sent all, this was waited for.
        if self._tlsConnection.get_shutdown() & SENT_SHUTDOWN:
            self._tlsShutdownFinished(None)

    def readConnectionLost(self) -> None:
        """The socket's FIN: nothing new after a close_notify, a truncation without one."""
        if self._peerFinished:
            return
        self._peerFinished = True
        if not self._writeFinished:
            # After our own close_notify many peers just close: nothing is lost by that.
            self.truncated = True
            self._reason = Failure(CONNECTION_LOST)
        halves = IHalfCloseableProtocol(self.wrappedProtocol, None)
        if halves is not None and self._handshakeDone and not self.disconnecting:
            halves.readConnectionLost()
        else:
            self.transport.connectionLost(Failure(CONNECTION_LOST))

    # We finish

    def loseWriteConnection(self) -> None:
        """Send what was written, then close_notify and FIN; go on reading."""
        if self._writeFinished or self.disconnecting or self._lostTLSConnection:
            return
        self._aggregator.flush()
        self._writeFinished = True
        self.write = (
            _discard  # OpenSSL would take a write after close_notify for a broken connection
        )
        if self._handshakeDone:
            self._finishWriting()

    def _finishWriting(self) -> None:
        if self._appSendBuffer or self._producer is not None:
            return
        self._tell("markEnded", "server")
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
        """Our FIN has been sent."""
        halves = IHalfCloseableProtocol(self.wrappedProtocol, None)
        if halves is not None:
            halves.writeConnectionLost()

    def writeSequence(self, sequence: Iterable[bytes]) -> None:
        """Write many pieces as one."""
        self.write(b"".join(sequence))

    def abortConnection(self) -> None:
        """Reset the connection, unless it is over."""
        if self._tlsConnection is not None:
            super().abortConnection()

    def _shutdownTLS(self) -> None:
        self._tell("markEnded", "server")
        super()._shutdownTLS()
        if self._peerFinished and self._tlsConnection is not None:
            # A FIN without close_notify: the answer to ours will never come.
            self.transport.loseConnection()


def _prefixOf(protocol: Any) -> str:
    given = getattr(protocol, "logPrefix", None)
    return type(protocol).__name__ if given is None else given()


def _discard(data: bytes) -> None:
    """Take the place of ``write`` after our end, as a closed transport drops what it is given."""


class HalfClosingTLS(_HalfClosing):
    """
    TLS between a transport and a protocol, with half-close in both directions.

    The peer's close_notify is told as ``readConnectionLost`` to a protocol that provides
    ``IHalfCloseableProtocol``; any other protocol is ended, after what it wrote has left.

    :ivar truncated: the peer's FIN came without a close_notify: what was received may have been
        cut short by someone on the way.
    """


class TLSFactory(TLSMemoryBIOFactory):
    """Put `HalfClosingTLS` around the protocols of a factory, on either side of a connection."""

    protocol = HalfClosingTLS


def startTLS(transport: Any, protocol: Any, contextFactory: Any) -> HalfClosingTLS:
    """
    Put TLS between a transport and the protocol that speaks through it.

    The handshake begins with ``makeConnection(transport)`` of what is returned.

    :raises RuntimeError: something stands between the two already.
    """
    above: Any = getattr(transport, "protocol", None)
    if spliceOf(transport) is above is not None:
        above = above.wrappedProtocol  # it stays where it is: beneath TLS
    if above is not protocol:
        raise RuntimeError("startTLS: the conversation does not speak through a socket of its own")
    # Whoever connected is the client, as in ITLSTransport.startTLS.
    nothing: Any = None  # to be wrapped: the protocol is there already
    factory = TLSFactory(contextFactory, transport._tlsClientDefault, nothing, transport.reactor)
    tls = HalfClosingTLS(factory, protocol, _connectWrapped=False)
    transport.protocol = tls
    return tls


def enableHalfClose(factory: Any) -> bool:
    """
    Have every TLS layer that a port's factory builds half-close.

    :return: whether there is one.
    """
    found = False
    while factory is not None:
        if isinstance(factory, TLSMemoryBIOFactory):
            factory.protocol = HalfClosingTLS
            found = True
        factory = getattr(factory, "wrappedFactory", None)
    return found
