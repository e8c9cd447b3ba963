"""Tests for `tcplab.reactor.batchaccept`."""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet import tcp
from twisted.trial.unittest import SynchronousTestCase

from tcplab.reactor import batchaccept
from tcplab.reactor.eager import EagerReactor
from tests.support.meeting import Meeting


class UnwatchedTests(SynchronousTestCase):
    """A port of the eager reactor without a listener."""

    def setUp(self) -> None:
        self.reactor = EagerReactor()
        self.addCleanup(self.reactor.disconnectAll)
        self.hall = Meeting(greeting=b"hello")
        self.port: Any = self.reactor.listenTCP(0, self.hall, interface="127.0.0.1")

    def client(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port.getHost().port), 10)
        self.addCleanup(sock.close)
        return sock

    def test_numbers(self) -> None:
        """Connections are numbered from 0, as by Twisted."""
        self.client()
        self.client()
        self.port.doRead()
        sessions = [self.successResultOf(self.hall.queue.get()).transport for _ in range(2)]
        self.assertEqual([each.sessionno for each in sessions], [0, 1])

    def test_errors(self) -> None:
        """Twisted's own port handles an error of accept()."""
        failures = [OSError(errno.EMFILE, "too many")]

        def failing(port: Any) -> Any:
            if failures:
                raise failures.pop()
            return original(port)

        original = batchaccept._accept
        self.patch(batchaccept, "_accept", failing)
        sock = self.client()
        self.port.doRead()
        self.assertEqual(failures, [])
        protocol = self.successResultOf(self.hall.queue.get())
        protocol.transport.doWrite()
        self.assertEqual(sock.recv(100), b"hello")

    def test_anotherTransport(self) -> None:
        """``port.transport`` may be any class, also one without coalescing."""

        class Mine(tcp.Server):
            pass

        self.port.transport = Mine
        self.client()
        self.port.doRead()
        self.assertEqual(self.flushLoggedErrors(AttributeError), [])
        self.assertIsInstance(self.successResultOf(self.hall.queue.get()).transport, Mine)
