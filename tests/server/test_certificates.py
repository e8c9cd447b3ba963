"""Tests for `tcplab.server.certificates`."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from ipaddress import ip_address
from typing import Any

from cryptography.x509 import DNSName, IPAddress, SubjectAlternativeName
from OpenSSL import SSL
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from tcplab.reactor.pemfiles import PEMError
from tcplab.server.certificates import (
    CertificateDirectory,
    CertificatesError,
    hardenTLS,
    loadClientCAs,
    worldReadableKeys,
)
from tests.support.certificates import (
    Authority,
    handshake,
    localhostFile,
    localhostPEM,
    namelessPEM,
    pem,
    signedBySelf,
)
from tests.support.log_capture import Logged


class Folders(Logged):
    """Tests with a folder for certificates."""

    def setUp(self) -> None:
        super().setUp()
        self.path = tempfile.mkdtemp(prefix="tcplab")
        self.addCleanup(shutil.rmtree, self.path)
        self.clock = Clock()

    def put(self, name: str, text: bytes) -> None:
        """Write a file at once, as a renewal does."""
        with open(os.path.join(self.path, "new"), "wb") as file:
            file.write(text)
        os.replace(os.path.join(self.path, "new"), os.path.join(self.path, name))

    def folder(self, clients: Any = None) -> CertificateDirectory:
        return CertificateDirectory(self.path, self.clock, clients)

    def shown(self, folder: CertificateDirectory, name: bytes | None) -> bytes:
        """Shake hands in memory, and return the names of the certificate that is shown."""
        peer = handshake(folder.serverConnectionForTLS(None), name)
        certificate = peer.get_peer_certificate(as_cryptography=True)
        assert certificate is not None
        names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
        return " ".join(names.get_values_for_type(DNSName)).encode()


class WorldReadableTests(Folders):
    def setUp(self) -> None:
        super().setUp()
        self.pem = localhostFile(self.path)
        os.chmod(self.pem, 0o644)

    def test_endpoints(self) -> None:
        """However the endpoint names the file or the folder."""
        os.link(self.pem, colon := os.path.join(self.path, "a:b"))
        quoted = colon.replace(":", "\\:")
        for endpoint, found in (
            (f"limit:max=3:ssl:0:certKey=other.pem:privateKey={self.pem}", [self.pem]),
            (f"tls:{self.path}:0", [self.pem]),
            (f"tls:path={self.path}:0", [self.pem]),
            (f"tls:port=0:path={self.path}", [self.pem]),
            (f"limit:max=3:tls:{self.path}:0", [self.pem]),
            (f"ssl:0:privateKey={quoted}", [colon]),
            ("tcp:0:interface=127.0.0.1", []),
            (f"ssl:0:privateKey={self.path}/nothing.pem", []),
            ("unix:/tmp/ssl", []),
        ):
            self.assertEqual(worldReadableKeys(endpoint), found, endpoint)

    def test_files(self) -> None:
        """What others may read, and only where there is a key."""
        endpoint = f"ssl:0:privateKey={self.pem}:interface=127.0.0.1"
        for mode, found in ((0o644, [self.pem]), (0o640, []), (0o600, [])):
            os.chmod(self.pem, mode)
            self.assertEqual(worldReadableKeys(endpoint), found, oct(mode))
        self.put("public.pem", localhostPEM().partition(b"-----END PRIVATE KEY-----")[2])
        os.chmod(public := os.path.join(self.path, "public.pem"), 0o644)
        self.assertEqual(worldReadableKeys(f"tls:{self.path}:0"), [])
        self.assertEqual(worldReadableKeys(f"ssl:0:privateKey={public}"), [])


class NameTests(Folders):
    def test_names(self) -> None:
        """The name that is asked for chooses; others are shown the first by alphabet."""
        self.put("b.pem", pem("b.example", "c.example"))
        self.put("a.pem", pem("a.example"))
        self.put("wild.pem", pem("*.x.example"))
        served = self.folder()
        for name, shown in (
            (b"a.example", b"a.example"),
            (b"b.example", b"b.example c.example"),
            (b"C.EXAMPLE", b"b.example c.example"),
            (b"any.x.example", b"*.x.example"),
        ):
            self.assertEqual(self.shown(served, name), shown)
        os.remove(os.path.join(self.path, "wild.pem"))
        served = self.folder()
        for other in (None, b"z.example", b"any.a.example", b"\xff\x1b[2J", b"x" * 200):
            self.assertEqual(self.shown(served, other), b"a.example", other)
        self.assertEqual([each for each in self.events if each["log_level"] > LogLevel.info], [])

    def test_file(self) -> None:
        """A file does instead of a folder."""
        served = CertificateDirectory(localhostFile(self.path), self.clock)
        self.assertEqual(self.shown(served, None), b"localhost")

    def test_addresses(self) -> None:
        """A certificate for addresses only is shown to those that ask for no name."""
        address = SubjectAlternativeName([IPAddress(ip_address("127.0.0.1"))])
        self.put("a.pem", signedBySelf(address))
        self.assertEqual(self.shown(self.folder(), None), b"")

    def test_chain(self) -> None:
        """Issuers in any file are sent behind a certificate; an authority's own ends the chain."""
        authority = Authority()
        self.put("a.pem", authority.signed("a.example", names=("a.example",)))
        self.put("authority.pem", authority.pem)
        peer = handshake(self.folder().serverConnectionForTLS(None))
        self.assertEqual(len(peer.get_peer_cert_chain() or ()), 2)

    def test_refused(self) -> None:
        for name, text, problem in (
            ("a.txt", b"", f"there is no .pem file in {self.path}"),
            ("a.pem", namelessPEM(), "in /.*a.pem has no subjectAltName"),
            ("a.pem", b"-----BEGIN CERTIFICATE-----\nnothing\n", "a.pem cannot be used[^\n]*$"),
        ):
            self.put(name, text)
            raised = self.assertRaises(PEMError, self.folder)
            self.assertRegex(str(raised), problem)


