"""A connection without a kernel: a socket in memory, a reactor for it, and a transport on both."""

from __future__ import annotations

import errno
import typing
from collections.abc import Callable
from typing import Any

from twisted.internet import error
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.python.failure import Failure

from tcplab.listener.servertransport import Server

log = Logger("tcplab.testing.memory")


class MemorySocket:
    """
    A connected socket: two buffers, and what the peer has done.

    :ivar receiveBuffer: the bytes that the peer has sent, and that were not read yet.
    :ivar sendBuffer: the bytes that were sent, and that the peer has not read yet.
    :ivar window: how many bytes ``sendBuffer`` takes, as a kernel does for a peer that reads
        nothing.
    :ivar peerFinished: the peer has sent FIN.
    :ivar finished: this end has sent FIN.
    :ivar closed: how this end was closed, ``"fin"`` or ``"reset"``; ``None``: it is open.
    :ivar error: the error that the kernel reports; 0 for no error.
    """

    def __init__(self) -> None:
        self.receiveBuffer = bytearray()
        self.sendBuffer = bytearray()
        self.window = 64 * 1024  # the order of a kernel's send buffer
        self.peerFinished = self.finished = False
        self.closed: str | None = None
        self.error = 0

    def deliver(self, data: bytes) -> None:
        """Receive bytes from the peer; a closed socket answers them with a reset."""
        if self.closed is None:
            self.receiveBuffer += data
        elif data:
            self.closed = "reset"

    def recv(self, size: int) -> bytes:
        if self.error:
            raise OSError(self.error, "reset by the test's peer")
        if not self.receiveBuffer and not self.peerFinished:
            raise BlockingIOError
        data = bytes(self.receiveBuffer[:size])
        del self.receiveBuffer[:size]
        return data

    def send(self, data: bytes) -> int:
        if self.error:
            raise OSError(errno.EPIPE, "reset by the test's peer")
        taken = data[: max(0, self.window - len(self.sendBuffer))]
        if data and not taken:
            raise BlockingIOError
        self.sendBuffer += taken
        return len(taken)

    def sendmsg(self, chunks: list[bytes]) -> int:
        return self.send(b"".join(chunks))

    def shutdown(self, how: int) -> None:
        self.finished = True

    def close(self) -> None:
        self.finished = True

    def getsockopt(self, level: int, option: int, size: int = 0) -> int:
        return self.error

    def setsockopt(self, level: int, option: int, value: object) -> None: ...

    def setblocking(self, flag: bool) -> None: ...

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", 50544)

    def fileno(self) -> int:
        return -1

    @property
    def readable(self) -> bool:
        return bool(self.receiveBuffer or self.peerFinished or self.error)

    @property
    def writable(self) -> bool:
        return bool(self.error) or len(self.sendBuffer) < self.window


class MemoryTransport(Server):
    """The transport of accepted connections; only what it asks of the kernel is replaced."""

    socket: Any

    def _peerHasEnded(self) -> bool:
        return bool(self.socket.peerFinished or self.socket.error)

    def _unreadBytes(self) -> int:
        return len(self.socket.receiveBuffer)

    def _closeSocket(self, orderly: bool) -> None:
        self.socket.closed = "fin" if orderly and not self.socket.receiveBuffer else "reset"
        self.socket.close()

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 50544)


class Selectable(typing.Protocol):
    """What a `MemoryReactor` reads and writes: a transport on a `MemorySocket`."""

    socket: MemorySocket

    def doRead(self) -> Exception | None:
        """Read once; return the error that ended reading."""

    def doWrite(self) -> Exception | int | None:
        """Write once; return the error that ended writing."""

    def readConnectionLost(self, reason: Failure) -> None:
        """Handle the peer's FIN."""

    def connectionLost(self, reason: Failure) -> None:
        """Handle the end of the connection."""


class MemoryReactor(Clock):
    """
    The reads, writes and timers of one connection; the test moves the clock.

    :param settle: called when time has passed; calls `turn` until nothing more can be done.
    """

    def __init__(self, settle: Callable[[], None]) -> None:
        super().__init__()
        self.readers: set[Selectable] = set()
        self.writers: set[Selectable] = set()
        self._settle = settle

    def advance(self, amount: float) -> None:
        """Let this many seconds pass: run the timers that are due, and all that follows."""
        super().advance(amount)
        self._settle()

    def addReader(self, reader: Selectable) -> None:
        self.readers.add(reader)

    def addWriter(self, writer: Selectable) -> None:
        self.writers.add(writer)

    def removeReader(self, reader: Selectable) -> None:
        self.readers.discard(reader)

    def removeWriter(self, writer: Selectable) -> None:
        self.writers.discard(writer)

    def turn(self) -> bool:
        """Do each read and write that is possible now; tell whether there was any."""
        super().advance(0)
        ready = [(each, True) for each in self.readers if each.socket.readable]
        ready += [(each, False) for each in self.writers if each.socket.writable]
        for selectable, isRead in ready:
            if selectable in (self.readers if isRead else self.writers):
                self._do(selectable, isRead)
        return bool(ready)

    def _do(self, selectable: Selectable, isRead: bool) -> None:
        problem: Exception | int | None
        try:
            problem = selectable.doRead() if isRead else selectable.doWrite()
        except Exception as e:
            log.failure("the protocol failed")
            problem = e
        if not isinstance(problem, Exception):
            return
        self.removeReader(selectable)
        if isRead and isinstance(problem, error.ConnectionDone):
            selectable.readConnectionLost(Failure(problem))
        else:
            self.removeWriter(selectable)
            selectable.connectionLost(Failure(problem))
