"""STARTTLS on real connections: through a `Dialogue`, and in Twisted's own way."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Factory
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.internet.task import deferLater

from tcplab.protocols.dialogue import Dialogue, PeerSilent
from tcplab.protocols.echo import Echo
from tcplab.protocols.factory import ConversationFactory
from tcplab.wire.framing import CRLF
from tests.support.certificates import localhostPEM
from tests.support.socket_server import Serving, readAll


class Post(Dialogue):
    """A mail server that knows three words."""

    framing = CRLF
    heard: list[bytes] = []
    outcome: Any = None
    patience = 20.0

    async def converse(self) -> None:
        try:
            await self.words()
        except BaseException as e:
            type(self).outcome = e
            raise

    async def words(self) -> None:
        self.send(b"220 here")
        async for word in self.messages():
            self.heard.append(word)
            if word == b"STARTTLS":
                self.send(b"220 go ahead")
                options = PrivateCertificate.loadPEM(localhostPEM()).options()
                await self.startTLS(options, timeout=self.patience)
            elif word == b"QUIT":
                return self.send(b"221 bye")
            else:
                self.send(b"250 " + word)
        return None


class Ask(Dialogue):
    """Its client."""

    framing = CRLF

    async def converse(self) -> list[bytes]:
        said = [await self.receive()]
        self.send(b"STARTTLS")
        said.append(await self.receive())
        trusted = trustRootFromCertificates([Certificate.loadPEM(localhostPEM())])
        await self.startTLS(optionsForClientTLS("localhost", trusted))
        for word in (b"HELO", b"QUIT"):
            self.send(word)
            said.append(await self.receive())
        return said


class PostFactory(Factory):
    noisy = False
    protocol = Post


def handshake(sock: socket.socket) -> SSL.Connection:
    sock.settimeout(None)  # OpenSSL takes the socket to be blocking
    tls = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), sock)
    tls.set_connect_state()
    tls.do_handshake()
    return tls


class StartTLSTests(Serving):
    """From plain to TLS within one conversation."""

    def setUp(self) -> None:
        Post.heard = []
        Post.outcome = None

    async def play(self, client: Callable[[socket.socket], Any], words: bytes = b"") -> Any:
        """Serve, and run a client in a thread once it is told to go ahead; return its result."""
        self.told = await self.serve(PostFactory())

        def run() -> Any:
            with self.connect() as sock:
                sock.sendall(b"STARTTLS\r\n" + words)
                heard = b""
                while not heard.endswith(b"ahead\r\n"):
                    heard += sock.recv(100)
                return client(sock)

        return await self.talk(run)

    async def test_bothSides(self) -> None:
        """A Dialogue serves it, and a Dialogue asks for it and verifies the certificate."""
        told = await self.serve(PostFactory())
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", self.host.port)
        asked = await (await connectProtocol(endpoint, Ask())).whenFinished()
        self.assertEqual(asked, [b"220 here", b"220 go ahead", b"250 HELO", b"221 bye"])
        ending = await told.ending()
        self.assertEqual((ending.how, ending.why), ("fin", None))

    async def test_otherPeer(self) -> None:
        """OpenSSL's own client is understood, to its half-close."""

        def client(sock: socket.socket) -> bytes:
            tls = handshake(sock)
            tls.sendall(b"HELO\r\nEHLO")
            tls.shutdown()
            answer = b""
            with contextlib.suppress(SSL.ZeroReturnError):
                while True:
                    answer += tls.recv(1000)
            return answer

        self.assertEqual(await self.play(client), b"250 HELO\r\n250 EHLO\r\n")

    async def test_injectedPlaintext(self) -> None:
        """What was sent in clear behind STARTTLS is not taken for encrypted."""

        def client(sock: socket.socket) -> bytes:
            tls = handshake(sock)
            tls.sendall(b"QUIT\r\n")
            return tls.recv(100)

        self.assertEqual(await self.play(client, b"INJECTED\r\n"), b"221 bye\r\n")
        self.assertEqual(Post.heard, [b"STARTTLS", b"QUIT"])

    async def test_garbageForHandshake(self) -> None:
        """A handshake that fails ends the connection and cancels the coroutine, quietly."""

        def client(sock: socket.socket) -> None:
            sock.sendall(b"no handshake at all\r\n")
            with contextlib.suppress(ConnectionResetError):
                readAll(sock)

        await self.play(client)
        self.assertEqual((await self.told.ending()).why, "handshake")
        self.assertIsInstance(Post.outcome, CancelledError)

    async def test_stalledHandshake(self) -> None:
        """A peer without a handshake is given up."""
        self.patch(Post, "patience", 0.5)

        def client(sock: socket.socket) -> None:
            with contextlib.suppress(ConnectionResetError):
                readAll(sock)

        await self.play(client)
        await self.told.ending()
        self.assertIsInstance(Post.outcome, PeerSilent)


class Upgrading(Echo):
    """An echo that goes over to TLS at the first word, by its transport's own ``startTLS``."""

    maxUnsent = 2**17
    upgraded = False

    def messageReceived(self, message: bytes) -> None:
        if self.upgraded:
            super().messageReceived(message)
            return
        self.upgraded = True
        self.write(b"go ahead")
        transport: Any = self.transport
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            transport.socket.setsockopt(socket.SOL_SOCKET, option, 2**15)
        transport.startTLS(PrivateCertificate.loadPEM(localhostPEM()).options())


class StockStartTLSTests(Serving):
    """From plain to TLS by Twisted's own ``transport.startTLS``."""

    async def test_backPressure(self) -> None:
        """A client that only sends is stopped, not reset; when it reads, every byte is there."""
        told = await self.serve(ConversationFactory(Upgrading))
        data = bytes(range(256)) * 2**12
        stopped = threading.Event()
        self.addCleanup(stopped.set)
        answer = self.talk(self.sendFirst, data, stopped)
        readers: Any = reactor
        while not told.opened:
            await deferLater(readers, 0)
        [transport] = self.listener.connections
        while transport in readers.getReaders() and not told.endings:
            await deferLater(readers, 0)
        await deferLater(readers, 0)  # an abort is told in the next turn
        self.assertEqual(told.endings, [])
        self.assertLess(transport.received, len(data))
        stopped.set()
        self.assertEqual(await answer, data)

    def sendFirst(self, data: bytes, stopped: threading.Event) -> bytes:
        """Send without reading until it is known that the server has stopped; then read too."""
        with socket.socket() as sock:
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                sock.setsockopt(socket.SOL_SOCKET, option, 2**15)
            sock.connect(("127.0.0.1", self.host.port))
            sock.sendall(b"STARTTLS")
            self.assertEqual(sock.recv(8, socket.MSG_WAITALL), b"go ahead")
            tls = handshake(sock)
            sock.setblocking(False)
            sent, answer = 0, b""
            while len(answer) < len(data):
                with contextlib.suppress(SSL.WantWriteError):
                    while sent < len(data):
                        sent += tls.send(data[sent : sent + 16384])
                if stopped.is_set():
                    with contextlib.suppress(SSL.WantReadError):
                        while len(answer) < len(data):
                            answer += tls.recv(65536)
                reads = [sock] if stopped.is_set() else []
                select.select(reads, [sock] if sent < len(data) else [], [], 0.05)
            return answer
