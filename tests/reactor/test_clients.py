"""Tests for `tcplab.reactor.clients`."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import ConnectionRefusedError, TimeoutError
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tcplab.reactor.clientendpoint import clientFromText
from tcplab.reactor.eager import EagerReactor

reactor: Any = installed


class Receiver(Protocol):
    def connectionMade(self) -> None:
        self.received: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received.callback(data)


class ClientTests(TestCase):
    """On the reactor of the tests; `EagerReactor` has the same classes, see `test_eager`."""

    def connect(self, where: str) -> Deferred[Any]:
        return connectProtocol(clientFromText(reactor, where), Receiver())

    async def test_itself(self) -> None:
        """A socket that is bound to the port that it connects to: nothing listens there."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        where = f"tcp:127.0.0.1:{port}"
        connector = clientFromText(reactor, where)
        connector._bindAddress = ("127.0.0.1", port)  # type: ignore[attr-defined]
        with self.assertRaises(ConnectionRefusedError):
            await connectProtocol(connector, Receiver())
        socket.create_server(("127.0.0.1", port)).close()  # it is free at once

    async def test_fullQueue(self) -> None:
        """A client waits until its timeout for room in the queue of a Unix socket."""
        folder = tempfile.mkdtemp(prefix="tcplab")
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, "s")
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as first:
            server.bind(path)
            server.listen(0)
            first.connect(path)
            with self.assertRaises(TimeoutError):
                await self.connect(f"unix:{path}:timeout=1")
            waiting = self.connect(f"unix:{path}:timeout=9")
            await deferLater(reactor, 0.1, server.accept)
            receiver = await waiting
            accepted, _ = server.accept()
            with accepted:
                accepted.sendall(b"served")
                self.assertEqual(await receiver.received, b"served")
            receiver.transport.loseConnection()

    def test_eager(self) -> None:
        eager = EagerReactor()
        self.addCleanup(eager.removeAll)
        self.assertIs(clientFromText(eager, "tcp:127.0.0.1:7")._reactor, eager)  # type: ignore[attr-defined]
