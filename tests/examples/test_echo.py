"""Tests for ``examples/echo.py``."""

from __future__ import annotations

import socket

from tests.support.socket_server import readAll
from tests.support.terminal_input import Typed


class EchoTests(Typed):
    def test_asItsDocstringSays(self) -> None:
        self.assertEqual(self.typed("echo", b"one\ntwo"), ["one\ntwo"])
        self.log()

    def test_manyClientsAtOnceAndNoneWaits(self) -> None:
        port = self.start("python echo.py").port
        clients = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(20)]
        for number, client in reversed(list(enumerate(clients))):
            with client:
                client.sendall(b"%d" % number)
                client.shutdown(socket.SHUT_WR)
                self.assertEqual(readAll(client), b"%d" % number)
