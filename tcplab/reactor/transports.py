"""The transports and connectors that the eager reactor makes, for TCP and Unix sockets."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet import base, main, tcp, unix
from twisted.python.failure import Failure

from tcplab.reactor.coalescing import CoalescingTransport
from tcplab.reactor.sendbuffer import BUSY, DRAWN


class CoalescingUnixTransport(CoalescingTransport):
    """`CoalescingTransport`, for a Unix socket."""

    def doRead(self: Any) -> Any:
        """Read once, descriptors too."""
        why = unix.Server.doRead(self)
        if why is main.CONNECTION_LOST and self.errno is None:
            self.errno = errno.ECONNRESET  # the only error of a connected Unix socket's read
        return why

    def _dataReceived(self: Any, data: bytes | None) -> Any:
        if not data:
            self.markEnded("peer")
            return main.CONNECTION_DONE
        self.received += len(data)
        self.cork()  # as in doRead, where it stands to spare most bytes a call
        try:
            self.protocol.dataReceived(data)
        except BaseException:
            self._corked = DRAWN
            raise
        self.uncork()
        return None

    def _sendCollected(self: Any) -> None:
        # Unless descriptors travel with it: doWrite() sees to those.
        if self._sendmsgQueue and self.connected:
            self._cork = BUSY
            self.reactor.addWriter(self)
        else:
            super()._sendCollected()

    def _fitsOneSend(self: Any) -> bool:
        return not self._sendmsgQueue and super()._fitsOneSend()

    def writeSomeData(self: Any, data: bytes) -> Any:
        """Send descriptors and bytes, as Twisted's Unix transports do."""
        if not self._sendmsgQueue:
            return super().writeSomeData(data)
        sent = unix.Server.writeSomeData(self, data)
        if isinstance(sent, int):
            self.sent += sent
        return sent


class TCPServer(CoalescingTransport, tcp.Server):
    """A TCP connection that was accepted."""


class UnixServer(CoalescingUnixTransport, unix.Server):
    """A Unix connection that was accepted."""


class TCPClient(CoalescingTransport, tcp.Client):
    """A TCP connection that we made."""


class UnixClient(CoalescingUnixTransport, unix.Client):
    """A Unix connection that we made."""


class _ReleasingConnector(base.BaseConnector):
    """
    A connector that lets go, once it is over, of what would keep it alive.

    The garbage collector need not look for the two ends of a connection then.
    """

    def connectionLost(self, reason: Failure) -> None:
        """Tell the factory, which may connect again."""
        super().connectionLost(reason)
        self._part()

    def connectionFailed(self, reason: Failure) -> None:
        """Tell the factory, which may try again."""
        super().connectionFailed(reason)
        self._part()

    def _part(self) -> None:
        if self.state == "disconnected":
            self.transport = None
            if hasattr(self.factory, "_onConnection"):  # an endpoint's: it connects only once
                del self.factory


class TCPConnector(_ReleasingConnector, tcp.Connector):
    """Makes TCP connections."""

    def _makeTransport(self) -> TCPClient:
        return TCPClient(self.host, self.port, self.bindAddress, self, self.reactor)


class UnixConnector(_ReleasingConnector, unix.Connector):
    """Makes Unix connections."""

    def _makeTransport(self) -> Any:
        return UnixClient(self.address, self, self.reactor, self.checkPID)
