"""The transports that the eager reactor makes for connections which nobody watches."""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp, unix

from tcplab.reactor.corked import Corked
from tcplab.reactor.corkedunix import CorkedUnix
from tcplab.reactor.mannered import Mannered


class TCPServer(Mannered, Corked, tcp.Server):
    """A TCP connection that was accepted."""


class UnixServer(Mannered, CorkedUnix, unix.Server):
    """A Unix connection that was accepted."""


class TCPClient(Mannered, Corked, tcp.Client):
    """A TCP connection that we made."""


class UnixClient(Mannered, CorkedUnix, unix.Client):
    """A Unix connection that we made."""


class TCPConnector(tcp.Connector):
    """Makes TCP connections."""

    def _makeTransport(self) -> TCPClient:
        return TCPClient(self.host, self.port, self.bindAddress, self, self.reactor)


class UnixConnector(unix.Connector):
    """Makes Unix connections."""

    def _makeTransport(self) -> Any:
        return UnixClient(self.address, self, self.reactor, self.checkPID)
