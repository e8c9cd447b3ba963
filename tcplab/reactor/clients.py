"""
The sockets of clients, and two answers of connect(2) that Twisted takes for a connection.

TCP may connect a socket to itself (RFC 9293, 3.5), if its port is one that the system chooses for
clients and no server listens there. It is a refused connection here. A Unix socket whose listen
queue is full answers EAGAIN. Here the client tries again, until its timeout.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from contextlib import suppress
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.error import getConnectError
from twisted.internet.interfaces import IReactorTime

#: With this SO_LINGER close() resets a connection: the port is free for a server at once.
_RESET = struct.pack("ii", 1, 0)

#: Seconds until a connect to a Unix socket is tried again: a server accepts in less.
_RETRY = 0.05


class TCPClient(tcp.Client):
    """A TCP connection to a server, which is not itself."""

    def _connectDone(self) -> None:
        if self._isItself():
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._shouldShutdown = False  # that would leave the port in TIME_WAIT
            number = errno.ECONNREFUSED
            self.failIfNotConnected(getConnectError((number, os.strerror(number))))
        else:
            super()._connectDone()

    def _isItself(self) -> bool:
        with suppress(OSError):  # the peer has reset it by now
            return bool(self.socket.getsockname() == self.socket.getpeername())
        return False


class UnixClient(unix.Client):
    """A connection to a Unix socket, which waits for room in the listen queue."""

    def doConnect(self) -> None:
        """Connect, or try again while the queue is full."""
        if "connector" not in vars(self):
            return  # its timeout has passed
        number = self.socket.connect_ex(self.realAddress)  # never in progress, unlike TCP's
        if number == errno.EAGAIN:
            IReactorTime(self.reactor).callLater(_RETRY, self.doConnect)
        elif number:
            self.failIfNotConnected(getConnectError((number, os.strerror(number))))
        else:
            self._connectDone()


class TCPConnector(tcp.Connector):
    """A connector of TCP connections."""

    def _makeTransport(self) -> TCPClient:
        return TCPClient(self.host, self.port, self.bindAddress, self, self.reactor)


class UnixConnector(unix.Connector):
    """A connector of connections to Unix sockets."""

    def _makeTransport(self) -> Any:
        return UnixClient(self.address, self, self.reactor, self.checkPID)
