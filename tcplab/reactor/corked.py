"""
Write at once: what is said while bytes are read leaves in one send when they have been read.

Twisted's own transports hand every write to the reactor, which asks the kernel to be told that it
may write, is told so, writes, and asks to be told no more: three system calls and a turn of the
loop around each send, and a FIN that is read meanwhile overtakes the answer.
"""

from __future__ import annotations

import errno
from typing import Any, Literal

from twisted.internet import main, unix
from twisted.python import log
from twisted.python.failure import Failure

_LEAST = 4096
_SMALL = 16384  # what is read while something waits to be sent: it will have to wait too
_PIECES = 500  # that wait: an object for each small answer weighs far more than the answer
_DONE = Failure(main.CONNECTION_DONE)


class Corked:
    """
    A stream transport that collects what is written while it reads, and then sends it.

    To be mixed in before ``twisted.internet.tcp.Server`` or ``Client``. What an exception or an
    abort interrupts is dropped, as it is by Twisted's own: nothing is sent before the protocol
    returns.

    :ivar received: bytes taken from the kernel so far.
    :ivar sent: bytes the kernel took so far.
    :ivar readLimit: bytes that are read at once, at most.
    :ivar errno: the error that ended the connection, if one did.
    """

    received = 0
    sent = 0
    errno: int | None = None
    # More than 128 KiB a read wins nothing, and all of it may have to be held for a deaf peer.
    readLimit = 131072
    # What one recv() may take: a buffer costs the most when it is large and stays empty.
    _readSize = _LEAST
    # 0: not corked; 1: corked; 2: corked, and there is something to do when the cork is drawn.
    _corked = 0

    def doRead(self: Any) -> Any:
        """Read once from the socket and hand it to the protocol; then send what that wrote."""
        size = _SMALL if self.dataBuffer and self._readSize > _SMALL else self._readSize
        try:
            data = self.socket.recv(size)
        except BlockingIOError:
            return None
        except OSError as e:
            self.errno = e.errno
            return main.CONNECTION_LOST
        length = len(data)
        if not length:
            self.endedBy("peer")
            return main.CONNECTION_DONE
        self.received += length
        if length == self._readSize:
            self._readSize = min(size * 4, self.readLimit)
        elif size > _LEAST and length < size // 8:
            self._readSize = size // 4
        self._corked = 1
        try:
            self.protocol.dataReceived(data)
        finally:
            corked, self._corked = self._corked, 0
        if corked == 2:
            self.uncork()
        return None

    def write(self: Any, data: bytes) -> None:
        """Send these bytes: when the protocol returns, or when the reactor may."""
        if self._corked and type(data) is bytes and not self.TLS:
            if data and self.connected and not self._writeDisconnected:
                self._corked = 2
                self._tempDataBuffer.append(data)
                self._tempDataLen += len(data)
                if self._tempDataLen > self.bufferSize:
                    self._maybePauseProducer()
        else:
            super().write(data)  # type: ignore[misc]
        if len(self._tempDataBuffer) > _PIECES:
            self._tempDataBuffer = [b"".join(self._tempDataBuffer)]

    def startWriting(self: Any) -> None:
        """Ask to be told when there is room, unless we are about to see for ourselves."""
        if self._corked:
            self._corked = 2
        else:
            self.reactor.addWriter(self)

    def uncork(self: Any) -> None:
        """Send what was collected; leave to the reactor what the kernel does not take."""
        if not self.connected or self._aborting:
            return
        if self.dataBuffer or (self._tempDataLen and not self._sendAll()):
            self.reactor.addWriter(self)
            return
        try:
            self._allSent()
        except BaseException:
            # As the reactor does when doWrite() fails; whoever reads now, or accepts, goes on.
            log.err()
            if self.connected:
                self.connectionLost(Failure())

    def readConnectionLost(self: Any, reason: Failure) -> None:
        """Tell the protocol that the peer has finished; then send what that wrote."""
        self._corked = 1
        try:
            super().readConnectionLost(reason)  # type: ignore[misc]
        finally:
            corked, self._corked = self._corked, 0
        if corked == 2:
            self.uncork()

    def _sendAll(self: Any) -> bool:
        pieces = self._tempDataBuffer
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as e:
            self.errno = e.errno  # doWrite() will meet another, and end the connection for it
            sent = 0
        pieces.clear()
        self._tempDataLen = 0
        self.sent += sent
        if sent != len(data):
            self.dataBuffer, self.offset = data, sent
            return False
        return True

    def _allSent(self: Any) -> None:
        # What doWrite() does when nothing is left, in its order.
        producer = self.producer
        if producer is not None and (self.producerPaused or not self.streamingProducer):
            self.producerPaused = False
            producer.resumeProducing()
        elif self.disconnecting:
            self.connectionLost(_DONE)
        elif self._writeDisconnecting and not self._writeDisconnected:
            self._writeDisconnected = True
            self._closeWriteConnection()

    def doWrite(self: Any) -> Any:
        """Send more, unless the read of the same event has sent all and ended it."""
        if self.disconnected:
            return None
        if self._writeDisconnected:
            return self.stopWriting()
        return super().doWrite()  # type: ignore[misc]

    def writeSomeData(self: Any, data: bytes) -> Any:
        """Send what the kernel takes; return how much, or why the connection is lost."""
        try:
            sent = self.socket.send(memoryview(data)[: self.SEND_LIMIT])
        except BlockingIOError:
            return 0
        except OSError as e:
            if e.errno == errno.ENOBUFS:
                return 0
            self.errno = self.errno or e.errno
            return main.CONNECTION_LOST
        self.sent += sent
        return sent

    def endedBy(self, who: Literal["peer", "server"]) -> None:
        """Note who finished first; here nobody asks."""


class Accepted:
    """A transport that its port corks until it has accepted all who waited."""

    def __init__(self: Any, *args: Any) -> None:
        super().__init__(*args)
        fresh = getattr(self.server, "fresh", None)
        if fresh is not None:
            fresh.append(self)
            self._corked = 1


class CorkedUnix(Corked):
    """The same for Unix sockets, over which descriptors may be passed."""

    doRead = unix.Server.doRead  # takes descriptors from the socket as well

    def _dataReceived(self: Any, data: bytes | None) -> Any:
        if not data:
            self.endedBy("peer")
            return main.CONNECTION_DONE
        self.received += len(data)
        self._corked = 1  # as in doRead, where it stands to spare most bytes a call
        try:
            self.protocol.dataReceived(data)
        finally:
            corked, self._corked = self._corked, 0
        if corked == 2:
            self.uncork()
        return None

    def uncork(self: Any) -> None:
        """Send what was collected, unless descriptors travel with it: doWrite() sees to those."""
        if self._sendmsgQueue and self.connected:
            self.reactor.addWriter(self)
        else:
            super().uncork()

    def writeSomeData(self: Any, data: bytes) -> Any:
        """Send descriptors and bytes, as Twisted's Unix transports do."""
        if not self._sendmsgQueue:
            return super().writeSomeData(data)
        sent = unix.Server.writeSomeData(self, data)
        if isinstance(sent, int):
            self.sent += sent
        return sent
