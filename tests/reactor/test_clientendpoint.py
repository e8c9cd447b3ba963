"""Tests for `tcplab.reactor.clientendpoint`."""

from __future__ import annotations

import gc
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
    def test_read(self) -> None:
        for where in (
            *("tcp:localhost:80", "tls:localhost:443", "unix:/run/lab", "ssl:a:1"),
            *(r"tcp:\:\:1:80", "tcp:bücher.example:80:timeout=86400", "tcp:a.b.:1"),
        ):
            self.assertTrue(clientEndpoint(where))
            self.assertIs(clientEndpoint(where), clientEndpoint(where))  # it is read once

    def test_refused(self) -> None:
        """In one line, also what Twisted reads and fails with later."""
        for where, problem in (
            ("", "as in tcp:localhost:50544"),
            ("localhost", "as in tcp:localhost:50544"),
            ("localhost:80", "did you mean tcp:localhost:80?"),
            ("tcp://localhost:80", "no endpoint: write tcp:localhost:80"),
            ("[::1]:80", r"no endpoint: write tcp:\:\:1:80"),
            ("tls:[::1]:80", r"no endpoint: write tls:\:\:1:80"),
            ("localhost:ssh", "did you mean tcp:localhost:22?"),
            ("tpc:localhost:80", "no kind of endpoint 'tpc': use tcp"),
            ("tcp:a", "endpoint: 'port' is missing"),
            ("tcp:a:b", "port is a whole number from 1 to 65535"),
            ("tls:a:99999", "not '99999'"),
            ("ssl:host=a:0", "not '0'"),
            *(
                (f"{kind}:timeout=-1", "timeout is a whole number")
                for kind in ("tcp:a:1", "tls:a:1", "ssl:a:1", "unix:a")
            ),
            *(
                (f"tcp:{name}:1", f"'{name}' cannot be the name of a host")
                for name in ("a..b", ".a", "a" * 64)
            ),
        ):
            error = str(self.assertRaises(ValueError, clientEndpoint, where))
            self.assertIn(problem, error)
            self.assertEqual(len(error.splitlines()), 1)


class LeadsToTests(SynchronousTestCase):
    def leads(self, where: str, host: str, port: int = 80) -> bool:
        kind: Any = IPv6Address if ":" in host else IPv4Address
        return pointsTo(where, kind("TCP", host, port))

    def test_addresses(self) -> None:
        """The very address, a name for it, and a wildcard on either side."""
        ours = ("tcp:127.0.0.1:80", "tcp:127.9.9.9:80", "tcp:localhost:80", "tcp:0.0.0.0:80")
        for where, host, leads in (
            ("tcp:127.0.0.1:80", "127.0.0.1", True),
            ("tcp:host=127.0.0.1:port=80", "127.0.0.1", True),
            ("tcp:127.0.0.1:port=80", "127.0.0.1", True),
            ("tcp:127.0.0.1:81", "127.0.0.1", False),
            ("tcp:127.0.0.2:80", "127.0.0.1", False),
            (r"tls:\:\:1:80", "::1", True),
            ("tcp:localhost:80", "127.0.0.1", True),
            ("tcp:nowhere.invalid:80", "127.0.0.1", False),
            ("tcp:0.0.0.0:80", "127.0.0.1", True),  # to connect to it is to connect to ourselves
            *((where, wildcard, True) for where in ours for wildcard in ("0.0.0.0", "::")),
            ("tcp:192.0.2.1:80", "0.0.0.0", False),
            (r"tcp:\:\:1:80", "0.0.0.0", False),
            (r"tcp:\:\:1:80", "::", True),
        ):
            self.assertEqual(self.leads(where, host), leads, (where, host))

    def test_probesLeaveNothingOpen(self) -> None:
        gc.collect()  # a descriptor of an earlier test, closed in between, would be lower
        with socket.socket() as before:
            lowest = before.fileno()
        self.assertTrue(self.leads("tcp:127.0.0.1:80", "0.0.0.0"))
        with socket.socket() as after:
            self.assertEqual(after.fileno(), lowest)

    def test_unixSockets(self) -> None:
        here = UNIXAddress(b"/run/lab")
        for where in ("unix:/run/lab", "unix:path=/run/lab", "unix:/run/../run/lab"):
            self.assertTrue(pointsTo(where, here), where)
        self.assertFalse(pointsTo("unix:/run/other", here))
        self.assertTrue(pointsTo("unix:@lab", UNIXAddress(b"\0lab")))
        self.assertFalse(pointsTo("unix:./@lab", UNIXAddress(b"\0lab")))
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
