"""The transports and connectors of the eager reactor, for TCP and Unix sockets."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet import base, main, tcp, unix
from twisted.internet.endpoints import _WrappingFactory
from twisted.python.failure import Failure

from tcplab.reactor.clients import TCPClient, UnixClient
from tcplab.reactor.coalescing import CoalescingTransport
from tcplab.reactor.sendbuffer import BYPASS, UNCORKED


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
