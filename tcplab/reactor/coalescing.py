"""
Write coalescing, and the read size.

Bytes that a protocol writes during a read leave in one send when the protocol returns. The read
size follows the traffic: a large buffer that stays nearly empty is the most expensive one.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import Any, Literal

from twisted.internet import main
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.python import context, log
from twisted.python.failure import Failure

from tcplab.reactor.interfaces import ConnectionFilter
from tcplab.reactor.sendbuffer import (
    BYPASS,
    CORKED,
    CORKED_MANY,
    CORKED_ONE,
    MAX_CHUNKS,
    UNCORKED,
    SendBuffer,
)
from tcplab.wire.reasons import Reason

# The size of a read at first, and after several small messages. For the smaller one the interpreter
# has memory in its own pools: this saves 2 % of a small request.
INITIAL = 4096
MINIMUM = 479
_SMALL_ONES = 8

CONGESTED = 16384  # while bytes are unsent: the answers to what is read wait behind them


class AdaptiveReadSize:
    """
    The read size of a `CoalescingTransport`.

    :ivar readLimit: the bytes of one read at most.
    """

    # The answers to one read may all stay here, for a peer that does not read. With the 64 KiB that
    # were written before they are 256 KiB.
    readLimit = 196608

    _readSize: int
    _smallOnes: int

    def _readOn(self: Any, data: bytes) -> bytes:
        # There may be more; what fits into the initial size is delivered as one.
        size = self._readSize
        if size > MINIMUM:
            self._readSize = min(size * 4, self.readLimit)
            return data
        self._readSize, self._smallOnes = INITIAL, 0
        with suppress(OSError):  # the next read meets the error again
            data += self.socket.recv(INITIAL - size)
        return data

    def _readLess(self) -> None:
        if self._readSize > INITIAL:
            self._readSize >>= 2
        else:
            self._smallOnes += 1
            if self._smallOnes > _SMALL_ONES:
                self._readSize = MINIMUM

    def _readLittle(self) -> None:
        # The peer did not take all; it may not take the answers to a large read either.
        self._readSize = min(self._readSize, CONGESTED)


class CoalescingTransport(AdaptiveReadSize, SendBuffer):
    """
    A stream transport that collects the bytes written during a read, and then sends them.

    It comes before ``twisted.internet.tcp.Server`` or ``Client`` as a base. As in these, nothing
    is sent before the protocol returns: an exception or an abort drops the bytes collected.

    :ivar filter: what stands between it and its protocol, if anything.
    :cvar subclasses: every class derived from it; an instance is its own log context.
    :ivar checkedAt: the value of ``sent`` when the absence of a reset was last known.
    :ivar received: bytes taken from the kernel so far.
    """

    filter: ConnectionFilter | None = None
    subclasses: set[type] = set()
    checkedAt: int | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        CoalescingTransport.subclasses.add(cls)

    def __init__(self, *args: Any) -> None:
        self._begin()
        super().__init__(*args)

    def _begin(self) -> None:
        # Attributes of the instance are found three times as fast as those of the class.
        self.received = self.sent = 0
        self._readSize = INITIAL
        self._smallOnes = 0
        self._cork = CORKED  # the state in which a read begins
        self._corked = UNCORKED
        self._held = b""

    def __getitem__(self, key: object) -> dict[str, Any]:
        """Return the log context of this transport, made only if something is logged."""
        if key is log.ILogContext:
            return {"isError": 0, "system": _prefixOf(self)}
        raise KeyError(key)

    # Reading

    def doRead(self: Any) -> Any:
        """Read once, deliver the bytes to the protocol, then send the bytes that it wrote."""
        size = self._readSize
        if self._cork == BYPASS and size > CONGESTED and self.dataBuffer:
            size = CONGESTED
        try:
            data = self.socket.recv(size)
        except BlockingIOError:
            return None
        except OSError as e:
            self.errno = e.errno
            return main.CONNECTION_LOST
        length = len(data)
        if not length:
            if self.errno and self.errno != errno.EPIPE:
                # A send has met the reset, which is reported once. (EPIPE: a FIN came before it.)
                return main.CONNECTION_LOST
            self.markEnded("peer")
            return main.CONNECTION_DONE
        if length == self._readSize:
            data = self._readOn(data)
            length = len(data)
        elif size > MINIMUM and length <= size >> 3:
            self._readLess()
        self.received += length
        if self._corked:
            self._spill()  # a read within a read: the protocol turns the reactor itself
        else:
            self._corked = self._cork
        try:
            self.protocol.dataReceived(data)
        finally:
            corked, self._corked = self._corked, UNCORKED
        if corked == CORKED_ONE:
            # As _sendHeld, inline: a call would cost 1 % of every request.
            data, self._held = self._held, b""
            try:
                sent = self.socket.send(data)
            except OSError as e:
                sent = self._notSent(e)
            self.sent += sent
            if sent != len(data):
                self._keep(data, sent)
        elif corked == CORKED_MANY:
            self._sendCollected()
        return None

    def readConnectionLost(self: Any, reason: Failure) -> None:
        """Report the peer's FIN to the protocol, then send the bytes that it wrote."""
        if self._corked:
            self._spill()  # within a read, as in doRead
        else:
            self._corked = BYPASS
        try:
            half = IHalfCloseableProtocol(self.protocol, None)
            if half is None:
                self.connectionLost(reason)
            else:
                self._tellHalf(half)
        except BaseException:
            self._corked = UNCORKED
            raise
        self.uncork()

    def _tellHalf(self: Any, protocol: IHalfCloseableProtocol) -> None:
        try:
            protocol.readConnectionLost()
        except BaseException:
            log.err()
            self.connectionLost(Failure())

    # Writing

    def write(self: Any, data: bytes) -> None:
        """Send bytes when the protocol returns, or when the socket is ready."""
        if self._corked == CORKED and type(data) is bytes and data:
            self._corked = CORKED_ONE
            self._held = data
        else:
            self._spill()
            self._collect(data)

    def _collect(self: Any, data: bytes) -> None:
        if self._corked and type(data) is bytes and not self.TLS:
            if data and self.connected and not self._writeDisconnected:
                self._tempDataBuffer.append(data)
                self._tempDataLen += len(data)
                if len(self.dataBuffer) + self._tempDataLen > self.bufferSize:
                    self._maybePauseProducer()
        else:
            super().write(data)  # type: ignore[misc]
        if len(self._tempDataBuffer) > MAX_CHUNKS:
            self._tempDataBuffer = [b"".join(self._tempDataBuffer)]

    def _spill(self: Any) -> None:
        # An unusual event: from here on all is done as Twisted does it.
        if self._corked:
            self._corked = CORKED_MANY
            if self._held:
                self._tempDataBuffer.append(self._held)
                self._tempDataLen += len(self._held)
                self._held = b""

    def writeSequence(self: Any, iovec: Any) -> None:
        """Send several pieces, as `write` does."""
        self._spill()
        super().writeSequence(iovec)  # type: ignore[misc]

    def startWriting(self: Any) -> None:
        """Wait until the socket is ready, unless a send is about to be tried."""
        if self._corked:
            self._spill()
        else:
            self._cork = BYPASS
            self.reactor.addWriter(self)

    def startTLS(self: Any, *args: Any, **kwargs: Any) -> None:
        """Switch to Twisted's own TLS."""
        self._spill()
        self._cork = BYPASS
        from tcplab.reactor.clock import startTLS  # pyOpenSSL need not be there

        startTLS(self, *args, **kwargs)

    def registerProducer(self: Any, producer: Any, streaming: bool) -> None:
        """Pause and resume a producer as the buffer fills and empties."""
        if not streaming:
            self._spill()
            self._cork = BYPASS
        super().registerProducer(producer, streaming)  # type: ignore[misc]

    def abortConnection(self: Any) -> None:
        """Reset the connection; unsent bytes are dropped."""
        self._spill()
        super().abortConnection()  # type: ignore[misc]

    def connectionLost(self: Any, reason: Failure) -> None:
        """End, and report it to the protocol."""
        self._spill()
        super().connectionLost(reason)  # type: ignore[misc]

    # Sending

    def cork(self) -> None:
        """Collect the bytes written from here on, until `uncork`."""
        if self._corked:
            self._spill()  # the protocol turns the reactor itself
        else:
            self._corked = self._cork

    def uncork(self: Any) -> None:
        """Send the bytes collected; the reactor sends those that the kernel does not take."""
        corked, self._corked = self._corked, UNCORKED
        if corked == CORKED_ONE:
            self._sendHeld()
        elif corked == CORKED_MANY:
            self._sendCollected()

    # Reports, for a subclass that keeps an account of the connection

    def connectionOpened(self) -> None:
        """Report that a TLS handshake is complete."""

    def messageReported(self, message: bytes) -> None:
        """Report a message that the protocol received."""

    def setReason(self, reason: Reason, detail: str = "") -> None:
        """Record why this side is about to end the connection."""

    def markEnded(self, side: Literal["peer", "server"]) -> None:
        """Record which side has finished; the first one is the one that counts."""


def _prefixOf(transport: Any) -> str:
    try:
        return transport.logPrefix()  # type: ignore[no-any-return]
    except Exception:
        context.call(
            {log.ILogContext: _BUGGY}, log.err
        )  # without it log.err would ask for the prefix again
        return str(_BUGGY["system"])


_BUGGY: dict[str, Any] = {"isError": 0, "system": "(buggy logPrefix method)"}


def spliceOf(transport: object) -> ConnectionFilter | None:
    """Return what stands between a transport and its protocol; ``None``: nothing."""
    if isinstance(transport, CoalescingTransport):
        return transport.filter
    # Not by getattr: a wrapper returns the attribute of the transport below it.
    return getattr(transport, "__dict__", {}).get("filter")
