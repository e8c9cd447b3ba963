"""Tests for `tcplab.reactor.clientendpoint`."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from tcplab.reactor.clientendpoint import clientEndpoint, halfCloseClient, pointsTo
from tcplab.reactor.tls import HalfClosingTLS


class EndpointTests(SynchronousTestCase):
    def refused(self, where: str) -> str:
        problem = str(self.assertRaises(ValueError, clientEndpoint, where))
        self.assertEqual(len(problem.splitlines()), 1)
        return problem

    def test_whatCanBeRead(self) -> None:
        for where in ("tcp:localhost:80", "tls:localhost:443", "unix:/run/lab", "ssl:a:1"):
            self.assertTrue(clientEndpoint(where))

    def test_itIsReadOnce(self) -> None:
        self.assertIs(clientEndpoint("tcp:a:1"), clientEndpoint("tcp:a:1"))

    def test_whatCannotIsToldInALine(self) -> None:
        self.assertIn("as in tcp:localhost:50544", self.refused(""))
        self.assertIn("as in tcp:localhost:50544", self.refused("localhost"))
        self.assertIn("did you mean tcp:localhost:80?", self.refused("localhost:80"))
        self.assertIn("no kind of endpoint 'tpc': use tcp", self.refused("tpc:localhost:80"))
        self.assertIn("endpoint: 'port' is missing", self.refused("tcp:a"))
        self.assertIn("port is a whole number from 1 to 65535", self.refused("tcp:a:b"))

    def test_whatTwistedTakesAndThenStumblesOver(self) -> None:
        self.assertIn("not '99999'", self.refused("tls:a:99999"))
        self.assertIn("not '0'", self.refused("ssl:host=a:0"))
        for kind in ("tcp:a:1", "tls:a:1", "ssl:a:1", "unix:a"):
            self.assertIn("timeout is a whole number", self.refused(kind + ":timeout=-1"))
        for name in ("a..b", ".a", "a" * 64):
            self.assertIn(f"'{name}' cannot be the name of a host", self.refused(f"tcp:{name}:1"))
        for where in (r"tcp:\:\:1:80", "tcp:bücher.example:80:timeout=86400", "tcp:a.b.:1"):
            self.assertTrue(clientEndpoint(where))


class LeadsToTests(SynchronousTestCase):
    def leads(self, where: str, host: str, port: int = 80) -> bool:
        kind: Any = IPv6Address if ":" in host else IPv4Address
        return pointsTo(where, kind("TCP", host, port))

    def test_theVeryAddress(self) -> None:
        for where in ("tcp:127.0.0.1:80", "tcp:host=127.0.0.1:port=80", "tcp:127.0.0.1:port=80"):
            self.assertTrue(self.leads(where, "127.0.0.1"), where)
        self.assertFalse(self.leads("tcp:127.0.0.1:81", "127.0.0.1"))
        self.assertFalse(self.leads("tcp:127.0.0.2:80", "127.0.0.1"))
        self.assertTrue(self.leads(r"tls:\:\:1:80", "::1"))

    def test_aNameForIt(self) -> None:
        self.assertTrue(self.leads("tcp:localhost:80", "127.0.0.1"))
        self.assertFalse(self.leads("tcp:nowhere.invalid:80", "127.0.0.1"))

    def test_aWildcardIsEveryAddressOfOurs(self) -> None:
        for where in ("tcp:127.0.0.1:80", "tcp:127.9.9.9:80", "tcp:localhost:80", "tcp:0.0.0.0:80"):
            self.assertTrue(self.leads(where, "0.0.0.0"), where)
            self.assertTrue(self.leads(where, "::"), where)
        self.assertFalse(self.leads("tcp:192.0.2.1:80", "0.0.0.0"))
        self.assertFalse(self.leads(r"tcp:\:\:1:80", "0.0.0.0"))
        self.assertTrue(self.leads(r"tcp:\:\:1:80", "::"))

    def test_probesLeaveNothingOpen(self) -> None:
        with socket.socket() as before:
            lowest = before.fileno()
        self.assertTrue(self.leads("tcp:127.0.0.1:80", "0.0.0.0"))
        with socket.socket() as after:
            self.assertEqual(after.fileno(), lowest)

    def test_toConnectToTheWildcardIsToConnectToOurselves(self) -> None:
        self.assertTrue(self.leads("tcp:0.0.0.0:80", "127.0.0.1"))

    def test_unixSockets(self) -> None:
        here = UNIXAddress(b"/run/lab")
        for where in ("unix:/run/lab", "unix:path=/run/lab", "unix:/run/../run/lab"):
            self.assertTrue(pointsTo(where, here), where)
        self.assertFalse(pointsTo("unix:/run/other", here))
        self.assertFalse(pointsTo("tcp:localhost:80", here))
        self.assertFalse(self.leads("unix:/run/lab", "127.0.0.1"))


class HalfCloseTests(SynchronousTestCase):
    def test_twistedsOwnTLSIsGivenOne(self) -> None:
        class Caller(Protocol):
            def makeConnection(self, transport: Any) -> None:
                halfCloseClient(transport, self)
                super().makeConnection(transport)

        options = CertificateOptions()
        factory = TLSMemoryBIOFactory(options, True, Factory.forProtocol(Caller))
        tls = factory.buildProtocol(None)
        tls.makeConnection(StringTransport())
        self.assertIsInstance(tls, HalfClosingTLS)
        self.assertTrue(IHalfCloseableProtocol.providedBy(tls))

    def test_othersAreLeftAlone(self) -> None:
        transport = StringTransport()
        halfCloseClient(transport, Protocol())
        self.assertIs(type(transport), StringTransport)
