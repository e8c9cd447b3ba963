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

# The states of a cork.
_DRAWN = 0  # nothing is being read: writes are the reactor's
_EMPTY = 1  # nothing was written yet, and nothing waits
_HOLDS = 2  # one piece was written: the case of nearly all
_BUSY = 3  # something is unusual: TLS, an end, a pull producer, something that waits
_FULL = 4  # it was written so, or there is else something to do when the cork is drawn


class Corked:
    """
    A stream transport that collects what is written while it reads, and then sends it.

    To be mixed in before ``twisted.internet.tcp.Server`` or ``Client``. What an exception or an
    abort interrupts is dropped, as it is by Twisted's own: nothing is sent before the protocol
    returns.

    :cvar kinds: all such classes: their instances can stand for themselves in the log's context.
    :ivar received: bytes taken from the kernel so far.
    :ivar sent: bytes the kernel took so far.
    :ivar readLimit: bytes that are read at once, at most.
    :ivar errno: the error that ended the connection, if one did.
    """

    kinds: set[type] = set()

    errno: int | None = None
    # More than 128 KiB a read wins nothing, and all of it may have to be held for a deaf peer.
    readLimit = 131072

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Corked.kinds.add(cls)

    def __init__(self, *args: Any) -> None:
        # On the instance, where the interpreter finds them three times as fast as on the class.
        self.received = self.sent = 0
        # What one recv() may take: a buffer costs the most when it is large and stays empty.
        self._readSize = _LEAST
        self._cork = _EMPTY  # the state in which a read begins
        self._corked = _DRAWN
        self._held = b""
        super().__init__(*args)

    def __getitem__(self, key: object) -> dict[str, Any]:
        """Return the log's context of what happens here, made only if something is logged."""
        if key is log.ILogContext:
            return {"isError": 0, "system": _prefixOf(self)}
        raise KeyError(key)

    # Reading

    def doRead(self: Any) -> Any:
        """Read once from the socket and hand it to the protocol; then send what that wrote."""
        size = self._readSize
        if self._cork == _BUSY and size > _SMALL and self.dataBuffer:
            size = _SMALL
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
        if self._corked:
            self._spill()  # a protocol that turns the reactor itself is read while it is read
        else:
            self._corked = self._cork
        try:
            self.protocol.dataReceived(data)
        finally:
            corked, self._corked = self._corked, _DRAWN
        if corked == _HOLDS:
            self._sendHeld()
        elif corked == _FULL:
            self._sendCollected()
        return None

    def readConnectionLost(self: Any, reason: Failure) -> None:
        """Tell the protocol that the peer has finished; then send what that wrote."""
        self._corked = _BUSY
        try:
            super().readConnectionLost(reason)  # type: ignore[misc]
        except BaseException:
            self._corked = _DRAWN
            raise
        self.uncork()

    # Writing

    def write(self: Any, data: bytes) -> None:
        """Send these bytes: when the protocol returns, or when the reactor may."""
        if self._corked == _EMPTY and type(data) is bytes and data:
            self._corked = _HOLDS
            self._held = data
        else:
            self._spill()
            self._collect(data)

    def _collect(self: Any, data: bytes) -> None:
        if self._corked and type(data) is bytes and not self.TLS:
            if data and self.connected and not self._writeDisconnected:
                self._tempDataBuffer.append(data)
                self._tempDataLen += len(data)
                if self._tempDataLen > self.bufferSize:
                    self._maybePauseProducer()
        else:
            super().write(data)  # type: ignore[misc]
        if len(self._tempDataBuffer) > _PIECES:
            self._tempDataBuffer = [b"".join(self._tempDataBuffer)]

    def _spill(self: Any) -> None:
        # Something unusual is about to happen: from here on all is as Twisted has it.
        if self._corked:
            self._corked = _FULL
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
            self._cork = _BUSY
            self.reactor.addWriter(self)

    def startTLS(self: Any, *args: Any, **kwargs: Any) -> None:
        """Speak TLS from here on, in Twisted's own way."""
        self._spill()
        self._cork = _BUSY
        super().startTLS(*args, **kwargs)  # type: ignore[misc]

    def registerProducer(self: Any, producer: Any, streaming: bool) -> None:
        """Let a producer know when there is room."""
        if not streaming:
            self._spill()
            self._cork = _BUSY
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
        self._corked = self._cork

    def uncork(self: Any) -> None:
        """Send what was collected; leave to the reactor what the kernel does not take."""
        corked, self._corked = self._corked, _DRAWN
        if corked == _HOLDS:
            self._sendHeld()
        elif corked == _FULL:
            self._sendCollected()

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
        if not isinstance(error, BlockingIOError):
            self.errno = error.errno  # doWrite() will meet another, and end the connection for it
        return 0

    def _keep(self: Any, data: bytes, sent: int) -> None:
        self.dataBuffer, self.offset = data, sent
        self._cork = _BUSY
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
            # As the reactor does when doWrite() fails; whoever reads now, or accepts, goes on.
            log.err()
            if self.connected:
                self.connectionLost(Failure())
        self._settle()

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

    def _settle(self: Any) -> None:
        busy = (
            self.dataBuffer
            or self._tempDataLen
            or self.TLS
            or self.disconnecting
            or self._writeDisconnecting
            or not (self.producer is None or self.streamingProducer)
        )
        self._cork = _BUSY if busy else _EMPTY

    def doWrite(self: Any) -> Any:
        """Send more, unless the read of the same event has sent all and ended it."""
        if self.disconnected:
            return None
        if self._writeDisconnected:
            return self.stopWriting()
        why = super().doWrite()  # type: ignore[misc]
        self._settle()
        return why

    def writeSomeData(self: Any, data: bytes) -> Any:
        """Send what the kernel takes; return how much, or why the connection is lost."""
        if not data:
            return 0  # it was sent since the reactor was asked
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


class CorkedUnix(Corked):
    """The same for Unix sockets, over which descriptors may be passed."""

    doRead = unix.Server.doRead  # takes descriptors from the socket as well

    def _dataReceived(self: Any, data: bytes | None) -> Any:
        if not data:
            self.endedBy("peer")
            return main.CONNECTION_DONE
        self.received += len(data)
        self.cork()  # as in doRead, where it stands to spare most bytes a call
        try:
            self.protocol.dataReceived(data)
        except BaseException:
            self._corked = _DRAWN
            raise
        self.uncork()
        return None

    def _sendCollected(self: Any) -> None:
        # Unless descriptors travel with it: doWrite() sees to those.
        if self._sendmsgQueue and self.connected:
            self._cork = _BUSY
            self.reactor.addWriter(self)
        else:
            super()._sendCollected()

    def writeSomeData(self: Any, data: bytes) -> Any:
        """Send descriptors and bytes, as Twisted's Unix transports do."""
        if not self._sendmsgQueue:
            return super().writeSomeData(data)
        sent = unix.Server.writeSomeData(self, data)
        if isinstance(sent, int):
            self.sent += sent
        return sent


def _prefixOf(transport: Any) -> str:
    try:
        return transport.logPrefix()  # type: ignore[no-any-return]
    except Exception:
        log.err(system="(buggy logPrefix method)")
        return "(buggy logPrefix method)"
