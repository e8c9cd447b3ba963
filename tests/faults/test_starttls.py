"""STARTTLS while faults are on: they stay beneath TLS, where they were."""

from __future__ import annotations

import ssl
from typing import Any

from twisted.internet.ssl import PrivateCertificate

from tcplab.protocols import CRLF, ConversationFactory, Dialogue
from tcplab.reactor.tls import HalfClosingTLS
from tests.support.certificates import localhostPEM
from tests.support.fault_server import Breaking


class Post(Dialogue):
    """Says something in clear, and something else not."""

    framing = CRLF

    async def converse(self) -> None:
        await self.receive()
        self.send(b"go ahead")
        await self.startTLS(PrivateCertificate.loadPEM(localhostPEM()).options())
        async for word in self.messages():
            self.send(b"secretly " + word)


class StartTLSTests(Breaking):
    """On real sockets."""

    def client(self, sock: Any) -> tuple[bytes, bytes]:
        sock.sendall(b"STARTTLS\r\n")
        clear = sock.recv(100)
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with context.wrap_socket(sock) as secure:
            secure.sendall(b"hello\r\n")
            heard = b""
            while not heard.endswith(b"\r\n"):
                heard += secure.recv(100)
            return clear, heard

    async def test_beneath(self) -> None:
        told = await self.serveBroken(
            ConversationFactory(Post),
            "slicer,average_size=100,direction=both",
            "latency,latency=1,direction=both",
        )
        got = await self.talk(self.client, self.connect())
        self.assertEqual(got, (b"go ahead\r\n", b"secretly hello\r\n"))
        await told.ending()

    async def test_removed(self) -> None:
        """They come out there, too."""
        told = await self.serveBroken(ConversationFactory(Post), "latency,latency=1,direction=both")
        sock = self.connect()

        def first() -> Any:
            sock.sendall(b"STARTTLS\r\n")
            sock.recv(100)
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context.wrap_socket(sock)

        def then(secure: Any) -> bytes:
            with secure:
                secure.sendall(b"hello\r\n")
                return bytes(secure.recv(100))

        secure = await self.talk(first)
        (transport,) = self.listener.connections
        self.faults.clear()
        self.assertIsInstance(transport.protocol, HalfClosingTLS)
        self.assertEqual(await self.talk(then, secure), b"secretly hello\r\n")
        await told.ending()
