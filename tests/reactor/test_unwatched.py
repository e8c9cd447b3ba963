"""Tests for `tcplab.reactor.unwatched`."""

from __future__ import annotations

from twisted.internet import tcp, unix
from twisted.trial.unittest import SynchronousTestCase

from tcplab.reactor import unwatched
from tcplab.reactor.corked import Corked


class KindTests(SynchronousTestCase):
    """Each is Twisted's own transport, corked; what they do, Twisted's own suites test."""

    def test_kinds(self) -> None:
        """The cork comes before what it corks."""
        for kind, stock in (
            (unwatched.TCPServer, tcp.Server),
            (unwatched.TCPClient, tcp.Client),
            (unwatched.UnixServer, unix.Server),
            (unwatched.UnixClient, unix.Client),
        ):
            order = kind.__mro__
            self.assertLess(order.index(Corked), order.index(stock))
            self.assertIs(kind.write, Corked.write)
