"""The kernel's part of a connection, in memory: a socket, a reactor, and a transport on them."""

from __future__ import annotations

import errno
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
    """A socket's two buffers, and what the peer has done to it."""

    def __init__(self) -> None:
        self.coming = bytearray()
        self.going = bytearray()
        self.window = 64 * 1024  # what the kernel would hold for a peer that does not read
        self.peerFinished = self.finished = False
        self.closed: str | None = None
        self.error = 0

    def arrive(self, data: bytes) -> None:
        """Take what the peer sends; bytes for a socket that is closed are answered by a reset."""
        if self.closed is None:
            self.coming += data
        elif data:
            self.closed = "reset"

    def recv(self, size: int) -> bytes:
        if self.error:
            raise OSError(self.error, "reset by the test's peer")
        if not self.coming and not self.peerFinished:
            raise BlockingIOError
        data = bytes(self.coming[:size])
        del self.coming[:size]
        return data

    def send(self, data: bytes) -> int:
        if self.error:
            raise OSError(errno.EPIPE, "reset by the test's peer")
        taken = data[: max(0, self.window - len(self.going))]
        if data and not taken:
            raise BlockingIOError
        self.going += taken
        return len(taken)

    def sendmsg(self, pieces: list[bytes]) -> int:
        return self.send(b"".join(pieces))

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
        return bool(self.coming or self.peerFinished or self.error)

    @property
    def writable(self) -> bool:
        return bool(self.error) or len(self.going) < self.window


class MemoryTransport(Server):
    """The server's own transport; only what it asks the kernel is answered from memory."""

    socket: Any

    def _peerHasEnded(self) -> bool:
        return bool(self.socket.peerFinished or self.socket.error)

    def _unreadBytes(self) -> int:
        return len(self.socket.coming)

    def _closeSocket(self, orderly: bool) -> None:
        self.socket.closed = "fin" if orderly and not self.socket.coming else "reset"
        self.socket.close()

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 50544)


class MemoryReactor(Clock):
    """Reads, writes and time for one connection; it runs until nothing more can be done."""

    def __init__(self, settle: Callable[[], None]) -> None:
        super().__init__()
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()
        self._settle = settle

    def advance(self, amount: float) -> None:
        """Let time pass, and whatever is due happen."""
        super().advance(amount)
        self._settle()

    def addReader(self, reader: object) -> None:
        self.readers.add(reader)

    def addWriter(self, writer: object) -> None:
        self.writers.add(writer)

    def removeReader(self, reader: object) -> None:
        self.readers.discard(reader)

    def removeWriter(self, writer: object) -> None:
        self.writers.discard(writer)

    def turn(self) -> bool:
        """Do all that is possible now; tell whether anything was."""
        super().advance(0)
        ready = [(each, True) for each in self.readers if each.socket.readable]
        ready += [(each, False) for each in self.writers if each.socket.writable]
        for selectable, isRead in ready:
            if selectable in (self.readers if isRead else self.writers):
                self._do(selectable, isRead)
        return bool(ready)

    def _do(self, selectable: Any, isRead: bool) -> None:
        try:
            why = selectable.doRead() if isRead else selectable.doWrite()
        except Exception as e:
            log.failure("the protocol failed")
            why = e
        if why is None:
            return
        self.removeReader(selectable)
        if isRead and isinstance(why, error.ConnectionDone):
            selectable.readConnectionLost(Failure(why))
        else:
            self.removeWriter(selectable)
            selectable.connectionLost(Failure(why))
