"""Tests for `tcplab.client.clienttls`."""

from __future__ import annotations

import os
from typing import Any

from OpenSSL.SSL import Error
from service_identity import CertificateError, VerificationError
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory

from tcplab.client.clienttls import overTLS
from tcplab.client.protocol import ClientProtocol
from tcplab.client.result import HandshakeFailed, Outcome
from tcplab.protocols import ConversationFactory, Echo
from tests.support import certificates
from tests.support.certificates import localhostFile, namelessPEM
from tests.support.socket_server import Serving


class Asking(ClientProtocol):
    """Say something, finish, and keep the answer."""

    answer = b""

    def sessionStarted(self) -> None:
        self.send(b"hello")
        self.halfClose()

    def received(self, data: bytes) -> None:
        self.answer += data


class SecureTests(Serving):
    async def ask(self, host: str | None, **settings: Any) -> Asking:
        """Talk to an echo server over TLS, whose certificate is for localhost."""
        self.pem = localhostFile(self.folder())
        trusted = settings.pop("trusted", False)
        self.patchTrust(self.pem if trusted else os.devnull)
        await self.serve(
            ConversationFactory(Echo),
            f"ssl:0:privateKey={self.pem}:certKey={self.pem}:interface=127.0.0.1",
        )
        call = Asking(reactor)
        factory = Factory.forProtocol(lambda: call)
        factory.noisy = False
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.host.port)
        await endpoint.connect(overTLS(factory, host, **settings))
        await call.established
        return call

    def patchTrust(self, path: str) -> None:
        """Make this file the platform's trust: OpenSSL looks at its variable first."""
        for name in "SSL_CERT_FILE", "SSL_CERT_DIR":
            before = os.environ.get(name)
            if before is None:
                self.addCleanup(os.environ.pop, name, None)
            else:
                self.addCleanup(os.environ.__setitem__, name, before)
        os.environ["SSL_CERT_FILE"] = path
        os.environ["SSL_CERT_DIR"] = os.devnull

    def failure(self, deferred: Deferred[Any]) -> Deferred[Any]:
        return self.assertFailure(deferred, HandshakeFailed)

    async def assertAnswered(self, call: Asking) -> None:
        ending = await call.ended
        self.assertIs(ending.outcome, Outcome.OK, ending.why)
        self.assertEqual(call.answer, b"hello")

    async def test_aTrustedCertificateForTheHostIsTaken(self) -> None:
        await self.assertAnswered(await self.ask("localhost", insecure=False, trusted=True))

    async def test_anAddressIsVerifiedToo(self) -> None:
        await self.assertAnswered(await self.ask("127.0.0.1", insecure=False, trusted=True))

    async def test_aCertificateForAnotherHostIsRefused(self) -> None:
        asked = Deferred.fromCoroutine(self.ask("example.org", insecure=False, trusted=True))
        problem = await self.failure(asked)
        self.assertIsInstance(problem.reason.value, VerificationError)

    async def test_aCertificateThatThePlatformDoesNotTrustIsRefused(self) -> None:
        asked = Deferred.fromCoroutine(self.ask("localhost", insecure=False))
        problem = await self.failure(asked)
        self.assertIsInstance(problem.reason.value, Error)
        self.assertIn("certificate verify failed", str(problem.reason.value))

    async def test_insecureTakesAnyCertificateWhateverTheName(self) -> None:
        for host in "example.org", "127.0.0.1", None:
            await self.assertAnswered(await self.ask(host, insecure=True))

    async def test_aCertificateThatNamesNobodyIsRefused(self) -> None:
        self.patch(certificates, "localhostPEM", namelessPEM)
        asked = Deferred.fromCoroutine(self.ask("localhost", insecure=False, trusted=True))
        problem = await self.failure(asked)
        self.assertIsInstance(problem.reason.value, CertificateError)
