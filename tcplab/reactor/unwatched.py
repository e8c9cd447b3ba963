"""The transports that the eager reactor makes for connections which nobody watches."""

from __future__ import annotations

from typing import Any

from twisted.internet import base, tcp, unix
from twisted.python.failure import Failure

from tcplab.reactor.corked import Corked
from tcplab.reactor.corkedunix import CorkedUnix


class TCPServer(Corked, tcp.Server):
    """A TCP connection that was accepted."""


class UnixServer(CorkedUnix, unix.Server):
    """A Unix connection that was accepted."""


class TCPClient(Corked, tcp.Client):
    """A TCP connection that we made."""


class UnixClient(CorkedUnix, unix.Client):
    """A Unix connection that we made."""


class _Parting(base.BaseConnector):
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


class TCPConnector(_Parting, tcp.Connector):
    """Makes TCP connections."""

    def _makeTransport(self) -> TCPClient:
        return TCPClient(self.host, self.port, self.bindAddress, self, self.reactor)


class UnixConnector(_Parting, unix.Connector):
    """Makes Unix connections."""

    def _makeTransport(self) -> Any:
        return UnixClient(self.address, self, self.reactor, self.checkPID)