class RenewalTests(Folders):
    def setUp(self) -> None:
        super().setUp()
        self.put("a.pem", pem("a.example"))
        self.served = self.folder()

    def assertShown(self, names: bytes) -> None:
        self.assertEqual(self.shown(self.served, b"a.example"), names)

    def test_renewed(self) -> None:
        """The next connection is shown the new one, a second later."""
        self.put("a.pem", pem("a.example", "b.example"))
        self.assertShown(b"a.example")  # not looked at yet
        for _ in range(2):
            self.clock.advance(1)
            self.assertShown(b"a.example b.example")
        [line] = self.lines()
        self.assertIn("certificates read again", line)

    def test_unreadable(self) -> None:
        """What cannot be read changes nothing, and is logged once."""
        self.put("a.pem", b"-----BEGIN CERTIFICATE-----\nnothing\n")
        for _ in range(3):
            self.clock.advance(1)
            self.assertShown(b"a.example")
        [line] = self.lines(LogLevel.warn)
        self.assertIn("stay in use", line)
        os.remove(os.path.join(self.path, "a.pem"))
        self.clock.advance(1)
        self.assertShown(b"a.example")

    def test_bounded(self) -> None:
        """Many connections in a second look at no file."""
        looks: list[None] = []
        self.patch(self.served, "_checkFiles", lambda: looks.append(None))
        for _ in range(100):
            self.served.serverConnectionForTLS(None)
        self.assertEqual(looks, [])


class ClientTests(Folders):
    def authority(self, text: bytes) -> str:
        self.put("ca.pem", text)
        return os.path.join(self.path, "ca.pem")

    def assertRequired(self, context: SSL.Context) -> None:
        both = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        self.assertEqual(context.get_verify_mode() & both, both)

    def test_unreadable(self) -> None:
        self.assertRaises(OSError, loadClientCAs, "/no/such/file")
        for text in (b"", b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"):
            raised = self.assertRaises(CertificatesError, loadClientCAs, self.authority(text))
            self.assertIn("there is no certificate in ", str(raised))

    def test_required(self) -> None:
        """Of clients, if there is an authority, whatever name they ask for."""
        hardenTLS(options := CertificateOptions())
        self.assertEqual(options.getContext().get_verify_mode(), SSL.VERIFY_NONE)
        clients = loadClientCAs(path := self.authority(Authority().pem))
        hardenTLS(options := CertificateOptions(), clients)
        self.assertRequired(options.getContext())
        os.remove(path)
        self.put("a.pem", pem("a.example"))
        self.put("b.pem", localhostPEM())
        contexts = self.folder(clients)._contexts
        self.assertEqual(len(contexts), 2)
        for each in contexts.values():
            self.assertRequired(each)


class CipherTests(SynchronousTestCase):
    def test_ciphers(self) -> None:
        hardenTLS(options := CertificateOptions())
        names = SSL.Connection(options.getContext()).get_cipher_list()
        self.assertIn("ECDHE-ECDSA-AES128-GCM-SHA256", names)
        good = re.compile("TLS_|(EC)?DHE-.*(GCM|POLY1305)")
        self.assertEqual([each for each in names if not good.match(each)], [])
