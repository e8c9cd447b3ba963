"""How much is read at once: a buffer costs the most when it is large and stays empty."""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import Any, Literal

from twisted.internet import main
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.python import context, log
from twisted.python.failure import Failure

from tcplab.reactor.interfaces import ConnectionFilter
from tcplab.reactor.sendbuffer import BUSY, DRAWN, EMPTY, FULL, HOLDS, MAX_CHUNKS, SendBuffer
from tcplab.wire.reasons import Reason

# What one recv() may take at first, and after some messages that were small. With the smaller one
# the interpreter takes the memory from its own pools: 2 % of all that a small request costs.
FIRST = 4096
LEAST = 479
_SMALL_ONES = 8

SMALL = 16384  # what is read while something waits to be sent: it will have to wait too


class AdaptiveReadSize:
    """
    The part of `tcplab.reactor.coalescing.CoalescingTransport` that says how much is read.

    :ivar readLimit: bytes that are read at once, at most.
    """

    # All of it may have to be held for a deaf peer, and what is read until that is known: 256 KiB.
    readLimit = 196608

    _readSize: int
    _smallOnes: int

    def _readOn(self: Any, data: bytes) -> bytes:
        # There may be more. What would have fitted into the first read comes as one.
        size = self._readSize
        if size > LEAST:
            self._readSize = min(size * 4, self.readLimit)
            return data
        self._readSize, self._smallOnes = FIRST, 0
        with suppress(OSError):  # the next read meets it again
            data += self.socket.recv(FIRST - size)
        return data

    def _readLess(self) -> None:
        if self._readSize > FIRST:
            self._readSize >>= 2
        else:
            self._smallOnes += 1
            if self._smallOnes > _SMALL_ONES:
                self._readSize = LEAST

    def _readLittle(self) -> None:
        # The peer did not take all: it may not take what comes when it reads again.
        self._readSize = min(self._readSize, SMALL)


