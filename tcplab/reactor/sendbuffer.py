"""The send buffer: bytes leave at once if the kernel takes them, else when the socket is ready."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet import main
from twisted.python import log
from twisted.python.failure import Failure

# The states of a cork.
UNCORKED = 0  # no read is in progress: writes go to the reactor
CORKED = 1  # a read is in progress; nothing was written, and nothing is unsent
CORKED_ONE = 2  # one chunk was written, as in nearly every read
BYPASS = 3  # an unusual state: TLS, an end, a pull producer, unsent bytes
CORKED_MANY = 4  # several chunks were written, or there is other work for uncork()

# Unsent chunks before they are joined. An object for each small answer weighs far more than the
# answer. The kernel takes 1,024 at once (IOV_MAX).
MAX_CHUNKS = 500

# The errors of a send after the peer's reset.
_GONE = frozenset({errno.EPIPE, errno.ECONNRESET})

DONE = Failure(main.CONNECTION_DONE)


class SendBuffer:
    """
    The sending part of `tcplab.reactor.coalescing.CoalescingTransport`.

    :ivar sent: bytes the kernel has taken so far.
    :ivar errno: the error that ended the connection, if one did.
    """

    errno: int | None = None

    def _sendHeld(self: Any) -> None:
        data, self._held = self._held, b""
        try:
            sent = self.socket.send(data)
        except OSError as e:
            sent = self._notSent(e)
        self.sent += sent
        if sent != len(data):
            self._keep(data, sent)

    def _notSent(self, error: OSError) -> int:
        if not isinstance(error, BlockingIOError) and error.errno != errno.ENOBUFS:
            # doWrite() meets the next error, and ends the connection for it.
            self.errno = self.errno or error.errno
        return 0

    def _keep(self: Any, data: bytes, sent: int) -> None:
        self.dataBuffer, self.offset = data, sent
        self._readLittle()
        self._cork = BYPASS
        self._maybePauseProducer()
        self.reactor.addWriter(self)

    def _sendCollected(self: Any) -> None:
        if not self.connected or self._aborting:
            return
        if self.dataBuffer:
            self.reactor.addWriter(self)
            return
        if self._tempDataLen:
            pieces = self._tempDataBuffer
            self._held = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            self._tempDataLen = 0
            self._sendHeld()
            if self.dataBuffer:
                return
        try:
            self._allSent()
        except BaseException:
            # As the reactor does when doWrite() fails; the read or accept in progress goes on.
            log.err()
            if self.connected:
                self.connectionLost(Failure())
        if self.connected:
            self._settle()

    def _allSent(self: Any) -> None:
        # As doWrite() does when nothing is left, in its order.
        producer = self.producer
        if producer is not None and (self.producerPaused or not self.streamingProducer):
            self.producerPaused = False
            producer.resumeProducing()
        elif self.disconnecting:
            self.connectionLost(DONE)
        elif self._writeDisconnecting and not self._writeDisconnected:
            self._writeDisconnected = True
            self._closeWriteConnection()

    def _settle(self: Any) -> None:
        busy = (
            self.dataBuffer
            or self._tempDataLen
            or self.TLS
            or self.disconnecting
            or self._writeDisconnecting
            or not (self.producer is None or self.streamingProducer)
        )
        self._cork = BYPASS if busy else CORKED

    def doWrite(self: Any) -> Any:
        """Send more, unless the read of the same event has sent all and ended the connection."""
        if self.disconnected:
            return None
        if self._writeDisconnected:
            return self.stopWriting()
        if self._fitsOneSend():
            why = self._sendPieces()
            if why or self.dataBuffer:
                return why
        why = super().doWrite()  # type: ignore[misc]
        self._settle()
        return why

    def _fitsOneSend(self: Any) -> bool:
        return bool(0 < len(self.dataBuffer) + self._tempDataLen <= self.SEND_LIMIT)

    def _sendPieces(self: Any) -> Any:
        # Twisted joins all chunks, and keeps the sent ones in memory until all have been sent.
        pieces = [memoryview(self.dataBuffer)[self.offset :], *self._tempDataBuffer[:MAX_CHUNKS]]
        sent = self._given(self.socket.sendmsg, pieces)
        if isinstance(sent, Exception):
            return sent
        self.offset += sent
        while self.offset >= len(self.dataBuffer) and self._tempDataBuffer:
            self.offset -= len(self.dataBuffer)
            self.dataBuffer = self._tempDataBuffer.pop(0)
            self._tempDataLen -= len(self.dataBuffer)
        if self.offset == len(self.dataBuffer):
            self.dataBuffer, self.offset = b"", 0
        return None

    def writeSomeData(self: Any, data: bytes) -> Any:
        """Send bytes; return the number that the kernel took, or why the connection is lost."""
        if not data:
            return 0  # all was sent since the reactor was asked
        return self._given(self.socket.send, memoryview(data)[: self.SEND_LIMIT])

    def _given(self: Any, send: Any, what: Any) -> Any:
        try:
            sent = send(what)
        except BlockingIOError:
            return 0
        except OSError as e:
            if e.errno == errno.ENOBUFS:
                return 0
            self.errno = self.errno or e.errno
            # The bytes that a peer sent before its reset are read first; the end comes after them.
            return 0 if e.errno in _GONE and self._isRead() else main.CONNECTION_LOST
        self.sent += sent
        return sent

    def _isRead(self: Any) -> bool:
        # By an epoll reactor, which reports the end whether or not there are bytes to read.
        return self.fileno() in getattr(self.reactor, "_reads", ())
