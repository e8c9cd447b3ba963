"""STARTTLS while faults are on: they stay beneath TLS, where they were."""

from __future__ import annotations

from typing import Any

from twisted.internet.ssl import PrivateCertificate

from tcplab.protocols import CRLF, ConversationFactory, Dialogue
from tcplab.reactor.tls import HalfClosingTLS
from tests.support.certificates import localhostPEM, overTLS
from tests.support.fault_server import Breaking


class Post(Dialogue):
    """Answer in clear, then over TLS."""

    framing = CRLF

    async def converse(self) -> None:
        await self.receive()
        self.send(b"go ahead")
        await self.startTLS(PrivateCertificate.loadPEM(localhostPEM()).options())
        async for word in self.messages():
            self.send(b"secretly " + word)


class StartTLSTests(Breaking):
    """On real sockets."""

    def started(self, sock: Any) -> tuple[bytes, Any]:
        """Return what was answered in clear, and the socket over TLS."""
        sock.sendall(b"STARTTLS\r\n")
        return sock.recv(100), overTLS(sock)

    def asked(self, secure: Any) -> bytes:
        with secure, secure.makefile("rb") as lines:
            secure.sendall(b"hello\r\n")
            return bytes(lines.readline())

    async def test_beneath(self) -> None:
        """They act on what TLS sends; when they are removed, TLS is the transport's protocol."""
        for faults, removed in (
            (("slicer,average_size=100,direction=both", "latency,latency=1,direction=both"), False),
            (("latency,latency=1,direction=both",), True),
        ):
            told = await self.serveBroken(ConversationFactory(Post), *faults)
            clear, secure = await self.talk(self.started, self.connect())
            if removed:
                (transport,) = self.listener.connections
                self.faults.clear()
                self.assertIsInstance(transport.protocol, HalfClosingTLS)
            heard = await self.talk(self.asked, secure)
            self.assertEqual((clear, heard), (b"go ahead\r\n", b"secretly hello\r\n"))
            await told.ending()
