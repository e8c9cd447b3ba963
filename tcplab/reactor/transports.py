"""The transports and connectors of the eager reactor, for TCP and Unix sockets."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any

from twisted.internet import base, main, tcp, unix
from twisted.internet.endpoints import _WrappingFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from tcplab.reactor.clients import TCPClient, UnixClient
from tcplab.reactor.coalescing import CoalescingTransport
from tcplab.reactor.sendbuffer import BYPASS, UNCORKED

_log = Logger("tcplab.reactor.transports")

#: Seconds from one line about unwanted descriptors to the next.
_INTERVAL = 60.0
#: Descriptors that wait to be closed; a connection that passes more is reset.
_MAX_WAITING = 256


class DescriptorCloser:
    """
    Close descriptors that clients have passed and no protocol wants, in a thread of its own.

    close() blocks, if a descriptor is the last one of a socket that lingers, or of a file on a slow
    file system. One line a minute has their number.
    """

    def __init__(self) -> None:
        self._waiting: SimpleQueue[int] = SimpleQueue()
        self._thread: Thread | None = None
        self._logged = -math.inf
        self._closed = 0

    def close(self, descriptors: Sequence[int], now: float) -> bool:
        """
        Close them soon.

        :return: whether the thread follows: few descriptors wait.
        """
        if self._thread is None:
            self._thread = Thread(target=self._run, name="closes descriptors", daemon=True)
            self._thread.start()
        for each in descriptors:
            self._waiting.put(each)
        self._closed += len(descriptors)
        if now - self._logged >= _INTERVAL:
            self._logged = now
            _log.warn(
                "closed={closed} descriptors from clients: no protocol takes them",
                closed=self._closed,
            )
            self._closed = 0
        return self._waiting.qsize() <= _MAX_WAITING

    def _run(self) -> None:
        while True:
            with suppress(OSError):
                os.close(self._waiting.get())


#: That of the process.
CLOSER = DescriptorCloser()


class CoalescingUnixTransport(CoalescingTransport):
    """`CoalescingTransport`, for a Unix socket."""

    def doRead(self: Any) -> Any:
        """Read once, file descriptors too."""
        why = unix.Server.doRead(self)
        if why is main.CONNECTION_LOST and self.errno is None:
            self.errno = errno.ECONNRESET  # the only error of a connected Unix socket's read
        return why

    def _dataReceived(self: Any, data: bytes | None) -> Any:
        if not data:
            self.markEnded("peer")
            return main.CONNECTION_DONE
        self.received += len(data)
        self.cork()  # as in doRead, which has it inline to save a call for most bytes
        try:
            self.protocol.dataReceived(data)
        except BaseException:
            self._corked = UNCORKED
            raise
        self.uncork()
        return None

    def _sendCollected(self: Any) -> None:
        # Not with file descriptors in the queue: doWrite() sends those.
        if self._sendmsgQueue and self.connected:
            self._cork = BYPASS
            self.reactor.addWriter(self)
        else:
            super()._sendCollected()

    def _fitsOneSend(self: Any) -> bool:
        return not self._sendmsgQueue and super()._fitsOneSend()

    def writeSomeData(self: Any, data: bytes) -> Any:
        """Send file descriptors and bytes, as Twisted's Unix transports do."""
        if not self._sendmsgQueue:
            return super().writeSomeData(data)
        sent = unix.Server.writeSomeData(self, data)
        if isinstance(sent, int):
            self.sent += sent
        return sent


class EagerTCPServer(CoalescingTransport, tcp.Server):
    """A TCP connection that was accepted."""


class EagerUnixServer(CoalescingUnixTransport, unix.Server):
    """A Unix connection that was accepted."""


class EagerTCPClient(CoalescingTransport, TCPClient):
    """A TCP connection to a server."""


class EagerUnixClient(CoalescingUnixTransport, UnixClient):
    """A Unix connection to a server."""


class _ReleasingConnector(base.BaseConnector):
    """
    A connector that drops its references to the transport and the factory at the end.

    Both are then freed at once, without the garbage collector.
    """

    def connectionLost(self, reason: Failure) -> None:
        """Report the end to the factory, which may connect again."""
        super().connectionLost(reason)
        self._release()

    def connectionFailed(self, reason: Failure) -> None:
        """Report the failure to the factory, which may try again."""
        super().connectionFailed(reason)
        self._release()

    def _release(self) -> None:
        if self.state == "disconnected":
            self.transport = None
            if isinstance(self.factory, _WrappingFactory):  # of an endpoint: it connects only once
                del self.factory


class EagerTCPConnector(_ReleasingConnector, tcp.Connector):
    """A connector of TCP connections."""

    def _makeTransport(self) -> EagerTCPClient:
        return EagerTCPClient(self.host, self.port, self.bindAddress, self, self.reactor)


class EagerUnixConnector(_ReleasingConnector, unix.Connector):
    """A connector of Unix connections."""

    def _makeTransport(self) -> Any:
        return EagerUnixClient(self.address, self, self.reactor, self.checkPID)
