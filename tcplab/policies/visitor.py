"""One who has connected, and whom a proxy has not announced yet."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure

from tcplab.wire.proxyheader import LONGEST
from tcplab.wire.proxyprotocol import HeaderReader, ProxyError

if TYPE_CHECKING:
    from tcplab.policies.anteroom import Anteroom

#: Has close() reset a connection.
_RESET = struct.pack("ii", 1, 0)


class Visitor(FileDescriptor):
    """
    Read the header of one connection, and nothing else.

    :ivar socket: the connection.
    :ivar address: where it comes from, as accept() gave it.
    :ivar welcome: makes of the socket what it would have been without an anteroom.
    """

    def __init__(
        self,
        room: Anteroom,
        client: socket.socket,
        address: Any,
        welcome: Callable[..., Any],
        reactor: Any,
    ) -> None:
        super().__init__(reactor)
        self.socket = client
        self.address = address
        self.welcome = welcome
        self.fileno = client.fileno  # type: ignore[method-assign]
        self._clock = reactor
        self._room = room
        self._reader = HeaderReader(room.keeper.versions)
        self._deadline: Any = None

    def come(self) -> None:
        """Read what has come with them; if that was not all, wait for the rest."""
        self.socket.setblocking(False)
        self.connected = 1
        self.doRead()
        if self.connected:
            if self._room.keeper.deadline is not None:
                self._wait(self._room.keeper.deadline)
            self.startReading()
            self._room.enter(self)

    def _wait(self, seconds: float) -> None:
        self._deadline = self._clock.callLater(seconds, self._late, seconds)

    def _late(self, seconds: float) -> None:
        self.refuse("handshake-timeout", f"no whole PROXY header came in {seconds:g} s")

    def hurry(self, seconds: float) -> None:
        """Leave no more time than that."""
        if self._deadline is None:
            self._wait(seconds)
        elif self._deadline.getTime() - self._clock.seconds() > seconds:
            self._deadline.reset(seconds)

    def doRead(self) -> None:
        """Read of the header what there is, and not a byte behind it."""
        try:
            # To look first, and take then: what is left unread would wake us again and again.
            data = self.socket.recv(LONGEST, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        try:
            if data:
                self._take(self._reader.feed(data))
            else:
                self._ended()
        except ProxyError as problem:
            self.refuse("header", str(problem))
            return
        header = self._reader.header
        if header is not None:
            self._leave()
            self._room.announced(self, header)

    def _take(self, size: int) -> None:
        with suppress(OSError):  # whoever reads next finds it again
            while size and (taken := self.socket.recv(size)):
                size -= len(taken)

    def _ended(self) -> None:
        # To connect and leave is how balancers look whether somebody is there.
        self._reader.finish()
        self._leave()
        self.socket.close()
        self._room.gone()

    def refuse(self, why: str, problem: str) -> None:
        """Send them away, and say why."""
        self._room.refuse(self, why, problem)

    def reset(self) -> None:
        """Reset the connection."""
        self._leave()
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.socket.close()

    def _leave(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        if self.connected:
            super().connectionLost(Failure(CONNECTION_DONE))
        self._room.leave(self)

    def connectionLost(self, reason: Failure) -> None:
        """Leave: the connection is over, or the reactor itself."""
        if self.connected:
            self.reset()
            self._room.gone()
