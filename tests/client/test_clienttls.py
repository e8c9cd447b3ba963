"""Tests for `tcplab.client.clienttls`."""

from __future__ import annotations

import os
from typing import Any

from OpenSSL.SSL import Error
from service_identity import CertificateError, VerificationError
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint

from tcplab.client.clienttls import overTLS
from tcplab.client.connect import SingleUseFactory
from tcplab.client.protocol import ClientProtocol
from tcplab.client.result import HandshakeFailed, Outcome
from tcplab.protocols import ConversationFactory, Echo
from tests.support import certificates
from tests.support.certificates import localhostFile, namelessPEM
from tests.support.socket_server import Serving


class Asking(ClientProtocol):
    """Send a request, half-close, and keep the answer."""

    answer = b""

    def sessionStarted(self) -> None:
        self.send(b"hello")
        self.halfClose()

    def received(self, data: bytes) -> None:
        self.answer += data


class CertificateTests(Serving):
    """An echo server over TLS, with a certificate for localhost."""

    async def ask(self, host: str | None, *, trusted: bool, insecure: bool = False) -> Asking:
        """Connect, and complete the handshake."""
        pem = localhostFile(self.folder())
        self.patchTrust(pem if trusted else os.devnull)
        await self.serve(
            ConversationFactory(Echo), f"ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1"
        )
        clock: Any = reactor
        client = Asking(clock)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.host.port)
        await endpoint.connect(overTLS(SingleUseFactory(client), host, insecure=insecure))
        await client.established
        return client

    def patchTrust(self, path: str) -> None:
        """Make this file the platform's trust store: OpenSSL looks at its variable first."""
        for name in "SSL_CERT_FILE", "SSL_CERT_DIR":
            before = os.environ.get(name)
            if before is None:
                self.addCleanup(os.environ.pop, name, None)
            else:
                self.addCleanup(os.environ.__setitem__, name, before)
        os.environ["SSL_CERT_FILE"] = path
        os.environ["SSL_CERT_DIR"] = os.devnull

    async def test_accepted(self) -> None:
        """A trusted certificate for the name or address; any certificate if insecure."""
        for host, insecure in (
            *(("localhost", False), ("127.0.0.1", False)),
            *(("example.org", True), ("127.0.0.1", True), (None, True)),
        ):
            client = await self.ask(host, trusted=not insecure, insecure=insecure)
            result = await client.ended
            self.assertIs(result.outcome, Outcome.OK, result.why)
            self.assertEqual(client.answer, b"hello")

    async def refused(self, host: str, trusted: bool) -> BaseException:
        asked = Deferred.fromCoroutine(self.ask(host, trusted=trusted))
        problem: BaseException = (await self.assertFailure(asked, HandshakeFailed)).reason.value
        return problem

    async def test_refused(self) -> None:
        """Another host, no trust, and a certificate without a name."""
        self.assertIsInstance(await self.refused("example.org", True), VerificationError)
        untrusted = await self.refused("localhost", False)
        self.assertIsInstance(untrusted, Error)
        self.assertIn("certificate verify failed", str(untrusted))
        self.patch(certificates, "localhostPEM", namelessPEM)
        self.assertIsInstance(await self.refused("localhost", True), CertificateError)
