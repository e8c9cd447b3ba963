"""A server on real sockets for a test, with all that was told of its connections."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tcplab.listener.events import Connection, Ending
from tcplab.listener.listener import Listener
from tcplab.observers import Observers


class Told:
    """An observer that keeps everything, and can be waited for."""

    def __init__(self) -> None:
        self.opened: list[Connection] = []
        self.messages: list[bytes] = []
        self.endings: list[Ending] = []
        self._waiting: list[tuple[int, Deferred[None]]] = []

    def connectionOpened(self, connection: Connection) -> None:
        self.opened.append(connection)

    def messageReported(self, connection: Connection, message: bytes) -> None:
        self.messages.append(message)

    def connectionClosed(self, connection: Connection, ending: Ending) -> None:
        self.endings.append(ending)
        for entry in list(self._waiting):
            if len(self.endings) >= entry[0]:
                self._waiting.remove(entry)
                entry[1].callback(None)

    async def ending(self, number: int = 1) -> Ending:
        """Wait for the end of so many connections, and return the last one's."""
        if len(self.endings) < number:
            deferred: Deferred[None] = Deferred()
            self._waiting.append((number, deferred))
            await deferred
        return self.endings[number - 1]


class Serving(TestCase):
    """Serve on real sockets; let blocking clients run in threads."""

    timeout = 30

    async def serve(self, factory: Any, endpoint: str = "tcp:0:interface=127.0.0.1") -> Told:
        """Serve on an endpoint; its port, listener and host are kept on the test."""
        told = Told()
        self.listener = Listener("test", Observers(told))
        self.port = await serverFromString(reactor, endpoint).listen(factory)
        self.assertTrue(self.listener.addPort(self.port))
        self.addCleanup(self._stop, self.listener, self.port)
        self.host = self.port.getHost()
        return told

    async def _stop(self, listener: Listener, port: Any) -> None:
        await maybeDeferred(port.stopListening)
        listener.abort()
        await listener.whenEmpty()

    def connect(self) -> socket.socket:
        """Connect a plain blocking socket to it."""
        return socket.create_connection(("127.0.0.1", self.host.port), timeout=10)

    def talk(self, client: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Run a blocking client in a thread."""
        return deferToThread(client, *args)

    def folder(self) -> str:
        """Make a folder with a short path: a Unix socket's is limited to 107 bytes."""
        path = tempfile.mkdtemp(prefix="tcplab")
        self.addCleanup(shutil.rmtree, path, True)
        return path

    def unixPath(self) -> str:
        """Name a Unix socket."""
        return os.path.join(self.folder(), "socket")


def readAll(sock: Any) -> bytes:
    """Read to the end."""
    pieces = []
    while piece := sock.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)