class CoalescingTransport(AdaptiveReadSize, SendBuffer):
    """
    A stream transport that collects what is written while it reads, and then sends it.

    To be mixed in before ``twisted.internet.tcp.Server`` or ``Client``. What an exception or an
    abort interrupts is dropped, as it is by Twisted's own: nothing is sent before the protocol
    returns.

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
        # On the instance, where the interpreter finds them three times as fast as on the class.
        self.received = self.sent = 0
        self._readSize = FIRST
        self._smallOnes = 0
        self._cork = EMPTY  # the state in which a read begins
        self._corked = DRAWN
        self._held = b""

    def __getitem__(self, key: object) -> dict[str, Any]:
        """Return the log's context of what happens here, made only if something is logged."""
        if key is log.ILogContext:
            return {"isError": 0, "system": _prefixOf(self)}
        raise KeyError(key)

    # Reading

    def doRead(self: Any) -> Any:
        """Read once from the socket and hand it to the protocol; then send what that wrote."""
        size = self._readSize
        if self._cork == BUSY and size > SMALL and self.dataBuffer:
            size = SMALL
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
                # A send has met the reset, which is told once. (EPIPE: a FIN had come before it.)
                return main.CONNECTION_LOST
            self.markEnded("peer")
            return main.CONNECTION_DONE
        if length == self._readSize:
            data = self._readOn(data)
            length = len(data)
        elif size > LEAST and length <= size >> 3:
            self._readLess()
        self.received += length
        if self._corked:
            self._spill()  # a protocol that turns the reactor itself is read while it is read
        else:
            self._corked = self._cork
        try:
            self.protocol.dataReceived(data)
        finally:
            corked, self._corked = self._corked, DRAWN
        if corked == HOLDS:
            # As in _sendHeld: a call would cost every request 1 %.
            data, self._held = self._held, b""
            try:
                sent = self.socket.send(data)
            except OSError as e:
                sent = self._notSent(e)
            self.sent += sent
            if sent != len(data):
                self._keep(data, sent)
        elif corked == FULL:
            self._sendCollected()
        return None

    def readConnectionLost(self: Any, reason: Failure) -> None:
        """Tell the protocol that the peer has finished; then send what that wrote."""
        if self._corked:
            self._spill()  # heard in the middle of a read, as in doRead
        else:
            self._corked = BUSY
        try:
            half = IHalfCloseableProtocol(self.protocol, None)
            if half is None:
                self.connectionLost(reason)
            else:
                self._tellHalf(half)
        except BaseException:
            self._corked = DRAWN
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
        """Send these bytes: when the protocol returns, or when the reactor may."""
        if self._corked == EMPTY and type(data) is bytes and data:
            self._corked = HOLDS
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
        # Something unusual is about to happen: from here on all is as Twisted has it.
        if self._corked:
            self._corked = FULL
            if self._held:
                self._tempDataBuffer.append(self._held)
                self._tempDataLen += len(self._held)
                self._held = b""

    def writeSequence(self: Any, iovec: Any) -> None:
        """Send these pieces, as `write` does."""
        self._spill()
        super().writeSequence(iovec)  # type: ignore[misc]

    def startWriting(self: Any) -> None:
        """Ask to be told when there is room, unless we are about to see for ourselves."""
        if self._corked:
            self._spill()
        else:
            self._cork = BUSY
            self.reactor.addWriter(self)

    def startTLS(self: Any, *args: Any, **kwargs: Any) -> None:
        """Speak TLS from here on, in Twisted's own way."""
        self._spill()
        self._cork = BUSY
        from tcplab.reactor.tlsclock import startTLS  # pyOpenSSL need not be there

        startTLS(self, *args, **kwargs)

    def registerProducer(self: Any, producer: Any, streaming: bool) -> None:
        """Let a producer know when there is room."""
        if not streaming:
            self._spill()
            self._cork = BUSY
        super().registerProducer(producer, streaming)  # type: ignore[misc]

    def abortConnection(self: Any) -> None:
        """Reset the connection; what was written and not sent is dropped."""
        self._spill()
        super().abortConnection()  # type: ignore[misc]

    def connectionLost(self: Any, reason: Failure) -> None:
        """End, and tell the protocol."""
        self._spill()
        super().connectionLost(reason)  # type: ignore[misc]

    # Sending

    def cork(self) -> None:
        """Collect what is written from here on, until `uncork`."""
        if self._corked:
            self._spill()  # a protocol that turns the reactor itself
        else:
            self._corked = self._cork

    def uncork(self: Any) -> None:
        """Send what was collected; leave to the reactor what the kernel does not take."""
        corked, self._corked = self._corked, DRAWN
        if corked == HOLDS:
            self._sendHeld()
        elif corked == FULL:
            self._sendCollected()

    # Reports, for a subclass that keeps an account of the connection

    def connectionOpened(self) -> None:
        """Report that a TLS handshake is complete."""

    def messageReported(self, message: bytes) -> None:
        """Report a message that the protocol received."""

    def setReason(self, reason: Reason) -> None:
        """Record why this side is about to end the connection."""

    def markEnded(self, who: Literal["peer", "server"]) -> None:
        """Record which side has finished; the first one is the one that counts."""


def _prefixOf(transport: Any) -> str:
    try:
        return transport.logPrefix()  # type: ignore[no-any-return]
    except Exception:
        context.call({log.ILogContext: _BUGGY}, log.err)  # or it would ask for the prefix again
        return str(_BUGGY["system"])


_BUGGY: dict[str, Any] = {"isError": 0, "system": "(buggy logPrefix method)"}


def spliceOf(transport: object) -> ConnectionFilter | None:
    """Return what stands between a transport and its protocol, or ``None``."""
    if isinstance(transport, CoalescingTransport):
        return transport.filter
    # Not as an attribute: a wrapper would give that of what it wraps.
    return getattr(transport, "__dict__", {}).get("filter")
