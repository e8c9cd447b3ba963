"""A server on real sockets for a test, with all that was told of its connections."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, DeferredQueue, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tcplab.listener.events import Connection, Ending
from tcplab.listener.listener import Listener
from tcplab.observers import Observers
from tests.support.certificates import localhostFile


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


class Met(Protocol):
    """Send what the factory says, and go to the test."""

    def connectionMade(self) -> None:
        self.transport.write(self.factory.greeting)  # type: ignore[union-attr]
        self.factory.queue.put(self)  # type: ignore[union-attr]


class Meeting(Factory):
    """
    Build plain protocols, and hand each to the test when it is connected.

    :param greeting: what each sends at first.
    :ivar queue: those that are connected.
    :ivar addresses: the peers that they were built for.
    """

    noisy = False

    def __init__(self, greeting: bytes = b"", kind: type[Protocol] = Met) -> None:
        self.greeting = greeting
        self.protocol = kind
        self.queue: DeferredQueue[Any] = DeferredQueue()
        self.addresses: list[Any] = []

    def buildProtocol(self, addr: Any) -> Protocol | None:
        self.addresses.append(addr)
        return super().buildProtocol(addr)


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
        if isinstance(self.host, UNIXAddress):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(10)
            sock.connect(self.host.name)
            return sock
        return socket.create_connection(("127.0.0.1", self.host.port), timeout=10)

    def talk(self, client: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Run a blocking client in a thread."""
        return deferToThread(client, *args)

    def client(self) -> socket.socket:
        """Connect a plain blocking socket, and close it after the test."""
        sock = self.connect()
        self.addCleanup(sock.close)
        return sock

    def heard(self, sock: socket.socket) -> Deferred[bytes]:
        """Read once, in a thread."""
        return self.talk(sock.recv, 100)

    def ended(self, sock: socket.socket) -> Deferred[bytes]:
        """Read to an end of any kind, in a thread; a reset is the word."""

        def read() -> bytes:
            try:
                return readAll(sock)
            except ConnectionResetError:
                return b"reset"

        return self.talk(read)

    async def until(self, condition: Callable[[], object]) -> None:
        """Turn the reactor until a condition is true."""
        while not condition():
            await self.turns(1)

    def turns(self, number: int = 5) -> Deferred[None]:
        """Turn the reactor a number of times."""
        done: Deferred[None] = Deferred()

        def turn(left: int) -> None:
            if left:
                reactor.callLater(0, turn, left - 1)  # type: ignore[attr-defined]
            else:
                done.callback(None)

        turn(number)
        return done

    def tlsEndpoint(self) -> str:
        """Name an endpoint with TLS."""
        pem = localhostFile(self.folder())
        return f"ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1"

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
